//! Range functions: samples of a range selector or points of a subquery, one series at a time, through a kernel.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::QueryError;
use crate::context::Context;
use crate::grid::Grid;
use crate::kernel::{self, RangeFunction, slide};
use crate::notes::Note;
use crate::plan::{RangeCallPlan, RangePlan, RangeSource};
use crate::row::{Row, Rows};
use crate::scalar::Scalar;
use crate::vector::{Name, Scratch, Series, Vector};

/// The samples that windows slide over.
pub(crate) struct RangeSamples<'q> {
    context: &'q Context,
    source: Source<'q>,
    /// The end of each window.
    ends: Grid,
    range_ms: i64,
}

enum Source<'q> {
    Selection(usize),
    Points(Vector<'q>, Grid),
}

impl<'q> RangeSamples<'q> {
    pub(crate) fn new(context: &'q Context, plan: &'q RangePlan, grid: Grid) -> Result<Self, QueryError> {
        let source = match &plan.source {
            RangeSource::Selection(selection) => Source::Selection(*selection),
            RangeSource::Subquery(inner, points) => {
                Source::Points(super::vector(context, inner, *points)?, *points)
            }
        };
        Ok(RangeSamples { context, source, ends: plan.shift.track(grid), range_ms: plan.range_ms })
    }

    pub(crate) fn series(&self) -> Vec<Series> {
        match &self.source {
            Source::Selection(selection) => {
                let set = &self.context.sets[*selection].series;
                set.iter().map(|series| Series::new(series.labels())).collect()
            }
            Source::Points(vector, _) => vector.series.clone(),
        }
    }

    fn one_name(&self) -> bool {
        match &self.source {
            Source::Selection(selection) => self.context.sets[*selection].one_name,
            Source::Points(vector, _) => vector.one_name,
        }
    }

    /// Puts the samples of a series into `scratch.columns` and the window of each step into `scratch.windows` and
    /// `scratch.native_windows`.
    pub(crate) fn load(&self, index: usize, scratch: &mut Scratch) -> Result<(), QueryError> {
        match &self.source {
            Source::Selection(selection) => {
                scratch.columns.load(self.context, *selection, index)?;
            }
            Source::Points(vector, points) => {
                let mut row = scratch.take_row();
                vector.fill(index, scratch, &mut row)?;
                scratch.columns.take_points(&row, *points);
                scratch.give_back(row);
                self.context.budget.touch(scratch.columns.floats().times.len(), 0)?;
            }
        }
        let Scratch { columns, windows, native_windows, .. } = scratch;
        columns.drop_stale();
        native_windows.clear();
        let natives = columns.natives();
        if !natives.times.is_empty() {
            slide(natives.times, self.ends, self.range_ms, native_windows)?;
        }
        slide(columns.floats().times, self.ends, self.range_ms, windows)
    }
}

struct RangeRows<'q> {
    function: RangeFunction,
    samples: RangeSamples<'q>,
    grid: Grid,
    params: Vec<Scalar>,
    plan: &'q RangeCallPlan,
    names: CounterNames,
}

pub(super) fn call<'q>(
    context: &'q Context,
    plan: &'q RangeCallPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let params =
        plan.params.iter().map(|p| super::scalar(context, p, grid)).collect::<Result<Vec<_>, _>>()?;
    let samples = RangeSamples::new(context, &plan.range, grid)?;
    let mut series = samples.series();
    let one_name = samples.one_name();
    let names = match plan.function {
        RangeFunction::Rate | RangeFunction::Increase => CounterNames::of(&series),
        _ => CounterNames::default(),
    };
    let keeps_name = matches!(plan.function, RangeFunction::First | RangeFunction::Last);
    if !keeps_name {
        let name = context.dropped_name();
        series = series.into_iter().map(|s| s.with_name(name)).collect();
    }
    let rows = RangeRows { function: plan.function, samples, grid, params, plan, names };
    let vector = Vector { series, rows: Box::new(rows), one_name };
    if !keeps_name && context.dropped_name() == Name::Hidden {
        return super::same::refuse_same(context, vector);
    }
    Ok(vector)
}

impl Rows for RangeRows<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        self.samples.load(index, scratch)?;
        let Scratch { columns, windows, work, pulse, .. } = scratch;
        let call = kernel::Call {
            samples: columns.floats(),
            windows,
            ends: self.samples.ends,
            range_ms: self.samples.range_ms,
            grid: self.grid,
            params: &self.params,
        };
        kernel::run(self.function, &call, work, pulse, out)?;
        let context = self.samples.context;
        context.counters.looked_at(windows.iter().map(|w| w.len()).sum());
        if let Some(name) = self.names.doubtful(index)
            && out.valid.any()
        {
            context.notes.add(Note::PossibleNonCounter(name.to_owned()), self.plan.span);
        }
        if self.function == RangeFunction::Quantile {
            self.note_quantiles(out);
        }
        Ok(())
    }
}

impl RangeRows<'_> {
    fn note_quantiles(&self, out: &Row) {
        let q = &self.params[0];
        let steps = match q {
            Scalar::Constant(_) => 1.min(out.values.len()),
            Scalar::PerStep(_) => out.values.len(),
        };
        for step in 0..steps {
            let wrong = !(0.0..=1.0).contains(&q.at(step));
            if wrong && (out.valid.get(step) || (steps == 1 && out.valid.any())) {
                let note = Note::InvalidQuantile(q.at(step).into());
                self.samples.context.notes.add(note, self.plan.span);
            }
        }
    }
}

/// Which series have names that no counter should have. Each name is noted once.
#[derive(Default)]
struct CounterNames {
    /// For each series an index into `names`; empty when all names are fine.
    of_series: Vec<Option<u32>>,
    names: Vec<(String, AtomicBool)>,
}

impl CounterNames {
    fn of(series: &[Series]) -> CounterNames {
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let mut found = CounterNames::default();
        let mut last: (String, Option<u32>) = (String::new(), None);
        let mut any = false;
        for series in series {
            let name = series.metric_name();
            if name != last.0 {
                let doubtful = !["_total", "_sum", "_count", "_bucket"].iter().any(|s| name.ends_with(s));
                let number = (doubtful && !name.is_empty()).then(|| {
                    *numbers.entry(name.to_owned()).or_insert_with(|| {
                        found.names.push((name.to_owned(), AtomicBool::new(false)));
                        found.names.len() as u32 - 1
                    })
                });
                last = (name.to_owned(), number);
            }
            any |= last.1.is_some();
            found.of_series.push(last.1);
        }
        if !any {
            found.of_series = Vec::new();
        }
        found
    }

    /// The name of a series if it is doubtful and was not given out before.
    fn doubtful(&self, index: usize) -> Option<&str> {
        let number = self.of_series.get(index).copied().flatten()?;
        let (name, noted) = &self.names[number as usize];
        (!noted.load(Ordering::Relaxed)).then(|| {
            // Two workers may both come here; the note is one all the same.
            noted.store(true, Ordering::Relaxed);
            name.as_str()
        })
    }
}

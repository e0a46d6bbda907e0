//! Range functions: samples of a range selector or points of a subquery, one series at a time, through a kernel.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use kymo_model::{Sparing, TimeRange};
use kymo_promql_syntax::ast::Edges;

use super::native_range::{self, NativeRange};
use crate::QueryError;
use crate::columns::{Columns, StartTimes};
use crate::context::Context;
use crate::grid::Grid;
use crate::kernel::{self, Known, RangeFunction, Window, extended_points, narrow_to_anchor, slide};
use crate::notes::Note;
use crate::plan::{RangeCallPlan, RangePlan, RangeSource};
use crate::row::{Row, Rows};
use crate::scalar::Scalar;
use crate::vector::{Name, Scratch, Series, Vector};

/// The samples that windows slide over.
pub(crate) struct RangeSamples<'q> {
    context: &'q Context,
    source: Source<'q>,
    /// The end of each range.
    ends: Grid,
    range_ms: i64,
    edges: Edges,
    /// Are counts and sums of histograms enough?
    bucketless: bool,
    /// Are the samples the result, and not for a function?
    is_result: bool,
    /// Which samples can the function do without?
    sparing: Option<Sparing>,
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
        let ends = plan.shift.track(grid);
        let RangePlan { range_ms, edges, bucketless, .. } = *plan;
        Ok(RangeSamples {
            context,
            source,
            ends,
            range_ms,
            edges,
            bucketless,
            is_result: false,
            sparing: None,
        })
    }

    /// The same, as the result of a query.
    pub(crate) fn into_result(self) -> Self {
        RangeSamples { is_result: true, ..self }
    }

    /// The same for a function that may not need all samples.
    fn sparing_for(self, function: RangeFunction) -> Self {
        let resets = function.spares();
        let is_plain = self.edges == Edges::Inside
            && matches!(self.source, Source::Selection(_))
            && !self.context.use_start_timestamps;
        // What the last window and the first one share, all others have.
        let min = self.ends.last().saturating_sub(self.range_ms).saturating_add(1);
        let range = TimeRange::from_millis(min, self.ends.start);
        let sparing =
            resets.filter(|_| is_plain && range.min < range.max).map(|resets| Sparing { range, resets });
        RangeSamples { sparing, ..self }
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

    /// The name that a series has when the function sees it.
    fn metric_name(&self, index: usize) -> String {
        match &self.source {
            Source::Selection(selection) => {
                let labels = self.context.sets[*selection].series.series(index).labels();
                labels.metric_name().unwrap_or("").to_owned()
            }
            Source::Points(vector, _) => vector.series[index].metric_name().to_owned(),
        }
    }

    /// May reading a series note something?
    pub(crate) fn may_note(&self) -> bool {
        match &self.source {
            Source::Selection(_) => false,
            Source::Points(vector, _) => vector.rows.may_note(),
        }
    }

    fn one_name(&self) -> bool {
        match &self.source {
            Source::Selection(selection) => self.context.sets[*selection].one_name,
            Source::Points(vector, _) => vector.one_name,
        }
    }

    /// Puts the samples of a series into `scratch.columns` and the window of each step into `scratch.windows` and
    /// `scratch.native_windows`. Windows of anchored and smoothed ranges reach beyond the range by the lookback.
    pub(crate) fn load(&self, index: usize, scratch: &mut Scratch) -> Result<(), QueryError> {
        match &self.source {
            Source::Selection(selection) => {
                let starts = StartTimes::from(self.context.use_start_timestamps);
                let Scratch { columns, budget, .. } = scratch;
                columns.load(self.context, budget, (*selection, index), starts, self.sparing)?;
            }
            Source::Points(vector, points) => {
                let mut row = scratch.take_row();
                vector.fill(index, scratch, &mut row)?;
                scratch.columns.take_points(&row, *points, self.is_result);
                scratch.give_back(row);
                scratch.budget.touch(scratch.columns.floats().times.len(), 0)?;
            }
        }
        let Scratch { columns, windows, windows_of, native_windows, pulse, .. } = scratch;
        pulse.tick(columns.floats().times.len() + columns.natives().times.len())?;
        let (ends, range_ms) = self.reach();
        if self.bucketless {
            columns.forget_buckets(ends, range_ms);
        }
        columns.drop_stale();
        native_windows.clear();
        let natives = columns.natives();
        if !natives.times.is_empty() {
            slide(natives.times, ends, range_ms, native_windows)?;
        }
        let times = columns.floats().times;
        // Series that are scraped together have the same times.
        if windows_of.are(times, ends, range_ms) {
            return Ok(());
        }
        slide(times, ends, range_ms, windows)?;
        windows_of.keep(times, ends, range_ms, windows);
        Ok(())
    }

    /// Counts what windows of floats look at, which is so much in all beside gaps.
    pub(crate) fn count(&self, (windows, left_out): (&[Window], usize), total: usize, grid: Grid) {
        let samples = windows.iter().map(|window| window.len() + left_out);
        self.context.counters.looked_at(grid, total + left_out * windows.len(), || samples.enumerate());
    }

    /// The windows that are looked at: their ends and their length.
    fn reach(&self) -> (Grid, i64) {
        let lookback_ms = self.context.lookback_ms;
        let back = self.range_ms.saturating_add(lookback_ms);
        match self.edges {
            Edges::Inside => (self.ends, self.range_ms),
            Edges::Anchored => (self.ends, back),
            Edges::Smoothed => {
                let start = self.ends.start.saturating_add(lookback_ms);
                (Grid { start, ..self.ends }, back.saturating_add(lookback_ms))
            }
        }
    }

    /// Narrows the windows of an anchored range to what functions that compare neighbours look at.
    fn narrow_to_anchor(&self, scratch: &mut Scratch) {
        let Scratch { columns, windows, windows_of, native_windows, .. } = scratch;
        windows_of.forget();
        let starts = self.ends.times().map(|end| end.saturating_sub(self.range_ms));
        let times = (columns.floats().times, columns.natives().times);
        narrow_to_anchor(times, starts, windows, native_windows);
    }

    /// The points of an anchored or smoothed range as a value of its own.
    pub(crate) fn extended_points(&self, scratch: &Scratch) -> Result<(Vec<i64>, Vec<f64>), QueryError> {
        if scratch.native_windows.first().is_some_and(|window| !window.is_empty()) {
            let word = if self.edges == Edges::Anchored { "anchored" } else { "smoothed" };
            return Err(QueryError::execution(format!("{word} modifier is not supported with histograms")));
        }
        let window = scratch.windows.first().copied().unwrap_or_default();
        let range = (self.ends.start.saturating_sub(self.range_ms), self.ends.start);
        Ok(extended_points(scratch.columns.floats(), window, range, self.edges))
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
    let samples = RangeSamples::new(context, &plan.range, grid)?.sparing_for(plan.function);
    let mut series = samples.series();
    let one_name = samples.one_name();
    let names = match plan.function {
        RangeFunction::Rate | RangeFunction::Increase => {
            CounterNames::of(&series, context.type_and_unit_labels)
        }
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
        return super::same::refuse_same(context, vector).map_err(|e| e.at(plan.span));
    }
    Ok(vector)
}

impl Rows for RangeRows<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        self.samples.load(index, scratch)?;
        if self.samples.edges == Edges::Anchored
            && matches!(self.function, RangeFunction::Changes | RangeFunction::Resets)
        {
            self.samples.narrow_to_anchor(scratch);
        }
        let context = self.samples.context;
        if !scratch.native_windows.is_empty() {
            self.fill_native(index, scratch, out)?;
            let counts = native_range::looked_at(scratch);
            context.counters.looked_at(self.grid, counts.iter().sum(), || counts.into_iter().enumerate());
            return Ok(());
        }
        let Scratch { columns, windows, windows_of, work, pulse, .. } = scratch;
        let call = self.call(columns, windows, windows_of.known());
        kernel::run(self.function, &call, work, pulse, out)?;
        self.samples.count((windows, columns.left_out()), call.total(), self.grid);
        self.note_overlap(index, work);
        self.note_floats(index, out);
        Ok(())
    }

    fn may_note(&self) -> bool {
        use RangeFunction::*;
        !matches!(self.function, Changes | Count | First | Last | Present | Resets | TsOfFirst | TsOfLast)
            || self.samples.may_note()
    }
}

impl RangeRows<'_> {
    fn call<'a>(
        &'a self,
        columns: &'a Columns,
        windows: &'a [Window],
        known: Option<Known>,
    ) -> kernel::Call<'a> {
        kernel::Call {
            samples: columns.floats(),
            gaps: columns.gaps(),
            left_out: columns.left_out(),
            windows,
            known,
            ends: self.samples.ends,
            range_ms: self.samples.range_ms,
            edges: self.samples.edges,
            grid: self.grid,
            params: &self.params,
        }
    }

    /// The same for a series that has native histograms.
    fn fill_native(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        let Scratch { columns, windows, windows_of, native_windows, work, pulse, .. } = scratch;
        let native = NativeRange {
            context: self.samples.context,
            function: self.function,
            floats: self.call(columns, windows, windows_of.known()),
            natives: columns.natives(),
            native_windows,
            metric: &self.samples.metric_name(index),
            span: self.plan.span,
            call: self.plan.call,
        };
        native.run(work, pulse, out)?;
        self.note_overlap(index, work);
        if out.has_floats() {
            self.note_floats(index, out);
        }
        Ok(())
    }

    /// Windows had a start timestamp before the sample that precedes its own.
    fn note_overlap(&self, index: usize, work: &mut kernel::Work) {
        let windows = std::mem::take(&mut work.start_overlaps);
        if windows > 0 {
            let note = Note::StartOverlap(self.samples.metric_name(index));
            self.samples.context.notes.counted(note, self.plan.span, index, windows);
        }
    }

    /// What there is to say about a result of floats.
    fn note_floats(&self, index: usize, out: &Row) {
        let notes = &self.samples.context.notes;
        if let Some((name, kind)) = self.names.doubtful(index)
            && out.valid.any()
        {
            let note = match kind {
                None => Note::PossibleNonCounter(name.to_owned()),
                Some(kind) => Note::PossibleNonCounterType(kind.to_owned(), name.to_owned()),
            };
            notes.add_of_argument(note, self.plan.span, self.plan.call);
            self.names.set_noted(index);
        }
        if self.function == RangeFunction::Quantile {
            self.note_quantiles(out);
        }
    }

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
                self.samples.context.notes.add_of_argument(note, self.plan.span, self.plan.call);
            }
        }
    }
}

/// Which series have names, or types, that no counter should have. Each is noted once.
#[derive(Default)]
struct CounterNames {
    /// For each series an index into `doubts`; empty when all names are fine.
    of_series: Vec<Option<u32>>,
    doubts: Vec<Doubt>,
}

struct Doubt {
    name: String,
    /// The type, where types decide.
    kind: Option<String>,
    noted: AtomicBool,
}

impl CounterNames {
    /// Types decide where series carry them (upstream: `type-and-unit-labels`).
    fn of(series: &[Series], typed: bool) -> CounterNames {
        let mut numbers: HashMap<(String, Option<String>), u32> = HashMap::new();
        let mut found = CounterNames::default();
        let mut last: (String, Option<String>, Option<u32>) = (String::new(), None, None);
        let mut any = false;
        for series in series {
            let name = series.metric_name();
            let kind = typed.then(|| series.get("__type__").unwrap_or(""));
            if (name, kind) != (last.0.as_str(), last.1.as_deref()) {
                let doubtful = match kind {
                    Some(kind) => !["counter", "histogram"].contains(&kind),
                    None => !["_total", "_sum", "_count", "_bucket"].iter().any(|s| name.ends_with(s)),
                };
                let key = (name.to_owned(), kind.map(str::to_owned));
                let number = (doubtful && !name.is_empty()).then(|| {
                    *numbers.entry(key.clone()).or_insert_with(|| {
                        let (name, kind) = key.clone();
                        found.doubts.push(Doubt { name, kind, noted: AtomicBool::new(false) });
                        found.doubts.len() as u32 - 1
                    })
                });
                last = (key.0, key.1, number);
            }
            any |= last.2.is_some();
            found.of_series.push(last.2);
        }
        if !any {
            found.of_series = Vec::new();
        }
        found
    }

    /// Name and type of a series if there is doubt that was not given out before.
    fn doubtful(&self, index: usize) -> Option<(&str, Option<&str>)> {
        let number = self.of_series.get(index).copied().flatten()?;
        let doubt = &self.doubts[number as usize];
        (!doubt.noted.load(Ordering::Relaxed)).then_some((doubt.name.as_str(), doubt.kind.as_deref()))
    }

    /// Two workers may both come here; the note is one all the same.
    fn set_noted(&self, index: usize) {
        if let Some(number) = self.of_series.get(index).copied().flatten() {
            self.doubts[number as usize].noted.store(true, Ordering::Relaxed);
        }
    }
}

//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`, of classic and of native histograms; and the functions
//! of native histograms alone.
//!
//! Series with buckets are grouped by all labels but `le` and sorted by bound once; then one walk over the columns. Other series
//! are native histograms or nothing: their rows are needed to tell, so they become numbers at once. A native histogram and
//! buckets under the same labels at a step leave nothing.

use kymo_model::{FloatHistogram, Labels, METRIC_NAME, format_openmetrics_float, parse_float};
use kymo_promql_syntax::ast::Span;

use super::buckets;
use super::classic::{self, Bucket, Repaired};
use super::map::drop_names;
use super::same::same_labelset;
use crate::QueryError;
use crate::bits::Bits;
use crate::context::Context;
use crate::grid::Grid;
use crate::grouping::{Key, Numbering};
use crate::native::{self, NanObservations};
use crate::notes::{Note, Repair};
use crate::plan::{HistogramFunction, HistogramPlan, Measure, VectorPlan};
use crate::row::{Block, Row, Rows};
use crate::scalar::Scalar;
use crate::vector::{Name, Scratch, Series, Vector};

const LE: &str = "le";

/// One number of each native histogram; floats are left out.
pub(super) fn measure<'q>(
    context: &'q Context,
    measure: Measure,
    input: &'q VectorPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let of: fn(&FloatHistogram) -> f64 = match measure {
        Measure::Average => native::average,
        Measure::Count => |h| h.count,
        Measure::Deviation => native::deviation,
        Measure::Sum => |h| h.sum,
        Measure::Variance => native::variance,
    };
    let Vector { series, rows, one_name } = super::vector(context, input, grid)?;
    let rows = Box::new(Measured { rows, of });
    if context.delayed_name_removal {
        let series = series.into_iter().map(|series| series.with_name(Name::DropAtEnd)).collect();
        return Ok(Vector { series, rows, one_name });
    }
    // Other functions drop type and unit with the name.
    let nameless = |series: Series| series.relabelled(series.labels().without(|name| name == METRIC_NAME));
    let series = series.into_iter().map(nameless).collect();
    super::merge_same(context, Vector { series, rows, one_name })
}

struct Measured<'q> {
    rows: Box<dyn Rows + 'q>,
    of: fn(&FloatHistogram) -> f64,
}

impl Rows for Measured<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        self.rows.fill(index, scratch, out)?;
        out.measure_histograms(self.of);
        Ok(())
    }

    fn may_note(&self) -> bool {
        self.rows.may_note()
    }
}

pub(super) fn histogram<'q>(
    context: &'q Context,
    plan: &'q HistogramPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let params =
        plan.params.iter().map(|p| super::scalar(context, p, grid)).collect::<Result<Vec<_>, _>>()?;
    if plan.function != HistogramFunction::Fraction {
        for (param, span) in params.iter().zip(&plan.param_spans) {
            for q in param.iter(grid.steps).filter(|q| !(0.0..=1.0).contains(q)) {
                let part = Span {
                    start: span.start.min(plan.input_span.start),
                    end: plan.input_span.end.max(span.end),
                };
                context.notes.add_after(Note::InvalidQuantile(q.into()), *span, part);
            }
        }
    }
    let input = super::vector(context, &plan.input, grid)?;
    let one_name = input.one_name;
    let function = Function { context, kind: plan.function, params, grid, span: plan.input_span };
    let histograms = Histograms::of(function, input)?;
    let vector = match &plan.quantile_label {
        Some(label) => histograms.several(label)?,
        None => histograms.into_vector(one_name),
    };
    drop_names(context, vector)
}

/// What is computed from each histogram.
struct Function<'q> {
    context: &'q Context,
    kind: HistogramFunction,
    params: Vec<Scalar>,
    grid: Grid,
    /// The place that notes about histograms name.
    span: Span,
}

impl Function<'_> {
    /// Of a native histogram; `param` says by which quantile.
    fn of_native(&self, param: usize, step: usize, histogram: &FloatHistogram, metric: &str) -> f64 {
        let metric = || if self.context.delayed_name_removal { metric.to_owned() } else { String::new() };
        if self.kind == HistogramFunction::Fraction {
            let (value, of_nans) =
                native::fraction(self.params[0].at(step), self.params[1].at(step), histogram);
            if of_nans {
                self.context.notes.add(Note::FractionOfNans(metric()), self.span);
            }
            return value;
        }
        let (value, nans) = native::quantile(self.params[param].at(step), histogram);
        match nans {
            Some(NanObservations::Result) => {
                self.context.notes.add(Note::QuantileIsNan(metric()), self.span);
            }
            Some(NanObservations::Skew) => {
                self.context.notes.add(Note::QuantileIsSkewed(metric()), self.span);
            }
            None => {}
        }
        value
    }

    /// Of the buckets of a classic histogram, sorted by bound.
    fn of_buckets(
        &self,
        (result, param): (usize, usize),
        step: usize,
        buckets: &mut [Bucket],
        metric: &str,
    ) -> f64 {
        if self.kind == HistogramFunction::Fraction {
            return classic::fraction(self.params[0].at(step), self.params[1].at(step), buckets);
        }
        let (value, repaired) = classic::quantile(self.params[param].at(step), buckets);
        if let Some(repaired) = repaired {
            self.note_repair((result, param), step, repaired, metric);
        }
        value
    }

    fn note_repair(&self, which: (usize, usize), step: usize, repaired: Repaired, metric: &str) {
        let metric = if self.context.delayed_name_removal { metric } else { "" };
        let at = self.grid.time(step);
        let repair = Repair {
            bucket_min: repaired.bucket_min,
            bucket_max: repaired.bucket_max,
            diff_max: repaired.diff_max,
            from_ms: at,
            to_ms: at,
        };
        self.context.notes.repaired(metric, self.span, (step, self.grid.steps), which, repair);
    }
}

/// The histograms of a vector.
struct Histograms<'q> {
    function: Function<'q>,
    input: Vector<'q>,
    classic: Vec<Classic>,
    native: Vec<Native>,
    /// For each series of the result the native histogram and the buckets it is computed from.
    results: Vec<(Option<u32>, Option<u32>)>,
    series: Vec<Series>,
}

/// A classic histogram: its bounds, ascending, and the series that count them.
struct Classic {
    buckets: Vec<(f64, u32)>,
    /// The steps at which a native histogram is in the way.
    blocked: Option<Bits>,
}

/// A series of native histograms. Its row has none at steps at which buckets are in the way.
struct Native {
    row: Row,
}

/// The upper bound of a bucket, which is a number.
fn bound(le: &str) -> Option<f64> {
    parse_float(le).ok().filter(|bound| !bound.is_nan())
}

impl<'q> Histograms<'q> {
    fn of(function: Function<'q>, input: Vector<'q>) -> Result<Histograms<'q>, QueryError> {
        let mut numbering = Numbering::new(Key::without_exactly(&[LE.to_owned()]));
        let mut classic: Vec<Classic> = Vec::new();
        let mut of_classic: Vec<Series> = Vec::new();
        let mut others: Vec<usize> = Vec::new();
        for (at, one) in input.series.iter().enumerate() {
            function.context.check_now_and_then(at)?;
            let Some(bound) = bound(one.get(LE).unwrap_or("")) else {
                others.push(at);
                continue;
            };
            if function.context.native_buckets.expected() {
                others.push(at);
            }
            let number = numbering.number(one) as usize;
            if number == classic.len() {
                classic.push(Classic { buckets: Vec::new(), blocked: None });
                of_classic.push(one.relabelled(one.labels().without(|name| name == LE)));
            }
            classic[number].buckets.push((bound, at as u32));
        }
        classic.iter_mut().for_each(|one| one.buckets.sort_by(|a, b| a.0.total_cmp(&b.0)));
        let mut found = Histograms {
            function,
            input,
            classic,
            native: Vec::new(),
            results: Vec::new(),
            series: Vec::new(),
        };
        let mut taken = vec![false; of_classic.len()];
        for (at, row) in found.native_rows(&others)? {
            if let Some(number) = found.add_native(at, row, &mut numbering)? {
                taken[number as usize] = true;
            }
        }
        for (number, series) in of_classic.into_iter().enumerate().filter(|(number, _)| !taken[*number]) {
            found.results.push((None, Some(number as u32)));
            found.series.push(series);
        }
        Ok(found)
    }

    /// The rows of native histograms of series that are no buckets, or may be more than one.
    fn native_rows(&self, others: &[usize]) -> Result<Vec<(usize, Row)>, QueryError> {
        let context = self.function.context;
        let compute = |at: usize, scratch: &mut Scratch, row: &mut Row| {
            let series = &self.input.series[others[at]];
            self.input.fill(others[at], scratch, row)?;
            let le = series.get(LE).unwrap_or("");
            if row.has_floats() && bound(le).is_none() {
                let metric = if context.delayed_name_removal { series.metric_name() } else { "" };
                let note = Note::BadBucketLabel(metric.to_owned(), le.to_owned());
                context.notes.add(note, self.function.span);
            }
            row.histograms_only();
            Ok(())
        };
        let mut rows = Vec::new();
        context.in_order(others.len(), self.function.grid.steps, compute, |at, row| {
            if row.valid.any() {
                rows.push((others[at], std::mem::take(row)));
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Adds a series of native histograms. The number of the classic histogram that has its labels.
    fn add_native(
        &mut self,
        at: usize,
        mut row: Row,
        numbering: &mut Numbering,
    ) -> Result<Option<u32>, QueryError> {
        let context = self.function.context;
        let series = self.input.series[at].clone();
        let le = series.get(LE).unwrap_or("");
        let number = if le.is_empty() { numbering.find(&series) } else { None };
        if let Some(number) = number {
            self.block(number, &series, &mut row, &mut context.scratch())?;
        }
        self.results.push((Some(self.native.len() as u32), number));
        self.series.push(series);
        self.native.push(Native { row });
        Ok(number)
    }

    /// Takes out the steps at which there are buckets as well.
    fn block(
        &mut self,
        number: u32,
        series: &Series,
        row: &mut Row,
        scratch: &mut Scratch,
    ) -> Result<(), QueryError> {
        let mut blocked = Bits::zeros(row.values.len());
        let mut bucket = Row::default();
        for (_, member) in &self.classic[number as usize].buckets {
            self.input.fill(*member as usize, scratch, &mut bucket)?;
            bucket.floats_only();
            blocked.or(&bucket.valid);
        }
        blocked.and(&row.valid);
        if blocked.any() {
            row.valid.and_not(&blocked);
            let context = self.function.context;
            let metric = if context.delayed_name_removal { series.metric_name() } else { "" };
            context.notes.add(Note::ClassicAndNative(metric.to_owned()), self.function.span);
            self.classic[number as usize].blocked = Some(blocked);
        }
        Ok(())
    }

    fn into_vector(mut self, one_name: bool) -> Vector<'q> {
        let series = std::mem::take(&mut self.series);
        let names = series.iter().map(|s| s.metric_name().to_owned()).collect();
        Vector { series, rows: Box::new(HistogramRows { histograms: self, names }), one_name }
    }

    /// The buckets of a classic histogram as rows.
    fn bucket_rows(&self, classic: &Classic, scratch: &mut Scratch) -> Result<Block, QueryError> {
        let context = self.function.context;
        let steps = self.function.grid.steps;
        let mut rows = Block::with_room(classic.buckets.len(), steps, &scratch.budget)?;
        let mut row = scratch.take_row();
        for (_, series) in &classic.buckets {
            self.input.fill(*series as usize, scratch, &mut row)?;
            if !row.histograms.is_empty() && row.floats_only() && !context.native_buckets.expected() {
                return Err(context.native_buckets.expect());
            }
            if let Some(blocked) = &classic.blocked {
                row.valid.and_not(blocked);
            }
            rows.push(&row)?;
        }
        scratch.give_back(row);
        scratch.pulse.tick(classic.buckets.len() * steps)?;
        Ok(rows)
    }

    /// Calls `found` with a result at each step at which there is one: by step and parameter.
    fn each(
        &self,
        result: usize,
        metric: &str,
        scratch: &mut Scratch,
        mut found: impl FnMut(usize, usize, f64) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let function = &self.function;
        let params = if function.kind == HistogramFunction::Fraction { 1 } else { function.params.len() };
        let (native, classic) = self.results[result];
        if let Some(native) = native {
            let row = &self.native[native as usize].row;
            for step in row.valid.iter() {
                let Some(histogram) = row.histograms.get(step) else { continue };
                scratch.pulse.tick(64)?;
                for param in 0..params {
                    found(step, param, function.of_native(param, step, histogram, metric))?;
                }
            }
        }
        let Some(classic) = classic else { return Ok(()) };
        let classic = &self.classic[classic as usize];
        let rows = self.bucket_rows(classic, scratch)?;
        let mut gathered = Vec::with_capacity(classic.buckets.len());
        // Where every bucket has a count at every step, which is usual, no step needs to look at which ones do.
        let full: Option<Vec<(f64, &[f64])>> = classic
            .buckets
            .iter()
            .enumerate()
            .map(|(at, (bound, _))| rows.is_full(at).then(|| (*bound, rows.values(at))))
            .collect();
        if let (Some(full), HistogramFunction::Quantile, [Scalar::Constant(q)]) =
            (&full, function.kind, function.params.as_slice())
        {
            let answered = buckets::quantiles(*q, full, |step, value| match value {
                Some(value) => found(step, 0, value),
                None => {
                    let counts = full.iter().map(|(bound, counts)| (*bound, counts[step]));
                    gathered.clear();
                    gathered.extend(counts.map(|(bound, count)| Bucket { bound, count }));
                    found(step, 0, function.of_buckets((result, 0), step, &mut gathered, metric))
                }
            })?;
            if answered {
                return Ok(());
            }
        }
        for step in 0..function.grid.steps {
            gathered.clear();
            match &full {
                Some(full) => {
                    gathered.extend(
                        full.iter().map(|(bound, counts)| Bucket { bound: *bound, count: counts[step] }),
                    );
                }
                None => gathered.extend(classic.buckets.iter().enumerate().filter_map(|(at, (bound, _))| {
                    rows.get(at, step).map(|count| Bucket { bound: *bound, count })
                })),
            }
            if gathered.is_empty() {
                continue;
            }
            for param in 0..params {
                found(step, param, function.of_buckets((result, param), step, &mut gathered, metric))?;
            }
        }
        Ok(())
    }

    /// `histogram_quantiles`: a series for each histogram and quantile, which becomes a label. All are computed at once, so that
    /// buckets are read only once.
    fn several(self, label: &str) -> Result<Vector<'q>, QueryError> {
        let context = self.function.context;
        let grid = self.function.grid;
        let mut out = Block::new(grid.steps, &context.budget);
        let mut series = Vec::new();
        let mut scratch = context.scratch();
        // Upstream finds equal series of a single step only at the end of the query, if they are still equal then.
        let unchecked = context.delayed_name_removal && grid.steps == 1;
        for (result, one) in self.series.iter().enumerate() {
            // A quantile may change from step to step, and with it the series.
            let mut rows: Vec<(Labels, Row)> = Vec::new();
            self.each(result, one.metric_name(), &mut scratch, |step, param, value| {
                let q = format_openmetrics_float(self.function.params[param].at(step));
                let known = rows.iter().position(|(labels, _)| labels.get(label) == Some(q.as_str()));
                let known = known.filter(|_| !unchecked);
                let at = known.unwrap_or_else(|| {
                    let mut row = Row::default();
                    row.reset(grid.steps);
                    rows.push((one.builder().set(label, &q).build(), row));
                    rows.len() - 1
                });
                let row = &mut rows[at].1;
                if row.valid.get(step) {
                    return Err(same_labelset());
                }
                row.set(step, value);
                Ok(())
            })?;
            for (labels, row) in rows {
                out.push(&row)?;
                series.push(one.relabelled(labels));
            }
        }
        let vector = Vector { series, rows: Box::new(out), one_name: false };
        if unchecked { Ok(vector) } else { super::merge_same(context, vector) }
    }
}

struct HistogramRows<'q> {
    histograms: Histograms<'q>,
    names: Vec<String>,
}

impl Rows for HistogramRows<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        out.reset(self.histograms.function.grid.steps);
        self.histograms.each(index, &self.names[index], scratch, |step, _, value| {
            out.set(step, value);
            Ok(())
        })
    }
}

//! `histogram_quantile` and `histogram_fraction` of classic buckets: series grouped by all labels but `le`, bounds sorted
//! once per group, then one walk over the columns.

use std::cmp::Ordering;

use kymo_model::{FloatHistogram, parse_float};
use kymo_promql_syntax::ast::Span;

use super::map::{drop_names, mapped_rows};
use crate::QueryError;
use crate::context::Context;
use crate::grid::Grid;
use crate::grouping::{Key, Numbering};
use crate::notes::{Note, Repair};
use crate::plan::{HistogramFunction, HistogramPlan, Measure, VectorPlan};
use crate::row::{Block, Row, Rows};
use crate::scalar::Scalar;
use crate::vector::{Scratch, Series, Vector};

const LE: &str = "le";
/// Relative differences of neighbouring buckets up to this are taken for rounding.
const TOLERANCE: f64 = 1e-12;

pub(super) fn histogram<'q>(
    context: &'q Context,
    plan: &'q HistogramPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let params =
        plan.params.iter().map(|p| super::scalar(context, p, grid)).collect::<Result<Vec<_>, _>>()?;
    if plan.function == HistogramFunction::Quantile {
        for q in params[0].iter(grid.steps).filter(|q| !(0.0..=1.0).contains(q)) {
            context.notes.add(Note::InvalidQuantile(q.into()), plan.first_span);
        }
    }
    let input = super::vector(context, &plan.input, grid)?;
    let mut numbering = Numbering::new(Key::without_exactly(&[LE.to_owned()]));
    let mut groups: Vec<Vec<(f64, u32)>> = Vec::new();
    let mut series: Vec<Series> = Vec::new();
    let mut unreadable = Vec::new();
    for (at, one) in input.series.iter().enumerate() {
        let Ok(bound) = parse_float(one.get(LE).unwrap_or("")) else {
            unreadable.push(at);
            continue;
        };
        let number = numbering.number(one) as usize;
        if number == groups.len() {
            groups.push(Vec::new());
            series.push(one.relabelled(one.labels().without(|name| name == LE)));
        }
        groups[number].push((bound, at as u32));
    }
    note_unreadable(context, &input, &unreadable, plan.input_span)?;
    groups.iter_mut().for_each(|buckets| buckets.sort_by(|a, b| a.0.total_cmp(&b.0)));
    let names = series.iter().map(|s| s.metric_name().to_owned()).collect();
    let rows = Buckets {
        context,
        input: input.rows,
        groups,
        names,
        function: plan.function,
        params,
        grid,
        span: plan.input_span,
    };
    drop_names(context, Vector { series, rows: Box::new(rows), one_name: input.one_name })
}

/// One number of each native histogram; floats are left out.
pub(super) fn measure<'q>(
    context: &'q Context,
    measure: Measure,
    input: &'q VectorPlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let of: fn(&FloatHistogram) -> f64 = match measure {
        Measure::Average => |h| h.sum / h.count,
        Measure::Count => |h| h.count,
        Measure::Sum => |h| h.sum,
    };
    let input = super::vector(context, input, grid)?;
    mapped_rows(context, input, move |row| row.measure_histograms(of))
}

/// Series whose `le` is no number are left out, and named if they have values.
fn note_unreadable(
    context: &Context,
    input: &Vector<'_>,
    series: &[usize],
    span: Span,
) -> Result<(), QueryError> {
    let (mut scratch, mut row) = (context.scratch(), Row::default());
    for at in series {
        input.fill(*at, &mut scratch, &mut row)?;
        if row.valid.any() {
            let one = &input.series[*at];
            let metric = if context.delayed_name_removal { one.metric_name() } else { "" };
            let note = Note::BadBucketLabel(metric.to_owned(), one.get(LE).unwrap_or("").to_owned());
            context.notes.add(note, span);
        }
    }
    Ok(())
}

struct Buckets<'q> {
    context: &'q Context,
    input: Box<dyn Rows + 'q>,
    /// For each histogram its bounds, ascending, and the series that count them.
    groups: Vec<Vec<(f64, u32)>>,
    names: Vec<String>,
    function: HistogramFunction,
    params: Vec<Scalar>,
    grid: Grid,
    span: Span,
}

/// A bucket at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    bound: f64,
    /// Of all observations up to the bound.
    count: f64,
}

impl Rows for Buckets<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        let group = &self.groups[index];
        let mut rows = Block::new(self.grid.steps, &self.context.budget);
        let mut row = scratch.take_row();
        for (_, series) in group {
            self.input.fill(*series as usize, scratch, &mut row)?;
            row.floats_only();
            rows.push(&row)?;
        }
        scratch.give_back(row);
        scratch.pulse.tick(group.len() * self.grid.steps)?;
        out.reset(self.grid.steps);
        let mut buckets = Vec::with_capacity(group.len());
        for step in 0..self.grid.steps {
            buckets.clear();
            let present = group.iter().enumerate();
            buckets.extend(present.filter_map(|(at, (bound, _))| {
                rows.get(at, step).map(|count| Bucket { bound: *bound, count })
            }));
            if buckets.is_empty() {
                continue;
            }
            let value = match self.function {
                HistogramFunction::Quantile => {
                    let (value, repaired) = quantile(self.params[0].at(step), &mut buckets);
                    if let Some(repaired) = repaired {
                        self.note_repair(index, step, repaired);
                    }
                    value
                }
                HistogramFunction::Fraction => {
                    fraction(self.params[0].at(step), self.params[1].at(step), &mut buckets)
                }
            };
            out.set(step, value);
        }
        Ok(())
    }
}

impl Buckets<'_> {
    fn note_repair(&self, index: usize, step: usize, repaired: Repaired) {
        let metric = if self.context.delayed_name_removal { self.names[index].as_str() } else { "" };
        let at = self.grid.time(step);
        let repair = Repair {
            bucket_min: repaired.bucket_min,
            bucket_max: repaired.bucket_max,
            diff_max: repaired.diff_max,
            from_ms: at,
            to_ms: at,
        };
        self.context.notes.repaired(metric, self.span, repair);
    }
}

/// What had to be done to make counts grow with their bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Repaired {
    bucket_min: f64,
    bucket_max: f64,
    diff_max: f64,
}

/// The value below which the fraction `q` of the observations lies. Buckets are sorted by bound.
fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Repaired>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return (f64::NAN, None);
    }
    coalesce(buckets);
    let repaired = repair(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, repaired);
    }
    let mut rank = q * observations;
    let at =
        buckets[..last].partition_point(|bucket| bucket.count.partial_cmp(&rank).is_none_or(Ordering::is_lt));
    if at == last {
        return (buckets[last - 1].bound, repaired);
    }
    if at == 0 && buckets[0].bound <= 0.0 {
        return (buckets[0].bound, repaired);
    }
    let (mut start, end, mut count) = (0.0, buckets[at].bound, buckets[at].count);
    if let Some(below) = at.checked_sub(1) {
        start = buckets[below].bound;
        count -= buckets[below].count;
        rank -= buckets[below].count;
    }
    (start + (end - start) * (rank / count), repaired)
}

/// Which fraction of the observations lies between two values.
fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return f64::NAN;
    }
    coalesce(buckets);
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let below = |value: f64| rank_of(value, buckets).filter(|rank| *rank <= count).unwrap_or(count);
    (below(upper) - below(lower)) / count
}

/// How many observations lie below a value, interpolated; `None` past the last bucket.
fn rank_of(value: f64, buckets: &[Bucket]) -> Option<f64> {
    let mut start = if buckets[0].bound <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let mut rank = 0.0;
    for bucket in buckets {
        if start >= value {
            return Some(rank);
        }
        if bucket.bound > value {
            if start == f64::NEG_INFINITY {
                return Some(bucket.count);
            }
            return Some(rank + (bucket.count - rank) * (value - start) / (bucket.bound - start));
        }
        rank = bucket.count;
        start = bucket.bound;
    }
    None
}

/// Adds up buckets with the same bound.
fn coalesce(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|later, earlier| {
        let same = later.bound == earlier.bound;
        if same {
            earlier.count += later.count;
        }
        same
    });
}

/// Ignores differences that are rounding, removes any other decrease.
fn repair(buckets: &mut [Bucket]) -> Option<Repaired> {
    let mut repaired: Option<Repaired> = None;
    let (first, rest) = buckets.split_first_mut()?;
    let mut before = first.count;
    for bucket in rest {
        let count = bucket.count;
        if count == before {
            continue;
        }
        if nearly_equal(before, count) {
            bucket.count = before;
        } else if count < before {
            bucket.count = before;
            let known = repaired.get_or_insert(Repaired {
                bucket_min: f64::INFINITY,
                bucket_max: f64::NEG_INFINITY,
                diff_max: 0.0,
            });
            known.bucket_min = known.bucket_min.min(bucket.bound);
            known.bucket_max = known.bucket_max.max(bucket.bound);
            known.diff_max = known.diff_max.max(before - count);
        } else {
            before = count;
        }
    }
    repaired
}

fn nearly_equal(a: f64, b: f64) -> bool {
    if a.is_nan() && b.is_nan() {
        return true;
    }
    let sum = a.abs() + b.abs();
    let diff = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return diff < TOLERANCE * f64::MIN_POSITIVE;
    }
    diff / sum.min(f64::MAX) < TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect()
    }

    #[test]
    fn quantiles() {
        let plain = [(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 20.0)];
        let check = |q, pairs: &[(f64, f64)], expected: f64| {
            let (value, _) = quantile(q, &mut buckets(pairs));
            assert!(value == expected || (value.is_nan() && expected.is_nan()), "{q} {pairs:?}: {value}");
        };
        check(0.5, &plain, 1.0);
        check(0.75, &plain, 1.5);
        check(1.0, &plain, 2.0);
        check(-1.0, &plain, f64::NEG_INFINITY);
        check(2.0, &plain, f64::INFINITY);
        check(f64::NAN, &plain, f64::NAN);
        check(0.5, &plain[..2], f64::NAN);
        check(0.5, &[(f64::INFINITY, 1.0)], f64::NAN);
        check(0.5, &[(1.0, 0.0), (f64::INFINITY, 0.0)], f64::NAN);
        check(0.1, &[(-1.0, 5.0), (f64::INFINITY, 10.0)], -1.0);
        check(0.9, &[(1.0, 5.0), (f64::INFINITY, 10.0)], 1.0);
        check(0.5, &[(1.0, 5.0), (1.0, 5.0), (f64::INFINITY, 10.0)], 0.5);
    }

    #[test]
    fn decreases_are_removed_and_reported() {
        let mut wrong = buckets(&[(1.0, 10.0), (2.0, 5.0), (3.0, 9.0), (f64::INFINITY, 12.0)]);
        let (_, repaired) = quantile(0.5, &mut wrong);
        assert_eq!(repaired, Some(Repaired { bucket_min: 2.0, bucket_max: 3.0, diff_max: 5.0 }));
        let mut rounding = buckets(&[(1.0, 10.0), (2.0, 10.0 - 1e-12), (f64::INFINITY, 12.0)]);
        assert_eq!(quantile(0.5, &mut rounding).1, None);
    }

    #[test]
    fn fractions() {
        let plain = [(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 40.0)];
        for (lower, upper, expected) in
            [(0.0, 1.0, 0.25), (0.5, 1.5, 0.25), (1.0, f64::INFINITY, 0.75), (3.0, 2.0, 0.0)]
        {
            assert_eq!(fraction(lower, upper, &mut buckets(&plain)), expected);
        }
    }
}

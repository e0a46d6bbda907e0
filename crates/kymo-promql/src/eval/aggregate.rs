//! Aggregations that keep one number or little more per group and step: rows are folded in as they come, none is kept.
//!
//! Memory is groups × steps. Native histograms are in `native_groups`; rows of floats alone never go there.
//!  Series are added in their order, so sums agree with upstream's to the bit.

use super::native_groups::{Histograms, NativeGroups};
use super::{top, values};
use crate::QueryError;
use crate::bits::{iter_words, words_of};
use crate::context::Context;
use crate::grid::Grid;
use crate::grouping::{Groups, Key};
use crate::kernel::{Mean, Sum};
use crate::plan::{AggregateOp, AggregatePlan};
use crate::row::{Block, Point, Row};
use crate::scalar::Scalar;
use crate::vector::{Name, Series, Vector};

/// What an aggregation works on.
pub(super) struct Input<'q> {
    pub(super) context: &'q Context,
    pub(super) vector: Vector<'q>,
    pub(super) grid: Grid,
    pub(super) groups: Groups,
    pub(super) plan: &'q AggregatePlan,
}

pub(super) fn key(plan: &AggregatePlan) -> Key {
    if plan.without { Key::without(&plan.labels) } else { Key::by(&plan.labels) }
}

pub(super) fn aggregate<'q>(
    context: &'q Context,
    plan: &'q AggregatePlan,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let param = match &plan.op {
        AggregateOp::Quantile(p)
        | AggregateOp::Topk(p)
        | AggregateOp::Bottomk(p)
        | AggregateOp::Limitk(p)
        | AggregateOp::LimitRatio(p) => Some(super::scalar(context, p, grid)?),
        _ => None,
    };
    let vector = super::vector(context, &plan.input, grid)?;
    over(context, plan, param, vector, grid)
}

fn over<'q>(
    context: &'q Context,
    plan: &'q AggregatePlan,
    param: Option<Scalar>,
    vector: Vector<'q>,
    grid: Grid,
) -> Result<Vector<'q>, QueryError> {
    let groups = Groups::new(key(plan), &vector.series, context)?;
    let input = Input { context, vector, grid, groups, plan };
    match (&plan.op, param) {
        (AggregateOp::Sum, _) => {
            input.fold(Histograms::Sum, Sum::default(), |sum, v| *sum = sum.add(v), |sum| sum.sum + sum.rest)
        }
        (AggregateOp::Avg, _) => {
            input.fold(Histograms::Mean, None, add_to_mean, |mean| mean.map_or(f64::NAN, |m| m.value()))
        }
        (AggregateOp::Count, _) => {
            input.fold(Histograms::Present, 0.0, |count, _| *count += 1.0, |count| count)
        }
        (AggregateOp::Group, _) => input.fold(Histograms::Present, (), |_, _| (), |_| 1.0),
        (AggregateOp::Min, _) => input.fold(
            Histograms::Ignored("min"),
            f64::NAN,
            |min, v| {
                if *min > v || min.is_nan() {
                    *min = v
                }
            },
            |v| v,
        ),
        (AggregateOp::Max, _) => input.fold(
            Histograms::Ignored("max"),
            f64::NAN,
            |max, v| {
                if *max < v || max.is_nan() {
                    *max = v
                }
            },
            |v| v,
        ),
        (AggregateOp::Stdvar, _) => {
            input.fold(Histograms::Ignored("stdvar"), Spread::default(), Spread::add, |s| s.squares / s.count)
        }
        (AggregateOp::Stddev, _) => {
            input.fold(Histograms::Ignored("stddev"), Spread::default(), Spread::add, |s| {
                (s.squares / s.count).sqrt()
            })
        }
        (AggregateOp::Quantile(_), Some(q)) => values::quantile(input, q),
        (AggregateOp::CountValues(label), _) => values::count_values(input, label),
        (AggregateOp::Topk(_), Some(k)) => top::extremes(input, k, true),
        (AggregateOp::Bottomk(_), Some(k)) => top::extremes(input, k, false),
        (AggregateOp::Limitk(_), Some(k)) => top::limit(input, k),
        (AggregateOp::LimitRatio(_), Some(ratio)) => top::limit_ratio(input, ratio),
        (_, None) => Ok(Vector::empty()),
    }
}

fn add_to_mean(mean: &mut Option<Mean>, value: f64) {
    match mean {
        None => *mean = Some(Mean::of(value)),
        Some(mean) => mean.add(value),
    }
}

/// Welford's variance; a single infinity or NaN makes it NaN.
#[derive(Clone, Copy, Default)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = value;
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }
}

impl<'q> Input<'q> {
    fn fold<T: Copy>(
        self,
        histograms: Histograms,
        empty: T,
        add: impl Fn(&mut T, f64),
        finish: impl Fn(T) -> f64,
    ) -> Result<Vector<'q>, QueryError> {
        let Input { context, vector, grid, groups, plan } = self;
        let (steps, words) = (grid.steps, words_of(grid.steps));
        let cells = groups.len().saturating_mul(steps);
        let _held = context.budget.hold_bytes(cells.saturating_mul(size_of::<T>()))?;
        let mut states = vec![empty; cells];
        let mut valid = vec![0u64; groups.len() * words];
        let mut names = vec![Name::Kept; groups.len()];
        let mut natives = NativeGroups::new(context, plan, histograms, steps);
        let (mut scratch, mut row) = (context.scratch(), Row::default());
        for (at, series) in vector.series.iter().enumerate() {
            vector.fill(at, &mut scratch, &mut row)?;
            natives.filter(&mut row);
            if !row.valid.any() {
                continue;
            }
            let group = groups.of_series[at] as usize;
            if series.name_state() == Name::DropAtEnd {
                names[group] = Name::DropAtEnd;
            }
            let states = &mut states[group * steps..][..steps];
            let valid = &mut valid[group * words..][..words];
            if !row.histograms.is_empty() || !natives.is_empty() {
                let cells = Cells { group, states, valid };
                cells.add_points(&row, &mut natives, series.metric_name(), &add)?;
                continue;
            }
            for ((states, values), (word, seen)) in
                states.chunks_mut(64).zip(row.values.chunks(64)).zip(row.valid.words().iter().zip(valid))
            {
                *seen |= word;
                if word.count_ones() as usize == states.len() {
                    states.iter_mut().zip(values).for_each(|(state, value)| add(state, *value));
                } else {
                    iter_words(&[*word]).for_each(|step| add(&mut states[step], values[step]));
                }
            }
        }
        let mut block = Block::new(steps, &context.budget);
        for group in 0..groups.len() {
            row.reset(steps);
            row.valid.copy_from(&valid[group * words..][..words]);
            row.values
                .iter_mut()
                .zip(&states[group * steps..])
                .for_each(|(value, state)| *value = finish(*state));
            natives.finish(group, &mut row);
            block.push(&row)?;
        }
        let key = key(plan);
        let series = groups.first.iter().zip(names).map(|(first, name)| {
            let labels = vector.series[*first].labels().filtered(|label| key.wants(label));
            Series::new(labels).with_name(name)
        });
        let series = series.collect();
        Ok(Vector { series, rows: Box::new(block), one_name: plan.without || !named(plan) })
    }
}

/// One group at all steps.
struct Cells<'a, T> {
    group: usize,
    states: &'a mut [T],
    /// Where it has floats, or samples of any kind where these are not told apart.
    valid: &'a mut [u64],
}

impl<T> Cells<'_, T> {
    /// Adds a row that has histograms, or that comes after one that had.
    fn add_points(
        self,
        row: &Row,
        natives: &mut NativeGroups<'_>,
        name: &str,
        add: impl Fn(&mut T, f64),
    ) -> Result<(), QueryError> {
        for step in row.valid.iter() {
            let (word, bit) = (&mut self.valid[step / 64], 1 << (step % 64));
            match row.point(step) {
                Some(Point::Histogram(histogram)) if natives.are_summed() => {
                    natives.add((self.group, step), histogram, *word & bit != 0, name)?;
                }
                Some(_) if natives.is_closed(self.group, step) => {}
                Some(Point::Float(value)) => {
                    add(&mut self.states[step], value);
                    *word |= bit;
                }
                Some(Point::Histogram(_)) => {
                    add(&mut self.states[step], 0.0);
                    *word |= bit;
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// Is the metric name among the labels that are kept?
fn named(plan: &AggregatePlan) -> bool {
    plan.labels.iter().any(|label| label == kymo_model::METRIC_NAME)
}

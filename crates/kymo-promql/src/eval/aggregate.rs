//! Aggregations that keep one number or little more per group and step: rows are folded in as they come, none is kept.
//!
//! Memory is groups × steps. Series are added in their order, so sums agree with upstream's to the bit.

use super::{top, values};
use crate::QueryError;
use crate::bits::{iter_words, words_of};
use crate::context::Context;
use crate::grid::Grid;
use crate::grouping::{Groups, Key};
use crate::kernel::{Mean, Sum};
use crate::plan::{AggregateOp, AggregatePlan};
use crate::row::{Block, Row};
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
    let groups = Groups::new(key(plan), &vector.series);
    let input = Input { context, vector, grid, groups, plan };
    match (&plan.op, param) {
        (AggregateOp::Sum, _) => {
            input.fold(Sum::default(), |sum, v| *sum = sum.add(v), |sum| sum.sum + sum.rest)
        }
        (AggregateOp::Avg, _) => input.fold(None, add_to_mean, |mean| mean.map_or(f64::NAN, |m| m.value())),
        (AggregateOp::Count, _) => input.fold(0.0, |count, _| *count += 1.0, |count| count),
        (AggregateOp::Group, _) => input.fold((), |_, _| (), |_| 1.0),
        (AggregateOp::Min, _) => input.fold(
            f64::NAN,
            |min, v| {
                if *min > v || min.is_nan() {
                    *min = v
                }
            },
            |v| v,
        ),
        (AggregateOp::Max, _) => input.fold(
            f64::NAN,
            |max, v| {
                if *max < v || max.is_nan() {
                    *max = v
                }
            },
            |v| v,
        ),
        (AggregateOp::Stdvar, _) => input.fold(Spread::default(), Spread::add, |s| s.squares / s.count),
        (AggregateOp::Stddev, _) => {
            input.fold(Spread::default(), Spread::add, |s| (s.squares / s.count).sqrt())
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
        let (mut scratch, mut row) = (context.scratch(), Row::default());
        for (at, series) in vector.series.iter().enumerate() {
            vector.fill(at, &mut scratch, &mut row)?;
            row.floats_only();
            if !row.valid.any() {
                continue;
            }
            let group = groups.of_series[at] as usize;
            if series.name_state() == Name::DropAtEnd {
                names[group] = Name::DropAtEnd;
            }
            let states = &mut states[group * steps..][..steps];
            for ((states, values), (word, seen)) in states
                .chunks_mut(64)
                .zip(row.values.chunks(64))
                .zip(row.valid.words().iter().zip(&mut valid[group * words..][..words]))
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

/// Is the metric name among the labels that are kept?
fn named(plan: &AggregatePlan) -> bool {
    plan.labels.iter().any(|label| label == kymo_model::METRIC_NAME)
}

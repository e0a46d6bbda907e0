//! Aggregations that keep one number or little more per group and step: rows are folded in as they come, none is kept.
//!
//! Memory is groups × steps. Native histograms are in `native_groups`; rows of floats alone never go there.
//!  Series are added in their order, so sums agree with upstream's to the bit.

use super::instant::InstantInput;
use super::native_groups::{Histograms, NativeGroups};
use super::{by_group, top, values};
use crate::QueryError;
use crate::bits::{iter_words, words_of};
use crate::context::Context;
use crate::grid::Grid;
use crate::grouping::{Groups, Key};
use crate::kernel::{Mean, Sum};
use crate::plan::{AggregateOp, AggregatePlan};
use crate::row::{Block, Point, Row, Rows};
use crate::scalar::Scalar;
use crate::vector::{Name, Scratch, Series, Vector};

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
    if let Some(how) = How::of(&plan.op)
        && let Some(input) = InstantInput::of(context, plan, grid)
    {
        return how.fold(input);
    }
    if let (AggregateOp::Topk(_) | AggregateOp::Bottomk(_), Some(k)) = (&plan.op, &param)
        && let Some(input) = InstantInput::of(context, plan, grid)
    {
        let k = top::counts(k, 1, input.len()).map_err(|e| e.at(plan.param_span))?[0];
        return match k {
            0 => Ok(Vector::empty()),
            k => input.extremes(k as usize, matches!(plan.op, AggregateOp::Topk(_))),
        };
    }
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
    if let Some(how) = How::of(&plan.op) {
        return how.fold(input);
    }
    match (&plan.op, param) {
        (AggregateOp::Quantile(_), Some(q)) => values::quantile(input, q),
        (AggregateOp::CountValues(label), _) => values::count_values(input, label),
        (AggregateOp::Topk(_), Some(k)) => top::extremes(input, k, true),
        (AggregateOp::Bottomk(_), Some(k)) => top::extremes(input, k, false),
        (AggregateOp::Limitk(_), Some(k)) => top::limit(input, k),
        (AggregateOp::LimitRatio(_), Some(ratio)) => top::limit_ratio(input, ratio),
        _ => Ok(Vector::empty()),
    }
}

/// Aggregations that keep one number or little more.
#[derive(Clone, Copy)]
enum How {
    Sum,
    Avg,
    Count,
    Group,
    Min,
    Max,
    Stdvar,
    Stddev,
}

impl How {
    fn of(op: &AggregateOp) -> Option<How> {
        Some(match op {
            AggregateOp::Sum => How::Sum,
            AggregateOp::Avg => How::Avg,
            AggregateOp::Count => How::Count,
            AggregateOp::Group => How::Group,
            AggregateOp::Min => How::Min,
            AggregateOp::Max => How::Max,
            AggregateOp::Stdvar => How::Stdvar,
            AggregateOp::Stddev => How::Stddev,
            _ => return None,
        })
    }

    fn fold<'q>(self, input: impl Foldable<'q>) -> Result<Vector<'q>, QueryError> {
        let ignored = Histograms::Ignored;
        match self {
            How::Sum => {
                let add = |sum: &mut Sum, v| *sum = sum.add(v);
                input.fold(Histograms::Sum, Sum::default(), add, |sum| sum.sum + sum.rest)
            }
            How::Avg => {
                input.fold(Histograms::Mean, None, add_to_mean, |mean| mean.map_or(f64::NAN, |m| m.value()))
            }
            How::Count => input.fold(Histograms::Present, 0.0, |count, _| *count += 1.0, |count| count),
            How::Group => input.fold(Histograms::Present, (), |_, _| (), |_| 1.0),
            How::Min => {
                let add = |min: &mut f64, v| {
                    if *min > v || min.is_nan() {
                        *min = v
                    }
                };
                input.fold(ignored("min"), f64::NAN, add, |v| v)
            }
            How::Max => {
                let add = |max: &mut f64, v| {
                    if *max < v || max.is_nan() {
                        *max = v
                    }
                };
                input.fold(ignored("max"), f64::NAN, add, |v| v)
            }
            How::Stdvar => {
                input.fold(ignored("stdvar"), Spread::default(), Spread::add, |s| s.squares / s.count)
            }
            How::Stddev => {
                let finish = |s: Spread| (s.squares / s.count).sqrt();
                input.fold(ignored("stddev"), Spread::default(), Spread::add, finish)
            }
        }
    }
}

/// What can be added up.
trait Foldable<'q> {
    fn fold<T: Copy + Send + Sync>(
        self,
        histograms: Histograms,
        empty: T,
        add: impl Fn(&mut T, f64) + Send + Sync,
        finish: impl Fn(T) -> f64 + Send + Sync,
    ) -> Result<Vector<'q>, QueryError>;
}

impl<'q> Foldable<'q> for InstantInput<'q> {
    fn fold<T: Copy + Send + Sync>(
        self,
        _: Histograms,
        empty: T,
        add: impl Fn(&mut T, f64) + Send + Sync,
        finish: impl Fn(T) -> f64 + Send + Sync,
    ) -> Result<Vector<'q>, QueryError> {
        // There are none: all samples are floats.
        self.fold_floats(empty, add, finish)
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

impl<'q> Foldable<'q> for Input<'q> {
    fn fold<T: Copy + Send + Sync>(
        self,
        histograms: Histograms,
        empty: T,
        add: impl Fn(&mut T, f64) + Send + Sync,
        finish: impl Fn(T) -> f64 + Send + Sync,
    ) -> Result<Vector<'q>, QueryError> {
        if by_group::is_worth_it(&self) {
            return by_group::fold(self, by_group::Fold { histograms, empty, add, finish });
        }
        let Input { context, vector, grid, groups, plan } = self;
        let (steps, words) = (grid.steps, words_of(grid.steps));
        let cells = groups.len().saturating_mul(steps);
        let _held = context.budget.hold_bytes(cells.saturating_mul(size_of::<T>()))?;
        let mut states = vec![empty; cells];
        let mut valid = vec![0u64; groups.len() * words];
        let mut names = vec![GroupName::default(); groups.len()];
        let mut natives = NativeGroups::new(context, plan, histograms, steps);
        let mut first: Vec<Option<usize>> = vec![None; groups.len()];
        vector.each_row(context, steps, |at, row| {
            if row.valid.any() {
                first[groups.of_series[at] as usize].get_or_insert(at);
            }
            natives.filter(row);
            if !row.valid.any() {
                return Ok(());
            }
            let (series, group) = (&vector.series[at], groups.of_series[at] as usize);
            names[group].see(series, row);
            let states = &mut states[group * steps..][..steps];
            let valid = &mut valid[group * words..][..words];
            Cells { group, states, valid }.add_row(row, &mut natives, series.metric_name(), &add)
        })?;
        let mut row = Row::default();
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
        let names = names.into_iter().map(|name| name.name).collect();
        Ok(by_first(of_groups(plan, &vector, &groups, names, block), &groups.first_with_values(&first)))
    }
}

/// What becomes of the name of a group. As upstream has it, the series of its last step decide: one whose name is to be dropped
/// is enough.
#[derive(Clone, Copy, Default)]
pub(super) struct GroupName {
    pub(super) name: Name,
    step: Option<usize>,
}

impl GroupName {
    pub(super) fn see(&mut self, series: &Series, row: &Row) {
        let step = row.valid.last();
        let drops = series.name_state() == Name::DropAtEnd;
        if step > self.step {
            *self = GroupName { name: Name::Kept, step };
        }
        if drops && step == self.step {
            self.name = Name::DropAtEnd;
        }
    }
}

/// The result: a series for each group.
pub(super) fn of_groups<'q>(
    plan: &AggregatePlan,
    vector: &Vector<'_>,
    groups: &Groups,
    names: Vec<Name>,
    rows: Block,
) -> Vector<'q> {
    let key = key(plan);
    let series = groups.first.iter().zip(names).map(|(first, name)| {
        let labels = vector.series[*first].labels().filtered(|label| key.wants(label));
        Series::new(labels).with_name(name)
    });
    Vector { series: series.collect(), rows: Box::new(rows), one_name: plan.without || !named(plan) }
}

/// Groups in the order of the first series that each has a value of, as upstream knows no others.
pub(super) fn by_first<'q>(vector: Vector<'q>, first: &[usize]) -> Vector<'q> {
    if first.is_sorted() {
        return vector;
    }
    let Vector { series, rows, one_name } = vector;
    let order = order_by_first(first);
    let series = order.iter().map(|group| series[*group].clone()).collect();
    Vector { series, rows: Box::new(Ordered { rows, order }), one_name }
}

/// The groups in the order of their first series.
pub(super) fn order_by_first(first: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..first.len()).collect();
    order.sort_by_key(|group| first[*group]);
    order
}

struct Ordered<'q> {
    rows: Box<dyn Rows + 'q>,
    order: Vec<usize>,
}

impl Rows for Ordered<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        self.rows.fill(self.order[index], scratch, out)
    }

    fn may_note(&self) -> bool {
        self.rows.may_note()
    }
}

/// One group at all steps.
pub(super) struct Cells<'a, T> {
    pub(super) group: usize,
    pub(super) states: &'a mut [T],
    /// Where it has floats, or samples of any kind where these are not told apart.
    pub(super) valid: &'a mut [u64],
}

impl<T> Cells<'_, T> {
    pub(super) fn add_row(
        self,
        row: &Row,
        natives: &mut NativeGroups<'_>,
        name: &str,
        add: impl Fn(&mut T, f64),
    ) -> Result<(), QueryError> {
        if !row.histograms.is_empty() || !natives.is_empty() {
            return self.add_points(row, natives, name, &add);
        }
        let words = row.valid.words().iter().zip(self.valid);
        for ((states, values), (word, seen)) in
            self.states.chunks_mut(64).zip(row.values.chunks(64)).zip(words)
        {
            *seen |= word;
            if word.count_ones() as usize == states.len() {
                states.iter_mut().zip(values).for_each(|(state, value)| add(state, *value));
            } else {
                iter_words(&[*word]).for_each(|step| add(&mut states[step], values[step]));
            }
        }
        Ok(())
    }

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
pub(super) fn named(plan: &AggregatePlan) -> bool {
    plan.labels.iter().any(|label| label == kymo_model::METRIC_NAME)
}

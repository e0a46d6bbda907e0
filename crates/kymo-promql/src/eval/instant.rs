//! Aggregations of an instant selector at one time, where the store has the newest sample of every series at hand: one pass over
//! these samples, without rows, without a list of series, without labels that nobody asks for.
//!
//! Series are added up in their order and groups are in the order of the first series that each has a value of, so answers are
//! those of the longer way, which is taken wherever a series has to be read. Workers look at samples and labels; sums are made in
//! order.

use std::collections::HashMap;

use kymo_model::{Labels, STALE_NAN, is_stale};

use super::aggregate::{by_first, key};
use super::top::Chosen;
use crate::QueryError;
use crate::context::{Context, SelectedSet};
use crate::grid::Grid;
use crate::grouping::Numbering;
use crate::plan::{AggregatePlan, VectorPlan};
use crate::row::{Block, Row};
use crate::shard::Piece;
use crate::vector::{Scratch, Series, Vector};

/// So many series are looked at together.
const TOGETHER: usize = 4096;

/// What an aggregation of a selector at one time works on.
pub(super) struct InstantInput<'q> {
    context: &'q Context,
    plan: &'q AggregatePlan,
    set: &'q SelectedSet,
    /// Of one step.
    grid: Grid,
    /// Samples from here on to the other time are values.
    from_ms: i64,
    at_ms: i64,
}

/// Samples and groups of neighbouring series.
#[derive(Default)]
struct Part {
    /// Staleness markers where there is none.
    values: Vec<f64>,
    /// By series the number of its group among those of the part.
    groups: Vec<u32>,
    /// The key of each group of the part, and its first series.
    keys: Vec<(Vec<u8>, usize)>,
}

impl Piece for Part {}

impl<'q> InstantInput<'q> {
    /// The input of an aggregation, if it is such a selector.
    pub(super) fn of(context: &'q Context, plan: &'q AggregatePlan, grid: Grid) -> Option<InstantInput<'q>> {
        let VectorPlan::Select(select) = &plan.input.as_ref() else { return None };
        let plain = grid.steps == 1 && select.smoothed.is_none() && !select.bucketless;
        if !plain || context.probes.is_some() {
            return None;
        }
        let set = &context.sets[select.selection];
        if !(0..set.series.len()).all(|index| set.newest(index).is_some()) {
            return None;
        }
        let at_ms = select.shift.track(grid).start;
        let from_ms = at_ms.saturating_sub(context.lookback_ms).saturating_add(1);
        Some(InstantInput { context, plan, set, grid, from_ms, at_ms })
    }

    /// Gives every sample with its group and series, in the order of series; the first series of each group, one with a sample if
    /// there is any.
    fn each(
        &self,
        mut take: impl FnMut(usize, usize, f64) -> Result<(), QueryError> + Send,
    ) -> Result<Vec<usize>, QueryError> {
        let len = self.set.series.len();
        let indices = |part: usize| part * TOGETHER..((part + 1) * TOGETHER).min(len);
        let one_group = !self.plan.without && self.plan.labels.is_empty();
        let compute = |number: usize, scratch: &mut Scratch, part: &mut Part| {
            part.values.clear();
            part.groups.clear();
            part.keys.clear();
            let mut valid = 0;
            for index in indices(number) {
                let sample = self
                    .set
                    .newest(index)
                    .filter(|(t_ms, value)| (self.from_ms..=self.at_ms).contains(t_ms) && !is_stale(*value));
                valid += u64::from(sample.is_some());
                part.values.push(sample.map_or(STALE_NAN, |(_, value)| value));
            }
            if one_group {
                part.keys.push((Vec::new(), indices(number).start));
                part.groups.resize(part.values.len(), 0);
            } else {
                let mut numbering = Numbering::new(key(self.plan));
                let mut last: Option<(Labels, u32)> = None;
                for index in indices(number) {
                    let labels = self.set.series.series(index).key_labels();
                    if let Some((known, group)) = &last
                        && known.is_shared_with(&labels)
                    {
                        part.groups.push(*group);
                        continue;
                    }
                    let group = numbering.number(&Series::new(labels.clone()));
                    if group as usize == part.keys.len() {
                        part.keys.push((numbering.last_key().to_vec(), index));
                    }
                    part.groups.push(group);
                    last = Some((labels, group));
                }
            }
            scratch.tally.several(&self.set.samples_read, self.grid, part.values.len() as u64, valid);
            scratch.pulse.tick(part.values.len())
        };
        let mut numbers = HashMap::new();
        let mut first: Vec<usize> = Vec::new();
        let mut has_values: Vec<bool> = Vec::new();
        let mut known: Vec<u32> = Vec::new();
        let mut held = self.context.budget.nothing();
        let hand_over = |number: usize, part: &mut Part| {
            known.clear();
            for (key, index) in part.keys.drain(..) {
                let bytes = key.len();
                let group = *numbers.entry(key).or_insert(first.len() as u32);
                if group as usize == first.len() {
                    held.more(0, bytes + size_of::<(Vec<u8>, u32)>())?;
                    first.push(index);
                    has_values.push(false);
                }
                known.push(group);
            }
            for ((index, value), group) in indices(number).zip(&part.values).zip(&part.groups) {
                if !is_stale(*value) {
                    let group = known[*group as usize] as usize;
                    if !std::mem::replace(&mut has_values[group], true) {
                        first[group] = index;
                    }
                    take(group, index, *value)?;
                }
            }
            Ok(())
        };
        self.context.in_order(len.div_ceil(TOGETHER), 2 * TOGETHER, compute, hand_over)?;
        Ok(first)
    }

    fn series(&self, index: usize) -> Series {
        Series::new(self.set.series.series(index).labels())
    }

    /// One number of each group.
    pub(super) fn fold_floats<T: Copy + Send + Sync>(
        self,
        empty: T,
        add: impl Fn(&mut T, f64) + Send + Sync,
        finish: impl Fn(T) -> f64,
    ) -> Result<Vector<'q>, QueryError> {
        let mut held = self.context.budget.nothing();
        let mut states: Vec<(T, bool)> = Vec::new();
        let first = self.each(|group, _, value| {
            if group >= states.len() {
                held.more(0, (group + 1 - states.len()) * size_of::<(T, bool)>())?;
                states.resize(group + 1, (empty, false));
            }
            let (state, any) = &mut states[group];
            add(state, value);
            *any = true;
            Ok(())
        })?;
        states.resize(first.len(), (empty, false));
        let mut rows = Block::new(1, &self.context.budget);
        let mut row = Row::default();
        for (state, any) in states {
            row.reset(1);
            if any {
                row.set(0, finish(state));
            }
            rows.push(&row)?;
        }
        let key = key(self.plan);
        let labels =
            first.iter().map(|index| self.series(*index).labels().filtered(|label| key.wants(label)));
        let series = labels.map(Series::new).collect();
        let one_name = self.plan.without || !super::aggregate::named(self.plan);
        Ok(by_first(Vector { series, rows: Box::new(rows), one_name }, &first))
    }

    /// `topk`, `bottomk`: the most extreme samples of each group.
    pub(super) fn extremes(self, k: usize, top: bool) -> Result<Vector<'q>, QueryError> {
        let mut held = self.context.budget.nothing();
        let mut chosen = Chosen::new(k, top);
        let first = self.each(|group, index, value| {
            let more = chosen.offer(group, index as u32, value);
            if more > 0 { held.more(0, more) } else { Ok(()) }
        })?;
        let mut rows = Block::new(1, &self.context.budget);
        let (mut row, mut series) = (Row::default(), Vec::new());
        for (index, value) in chosen.ordered(&first) {
            row.reset(1);
            row.set(0, value);
            rows.push(&row)?;
            series.push(self.series(index as usize));
        }
        Ok(Vector { series, rows: Box::new(rows), one_name: self.set.one_name })
    }

    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.set.series.len()
    }
}

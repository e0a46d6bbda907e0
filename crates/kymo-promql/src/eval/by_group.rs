//! Aggregations whose groups are divided among workers. Each adds up its groups in the order of their series, so sums are those
//! of one thread to the bit, and no two workers touch the same group.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::aggregate::{Cells, GroupName, Input, by_first, of_groups};
use super::native_groups::{Histograms, NativeGroups};
use crate::bits::words_of;
use crate::budget::Held;
use crate::row::{Block, Row};
use crate::shard::Piece;
use crate::vector::{Name, Scratch, Vector};
use crate::{QueryError, QueryErrorKind};

/// With fewer steps, adding up a row is nothing beside computing it, and series are better read in their order.
const STEPS_MIN: usize = 16;

/// So many groups for each worker make up for groups of different size.
const GROUPS_PER_WORKER_MIN: usize = 4;

/// Is adding up rows so much work that it should be divided, and can it be?
pub(super) fn is_worth_it(input: &Input<'_>) -> bool {
    let (threads, groups) = (input.context.workers.threads, input.groups.len());
    if threads < 2 || input.grid.steps < STEPS_MIN || groups < GROUPS_PER_WORKER_MIN * threads {
        return false;
    }
    let mut sizes = vec![0usize; groups];
    input.groups.of_series.iter().for_each(|group| sizes[*group as usize] += 1);
    sizes.iter().max().is_some_and(|most| most * threads <= input.vector.len())
}

/// How values are added up; see [`Input::fold`].
pub(super) struct Fold<T, A, F> {
    pub(super) histograms: Histograms,
    pub(super) empty: T,
    pub(super) add: A,
    pub(super) finish: F,
}

/// The result of a group.
#[derive(Default)]
struct Group {
    row: Row,
    name: Name,
    /// The first series that has a value.
    first: Option<usize>,
    /// What its native histograms held while they were added up.
    held: Option<Held>,
}

impl Piece for Group {
    fn extra_bytes(&self) -> usize {
        self.row.extra_bytes()
    }
}

pub(super) fn fold<'q, T: Copy + Send + Sync>(
    input: Input<'q>,
    fold: Fold<T, impl Fn(&mut T, f64) + Sync, impl Fn(T) -> f64 + Sync>,
) -> Result<Vector<'q>, QueryError> {
    let Input { context, vector, grid, groups, plan } = input;
    let steps = grid.steps;
    // As much as if all groups were added up at once, so that the bounds are those of one thread.
    let _held =
        context.budget.hold_bytes(groups.len().saturating_mul(steps).saturating_mul(size_of::<T>()))?;
    let members = groups.members();
    let first_error = FirstError::default();
    let compute = |group: usize, scratch: &mut Scratch, out: &mut Group| {
        let mut states = vec![fold.empty; steps];
        let mut valid = vec![0u64; words_of(steps)];
        let mut natives = NativeGroups::new(context, plan, fold.histograms, steps);
        let mut row = scratch.take_row();
        let (mut name, mut first) = (GroupName::default(), None);
        let mut add = |at: usize| {
            vector.fill(at, scratch, &mut row)?;
            if row.valid.any() {
                first.get_or_insert(at);
            }
            natives.filter(&mut row);
            if !row.valid.any() {
                return Ok(());
            }
            let series = &vector.series[at];
            name.see(series, &row);
            let cells = Cells { group: 0, states: &mut states, valid: &mut valid };
            cells.add_row(&row, &mut natives, series.metric_name(), &fold.add)
        };
        for at in members[group].iter().map(|at| *at as usize).take_while(|at| first_error.is_behind(*at)) {
            if let Err(error) = add(at) {
                first_error.set(at, error);
                break;
            }
        }
        out.name = name.name;
        out.first = first;
        out.row.reset(steps);
        out.row.valid.copy_from(&valid);
        out.row.values.iter_mut().zip(&states).for_each(|(value, state)| *value = (fold.finish)(*state));
        natives.finish(0, &mut out.row);
        out.held = Some(natives.into_held());
        scratch.give_back(row);
        Ok(())
    };
    let mut block = Block::new(steps, &context.budget);
    let mut names = Vec::with_capacity(groups.len());
    let mut first = Vec::with_capacity(groups.len());
    let mut held = Vec::new();
    let mut kept = Ok(());
    context.in_order(groups.len(), 2 * steps, compute, |_, group| {
        held.extend(group.held.take().filter(|held| !held.is_nothing()));
        names.push(group.name);
        first.push(group.first);
        // Series come first, then what becomes of groups: an error of a series counts, wherever it is.
        if kept.is_ok() {
            kept = block.push(&group.row);
        }
        Ok(())
    })?;
    if let Some(error) = first_error.take() {
        context.native_buckets.forget_unless(&error);
        return Err(error);
    }
    kept?;
    Ok(by_first(of_groups(plan, &vector, &groups, names, block), &groups.first_with_values(&first)))
}

/// The error of the first series that has one, whoever comes to it first.
struct FirstError {
    /// Series from here on need not be looked at.
    at: AtomicUsize,
    error: Mutex<Option<QueryError>>,
}

impl Default for FirstError {
    fn default() -> FirstError {
        FirstError { at: AtomicUsize::new(usize::MAX), error: Mutex::new(None) }
    }
}

impl FirstError {
    fn is_behind(&self, at: usize) -> bool {
        at < self.at.load(Ordering::Relaxed)
    }

    fn set(&self, at: usize, error: QueryError) {
        let mut known = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        if at < self.at.load(Ordering::Relaxed) {
            // Who was told to stop stops at once.
            let stopped = matches!(error.kind, QueryErrorKind::Canceled | QueryErrorKind::Timeout);
            self.at.store(if stopped { 0 } else { at }, Ordering::Relaxed);
            *known = Some(error);
        }
    }

    fn take(self) -> Option<QueryError> {
        self.error.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

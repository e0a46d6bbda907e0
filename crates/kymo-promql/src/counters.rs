//! Counters: how many samples the steps of a query looked at, as upstream counts them. Evaluation; added to once per row.
//!
//! A sample counts as often as a step looks at it: for an instant selector one for each value, for a range all samples of each
//! window. What is evaluated once for all steps counts for each of them; what the inside of a subquery looks at counts for the
//! last step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::grid::Grid;

#[derive(Debug)]
pub(crate) struct Counters {
    /// The steps of the query.
    grid: Grid,
    total: AtomicU64,
    /// For each step; empty unless somebody wants to know.
    per_step: Vec<AtomicU64>,
}

/// What a part of a query has counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    total: u64,
    per_step: Vec<u64>,
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn new(grid: Grid, per_step: bool) -> Counters {
        let steps = if per_step { grid.steps } else { 0 };
        Counters { grid, total: AtomicU64::new(0), per_step: (0..steps).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Says that an evaluation on `grid` looked at so many samples, and, if that is wanted, at how many at each of its steps.
    pub(crate) fn looked_at<I>(&self, grid: Grid, samples: usize, at_steps: impl FnOnce() -> I)
    where
        I: IntoIterator<Item = (usize, usize)>,
    {
        let samples = samples as u64;
        if grid == self.grid {
            add(&self.total, samples);
            if !self.per_step.is_empty() {
                at_steps().into_iter().for_each(|(step, samples)| add(&self.per_step[step], samples as u64));
            }
        } else if grid == self.grid.first() {
            add(&self.total, samples.saturating_mul(self.grid.steps as u64));
            self.per_step.iter().for_each(|step| add(step, samples));
        } else {
            add(&self.total, samples);
            self.per_step.iter().last().into_iter().for_each(|step| add(step, samples));
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Time and samples of each step, if they were counted.
    pub(crate) fn per_step(&self) -> Vec<(i64, u64)> {
        self.grid.times().zip(&self.per_step).map(|(at, n)| (at, n.load(Ordering::Relaxed))).collect()
    }

    /// What was counted so far.
    pub(crate) fn so_far(&self) -> Counted {
        let per_step = self.per_step.iter().map(|step| step.load(Ordering::Relaxed)).collect();
        Counted { total: self.total(), per_step }
    }

    /// What was counted since.
    pub(crate) fn since(&self, before: &Counted) -> Counted {
        let mut counted = self.so_far();
        counted.total -= before.total;
        counted.per_step.iter_mut().zip(&before.per_step).for_each(|(now, before)| *now -= before);
        counted
    }

    /// Counts the same again.
    pub(crate) fn again(&self, counted: &Counted) {
        add(&self.total, counted.total);
        self.per_step.iter().zip(&counted.per_step).for_each(|(step, n)| add(step, *n));
    }
}

/// Samples that were read and looked at one by one. A worker adds them to the figures of the query when it ends: where a row
/// is one sample, counting it where all workers count would take longer than the row.
pub(crate) struct Tally {
    counters: Arc<Counters>,
    /// Looked at by an evaluation on this grid, which has one step.
    samples: u64,
    grid: Option<Grid>,
    /// Of these were read, and where that is counted.
    read: u64,
    of: Option<Arc<AtomicU64>>,
}

impl Tally {
    pub(crate) fn new(counters: Arc<Counters>) -> Tally {
        Tally { counters, samples: 0, grid: None, read: 0, of: None }
    }

    /// One sample was read for the one step of a grid, which has a value or not.
    pub(crate) fn one(&mut self, of: &Arc<AtomicU64>, grid: Grid, has_value: bool) {
        if self.of.as_ref().is_none_or(|known| !Arc::ptr_eq(known, of)) {
            self.add_read();
            self.of = Some(of.clone());
        }
        self.read += 1;
        self.look(grid, u64::from(has_value));
    }

    /// So many samples were read for the one step of a grid, of which so many are values.
    pub(crate) fn several(&mut self, of: &Arc<AtomicU64>, grid: Grid, read: u64, values: u64) {
        add(of, read);
        self.look(grid, values);
    }

    fn look(&mut self, grid: Grid, samples: u64) {
        if self.grid != Some(grid) {
            self.add_samples();
            self.grid = Some(grid);
        }
        self.samples += samples;
    }

    fn add_samples(&mut self) {
        if let Some(grid) = self.grid {
            let samples = std::mem::take(&mut self.samples) as usize;
            self.counters.looked_at(grid, samples, || [(0, samples)]);
        }
    }

    fn add_read(&mut self) {
        if let Some(of) = &self.of {
            add(of, std::mem::take(&mut self.read));
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.add_read();
        self.add_samples();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_steps_they_are() {
        let grid = Grid { start: 100, step: 10, steps: 3 };
        let counters = Counters::new(grid, true);
        counters.looked_at(grid, 5, || [(0, 2), (2, 3)]);
        let before = counters.so_far();
        counters.looked_at(grid.first(), 4, || [(0, 4)]);
        counters.looked_at(Grid { start: 50, step: 5, steps: 7 }, 20, || [(6, 20)]);
        assert_eq!((counters.total(), counters.per_step()), (37, vec![(100, 6), (110, 4), (120, 27)]));
        counters.again(&counters.since(&before));
        assert_eq!((counters.total(), counters.per_step()), (69, vec![(100, 10), (110, 8), (120, 51)]));
        let totals = Counters::new(grid, false);
        totals.looked_at(grid, 5, || [(0, 5)]);
        assert_eq!((totals.total(), totals.per_step()), (5, Vec::new()));
    }
}

//! Probe: what each operator of one run costs, for `explain analyze`. Evaluation; nothing is measured, and nothing paid, unless
//! somebody asked for it.
//!
//! An operator is known by the address of its plan, which does not move while the query runs. Times contain those of the
//! operators below, because rows are asked for from above; whoever shows them subtracts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::QueryError;
use crate::budget::Budget;
use crate::row::{Row, Rows};
use crate::vector::{Scratch, Vector};

/// Nanoseconds of a clock that never goes back, as the caller gives it: this crate has none.
pub type Clock = fn() -> u64;

/// The measurements of a run.
#[derive(Debug)]
pub(crate) struct Probes {
    clock: Clock,
    of_plans: Mutex<HashMap<Key, Arc<Counts>>>,
}

#[derive(Debug, Default)]
struct Counts {
    nanos: AtomicU64,
    series: AtomicU64,
    rows: AtomicU64,
    points: AtomicU64,
    bytes: AtomicU64,
}

/// What an operator cost, with all below it where it says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// With those below.
    pub(crate) nanos: u64,
    pub(crate) series: u64,
    pub(crate) rows: u64,
    pub(crate) points: u64,
    /// Still held when the operator was ready to give rows, with those below.
    pub(crate) bytes: u64,
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Probes {
    pub(crate) fn new(clock: Clock) -> Probes {
        Probes { clock, of_plans: Mutex::default() }
    }

    fn counts<P>(&self, plan: &P) -> Arc<Counts> {
        let mut all = self.of_plans.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.entry(key(plan)).or_default().clone()
    }

    /// What was measured of the operator with this plan.
    pub(crate) fn cost<P>(&self, plan: &P) -> Option<Cost> {
        let all = self.of_plans.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let counts = all.get(&key(plan))?;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Some(Cost {
            nanos: read(&counts.nanos),
            series: read(&counts.series),
            rows: read(&counts.rows),
            points: read(&counts.points),
            bytes: read(&counts.bytes),
        })
    }

    /// Makes an operator with `make`, and has its rows measured too.
    pub(crate) fn vector<'q, P>(
        &self,
        plan: &P,
        budget: &Budget,
        make: impl FnOnce() -> Result<Vector<'q>, QueryError>,
    ) -> Result<Vector<'q>, QueryError> {
        let counts = self.counts(plan);
        let (begun, held) = ((self.clock)(), budget.bytes());
        let made = make();
        add(&counts.nanos, (self.clock)().saturating_sub(begun));
        add(&counts.bytes, budget.bytes().saturating_sub(held) as u64);
        let Vector { series, rows, one_name } = made?;
        add(&counts.series, series.len() as u64);
        Ok(Vector { series, rows: Box::new(Measured { rows, counts, clock: self.clock }), one_name })
    }

    /// Measures what has no rows.
    pub(crate) fn scalar<P, T>(&self, plan: &P, make: impl FnOnce() -> T) -> T {
        let counts = self.counts(plan);
        let begun = (self.clock)();
        let made = make();
        add(&counts.nanos, (self.clock)().saturating_sub(begun));
        made
    }
}

/// Address and size: a plan may begin where the one around it does.
type Key = (usize, usize);

fn key<P>(plan: &P) -> Key {
    (std::ptr::from_ref(plan) as usize, size_of::<P>())
}

struct Measured<'q> {
    rows: Box<dyn Rows + 'q>,
    counts: Arc<Counts>,
    clock: Clock,
}

impl Rows for Measured<'_> {
    fn fill(&self, index: usize, scratch: &mut Scratch, out: &mut Row) -> Result<(), QueryError> {
        let begun = (self.clock)();
        let filled = self.rows.fill(index, scratch, out);
        add(&self.counts.nanos, (self.clock)().saturating_sub(begun));
        add(&self.counts.rows, 1);
        if filled.is_ok() {
            add(&self.counts.points, out.valid.count() as u64);
        }
        filled
    }

    fn may_note(&self) -> bool {
        self.rows.may_note()
    }
}

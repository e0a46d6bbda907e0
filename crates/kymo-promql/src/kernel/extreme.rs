//! `min_over_time`, `max_over_time` and the times of these: a monotonic deque of candidates.
//!
//! NaN loses to any number; a window of NaNs alone gives NaN. Of equal values the first is taken, for the times the last.

use super::{Call, Work};
use crate::QueryError;
use crate::row::Row;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Max,
    Min,
    LastMax,
    LastMin,
}

impl Kind {
    /// Does a later value push an earlier one out?
    fn replaces(self, later: f64, earlier: f64) -> bool {
        match self {
            Kind::Max => later > earlier,
            Kind::Min => later < earlier,
            Kind::LastMax => later >= earlier,
            Kind::LastMin => later <= earlier,
        }
    }
}

pub(super) fn value(call: &Call<'_>, kind: Kind, work: &mut Work, out: &mut Row) -> Result<(), QueryError> {
    each(call, kind, work, |step, at| out.set(step, call.samples.values[at]))
}

pub(super) fn time(call: &Call<'_>, kind: Kind, work: &mut Work, out: &mut Row) -> Result<(), QueryError> {
    each(call, kind, work, |step, at| out.set(step, call.samples.times[at] as f64 / 1000.0))
}

fn each(
    call: &Call<'_>,
    kind: Kind,
    work: &mut Work,
    mut found: impl FnMut(usize, usize),
) -> Result<(), QueryError> {
    let values = call.samples.values;
    if call.scan_is_cheap() {
        for (step, window) in call.each() {
            let mut best = window.lo as usize;
            for at in window.indices().skip(1) {
                if kind.replaces(values[at], values[best]) || values[best].is_nan() {
                    best = at;
                }
            }
            found(step, best);
        }
        return Ok(());
    }
    let deque = &mut work.deque;
    deque.clear();
    let mut seen = 0;
    for (step, window) in call.each() {
        // What no window between saw need not be looked at.
        for at in seen.max(window.lo)..window.hi {
            let value = values[at as usize];
            if value.is_nan() {
                continue;
            }
            while deque.back().is_some_and(|back| kind.replaces(value, values[*back as usize])) {
                deque.pop_back();
            }
            deque.push_back(at);
        }
        seen = seen.max(window.hi);
        while deque.front().is_some_and(|front| *front < window.lo) {
            deque.pop_front();
        }
        found(step, deque.front().copied().unwrap_or(window.hi - 1) as usize);
    }
    Ok(())
}

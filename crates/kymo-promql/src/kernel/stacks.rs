//! Two stacks: any associative summary over sliding windows in one pass, without ever subtracting.
//!
//! Samples left of a pivot are summarised from the pivot backwards, one summary per sample; those right of it grow into one
//! summary. A window is the one on the left at its start joined with the one on the right. When the start passes the pivot,
//! the pivot moves to the end. Each sample is joined twice.

use super::Call;
use crate::QueryError;
use crate::vector::Pulse;

/// A summary of consecutive samples.
pub(super) trait Summary: Copy {
    /// Of no samples.
    const EMPTY: Self;
    /// With a sample more, on either side. The time is in milliseconds from an origin near the window, so that it keeps all
    /// its digits as a float.
    fn with(self, time_ms: i64, value: f64) -> Self;
    /// Of all samples of both; `self` is the earlier.
    fn join(self, later: Self) -> Self;
}

/// Gives the summary of every window that is not empty, in order, with the origin of its times.
pub(super) fn summaries<S: Summary>(
    call: &Call<'_>,
    pulse: &mut Pulse,
    mut found: impl FnMut(usize, S, i64),
) -> Result<(), QueryError> {
    let (times, values) = (call.samples.times, call.samples.values);
    let mut left: Vec<S> = Vec::new();
    let (mut left_start, mut pivot, mut seen) = (0usize, 0usize, 0usize);
    let (mut right, mut origin) = (S::EMPTY, 0i64);
    for (step, window) in call.each() {
        let (lo, hi) = (window.lo as usize, window.hi as usize);
        pulse.tick(hi - seen.min(hi))?;
        if lo >= pivot {
            // Everything on the left is out of the window: start again from its end.
            pivot = hi;
            origin = times[lo];
            left_start = lo;
            left.clear();
            left.resize(hi - lo, S::EMPTY);
            let mut so_far = S::EMPTY;
            for at in (lo..hi).rev() {
                so_far = so_far.with(times[at].saturating_sub(origin), values[at]);
                left[at - lo] = so_far;
            }
            right = S::EMPTY;
            seen = hi;
        }
        while seen < hi {
            right = right.with(times[seen].saturating_sub(origin), values[seen]);
            seen += 1;
        }
        found(step, left[lo - left_start].join(right), origin);
    }
    Ok(())
}

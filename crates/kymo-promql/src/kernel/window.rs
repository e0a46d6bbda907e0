//! Windows: which samples each step of a range function sees. Two cursors over the timestamps, never backwards.

use crate::QueryError;
use crate::grid::Grid;

/// Samples `lo..hi` of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) lo: u32,
    pub(crate) hi: u32,
}

impl Window {
    pub(crate) fn len(self) -> usize {
        (self.hi - self.lo) as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.lo == self.hi
    }

    pub(crate) fn indices(self) -> std::ops::Range<usize> {
        self.lo as usize..self.hi as usize
    }
}

/// For each time `t` of `ends` the samples in `(t - range, t]`.
pub(crate) fn slide(
    times: &[i64],
    ends: Grid,
    range_ms: i64,
    out: &mut Vec<Window>,
) -> Result<(), QueryError> {
    if u32::try_from(times.len()).is_err() {
        return Err(QueryError::limit(format!(
            "expected fewer than 2^32 samples in a series, found {}",
            times.len()
        )));
    }
    out.clear();
    let (mut lo, mut hi) = (0, 0);
    out.reserve(ends.steps);
    for end in ends.times() {
        hi = first_after(times, hi, end);
        lo = first_after(times, lo, end.saturating_sub(range_ms)).min(hi);
        out.push(Window { lo: lo as u32, hi: hi as u32 });
    }
    Ok(())
}

/// What windows were made of, so that the next series with the same times can use them again.
#[derive(Debug, Default)]
pub(crate) struct WindowsOf {
    times: Vec<i64>,
    /// None when the windows are not those of the times any more.
    made: Option<(Grid, i64)>,
    known: Known,
}

/// What is known of windows that one series after the other has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// Other windows have another number.
    pub(crate) number: u64,
    /// How many samples all of them together have.
    pub(crate) total: usize,
}

impl WindowsOf {
    pub(crate) fn are(&self, times: &[i64], ends: Grid, range_ms: i64) -> bool {
        self.made == Some((ends, range_ms)) && self.times == times
    }

    pub(crate) fn keep(&mut self, times: &[i64], ends: Grid, range_ms: i64, windows: &[Window]) {
        self.times.clear();
        self.times.extend_from_slice(times);
        self.made = Some((ends, range_ms));
        self.known.number += 1;
        self.known.total = windows.iter().map(|window| window.len()).sum();
    }

    /// What is known of the windows, if they are still those that were kept.
    pub(crate) fn known(&self) -> Option<Known> {
        self.made.map(|_| self.known)
    }

    /// The windows were changed.
    pub(crate) fn forget(&mut self) {
        self.made = None;
    }
}

/// Cursors look at this many samples one by one before they jump.
const NEAR: usize = 8;

/// The same as [`first_after`], for steps about as long as the distance of samples: most move by one.
#[inline(always)]
pub(crate) fn next_after(times: &[i64], from: usize, t: i64) -> usize {
    match times.get(from) {
        Some(time) if *time <= t => match times.get(from + 1) {
            Some(time) if *time <= t => first_after(times, from + 1, t),
            _ => from + 1,
        },
        _ => from,
    }
}

/// The first index from `from` on whose time is after `t`.
#[inline]
pub(crate) fn first_after(times: &[i64], from: usize, t: i64) -> usize {
    let rest = &times[from..];
    let near = &rest[..NEAR.min(rest.len())];
    for (at, time) in near.iter().enumerate() {
        if *time > t {
            return from + at;
        }
    }
    if near.len() == rest.len() { times.len() } else { from + NEAR + first_after_far(&rest[NEAR..], t) }
}

/// The same by doubling the distance, then halving.
#[cold]
fn first_after_far(times: &[i64], t: i64) -> usize {
    let (mut known, mut jump) = (0, NEAR);
    while known + jump < times.len() && times[known + jump] <= t {
        known += jump + 1;
        jump *= 2;
    }
    let end = (known + jump).min(times.len());
    known + times[known..end].partition_point(|time| *time <= t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_are_left_open(
            gaps in prop::collection::vec(1i64..40, 0..200),
            start in -500i64..1000, step in 0i64..200, steps in 0usize..30, range in 1i64..500,
        ) {
            let times: Vec<i64> = gaps.iter().scan(0, |t, gap| { *t += gap; Some(*t) }).collect();
            let ends = Grid { start, step, steps };
            let mut windows = Vec::new();
            slide(&times, ends, range, &mut windows).unwrap();
            for (i, window) in windows.iter().enumerate() {
                let end = ends.time(i);
                let seen: Vec<i64> = times.iter().copied().filter(|t| end - range < *t && *t <= end).collect();
                prop_assert_eq!(&times[window.indices()], &seen[..]);
            }
        }
    }
}

//! Instant selectors: for each step the last sample that is not older than the lookback. A staleness marker ends a series.
//!
//! Of floats and native histograms the later one counts.

use kymo_model::is_stale;

use super::window::{first_after, next_after};
use crate::columns::{Floats, Natives};
use crate::grid::Grid;
use crate::row::Row;

/// The values. Bits are put together 64 steps at a time: a load and a store for each would be most of the work.
pub(crate) fn last_values(samples: Floats<'_>, track: Grid, lookback_ms: i64, out: &mut Row) {
    let (mut next, mut t) = (0, track.start);
    for (word, part) in out.values.chunks_mut(64).enumerate() {
        let mut bits = 0;
        for (bit, value) in part.iter_mut().enumerate() {
            next = next_after(samples.times, next, t);
            if let Some(at) = next.checked_sub(1)
                && samples.times[at] > t.saturating_sub(lookback_ms)
                && !is_stale(samples.values[at])
            {
                *value = samples.values[at];
                bits |= 1 << bit;
            }
            t = t.saturating_add(track.step);
        }
        out.valid.set_in_word(word, bits);
    }
}

/// The times of the samples, in seconds.
pub(crate) fn last_times(samples: Floats<'_>, track: Grid, lookback_ms: i64, out: &mut Row) {
    each(samples, track, lookback_ms, |step, at| out.set(step, samples.times[at] as f64 / 1000.0));
}

/// The values of a series that has native histograms.
pub(crate) fn last_points(
    (floats, natives): (Floats<'_>, Natives<'_>),
    track: Grid,
    lookback_ms: i64,
    out: &mut Row,
) {
    each_of_both((floats, natives), track, lookback_ms, |step, at| match at {
        At::Float(at) => out.set(step, floats.values[at]),
        At::Native(at) => out.set_histogram(step, natives.values[at].clone()),
    });
}

/// The times of the samples of a series that has native histograms, in seconds.
pub(crate) fn last_times_of_both(
    (floats, natives): (Floats<'_>, Natives<'_>),
    track: Grid,
    lookback_ms: i64,
    out: &mut Row,
) {
    each_of_both((floats, natives), track, lookback_ms, |step, at| {
        let time = match at {
            At::Float(at) => floats.times[at],
            At::Native(at) => natives.times[at],
        };
        out.set(step, time as f64 / 1000.0);
    });
}

/// When the counters began that the samples are of, in seconds; 0 where that is unknown.
pub(crate) fn last_starts(
    (floats, natives): (Floats<'_>, Natives<'_>),
    track: Grid,
    lookback_ms: i64,
    out: &mut Row,
) {
    each_of_both((floats, natives), track, lookback_ms, |step, at| {
        let start = match at {
            At::Float(at) => floats.starts.get(at),
            At::Native(at) => natives.starts.get(at),
        };
        out.set(step, start.copied().unwrap_or(0) as f64 / 1000.0);
    });
}

/// An index into one of the columns.
enum At {
    Float(usize),
    Native(usize),
}

fn each_of_both(
    (floats, natives): (Floats<'_>, Natives<'_>),
    track: Grid,
    lookback_ms: i64,
    mut found: impl FnMut(usize, At),
) {
    let (mut next, mut next_native) = (0, 0);
    for (step, t) in track.times().enumerate() {
        next = first_after(floats.times, next, t);
        next_native = first_after(natives.times, next_native, t);
        let float = next.checked_sub(1).map(|at| (floats.times[at], At::Float(at)));
        let native = next_native.checked_sub(1).map(|at| (natives.times[at], At::Native(at)));
        let Some((time, at)) = float.into_iter().chain(native).max_by_key(|(time, _)| *time) else {
            continue;
        };
        let stale = match at {
            At::Float(at) => is_stale(floats.values[at]),
            At::Native(at) => natives.values[at].is_stale(),
        };
        if time > t.saturating_sub(lookback_ms) && !stale {
            found(step, at);
        }
    }
}

fn each(samples: Floats<'_>, track: Grid, lookback_ms: i64, mut found: impl FnMut(usize, usize)) {
    let mut next = 0;
    for (step, t) in track.times().enumerate() {
        next = first_after(samples.times, next, t);
        let Some(at) = next.checked_sub(1) else { continue };
        if samples.times[at] > t.saturating_sub(lookback_ms) && !is_stale(samples.values[at]) {
            found(step, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kymo_model::STALE_NAN;

    #[test]
    fn lookback_is_left_open_and_stale_ends() {
        let times = [0, 10, 20, 30];
        let values = [1.0, f64::NAN, STALE_NAN, 4.0];
        let mut row = Row::default();
        let track = Grid { start: -5, step: 5, steps: 11 };
        row.reset(track.steps);
        last_values(Floats { times: &times, values: &values, starts: &[] }, track, 10, &mut row);
        let seen: Vec<usize> = row.valid.iter().collect();
        assert_eq!(seen, [1, 2, 3, 4, 7, 8]);
        assert!(row.values[3].is_nan());
        row.reset(track.steps);
        last_times(Floats { times: &times, values: &values, starts: &[] }, track, 10, &mut row);
        assert_eq!(row.get(8), Some(0.03));
    }
}

//! Instant selectors: for each step the last sample that is not older than the lookback. A staleness marker ends a series.
//!
//! Of floats and native histograms the later one counts.

use kymo_model::{STALE_NAN_BITS, is_stale};

use super::window::{first_after, next_after};
use crate::columns::{Floats, Natives};
use crate::grid::Grid;
use crate::row::Row;

/// The values. Bits are put together 64 steps at a time: a load and a store for each would be most of the work.
pub(crate) fn last_values(samples: Floats<'_>, track: Grid, lookback_ms: i64, out: &mut Row) {
    let (mut next, mut t) = (0, track.start);
    // Where steps and samples do not move together, it is not worth looking again and again.
    let mut tries = if no_time_overflows(samples.times, track, lookback_ms) { 4 } else { 0 };
    for (word, part) in out.values.chunks_mut(64).enumerate() {
        if tries > 0 {
            next = first_after(samples.times, next, t);
            if let Some(values) = one_by_one(samples, next, (t, track.step), part.len(), lookback_ms) {
                part.copy_from_slice(values);
                out.valid.set_in_word(word, u64::MAX >> (64 - part.len()));
                next += part.len() - 1;
                t += part.len() as i64 * track.step;
                continue;
            }
            tries -= 1;
        }
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

/// Can all differences of these times be computed without a look at overflows?
fn no_time_overflows(times: &[i64], track: Grid, lookback_ms: i64) -> bool {
    const FAR: i64 = 1 << 60;
    let ends = times.first().into_iter().chain(times.last()).copied();
    ends.chain([track.start, track.last(), lookback_ms]).all(|ms| (-FAR..FAR).contains(&ms))
}

/// The values that so many steps from `t` on have, if each has one and they are neighbours: series that are scraped as often as
/// there are steps. `next` is the first sample after `t`. Differences are computed for their signs alone, so that there is no
/// branch and several steps are looked at together.
fn one_by_one<'a>(
    samples: Floats<'a>,
    next: usize,
    (t, step): (i64, i64),
    steps: usize,
    lookback_ms: i64,
) -> Option<&'a [f64]> {
    let from = next.checked_sub(1)?;
    let times = samples.times.get(from..from + steps + 1)?;
    let values = &samples.values[from..from + steps];
    let (mut t, mut wrong) = (t, 0);
    for ((time, after), value) in times.iter().zip(&times[1..]).zip(values) {
        let age = t - time;
        let other_than_stale = (value.to_bits() ^ STALE_NAN_BITS) as i64;
        wrong |= age | (lookback_ms - 1 - age) | !(t - after);
        // 0 alone has no sign, whichever way round.
        wrong |= !(other_than_stale | other_than_stale.wrapping_neg());
        t += step;
    }
    (wrong >= 0).then_some(values)
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
    use proptest::prelude::*;

    proptest! {
        /// As the definition has it, also where samples and steps move together for long.
        #[test]
        fn the_last_sample_that_is_young_enough(
            gaps in prop::collection::vec(prop_oneof![40 => Just(10i64), 1 => 1i64..40], 0..400),
            values in prop::collection::vec(prop_oneof![60 => any::<f64>(), 1 => Just(STALE_NAN)], 400),
            start in -50i64..300, step in prop_oneof![5 => Just(10i64), 1 => 0i64..40], steps in 0usize..300,
            lookback_ms in 1i64..60,
        ) {
            let times: Vec<i64> = gaps.iter().scan(0, |t, gap| { *t += gap; Some(*t) }).collect();
            let samples = Floats { times: &times, values: &values[..times.len()], starts: &[] };
            let track = Grid { start, step, steps };
            let mut row = Row::default();
            row.reset(steps);
            last_values(samples, track, lookback_ms, &mut row);
            for (at, t) in track.times().enumerate() {
                let last = times.iter().rposition(|time| *time <= t);
                let last = last.filter(|last| times[*last] > t - lookback_ms && !is_stale(values[*last]));
                prop_assert_eq!(row.get(at).map(f64::to_bits), last.map(|last| values[last].to_bits()));
            }
        }
    }

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

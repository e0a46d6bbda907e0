//! `smoothed` instant selectors: the value on the line between the samples before and after each step; if there is none after
//! it, the one before. Both must be within the lookback; staleness markers are not seen.

use std::sync::Arc;

use kymo_model::{CounterResetHint, FloatHistogram};

use super::window::first_after;
use crate::columns::{Floats, Natives};
use crate::grid::Grid;
use crate::native::{self, Finding, Findings};
use crate::row::Row;

/// The values of a series of floats.
pub(crate) fn smoothed_values(samples: Floats<'_>, track: Grid, lookback_ms: i64, out: &mut Row) {
    let (times, values) = (samples.times, samples.values);
    let mut around = Around::new(lookback_ms);
    for (step, t) in track.times().enumerate() {
        match around.find(times, t) {
            (Some(before), Some(after)) if before != after => {
                let share = (t - times[before]) as f64;
                let gap = (times[after] - times[before]) as f64;
                out.set(step, values[before] + (values[after] - values[before]) * share / gap);
            }
            (Some(before), _) => out.set(step, values[before]),
            (None, _) => {}
        }
    }
}

/// The values of a series that has native histograms, what there is to say about them, and whether both kinds met.
pub(crate) fn smoothed_points(
    (floats, natives): (Floats<'_>, Natives<'_>),
    track: Grid,
    lookback_ms: i64,
    out: &mut Row,
) -> (Findings, bool) {
    let (mut found, mut mixed) = (Findings::default(), Vec::new());
    smoothed_values(floats, track, lookback_ms, out);
    let (mut float_region, mut native_region) = (Region::default(), Region::default());
    let mut around = Around::new(lookback_ms);
    for (step, t) in track.times().enumerate() {
        let has_floats = float_region.any(floats.times, t, lookback_ms);
        if !native_region.any(natives.times, t, lookback_ms) {
            continue;
        }
        if has_floats {
            mixed.push(step);
            continue;
        }
        let sample = |at: usize| (natives.times[at], natives.values[at].as_ref());
        match around.find(natives.times, t) {
            (Some(before), Some(after)) if before != after => {
                let gauge = |at: usize| natives.values[at].counter_reset_hint == CounterResetHint::Gauge;
                let counter = !gauge(before) || !gauge(after);
                let custom = |at: usize| natives.values[at].has_custom_buckets();
                if custom(before) != custom(after) {
                    // To a counter this would look like a reset.
                    found.add(Finding::MixedBuckets);
                    continue;
                }
                match native::interpolate(sample(before), sample(after), t, counter) {
                    Ok((value, findings)) => {
                        found.merge(findings);
                        out.set_histogram(step, Arc::new(value));
                    }
                    Err(_) => found.add(Finding::MixedBuckets),
                }
            }
            // The hint is about its own time.
            (Some(before), None) => out.set_histogram(step, without_hint(&natives.values[before])),
            (Some(before), _) => out.set_histogram(step, natives.values[before].clone()),
            (None, _) => {}
        }
    }
    out.valid.retain(|step| mixed.binary_search(&step).is_err());
    (found, !mixed.is_empty())
}

fn without_hint(histogram: &FloatHistogram) -> Arc<FloatHistogram> {
    Arc::new(FloatHistogram { counter_reset_hint: CounterResetHint::Unknown, ..histogram.clone() })
}

/// Finds the samples around a time that only goes forward.
struct Around {
    lookback_ms: i64,
    at_or_after: usize,
}

impl Around {
    fn new(lookback_ms: i64) -> Around {
        Around { lookback_ms, at_or_after: 0 }
    }

    /// The last sample up to `t` and the first one from `t` on, within the lookback; the same if one is at `t`.
    fn find(&mut self, times: &[i64], t: i64) -> (Option<usize>, Option<usize>) {
        self.at_or_after = first_after(times, self.at_or_after, t.saturating_sub(1));
        let after = self.at_or_after;
        let after = Some(after)
            .filter(|at| times.get(*at).is_some_and(|time| *time <= t.saturating_add(self.lookback_ms)));
        if let Some(at) = after
            && times[at] == t
        {
            return (after, after);
        }
        let before = self.at_or_after.checked_sub(1);
        (before.filter(|at| times[*at] > t.saturating_sub(self.lookback_ms)), after)
    }
}

/// Is there a sample within the lookback on either side?
#[derive(Default)]
struct Region {
    first: usize,
}

impl Region {
    fn any(&mut self, times: &[i64], t: i64, lookback_ms: i64) -> bool {
        self.first = first_after(times, self.first, t.saturating_sub(lookback_ms));
        times.get(self.first).is_some_and(|time| *time <= t.saturating_add(lookback_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_samples_and_after_the_last() {
        let (times, values) = ([0, 10, 30], [0.0, 10.0, 50.0]);
        let samples = Floats { times: &times, values: &values, starts: &[] };
        let track = Grid { start: -5, step: 5, steps: 12 };
        let mut row = Row::default();
        row.reset(track.steps);
        smoothed_values(samples, track, 15, &mut row);
        let found: Vec<Option<f64>> = (0..track.steps).map(|step| row.get(step)).collect();
        let wanted = [
            None,
            Some(0.0),
            Some(5.0),
            Some(10.0),
            Some(20.0),
            Some(30.0),
            None,
            Some(50.0),
            Some(50.0),
            Some(50.0),
            None,
            None,
        ];
        assert_eq!(found, wanted);
    }
}

//! Bucketless: native histograms of which a query wants no more than count and sum. Selectors, before windows and kernels.
//!
//! Without buckets a counter reset cannot be found later, so it is looked for here, between neighbours, and kept as a hint.
//! Upstream sees neighbours only as it walks: where it jumps over samples that no window has, it knows nothing of the first
//! sample after the jump. What hints say shows in warnings, so it is the same here.

use std::sync::Arc;

use kymo_model::{CounterResetHint, FloatHistogram};

use crate::grid::Grid;

/// Leaves count, sum, schema and a hint of each histogram that a walk meets whose windows are `back_ms` long. What is left is
/// put into histograms of `spare` as long as there are any.
pub(crate) fn forget_buckets(
    times: &[i64],
    histograms: &mut [Arc<FloatHistogram>],
    spare: &mut Vec<Arc<FloatHistogram>>,
    ends: Grid,
    back_ms: i64,
) {
    let starts = walk_starts(times, ends, back_ms);
    let mut next_start = starts.iter().copied().peekable();
    let mut last: Option<Arc<FloatHistogram>> = None;
    let first = starts.first().copied().unwrap_or(0);
    for (at, histogram) in histograms.iter_mut().enumerate().skip(first) {
        if next_start.next_if_eq(&at).is_some() {
            last = None;
        }
        let hint = match (&last, histogram.counter_reset_hint) {
            (Some(last), CounterResetHint::Unknown) if !histogram.is_stale() => {
                match histogram.detect_reset(last) {
                    true => CounterResetHint::Reset,
                    false => CounterResetHint::NotReset,
                }
            }
            (_, hint) => hint,
        };
        let left = FloatHistogram {
            counter_reset_hint: hint,
            schema: histogram.schema,
            count: histogram.count,
            sum: histogram.sum,
            ..FloatHistogram::default()
        };
        let mut room = spare.pop().unwrap_or_default();
        match Arc::get_mut(&mut room) {
            Some(room) => *room = left,
            None => room = Arc::new(left),
        }
        let whole = std::mem::replace(histogram, room);
        if !whole.is_stale() {
            last = Some(whole);
        }
    }
}

/// The samples at which a walk begins or lands after a jump.
fn walk_starts(times: &[i64], ends: Grid, back_ms: i64) -> Vec<usize> {
    let mut at = times.partition_point(|time| *time <= ends.start.saturating_sub(back_ms));
    let mut starts = vec![at];
    for end in ends.times() {
        let from = end.saturating_sub(back_ms);
        if times.get(at).is_some_and(|time| *time < from) {
            at += times[at..].partition_point(|time| *time < from);
            starts.push(at);
        }
        at += times[at..].partition_point(|time| *time < end);
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_known_where_the_walk_saw_the_sample_before() {
        let check = |counts: &[f64], ends: Grid, back_ms, expected: &str| {
            let of = |count: &f64| {
                Arc::new(FloatHistogram { count: *count, sum: 1.0, ..FloatHistogram::default() })
            };
            let mut histograms: Vec<_> = counts.iter().map(of).collect();
            let times: Vec<i64> = (0..counts.len() as i64).map(|i| i * 10).collect();
            let mut spare = vec![Arc::new(FloatHistogram { zero_count: 5.0, ..FloatHistogram::default() })];
            forget_buckets(&times, &mut histograms, &mut spare, ends, back_ms);
            assert!(spare.is_empty() && histograms.iter().all(|h| h.zero_count == 0.0));
            let hints = histograms.iter().map(|h| match h.counter_reset_hint {
                CounterResetHint::Unknown => 'u',
                CounterResetHint::Reset => 'r',
                CounterResetHint::NotReset => 'n',
                CounterResetHint::Gauge => 'g',
            });
            assert_eq!(hints.collect::<String>(), expected, "{counts:?} {ends:?}");
        };
        let counts = [1.0, 2.0, 1.0, 1.0, 0.0];
        check(&counts, Grid::instant(40), 100, "unrnr");
        check(&counts, Grid::instant(40), 20, "uuuur");
        check(&counts, Grid { start: 10, step: 10, steps: 4 }, 15, "unrnr");
        // A jump from 10 to 40: what lies between is in no window.
        check(&counts, Grid { start: 10, step: 30, steps: 2 }, 5, "uurnu");
    }
}

//! `rate`, `increase`, `delta` of `anchored` and `smoothed` ranges: nothing is extrapolated, values at the edges of the range
//! are those of the samples around it. Windows reach beyond the range, by the lookback.
//!
//! Anchored: the last sample at or before the range stands at its start. Smoothed: values at both edges are interpolated.

use kymo_promql_syntax::ast::Edges;

use super::rate::{Kind, find_resets, seconds};
use super::window::first_after;
use super::{Call, Window, Work};
use crate::QueryError;
use crate::columns::Floats;
use crate::row::Row;
use crate::vector::Pulse;

pub(super) fn extended(
    call: &Call<'_>,
    kind: Kind,
    work: &mut Work,
    pulse: &mut Pulse,
    out: &mut Row,
) -> Result<(), QueryError> {
    let counter = kind != Kind::Delta;
    work.indices.clear();
    if counter {
        // Start timestamps say nothing here, as upstream has it.
        find_resets(Floats { starts: &[], ..call.samples }, &mut work.indices);
    }
    let mut finder = EdgeFinder::default();
    for ((step, window), end) in call.windows.iter().copied().enumerate().zip(call.ends.times()) {
        let range = (end.saturating_sub(call.range_ms), end);
        let Some(edges) = finder.find(call.samples, window, range, call.edges, counter) else { continue };
        if edges.after_end {
            continue;
        }
        let mut result = edges.right - edges.left;
        if counter {
            result += edges.lost(call.samples.values, &work.indices, pulse)?;
        }
        if kind == Kind::Rate {
            result /= seconds(call.range_ms);
        }
        out.set(step, result);
    }
    Ok(())
}

/// The points of an extended range as a value of its own: one at each edge, and the samples between.
pub(crate) fn extended_points(
    samples: Floats<'_>,
    window: Window,
    range: (i64, i64),
    edges: Edges,
) -> (Vec<i64>, Vec<f64>) {
    let Some(found) = EdgeFinder::default().find(samples, window, range, edges, false) else {
        return (Vec::new(), Vec::new());
    };
    let inside = found.inside.0..found.inside.1.max(found.inside.0);
    let mut times = vec![range.0];
    times.extend_from_slice(&samples.times[inside.clone()]);
    times.push(range.1);
    let mut values = vec![found.left];
    values.extend_from_slice(&samples.values[inside]);
    values.push(found.right);
    (times, values)
}

/// The values at the edges of a range, and the samples strictly between them.
struct Found {
    left: f64,
    right: f64,
    inside: (usize, usize),
    /// The first sample is one after the range.
    after_end: bool,
}

/// Looks for the samples around the edges; times only go forward, so it never looks back.
#[derive(Default)]
struct EdgeFinder {
    after_start: usize,
    at_end: usize,
}

impl EdgeFinder {
    fn find(
        &mut self,
        samples: Floats<'_>,
        window: Window,
        (start, end): (i64, i64),
        edges: Edges,
        counter: bool,
    ) -> Option<Found> {
        let (times, values) = (samples.times, samples.values);
        self.after_start = first_after(times, self.after_start, start);
        self.at_end = first_after(times, self.at_end, end.saturating_sub(1));
        let (lowest, highest) = (window.lo as usize, (window.hi as usize).checked_sub(1)?);
        if window.is_empty() {
            return None;
        }
        let smoothed = edges == Edges::Smoothed;
        let first = self.after_start.min(highest).saturating_sub(1).max(lowest);
        let last = if smoothed { self.at_end.min(highest) } else { highest };
        if times[last] <= start {
            return None;
        }
        let between = |at: usize, t: i64| {
            // A counter that was reset starts from zero at the earlier sample.
            let from = if counter && values[at + 1] < values[at] { 0.0 } else { values[at] };
            from + (values[at + 1] - from) * (t - times[at]) as f64 / (times[at + 1] - times[at]) as f64
        };
        let left = match smoothed && times[first] < start && first < highest {
            true => between(first, start),
            false => values[first],
        };
        let right = match smoothed && last > lowest && times[last] > end {
            true => between(last - 1, end),
            false => values[last],
        };
        let after_end = smoothed && times[first] > end;
        let inside =
            (first + usize::from(times[first] <= start), if times[last] >= end { last } else { last + 1 });
        Some(Found { left, right, inside, after_end })
    }
}

impl Found {
    /// What was counted before the resets between the edges.
    fn lost(&self, values: &[f64], resets: &[u32], pulse: &mut Pulse) -> Result<f64, QueryError> {
        let (from, to) = self.inside;
        if from >= to {
            return Ok(if self.right < self.left { self.left } else { 0.0 });
        }
        let mut lost = if values[from] < self.left { self.left } else { 0.0 };
        let inner = &resets[resets.partition_point(|reset| *reset as usize <= from)..];
        let mut count = 0;
        for reset in inner.iter().take_while(|reset| (**reset as usize) < to) {
            lost += values[*reset as usize - 1];
            count += 1;
        }
        pulse.tick(count)?;
        if self.right < values[to - 1] {
            lost += values[to - 1];
        }
        Ok(lost)
    }
}

/// Narrows windows of an anchored range, which reach back by the lookback, to the anchor and what is inside of the range. The
/// anchor is the last sample, of either kind, at or before the range. Without a sample inside there is nothing.
pub(crate) fn narrow_to_anchor(
    (floats, natives): (&[i64], &[i64]),
    starts: impl Iterator<Item = i64>,
    windows: &mut [Window],
    native_windows: &mut [Window],
) {
    let mut native_windows = native_windows.iter_mut();
    for (window, start) in windows.iter_mut().zip(starts) {
        let mut none = Window::default();
        let native = native_windows.next().unwrap_or(&mut none);
        let inside = |times: &[i64], w: &Window| first_after(times, w.lo as usize, start) as u32;
        let (float_in, native_in) = (inside(floats, window), inside(natives, native));
        if float_in >= window.hi && native_in >= native.hi {
            (window.lo, native.lo) = (window.hi, native.hi);
            continue;
        }
        let anchor = |times: &[i64], w: &Window, inside: u32| {
            (inside.min(w.hi) > w.lo).then(|| times[inside.min(w.hi) as usize - 1])
        };
        let float_anchor = anchor(floats, window, float_in);
        let native_anchor = anchor(natives, native, native_in);
        let (of_floats, of_natives) = match (float_anchor, native_anchor) {
            (None, None) => (0, 0),
            (float, native) if float >= native => (1, 0),
            _ => (0, 1),
        };
        window.lo = float_in.min(window.hi) - of_floats;
        native.lo = native_in.min(native.hi) - of_natives;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grid::Grid;
    use crate::kernel::{RangeFunction, run, slide};
    use crate::vector::Scratch;

    fn points(samples: &[(i64, f64)], range: (i64, i64), edges: Edges) -> Vec<(i64, f64)> {
        let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
        let samples = Floats { times: &times, values: &values, starts: &[] };
        let window = Window { lo: 0, hi: times.len() as u32 };
        let (times, values) = extended_points(samples, window, range, edges);
        times.into_iter().zip(values).collect()
    }

    /// The definition, over all samples around a range.
    fn naive(samples: &[(i64, f64)], (start, end): (i64, i64), kind: Kind, smoothed: bool) -> Option<f64> {
        let counter = kind != Kind::Delta;
        let inside: Vec<(i64, f64)> =
            samples.iter().copied().filter(|(t, _)| start < *t && *t < end).collect();
        let before = samples.iter().rev().find(|(t, _)| *t <= start).copied();
        let at_end = samples.iter().find(|(t, _)| *t == end).copied();
        let after = samples.iter().find(|(t, _)| *t > end).copied().filter(|_| smoothed);
        let line = |a: (i64, f64), b: (i64, f64), t: i64| {
            let from = if counter && b.1 < a.1 { 0.0 } else { a.1 };
            from + (b.1 - from) * (t - a.0) as f64 / (b.0 - a.0) as f64
        };
        let first = inside.first().copied().or(at_end);
        let last = inside.last().copied();
        let left = match (before, first.or(after)) {
            (Some(before), _) if before.0 == start || !smoothed => before.1,
            (Some(before), Some(next)) => line(before, next, start),
            (_, _) => first?.1,
        };
        let right = match (at_end, last.or(before), after) {
            (Some(at_end), ..) => at_end.1,
            (None, Some(previous), Some(next)) => line(previous, next, end),
            (None, ..) => last?.1,
        };
        if first.is_none() && after.is_none() {
            return None;
        }
        let mut path = vec![left];
        path.extend(inside.iter().map(|(_, value)| *value));
        path.push(right);
        let lost: f64 = path.windows(2).filter(|pair| counter && pair[1] < pair[0]).map(|pair| pair[0]).sum();
        let seconds = if kind == Kind::Rate { (end - start) as f64 / 1000.0 } else { 1.0 };
        Some((right - left + lost) / seconds)
    }

    proptest! {
        #[test]
        fn extended_rates_are_their_definition(
            samples in prop::collection::vec((1i64..40_000, 0u8..20), 0..80),
            start in 0i64..600_000, step in 0i64..90_000, range_ms in 1i64..300_000, lookback_ms in 1i64..120_000,
            smoothed in prop::bool::ANY,
        ) {
            let samples: Vec<(i64, f64)> = samples.into_iter().scan(0, |t, (gap, value)| {
                *t += gap;
                Some((*t, f64::from(value)))
            }).collect();
            let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
            let ends = Grid { start, step, steps: 8 };
            let edges = if smoothed { Edges::Smoothed } else { Edges::Anchored };
            let ahead = if smoothed { lookback_ms } else { 0 };
            let mut windows = Vec::new();
            let reach = range_ms + lookback_ms + ahead;
            slide(&times, Grid { start: start + ahead, ..ends }, reach, &mut windows).unwrap();
            for (function, kind) in [
                (RangeFunction::Rate, Kind::Rate), (RangeFunction::Increase, Kind::Increase), (RangeFunction::Delta, Kind::Delta),
            ] {
                let call = Call {
                    samples: Floats { times: &times, values: &values, starts: &[] }, gaps: &[], left_out: 0,
                    windows: &windows, known: None, ends, range_ms, edges, grid: ends, params: &[],
                };
                let mut scratch = Scratch::alone();
                let mut row = Row::default();
                run(function, &call, &mut scratch.work, &mut scratch.pulse, &mut row).unwrap();
                for (step, window) in windows.iter().enumerate() {
                    let end = ends.time(step);
                    let expected = naive(&samples[window.indices()], (end - range_ms, end), kind, smoothed);
                    let found = row.get(step);
                    let same = match (expected, found) {
                        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * (1.0 + a.abs()),
                        (a, b) => a == b,
                    };
                    prop_assert!(same, "{function:?} {edges:?} step {step}: {expected:?} is not {found:?}");
                }
            }
        }
    }

    #[test]
    fn edges_of_ranges() {
        let samples = [(0, 0.0), (10, 10.0), (20, 30.0), (30, 30.0)];
        assert_eq!(points(&samples, (15, 25), Edges::Smoothed), [(15, 20.0), (20, 30.0), (25, 30.0)]);
        assert_eq!(points(&samples[..3], (15, 25), Edges::Anchored), [(15, 10.0), (20, 30.0), (25, 30.0)]);
        assert_eq!(points(&samples, (10, 20), Edges::Smoothed), [(10, 10.0), (20, 30.0)]);
        assert_eq!(points(&samples[2..3], (10, 30), Edges::Anchored), [(10, 30.0), (20, 30.0), (30, 30.0)]);
        assert_eq!(points(&samples, (30, 40), Edges::Anchored), []);
        // What comes after the range says what was there; for a rate that is nothing.
        assert_eq!(points(&samples, (-20, -10), Edges::Smoothed), [(-20, 0.0), (-10, 0.0)]);
        assert_eq!(points(&[], (0, 10), Edges::Anchored), []);
    }

    #[test]
    fn the_anchor_is_the_last_sample_of_either_kind() {
        let check = |floats: &[i64], natives: &[i64], wanted: [(u32, u32); 2]| {
            let mut of_floats = [Window { lo: 0, hi: floats.len() as u32 }];
            let mut of_natives = [Window { lo: 0, hi: natives.len() as u32 }];
            narrow_to_anchor((floats, natives), [10].into_iter(), &mut of_floats, &mut of_natives);
            let found = [of_floats[0], of_natives[0]].map(|w| (w.lo, w.hi));
            assert_eq!(found, wanted, "{floats:?} {natives:?}");
        };
        check(&[1, 5, 12], &[], [(1, 3), (0, 0)]);
        check(&[1, 5, 12], &[7], [(2, 3), (0, 1)]);
        check(&[1, 10, 12], &[7, 13], [(1, 3), (1, 2)]);
        check(&[1, 5], &[7], [(2, 2), (1, 1)]);
        check(&[11, 12], &[], [(0, 2), (0, 0)]);
    }
}

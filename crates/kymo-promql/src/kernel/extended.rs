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
        if times[last] <= start || (smoothed && times[first] > end) {
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
        let inside =
            (first + usize::from(times[first] <= start), if times[last] >= end { last } else { last + 1 });
        Some(Found { left, right, inside })
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
    use super::*;

    fn points(samples: &[(i64, f64)], range: (i64, i64), edges: Edges) -> Vec<(i64, f64)> {
        let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
        let samples = Floats { times: &times, values: &values, starts: &[] };
        let window = Window { lo: 0, hi: times.len() as u32 };
        let (times, values) = extended_points(samples, window, range, edges);
        times.into_iter().zip(values).collect()
    }

    #[test]
    fn edges_of_ranges() {
        let samples = [(0, 0.0), (10, 10.0), (20, 30.0), (30, 30.0)];
        assert_eq!(points(&samples, (15, 25), Edges::Smoothed), [(15, 20.0), (20, 30.0), (25, 30.0)]);
        assert_eq!(points(&samples[..3], (15, 25), Edges::Anchored), [(15, 10.0), (20, 30.0), (25, 30.0)]);
        assert_eq!(points(&samples, (10, 20), Edges::Smoothed), [(10, 10.0), (20, 30.0)]);
        assert_eq!(points(&samples[2..3], (10, 30), Edges::Anchored), [(10, 30.0), (20, 30.0), (30, 30.0)]);
        assert_eq!(points(&samples, (30, 40), Edges::Anchored), []);
        assert_eq!(points(&samples, (-20, -10), Edges::Smoothed), []);
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

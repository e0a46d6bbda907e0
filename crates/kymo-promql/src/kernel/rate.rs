//! `rate`, `increase`, `delta`: last minus first, resets added back, extrapolated to the edges of the window.
//!
//! Resets are found once per series and kept as a list of indices; each window then adds only its own, in upstream's order.

use super::{Call, Work};
use crate::QueryError;
use crate::row::Row;
use crate::vector::Pulse;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rate,
    Increase,
    Delta,
}

pub(super) fn extrapolated(
    call: &Call<'_>,
    kind: Kind,
    work: &mut Work,
    pulse: &mut Pulse,
    out: &mut Row,
) -> Result<(), QueryError> {
    let (times, values) = (call.samples.times, call.samples.values);
    let counter = kind != Kind::Delta;
    // Scanning pays only where windows leave most samples out.
    let indexed = counter && call.total() > values.len();
    if indexed {
        work.indices.clear();
        work.indices.extend((1..values.len()).filter(|i| values[*i] < values[i - 1]).map(|i| i as u32));
    }
    let resets = &work.indices;
    let mut next_reset = 0;
    let range_seconds = seconds(call.range_ms);
    for ((step, window), end) in call.windows.iter().enumerate().zip(call.ends.times()) {
        if window.len() < 2 {
            continue;
        }
        let (first, last) = (window.lo as usize, window.hi as usize - 1);
        let mut result = values[last] - values[first];
        if indexed {
            while next_reset < resets.len() && resets[next_reset] <= window.lo {
                next_reset += 1;
            }
            let inside = resets[next_reset..].iter().take_while(|r| **r < window.hi);
            let mut count = 0;
            for reset in inside {
                result += values[*reset as usize - 1];
                count += 1;
            }
            pulse.tick(count)?;
        } else if counter {
            for pair in values[window.indices()].windows(2) {
                if pair[1] < pair[0] {
                    result += pair[0];
                }
            }
        }
        let edges = Edges {
            before_ms: times[first].saturating_sub(end.saturating_sub(call.range_ms)),
            after_ms: end.saturating_sub(times[last]),
            sampled_ms: times[last] - times[first],
            gaps: window.len() - 1,
        };
        let mut factor = edges.factor(counter.then_some((values[first], result)));
        if kind == Kind::Rate {
            factor /= range_seconds;
        }
        out.set(step, result * factor);
    }
    Ok(())
}

/// As Go computes `Duration.Seconds`.
fn seconds(ms: i64) -> f64 {
    (ms / 1000) as f64 + ((ms % 1000) * 1_000_000) as f64 / 1e9
}

/// How far the samples of a window are from its edges.
struct Edges {
    before_ms: i64,
    after_ms: i64,
    sampled_ms: i64,
    gaps: usize,
}

impl Edges {
    /// By how much the difference grows when it is extended to the edges; for a counter never below its zero, which follows
    /// from its first value and its increase.
    fn factor(&self, counter: Option<(f64, f64)>) -> f64 {
        let mut to_start = self.before_ms as f64 / 1000.0;
        let mut to_end = self.after_ms as f64 / 1000.0;
        let sampled = self.sampled_ms as f64 / 1000.0;
        let gap = sampled / self.gaps as f64;
        let threshold = gap * 1.1;
        if to_start >= threshold {
            to_start = gap / 2.0;
        }
        if let Some((first, increase)) = counter
            && increase > 0.0
            && first >= 0.0
        {
            let to_zero = sampled * (first / increase);
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
        if to_end >= threshold {
            to_end = gap / 2.0;
        }
        (sampled + to_start + to_end) / sampled
    }
}

//! `rate`, `increase`, `delta`: last minus first, resets added back, extrapolated to the edges of the window.
//!
//! Resets are found once per series and kept as a list of indices; each window then adds only its own, in upstream's order.
//! Start timestamps, where there are any, tell of more resets, and of counters that began inside the window: those need no
//! extrapolation, not even a second sample.
//!
//! Samples that were left out lie between two others of every window and never below the one before: they only count.

use std::ops::Range;

use super::{Call, RangeFunction, Window, Work};
use crate::QueryError;
use crate::columns::Floats;
use crate::native::start;
use crate::row::Row;
use crate::vector::Pulse;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rate,
    Increase,
    Delta,
}

impl Kind {
    pub(super) fn of(function: RangeFunction) -> Option<Kind> {
        match function {
            RangeFunction::Rate => Some(Kind::Rate),
            RangeFunction::Increase => Some(Kind::Increase),
            RangeFunction::Delta => Some(Kind::Delta),
            _ => None,
        }
    }
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
    let starts = if counter { call.samples.starts } else { &[] };
    // Scanning pays only where windows leave most samples out.
    let indexed = counter && (call.total() > values.len() || !starts.is_empty());
    if indexed {
        find_resets(call.samples, &mut work.indices);
        work.start_overlaps += overlapping(call);
    }
    let Work { indices, runs, .. } = work;
    let resets = &indices[..];
    let mut next_reset = 0;
    let range_seconds = if kind == Kind::Rate { seconds(call.range_ms) } else { 1.0 };
    if starts.is_empty() && (!counter || (indexed && resets.is_empty())) && no_time_overflows(call) {
        match runs.of(call, range_seconds) {
            Some(runs) => runs.iter().for_each(|run| run.without_resets(values, counter, out)),
            None => without_resets(call, counter, range_seconds, out),
        }
        return Ok(());
    }
    let mut extension = Extension::default();
    for ((step, window), end) in call.windows.iter().enumerate().zip(call.ends.times()) {
        let begin = starts.get(window.lo as usize).copied().filter(|_| !window.is_empty()).unwrap_or(0);
        let range_start = end.saturating_sub(call.range_ms);
        let begins_inside = begin != 0 && begin > range_start && begin < times[window.lo as usize];
        if window.len() < 2 && !begins_inside {
            continue;
        }
        let (first, last) = (window.lo as usize, window.hi as usize - 1);
        let mut result = values[last] - values[first];
        if indexed && !resets.is_empty() {
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
        } else if counter && !indexed {
            for pair in values[window.indices()].windows(2) {
                if pair[1] < pair[0] {
                    result += pair[0];
                }
            }
        }
        let edges = Edges {
            before_ms: times[first].saturating_sub(range_start),
            after_ms: end.saturating_sub(times[last]),
            sampled_ms: times[last] - times[first],
            gaps: window.len() - 1 + call.left_out,
        };
        let factor = if begins_inside {
            result += values[first];
            edges.factor_since(times[last] - begin) / range_seconds
        } else {
            if extension.edges != edges {
                extension = Extension::of(edges, range_seconds);
            }
            extension.factor(counter.then_some((values[first], result)))
        };
        out.set(step, result * factor);
    }
    Ok(())
}

/// Can ends, and beginnings of windows, be computed without a look at overflows?
fn no_time_overflows(call: &Call<'_>) -> bool {
    const FAR: i64 = 1 << 60;
    let near = |ms: i64| (-FAR..FAR).contains(&ms);
    near(call.ends.start) && near(call.ends.last()) && near(call.range_ms)
}

/// Last minus first, and nothing between. The usual case, in a loop with little else: bits are put together 64 steps at a time.
fn without_resets(call: &Call<'_>, counter: bool, divisor: f64, out: &mut Row) {
    let values = call.samples.values;
    let mut extension = Extension::default();
    let mut end = call.ends.start;
    for (word, (results, windows)) in out.values.chunks_mut(64).zip(call.windows.chunks(64)).enumerate() {
        let mut bits = 0;
        for (bit, (result, window)) in results.iter_mut().zip(windows).enumerate() {
            if window.hi > window.lo + 1 {
                let (first, last) = (window.lo as usize, window.hi as usize - 1);
                let edges = Edges::of(call, (first, last), end);
                if !extension.edges.same(edges) {
                    extension = Extension::of(edges, divisor);
                }
                let increase = values[last] - values[first];
                *result = increase * extension.factor(counter.then_some((values[first], increase)));
                bits |= 1 << bit;
            }
            end = end.wrapping_add(call.ends.step);
        }
        out.valid.set_in_word(word, bits);
    }
}

/// Neighbouring steps whose windows begin and end one sample later at each step and have the same edges.
#[derive(Clone, Debug)]
struct Run {
    steps: Range<usize>,
    /// The first and the last sample of the first window.
    first: usize,
    last: usize,
    extension: Extension,
}

/// The runs of windows that one series after the other has. Series that are scraped together are computed run by run, without
/// a look at times.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// The number of the windows, by what results are divided, and how many samples windows have beside those in columns.
    of: Option<(u64, u64, usize)>,
    /// Were the windows met a second time, so that runs were looked for?
    are_found: bool,
    runs: Vec<Run>,
}

impl Runs {
    /// Runs shorter than this are not worth their name.
    const STEPS_MIN: usize = 8;

    /// The runs of the windows of a call, if they are known and long.
    fn of(&mut self, call: &Call<'_>, divisor: f64) -> Option<&[Run]> {
        let windows = (call.known?.number, divisor.to_bits(), call.left_out);
        if self.of != Some(windows) {
            self.of = Some(windows);
            self.are_found = false;
            return None;
        }
        if !std::mem::replace(&mut self.are_found, true) {
            self.find(call, divisor);
        }
        (self.runs.len() * Runs::STEPS_MIN <= call.windows.len()).then_some(&self.runs)
    }

    fn find(&mut self, call: &Call<'_>, divisor: f64) {
        self.runs.clear();
        let mut extension = Extension::default();
        for ((step, window), end) in call.windows.iter().enumerate().zip(call.ends.times()) {
            if window.len() < 2 {
                continue;
            }
            let (first, last) = (window.lo as usize, window.hi as usize - 1);
            let edges = Edges::of(call, (first, last), end);
            if !extension.edges.same(edges) {
                extension = Extension::of(edges, divisor);
            }
            let goes_on = |run: &&mut Run| {
                let len = run.steps.len();
                run.steps.end == step
                    && (run.first + len, run.last + len) == (first, last)
                    && run.extension.edges.same(edges)
            };
            match self.runs.last_mut().filter(goes_on) {
                Some(run) => run.steps.end += 1,
                None => {
                    let extension = extension.clone();
                    self.runs.push(Run { steps: step..step + 1, first, last, extension });
                }
            }
        }
    }
}

impl Run {
    fn without_resets(&self, values: &[f64], counter: bool, out: &mut Row) {
        /// Those of which one is near zero are computed once more.
        const TOGETHER: usize = 64;
        let len = self.steps.len();
        let firsts = values[self.first..][..len].chunks(TOGETHER);
        let lasts = values[self.last..][..len].chunks(TOGETHER);
        let results = out.values[self.steps.clone()].chunks_mut(TOGETHER);
        for ((firsts, lasts), results) in firsts.zip(lasts).zip(results) {
            let mut near_zero = 0;
            for ((first, last), result) in firsts.iter().zip(lasts).zip(&mut *results) {
                let increase = last - first;
                near_zero |= u64::from(self.extension.is_near_zero(*first, increase));
                *result = increase * self.extension.factor;
            }
            if counter && near_zero != 0 {
                for ((first, last), result) in firsts.iter().zip(lasts).zip(results) {
                    let increase = last - first;
                    *result = increase * self.extension.factor(Some((*first, increase)));
                }
            }
        }
        out.valid.set_range(self.steps.clone());
    }
}

/// The samples before which a counter was reset: it went down, or its start timestamp says so.
pub(super) fn find_resets(samples: Floats<'_>, out: &mut Vec<u32>) {
    let (times, values, starts) = (samples.times, samples.values, samples.starts);
    out.clear();
    if starts.is_empty() {
        // Most have none, which is seen without a branch for each.
        if !values.windows(2).fold(false, |any, pair| any | (pair[1] < pair[0])) {
            return;
        }
        out.extend((1..values.len()).filter(|i| values[*i] < values[i - 1]).map(|i| i as u32));
        return;
    }
    let reset = |i: &usize| {
        values[*i] < values[i - 1] || start::is_reset(starts[i - 1], times[i - 1], starts[*i], times[*i])
    };
    out.extend((1..values.len()).filter(reset).map(|i| i as u32));
}

/// How many windows have a sample that claims time which the sample before it covers?
fn overlapping(call: &Call<'_>) -> u64 {
    let (times, starts) = (call.samples.times, call.samples.starts);
    let pairs = starts.windows(2).zip(times).enumerate();
    let overlapping: Vec<usize> = pairs
        .filter(|(_, (pair, before))| start::overlaps(pair[0], **before, pair[1]))
        .map(|(at, _)| at)
        .collect();
    let inside = |w: &Window| {
        let next = overlapping.partition_point(|at| *at < w.lo as usize);
        overlapping.get(next).is_some_and(|at| at + 1 < w.hi as usize)
    };
    if overlapping.is_empty() { 0 } else { call.windows.iter().copied().filter(|w| inside(w)).count() as u64 }
}

/// As Go computes `Duration.Seconds`.
pub(super) fn seconds(ms: i64) -> f64 {
    (ms / 1000) as f64 + ((ms % 1000) * 1_000_000) as f64 / 1e9
}

/// How far the samples of a window are from its edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Edges {
    before_ms: i64,
    after_ms: i64,
    sampled_ms: i64,
    gaps: usize,
}

impl Edges {
    /// Those of a window from one sample to another, where no time overflows.
    #[inline(always)]
    fn of(call: &Call<'_>, (first, last): (usize, usize), end: i64) -> Edges {
        let times = call.samples.times;
        Edges {
            before_ms: times[first] - (end - call.range_ms),
            after_ms: end - times[last],
            sampled_ms: times[last] - times[first],
            gaps: last - first + call.left_out,
        }
    }

    /// Compared at once and not one after the other.
    #[inline(always)]
    fn same(&self, other: Edges) -> bool {
        let differ = (self.before_ms ^ other.before_ms)
            | (self.after_ms ^ other.after_ms)
            | (self.sampled_ms ^ other.sampled_ms)
            | (self.gaps ^ other.gaps) as i64;
        differ == 0
    }

    /// The same for a counter that began within the window, so long before its last sample: only the end is extended.
    fn factor_since(&self, counted_ms: i64) -> f64 {
        let counted = counted_ms as f64 / 1000.0;
        let gap = if self.gaps == 0 { 0.0 } else { self.sampled_ms as f64 / 1000.0 / self.gaps as f64 };
        let mut to_end = self.after_ms as f64 / 1000.0;
        if to_end >= gap * 1.1 {
            to_end = gap / 2.0;
        }
        (counted + to_end) / counted
    }
}

/// What follows from the edges of a window alone. Regular scrapes have the same in window after window, and divisions are
/// what this costs.
#[derive(Clone, Debug, Default)]
struct Extension {
    edges: Edges,
    sampled: f64,
    to_start: f64,
    to_end: f64,
    /// What the result is divided by in the end.
    divisor: f64,
    /// Of values that are far from zero.
    factor: f64,
}

impl Extension {
    fn of(edges: Edges, divisor: f64) -> Extension {
        let mut to_start = edges.before_ms as f64 / 1000.0;
        let mut to_end = edges.after_ms as f64 / 1000.0;
        let sampled = edges.sampled_ms as f64 / 1000.0;
        let gap = sampled / edges.gaps as f64;
        let threshold = gap * 1.1;
        if to_start >= threshold {
            to_start = gap / 2.0;
        }
        if to_end >= threshold {
            to_end = gap / 2.0;
        }
        let factor = (sampled + to_start + to_end) / sampled / divisor;
        Extension { edges, sampled, to_start, to_end, divisor, factor }
    }

    /// By how much the difference grows when it is extended to the edges; for a counter never below its zero, which follows
    /// from its first value and its increase.
    #[inline(always)]
    fn factor(&self, counter: Option<(f64, f64)>) -> f64 {
        if let Some((first, increase)) = counter
            && self.is_near_zero(first, increase)
        {
            let to_zero = self.sampled * (first / increase);
            if to_zero < self.to_start {
                return (self.sampled + to_zero + self.to_end) / self.sampled / self.divisor;
            }
        }
        self.factor
    }

    /// May a counter have been zero so short before its first value that it matters?
    #[inline(always)]
    fn is_near_zero(&self, first: f64, increase: f64) -> bool {
        (increase > 0.0) & (first >= 0.0) & !self.is_far_from_zero(first, increase)
    }

    /// Is `sampled * (first / increase)` larger than `to_start`, whatever the rounding? Saves the division where it is.
    #[inline(always)]
    fn is_far_from_zero(&self, first: f64, increase: f64) -> bool {
        /// Many times the rounding error of three products.
        const MARGIN: f64 = 1.0 + 1e-9;
        /// Products above this are far from where rounding errors grow.
        const LEAST: f64 = 1e-290;
        let needed = self.to_start * increase * MARGIN;
        (needed > LEAST) & (self.sampled * first > needed)
    }
}

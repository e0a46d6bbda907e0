//! Rate: `rate`, `increase` and `delta` of histograms, extrapolated to the edges of the window, and `irate` and `idelta`.
//!
//! All results are gauges.

use std::borrow::{Borrow, Cow};

use kymo_model::{CounterResetHint, FloatHistogram};

use super::{Finding, Findings, Operation, Resets, Window};

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rate,
    Increase,
    Delta,
}

impl Kind {
    pub(super) fn is_counter(self) -> bool {
        self != Kind::Delta
    }
}

/// The window as the query has it: after `start_ms`, up to `end_ms`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    /// The length written, by which rates are divided.
    pub(crate) range_ms: i64,
}

impl Range {
    /// As Go computes `Duration.Seconds`.
    pub(super) fn seconds(self) -> f64 {
        (self.range_ms / 1000) as f64 + ((self.range_ms % 1000) * 1_000_000) as f64 / 1e9
    }
}

/// The extrapolated increase over a window, or its rate. A window of one sample has one only if its start timestamp lies
/// within. False if there is nothing to compute from or if the histograms do not go together.
///
/// `known` is what is known of the whole series, and where in it the window begins; `extension` that of the window before.
/// `result` is any histogram, whose memory is used again.
pub(crate) fn rate<H: Borrow<FloatHistogram>>(
    window: Window<'_, H>,
    kind: Kind,
    range: Range,
    known: Option<(&Resets, usize)>,
    extension: &mut Extension,
    result: &mut FloatHistogram,
) -> (bool, Findings) {
    let Some(last) = window.len().checked_sub(1) else { return (false, Findings::default()) };
    let (first_time, last_time) = (window.times[0], window.times[last]);
    let mut findings = Findings::default();
    if last > 0 {
        let resets = known.filter(|_| kind.is_counter());
        let resets = resets.and_then(|(resets, first)| Some((resets.between(first, first + last)?, first)));
        if !resets.is_some_and(|(resets, first)| increase_between(window, resets, first, result)) {
            let (increase, found) = increase(window, kind.is_counter());
            findings.merge(found);
            let Some(increase) = increase else { return (false, findings) };
            *result = increase;
        }
    }
    extension.set_edges(Edges {
        before_ms: first_time.saturating_sub(range.start_ms),
        after_ms: range.end_ms.saturating_sub(last_time),
        sampled_ms: last_time.saturating_sub(first_time),
        gaps: last,
    });
    let start = window.starts.first().copied().filter(|_| kind.is_counter()).unwrap_or(0);
    let mut factor = extension.factor;
    if start != 0 && start > range.start_ms && start < first_time {
        // The counter began at zero within the window: nothing to extrapolate on that side.
        factor = extrapolation(seconds(last_time.saturating_sub(start)), 0.0, extension.to_end);
        match last {
            0 => result.clone_from(window.at(0)),
            _ => match result.add(window.at(0)) {
                Ok(combined) => findings.reconciled(combined, Operation::Addition),
                Err(_) => {
                    findings.add(Finding::MixedBuckets);
                    return (false, findings);
                }
            },
        }
    } else if last > 0 {
        let first = window.at(0).count;
        if kind.is_counter() && result.count > 0.0 && first >= 0.0 {
            // Not beyond the point where the counter would have been zero.
            let to_zero = extension.sampled * (first / result.count);
            if to_zero < extension.to_start {
                factor = extrapolation(extension.sampled, to_zero, extension.to_end);
            }
        }
    } else {
        return (false, findings);
    }
    if kind == Kind::Rate {
        factor /= range.seconds();
    }
    result.mul(factor);
    (true, findings)
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// By how much an increase grows when it is extended to both sides.
fn extrapolation(sampled: f64, to_start: f64, to_end: f64) -> f64 {
    if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled }
}

/// How far the samples of a window are from its edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Edges {
    before_ms: i64,
    after_ms: i64,
    sampled_ms: i64,
    gaps: usize,
}

/// What follows from the edges of a window alone, kept from window to window, as regular scrapes have the same ones. Begins as
/// the default.
#[derive(Debug, Default)]
pub(crate) struct Extension {
    edges: Option<Edges>,
    sampled: f64,
    to_start: f64,
    to_end: f64,
    factor: f64,
}

impl Extension {
    fn set_edges(&mut self, edges: Edges) {
        if self.edges == Some(edges) {
            return;
        }
        let mut to_start = seconds(edges.before_ms);
        let mut to_end = seconds(edges.after_ms);
        let sampled = seconds(edges.sampled_ms);
        let gap = if edges.gaps > 0 { sampled / edges.gaps as f64 } else { 0.0 };
        let threshold = gap * 1.1;
        if to_start >= threshold {
            to_start = gap / 2.0;
        }
        if to_end >= threshold {
            to_end = gap / 2.0;
        }
        let factor = extrapolation(sampled, to_start, to_end);
        *self = Extension { edges: Some(edges), sampled, to_start, to_end, factor };
    }
}

/// The same for a counter of which only the resets within the window matter: the samples, counted from the beginning of the
/// series, before which there was one. The additions are those of [`increase`], in their order. False if it has to be asked.
fn increase_between<H: Borrow<FloatHistogram>>(
    window: Window<'_, H>,
    resets: &[u32],
    begin: usize,
    result: &mut FloatHistogram,
) -> bool {
    if window.overlaps() {
        return false;
    }
    result.clone_from(window.at(window.len() - 1));
    let resets = resets.iter().map(|at| *at as usize - begin);
    let mut lost = resets.peekable();
    // What was counted up to a reset right after the first sample is nobody's.
    if lost.next_if_eq(&1).is_none() && result.sub(window.at(0)).is_err() {
        return false;
    }
    if lost.any(|at| result.add(window.at(at - 1)).is_err()) {
        return false;
    }
    result.counter_reset_hint = CounterResetHint::Gauge;
    result.compact(0);
    true
}

/// Last minus first, for counters with what was counted before each reset added. Two samples or more.
fn increase<H: Borrow<FloatHistogram>>(
    window: Window<'_, H>,
    counter: bool,
) -> (Option<FloatHistogram>, Findings) {
    let (first, second) = (window.at(0), window.at(1));
    let last = window.at(window.len() - 1);
    let mut findings = Findings::default();
    if counter && (is_gauge(first) || is_gauge(last)) {
        findings.add(Finding::NotCounter);
    }
    // A sample that was reset after does not count, whatever its layout.
    let first = if counter && (window.start_reset(1) || second.detect_reset(first)) {
        Cow::Owned(FloatHistogram {
            schema: second.schema,
            custom_values: second.custom_values.clone(),
            ..FloatHistogram::default()
        })
    } else {
        Cow::Borrowed(first)
    };
    if last.has_custom_buckets() != first.has_custom_buckets() {
        findings.add(Finding::MixedBuckets);
        return (None, findings);
    }
    let mut schema = last.schema.min(first.schema);
    if counter {
        for h in window.histograms[1..window.len() - 1].iter().map(H::borrow) {
            if is_gauge(h) {
                findings.add(Finding::NotCounter);
            }
            if h.has_custom_buckets() != last.has_custom_buckets() {
                return (None, Findings::of(Finding::MixedBuckets));
            }
            schema = schema.min(h.schema);
        }
    } else if !is_gauge(window.at(0)) || !is_gauge(last) {
        findings.add(Finding::NotGauge);
    }
    let mut result = last.clone();
    if schema < result.schema && result.reduce_resolution(schema).is_err() {
        return (None, Findings::of(Finding::MixedBuckets));
    }
    let Ok(combined) = result.sub(&first) else {
        return (None, Findings::of(Finding::MixedBuckets));
    };
    findings.reconciled(combined, Operation::Subtraction);
    if counter {
        if window.overlaps() {
            findings.add(Finding::StartOverlap);
        }
        let mut before: &FloatHistogram = &first;
        for index in 1..window.len() {
            let h = window.at(index);
            if window.start_reset(index) || h.detect_reset(before) {
                let Ok(combined) = result.add(before) else {
                    return (None, Findings::of(Finding::MixedBuckets));
                };
                findings.reconciled(combined, Operation::Addition);
            }
            before = h;
        }
    }
    result.counter_reset_hint = CounterResetHint::Gauge;
    result.compact(0);
    (Some(result), findings)
}

/// The last of two samples minus the first, for counters without it after a reset; divided by the seconds between them if
/// that is wanted, as for `irate`, which is also what makes it a function of counters.
pub(crate) fn instant<H: Borrow<FloatHistogram>>(
    window: Window<'_, H>,
    per_second: bool,
) -> (Option<FloatHistogram>, Findings) {
    let mut findings = Findings::default();
    if window.len() != 2 || window.times[0] == window.times[1] {
        return (None, findings);
    }
    let (before, h) = (window.at(0), window.at(1));
    if per_second && (is_gauge(before) || is_gauge(h)) {
        findings.add(Finding::NotCounter);
    }
    if !(per_second || is_gauge(before) && is_gauge(h)) {
        findings.add(Finding::NotGauge);
    }
    let mut result = h.clone();
    if !per_second || !(window.start_reset(1) || h.detect_reset(before)) {
        let Ok(combined) = result.sub(before) else {
            findings.add(Finding::MixedBuckets);
            return (None, findings);
        };
        findings.reconciled(combined, Operation::Subtraction);
    }
    result.counter_reset_hint = CounterResetHint::Gauge;
    result.compact(0);
    if per_second {
        result.div((window.times[1] - window.times[0]) as f64 / 1000.0);
    }
    (Some(result), findings)
}

pub(super) fn is_gauge(h: &FloatHistogram) -> bool {
    h.counter_reset_hint == CounterResetHint::Gauge
}

//! Extended: `rate`, `increase` and `delta` of `anchored` and `smoothed` windows, which reach beyond the range to the samples
//! around it and extrapolate nothing.
//!
//! Anchored windows begin with the last sample at or before the range, taken as if it were at its edge. Smoothed ones
//! interpolate at both edges.

use std::borrow::Borrow;

use kymo_model::{CounterResetHint, FloatHistogram, IncompatibleHistograms};

use super::rate::is_gauge;
use super::{Finding, Findings, Kind, Operation, Range, Window};

/// The increase over a range, or its rate. The window may begin before the range and, smoothed, end after it.
pub(crate) fn extended<H: Borrow<FloatHistogram>>(
    window: Window<'_, H>,
    kind: Kind,
    range: Range,
    smoothed: bool,
) -> (Option<FloatHistogram>, Findings) {
    let mut findings = Findings::default();
    let result = window.len().checked_sub(1).and_then(|last| {
        let edges = Edges::find(window, last, range, smoothed)?;
        let result = increase(window, &edges, kind.is_counter(), &mut findings);
        result.inspect_err(|_| findings.add(Finding::MixedBuckets)).ok()
    });
    let result = result.map(|mut result| {
        if kind == Kind::Rate {
            result.div(range.seconds());
        }
        result.counter_reset_hint = CounterResetHint::Gauge;
        result.compact(0);
        result
    });
    (result, findings)
}

/// Which samples are used, and where between them values are asked for.
struct Edges {
    first: usize,
    last: usize,
    range: Range,
    smoothed: bool,
}

impl Edges {
    /// `None` if the samples are all before or, smoothed, all after the range.
    fn find<H: Borrow<FloatHistogram>>(
        window: Window<'_, H>,
        last: usize,
        range: Range,
        smoothed: bool,
    ) -> Option<Edges> {
        let times = &window.times[..last];
        let first = times.partition_point(|time| *time <= range.start_ms).saturating_sub(1);
        let last = if smoothed { times.partition_point(|time| *time < range.end_ms) } else { last };
        let outside =
            window.times[last] <= range.start_ms || (smoothed && window.times[first] > range.end_ms);
        (!outside).then_some(Edges { first, last, range, smoothed })
    }

    fn left<H: Borrow<FloatHistogram>>(
        &self,
        window: Window<'_, H>,
        counter: bool,
        findings: &mut Findings,
    ) -> Result<FloatHistogram, IncompatibleHistograms> {
        match self.begins_between(window) {
            true => between(window, self.first, self.range.start_ms, counter, findings),
            false => Ok(window.at(self.first).clone()),
        }
    }

    fn right<H: Borrow<FloatHistogram>>(
        &self,
        window: Window<'_, H>,
        counter: bool,
        findings: &mut Findings,
    ) -> Result<FloatHistogram, IncompatibleHistograms> {
        if self.smoothed && self.last > 0 && window.times[self.last] > self.range.end_ms {
            return between(window, self.last - 1, self.range.end_ms, counter, findings);
        }
        Ok(window.at(self.last).clone())
    }

    /// Does the range begin between the first sample and the second, with a value interpolated?
    fn begins_between<H: Borrow<FloatHistogram>>(&self, window: Window<'_, H>) -> bool {
        self.smoothed && window.times[self.first] < self.range.start_ms && self.first + 1 < window.len()
    }
}

fn increase<H: Borrow<FloatHistogram>>(
    window: Window<'_, H>,
    edges: &Edges,
    counter: bool,
    findings: &mut Findings,
) -> Result<FloatHistogram, IncompatibleHistograms> {
    let custom = window.at(edges.first).has_custom_buckets();
    for h in window.histograms[edges.first..=edges.last].iter().map(H::borrow) {
        if h.has_custom_buckets() != custom {
            return Err(IncompatibleHistograms);
        }
        if counter && is_gauge(h) {
            findings.add(Finding::NotCounter);
        }
    }
    let left = edges.left(window, counter, findings)?;
    let right = edges.right(window, counter, findings)?;
    if !(counter || is_gauge(&left) && is_gauge(&right)) {
        findings.add(Finding::NotGauge);
    }
    let mut result = right.clone();
    findings.reconciled(result.sub(&left)?, Operation::Subtraction);
    if counter && let Some(lost) = lost(window, edges, &left, &right, findings)? {
        findings.reconciled(result.add(&lost)?, Operation::Addition);
    }
    Ok(result)
}

/// What was counted before the resets between two edges. The values at the edges stand for the samples that they are made
/// of; a reset that the left one was interpolated over is accounted for already.
fn lost<H: Borrow<FloatHistogram>>(
    window: Window<'_, H>,
    edges: &Edges,
    left: &FloatHistogram,
    right: &FloatHistogram,
    findings: &mut Findings,
) -> Result<Option<FloatHistogram>, IncompatibleHistograms> {
    let mut next = edges.first + 1;
    let mut before = left;
    if edges.begins_between(window) && window.at(next).detect_reset(window.at(edges.first)) {
        before = window.at(next);
        next += 1;
    }
    // Nothing is left between the edges, not even the step to the right one.
    if next > edges.last {
        return Ok(None);
    }
    let mut lost: Option<FloatHistogram> = None;
    let inner = window.histograms[next..edges.last].iter().map(H::borrow);
    for h in inner.chain([right]) {
        if h.detect_reset(before) {
            match &mut lost {
                None => lost = Some(before.clone()),
                Some(lost) => findings.reconciled(lost.add(before)?, Operation::Addition),
            }
        }
        before = h;
    }
    Ok(lost)
}

/// The value at a time between a sample and the next.
fn between<H: Borrow<FloatHistogram>>(
    window: Window<'_, H>,
    index: usize,
    time: i64,
    counter: bool,
    findings: &mut Findings,
) -> Result<FloatHistogram, IncompatibleHistograms> {
    let (a, b) = (window.at(index), window.at(index + 1));
    let (value, found) = interpolate((window.times[index], a), (window.times[index + 1], b), time, counter)?;
    findings.merge(found);
    Ok(value)
}

/// The histogram on the line between two at a time. Across a reset a counter starts from zero at the earlier sample.
pub(crate) fn interpolate(
    (earlier, a): (i64, &FloatHistogram),
    (later, b): (i64, &FloatHistogram),
    time: i64,
    counter: bool,
) -> Result<(FloatHistogram, Findings), IncompatibleHistograms> {
    let mut findings = Findings::default();
    if time == earlier {
        return Ok((a.clone(), findings));
    }
    let mut value = b.clone();
    if time == later {
        return Ok((value, findings));
    }
    let share = (time - earlier) as f64 / (later - earlier) as f64;
    if counter && b.detect_reset(a) {
        value.mul(share);
        return Ok((value, findings));
    }
    findings.reconciled(value.sub(a)?, Operation::Subtraction);
    value.mul(share);
    findings.reconciled(value.add(a)?, Operation::Addition);
    Ok((value, findings))
}

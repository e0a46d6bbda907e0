//! Native: what PromQL computes from native histograms, as pure functions. Between the model's arithmetic and the operators.
//!
//! Nothing here knows series, steps or the text of warnings: a function takes histograms, gives back a value and the
//! [`Findings`] that its caller turns into notes. Mixtures of floats and histograms are the caller's business.

mod extended;
mod moments;
mod quantile;
mod rate;
mod resets;
pub(crate) mod start;
mod total;

use std::borrow::Borrow;

use kymo_model::{Combined, FloatHistogram};

pub(crate) use extended::{extended, interpolate};
pub(crate) use moments::{average, deviation, variance};
pub(crate) use quantile::{NanObservations, fraction, quantile};
pub(crate) use rate::{Extension, Kind, Range, instant, rate};
pub(crate) use resets::Resets;
pub(crate) use total::{Mean, Sum};

/// The samples of one series that a range function looks at: histograms only, times strictly increasing.
#[derive(Debug)]
pub(crate) struct Window<'a, H> {
    /// Milliseconds.
    pub(crate) times: &'a [i64],
    /// As many.
    pub(crate) histograms: &'a [H],
    /// As many start timestamps, 0 where unknown; none where they are not asked for.
    pub(crate) starts: &'a [i64],
}

impl<H> Clone for Window<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Window<'_, H> {}

impl<'a, H: Borrow<FloatHistogram>> Window<'a, H> {
    fn len(&self) -> usize {
        self.times.len()
    }

    fn at(&self, index: usize) -> &'a FloatHistogram {
        self.histograms[index].borrow()
    }

    /// Do the start timestamps say that there was a reset between a sample and the one before it?
    fn start_reset(&self, index: usize) -> bool {
        let (Some(before), Some(start)) = (self.starts.get(index - 1), self.starts.get(index)) else {
            return false;
        };
        start::is_reset(*before, self.times[index - 1], *start, self.times[index])
    }

    /// Does a start timestamp lie before the sample that precedes its own?
    fn overlaps(&self) -> bool {
        let pairs = self.starts.windows(2).zip(self.times);
        pairs.into_iter().any(|(pair, before)| start::overlaps(pair[0], *before, pair[1]))
    }
}

/// Something to tell the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A function of counters met a gauge.
    NotCounter,
    /// A function of gauges met a counter.
    NotGauge,
    /// Exponential and custom buckets met; there is no result.
    MixedBuckets,
    /// A start timestamp lies before the sample that precedes its own.
    StartOverlap,
    /// Hints of a reset and of none met.
    ResetsCollide(Operation),
    /// Different custom bounds met; those shared were used.
    BoundsReconciled(Operation),
}

/// What was done when histograms met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// One was added to the other.
    Addition,
    /// One was subtracted from the other.
    Subtraction,
    /// Many were summed up or averaged.
    Aggregation,
}

/// Findings, each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings(u16);

impl Findings {
    const ALL: [Finding; 10] = [
        Finding::NotCounter,
        Finding::NotGauge,
        Finding::MixedBuckets,
        Finding::StartOverlap,
        Finding::ResetsCollide(Operation::Addition),
        Finding::ResetsCollide(Operation::Subtraction),
        Finding::ResetsCollide(Operation::Aggregation),
        Finding::BoundsReconciled(Operation::Addition),
        Finding::BoundsReconciled(Operation::Subtraction),
        Finding::BoundsReconciled(Operation::Aggregation),
    ];

    /// Only this one.
    pub(crate) fn of(finding: Finding) -> Findings {
        let mut findings = Findings::default();
        findings.add(finding);
        findings
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        if let Some(bit) = Findings::ALL.iter().position(|other| *other == finding) {
            self.0 |= 1 << bit;
        }
    }

    pub(crate) fn merge(&mut self, other: Findings) {
        self.0 |= other.0;
    }

    pub(crate) fn has(self, finding: Finding) -> bool {
        self.0 != 0 && self.iter().any(|found| found == finding)
    }

    /// What a binary operator has to tell.
    pub(crate) fn of_combined(combined: Combined, operation: Operation) -> Findings {
        let mut findings = Findings::default();
        if combined.resets_collide {
            findings.add(Finding::ResetsCollide(operation));
        }
        findings.reconciled(combined, operation);
        findings
    }

    /// Range functions treat resets themselves; of a sum or difference they tell only that bounds differed.
    fn reconciled(&mut self, combined: Combined, operation: Operation) {
        if combined.bounds_reconciled {
            self.add(Finding::BoundsReconciled(operation));
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Finding> {
        Findings::ALL.into_iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, f)| f)
    }
}

#[cfg(test)]
mod tests;

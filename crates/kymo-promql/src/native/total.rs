//! Total: sum and mean of many histograms, over series or over time.

use kymo_model::{Compensation, CounterResetHint, FloatHistogram, IncompatibleHistograms};

use super::{Finding, Findings, Operation};

/// Which hints were seen among those added up.
#[derive(Clone, Copy, Debug, Default)]
struct Hints {
    reset: bool,
    not_reset: bool,
    reconciled: bool,
}

impl Hints {
    fn see(&mut self, h: &FloatHistogram) {
        self.reset |= h.counter_reset_hint == CounterResetHint::Reset;
        self.not_reset |= h.counter_reset_hint == CounterResetHint::NotReset;
    }

    fn findings(self) -> Findings {
        let mut findings = Findings::default();
        if self.reset && self.not_reset {
            findings.add(Finding::ResetsCollide(Operation::Aggregation));
        }
        if self.reconciled {
            findings.add(Finding::BoundsReconciled(Operation::Aggregation));
        }
        findings
    }
}

/// A compensated sum.
#[derive(Clone, Debug)]
pub(crate) struct Sum {
    total: FloatHistogram,
    rest: Compensation,
    hints: Hints,
}

impl Sum {
    pub(crate) fn of(first: &FloatHistogram) -> Sum {
        let mut hints = Hints::default();
        hints.see(first);
        Sum { total: first.clone(), rest: Compensation::default(), hints }
    }

    /// After an error there is no sum.
    pub(crate) fn add(&mut self, h: &FloatHistogram) -> Result<(), IncompatibleHistograms> {
        self.hints.see(h);
        self.hints.reconciled |= self.total.add_compensated(h, &mut self.rest)?.bounds_reconciled;
        Ok(())
    }

    /// The sum, not compacted.
    pub(crate) fn finish(mut self) -> (FloatHistogram, Findings) {
        self.total.settle(&self.rest);
        (self.total, self.hints.findings())
    }
}

/// A compensated mean: the sum divided, or, once the sum would be infinite, the mean itself carried along.
#[derive(Clone, Debug)]
pub(crate) struct Mean {
    /// The sum, or the mean once `incremental`.
    total: FloatHistogram,
    rest: Compensation,
    count: f64,
    incremental: bool,
    /// No count or sum of the total is further from zero than this.
    bound: f64,
    hints: Hints,
}

impl Mean {
    pub(crate) fn of(first: &FloatHistogram) -> Mean {
        let mut hints = Hints::default();
        hints.see(first);
        Mean {
            total: first.clone(),
            rest: Compensation::default(),
            count: 1.0,
            incremental: false,
            bound: magnitude(first),
            hints,
        }
    }

    /// After an error there is no mean.
    pub(crate) fn add(&mut self, h: &FloatHistogram) -> Result<(), IncompatibleHistograms> {
        self.hints.see(h);
        self.count += 1.0;
        if !self.incremental && self.add_to_sum(h)? {
            return Ok(());
        }
        let before = self.count - 1.0;
        if !self.incremental {
            self.incremental = true;
            self.total.div(before);
            self.rest.div(before);
        }
        let share = before / self.count;
        self.total.mul(share);
        self.rest.mul(share);
        let mut part = h.clone();
        part.div(self.count);
        self.hints.reconciled |= self.total.add_compensated(&part, &mut self.rest)?.bounds_reconciled;
        Ok(())
    }

    /// Adds unless that makes something infinite. Only sums that come near need a copy to go back to.
    fn add_to_sum(&mut self, h: &FloatHistogram) -> Result<bool, IncompatibleHistograms> {
        self.bound += magnitude(h);
        let backup = (self.bound >= f64::MAX / 4.0 || self.bound.is_nan())
            .then(|| (self.total.clone(), self.rest.clone()));
        self.hints.reconciled |= self.total.add_compensated(h, &mut self.rest)?.bounds_reconciled;
        match backup {
            Some(backup) if self.total.has_overflow() => {
                (self.total, self.rest) = backup;
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// The mean, not compacted.
    pub(crate) fn finish(mut self) -> (FloatHistogram, Findings) {
        if !self.incremental {
            self.total.div(self.count);
            self.rest.div(self.count);
        }
        self.total.settle(&self.rest);
        (self.total, self.hints.findings())
    }
}

/// No combination of a histogram's buckets, nor its count or sum, is further from zero.
fn magnitude(h: &FloatHistogram) -> f64 {
    let buckets = h.positive_buckets.iter().chain(&h.negative_buckets);
    buckets.chain([&h.zero_count, &h.count, &h.sum]).map(|count| count.abs()).sum()
}

//! `sum_over_time` and `avg_over_time`, and the compensated sums that they share with the aggregations.
//!
//! Sums are Kahan's with Neumaier's improvement. Averages are sums divided, until the sum would overflow; from there on the
//! mean itself is carried. Where an overflow is possible, windows are scanned, because it depends on the order.

use super::Call;
use super::stacks::{Summary, summaries};
use crate::QueryError;
use crate::row::Row;
use crate::vector::Pulse;

/// A compensated sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    pub(crate) sum: f64,
    pub(crate) rest: f64,
}

impl Sum {
    #[inline]
    pub(crate) fn add(self, value: f64) -> Sum {
        let sum = self.sum + value;
        let lost =
            if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        Sum { sum, rest: if sum.is_infinite() { 0.0 } else { self.rest + lost } }
    }

    pub(crate) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.rest }
    }
}

impl Summary for Sum {
    const EMPTY: Sum = Sum { sum: 0.0, rest: 0.0 };

    fn with(self, _: i64, value: f64) -> Sum {
        self.add(value)
    }

    fn join(self, later: Sum) -> Sum {
        let mut both = self.add(later.sum);
        if !both.sum.is_infinite() {
            both.rest += later.rest;
        }
        both
    }
}

/// A compensated average that survives sums beyond the largest float.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    /// The sum so far, or the mean once that is carried.
    total: Sum,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(crate) fn of(first: f64) -> Mean {
        Mean { total: Sum { sum: first, rest: 0.0 }, count: 1.0, incremental: false }
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let next = self.total.add(value);
            if !next.sum.is_infinite() {
                self.total = next;
                return;
            }
            self.incremental = true;
            self.total.sum /= self.count - 1.0;
            self.total.rest /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        let scaled = Sum { sum: share * self.total.sum, rest: share * self.total.rest };
        self.total = scaled.add(value / self.count);
    }

    pub(crate) fn value(&self) -> f64 {
        if self.incremental {
            self.total.sum + self.total.rest
        } else {
            self.total.sum / self.count + self.total.rest / self.count
        }
    }
}

/// Could the sum of finite values in some window be infinite?
fn may_overflow(values: &[f64]) -> bool {
    let largest = values.iter().filter(|v| v.is_finite()).fold(0.0f64, |max, v| max.max(v.abs()));
    largest * (values.len() as f64) >= f64::MAX / 4.0
}

pub(super) fn sum(call: &Call<'_>, pulse: &mut Pulse, out: &mut Row) -> Result<(), QueryError> {
    let values = call.samples.values;
    if !call.scan_is_cheap() && !may_overflow(values) {
        return summaries(call, pulse, |step, sum: Sum, _| out.set(step, sum.total()));
    }
    for (step, window) in call.each() {
        pulse.tick(window.len())?;
        let sum = values[window.indices()].iter().fold(Sum::default(), |sum, v| sum.add(*v));
        out.set(step, sum.total());
    }
    Ok(())
}

pub(super) fn avg(call: &Call<'_>, pulse: &mut Pulse, out: &mut Row) -> Result<(), QueryError> {
    let values = call.samples.values;
    // Infinite samples make the sum overflow at a place that matters, too.
    if !call.scan_is_cheap() && !may_overflow(values) && values.iter().all(|v| !v.is_infinite()) {
        return summaries(call, pulse, |step, sum: Sum, _| {
            let count = call.windows[step].len() as f64;
            out.set(step, sum.sum / count + sum.rest / count);
        });
    }
    for (step, window) in call.each() {
        pulse.tick(window.len())?;
        let window = &values[window.indices()];
        let mut mean = Mean::of(window[0]);
        window[1..].iter().for_each(|v| mean.add(*v));
        out.set(step, mean.value());
    }
    Ok(())
}

//! Compensated: sums of many histograms in which rounding errors do not pile up.
//!
//! Kahan's summation with Neumaier's improvement for every bucket, the count and the sum. What rounding took is kept beside
//! the histogram, in its layout, and added once at the end.

use super::arithmetic::align;
use super::buckets::Side;
use super::layout::{Indexed, unindexed};
use super::parts::{Parts, onto, populated, shared_bounds, united};
use super::terms::{Compensated, Term};
use super::within::Within;
use super::{Combined, FloatHistogram, IncompatibleHistograms, Span};

/// What rounding took from the parts of one sum. Begins empty and belongs to that sum alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compensation {
    zero_count: f64,
    count: f64,
    sum: f64,
    /// One for each bucket of the histogram, or fewer as long as the others lost nothing.
    positive: Vec<f64>,
    negative: Vec<f64>,
}

impl Compensation {
    /// Multiplies along with the histogram.
    pub fn mul(&mut self, factor: f64) {
        self.each(|rest| *rest *= factor);
    }

    /// Divides along with the histogram.
    pub fn div(&mut self, divisor: f64) {
        self.each(|rest| *rest /= divisor);
    }

    fn each(&mut self, mut change: impl FnMut(&mut f64)) {
        [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter().for_each(&mut change);
        self.positive.iter_mut().chain(&mut self.negative).for_each(change);
    }
}

impl FloatHistogram {
    /// Adds another histogram and keeps what rounding takes. [`FloatHistogram::settle`] ends the sum.
    ///
    /// ```
    /// use kymo_model::{Compensation, FloatHistogram};
    /// let of_sum = |sum| FloatHistogram { sum, ..FloatHistogram::default() };
    /// let (mut total, mut compensation) = (of_sum(1e100), Compensation::default());
    /// for sum in [1.0, -1e100] {
    ///     total.add_compensated(&of_sum(sum), &mut compensation).unwrap();
    /// }
    /// total.settle(&compensation);
    /// assert_eq!(total.sum, 1.0);
    /// ```
    pub fn add_compensated(
        &mut self,
        other: &FloatHistogram,
        compensation: &mut Compensation,
    ) -> Result<Combined, IncompatibleHistograms> {
        let mut combined = self.meet(other)?;
        let c = compensation;
        c.positive.resize(self.positive_buckets.len(), 0.0);
        c.negative.resize(self.negative_buckets.len(), 0.0);
        add_to(&mut self.count, &mut c.count, other.count);
        add_to(&mut self.sum, &mut c.sum, other.sum);
        if self.same_layout(other) {
            add_to(&mut self.zero_count, &mut c.zero_count, other.zero_count);
            for (mine, rest, theirs) in [
                (&mut self.positive_buckets, &mut c.positive, &other.positive_buckets),
                (&mut self.negative_buckets, &mut c.negative, &other.negative_buckets),
            ] {
                for ((mine, rest), theirs) in mine.iter_mut().zip(rest).zip(theirs) {
                    add_to(mine, rest, *theirs);
                }
            }
        } else if self.has_all_of(other) {
            add_to(&mut self.zero_count, &mut c.zero_count, other.zero_count);
            for (spans, mine, rest, other_spans, theirs) in [
                (
                    &self.positive_spans,
                    &mut self.positive_buckets,
                    &mut c.positive,
                    &other.positive_spans,
                    &other.positive_buckets,
                ),
                (
                    &self.negative_spans,
                    &mut self.negative_buckets,
                    &mut c.negative,
                    &other.negative_spans,
                    &other.negative_buckets,
                ),
            ] {
                Within::new((spans, mine.len()), (other_spans, theirs.len())).walk(|at, from, length| {
                    let here = at..at + length;
                    let mine = mine[here.clone()].iter_mut().zip(&mut rest[here]);
                    for ((mine, rest), theirs) in mine.zip(&theirs[from..from + length]) {
                        add_to(mine, rest, *theirs);
                    }
                });
            }
        } else if self.has_custom_buckets() {
            combined.bounds_reconciled = self.custom_values != other.custom_values;
            self.add_custom_compensated(other, c);
        } else {
            let mut mine = Parts {
                schema: self.schema,
                zero_threshold: self.zero_threshold,
                zero: Compensated { sum: self.zero_count, rest: c.zero_count },
                positive: paired(&self.positive_spans, &self.positive_buckets, &c.positive),
                negative: paired(&self.negative_spans, &self.negative_buckets, &c.negative),
            };
            let theirs = Parts::of(other);
            let exact =
                |side: Indexed<f64>| side.into_iter().map(|(i, n)| (i, Compensated::exact(n))).collect();
            let mut theirs = Parts {
                schema: theirs.schema,
                zero_threshold: theirs.zero_threshold,
                zero: Compensated::exact(theirs.zero),
                positive: exact(theirs.positive),
                negative: exact(theirs.negative),
            };
            align(&mut mine, &mut theirs);
            mine.zero += theirs.zero;
            (self.schema, self.zero_threshold) = (mine.schema, mine.zero_threshold);
            (self.zero_count, c.zero_count) = (mine.zero.sum, mine.zero.rest);
            (self.positive_spans, self.positive_buckets, c.positive) =
                unpaired(unindexed(united(mine.positive, theirs.positive)));
            (self.negative_spans, self.negative_buckets, c.negative) =
                unpaired(unindexed(united(mine.negative, theirs.negative)));
        }
        Ok(combined)
    }

    /// Adds what rounding took: the end of a compensated sum.
    pub fn settle(&mut self, compensation: &Compensation) {
        self.count += compensation.count;
        self.sum += compensation.sum;
        self.zero_count += compensation.zero_count;
        for (counts, rests) in [
            (&mut self.positive_buckets, &compensation.positive),
            (&mut self.negative_buckets, &compensation.negative),
        ] {
            counts.iter_mut().zip(rests).for_each(|(count, rest)| *count += rest);
        }
        self.forget_zero();
    }

    fn add_custom_compensated(&mut self, other: &FloatHistogram, c: &mut Compensation) {
        let theirs = Side::new(&other.positive_spans, &other.positive_buckets);
        let united = if self.custom_values == other.custom_values {
            let theirs = theirs.map(|(index, count)| (index, Compensated::exact(count))).collect();
            unindexed(united(paired(&self.positive_spans, &self.positive_buckets, &c.positive), theirs))
        } else {
            let shared = shared_bounds(&self.custom_values, &other.custom_values);
            let mut counts = vec![Compensated::default(); shared.len() + 1];
            let mine = Side::new(&self.positive_spans, &self.positive_buckets);
            let with_rest = |at, sum| Compensated { sum, rest: c.positive.get(at).copied().unwrap_or(0.0) };
            onto(mine, with_rest, &self.custom_values, &shared, &mut counts);
            onto(theirs, |_, count| Compensated::exact(count), &other.custom_values, &shared, &mut counts);
            self.custom_values = shared;
            populated(counts)
        };
        (self.positive_spans, self.positive_buckets, c.positive) = unpaired(united);
    }
}

fn add_to(sum: &mut f64, rest: &mut f64, value: f64) {
    let added = Compensated { sum: *sum, rest: *rest }.plus(value);
    (*sum, *rest) = (added.sum, added.rest);
}

fn paired(spans: &[Span], counts: &[f64], rests: &[f64]) -> Indexed<Compensated> {
    let rests = rests.iter().copied().chain(std::iter::repeat(0.0));
    Side::new(spans, counts)
        .zip(rests)
        .map(|((index, sum), rest)| (index, Compensated { sum, rest }))
        .collect()
}

fn unpaired((spans, counts): (Vec<Span>, Vec<Compensated>)) -> (Vec<Span>, Vec<f64>, Vec<f64>) {
    let (sums, rests) = counts.into_iter().map(|count| (count.sum, count.rest)).unzip();
    (spans, sums, rests)
}

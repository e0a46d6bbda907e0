//! Arithmetic: sums, differences and multiples of histograms, as PromQL computes them.
//!
//! Two histograms need not be laid out alike. Exponential ones meet at the lower of their schemas and at a zero bucket wide
//! enough for both; custom ones at the bounds that they share. A custom and an exponential one do not go together.

use super::buckets::Side;
use super::layout::unindexed;
use super::parts::{Parts, onto, populated, shared_bounds, united};
use super::within::Within;
use super::{CounterResetHint, FloatHistogram, Span, bounds};

/// What happened on the way to a sum or difference that a reader may want to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Combined {
    /// One hint said that there was a counter reset, the other that there was none; the result's hint is unknown.
    pub resets_collide: bool,
    /// The custom bounds differed; the result has those that both share.
    pub bounds_reconciled: bool,
}

/// One histogram has custom bounds and the other an exponential schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected two histograms of exponential buckets or two of custom buckets, found one of each")]
pub struct IncompatibleHistograms;

impl FloatHistogram {
    /// Adds another histogram bucket by bucket. Empty buckets may remain; see [`FloatHistogram::compact`].
    ///
    /// ```
    /// use kymo_model::{FloatHistogram, Span};
    /// let mut fine = FloatHistogram {
    ///     schema: 1,
    ///     count: 3.0,
    ///     positive_spans: vec![Span { offset: 1, length: 2 }],
    ///     positive_buckets: vec![1.0, 2.0],
    ///     ..FloatHistogram::default()
    /// };
    /// let coarse = FloatHistogram {
    ///     count: 5.0,
    ///     positive_spans: vec![Span { offset: 1, length: 1 }],
    ///     positive_buckets: vec![5.0],
    ///     ..FloatHistogram::default()
    /// };
    /// fine.add(&coarse).unwrap();
    /// assert_eq!((fine.schema, fine.count, fine.positive_buckets), (0, 8.0, vec![8.0]));
    /// ```
    pub fn add(&mut self, other: &FloatHistogram) -> Result<Combined, IncompatibleHistograms> {
        self.combine(other, 1.0)
    }

    /// Subtracts another histogram bucket by bucket. The hint follows the rules of [`FloatHistogram::add`]; who means the
    /// difference to be an answer makes it a gauge.
    pub fn sub(&mut self, other: &FloatHistogram) -> Result<Combined, IncompatibleHistograms> {
        self.combine(other, -1.0)
    }

    /// Multiplies all counts and the sum. A negative factor makes a gauge.
    pub fn mul(&mut self, factor: f64) {
        self.each_count(|count| *count *= factor);
        if factor < 0.0 {
            self.counter_reset_hint = CounterResetHint::Gauge;
        }
    }

    /// Divides all counts and the sum. A negative divisor makes a gauge; division by zero leaves no buckets.
    pub fn div(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.positive_spans.clear();
            self.positive_buckets.clear();
            self.negative_spans.clear();
            self.negative_buckets.clear();
        }
        self.each_count(|count| *count /= divisor);
        if divisor < 0.0 {
            self.counter_reset_hint = CounterResetHint::Gauge;
        }
    }

    /// Is a count or the sum infinite, as after adding up too much?
    pub fn has_overflow(&self) -> bool {
        [self.zero_count, self.count, self.sum].iter().any(|value| value.is_infinite())
            || self.positive_buckets.iter().any(|count| count.is_infinite())
            || self.negative_buckets.iter().any(|count| count.is_infinite())
            || self.custom_values.iter().any(|bound| bound.is_infinite())
    }

    fn each_count(&mut self, mut change: impl FnMut(&mut f64)) {
        self.forget_zero();
        [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter().for_each(&mut change);
        self.positive_buckets.iter_mut().chain(&mut self.negative_buckets).for_each(change);
    }

    /// Custom buckets have no zero bucket. Upstream's copies leave out what an infinite factor has made of its count.
    pub(super) fn forget_zero(&mut self) {
        if self.has_custom_buckets() {
            self.zero_count = 0.0;
        }
    }

    /// Adds `sign` times the other.
    fn combine(&mut self, other: &FloatHistogram, sign: f64) -> Result<Combined, IncompatibleHistograms> {
        let mut combined = self.meet(other)?;
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        if self.same_layout(other) {
            self.zero_count += sign * other.zero_count;
            for (mine, theirs) in [
                (&mut self.positive_buckets, &other.positive_buckets),
                (&mut self.negative_buckets, &other.negative_buckets),
            ] {
                mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += sign * theirs);
            }
        } else if self.has_all_of(other) {
            self.zero_count += sign * other.zero_count;
            for (spans, mine, other_spans, theirs) in [
                (
                    &self.positive_spans,
                    &mut self.positive_buckets,
                    &other.positive_spans,
                    &other.positive_buckets,
                ),
                (
                    &self.negative_spans,
                    &mut self.negative_buckets,
                    &other.negative_spans,
                    &other.negative_buckets,
                ),
            ] {
                Within::new((spans, mine.len()), (other_spans, theirs.len())).walk(|at, from, length| {
                    let pairs = mine[at..at + length].iter_mut().zip(&theirs[from..from + length]);
                    pairs.for_each(|(mine, theirs)| *mine += sign * theirs);
                });
            }
        } else if self.has_custom_buckets() {
            combined.bounds_reconciled = self.custom_values != other.custom_values;
            self.combine_custom(other, sign);
        } else {
            let (mut mine, mut theirs) = (Parts::of(self), Parts::of(other));
            align(&mut mine, &mut theirs);
            let signed =
                |side: Vec<(i64, f64)>| side.into_iter().map(|(i, count)| (i, sign * count)).collect();
            self.schema = mine.schema;
            self.zero_threshold = mine.zero_threshold;
            self.zero_count = mine.zero + sign * theirs.zero;
            (self.positive_spans, self.positive_buckets) =
                unindexed(united(mine.positive, signed(theirs.positive)));
            (self.negative_spans, self.negative_buckets) =
                unindexed(united(mine.negative, signed(theirs.negative)));
        }
        self.forget_zero();
        Ok(combined)
    }

    fn combine_custom(&mut self, other: &FloatHistogram, sign: f64) {
        let mine = Side::new(&self.positive_spans, &self.positive_buckets);
        let theirs = Side::new(&other.positive_spans, &other.positive_buckets);
        if self.custom_values == other.custom_values {
            let theirs = theirs.map(|(index, count)| (index, sign * count)).collect();
            (self.positive_spans, self.positive_buckets) = unindexed(united(mine.collect(), theirs));
            return;
        }
        let shared = shared_bounds(&self.custom_values, &other.custom_values);
        let mut counts = vec![0.0; shared.len() + 1];
        onto(mine, |_, count| count, &self.custom_values, &shared, &mut counts);
        onto(theirs, |_, count| sign * count, &other.custom_values, &shared, &mut counts);
        (self.positive_spans, self.positive_buckets) = populated(counts);
        self.custom_values = shared;
    }

    /// Do they go together? Settles the hint of the result.
    pub(super) fn meet(&mut self, other: &FloatHistogram) -> Result<Combined, IncompatibleHistograms> {
        use CounterResetHint::{Gauge, Unknown};
        if self.has_custom_buckets() != other.has_custom_buckets() {
            return Err(IncompatibleHistograms);
        }
        let mut combined = Combined::default();
        self.counter_reset_hint = match (self.counter_reset_hint, other.counter_reset_hint) {
            (mine, theirs) if mine == theirs => mine,
            (Gauge, _) | (_, Gauge) => Gauge,
            (Unknown, _) | (_, Unknown) => Unknown,
            _ => {
                combined.resets_collide = true;
                Unknown
            }
        };
        Ok(combined)
    }

    /// Do buckets at one position of both lists stand for the same values? If not sure, no.
    pub(super) fn same_layout(&self, other: &FloatHistogram) -> bool {
        self.schema == other.schema
            && self.zero_threshold == other.zero_threshold
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && self.positive_buckets.len() == other.positive_buckets.len()
            && self.negative_buckets.len() == other.negative_buckets.len()
            && if self.has_custom_buckets() {
                self.custom_values == other.custom_values
            } else {
                self.begins_outside_zero(&self.positive_spans)
                    && self.begins_outside_zero(&self.negative_spans)
            }
    }

    /// Does the first bucket of these spans reach beyond the zero bucket, as those of sane histograms do?
    pub(super) fn begins_outside_zero(&self, spans: &[Span]) -> bool {
        let mut index = 0i64;
        for span in spans {
            index += i64::from(span.offset);
            if span.length > 0 {
                return i32::try_from(index)
                    .is_ok_and(|index| bounds::exponential(index, self.schema) > self.zero_threshold);
            }
        }
        true
    }
}

/// Brings two exponential histograms to one zero bucket and one schema; what the second has within the zero bucket is
/// counted there and nowhere else.
pub(super) fn align<C: super::terms::Term>(mine: &mut Parts<C>, theirs: &mut Parts<C>) {
    mine.reconcile_zero(theirs);
    let schema = mine.schema.min(theirs.schema);
    mine.reduce(schema);
    theirs.reduce(schema);
    // Prometheus judges buckets at the common schema: one that was taken into the zero bucket and merged into a wider bucket that
    // reaches out of it is counted in both. PromQL answers with its numbers.
    theirs.skip_within(mine.zero_threshold);
}

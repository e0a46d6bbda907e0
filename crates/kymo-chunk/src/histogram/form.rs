//! Form: integer or float counts. All numbers of a histogram are carried as 64 bits; only here is known what they mean.

use kymo_model::{FloatHistogram, Histogram, STALE_NAN, Span};

/// What the counts of a chunk are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Counts are `u64`, buckets the difference to the bucket before as `i64`.
    Integer,
    /// Everything is an `f64`.
    Float,
}

/// A histogram that is to be written, its numbers as bits.
#[derive(Clone, Debug)]
pub(super) struct Raw<'a> {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) spans: [&'a [Span]; 2],
    pub(super) custom_values: &'a [f64],
    pub(super) count: u64,
    pub(super) zero_count: u64,
    pub(super) sum: f64,
    /// Positive, negative.
    pub(super) buckets: [Vec<u64>; 2],
    pub(super) gauge: bool,
    /// Does it say of itself that there was a reset?
    pub(super) reset: bool,
}

impl<'a> Raw<'a> {
    /// A staleness marker has nothing but its sum.
    pub(super) const STALE: Raw<'static> = Raw {
        schema: 0,
        zero_threshold: 0.0,
        spans: [&[], &[]],
        custom_values: &[],
        count: 0,
        zero_count: 0,
        sum: STALE_NAN,
        buckets: [Vec::new(), Vec::new()],
        gauge: false,
        reset: false,
    };

    pub(super) fn integer(histogram: &'a Histogram) -> Raw<'a> {
        let bits = |deltas: &[i64]| deltas.iter().map(|delta| *delta as u64).collect();
        Raw {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            spans: [&histogram.positive_spans, &histogram.negative_spans],
            custom_values: &histogram.custom_values,
            count: histogram.count,
            zero_count: histogram.zero_count,
            sum: histogram.sum,
            buckets: [bits(&histogram.positive_buckets), bits(&histogram.negative_buckets)],
            gauge: histogram.counter_reset_hint == kymo_model::CounterResetHint::Gauge,
            reset: histogram.counter_reset_hint == kymo_model::CounterResetHint::Reset,
        }
    }

    pub(super) fn float(histogram: &'a FloatHistogram) -> Raw<'a> {
        let bits = |counts: &[f64]| counts.iter().map(|count| count.to_bits()).collect();
        Raw {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            spans: [&histogram.positive_spans, &histogram.negative_spans],
            custom_values: &histogram.custom_values,
            count: histogram.count.to_bits(),
            zero_count: histogram.zero_count.to_bits(),
            sum: histogram.sum,
            buckets: [bits(&histogram.positive_buckets), bits(&histogram.negative_buckets)],
            gauge: histogram.counter_reset_hint == kymo_model::CounterResetHint::Gauge,
            reset: histogram.counter_reset_hint == kymo_model::CounterResetHint::Reset,
        }
    }

    pub(super) fn is_stale(&self) -> bool {
        kymo_model::is_stale(self.sum)
    }
}

impl Form {
    /// Is one count (not a difference) lower than another?
    pub(super) fn is_less(self, a: u64, b: u64) -> bool {
        match self {
            Form::Integer => a < b,
            Form::Float => f64::from_bits(a) < f64::from_bits(b),
        }
    }

    /// Is a bucket with this count empty?
    pub(super) fn is_empty(self, count: u64) -> bool {
        match self {
            Form::Integer => count == 0,
            Form::Float => f64::from_bits(count) == 0.0,
        }
    }

    /// Buckets as counts.
    pub(super) fn counts(self, buckets: &[u64]) -> Vec<u64> {
        let mut sum = 0u64;
        match self {
            Form::Integer => buckets
                .iter()
                .map(|delta| {
                    sum = sum.wrapping_add(*delta);
                    sum
                })
                .collect(),
            Form::Float => buckets.to_vec(),
        }
    }

    /// Counts as buckets.
    pub(super) fn buckets(self, counts: Vec<u64>) -> Vec<u64> {
        let mut last = 0;
        match self {
            Form::Integer => { counts }
                .into_iter()
                .map(|count| count.wrapping_sub(std::mem::replace(&mut last, count)))
                .collect(),
            Form::Float => counts,
        }
    }
}

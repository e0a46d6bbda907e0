//! Native histograms: the two forms in which a sample can carry one.
//!
//! Layout as in Prometheus' `model/histogram`: spans say which buckets are present, bucket lists hold their counts. The fields
//! are open, so that codecs can fill them; what came from outside is checked by `validate` before it is used. No method
//! panics on an invalid histogram.

mod arithmetic;
mod bounds;
mod buckets;
mod compensated;
mod display;
mod layout;
mod parts;
mod reset;
mod terms;
mod trim;
mod validate;
mod within;

#[cfg(test)]
mod arithmetic_tests;
#[cfg(test)]
mod tests;

pub use arithmetic::{Combined, IncompatibleHistograms};
pub use buckets::Bucket;
pub use compensated::Compensation;
pub use validate::{HistogramError, HistogramSide};

/// The schema of histograms with custom bounds ([`Histogram::custom_values`]).
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// For the first span the index of its first bucket, otherwise the number of absent buckets since the span before.
    pub offset: i32,
    /// How many buckets.
    pub length: u32,
}

/// What is known about a counter reset between a histogram and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CounterResetHint {
    /// Nothing: compare to find out.
    #[default]
    Unknown,
    /// There was a reset.
    Reset,
    /// There was none.
    NotReset,
    /// A gauge histogram: the question does not arise.
    Gauge,
}

/// A native histogram of integer counts, as scraped. Bucket lists hold deltas from one bucket to the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Reset information.
    pub counter_reset_hint: CounterResetHint,
    /// −4 to 8: bucket boundaries are powers of 2^(2^−schema); −53: custom boundaries.
    pub schema: i32,
    /// Observations up to this distance from zero lie in the zero bucket.
    pub zero_threshold: f64,
    /// Count of the zero bucket.
    pub zero_count: u64,
    /// Count of all observations.
    pub count: u64,
    /// Sum of all observations. The staleness marker here makes the whole sample one.
    pub sum: f64,
    /// Which positive buckets are present.
    pub positive_spans: Vec<Span>,
    /// Their counts as deltas.
    pub positive_buckets: Vec<i64>,
    /// Which negative buckets are present.
    pub negative_spans: Vec<Span>,
    /// Their counts as deltas.
    pub negative_buckets: Vec<i64>,
    /// Upper bounds of the buckets for schema −53, without +Inf.
    pub custom_values: Vec<f64>,
}

/// A native histogram of float counts, as PromQL computes with. Bucket lists hold absolute counts.
#[derive(Debug, Default, PartialEq)]
pub struct FloatHistogram {
    /// Reset information.
    pub counter_reset_hint: CounterResetHint,
    /// −4 to 8: bucket boundaries are powers of 2^(2^−schema); −53: custom boundaries.
    pub schema: i32,
    /// Observations up to this distance from zero lie in the zero bucket.
    pub zero_threshold: f64,
    /// Count of the zero bucket.
    pub zero_count: f64,
    /// Count of all observations.
    pub count: f64,
    /// Sum of all observations. The staleness marker here makes the whole sample one.
    pub sum: f64,
    /// Which positive buckets are present.
    pub positive_spans: Vec<Span>,
    /// Their counts.
    pub positive_buckets: Vec<f64>,
    /// Which negative buckets are present.
    pub negative_spans: Vec<Span>,
    /// Their counts.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of the buckets for schema −53, without +Inf.
    pub custom_values: Vec<f64>,
}

impl Clone for FloatHistogram {
    fn clone(&self) -> FloatHistogram {
        FloatHistogram {
            positive_spans: self.positive_spans.clone(),
            positive_buckets: self.positive_buckets.clone(),
            negative_spans: self.negative_spans.clone(),
            negative_buckets: self.negative_buckets.clone(),
            custom_values: self.custom_values.clone(),
            ..*self
        }
    }

    /// Keeps the memory of the lists: evaluation makes very many histograms, one after the other.
    fn clone_from(&mut self, other: &FloatHistogram) {
        let FloatHistogram {
            counter_reset_hint,
            schema,
            zero_threshold,
            zero_count,
            count,
            sum,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_values,
        } = other;
        self.counter_reset_hint = *counter_reset_hint;
        self.schema = *schema;
        self.zero_threshold = *zero_threshold;
        (self.zero_count, self.count, self.sum) = (*zero_count, *count, *sum);
        put_copy(&mut self.positive_spans, positive_spans);
        put_copy(&mut self.positive_buckets, positive_buckets);
        put_copy(&mut self.negative_spans, negative_spans);
        put_copy(&mut self.negative_buckets, negative_buckets);
        put_copy(&mut self.custom_values, custom_values);
    }
}

/// A list in the memory of another one, of the same length more often than not.
#[inline]
fn put_copy<T: Copy>(list: &mut Vec<T>, from: &[T]) {
    if list.len() == from.len() {
        list.copy_from_slice(from);
    } else {
        list.clear();
        list.extend_from_slice(from);
    }
}

impl Histogram {
    /// Is this the staleness marker?
    pub fn is_stale(&self) -> bool {
        crate::is_stale(self.sum)
    }

    /// Does it have custom bounds instead of an exponential schema?
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// The same histogram with float counts: deltas become absolute counts.
    pub fn to_float(&self) -> FloatHistogram {
        FloatHistogram {
            counter_reset_hint: self.counter_reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count as f64,
            count: self.count as f64,
            sum: self.sum,
            positive_spans: self.positive_spans.clone(),
            positive_buckets: absolute(&self.positive_buckets).map(|count| count as f64).collect(),
            negative_spans: self.negative_spans.clone(),
            negative_buckets: absolute(&self.negative_buckets).map(|count| count as f64).collect(),
            custom_values: self.custom_values.clone(),
        }
    }
}

impl FloatHistogram {
    /// Is this the staleness marker?
    pub fn is_stale(&self) -> bool {
        crate::is_stale(self.sum)
    }

    /// Does it have custom bounds instead of an exponential schema?
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Equal as data: counts and sum compared by their bits, so that a NaN equals itself (bounds, too), and the same runs of buckets,
    /// empty ones too, whatever spans of no length lie between. The counter reset hint does not count.
    pub fn same_bits(&self, other: &FloatHistogram) -> bool {
        let same = |a: &[f64], b: &[f64]| a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()));
        let threshold_bits = |h: &FloatHistogram| h.zero_threshold.to_bits();
        self.schema == other.schema
            && (self.zero_threshold == other.zero_threshold || threshold_bits(self) == threshold_bits(other))
            && same(&[self.zero_count, self.count, self.sum], &[other.zero_count, other.count, other.sum])
            && same(&self.positive_buckets, &other.positive_buckets)
            && same(&self.negative_buckets, &other.negative_buckets)
            && runs(&self.positive_spans).eq(runs(&other.positive_spans))
            && runs(&self.negative_spans).eq(runs(&other.negative_spans))
            && (!self.has_custom_buckets()
                || self.custom_values == other.custom_values
                || same(&self.custom_values, &other.custom_values))
    }

    /// Bytes in memory: this and what its lists hold.
    pub fn size_bytes(&self) -> usize {
        size_of::<FloatHistogram>()
            + size_of::<Span>() * (self.positive_spans.len() + self.negative_spans.len())
            + size_of::<f64>()
                * (self.positive_buckets.len() + self.negative_buckets.len() + self.custom_values.len())
    }

    /// As how many float samples a limit on samples counts one point of it: 16 bytes are a sample.
    ///
    /// By Prometheus' measure, which has 168 bytes for an empty one, so that limits mean the same.
    pub fn sample_weight(&self) -> usize {
        let elements = self.positive_spans.len()
            + self.negative_spans.len()
            + self.positive_buckets.len()
            + self.negative_buckets.len()
            + self.custom_values.len();
        (168 + 8 * elements + 8) / 16
    }
}

/// Where runs of buckets begin and how many there are, empty spans left out.
fn runs(spans: &[Span]) -> impl Iterator<Item = (i64, u32)> + '_ {
    let mut index = 0i64;
    let located = spans.iter().map(move |span| {
        let first = index + i64::from(span.offset);
        index = first + i64::from(span.length);
        (first, span.length)
    });
    located.filter(|(_, length)| *length > 0)
}

/// Counts from deltas.
fn absolute(deltas: &[i64]) -> impl ExactSizeIterator<Item = i64> + '_ {
    let mut count = 0i64;
    deltas.iter().map(move |delta| {
        count = count.wrapping_add(*delta);
        count
    })
}

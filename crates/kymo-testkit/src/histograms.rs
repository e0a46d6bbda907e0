//! Histograms: native histograms of every shape that a store must tell apart, all of them sound.

use kymo_model::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram, STALE_NAN, SampleValue, Span,
};

use crate::Random;

/// A histogram whose sum is `number`, so that nobody else has it. Buckets come and go, counts rise and fall, now and then it
/// is a gauge, has custom bounds or float counts, or is a staleness marker.
///
/// ```
/// use kymo_model::SampleValue;
/// let mut random = kymo_testkit::Random::new(1);
/// for number in 0..100 {
///     match kymo_testkit::any_histogram(&mut random, number) {
///         SampleValue::Histogram(h) => assert!(h.is_stale() || h.validate().is_ok()),
///         SampleValue::FloatHistogram(h) => assert!(h.is_stale() || h.validate().is_ok()),
///         SampleValue::Float(_) => unreachable!(),
///     }
/// }
/// ```
pub fn any_histogram(random: &mut Random, number: u64) -> SampleValue {
    let custom = random.chance(1, 10);
    let (positive_spans, positive) = side(random, number, if custom { 1 } else { 3 });
    let (negative_spans, negative) = if custom { Default::default() } else { side(random, number, 1) };
    let zero_count = if custom { 0 } else { number / 2 };
    let observed: i64 = positive.iter().chain(&negative).sum();
    let hint = match random.below(10) {
        0 => CounterResetHint::Gauge,
        1 => CounterResetHint::Reset,
        _ => CounterResetHint::Unknown,
    };
    let histogram = Histogram {
        counter_reset_hint: hint,
        schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { random.below(2) as i32 },
        zero_threshold: if custom { 0.0 } else { 1e-128 },
        zero_count,
        count: zero_count + observed as u64,
        sum: if random.chance(1, 15) { STALE_NAN } else { number as f64 },
        positive_spans,
        positive_buckets: deltas(&positive),
        negative_spans,
        negative_buckets: deltas(&negative),
        custom_values: if custom {
            (1..=BUCKETS_MAX).map(|bound| bound as f64).collect()
        } else {
            Vec::new()
        },
    };
    if random.chance(1, 4) { as_float(histogram) } else { SampleValue::Histogram(histogram.into()) }
}

const BUCKETS_MAX: u64 = 12;

/// Spans and counts that mostly rise with the number.
fn side(random: &mut Random, number: u64, spans_max: u64) -> (Vec<Span>, Vec<i64>) {
    let (mut spans, mut counts) = (Vec::new(), Vec::new());
    for _ in 0..random.below(spans_max + 1) {
        let length = 1 + random.below(BUCKETS_MAX / 4) as u32;
        spans.push(Span { offset: random.below(3) as i32, length });
        counts.extend((0..length).map(|_| (number / 4 + random.below(2)) as i64));
    }
    (spans, counts)
}

fn deltas(counts: &[i64]) -> Vec<i64> {
    let mut before = 0;
    counts.iter().map(|count| count - std::mem::replace(&mut before, *count)).collect()
}

fn as_float(histogram: Histogram) -> SampleValue {
    let float = FloatHistogram { count: histogram.count as f64, ..histogram.to_float() };
    SampleValue::FloatHistogram(float.into())
}

//! Native histograms in Prometheus' log. What is returned may make no sense yet; it is validated before it is stored.
//!
//! ```text
//! hint:byte schema:signed zero_threshold:f64 zero_count count sum:f64
//! spans:count (offset:signed length)...   the same for negative ones   buckets:count bucket...   the same for negative ones
//! with schema -53: bounds:count bound:f64...
//! ```
//!
//! Counts are varints in histograms of integers, whose buckets are differences from one to the next, and floats in the others.

use kymo_model::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram, Span};

use super::record::be_f64;
use crate::frame::Bytes;

/// Schemas above are reduced to this one, as Prometheus does.
const SCHEMA_MAX: i32 = 8;

pub(super) fn integer_histogram(bytes: &mut Bytes<'_>) -> Option<Histogram> {
    let (counter_reset_hint, schema, zero_threshold) = scale(bytes)?;
    let (zero_count, count, sum) = (bytes.unsigned()?, bytes.unsigned()?, be_f64(bytes)?);
    let (positive_spans, negative_spans) = (spans(bytes)?, spans(bytes)?);
    let mut histogram = Histogram {
        counter_reset_hint,
        schema,
        zero_threshold,
        zero_count,
        count,
        sum,
        positive_spans,
        negative_spans,
        positive_buckets: list(bytes, |bytes| bytes.signed())?,
        negative_buckets: list(bytes, |bytes| bytes.signed())?,
        custom_values: bounds(bytes, schema)?,
    };
    if schema > SCHEMA_MAX {
        // What cannot be reduced is found to be invalid later.
        let _invalid = histogram.reduce_resolution(SCHEMA_MAX);
    }
    Some(histogram)
}

pub(super) fn float_histogram(bytes: &mut Bytes<'_>) -> Option<FloatHistogram> {
    let (counter_reset_hint, schema, zero_threshold) = scale(bytes)?;
    let (zero_count, count, sum) = (be_f64(bytes)?, be_f64(bytes)?, be_f64(bytes)?);
    let (positive_spans, negative_spans) = (spans(bytes)?, spans(bytes)?);
    let mut histogram = FloatHistogram {
        counter_reset_hint,
        schema,
        zero_threshold,
        zero_count,
        count,
        sum,
        positive_spans,
        negative_spans,
        positive_buckets: list(bytes, be_f64)?,
        negative_buckets: list(bytes, be_f64)?,
        custom_values: bounds(bytes, schema)?,
    };
    if schema > SCHEMA_MAX {
        let _invalid = histogram.reduce_resolution(SCHEMA_MAX);
    }
    Some(histogram)
}

fn scale(bytes: &mut Bytes<'_>) -> Option<(CounterResetHint, i32, f64)> {
    let hint = match bytes.byte()? {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    };
    Some((hint, i32::try_from(bytes.signed()?).ok()?, be_f64(bytes)?))
}

fn spans(bytes: &mut Bytes<'_>) -> Option<Vec<Span>> {
    list(bytes, |bytes| {
        let offset = i32::try_from(bytes.signed()?).ok()?;
        Some(Span { offset, length: u32::try_from(bytes.unsigned()?).ok()? })
    })
}

fn bounds(bytes: &mut Bytes<'_>, schema: i32) -> Option<Vec<f64>> {
    if schema == CUSTOM_BUCKETS_SCHEMA { list(bytes, be_f64) } else { Some(Vec::new()) }
}

fn list<T>(bytes: &mut Bytes<'_>, mut one: impl FnMut(&mut Bytes<'_>) -> Option<T>) -> Option<Vec<T>> {
    let count = bytes.count()?;
    (0..count).map(|_| one(bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_integers_with_custom_bounds() {
        let mut record = vec![3];
        record.push(105); // schema -53
        record.extend_from_slice(&0f64.to_be_bytes());
        record.extend_from_slice(&[0, 5]);
        record.extend_from_slice(&2.5f64.to_be_bytes());
        record.extend_from_slice(&[1, 0, 2, 0, 2, 4, 2, 0, 1]);
        record.extend_from_slice(&1.5f64.to_be_bytes());
        let mut bytes = Bytes(&record);
        let histogram = integer_histogram(&mut bytes).unwrap();
        assert!(bytes.0.is_empty());
        histogram.validate().unwrap();
        assert_eq!(
            (histogram.count, histogram.positive_buckets, histogram.custom_values),
            (5, vec![2, 1], vec![1.5])
        );
        for length in 0..record.len() {
            assert_eq!(integer_histogram(&mut Bytes(&record[..length])), None, "{length} bytes");
        }
    }
}

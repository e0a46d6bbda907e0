//! The protobuf wire format, written: fields, and the messages that requests and answers share. Beside [`crate::wire`].

use kymo_model::{CounterResetHint, FloatHistogram, Histogram, Span};

use crate::wire::zigzag;

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

pub(crate) fn put_double(out: &mut Vec<u8>, number: u32, value: f64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Labels of a series: field 1, once each.
pub(crate) fn put_labels<'a>(out: &mut Vec<u8>, labels: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut part = Vec::new();
    for (name, value) in labels {
        part.clear();
        put_bytes(&mut part, 1, name.as_bytes());
        put_bytes(&mut part, 2, value.as_bytes());
        put_bytes(out, 1, &part);
    }
}

/// A float sample: its value and its time.
pub(crate) fn put_sample(out: &mut Vec<u8>, number: u32, timestamp_ms: i64, value: f64) {
    let mut part = Vec::with_capacity(20);
    put_double(&mut part, 1, value);
    put_varint_field(&mut part, 2, timestamp_ms as u64);
    put_bytes(out, number, &part);
}

fn put_spans(out: &mut Vec<u8>, number: u32, spans: &[Span]) {
    for span in spans {
        let mut message = Vec::new();
        put_varint_field(&mut message, 1, zigzag(span.offset.into()));
        put_varint_field(&mut message, 2, span.length.into());
        put_bytes(out, number, &message);
    }
}

fn put_deltas(out: &mut Vec<u8>, number: u32, deltas: &[i64]) {
    let mut packed = Vec::new();
    for delta in deltas {
        put_varint(&mut packed, zigzag(*delta));
    }
    put_bytes(out, number, &packed);
}

fn put_doubles(out: &mut Vec<u8>, number: u32, values: &[f64]) {
    let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    put_bytes(out, number, &packed);
}

pub(crate) fn put_histogram(out: &mut Vec<u8>, timestamp_ms: i64, histogram: &Histogram) {
    put_varint_field(out, 1, histogram.count);
    put_double(out, 3, histogram.sum);
    put_varint_field(out, 4, zigzag(histogram.schema.into()));
    put_double(out, 5, histogram.zero_threshold);
    put_varint_field(out, 6, histogram.zero_count);
    put_spans(out, 8, &histogram.negative_spans);
    put_deltas(out, 9, &histogram.negative_buckets);
    put_spans(out, 11, &histogram.positive_spans);
    put_deltas(out, 12, &histogram.positive_buckets);
    put_varint_field(out, 14, hint(histogram.counter_reset_hint));
    put_varint_field(out, 15, timestamp_ms as u64);
    put_doubles(out, 16, &histogram.custom_values);
}

pub(crate) fn put_float_histogram(out: &mut Vec<u8>, timestamp_ms: i64, histogram: &FloatHistogram) {
    put_double(out, 2, histogram.count);
    put_double(out, 3, histogram.sum);
    put_varint_field(out, 4, zigzag(histogram.schema.into()));
    put_double(out, 5, histogram.zero_threshold);
    put_double(out, 7, histogram.zero_count);
    put_spans(out, 8, &histogram.negative_spans);
    put_doubles(out, 10, &histogram.negative_buckets);
    put_spans(out, 11, &histogram.positive_spans);
    put_doubles(out, 13, &histogram.positive_buckets);
    put_varint_field(out, 14, hint(histogram.counter_reset_hint));
    put_varint_field(out, 15, timestamp_ms as u64);
    put_doubles(out, 16, &histogram.custom_values);
}

fn hint(hint: CounterResetHint) -> u64 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

//! Native histograms of a request: read, checked as [`Histogram::validate`] says, handed on. Between wire and batch.

use std::sync::Arc;

use kymo_model::{CounterResetHint, FloatHistogram, Histogram, HistogramError, SampleValue, Span, is_stale};

use crate::wire::{Cursor, Wire, WireError, WireErrorKind, unzigzag};

/// Everything a Histogram message may hold; which form it has shows at its end.
#[derive(Default)]
struct Fields {
    is_float: bool,
    count: u64,
    count_float: f64,
    zero_count: u64,
    zero_count_float: f64,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    negative_spans: Vec<Span>,
    negative_deltas: Vec<i64>,
    negative_counts: Vec<f64>,
    positive_spans: Vec<Span>,
    positive_deltas: Vec<i64>,
    positive_counts: Vec<f64>,
    hint: CounterResetHint,
    timestamp_ms: i64,
    custom_values: Vec<f64>,
}

/// The timestamp of a Histogram message, and its value if it is sound.
pub(crate) fn read(mut message: Cursor<'_>) -> Result<(i64, Result<SampleValue, HistogramError>), WireError> {
    let mut fields = Fields::default();
    while let Some((number, wire)) = message.field()? {
        match (number, wire) {
            (1, Wire::Varint) => {
                fields.count = message.varint()?;
                fields.is_float = false;
            }
            (2, Wire::Fixed64) => {
                fields.count_float = message.double()?;
                fields.is_float = true;
            }
            (3, Wire::Fixed64) => fields.sum = message.double()?,
            (4, Wire::Varint) => fields.schema = unzigzag(message.varint()?) as i32,
            (5, Wire::Fixed64) => fields.zero_threshold = message.double()?,
            (6, Wire::Varint) => fields.zero_count = message.varint()?,
            (7, Wire::Fixed64) => fields.zero_count_float = message.double()?,
            (8, Wire::Bytes) => fields.negative_spans.push(span(message.message()?)?),
            (9, _) => deltas(&mut message, wire, &mut fields.negative_deltas)?,
            (10, _) => doubles(&mut message, wire, &mut fields.negative_counts)?,
            (11, Wire::Bytes) => fields.positive_spans.push(span(message.message()?)?),
            (12, _) => deltas(&mut message, wire, &mut fields.positive_deltas)?,
            (13, _) => doubles(&mut message, wire, &mut fields.positive_counts)?,
            (14, Wire::Varint) => {
                fields.hint = match message.varint()? {
                    1 => CounterResetHint::Reset,
                    2 => CounterResetHint::NotReset,
                    3 => CounterResetHint::Gauge,
                    _ => CounterResetHint::Unknown,
                }
            }
            (15, Wire::Varint) => fields.timestamp_ms = message.varint()? as i64,
            (16, _) => doubles(&mut message, wire, &mut fields.custom_values)?,
            (1..=16, _) => return message.error(WireErrorKind::WrongWireType),
            _ => message.skip(wire)?,
        }
    }
    let timestamp_ms = fields.timestamp_ms;
    Ok((timestamp_ms, fields.value()))
}

fn span(mut message: Cursor<'_>) -> Result<Span, WireError> {
    let mut span = Span { offset: 0, length: 0 };
    while let Some((number, wire)) = message.field()? {
        match (number, wire) {
            (1, Wire::Varint) => span.offset = unzigzag(message.varint()?) as i32,
            (2, Wire::Varint) => span.length = message.varint()? as u32,
            _ => message.skip(wire)?,
        }
    }
    Ok(span)
}

/// A repeated sint64, packed or not. Each takes at least a byte, so the bytes of the request bound the memory.
fn deltas(message: &mut Cursor<'_>, wire: Wire, out: &mut Vec<i64>) -> Result<(), WireError> {
    match wire {
        Wire::Varint => out.push(unzigzag(message.varint()?)),
        Wire::Bytes => {
            let mut packed = message.message()?;
            while !packed.is_at_end() {
                out.push(unzigzag(packed.varint()?));
            }
        }
        _ => return message.error(WireErrorKind::WrongWireType),
    }
    Ok(())
}

/// A repeated double, packed or not.
fn doubles(message: &mut Cursor<'_>, wire: Wire, out: &mut Vec<f64>) -> Result<(), WireError> {
    match wire {
        Wire::Fixed64 => out.push(message.double()?),
        Wire::Bytes => {
            let mut packed = message.message()?;
            while !packed.is_at_end() {
                out.push(packed.double()?);
            }
        }
        _ => return message.error(WireErrorKind::WrongWireType),
    }
    Ok(())
}

impl Fields {
    /// A staleness marker is one by its sum; nothing else of it is looked at, by anyone, so nothing else is kept.
    fn value(self) -> Result<SampleValue, HistogramError> {
        let is_marker = is_stale(self.sum);
        if self.is_float {
            let marker = FloatHistogram { sum: self.sum, ..FloatHistogram::default() };
            let histogram = if is_marker { marker } else { self.float() };
            histogram.validate()?;
            return Ok(SampleValue::FloatHistogram(Arc::new(histogram)));
        }
        let marker = Histogram { sum: self.sum, ..Histogram::default() };
        let histogram = if is_marker { marker } else { self.integer() };
        histogram.validate()?;
        Ok(SampleValue::Histogram(Arc::new(histogram)))
    }

    fn float(self) -> FloatHistogram {
        FloatHistogram {
            counter_reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count_float,
            count: self.count_float,
            sum: self.sum,
            positive_spans: self.positive_spans,
            positive_buckets: self.positive_counts,
            negative_spans: self.negative_spans,
            negative_buckets: self.negative_counts,
            custom_values: self.custom_values,
        }
    }

    fn integer(self) -> Histogram {
        Histogram {
            counter_reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count,
            count: self.count,
            sum: self.sum,
            positive_spans: self.positive_spans,
            positive_buckets: self.positive_deltas,
            negative_spans: self.negative_spans,
            negative_buckets: self.negative_deltas,
            custom_values: self.custom_values,
        }
    }
}

//! Native histograms of a request: read, checked for what a store may rely on, handed on. Between wire and batch.

use std::sync::Arc;

use kymo_model::{CounterResetHint, FloatHistogram, Histogram, SampleValue, Span, is_stale};

use crate::wire::{Cursor, Wire, WireError, WireErrorKind, unzigzag};

/// A histogram that says of itself what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HistogramFault {
    #[error("expected schema -4 to 8 or -53")]
    Schema,
    #[error("expected spans of as many buckets as there are, at increasing places")]
    Spans,
    #[error("expected bucket counts from 0 up")]
    NegativeCount,
    #[error("expected a count of observations that its buckets add up to")]
    Count,
    #[error("expected custom bounds that increase, with schema -53 only and without negative buckets")]
    CustomValues,
}

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
pub(crate) fn read(mut message: Cursor<'_>) -> Result<(i64, Result<SampleValue, HistogramFault>), WireError> {
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
    Ok((timestamp_ms, fields.check().map(|()| fields.value())))
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

const CUSTOM_BUCKETS: i32 = -53;

impl Fields {
    fn check(&self) -> Result<(), HistogramFault> {
        if is_stale(self.sum) {
            return Ok(());
        }
        if !matches!(self.schema, -4..=8 | CUSTOM_BUCKETS) {
            return Err(HistogramFault::Schema);
        }
        let (positive, negative) = if self.is_float {
            (self.positive_counts.len(), self.negative_counts.len())
        } else {
            (self.positive_deltas.len(), self.negative_deltas.len())
        };
        check_spans(&self.positive_spans, positive)?;
        check_spans(&self.negative_spans, negative)?;
        self.check_custom(negative)?;
        if self.is_float { self.check_float_counts() } else { self.check_counts() }
    }

    fn check_custom(&self, negative: usize) -> Result<(), HistogramFault> {
        let sound = if self.schema == CUSTOM_BUCKETS {
            let increasing = self.custom_values.windows(2).all(|w| w[0] < w[1]);
            let finite = self.custom_values.iter().all(|v| v.is_finite());
            let empty = negative == 0 && self.zero_count == 0 && self.zero_count_float == 0.0;
            // One bucket more than bounds: the last one goes up to +Inf.
            let reach: i64 =
                self.positive_spans.iter().map(|s| i64::from(s.offset) + i64::from(s.length)).sum();
            increasing
                && finite
                && empty
                && self.positive_spans.first().is_none_or(|s| s.offset >= 0)
                && reach <= self.custom_values.len() as i64 + 1
        } else {
            self.custom_values.is_empty()
        };
        if sound { Ok(()) } else { Err(HistogramFault::CustomValues) }
    }

    fn check_counts(&self) -> Result<(), HistogramFault> {
        let mut total = u128::from(self.zero_count);
        for deltas in [&self.positive_deltas, &self.negative_deltas] {
            let mut count = 0i64;
            for delta in deltas {
                count = count.checked_add(*delta).filter(|c| *c >= 0).ok_or(HistogramFault::NegativeCount)?;
                total += count as u128;
            }
        }
        // Observations of NaN are in no bucket, and make the sum NaN.
        let count = u128::from(self.count);
        if total == count || (self.sum.is_nan() && total < count) {
            Ok(())
        } else {
            Err(HistogramFault::Count)
        }
    }

    fn check_float_counts(&self) -> Result<(), HistogramFault> {
        let counts = self.positive_counts.iter().chain(&self.negative_counts);
        let all = counts.chain([&self.zero_count_float, &self.count_float]);
        if all.copied().any(|count| count < 0.0) { Err(HistogramFault::NegativeCount) } else { Ok(()) }
    }

    fn value(self) -> SampleValue {
        if self.is_float {
            return SampleValue::FloatHistogram(Arc::new(FloatHistogram {
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
            }));
        }
        SampleValue::Histogram(Arc::new(Histogram {
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
        }))
    }
}

/// As many buckets as the spans say, and only the first span may start below zero; bucket indices fit in 32 bits.
fn check_spans(spans: &[Span], buckets: usize) -> Result<(), HistogramFault> {
    let mut end = 0i64;
    let mut total = 0u64;
    for (i, span) in spans.iter().enumerate() {
        if i > 0 && span.offset < 0 {
            return Err(HistogramFault::Spans);
        }
        end += i64::from(span.offset) + i64::from(span.length);
        total += u64::from(span.length);
        if end > i64::from(i32::MAX) {
            return Err(HistogramFault::Spans);
        }
    }
    if total == buckets as u64 { Ok(()) } else { Err(HistogramFault::Spans) }
}

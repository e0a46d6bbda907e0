//! Native histograms in the log. Each can be read alone, but for what it has in common with the one before in its record.
//!
//! ```text
//! histogram  flags:byte (1: float counts, 2 and 4: hint, 8: staleness marker, 16: scale as before)
//!            scale unless 16   spans (positive)   spans (negative)   counts      nothing but the flags for a marker
//! scale      schema:signed   zero_threshold:f64   custom bounds:count   bound:f64...
//! spans      count   (offset:signed   length)...
//! counts     integer: zero_count   count   sum:f64   bucket:signed (as deltas)...
//!            float: zero_count:f64   count:f64   sum:f64   bucket:f64...
//! ```

use kymo_model::{CounterResetHint, FloatHistogram, Histogram, STALE_NAN, SampleValue, Span};

use crate::frame::{Bytes, put_signed, put_unsigned};

const FLOAT: u8 = 1;
const HINT_SHIFT: u8 = 1;
const STALE: u8 = 8;
const SAME_SCALE: u8 = 16;

const HINTS: [CounterResetHint; 4] =
    [CounterResetHint::Unknown, CounterResetHint::Reset, CounterResetHint::NotReset, CounterResetHint::Gauge];

/// What places the buckets, but for the spans.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scale {
    schema: i32,
    zero_threshold: f64,
    custom_values: Vec<f64>,
}

impl Scale {
    fn is(&self, schema: i32, zero_threshold: f64, custom_values: &[f64]) -> bool {
        let bits = |bounds: &[f64]| bounds.iter().map(|bound| bound.to_bits()).collect::<Vec<_>>();
        self.schema == schema
            && self.zero_threshold.to_bits() == zero_threshold.to_bits()
            && bits(&self.custom_values) == bits(custom_values)
    }
}

/// Appends a histogram; floats are not for here. `before` is the scale of the one before and moves on.
pub(crate) fn put_histogram(out: &mut Vec<u8>, value: &SampleValue, before: &mut Scale) {
    match value {
        SampleValue::Float(_) => {}
        SampleValue::Histogram(h) => {
            let flags = flags(0, h.counter_reset_hint);
            if h.is_stale() {
                return out.push(flags | STALE);
            }
            put_scale(out, flags, (h.schema, h.zero_threshold, &h.custom_values), before);
            put_spans(out, &h.positive_spans);
            put_spans(out, &h.negative_spans);
            put_unsigned(out, h.zero_count);
            put_unsigned(out, h.count);
            put_float(out, h.sum);
            h.positive_buckets.iter().chain(&h.negative_buckets).for_each(|delta| put_signed(out, *delta));
        }
        SampleValue::FloatHistogram(h) => {
            let flags = flags(FLOAT, h.counter_reset_hint);
            if h.is_stale() {
                return out.push(flags | STALE);
            }
            put_scale(out, flags, (h.schema, h.zero_threshold, &h.custom_values), before);
            put_spans(out, &h.positive_spans);
            put_spans(out, &h.negative_spans);
            [h.zero_count, h.count, h.sum].iter().for_each(|number| put_float(out, *number));
            h.positive_buckets.iter().chain(&h.negative_buckets).for_each(|count| put_float(out, *count));
        }
    }
}

/// Reads a histogram; `None` when the bytes are none. Whether it is sound is not looked at, but as many buckets are there as
/// its spans say.
pub(crate) fn take_histogram(bytes: &mut Bytes<'_>, before: &mut Scale) -> Option<SampleValue> {
    let flags = bytes.byte()?;
    let is_float = flags & FLOAT != 0;
    let counter_reset_hint = HINTS[usize::from(flags >> HINT_SHIFT & 3)];
    if flags & STALE != 0 {
        let sum = STALE_NAN;
        return Some(if is_float {
            SampleValue::FloatHistogram(
                FloatHistogram { sum, counter_reset_hint, ..FloatHistogram::default() }.into(),
            )
        } else {
            SampleValue::Histogram(Histogram { sum, counter_reset_hint, ..Histogram::default() }.into())
        });
    }
    if flags & SAME_SCALE == 0 {
        *before = Scale {
            schema: i32::try_from(bytes.signed()?).ok()?,
            zero_threshold: take_float(bytes)?,
            custom_values: take_many(bytes.count()?, || take_float(bytes))?,
        };
    }
    let Scale { schema, zero_threshold, custom_values } = before.clone();
    let (positive_spans, positive) = take_spans(bytes)?;
    let (negative_spans, negative) = take_spans(bytes)?;
    if is_float {
        let [zero_count, count, sum] = [take_float(bytes)?, take_float(bytes)?, take_float(bytes)?];
        let positive_buckets = take_many(positive, || take_float(bytes))?;
        let negative_buckets = take_many(negative, || take_float(bytes))?;
        let histogram = FloatHistogram {
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
        };
        return Some(SampleValue::FloatHistogram(histogram.into()));
    }
    let (zero_count, count, sum) = (bytes.unsigned()?, bytes.unsigned()?, take_float(bytes)?);
    let positive_buckets = take_many(positive, || bytes.signed())?;
    let negative_buckets = take_many(negative, || bytes.signed())?;
    let histogram = Histogram {
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
    };
    Some(SampleValue::Histogram(histogram.into()))
}

fn flags(form: u8, hint: CounterResetHint) -> u8 {
    let hint = HINTS.iter().position(|known| *known == hint).unwrap_or(0) as u8;
    form | hint << HINT_SHIFT
}

fn put_scale(out: &mut Vec<u8>, flags: u8, scale: (i32, f64, &[f64]), before: &mut Scale) {
    let (schema, zero_threshold, custom_values) = scale;
    if before.is(schema, zero_threshold, custom_values) {
        return out.push(flags | SAME_SCALE);
    }
    out.push(flags);
    put_signed(out, schema.into());
    put_float(out, zero_threshold);
    put_unsigned(out, custom_values.len() as u64);
    custom_values.iter().for_each(|bound| put_float(out, *bound));
    *before = Scale { schema, zero_threshold, custom_values: custom_values.to_vec() };
}

fn put_spans(out: &mut Vec<u8>, spans: &[Span]) {
    put_unsigned(out, spans.len() as u64);
    for span in spans {
        put_signed(out, span.offset.into());
        put_unsigned(out, span.length.into());
    }
}

/// Spans, and how many buckets they say: no more than there are bytes left.
fn take_spans(bytes: &mut Bytes<'_>) -> Option<(Vec<Span>, usize)> {
    let mut buckets = 0usize;
    let spans = take_many(bytes.count()?, || {
        let offset = i32::try_from(bytes.signed()?).ok()?;
        let length = u32::try_from(bytes.unsigned()?).ok()?;
        buckets = buckets.checked_add(length as usize)?;
        Some(Span { offset, length })
    })?;
    (buckets <= bytes.0.len()).then_some((spans, buckets))
}

fn put_float(out: &mut Vec<u8>, number: f64) {
    out.extend_from_slice(&number.to_bits().to_le_bytes());
}

fn take_float(bytes: &mut Bytes<'_>) -> Option<f64> {
    let taken = bytes.take(8)?;
    Some(f64::from_bits(u64::from_le_bytes(*taken.first_chunk()?)))
}

fn take_many<T>(count: usize, mut take: impl FnMut() -> Option<T>) -> Option<Vec<T>> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        all.push(take()?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans(lengths: &[(i32, u32)]) -> Vec<Span> {
        lengths.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect()
    }

    fn check(all: &[SampleValue]) {
        let (mut out, mut before) = (Vec::new(), Scale::default());
        all.iter().for_each(|value| put_histogram(&mut out, value, &mut before));
        let (mut bytes, mut before) = (Bytes(&out), Scale::default());
        for value in all {
            let found = take_histogram(&mut bytes, &mut before).expect("what was written can be read");
            // NaNs and signs of zeros are in the text, too.
            assert_eq!(format!("{found:?}"), format!("{value:?}"));
        }
        assert!(bytes.0.is_empty());
    }

    #[test]
    fn edges_come_back() {
        let stale = Histogram { sum: STALE_NAN, ..Histogram::default() };
        let custom = FloatHistogram {
            schema: -53,
            custom_values: vec![0.5, 1.0],
            positive_spans: spans(&[(0, 3)]),
            positive_buckets: vec![1.0, 0.0, 2.5],
            count: 3.5,
            ..FloatHistogram::default()
        };
        check(&[
            SampleValue::Histogram(Histogram::default().into()),
            SampleValue::Histogram(stale.into()),
            SampleValue::FloatHistogram(custom.clone().into()),
            SampleValue::FloatHistogram(custom.into()),
            SampleValue::FloatHistogram(
                FloatHistogram { sum: f64::NEG_INFINITY, ..Default::default() }.into(),
            ),
        ]);
    }

    proptest! {
        #[test]
        fn histograms_come_back(
            all in proptest::collection::vec(
                (any::<i64>(), any::<u64>(), proptest::collection::vec((any::<i32>(), 0u32..4), 0..4), 0usize..4, -4i32..9),
                0..6,
            ),
        ) {
            let all: Vec<SampleValue> = all
                .into_iter()
                .map(|(delta, count, lengths, hint, schema)| {
                    let buckets: usize = lengths.iter().map(|(_, length)| *length as usize).sum();
                    let histogram = Histogram {
                        counter_reset_hint: HINTS[hint],
                        schema,
                        zero_threshold: 1e-128,
                        zero_count: count / 3,
                        count,
                        sum: delta as f64 / 7.0,
                        negative_spans: spans(&lengths),
                        negative_buckets: vec![delta; buckets],
                        positive_spans: spans(&lengths),
                        positive_buckets: (0..buckets as i64).collect(),
                        custom_values: Vec::new(),
                    };
                    match hint {
                        0 => SampleValue::FloatHistogram(histogram.to_float().into()),
                        _ => SampleValue::Histogram(histogram.into()),
                    }
                })
                .collect();
            check(&all);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut bytes = Bytes(&bytes);
            while take_histogram(&mut bytes, &mut Scale::default()).is_some() {}
        }
    }
}

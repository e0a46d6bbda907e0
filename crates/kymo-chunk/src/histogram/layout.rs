//! Layout: which buckets the histograms of a chunk have. Written once, before the first sample.
//!
//! ```text
//! zero threshold:8 (:64)   schema:signed   spans of positive   spans of negative   bounds (only with schema -53)
//! spans    number:unsigned   (length:unsigned offset:signed)...
//! bounds   number:unsigned   bound...
//! bound    thousandths+1:unsigned | 0 float:64
//! ```

use kymo_model::{CUSTOM_BUCKETS_SCHEMA, Span};

use super::form::Raw;
use crate::bits::{BitReader, BitWriter};
use crate::{ChunkError, ChunkErrorKind};

/// The schemas that a chunk may have besides custom bounds. Those above 8 are for later versions of Prometheus, which say
/// that readers shall reduce them.
const SCHEMAS: std::ops::RangeInclusive<i32> = -9..=52;

/// Says that the threshold follows as a float.
const THRESHOLD_ESCAPE: u8 = 255;

/// The threshold 2^e is written as this plus e.
const THRESHOLD_BIAS: i32 = 244;

/// Bounds up to this many thousandths are written as whole numbers.
const BOUND_THOUSANDTHS_MAX: f64 = 33_554_430.0;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layout {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    /// Positive, negative.
    pub(super) spans: [Vec<Span>; 2],
    pub(super) custom_values: Vec<f64>,
}

impl Layout {
    pub(super) fn of(raw: &Raw<'_>) -> Layout {
        Layout {
            schema: raw.schema,
            zero_threshold: raw.zero_threshold,
            spans: raw.spans.map(<[Span]>::to_vec),
            custom_values: raw.custom_values.to_vec(),
        }
    }

    /// How many buckets each side has.
    pub(super) fn lengths(&self) -> [usize; 2] {
        self.spans.each_ref().map(|spans| spans.iter().map(|span| span.length as usize).sum())
    }

    /// How much a histogram carries besides its counts.
    pub(super) fn parts(&self) -> usize {
        self.spans[0].len() + self.spans[1].len() + self.custom_values.len()
    }

    pub(super) fn write(&self, writer: &mut BitWriter) {
        write_threshold(writer, self.zero_threshold);
        writer.push_varbit_signed(i64::from(self.schema));
        for spans in &self.spans {
            writer.push_varbit_unsigned(spans.len() as u64);
            for Span { offset, length } in spans {
                writer.push_varbit_unsigned(u64::from(*length));
                writer.push_varbit_signed(i64::from(*offset));
            }
        }
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            writer.push_varbit_unsigned(self.custom_values.len() as u64);
            for bound in &self.custom_values {
                write_bound(writer, *bound);
            }
        }
    }

    pub(super) fn read(reader: &mut BitReader<'_>) -> Result<Layout, ChunkError> {
        let zero_threshold = read_threshold(reader)?;
        let start = reader.bit_offset();
        let schema = reader.varbit_signed()?;
        let known = |schema: &i32| SCHEMAS.contains(schema) || *schema == CUSTOM_BUCKETS_SCHEMA;
        let schema = i32::try_from(schema)
            .ok()
            .filter(known)
            .ok_or_else(|| reader.error_at(start, ChunkErrorKind::Schema { found: schema }))?;
        let spans = [read_spans(reader)?, read_spans(reader)?];
        let mut custom_values = Vec::new();
        if schema == CUSTOM_BUCKETS_SCHEMA {
            for _ in 0..reader.varbit_unsigned()? {
                custom_values.push(read_bound(reader)?);
            }
        }
        Ok(Layout { schema, zero_threshold, spans, custom_values })
    }
}

/// One byte for zero and for powers of two, nine for anything else.
fn write_threshold(writer: &mut BitWriter, threshold: f64) {
    let bits = threshold.to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let is_power = bits << 12 == 0 && exponent + THRESHOLD_BIAS > 0;
    let byte = match exponent + THRESHOLD_BIAS {
        _ if threshold == 0.0 => 0,
        code if is_power && code < i32::from(THRESHOLD_ESCAPE) => code as u8,
        _ => THRESHOLD_ESCAPE,
    };
    writer.push(u128::from(byte), 8);
    if byte == THRESHOLD_ESCAPE {
        writer.push(u128::from(bits), 64);
    }
}

fn read_threshold(reader: &mut BitReader<'_>) -> Result<f64, ChunkError> {
    Ok(match reader.bits(8)? as u8 {
        0 => 0.0,
        THRESHOLD_ESCAPE => f64::from_bits(reader.bits(64)?),
        code => f64::from_bits(((i32::from(code) - THRESHOLD_BIAS + 1023) as u64) << 52),
    })
}

fn read_spans(reader: &mut BitReader<'_>) -> Result<Vec<Span>, ChunkError> {
    let mut spans: Vec<Span> = Vec::new();
    // The bucket after the last one, to see that indices grow and are 32 bits.
    let mut next = 0i64;
    for number in 0..reader.varbit_unsigned()? {
        let start = reader.bit_offset();
        let (length, offset) = (reader.varbit_unsigned()?, reader.varbit_signed()?);
        let bad = || reader.error_at(start, ChunkErrorKind::Span { offset, length });
        let (length, offset) = u32::try_from(length).ok().zip(i32::try_from(offset).ok()).ok_or_else(bad)?;
        next += i64::from(offset) + i64::from(length);
        if (number > 0 && offset < 0) || i32::try_from(next).is_err() {
            return Err(bad());
        }
        spans.push(Span { offset, length });
    }
    Ok(spans)
}

fn write_bound(writer: &mut BitWriter, bound: f64) {
    let thousandths = bound * 1000.0;
    let whole = thousandths.round();
    // Written so that NaN is no whole number.
    if (0.0..=BOUND_THOUSANDTHS_MAX).contains(&thousandths) && whole / 1000.0 == bound {
        writer.push_varbit_unsigned(whole as u64 + 1);
    } else {
        writer.push(0, 1);
        writer.push(u128::from(bound.to_bits()), 64);
    }
}

fn read_bound(reader: &mut BitReader<'_>) -> Result<f64, ChunkError> {
    match reader.varbit_unsigned()? {
        0 => Ok(f64::from_bits(reader.bits(64)?)),
        number => Ok((number - 1) as f64 / 1000.0),
    }
}

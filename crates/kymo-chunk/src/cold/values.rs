//! Values: a column of floats, lossless to the bit. What its numbers are is chosen by trial, column by column.
//!
//! ```text
//! values       count:unsigned   kind:2 unused:2 narrow:1 patched:1 same:1 unused:1   ...
//! constant     bits:8
//! decimal      places:byte   [patches]   integers     the value times 10^places
//! bits         [patches]   integers                   the value's bits, in order of value
//! dictionary   size:unsigned   bits:8…   integers     which of the values
//! patches      count:unsigned   places between:unsigned…   bits:8…, once if they are all the same
//! ```

use std::ops::Range;

use super::bytes::{Bytes, put_unsigned};
use super::decimal::{self, PLACES_MAX};
use super::dictionary;
use super::integers::{Form, Planned, Reader};
use super::pack::GROUP;
use super::patches::Patches;
use super::times::begin;
use super::{COLUMN_SAMPLES_MAX, ColdError};

const CONSTANT: u8 = 0;
const DECIMAL: u8 = 1;
const BITS: u8 = 2;
const DICTIONARY: u8 = 3;

/// Set when all decimals are below 2^51.
const NARROW: u8 = 0x10;
/// Set when some values are told apart.
const PATCHED: u8 = 0x20;
/// Set when those are all the same.
const SAME: u8 = 0x40;

/// A decimal column that costs more is compared with one of bits.
const DECIMAL_MILLIBITS: usize = 20_000;

/// What a patch costs, about.
const PATCH_MILLIBITS: usize = 74_000;

/// Appends a column of values to `out`.
///
/// ```
/// let values: Vec<f64> = (0..2000).map(|i| f64::from(i % 7 * 3 + i) / 100.0).collect();
/// let (mut column, mut read) = (Vec::new(), Vec::new());
/// kymo_chunk::cold::encode_values(&values, &mut column);
/// assert!(column.len() < values.len());
/// kymo_chunk::cold::decode_values(&column, 1000..1500, &mut read)?;
/// assert_eq!(read, values[1000..1500]);
/// # Ok::<(), kymo_chunk::cold::ColdError>(())
/// ```
///
/// # Panics
///
/// When there are more than [`COLUMN_SAMPLES_MAX`].
pub fn encode_values(values: &[f64], out: &mut Vec<u8>) {
    assert!(values.len() <= COLUMN_SAMPLES_MAX, "BUG: a column of {} samples", values.len());
    put_unsigned(out, values.len() as u64);
    let first = values.first().map_or(0, |value| value.to_bits());
    if values.iter().all(|value| value.to_bits() == first) {
        out.push(CONSTANT);
        out.extend_from_slice(&first.to_le_bytes());
        return;
    }
    let mut best: Option<Candidate> = None;
    if let Some(places) = decimal::places(values) {
        let (numbers, patches) = decimal::scale(values, places);
        let narrow = if decimal::is_narrow(&numbers) { NARROW } else { 0 };
        best = Some(Candidate::new(DECIMAL | narrow, vec![places], numbers, Some(patches), values.len()));
    }
    if best.as_ref().is_none_or(|best| best.millibits > DECIMAL_MILLIBITS) {
        let (numbers, patches) = ordered_bits(values);
        Candidate::new(BITS, Vec::new(), numbers, Some(patches), values.len()).take_if_better(&mut best);
        if let Some((header, numbers)) = dictionary::of(values) {
            Candidate::new(DICTIONARY, header, numbers, None, values.len()).take_if_better(&mut best);
        }
    }
    best.expect("BUG: bits are always possible").write(out);
}

/// A way to write a column.
struct Candidate {
    kind: u8,
    header: Vec<u8>,
    patches: Option<Patches>,
    integers: Planned,
    millibits: usize,
}

impl Candidate {
    fn new(
        kind: u8,
        header: Vec<u8>,
        numbers: Vec<i64>,
        patches: Option<Patches>,
        count: usize,
    ) -> Candidate {
        let integers = Planned::of(numbers, Form::VALUES);
        let patched = patches.as_ref().map_or(0, Patches::len);
        let millibits = integers.millibits + (8000 * header.len() + patched * PATCH_MILLIBITS) / count.max(1);
        let patches = patches.filter(|patches| patches.len() > 0);
        Candidate { kind, header, patches, integers, millibits }
    }

    fn take_if_better(self, best: &mut Option<Candidate>) {
        if best.as_ref().is_none_or(|best| self.millibits < best.millibits) {
            *best = Some(self);
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let same = self.patches.as_ref().is_some_and(Patches::are_same);
        let patched = if self.patches.is_some() { PATCHED } else { 0 };
        out.push(self.kind | patched | if same { SAME } else { 0 });
        out.extend_from_slice(&self.header);
        if let Some(patches) = &self.patches {
            patches.write(out);
        }
        self.integers.write(out);
    }
}

/// Bits of a value, in order of the values, and back.
fn ordered(bits: i64) -> i64 {
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

fn ordered_bits(values: &[f64]) -> (Vec<i64>, Patches) {
    Patches::around(values, |value| value.is_finite().then(|| ordered(value.to_bits() as i64)))
}

/// Appends the values of a column in a range of places to `out`. Nothing may follow the column; on an error `out` is as it was.
/// Damage behind the range is not noticed.
pub fn decode_values(bytes: &[u8], wanted: Range<usize>, out: &mut Vec<f64>) -> Result<(), ColdError> {
    let before = out.len();
    decode(bytes, wanted, out).inspect_err(|_| out.truncate(before))
}

fn decode(bytes: &[u8], wanted: Range<usize>, out: &mut Vec<f64>) -> Result<(), ColdError> {
    let (count, mut bytes) = begin(bytes, &wanted)?;
    let kind = bytes.rest().first().copied().unwrap_or(0);
    let (known, flags) = (kind & 0x03, kind & !0x03);
    let allowed = match known {
        CONSTANT | DICTIONARY => 0,
        DECIMAL => NARROW | PATCHED | SAME,
        _ => PATCHED | SAME,
    };
    if flags & !allowed != 0 || flags & (PATCHED | SAME) == SAME {
        return Err(bytes.unexpected("a kind of column", kind.into()));
    }
    bytes.byte("the kind of the column")?;
    if known == CONSTANT {
        let value = f64::from_bits(bytes.whole("the constant value")?);
        bytes.finish()?;
        out.resize(out.len() + wanted.len(), value);
        return Ok(());
    }
    let start = out.len();
    if known == DICTIONARY {
        let dictionary = dictionary::read(&mut bytes)?;
        return dictionary.decode(Reader::begin(bytes, count)?, count, wanted, out);
    }
    let places = if known == DECIMAL { bytes.rest().first().copied().unwrap_or(0) } else { 0 };
    if places > PLACES_MAX {
        return Err(bytes.unexpected("at most 15 decimal places", places.into()));
    }
    if known == DECIMAL {
        bytes.byte("the number of decimal places")?;
    }
    let patches = match flags & PATCHED {
        0 => Patches::default(),
        _ => Patches::read(&mut bytes, count, flags & SAME != 0)?,
    };
    let reader = Reader::begin(bytes, count)?;
    let power = decimal::power(places);
    match (known, flags & NARROW != 0, places) {
        (DECIMAL, true, 0) => map(reader, count, &wanted, out, decimal::narrow)?,
        (DECIMAL, true, _) => map(reader, count, &wanted, out, |number| decimal::narrow(number) / power)?,
        (DECIMAL, false, 0) => map(reader, count, &wanted, out, |number| number as f64)?,
        (DECIMAL, false, _) => map(reader, count, &wanted, out, |number| number as f64 / power)?,
        _ => map(reader, count, &wanted, out, |number| f64::from_bits(ordered(number) as u64))?,
    }
    patches.apply(wanted.start, &mut out[start..]);
    Ok(())
}

/// Reads numbers and appends what they mean.
#[inline(always)]
fn map(
    mut reader: Reader<'_>,
    count: usize,
    wanted: &Range<usize>,
    out: &mut Vec<f64>,
    value: impl Fn(i64) -> f64,
) -> Result<(), ColdError> {
    let mut numbers = [0; GROUP];
    let mut from = 0;
    out.reserve(wanted.len());
    while from < wanted.end {
        let read = reader.group(&mut numbers)?;
        let taken = wanted.start.saturating_sub(from).min(read)..(wanted.end - from).min(read);
        out.extend(numbers[taken].iter().map(|number| value(*number)));
        from += read;
    }
    if from == count { reader.rest().finish() } else { Ok(()) }
}

pub(super) fn bits_at(
    bytes: &mut Bytes<'_>,
    count: usize,
    wanted: &'static str,
) -> Result<Vec<u64>, ColdError> {
    let bytes = bytes.take(8 * count, wanted)?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|eight| u64::from_le_bytes(*eight)).collect())
}

//! Dictionary: columns of few different values.

use std::collections::HashMap;
use std::ops::Range;

use super::bytes::{Bytes, put_unsigned};
use super::integers::Reader;
use super::pack::GROUP;
use super::values::bits_at;
use super::{ColdError, ColdErrorKind};

/// No dictionary has more values.
const SIZE_MAX: usize = 256;

/// So many values are looked at first; if half of them are different, there is no dictionary.
const FIRST: usize = 64;

/// The dictionary of a column as it is written, and which of its values each value is; `None` when there are too many.
pub(super) fn of(values: &[f64]) -> Option<(Vec<u8>, Vec<i64>)> {
    let (mut known, mut codes): (HashMap<u64, i64>, _) = (HashMap::new(), Vec::with_capacity(values.len()));
    let mut header = Vec::new();
    for (place, value) in values.iter().enumerate() {
        let next = known.len() as i64;
        codes.push(*known.entry(value.to_bits()).or_insert_with(|| {
            header.extend_from_slice(&value.to_bits().to_le_bytes());
            next
        }));
        if known.len() > SIZE_MAX || (place + 1 == FIRST && known.len() > FIRST / 2) {
            return None;
        }
    }
    let mut size = Vec::new();
    put_unsigned(&mut size, known.len() as u64);
    Some(([size, header].concat(), codes))
}

/// The values of a column.
pub(super) struct Dictionary(Vec<u64>);

pub(super) fn read(bytes: &mut Bytes<'_>) -> Result<Dictionary, ColdError> {
    let start = *bytes;
    let size = bytes.unsigned("the size of the dictionary")?;
    if size == 0 || size > SIZE_MAX as u64 {
        return Err(start.unexpected("a dictionary of 1 to 256 values", size));
    }
    bits_at(bytes, size as usize, "the values of the dictionary").map(Dictionary)
}

impl Dictionary {
    pub(super) fn decode(
        &self,
        mut reader: Reader<'_>,
        count: usize,
        wanted: Range<usize>,
        out: &mut Vec<f64>,
    ) -> Result<(), ColdError> {
        let mut numbers = [0; GROUP];
        let mut from = 0;
        while from < wanted.end {
            let start = reader.rest();
            let read = reader.group(&mut numbers)?;
            let taken = wanted.start.saturating_sub(from).min(read)..(wanted.end - from).min(read);
            for code in &numbers[taken] {
                let value = usize::try_from(*code).ok().and_then(|code| self.0.get(code));
                let found = *code as u64;
                let kind = ColdErrorKind::Unexpected { wanted: "a value of the dictionary", found };
                out.push(f64::from_bits(*value.ok_or_else(|| start.error(kind))?));
            }
            from += read;
        }
        if from == count { reader.rest().finish() } else { Ok(()) }
    }
}

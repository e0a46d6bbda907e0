//! Bits: the streams that every encoding is made of, most significant bit first. Below all encodings; knows none of them.

mod reader;
mod varbit;
mod window;
mod writer;

pub(crate) use reader::BitReader;
pub(crate) use window::{LEADING_BITS, LEADING_MAX, SIGNIFICANT_BITS, Window};
pub(crate) use writer::BitWriter;

use crate::{ChunkError, ChunkErrorKind};

/// Cuts a chunk behind its last sample. Prometheus leaves an empty byte behind a number that ended with a byte; anything
/// else there is an error.
pub(crate) fn strip_empty_byte(bytes: &mut Vec<u8>, end_bit: usize, sample: u16) -> Result<(), ChunkError> {
    let end = end_bit.div_ceil(8);
    match bytes[end..] {
        [] | [0] => {
            bytes.truncate(end);
            Ok(())
        }
        _ => {
            let kind = ChunkErrorKind::TrailingBytes { bytes: bytes.len() - end };
            Err(ChunkError { kind, bit_offset: end_bit, sample })
        }
    }
}

/// The count of samples at the start of each encoding.
pub(crate) const COUNT_BYTES: usize = 2;

/// Seven bits a byte: a 64-bit varint has at most ten.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// Maps signed numbers to unsigned ones, small to small.
pub(crate) const fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

/// The number that [`zigzag`] made this of.
pub(crate) const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

//! Bytes: fields of a column, read from any bytes. Every read is checked and says where it failed.

use super::{ColdError, ColdErrorKind};
use crate::bits::{VARINT_BYTES_MAX, unzigzag, zigzag};

/// A cursor over a column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    pub(super) fn over(all: &'a [u8]) -> Bytes<'a> {
        Bytes { all, at: 0 }
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.all[self.at..]
    }

    pub(super) fn byte(&mut self, wanted: &'static str) -> Result<u8, ColdError> {
        let byte = *self.all.get(self.at).ok_or_else(|| self.truncated(wanted))?;
        self.at += 1;
        Ok(byte)
    }

    pub(super) fn take(&mut self, count: usize, wanted: &'static str) -> Result<&'a [u8], ColdError> {
        let taken = self.rest().get(..count).ok_or_else(|| self.truncated(wanted))?;
        self.at += count;
        Ok(taken)
    }

    /// A number of eight bytes.
    pub(super) fn whole(&mut self, wanted: &'static str) -> Result<u64, ColdError> {
        let eight = self.rest().first_chunk::<8>().ok_or_else(|| self.truncated(wanted))?;
        self.at += 8;
        Ok(u64::from_le_bytes(*eight))
    }

    pub(super) fn unsigned(&mut self, wanted: &'static str) -> Result<u64, ColdError> {
        let start = self.at;
        let mut number = 0u64;
        for place in 0..VARINT_BYTES_MAX {
            let byte = self.byte(wanted)?;
            if place == VARINT_BYTES_MAX - 1 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        self.at = start;
        Err(self.unexpected("a number of at most 64 bits", number))
    }

    pub(super) fn signed(&mut self, wanted: &'static str) -> Result<i64, ColdError> {
        self.unsigned(wanted).map(unzigzag)
    }

    pub(super) fn finish(&self) -> Result<(), ColdError> {
        match self.rest().len() {
            0 => Ok(()),
            bytes => Err(self.error(ColdErrorKind::TrailingBytes { bytes })),
        }
    }

    /// The field that was to be read next is not what it should be.
    pub(super) fn unexpected(&self, wanted: &'static str, found: u64) -> ColdError {
        self.error(ColdErrorKind::Unexpected { wanted, found })
    }

    pub(super) fn error(&self, kind: ColdErrorKind) -> ColdError {
        ColdError { kind, offset: self.at }
    }

    fn truncated(&self, wanted: &'static str) -> ColdError {
        self.error(ColdErrorKind::Truncated { wanted })
    }
}

pub(super) fn put_unsigned(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_unsigned(out, zigzag(number));
}

/// Bytes of a number as [`put_unsigned`] writes it.
pub(super) fn unsigned_bytes(number: u64) -> usize {
    (70 - (number | 1).leading_zeros() as usize) / 7
}

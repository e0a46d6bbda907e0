//! BitReader: bits of a chunk from any bytes. Every read is checked; errors say at which bit and sample.

use super::VARINT_BYTES_MAX;
use crate::{ChunkError, ChunkErrorKind};

/// Bits of a chunk, most significant first.
#[derive(Clone, Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
    /// For errors: the sample that is being read.
    pub(crate) sample: u16,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader { bytes, at: 0, sample: 0 }
    }

    /// The place of the next bit.
    pub(crate) fn bit_offset(&self) -> usize {
        self.at
    }

    /// How many bits follow.
    pub(crate) fn left_bits(&self) -> usize {
        self.bytes.len() * 8 - self.at
    }

    /// The next 1 to 64 bits, right-aligned.
    pub(crate) fn bits(&mut self, wanted: u32) -> Result<u64, ChunkError> {
        let left = self.left_bits();
        if left < wanted as usize {
            return Err(self.error(ChunkErrorKind::Truncated { wanted_bits: wanted, left_bits: left as u32 }));
        }
        let (byte, shift) = (self.at / 8, (self.at % 8) as u32);
        if let Some(eight) = self.bytes[byte..].first_chunk::<8>()
            && shift + wanted <= 64
        {
            self.at += wanted as usize;
            return Ok(u64::from_be_bytes(*eight) << shift >> (64 - wanted));
        }
        let mut found = 0u64;
        let mut missing = wanted;
        while missing > 0 {
            let free = 8 - (self.at % 8) as u32;
            let taken = free.min(missing);
            let byte = u64::from(self.bytes[self.at / 8]) & ((1 << free) - 1);
            found = found << taken | byte >> (free - taken);
            self.at += taken as usize;
            missing -= taken;
        }
        Ok(found)
    }

    /// How many ones come next, at most `max`; takes them and, when there are fewer, the zero behind them.
    pub(crate) fn ones(&mut self, max: u32) -> Result<u32, ChunkError> {
        let mut ones = 0;
        while ones < max && self.bits(1)? == 1 {
            ones += 1;
        }
        Ok(ones)
    }

    /// An unsigned varint, least significant seven bits first.
    pub(crate) fn varint(&mut self) -> Result<u64, ChunkError> {
        let start = self.at;
        let mut found = 0u64;
        for place in 0..VARINT_BYTES_MAX {
            let byte = self.bits(8)?;
            if place == VARINT_BYTES_MAX - 1 && byte > 1 {
                break;
            }
            found |= (byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(found);
            }
        }
        Err(self.error_at(start, ChunkErrorKind::VarintTooLong))
    }

    /// This is wrong with what would be read next.
    pub(crate) fn error(&self, kind: ChunkErrorKind) -> ChunkError {
        self.error_at(self.at, kind)
    }

    /// This is wrong with the field that begins at a bit.
    pub(crate) fn error_at(&self, bit_offset: usize, kind: ChunkErrorKind) -> ChunkError {
        ChunkError { kind, bit_offset, sample: self.sample }
    }
}

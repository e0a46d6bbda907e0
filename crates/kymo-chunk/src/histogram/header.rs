//! The header of a histogram chunk: count of samples, what is known about a reset before the chunk, start timestamps.
//!
//! ```text
//! without start timestamps   count:u16 BE   reset:2   unused:6
//! with                       reset:2   count:14   starts:8
//! ```

use kymo_model::CounterResetHint;

use crate::bits::BitReader;
use crate::{ChunkError, SAMPLES_MAX};

pub(super) const HEADER_BYTES: usize = 3;

/// The most samples that a chunk with start timestamps can count.
pub(super) const STARTED_SAMPLES_MAX: u16 = (1 << 14) - 1;

/// What is known about a counter reset between the chunk before and this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResetHeader {
    /// Nothing.
    #[default]
    Unknown,
    /// There was none.
    NotReset,
    /// There was one.
    Reset,
    /// The histograms of the chunk are gauges.
    Gauge,
}

impl ResetHeader {
    fn from_bits(bits: u64) -> ResetHeader {
        match bits {
            0 => ResetHeader::Unknown,
            1 => ResetHeader::NotReset,
            2 => ResetHeader::Reset,
            _ => ResetHeader::Gauge,
        }
    }

    fn bits(self) -> u8 {
        match self {
            ResetHeader::Unknown => 0,
            ResetHeader::NotReset => 1,
            ResetHeader::Reset => 2,
            ResetHeader::Gauge => 3,
        }
    }

    /// What a reader is told about sample `index` of a chunk. Of the first one nothing, unless it is a gauge: the chunk
    /// before may be gone, or others may have come between.
    pub(super) fn hint(self, index: u16) -> CounterResetHint {
        match self {
            ResetHeader::Gauge => CounterResetHint::Gauge,
            _ if index > 0 => CounterResetHint::NotReset,
            _ => CounterResetHint::Unknown,
        }
    }
}

/// The header, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) count: u16,
    pub(super) reset: ResetHeader,
    /// The byte about start timestamps, in a chunk that has them.
    pub(super) starts: Option<u8>,
}

impl Header {
    pub(super) fn read(reader: &mut BitReader<'_>, with_starts: bool) -> Result<Header, ChunkError> {
        if with_starts {
            let reset = ResetHeader::from_bits(reader.bits(2)?);
            let count = reader.bits(14)? as u16;
            return Ok(Header { count, reset, starts: Some(reader.bits(8)? as u8) });
        }
        let count = reader.bits(16)? as u16;
        let reset = ResetHeader::from_bits(reader.bits(2)?);
        reader.bits(6)?;
        Ok(Header { count, reset, starts: None })
    }

    pub(super) fn bytes(&self) -> [u8; HEADER_BYTES] {
        let [high, low] = self.count.to_be_bytes();
        match self.starts {
            Some(starts) => [self.reset.bits() << 6 | high & 0x3f, low, starts],
            None => [high, low, self.reset.bits() << 6],
        }
    }

    pub(super) fn count_max(&self) -> u16 {
        if self.starts.is_some() { STARTED_SAMPLES_MAX } else { SAMPLES_MAX }
    }
}

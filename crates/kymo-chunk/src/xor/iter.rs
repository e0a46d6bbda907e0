//! XorIter: one sample at a time from any bytes. Read path; the plain reading of the layout that the batch decoder must
//! agree with, and the one place that says what is wrong with a chunk.

use super::layout::{
    DOD_BITS, HEADER_BYTES, LEADING_BITS, SIGNIFICANT_BITS, VARINT_BYTES_MAX, Window, dod_from_raw,
};
use crate::{ChunkError, ChunkErrorKind};

/// The samples of a chunk, in order, as far as they can be read.
///
/// After the first error it ends. Bytes after the last sample are not looked at, as in Prometheus.
///
/// ```
/// use kymo_chunk::{XorAppender, XorIter};
/// let mut chunk = XorAppender::new();
/// chunk.push(1000, f64::NEG_INFINITY);
/// let samples: Result<Vec<_>, _> = XorIter::new(chunk.bytes())?.collect();
/// assert_eq!(samples?, [(1000, f64::NEG_INFINITY)]);
/// # Ok::<(), kymo_chunk::ChunkError>(())
/// ```
#[derive(Clone, Debug)]
pub struct XorIter<'a> {
    reader: BitReader<'a>,
    count: u16,
    /// Set to `count` by an error.
    next: u16,
    state: State,
}

/// What the next sample is written against.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) t_ms: i64,
    pub(super) value_bits: u64,
    pub(super) delta: u64,
    pub(super) window: Window,
    /// Has the chunk described a window yet?
    pub(super) window_set: bool,
}

impl<'a> XorIter<'a> {
    /// The samples of `bytes`: a chunk's data without encoding byte and checksum.
    pub fn new(bytes: &'a [u8]) -> Result<XorIter<'a>, ChunkError> {
        let mut reader = BitReader { bytes, at: 0, sample: 0 };
        let count = reader.bits(8 * HEADER_BYTES as u32)? as u16;
        let state = State { t_ms: 0, value_bits: 0, delta: 0, window: Window::WHOLE, window_set: false };
        Ok(XorIter { reader, count, next: 0, state })
    }

    /// How many samples the chunk says it has.
    pub fn sample_count(&self) -> u16 {
        self.count
    }

    /// How many bits of the chunk were read so far.
    pub(super) fn bit_offset(&self) -> usize {
        self.reader.at
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    fn step(&mut self) -> Result<(), ChunkError> {
        self.reader.sample = self.next;
        match self.next {
            0 => {
                let zigzag = self.reader.varint()?;
                self.state.t_ms = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
                self.state.value_bits = self.reader.bits(64)?;
                return Ok(());
            }
            1 => self.state.delta = self.reader.varint()?,
            _ => {
                let dod = self.dod()?;
                self.state.delta = self.state.delta.wrapping_add_signed(dod);
            }
        }
        self.state.t_ms = self.state.t_ms.wrapping_add_unsigned(self.state.delta);
        self.state.value_bits ^= self.value_change()?;
        Ok(())
    }

    fn dod(&mut self) -> Result<i64, ChunkError> {
        let mut ones = 0;
        while ones < 4 && self.reader.bits(1)? == 1 {
            ones += 1;
        }
        let bits = DOD_BITS[ones];
        Ok(if bits == 0 { 0 } else { dod_from_raw(self.reader.bits(bits)?, bits) })
    }

    fn value_change(&mut self) -> Result<u64, ChunkError> {
        if self.reader.bits(1)? == 0 {
            return Ok(0);
        }
        if self.reader.bits(1)? == 1 {
            let at = self.reader.at;
            let leading = self.reader.bits(LEADING_BITS)? as u8;
            let significant = match self.reader.bits(SIGNIFICANT_BITS)? as u8 {
                0 => 64,
                bits => bits,
            };
            if leading + significant > 64 {
                let kind = ChunkErrorKind::BadWindow { leading, significant };
                return Err(ChunkError { kind, bit_offset: at, sample: self.next });
            }
            self.state.window = Window { leading, trailing: 64 - leading - significant };
            self.state.window_set = true;
        }
        let window = self.state.window;
        Ok(self.reader.bits(u32::from(64 - window.leading - window.trailing))? << window.trailing)
    }
}

impl Iterator for XorIter<'_> {
    type Item = Result<(i64, f64), ChunkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        match self.step() {
            Ok(()) => {
                self.next += 1;
                Some(Ok((self.state.t_ms, f64::from_bits(self.state.value_bits))))
            }
            Err(error) => {
                self.next = self.count;
                Some(Err(error))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.count - self.next);
        (left.min(1), Some(left))
    }
}

impl std::iter::FusedIterator for XorIter<'_> {}

/// Bits of a chunk, most significant first.
#[derive(Clone, Debug)]
struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
    /// For errors: the sample that is being read.
    sample: u16,
}

impl BitReader<'_> {
    /// The next 1 to 64 bits, right-aligned.
    fn bits(&mut self, wanted: u32) -> Result<u64, ChunkError> {
        let left = self.bytes.len() * 8 - self.at;
        if left < wanted as usize {
            return Err(self.error(ChunkErrorKind::Truncated { wanted_bits: wanted, left_bits: left as u32 }));
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

    /// An unsigned varint, least significant seven bits first.
    fn varint(&mut self) -> Result<u64, ChunkError> {
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
        let kind = ChunkErrorKind::VarintTooLong;
        Err(ChunkError { kind, bit_offset: start, sample: self.sample })
    }

    fn error(&self, kind: ChunkErrorKind) -> ChunkError {
        ChunkError { kind, bit_offset: self.at, sample: self.sample }
    }
}

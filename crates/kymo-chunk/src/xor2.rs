//! Prometheus' XOR2 encoding: float samples with optional start timestamps; one prefix says what of time and value
//! changed. Read only: what kymo writes is XOR, which every Prometheus reads.
//!
//! ```text
//! chunk    count:u16 BE   starts:8   first   second   other...
//! first    t:zigzag varint           value:64        start
//! second   t-t0:unsigned varint      value change    start
//! other    0 | 10 known change | 110 dod:13 change | 1110 dod:20 change | 11110 dod:64 change | 11111: stale    start
//! change   0 | 10 bits:window | 110 window | 111: stale
//! known    0 bits:window | 1 window
//! ```
//!
//! A staleness marker is not what the next value is written against. The ranges of deltas of deltas are plain two's
//! complement here, unlike in XOR.

use kymo_model::{STALE_NAN_BITS, is_stale};

use crate::ChunkError;
use crate::bits::{BitReader, COUNT_BYTES, Window, unzigzag};
use crate::starts::Starts;

/// The widths of a delta of delta, by the number of ones in the prefix. One and five ones mean none.
const DOD_BITS: [u32; 6] = [0, 0, 13, 20, 64, 0];

/// The samples of an XOR2 chunk, in order, as far as they can be read. After the first error it ends.
///
/// ```
/// // One sample at 1 ms, value 0.
/// let bytes = [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
/// let sample = kymo_chunk::Xor2Iter::new(&bytes)?.next().unwrap()?;
/// assert_eq!((sample.t_ms, sample.start_ms, sample.value), (1, 0, 0.0));
/// # Ok::<(), kymo_chunk::ChunkError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Xor2Iter<'a> {
    reader: BitReader<'a>,
    count: u16,
    /// Set to `count` by an error.
    next: u16,
    t_ms: i64,
    delta: u64,
    /// The newest value that is not the staleness marker.
    baseline: u64,
    window: Window,
    starts: Starts,
}

/// A float sample with its start timestamp.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StartedSample {
    /// When.
    pub t_ms: i64,
    /// Since when the counter counts; 0 for unknown.
    pub start_ms: i64,
    /// What.
    pub value: f64,
}

impl<'a> Xor2Iter<'a> {
    /// The samples of `bytes`: a chunk's data without encoding byte and checksum.
    pub fn new(bytes: &'a [u8]) -> Result<Xor2Iter<'a>, ChunkError> {
        let mut reader = BitReader::new(bytes);
        let count = reader.bits(8 * COUNT_BYTES as u32)? as u16;
        let starts = Starts::from_header(reader.bits(8)? as u8);
        Ok(Xor2Iter { reader, count, next: 0, t_ms: 0, delta: 0, baseline: 0, window: Window::UNSET, starts })
    }

    /// How many samples the chunk says it has.
    pub fn sample_count(&self) -> u16 {
        self.count
    }

    fn step(&mut self) -> Result<StartedSample, ChunkError> {
        self.reader.sample = self.next;
        let before_ms = self.t_ms;
        let value_bits = match self.next {
            0 => {
                self.t_ms = unzigzag(self.reader.varint()?);
                let bits = self.reader.bits(64)?;
                self.valued(bits)
            }
            1 => {
                self.delta = self.reader.varint()?;
                self.t_ms = self.t_ms.wrapping_add_unsigned(self.delta);
                self.change()?
            }
            _ => self.joint()?,
        };
        self.starts.read(&mut self.reader, self.next, self.t_ms, before_ms)?;
        Ok(StartedSample {
            t_ms: self.t_ms,
            start_ms: self.starts.start_ms,
            value: f64::from_bits(value_bits),
        })
    }

    /// Time and value of a sample after the second.
    fn joint(&mut self) -> Result<u64, ChunkError> {
        let ones = self.reader.ones(5)?;
        let width = DOD_BITS[ones as usize];
        if width > 0 {
            let raw = self.reader.bits(width)?;
            let dod = (raw << (64 - width)) as i64 >> (64 - width);
            self.delta = self.delta.wrapping_add_signed(dod);
        }
        self.t_ms = self.t_ms.wrapping_add_unsigned(self.delta);
        match ones {
            0 => Ok(self.baseline),
            1 if self.reader.bits(1)? == 0 => self.changed_in_window(),
            1 => self.changed_with_window(),
            5 => Ok(STALE_NAN_BITS),
            _ => self.change(),
        }
    }

    fn change(&mut self) -> Result<u64, ChunkError> {
        match self.reader.ones(3)? {
            0 => Ok(self.baseline),
            1 => self.changed_in_window(),
            2 => self.changed_with_window(),
            _ => Ok(STALE_NAN_BITS),
        }
    }

    fn changed_in_window(&mut self) -> Result<u64, ChunkError> {
        let change = self.reader.change_in(self.window)?;
        self.baseline ^= change;
        Ok(self.baseline)
    }

    fn changed_with_window(&mut self) -> Result<u64, ChunkError> {
        let change = self.reader.change_and_window(&mut self.window)?;
        self.baseline ^= change;
        Ok(self.baseline)
    }

    fn valued(&mut self, bits: u64) -> u64 {
        if !is_stale(f64::from_bits(bits)) {
            self.baseline = bits;
        }
        bits
    }
}

impl Iterator for Xor2Iter<'_> {
    type Item = Result<StartedSample, ChunkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let sample = self.step();
        self.next = if sample.is_ok() { self.next + 1 } else { self.count };
        Some(sample)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.count - self.next);
        (left.min(1), Some(left))
    }
}

impl std::iter::FusedIterator for Xor2Iter<'_> {}

//! XorIter: one sample at a time from any bytes. Read path; the plain reading of the layout that the batch decoder must
//! agree with, and the one place that says what is wrong with a chunk.

use super::layout::{DOD_BITS, dod_from_raw};
use crate::ChunkError;
use crate::bits::{BitReader, COUNT_BYTES, Window, unzigzag};

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
}

impl<'a> XorIter<'a> {
    /// The samples of `bytes`: a chunk's data without encoding byte and checksum.
    pub fn new(bytes: &'a [u8]) -> Result<XorIter<'a>, ChunkError> {
        let mut reader = BitReader::new(bytes);
        let count = reader.bits(8 * COUNT_BYTES as u32)? as u16;
        let state = State { t_ms: 0, value_bits: 0, delta: 0, window: Window::UNSET };
        Ok(XorIter { reader, count, next: 0, state })
    }

    /// How many samples the chunk says it has.
    pub fn sample_count(&self) -> u16 {
        self.count
    }

    /// How many bits of the chunk were read so far.
    pub(super) fn bit_offset(&self) -> usize {
        self.reader.bit_offset()
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    fn step(&mut self) -> Result<(), ChunkError> {
        self.reader.sample = self.next;
        match self.next {
            0 => {
                self.state.t_ms = unzigzag(self.reader.varint()?);
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
        self.state.value_bits ^= self.reader.change(&mut self.state.window)?;
        Ok(())
    }

    fn dod(&mut self) -> Result<i64, ChunkError> {
        let bits = DOD_BITS[self.reader.ones(4)? as usize];
        Ok(if bits == 0 { 0 } else { dod_from_raw(self.reader.bits(bits)?, bits) })
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

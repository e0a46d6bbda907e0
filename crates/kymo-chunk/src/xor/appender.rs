//! XorAppender: an open chunk. Write path. Its bytes are a whole chunk after every push, with zero bits up to the byte.
//!
//! There is one per open series, so it is small: 56 bytes and the buffer, which grows by [`STEP_BYTES`] and never doubles.

use super::batch::{Batch, End};
use super::iter::XorIter;
use super::layout::{DOD_BITS, SAMPLES_MAX, dod_fits};
use crate::ChunkError;
use crate::bits::{
    COUNT_BYTES, LEADING_BITS, LEADING_MAX, SHORT_BITS, SIGNIFICANT_BITS, Window, push_bits, push_short,
    strip_empty_byte, zigzag,
};

/// The buffer grows by this much, so an open chunk has at most this many bytes too many.
const STEP_BYTES: usize = 32;

/// A chunk that takes samples at its end.
///
/// Timestamps may be any `i64` in any order (differences wrap, as in Prometheus); that they increase is for the caller to
/// see to. It never cuts: ask a [`CutPolicy`](crate::CutPolicy).
///
/// ```
/// let mut chunk = kymo_chunk::XorAppender::new();
/// chunk.push(1000, 0.5);
/// assert_eq!((chunk.len(), chunk.last()), (1, Some((1000, 0.5))));
/// let mut again = kymo_chunk::XorAppender::resume(chunk.bytes().to_vec())?;
/// again.push(2000, 0.5);
/// assert_eq!(again.len(), 2);
/// # Ok::<(), kymo_chunk::ChunkError>(())
/// ```
#[derive(Clone, Debug)]
pub struct XorAppender {
    bytes: Vec<u8>,
    t_ms: i64,
    value_bits: u64,
    delta: u64,
    window: Window,
    /// Unused bits of the last byte, 0 to 7.
    free_bits: u8,
}

const _: () = assert!(size_of::<XorAppender>() <= 56, "there is one per open series");

impl Default for XorAppender {
    fn default() -> XorAppender {
        XorAppender::new()
    }
}

impl XorAppender {
    /// A chunk without samples.
    pub fn new() -> XorAppender {
        XorAppender::with_buffer(Vec::with_capacity(STEP_BYTES))
    }

    /// A chunk without samples in a buffer that was used before. What it held is forgotten.
    pub fn with_buffer(mut buffer: Vec<u8>) -> XorAppender {
        buffer.clear();
        buffer.extend_from_slice(&[0; COUNT_BYTES]);
        XorAppender { bytes: buffer, t_ms: 0, value_bits: 0, delta: 0, window: Window::UNSET, free_bits: 0 }
    }

    /// Begins anew in the buffer it has. Where that is more than twice as long as what it held, it gives the rest back.
    ///
    /// ```
    /// let mut chunk = kymo_chunk::XorAppender::new();
    /// chunk.push(1000, 0.5);
    /// let before = chunk.clone();
    /// chunk.restart();
    /// assert!(chunk.is_empty());
    /// chunk.push(1000, 0.5);
    /// assert_eq!(chunk.bytes(), before.bytes());
    /// ```
    pub fn restart(&mut self) {
        let (used, mut buffer) = (self.bytes.len(), std::mem::take(&mut self.bytes));
        if buffer.capacity() > 2 * used + STEP_BYTES {
            buffer.truncate(COUNT_BYTES);
            buffer.shrink_to(used);
        }
        *self = XorAppender::with_buffer(buffer);
    }

    /// Goes on where the writer of `bytes` stopped: what is pushed now comes out as if it had never stopped.
    ///
    /// The chunk must end in the byte of its last sample, or with an empty one behind it, as Prometheus may leave it. Reads
    /// every sample once.
    pub fn resume(mut bytes: Vec<u8>) -> Result<XorAppender, ChunkError> {
        let end = match Batch::new(&bytes).ok().and_then(Batch::end) {
            Some(end) => end,
            None => end_slowly(&bytes)?,
        };
        let End { bit, count, t_ms, value_bits, delta, window } = end;
        strip_empty_byte(&mut bytes, bit, count)?;
        let free_bits = (bytes.len() * 8 - bit) as u8;
        if let Some(last) = bytes.last_mut() {
            *last &= 0xff << free_bits;
        }
        Ok(XorAppender { bytes, t_ms, value_bits, delta, window, free_bits })
    }

    /// Adds a sample. Every bit of `value` is kept.
    ///
    /// # Panics
    ///
    /// When the chunk already has [`SAMPLES_MAX`] samples, which is all that its header can count.
    pub fn push(&mut self, t_ms: i64, value: f64) {
        let count = self.len();
        assert!(count < SAMPLES_MAX, "BUG: a chunk of {SAMPLES_MAX} samples was not cut");
        let value_bits = value.to_bits();
        let delta = t_ms.wrapping_sub(self.t_ms) as u64;
        match count {
            0 => {
                self.push_varint(zigzag(t_ms));
                self.push_bits(u128::from(value_bits), 64);
            }
            1 => {
                self.push_varint(delta);
                self.push_change(0, 0, value_bits);
                self.delta = delta;
            }
            _ => {
                self.push_timed(delta.wrapping_sub(self.delta) as i64, value_bits);
                self.delta = delta;
            }
        }
        self.t_ms = t_ms;
        self.value_bits = value_bits;
        self.bytes[..COUNT_BYTES].copy_from_slice(&(count + 1).to_be_bytes());
    }

    /// How many samples.
    #[inline]
    pub fn len(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }

    /// Are there none?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes on in another buffer, whose content is forgotten; gives back the one it had.
    ///
    /// For whoever adds many samples at once: in a buffer of [`XorAppender::ROOMY_BYTES`] nothing is allocated meanwhile.
    pub fn move_to(&mut self, mut buffer: Vec<u8>) -> Vec<u8> {
        buffer.clear();
        buffer.extend_from_slice(&self.bytes);
        std::mem::replace(&mut self.bytes, buffer)
    }

    /// Room for a chunk that is cut by [`CutPolicy`](crate::CutPolicy)'s default number of bytes, and for the next sample.
    pub const ROOMY_BYTES: usize = 1100;

    /// The newest sample, from memory: nothing is decoded.
    #[inline]
    pub fn last(&self) -> Option<(i64, f64)> {
        (!self.is_empty()).then(|| (self.t_ms, f64::from_bits(self.value_bits)))
    }

    /// The time of the oldest sample, from the first bytes of the chunk.
    pub fn first_timestamp_ms(&self) -> Option<i64> {
        let first = XorIter::new(&self.bytes).ok()?.next()?;
        first.ok().map(|(t_ms, _)| t_ms)
    }

    /// The chunk as it is now, ready to be decoded or stored.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The finished chunk.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The finished chunk, leaving an empty one in its place.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self).into_bytes()
    }

    /// What the open chunk takes in memory, the unused end of its buffer included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<XorAppender>() + self.bytes.capacity()
    }

    fn push_timed(&mut self, dod: i64, value_bits: u64) {
        let (prefix, ones) = match dod {
            0 => return self.push_change(0, 1, value_bits),
            _ if dod_fits(dod, DOD_BITS[1]) => (0b10, 1),
            _ if dod_fits(dod, DOD_BITS[2]) => (0b110, 2),
            _ if dod_fits(dod, DOD_BITS[3]) => (0b1110, 3),
            _ => {
                self.push_bits(0b1111 << 64 | u128::from(dod as u64), 68);
                return self.push_change(0, 0, value_bits);
            }
        };
        let bits = DOD_BITS[ones];
        let low = dod as u64 & ((1 << bits) - 1);
        self.push_change(prefix << bits | low, ones as u32 + 1 + bits, value_bits);
    }

    /// Writes `head` of up to 24 bits and the change of the value in one go.
    fn push_change(&mut self, head: u64, head_bits: u32, value_bits: u64) {
        let change = value_bits ^ self.value_bits;
        if change == 0 {
            return self.push_bits(u128::from(head << 1), head_bits + 1);
        }
        let leading = (change.leading_zeros() as u8).min(LEADING_MAX);
        let trailing = change.trailing_zeros() as u8;
        let Window { leading: old_leading, trailing: old_trailing } = self.window;
        // The unset window has more leading zeros than any change, so it is never reused.
        if leading >= old_leading && trailing >= old_trailing {
            let bits = u32::from(64 - old_leading - old_trailing);
            return self.push_with_tail(head << 2 | 0b10, head_bits + 2, change >> old_trailing, bits);
        }
        self.window = Window { leading, trailing };
        let significant = 64 - leading - trailing;
        let described = (head << 2 | 0b11) << LEADING_BITS | u64::from(leading);
        let described = described << SIGNIFICANT_BITS | u64::from(significant & 63);
        let described_bits = head_bits + 2 + LEADING_BITS + SIGNIFICANT_BITS;
        self.push_with_tail(described, described_bits, change >> trailing, u32::from(significant));
    }

    /// Appends `head_bits` of `head`, and behind them 1 to 64 `tail_bits` of `tail`.
    #[inline(always)]
    fn push_with_tail(&mut self, head: u64, head_bits: u32, tail: u64, tail_bits: u32) {
        let count = head_bits + tail_bits;
        if count <= SHORT_BITS {
            push_short(&mut self.bytes, &mut self.free_bits, STEP_BYTES, head << tail_bits | tail, count);
        } else {
            self.push_bits(u128::from(head) << tail_bits | u128::from(tail), count);
        }
    }

    fn push_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push_bits(u128::from(number as u8 | 0x80), 8);
            number >>= 7;
        }
        self.push_bits(u128::from(number), 8);
    }

    /// Appends the low 1 to 120 bits of `bits`; the ones above must be zero.
    #[inline(always)]
    fn push_bits(&mut self, bits: u128, count: u32) {
        push_bits(&mut self.bytes, &mut self.free_bits, STEP_BYTES, bits, count);
    }
}

/// Reads a chunk sample by sample, for those that [`Batch::end`] cannot judge.
fn end_slowly(bytes: &[u8]) -> Result<End, ChunkError> {
    let mut samples = XorIter::new(bytes)?;
    for sample in samples.by_ref() {
        sample?;
    }
    let state = samples.state();
    Ok(End {
        bit: samples.bit_offset(),
        count: samples.sample_count(),
        t_ms: state.t_ms,
        value_bits: state.value_bits,
        delta: state.delta,
        window: state.window,
    })
}

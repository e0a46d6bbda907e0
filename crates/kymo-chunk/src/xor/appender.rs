//! XorAppender: an open chunk. Write path. Its bytes are a whole chunk after every push, with zero bits up to the byte.
//!
//! There is one per open series, so it is small: 56 bytes and the buffer, which gets room for [`STEP_BYTES`] more and never doubles.

use super::batch::{Batch, End};
use super::encode::{Block, Edge, Field, Last, PUT_BYTES, Put};
use super::iter::XorIter;
use super::layout::SAMPLES_MAX;
use crate::ChunkError;
use crate::bits::{COUNT_BYTES, VARINT_BYTES_MAX, Window, strip_empty_byte, zigzag};

/// A full buffer gets room for so many more, so an open chunk has at most this many bytes too many. With half of it a sample cost a
/// fifth more to take: every fifth one moved the buffer.
const STEP_BYTES: usize = 64;

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
    /// As in the header, which is far from the end, so that it is only written.
    count: u16,
    end: Tail,
}

/// An [`Edge`] in two bytes: how many bits of the last byte are used, and that byte. Zeros when it is full.
#[derive(Clone, Copy, Debug, Default)]
struct Tail {
    bits: u8,
    byte: u8,
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
        XorAppender {
            bytes: buffer,
            t_ms: 0,
            value_bits: 0,
            delta: 0,
            window: Window::UNSET,
            count: 0,
            end: Tail::default(),
        }
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
        let mut end = Tail { bits: (bit % 8) as u8, byte: 0 };
        if end.bits > 0
            && let Some(last) = bytes.last_mut()
        {
            *last &= !(0xff >> end.bits);
            end.byte = *last;
        }
        Ok(XorAppender { bytes, t_ms, value_bits, delta, window, count, end })
    }

    /// Adds a sample. Every bit of `value` is kept.
    ///
    /// # Panics
    ///
    /// When the chunk already has [`SAMPLES_MAX`] samples, which is all that its header can count.
    pub fn push(&mut self, t_ms: i64, value: f64) {
        assert!(self.count < SAMPLES_MAX, "BUG: a chunk of {SAMPLES_MAX} samples was not cut");
        if self.count < 2 {
            return self.push_opening(t_ms, value.to_bits());
        }
        let mut last = self.state();
        last.encode(t_ms, value.to_bits(), self);
        self.keep(last, self.count + 1);
    }

    /// Adds samples, in less time than one by one.
    ///
    /// ```
    /// let mut chunk = kymo_chunk::XorAppender::new();
    /// chunk.push_all((0..100).map(|i| (i * 1000, i as f64)));
    /// assert_eq!((chunk.len(), chunk.last()), (100, Some((99_000, 99.0))));
    /// ```
    ///
    /// # Panics
    ///
    /// As [`XorAppender::push`].
    pub fn push_all(&mut self, samples: impl IntoIterator<Item = (i64, f64)>) {
        let mut samples = samples.into_iter();
        while self.count < 2 {
            let Some((t_ms, value)) = samples.next() else { return };
            self.push(t_ms, value);
        }
        let mut last = self.state();
        let mut block = Block::new(self.end.widen());
        let mut added = 0;
        for (t_ms, value) in samples {
            last.encode(t_ms, value.to_bits(), &mut block);
            added += 1;
            if block.is_full() {
                self.append(&mut block, last, std::mem::take(&mut added));
            }
        }
        self.append(&mut block, last, added);
    }

    /// How many samples.
    #[inline]
    pub fn len(&self) -> u16 {
        self.count
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

    /// What the next sample is written against.
    #[inline(always)]
    fn state(&self) -> Last {
        Last::new(self.t_ms, self.value_bits, self.delta, self.window)
    }

    /// Samples were put: keeps how many there are and what the next one is written against.
    #[inline(always)]
    fn keep(&mut self, last: Last, count: u16) {
        self.count = count;
        self.bytes[..COUNT_BYTES].copy_from_slice(&count.to_be_bytes());
        (self.t_ms, self.value_bits, self.delta) = (last.t_ms, last.value_bits, last.delta);
        self.window = last.window();
    }

    /// Adds the first or the second sample, which begin with whole bytes.
    #[cold]
    fn push_opening(&mut self, t_ms: i64, value_bits: u64) {
        let mut last = self.state();
        if self.bytes.capacity() - self.bytes.len() < VARINT_BYTES_MAX + PUT_BYTES {
            self.bytes.reserve_exact(STEP_BYTES);
        }
        if self.count == 0 {
            push_varint(&mut self.bytes, zigzag(t_ms));
            self.bytes.extend_from_slice(&value_bits.to_be_bytes());
            last.value_bits = value_bits;
        } else {
            last.delta = t_ms.wrapping_sub(last.t_ms) as u64;
            push_varint(&mut self.bytes, last.delta);
            last.encode_value(value_bits, 0, 0, self);
        }
        last.t_ms = t_ms;
        self.keep(last, self.count + 1);
    }

    /// Appends a block of so many samples, and empties it.
    fn append(&mut self, block: &mut Block, last: Last, added: u16) {
        let room = SAMPLES_MAX - self.count;
        assert!(added <= room, "BUG: a chunk of {SAMPLES_MAX} samples was not cut");
        self.bytes.truncate(self.bytes.len() - usize::from(self.end.bits > 0));
        let (bytes, edge) = block.bytes();
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            self.bytes.reserve_exact(bytes.len().max(STEP_BYTES));
        }
        self.bytes.extend_from_slice(bytes);
        self.end = Tail::of(edge);
        block.empty();
        self.keep(last, self.count + added);
    }
}

impl Put for XorAppender {
    #[inline(always)]
    fn put(&mut self, field: Field) {
        if self.bytes.capacity() - self.bytes.len() < PUT_BYTES {
            self.bytes.reserve_exact(STEP_BYTES);
        }
        let start = self.bytes.len() - usize::from(self.end.bits > 0);
        let mut edge = self.end.widen();
        let (bytes, bits) = edge.put(field);
        self.end = Tail::of(edge);
        self.bytes.truncate(start);
        // A copy of fixed length that is cut back is several times faster than one of the right length.
        self.bytes.extend_from_slice(&bytes);
        self.bytes.truncate(start + bits.div_ceil(8));
    }
}

impl Tail {
    #[inline(always)]
    fn of(edge: Edge) -> Tail {
        Tail { bits: edge.bits as u8, byte: (edge.word >> 56) as u8 }
    }

    #[inline(always)]
    fn widen(self) -> Edge {
        Edge { word: u64::from(self.byte) << 56, bits: self.bits.into() }
    }
}

fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
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

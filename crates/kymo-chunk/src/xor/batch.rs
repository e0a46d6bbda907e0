//! Batch: the fast reading of a chunk. Read path, under `decode`; agrees with `XorIter` on every sample and every fault.
//!
//! What makes it fast: a bit position instead of a buffer of bits, one unaligned big-endian load per look, a loop for each
//! kind of regular data (`runs`), and no check for the end of the chunk inside a sample. The last bytes are read from a copy
//! with zeros behind it, and whether the end was overrun is asked once, at the end of the chunk. docs/chunk.md has figures.

use super::layout::{DOD_BITS, dod_from_raw};
use crate::bits::{self, COUNT_BYTES, VARINT_BYTES_MAX, unzigzag};

/// Something is wrong with the chunk. What it is, `XorIter` says.
#[derive(Debug)]
pub(super) struct Fault;

/// Bytes that must follow the byte in which a sample begins: the largest sample has 19, and loads reach 9 further.
pub(super) const SPARE_BYTES: usize = 32;

/// What a look at a frame shows at least.
pub(super) const PEEK_BITS: u32 = 57;

/// Room for the end of a chunk and the zeros behind it.
const TAIL_BYTES: usize = 3 * SPARE_BYTES;

/// What is looked at for one sample: it begins in the first byte.
type Frame = [u8; SPARE_BYTES];

/// How many samples [`Batch::end`] reads at once.
const END_BLOCK: usize = 128;

/// What comes behind the last sample is written against this.
pub(super) struct End {
    pub(super) bit: usize,
    pub(super) count: u16,
    pub(super) t_ms: i64,
    pub(super) value_bits: u64,
    pub(super) delta: u64,
    pub(super) window: bits::Window,
}

/// A reading of one chunk.
pub(super) struct Batch<'a> {
    bytes: &'a [u8],
    /// Set when reading has come near the end: a copy of the end, and where in the chunk it begins.
    tail: [u8; TAIL_BYTES],
    tail_start: Option<usize>,
    at: Cursor,
    next: usize,
    count: usize,
}

/// What the next sample is written against, and the bit at which it begins.
#[derive(Clone, Copy)]
pub(super) struct Cursor {
    pub(super) bit: usize,
    pub(super) t_ms: i64,
    pub(super) value_bits: u64,
    pub(super) delta: u64,
    pub(super) window: Window,
}

/// Which bits of a value change: `width` of them, at most 64, with `leading` above; `mask` has them set.
///
/// A shift by a number that is not known costs three times what others do on many processors; with the mask there is one.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) width: u32,
    leading: u32,
    mask: u64,
}

impl Window {
    const WHOLE: Window = Window { width: 64, leading: 0, mask: u64::MAX };

    /// From the five and six bits that describe it; and whether they are more than a value has.
    #[inline(always)]
    pub(super) fn described(leading: u32, significant: u32) -> (Window, bool) {
        let width = significant.wrapping_sub(1) % 64 + 1;
        let trailing = 64u32.wrapping_sub(leading + width) & 63;
        let window = Window { width, leading, mask: u64::MAX >> (64 - width) << trailing };
        (window, leading + width > 64)
    }

    /// Puts the bits at the top of `bits` in their place.
    #[inline(always)]
    pub(super) fn place(self, bits: u64) -> u64 {
        bits >> self.leading & self.mask
    }
}

impl<'a> Batch<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Batch<'a>, Fault> {
        let header = bytes.first_chunk::<COUNT_BYTES>().ok_or(Fault)?;
        let count = usize::from(u16::from_be_bytes(*header));
        // A sample after the second has at least two bits; so what is reserved for the samples is bounded by what is there.
        if count > bytes.len() * 4 {
            return Err(Fault);
        }
        let at = Cursor { bit: 8 * COUNT_BYTES, t_ms: 0, value_bits: 0, delta: 0, window: Window::WHOLE };
        Ok(Batch { bytes, tail: [0; TAIL_BYTES], tail_start: None, at, next: 0, count })
    }

    /// How many samples are still to be read.
    pub(super) fn left(&self) -> usize {
        self.count - self.next
    }

    /// Fills both columns, which have the same length, at most [`Batch::left`].
    pub(super) fn read(&mut self, timestamps_ms: &mut [i64], values: &mut [f64]) -> Result<(), Fault> {
        let wanted = timestamps_ms.len().min(values.len());
        let mut done = 0;
        while done < wanted && self.next < 2 {
            self.read_opening()?;
            timestamps_ms[done] = self.at.t_ms;
            values[done] = f64::from_bits(self.at.value_bits);
            self.next += 1;
            done += 1;
        }
        let (timestamps_ms, values) = (&mut timestamps_ms[done..wanted], &mut values[done..wanted]);
        let mut done = 0;
        if self.tail_start.is_none() {
            done = self.at.read(self.bytes, timestamps_ms, values)?;
            if done < timestamps_ms.len() {
                self.enter_tail();
            }
        }
        if done < timestamps_ms.len() {
            done += self.at.read(&self.tail, &mut timestamps_ms[done..], &mut values[done..])?;
        }
        self.next += done;
        if done < timestamps_ms.len() { Err(Fault) } else { Ok(()) }
    }

    /// Was everything that was read inside the chunk?
    pub(super) fn finish(&self) -> Result<(), Fault> {
        let end_bit = self.at.bit + 8 * self.tail_start.unwrap_or(0);
        if end_bit <= 8 * self.bytes.len() { Ok(()) } else { Err(Fault) }
    }

    /// Reads to the end and says where that is. `None` when something is wrong, and when a window of all 64 bits is in use:
    /// whether the chunk has described that one is not known here.
    pub(super) fn end(mut self) -> Option<End> {
        let (mut timestamps_ms, mut values) = ([0; END_BLOCK], [0.0; END_BLOCK]);
        while self.left() > 0 {
            let block = self.left().min(END_BLOCK);
            self.read(&mut timestamps_ms[..block], &mut values[..block]).ok()?;
        }
        self.finish().ok()?;
        let Cursor { bit, t_ms, value_bits, delta, window } = self.at;
        if window.width == 64 {
            return None;
        }
        let leading = window.leading as u8;
        let window = bits::Window { leading, trailing: 64 - window.width as u8 - leading };
        let bit = bit + 8 * self.tail_start.unwrap_or(0);
        Some(End { bit, count: self.count as u16, t_ms, value_bits, delta, window })
    }

    fn enter_tail(&mut self) {
        // Past the end only where the second sample was cut off, which `finish` will see.
        let start = (self.at.bit / 8).min(self.bytes.len());
        let rest = &self.bytes[start..];
        self.tail[..rest.len()].copy_from_slice(rest);
        self.tail_start = Some(start);
        self.at.bit -= 8 * start;
    }

    /// The first and second sample, whose times are varints at byte boundaries.
    fn read_opening(&mut self) -> Result<(), Fault> {
        let start = self.at.bit / 8;
        let (number, varint_bytes) = varint(&self.bytes[start..])?;
        let body = start + varint_bytes;
        if self.next == 0 {
            self.at.t_ms = unzigzag(number);
            let value = self.bytes[body..].first_chunk::<8>().ok_or(Fault)?;
            self.at.value_bits = u64::from_be_bytes(*value);
            self.at.bit = 8 * (body + 8);
            return Ok(());
        }
        self.at.delta = number;
        self.at.t_ms = self.at.t_ms.wrapping_add_unsigned(number);
        // The change of the value comes next, and may be followed by the end of the chunk.
        let rest = &self.bytes[body..];
        let mut padded = [0; SPARE_BYTES];
        let copied = rest.len().min(SPARE_BYTES);
        padded[..copied].copy_from_slice(&rest[..copied]);
        let change = peek(&padded, 0);
        let (length, flipped, bad) = read_change(&padded, 0, change, PEEK_BITS, &mut self.at.window);
        self.at.value_bits ^= flipped;
        self.at.bit = 8 * body + length;
        if bad { Err(Fault) } else { Ok(()) }
    }
}

fn varint(bytes: &[u8]) -> Result<(u64, usize), Fault> {
    let mut number = 0u64;
    for (place, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        if place == VARINT_BYTES_MAX - 1 && *byte > 1 {
            return Err(Fault);
        }
        number |= u64::from(byte & 0x7f) << (7 * place);
        if *byte < 0x80 {
            return Ok((number, place + 1));
        }
    }
    Err(Fault)
}

/// The first 57 to 64 bits of `frame` from `shift` on, left-aligned.
#[inline(always)]
fn peek(frame: &Frame, shift: usize) -> u64 {
    let eight = frame.first_chunk::<8>().expect("a frame is longer");
    u64::from_be_bytes(*eight) << shift
}

/// All 64 bits of `frame` from `bit` on, which is below 128.
#[inline(always)]
fn peek_whole(frame: &Frame, bit: usize) -> u64 {
    let nine = frame[(bit >> 3) & 15..].first_chunk::<9>().expect("a frame is longer");
    let eight = nine.first_chunk::<8>().expect("nine are more than eight");
    let shift = bit & 7;
    u64::from_be_bytes(*eight) << shift | u64::from(nine[8]) >> (8 - shift)
}

impl Cursor {
    /// One sample of any kind, at the top of `bits`; and whether its window is bad.
    #[inline(always)]
    pub(super) fn any(&mut self, bytes: &[u8], bits: u64) -> Result<bool, Fault> {
        let rest = bytes.get(self.bit >> 3..).ok_or(Fault)?;
        let frame = rest.first_chunk::<SPARE_BYTES>().ok_or(Fault)?;
        let shift = self.bit & 7;
        let (mut used, mut change, mut known) = (1, bits << 1, PEEK_BITS - 1);
        if bits >> 63 == 1 {
            let dod;
            if bits >> 62 == 0b10 {
                // What jitter of milliseconds needs, so it is written out with constants.
                dod = dod_from_raw(bits >> 48 & 0x3fff, 14) as u64;
                (used, change, known) = (16, bits << 16, PEEK_BITS - 16);
            } else {
                let wide = read_wide_dod(frame, shift, bits);
                dod = wide.dod;
                (used, change, known) = (wide.used, wide.change, 33);
            }
            self.delta = self.delta.wrapping_add(dod);
        }
        self.t_ms = self.t_ms.wrapping_add_unsigned(self.delta);
        let (length, flipped, bad) = read_change(frame, shift + used, change, known, &mut self.window);
        self.value_bits ^= flipped;
        self.bit += used + length;
        Ok(bad)
    }
}

struct WideDod {
    dod: u64,
    /// Its bits with the prefix.
    used: usize,
    /// What follows.
    change: u64,
}

/// Reads a delta of delta of 17, 20 or 64 bits at `bit` of `frame`, of which `bits` has the first 57.
#[inline(always)]
fn read_wide_dod(frame: &Frame, bit: usize, bits: u64) -> WideDod {
    let ones = bits.leading_ones().min(4) as usize;
    let width = DOD_BITS[ones];
    if ones == 4 {
        return WideDod { dod: peek_whole(frame, bit + 4), used: 68, change: peek_whole(frame, bit + 68) };
    }
    let used = ones + 1 + width as usize;
    let raw = bits << (ones + 1) >> (64 - width);
    WideDod { dod: dod_from_raw(raw, width) as u64, used, change: bits << used }
}

/// Reads the change of a value at `bit` of `frame`, of which `change` has the first `known` bits, 33 or more: how many bits
/// it has, which bits of the value it flips, and whether its window is bad.
#[inline(always)]
fn read_change(
    frame: &Frame,
    bit: usize,
    change: u64,
    known: u32,
    window: &mut Window,
) -> (usize, u64, bool) {
    if change >> 63 == 0 {
        return (1, 0, false);
    }
    if change >> 62 == 0b10 {
        let bits = if window.width + 2 <= known { change << 2 } else { peek_whole(frame, bit + 2) };
        return (2 + window.width as usize, window.place(bits), false);
    }
    let (described, bad) = Window::described((change >> 57) as u32 & 31, (change >> 51) as u32 & 63);
    *window = described;
    (13 + described.width as usize, described.place(peek_whole(frame, bit + 13)), bad)
}

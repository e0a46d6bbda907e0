//! Batch: the fast reading of a chunk. Read path, under `decode`; agrees with `XorIter` on every sample and every fault.
//!
//! What makes it fast: a bit position instead of a buffer of bits, one unaligned big-endian load per look, many samples at
//! once where nothing changes, and no check for the end of the chunk inside a sample. The last bytes are read from a copy
//! with zeros behind it, and whether the end was overrun is asked once, at the end of the chunk. docs/chunk.md has figures.

use super::layout::{DOD_BITS, dod_from_raw};
use crate::bits::{self, COUNT_BYTES, VARINT_BYTES_MAX, unzigzag};

/// Something is wrong with the chunk. What it is, `XorIter` says.
#[derive(Debug)]
pub(super) struct Fault;

/// Bytes that must follow the byte in which a sample begins: the largest sample has 19, and loads reach 9 further.
const SPARE_BYTES: usize = 32;

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
struct Cursor {
    bit: usize,
    t_ms: i64,
    value_bits: u64,
    delta: u64,
    window: Window,
}

/// Which bits of a value change: `width` of them, at most 64, with `trailing` below.
#[derive(Clone, Copy)]
struct Window {
    width: u32,
    trailing: u32,
}

impl<'a> Batch<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Batch<'a>, Fault> {
        let header = bytes.first_chunk::<COUNT_BYTES>().ok_or(Fault)?;
        let count = usize::from(u16::from_be_bytes(*header));
        // A sample after the second has at least two bits; so what is reserved for the samples is bounded by what is there.
        if count > bytes.len() * 4 {
            return Err(Fault);
        }
        let at = Cursor {
            bit: 8 * COUNT_BYTES,
            t_ms: 0,
            value_bits: 0,
            delta: 0,
            window: Window { width: 64, trailing: 0 },
        };
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
        let trailing = window.trailing as u8;
        let window = bits::Window { leading: 64 - window.width as u8 - trailing, trailing };
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
        let (length, flipped, bad) = read_change(&padded, 0, change, &mut self.at.window);
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
    /// Reads samples until the columns are full or the end of `bytes` is near. Says how many.
    #[inline(never)]
    fn read(&mut self, bytes: &[u8], timestamps_ms: &mut [i64], values: &mut [f64]) -> Result<usize, Fault> {
        let wanted = timestamps_ms.len();
        let values = &mut values[..wanted];
        let safe_bits = 8 * bytes.len().saturating_sub(SPARE_BYTES);
        let Cursor { mut bit, mut t_ms, mut value_bits, mut delta, mut window } = *self;
        let mut fault = false;
        let mut done = 0;
        while done < wanted && bit < safe_bits {
            let frame = bytes[bit >> 3..].first_chunk::<SPARE_BYTES>().ok_or(Fault)?;
            let shift = bit & 7;
            let bits = peek(frame, shift);
            if bits >> 62 == 0 {
                // Two zero bits a sample for as long as neither interval nor value change.
                let run = ((bits | 1 << 7).leading_zeros() as usize / 2).min(wanted - done);
                for (t_out, value_out) in
                    timestamps_ms[done..][..run].iter_mut().zip(&mut values[done..][..run])
                {
                    t_ms = t_ms.wrapping_add_unsigned(delta);
                    *t_out = t_ms;
                    *value_out = f64::from_bits(value_bits);
                }
                bit += 2 * run;
                done += run;
                continue;
            }
            let mut used = 1;
            let mut change = bits << 1;
            if bits >> 62 == 0b11 {
                let wide = read_wide_dod(frame, shift, bits);
                delta = delta.wrapping_add(wide.dod);
                used = wide.used;
                change = wide.change;
            } else if bits >> 63 == 1 {
                // What jitter of milliseconds needs, so it is written out with constants.
                delta = delta.wrapping_add(dod_from_raw(bits >> 48 & 0x3fff, 14) as u64);
                used = 16;
                change = bits << 16;
            }
            t_ms = t_ms.wrapping_add_unsigned(delta);
            let (length, flipped, bad) = read_change(frame, shift + used, change, &mut window);
            fault |= bad;
            value_bits ^= flipped;
            bit += used + length;
            timestamps_ms[done] = t_ms;
            values[done] = f64::from_bits(value_bits);
            done += 1;
        }
        *self = Cursor { bit, t_ms, value_bits, delta, window };
        if fault { Err(Fault) } else { Ok(done) }
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

/// Reads the change of a value at `bit` of `frame`, of which `change` has the first 33 bits: how many bits it has, which
/// bits of the value it flips, and whether its window is bad.
#[inline(always)]
fn read_change(frame: &Frame, bit: usize, change: u64, window: &mut Window) -> (usize, u64, bool) {
    if change >> 63 == 0 {
        return (1, 0, false);
    }
    let mut bad = false;
    let mut described = 2;
    if change >> 62 == 0b11 {
        let leading = (change >> 57) as u32 & 31;
        let width = ((change >> 51) as u32).wrapping_sub(1) % 64 + 1;
        bad = leading + width > 64;
        *window = Window { width, trailing: 64u32.wrapping_sub(leading + width) & 63 };
        described = 13;
    }
    let flipped = peek_whole(frame, bit + described) >> (64 - window.width) << window.trailing;
    (described + window.width as usize, flipped, bad)
}

//! Batch: the fast reading of a chunk. Read path, under `decode`; agrees with `XorIter` on every sample and every fault.
//!
//! What makes it fast: a bit position instead of a buffer of bits, one unaligned big-endian load per look, many samples at
//! once where nothing changes, and no check for the end of the chunk inside a sample. The last bytes are read from a copy
//! with zeros behind it, and whether the end was overrun is asked once, at the end of the chunk. docs/chunk.md has figures.

use super::layout::{DOD_BITS, HEADER_BYTES, VARINT_BYTES_MAX, Window, dod_from_raw};

/// Something is wrong with the chunk. What it is, `XorIter` says.
#[derive(Debug)]
pub(super) struct Fault;

/// Bytes that must follow the byte in which a sample begins: the largest sample has 19, and loads reach 9 further.
const SPARE_BYTES: usize = 32;

/// Room for the end of a chunk and the zeros behind it.
const TAIL_BYTES: usize = 3 * SPARE_BYTES;

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

impl<'a> Batch<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Batch<'a>, Fault> {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Fault)?;
        let count = usize::from(u16::from_be_bytes(*header));
        // A sample after the second has at least two bits; so what is reserved for the samples is bounded by what is there.
        if count > bytes.len() * 4 {
            return Err(Fault);
        }
        let at = Cursor { bit: 8 * HEADER_BYTES, t_ms: 0, value_bits: 0, delta: 0, window: Window::WHOLE };
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
            self.at.t_ms = (number >> 1) as i64 ^ -((number & 1) as i64);
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
        self.at.bit = self.at.read_change(&padded, 0)? + 8 * body;
        Ok(())
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

/// The 57 or more bits from `bit` on, left-aligned.
#[inline(always)]
fn peek(bytes: &[u8], bit: usize) -> u64 {
    let at = bit >> 3;
    let eight: [u8; 8] = bytes[at..at + 8].try_into().expect("BUG: a slice of eight bytes");
    u64::from_be_bytes(eight) << (bit & 7)
}

/// All 64 bits from `bit` on.
#[inline(always)]
fn peek_whole(bytes: &[u8], bit: usize) -> u64 {
    let at = bit >> 3;
    let nine = &bytes[at..at + 9];
    let eight: [u8; 8] = nine[..8].try_into().expect("BUG: a slice of eight bytes");
    let shift = bit & 7;
    u64::from_be_bytes(eight) << shift | u64::from(nine[8]) >> (8 - shift)
}

impl Cursor {
    /// Reads samples until the columns are full or the end of `bytes` is near. Says how many.
    #[inline(never)]
    fn read(&mut self, bytes: &[u8], timestamps_ms: &mut [i64], values: &mut [f64]) -> Result<usize, Fault> {
        let wanted = timestamps_ms.len();
        let values = &mut values[..wanted];
        let safe_bits = 8 * bytes.len().saturating_sub(SPARE_BYTES);
        let mut at = *self;
        let mut done = 0;
        while done < wanted && at.bit < safe_bits {
            let bits = peek(bytes, at.bit);
            if bits >> 62 == 0 {
                // Two zero bits a sample for as long as neither interval nor value change.
                let run = ((bits | 1 << 7).leading_zeros() as usize / 2).min(wanted - done);
                for (t_ms, value) in timestamps_ms[done..][..run].iter_mut().zip(&mut values[done..][..run]) {
                    at.t_ms = at.t_ms.wrapping_add_unsigned(at.delta);
                    *t_ms = at.t_ms;
                    *value = f64::from_bits(at.value_bits);
                }
                at.bit += 2 * run;
                done += run;
                continue;
            }
            if bits >> 63 == 0 {
                at.bit += 1;
            } else {
                at.read_dod(bytes, bits);
            }
            at.t_ms = at.t_ms.wrapping_add_unsigned(at.delta);
            at.bit = at.read_change(bytes, at.bit)?;
            timestamps_ms[done] = at.t_ms;
            values[done] = f64::from_bits(at.value_bits);
            done += 1;
        }
        *self = at;
        Ok(done)
    }

    #[inline(always)]
    fn read_dod(&mut self, bytes: &[u8], bits: u64) {
        let ones = (bits.leading_ones() as usize).min(4);
        let width = DOD_BITS[ones];
        if ones == 4 {
            self.delta = self.delta.wrapping_add(peek_whole(bytes, self.bit + 4));
            self.bit += 68;
        } else {
            let raw = bits << (ones + 1) >> (64 - width);
            self.delta = self.delta.wrapping_add_signed(dod_from_raw(raw, width));
            self.bit += ones + 1 + width as usize;
        }
    }

    /// Reads the change of the value at `bit` and says where it ends.
    #[inline(always)]
    fn read_change(&mut self, bytes: &[u8], bit: usize) -> Result<usize, Fault> {
        let bits = peek(bytes, bit);
        if bits >> 63 == 0 {
            return Ok(bit + 1);
        }
        let mut start = bit + 2;
        if bits >> 62 == 0b11 {
            let leading = (bits >> 57) as u8 & 31;
            let significant = ((bits >> 51) as u8).wrapping_sub(1) % 64 + 1;
            if leading + significant > 64 {
                return Err(Fault);
            }
            self.window = Window { leading, trailing: 64 - leading - significant };
            start = bit + 13;
        }
        let width = u32::from(64 - self.window.leading - self.window.trailing);
        self.value_bits ^= peek_whole(bytes, start) >> (64 - width) << self.window.trailing;
        Ok(start + width as usize)
    }
}

//! Encode: a sample as bits. Write path, under the appender, which puts them at the end of the chunk.
//!
//! All of a sample is put at once. Only a new window and a long delta of delta are branches: one that is guessed wrong costs more
//! than what it saves.

use std::hint::select_unpredictable;

use super::layout::{DOD_BITS, dod_fits};
use crate::bits::{LEADING_BITS, LEADING_MAX, SIGNIFICANT_BITS, Window};

/// What is written at once.
pub(super) const PUT_BYTES: usize = size_of::<u128>();

/// Bits that are put at once: 1 to 37 of `head`, right-aligned, and behind them 0 to 64 of `tail`, left-aligned. Others are zero.
#[derive(Clone, Copy)]
pub(super) struct Field {
    head: u64,
    head_bits: u32,
    tail: u64,
    tail_bits: u32,
}

/// Where writing ends: the last byte if it is not full, at the top of a word, and how many bits of it are used. Otherwise zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) word: u64,
    pub(super) bits: u32,
}

impl Edge {
    /// Puts a field there. What is written from that byte on, and how many of its bits are used; the others are zero.
    #[inline(always)]
    pub(super) fn put(&mut self, field: Field) -> ([u8; PUT_BYTES], usize) {
        let Field { head, head_bits, tail, tail_bits } = field;
        let head_end = self.bits + head_bits;
        let first = self.word | head << (64 - head_end) | tail >> head_end;
        let second = tail << (64 - head_end);
        let bits = head_end + tail_bits;
        let last = select_unpredictable(bits < 64, first, second);
        *self = Edge { word: last << (bits & 56), bits: bits % 8 };
        ((u128::from(first) << 64 | u128::from(second)).to_be_bytes(), bits as usize)
    }
}

/// What takes fields.
pub(super) trait Put {
    fn put(&mut self, field: Field);
}

/// The length of a block.
const BLOCK_BYTES: usize = 256;

/// A delta of delta of 68 bits, and what is written at once behind it.
const SAMPLE_BYTES_MAX: usize = 32;

/// Samples on their way to the chunk, from its last byte on if that is not full.
pub(super) struct Block {
    bytes: [u8; BLOCK_BYTES],
    /// How many bytes are full.
    whole: usize,
    edge: Edge,
}

impl Block {
    /// What is put comes behind `edge`.
    pub(super) fn new(edge: Edge) -> Block {
        let mut block = Block { bytes: [0; BLOCK_BYTES], whole: 0, edge };
        block.empty();
        block
    }

    /// Is there no room for another sample?
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.whole > BLOCK_BYTES - SAMPLE_BYTES_MAX
    }

    /// What was put, and where it ends.
    pub(super) fn bytes(&self) -> (&[u8], Edge) {
        (&self.bytes[..self.whole + usize::from(self.edge.bits > 0)], self.edge)
    }

    /// Goes on behind what was put.
    pub(super) fn empty(&mut self) {
        self.whole = 0;
        self.bytes[0] = (self.edge.word >> 56) as u8;
    }
}

impl Put for Block {
    #[inline(always)]
    fn put(&mut self, field: Field) {
        let (bytes, bits) = self.edge.put(field);
        self.bytes[self.whole..][..PUT_BYTES].copy_from_slice(&bytes);
        self.whole += bits / 8;
    }
}

/// What the next sample is written against.
#[derive(Clone, Copy)]
pub(super) struct Last {
    pub(super) t_ms: i64,
    pub(super) value_bits: u64,
    pub(super) delta: u64,
    window: Window,
    /// The bits of a value that are not in the window: all before one was described.
    outside: u64,
}

impl Last {
    #[inline(always)]
    pub(super) fn new(t_ms: i64, value_bits: u64, delta: u64, window: Window) -> Last {
        let Window { leading, trailing } = window;
        // The unset window has more leading zeros than there are bits.
        let inside = u64::MAX.checked_shr(leading.into()).unwrap_or(0) & u64::MAX << trailing;
        Last { t_ms, value_bits, delta, window, outside: !inside }
    }

    #[inline(always)]
    pub(super) fn window(&self) -> Window {
        self.window
    }

    /// Puts a sample that is not one of the first two.
    #[inline(always)]
    pub(super) fn encode(&mut self, t_ms: i64, value_bits: u64, out: &mut impl Put) {
        let delta = t_ms.wrapping_sub(self.t_ms) as u64;
        let dod = delta.wrapping_sub(self.delta) as i64;
        (self.t_ms, self.delta) = (t_ms, delta);
        let (head, head_bits) = match dod_fits(dod, DOD_BITS[1]) {
            true => {
                let moved = u64::from(dod != 0);
                (moved << 15 | dod as u64 & 0x3fff, 1 + 15 * moved as u32)
            }
            false => wide_dod(dod, out),
        };
        self.encode_value(value_bits, head, head_bits, out);
    }

    /// Puts `head` of up to 24 bits and how the value changes.
    #[inline(always)]
    pub(super) fn encode_value(&mut self, value_bits: u64, head: u64, head_bits: u32, out: &mut impl Put) {
        let change = value_bits ^ self.value_bits;
        self.value_bits = value_bits;
        let (mut kind, mut kind_bits) = (u64::from(change != 0) << 1, 1 + u32::from(change != 0));
        if change & self.outside != 0 {
            let leading = (change.leading_zeros() as u8).min(LEADING_MAX);
            let trailing = change.trailing_zeros() as u8;
            *self = Last::new(self.t_ms, value_bits, self.delta, Window { leading, trailing });
            kind = 0b11 << LEADING_BITS | u64::from(leading);
            kind = kind << SIGNIFICANT_BITS | u64::from((64 - leading - trailing) & 63);
            kind_bits = 2 + LEADING_BITS + SIGNIFICANT_BITS;
        }
        let Window { leading, trailing } = self.window;
        let width = 64u32.wrapping_sub(u32::from(leading) + u32::from(trailing));
        out.put(Field {
            head: head << kind_bits | kind,
            head_bits: head_bits + kind_bits,
            tail: change << (leading & 63),
            tail_bits: if change == 0 { 0 } else { width },
        });
    }
}

/// How a delta of delta of more than 14 bits is written before a change. All 64 are put.
#[cold]
fn wide_dod(dod: i64, out: &mut impl Put) -> (u64, u32) {
    let (prefix, ones) = match dod {
        _ if dod_fits(dod, DOD_BITS[2]) => (0b110, 2),
        _ if dod_fits(dod, DOD_BITS[3]) => (0b1110, 3),
        _ => {
            out.put(Field { head: 0b1111, head_bits: 4, tail: dod as u64, tail_bits: 64 });
            return (0, 0);
        }
    };
    let bits = DOD_BITS[ones];
    (prefix << bits | dod as u64 & ((1 << bits) - 1), ones as u32 + 1 + bits)
}

//! Window: how a float is written against the one before, by the bits in which they differ.
//!
//! ```text
//! 0 | 10 bits:window | 11 leading:5 significant:6 bits:significant
//! ```

use super::{BitReader, BitWriter};
use crate::{ChunkError, ChunkErrorKind};

/// Leading zeros have five bits, so more than this many are written as this many.
pub(crate) const LEADING_MAX: u8 = 31;

/// Bits of a window's description: leading and significant.
pub(crate) const LEADING_BITS: u32 = 5;
/// See [`LEADING_BITS`]. 64 significant bits are written as 0.
pub(crate) const SIGNIFICANT_BITS: u32 = 6;

/// Which bits of a value change.
///
/// A reader takes one that was not described as all 64 bits. A writer must not reuse that one: it has more leading zeros
/// than any change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) leading: u8,
    pub(crate) trailing: u8,
}

impl Window {
    /// Not described yet.
    pub(crate) const UNSET: Window = Window { leading: 0xff, trailing: 0 };

    /// How many bits change within it.
    pub(crate) fn width(self) -> u32 {
        if self == Window::UNSET { 64 } else { u32::from(64 - self.leading - self.trailing) }
    }
}

impl BitReader<'_> {
    /// Which bits of a value change; the reader has taken the prefix.
    pub(crate) fn change_in(&mut self, window: Window) -> Result<u64, ChunkError> {
        Ok(self.bits(window.width())? << window.trailing)
    }

    /// A new window and which bits of a value change in it; the reader has taken the prefix.
    pub(crate) fn change_and_window(&mut self, window: &mut Window) -> Result<u64, ChunkError> {
        let start = self.bit_offset();
        let leading = self.bits(LEADING_BITS)? as u8;
        let significant = match self.bits(SIGNIFICANT_BITS)? as u8 {
            0 => 64,
            bits => bits,
        };
        if leading + significant > 64 {
            return Err(self.error_at(start, ChunkErrorKind::BadWindow { leading, significant }));
        }
        *window = Window { leading, trailing: 64 - leading - significant };
        self.change_in(*window)
    }

    /// Which bits of a value change, with the prefix of the XOR encoding.
    pub(crate) fn change(&mut self, window: &mut Window) -> Result<u64, ChunkError> {
        match self.ones(2)? {
            0 => Ok(0),
            1 => self.change_in(*window),
            _ => self.change_and_window(window),
        }
    }
}

impl BitWriter {
    /// The bits in which two values differ.
    pub(crate) fn push_change(&mut self, change: u64, window: &mut Window) {
        if change == 0 {
            return self.push(0, 1);
        }
        let leading = (change.leading_zeros() as u8).min(LEADING_MAX);
        let trailing = change.trailing_zeros() as u8;
        if leading >= window.leading && trailing >= window.trailing {
            let bits = window.width();
            return self.push(0b10 << bits | u128::from(change >> window.trailing), 2 + bits);
        }
        *window = Window { leading, trailing };
        let bits = window.width();
        let described = 0b11 << LEADING_BITS | u128::from(leading);
        let described = described << SIGNIFICANT_BITS | u128::from(bits & 63);
        let head_bits = 2 + LEADING_BITS + SIGNIFICANT_BITS;
        self.push(described << bits | u128::from(change >> trailing), head_bits + bits);
    }
}

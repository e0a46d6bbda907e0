//! Varbit: whole numbers of histogram chunks and of start timestamps. A prefix of ones says how many bits follow.

use super::{BitReader, BitWriter};
use crate::ChunkError;

/// How many bits follow a prefix of so many ones; the last prefix has no zero behind its ones.
const WIDTHS: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];

const ONES_MAX: u32 = WIDTHS.len() as u32 - 1;

impl BitReader<'_> {
    /// An unsigned number.
    pub(crate) fn varbit_unsigned(&mut self) -> Result<u64, ChunkError> {
        let width = WIDTHS[self.ones(ONES_MAX)? as usize];
        if width == 0 { Ok(0) } else { self.bits(width) }
    }

    /// A signed number. Each width has a range that is shifted by one against two's complement: −3 to 4 for three bits.
    pub(crate) fn varbit_signed(&mut self) -> Result<i64, ChunkError> {
        let width = WIDTHS[self.ones(ONES_MAX)? as usize];
        if width == 0 {
            return Ok(0);
        }
        let raw = self.bits(width)?;
        Ok(if width < 64 && raw > 1 << (width - 1) {
            raw.wrapping_sub(1 << width) as i64
        } else {
            raw as i64
        })
    }
}

impl BitWriter {
    /// An unsigned number.
    pub(crate) fn push_varbit_unsigned(&mut self, number: u64) {
        let bits = 64 - number.leading_zeros();
        let ones = WIDTHS.iter().position(|width| bits <= *width).expect("BUG: 64 bits are enough");
        self.push_varbit(ones, number);
    }

    /// A signed number.
    pub(crate) fn push_varbit_signed(&mut self, number: i64) {
        let fits = |width: u32| match width {
            0 => number == 0,
            64 => true,
            _ => {
                let half = 1i64 << (width - 1);
                -(half - 1) <= number && number <= half
            }
        };
        let ones = WIDTHS.iter().position(|width| fits(*width)).expect("BUG: 64 bits are enough");
        self.push_varbit(ones, number as u64);
    }

    fn push_varbit(&mut self, ones: usize, number: u64) {
        let width = WIDTHS[ones];
        let prefix_bits = (ones as u32 + 1).min(ONES_MAX);
        let prefix = if ones == 0 { 0 } else { ((1u128 << ones) - 1) << (prefix_bits - ones as u32) };
        let kept = if width == 64 { u64::MAX } else { (1 << width) - 1 };
        self.push(prefix << width | u128::from(number & kept), prefix_bits + width);
    }
}

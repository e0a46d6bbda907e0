//! Group: up to 128 numbers around a base, packed to one width; the few that are too far off are told apart.
//!
//! ```text
//! group   width:7 far:1   base - base of the group before:signed   [far - 1:byte   place:byte…   number - base:signed…]   packed
//! ```

use super::ColdError;
use super::bytes::{Bytes, put_signed, put_unsigned, unsigned_bytes};
use super::pack::{GROUP, is_width, pack, packed_bytes, unpack, width_for};
use crate::bits::zigzag;

/// The bit of a group's first byte that says that some numbers are told apart.
const FAR: u8 = 0x80;

/// At most one number in so many is told apart.
const FAR_ONE_IN: usize = 4;

/// How a group is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupPlan {
    base: i64,
    width: u32,
    /// What it costs, about.
    pub(super) bits: usize,
}

fn bits_of(number: u64) -> u32 {
    64 - number.leading_zeros()
}

impl GroupPlan {
    /// The cheapest one for some numbers, at least one and at most [`GROUP`].
    pub(super) fn of(numbers: &[i64]) -> GroupPlan {
        let mut buffer = [0; GROUP];
        let sorted = &mut buffer[..numbers.len()];
        sorted.copy_from_slice(numbers);
        sorted.sort_unstable();
        let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
        let whole = bits_of(high.abs_diff(low));
        let header = 8 + 8 * unsigned_bytes(zigzag(low).min(zigzag(high)));
        let mut best = GroupPlan {
            base: low,
            width: width_for(whole),
            bits: header + numbers.len() * width_for(whole) as usize,
        };
        // What is told apart costs its place and its distance, which is not more than the whole range.
        let far_bits = 8 + 8 * unsigned_bytes(1 << whole.min(63));
        let near_min = sorted.len() - sorted.len() / FAR_ONE_IN;
        let narrowest =
            (near_min - 1..sorted.len()).map(|last| sorted[last].abs_diff(sorted[last + 1 - near_min])).min();
        for bits in bits_of(narrowest.unwrap_or(0))..whole {
            let width = width_for(bits);
            if header + 8 + numbers.len() * width as usize >= best.bits {
                break;
            }
            let (near, base) = widest_window(sorted, width);
            let cost = header + 8 + numbers.len() * width as usize + (numbers.len() - near) * far_bits;
            if cost < best.bits {
                best = GroupPlan { base, width, bits: cost };
            }
        }
        best
    }

    /// Appends the group; `base` is that of the group before, and becomes this one's.
    pub(super) fn write(self, numbers: &[i64], base: &mut i64, out: &mut Vec<u8>) {
        let mut near = [0; GROUP];
        let mut far = Vec::new();
        for (place, number) in numbers.iter().enumerate() {
            let above = number.wrapping_sub(self.base) as u64;
            if *number >= self.base && bits_of(above) <= self.width {
                near[place] = above;
            } else {
                far.push((place as u8, above as i64));
            }
        }
        out.push(self.width as u8 | if far.is_empty() { 0 } else { FAR });
        put_signed(out, self.base.wrapping_sub(*base));
        *base = self.base;
        if let Some(more) = far.len().checked_sub(1) {
            out.push(more as u8);
            out.extend(far.iter().map(|(place, _)| *place));
            far.iter().for_each(|(_, above)| put_unsigned(out, zigzag(*above)));
        }
        pack(out, self.width, &near[..numbers.len()]);
    }
}

/// The most numbers that lie within `width` bits of one of them, and that one.
fn widest_window(sorted: &[i64], width: u32) -> (usize, i64) {
    let (mut best, mut from) = ((0, sorted[0]), 0);
    for (at, number) in sorted.iter().enumerate() {
        while bits_of(number.abs_diff(sorted[from])) > width {
            from += 1;
        }
        if at + 1 - from > best.0 {
            best = (at + 1 - from, sorted[from]);
        }
    }
    best
}

/// Reads a group of `count` numbers: what each is above the base, which is moved on. Those behind `count` are anything.
pub(super) fn read_group(
    bytes: &mut Bytes<'_>,
    count: usize,
    base: &mut i64,
    above: &mut [u64; GROUP],
) -> Result<(), ColdError> {
    let head = bytes.rest().first().copied().unwrap_or(0);
    if !is_width(u32::from(head & !FAR)) {
        return Err(bytes.unexpected("a width of at most 64 bits", (head & !FAR).into()));
    }
    let width = u32::from(bytes.byte("the width of a group")? & !FAR);
    *base = base.wrapping_add(bytes.signed("the base of a group")?);
    let mut places: &[u8] = &[];
    let mut far = *bytes;
    if head & FAR != 0 {
        let count = usize::from(bytes.byte("how many numbers are far off")?) + 1;
        places = bytes.take(count, "the places of numbers that are far off")?;
        far = *bytes;
        for _ in 0..count {
            bytes.unsigned("a number that is far off")?;
        }
    }
    let from = bytes.rest();
    bytes.take(packed_bytes(width, count), "the numbers of a group")?;
    unpack(from, width, count, above);
    for place in places {
        let number = far.signed("a number that is far off")?;
        match above.get_mut(usize::from(*place)) {
            Some(slot) if usize::from(*place) < count => *slot = number as u64,
            _ => return Err(far.unexpected("a place inside its group", (*place).into())),
        }
    }
    Ok(())
}

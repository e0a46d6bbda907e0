//! Long: floats of ordinary size whose shortest decimal has to be found, such as nearly every rate. Found exactly, in integers.
//!
//! Such a float is a whole number of 53 bits over a power of two, 2^b. Let P be the first power of ten that is not below it. The
//! decimals that read back to the float are those at most half a bit away from it; among the multiples of 1/P there is at least
//! one, and among those of 10/P at most one, which then is the shortest. A bit is a whole number of 2^-64 times 10/P.

use std::hint::select_unpredictable;

use super::FLOAT_JSON_BYTES;
use super::short::{ZEROS, eight_digits};

/// How many bits may be behind the point: from a quarter of a thousandth to where there is nothing behind it.
const BITS: std::ops::RangeInclusive<u32> = 1..=64;

/// Bits of a float that say where in its binade it is.
const FRACTION: u64 = (1 << 52) - 1;

/// The power of ten for a number of bits behind the point.
#[derive(Clone, Copy)]
struct Scale {
    /// A bit, in 2^-64 times 10 over the power.
    bit: u64,
    /// How many zeros the power has.
    decimals: usize,
}

const SCALES: [Scale; *BITS.end() as usize + 1] = {
    let mut scales = [Scale { bit: 0, decimals: 0 }; *BITS.end() as usize + 1];
    let (mut power, mut decimals, mut bits) = (1_u128, 0, 1);
    while bits < scales.len() {
        while power < 1 << bits {
            power *= 10;
            decimals += 1;
        }
        scales[bits] = Scale { bit: ((power / 10) << (64 - bits)) as u64, decimals };
        bits += 1;
    }
    scales
};

/// Puts a float at the front of `room`; how many bytes that took, 0 if it is not one of these.
#[inline(always)]
pub(super) fn put(room: &mut [u8; FLOAT_JSON_BYTES], value: f64) -> usize {
    let float = value.to_bits();
    let bits = 1075_u32.wrapping_sub((float >> 52 & 0x7ff) as u32);
    // A power of two is nearer to the float below it than to the one above.
    if !BITS.contains(&bits) || float & FRACTION == 0 {
        return 0;
    }
    let Scale { bit, decimals } = SCALES[bits as usize];
    let (sixteen, last) = shortest(float & FRACTION | 1 << 52, bit);
    // Sixteen digits and one more, or one less.
    let is_less = sixteen < 1_000_000_000_000_000;
    let sixteen = select_unpredictable(is_less, sixteen * 10 + last, sixteen);
    let last = select_unpredictable(is_less, 0, last);
    let behind = decimals + usize::from(is_less);
    let (first, middle) = (sixteen / 100_000_000, sixteen % 100_000_000);
    let (first, middle, last) = (eight_digits(first as u32), eight_digits(middle as u32), last as u8);

    room[0] = b'-';
    let mut at = usize::from(value.is_sign_negative());
    // Without the zeros at the end.
    let count = match middle {
        0 if last == 0 => 8 - first.leading_zeros() as usize / 8,
        _ => select_unpredictable(last == 0, 16 - middle.leading_zeros() as usize / 8, 17),
    };
    let (first, middle, last) = (first | ZEROS, middle | ZEROS, b'0' + last);
    let Some(before) = 17_usize.checked_sub(behind).filter(|before| *before > 0) else {
        put_eight(room, at, u64::from_le_bytes(*b"0.000000"));
        at += 2 + behind - 17;
        put_eight(room, at, first);
        put_eight(room, at + 8, middle);
        room[at + 16] = last;
        return at + count;
    };
    // Those behind the point lie one further on.
    put_eight(room, at + 9, middle);
    room[at + 17] = last;
    if before <= 8 {
        put_eight(room, at + 1, first);
        put_eight(room, at, moved_from(first, before));
    } else {
        put_eight(room, at, first);
        put_eight(room, at + 8, moved_from(middle, before - 8));
    }
    room[at + before] = b'.';
    at + if count > before { count + 1 } else { before }
}

fn put_eight(room: &mut [u8; FLOAT_JSON_BYTES], at: usize, text: u64) {
    room[at..at + 8].copy_from_slice(&text.to_le_bytes());
}

/// Eight bytes of a text with those from `at` on, which is 1 to 8, moved by one.
fn moved_from(text: u64, at: usize) -> u64 {
    let kept = u64::MAX >> (64 - 8 * at);
    text & kept | text << 8 & !kept
}

/// The shortest decimal that reads back to so many bits, of several the nearest: its multiple of 10 over the power, and the last
/// digit behind that.
#[inline(always)]
fn shortest(number: u64, bit: u64) -> (u64, u64) {
    const HALF: u64 = 1 << 63;
    let exact = u128::from(number) * u128::from(bit);
    let (tens, rest) = ((exact >> 64) as u64, exact as u64);
    // What is just between two floats reads back to the even one.
    let reach = bit / 2 - (number & 1);
    let (down, up) = (rest <= reach, rest >= reach.wrapping_neg());
    let ones = u128::from(rest) * 10;
    let (below, rest) = ((ones >> 64) as u64, ones as u64);
    let nearest = below + u64::from((rest > HALF) | ((rest == HALF) & (below & 1 == 1)));
    // Nobody can guess which.
    (tens + u64::from(up), select_unpredictable(down | up, 0, nearest))
}

#[cfg(test)]
mod tests {
    use super::super::searching::{searched, text_of};
    use super::*;
    use proptest::prelude::*;

    fn found(value: f64) -> Option<String> {
        text_of(put, value)
    }

    #[test]
    fn edges() {
        for (value, text) in [
            (0.1 + 0.2, "0.30000000000000004"),
            (-27293.004999999997, "-27293.004999999997"),
            (1.0f64.next_up(), "1.0000000000000002"),
            (1.0f64.next_down(), "0.9999999999999999"),
            (0.1, "0.1"),
            (0.0003, "0.0003"),
            (0.000323, "0.000323"),
            (70_000_000_000_000.02, "70000000000000.02"),
            (2_251_799_813_685_249.5, "2251799813685249.5"),
            (1_000_000_000_000_010.0, "1000000000000010"),
            (123_456_789.123_456_78, "123456789.12345678"),
            (12_345_678.123_456_79, "12345678.12345679"),
            (12_345_678_901_234.0, "12345678901234"),
            (100_000_000.1, "100000000.1"),
        ] {
            assert_eq!(found(value).as_deref(), Some(text));
        }
        // Too large, too small, powers of two, none.
        for value in [5e15, 2e-4, 0.5, 4.0, 0.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 5e-324] {
            assert_eq!(found(value), None, "{value}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// All bits behind the point, all fractions; decimals and their neighbours.
        #[test]
        fn as_searched(bits in BITS, fraction in 1..=FRACTION, keep in 0u32..52, negative: bool) {
            let fraction = (fraction >> keep << keep).max(1);
            let value = f64::from_bits(u64::from(1075 - bits) << 52 | fraction);
            let value = if negative { -value } else { value };
            prop_assert_eq!(found(value), Some(searched(value)));
        }

        #[test]
        fn decimals_and_their_neighbours(number in 1u64..10u64.pow(17), places in 1i32..20, nudge in -3i64..=3) {
            let value: f64 = format!("{number}e-{places}").parse().unwrap();
            let value = f64::from_bits((value.to_bits() as i64 + nudge) as u64);
            if let Some(text) = found(value) {
                prop_assert_eq!(text, searched(value));
            } else {
                prop_assert!(!(2.5e-4..4e15).contains(&value) || value.to_bits() & FRACTION == 0, "{}", value);
            }
        }
    }
}

//! Short: floats of up to three decimals, and whole numbers, without a search for their digits. The text is the one that the
//! search would find.
//!
//! A decimal of at most 15 digits is told from all others of as many digits by the float nearest to it. So if that float is the
//! value, the decimal is the shortest that reads back to it. Nearest is what a division of two exact numbers gives.

use super::FLOAT_JSON_BYTES;

/// Thousandths of what is below this have at most 15 digits.
const BELOW: f64 = 1e12;

/// From here on floats have no fractions; up to twice of it, what a float is above it stands in its lowest bits.
const WHOLE: f64 = 4_503_599_627_370_496.0;

/// By number of thousandths: a point and the digits without zeros at the end, how many bytes that is in the last one.
const FRACTIONS: [[u8; 8]; 1000] = {
    let mut fractions = [[0; 8]; 1000];
    let mut number = 1;
    while number < 1000 {
        let digits = [number / 100, number / 10 % 10, number % 10];
        let len = if digits[2] > 0 {
            4
        } else if digits[1] > 0 {
            3
        } else {
            2
        };
        let [a, b, c] = [b'0' + digits[0] as u8, b'0' + digits[1] as u8, b'0' + digits[2] as u8];
        fractions[number] = [b'.', a, b, c, 0, 0, 0, len];
        number += 1;
    }
    fractions
};

/// The digit 0 eight times.
pub(super) const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Puts a float at the front of `room` if it is short; how many bytes that took, 0 if it is not.
#[inline(always)]
pub(super) fn put(room: &mut [u8; FLOAT_JSON_BYTES], value: f64) -> usize {
    let magnitude = value.abs();
    if magnitude >= BELOW {
        return 0;
    }
    let shifted = magnitude * 1000.0 + WHOLE;
    // NaN is equal to nothing.
    if (shifted - WHOLE) / 1000.0 != magnitude {
        return 0;
    }
    let thousandths = shifted.to_bits() - WHOLE.to_bits();
    let (whole, fraction) = (thousandths / 1000, (thousandths % 1000) as usize);
    room[0] = b'-';
    let mut at = usize::from(value.is_sign_negative());
    if whole < 100_000_000 {
        at += put_whole(room, at, whole as u32);
    } else {
        at += put_whole(room, at, (whole / 100_000_000) as u32);
        let digits = eight_digits((whole % 100_000_000) as u32) | ZEROS;
        room[at..at + 8].copy_from_slice(&digits.to_le_bytes());
        at += 8;
    }
    let [a, b, c, d, .., len] = FRACTIONS[fraction];
    room[at..at + 4].copy_from_slice(&[a, b, c, d]);
    at + usize::from(len)
}

/// Puts a number of at most eight digits at `at`; how many it has.
#[inline(always)]
pub(super) fn put_whole(room: &mut [u8; FLOAT_JSON_BYTES], at: usize, number: u32) -> usize {
    let digits = eight_digits(number);
    // The last digit stays where all are zeros.
    let zeros = (digits | 1 << 56).trailing_zeros() & !7;
    room[at..at + 8].copy_from_slice(&((digits | ZEROS) >> zeros).to_le_bytes());
    8 - zeros as usize / 8
}

/// The digits of a number below 10^8, one in each byte, the first in the lowest: halved three times, all parts at once. The
/// products with 10,486 and 103 are quotients by 100 and 10 after a shift.
#[inline(always)]
pub(super) fn eight_digits(number: u32) -> u64 {
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (twos - tens * 10) << 8
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
            (0.0, "0"),
            (-0.0, "-0"),
            (0.001, "0.001"),
            (-0.25, "-0.25"),
            (1.1, "1.1"),
            (1.05, "1.05"),
            (999_999_999_999.999, "999999999999.999"),
            (100_000_000_000.0, "100000000000"),
            (99_999_999.0, "99999999"),
            (100_000_000.5, "100000000.5"),
            (-1_000_000_010.02, "-1000000010.02"),
            (12_345_678.9, "12345678.9"),
        ] {
            assert_eq!(found(value).as_deref(), Some(text));
        }
        for value in [0.0005, 0.1 + 0.2, 1e12, 1.0 / 3.0, f64::NAN, f64::INFINITY, f64::MIN, 5e-324] {
            assert_eq!(found(value), None, "{value}");
        }
        // The neighbours of a short number are not short.
        assert_eq!((found(0.3f64.next_up()), found(0.3f64.next_down())), (None, None));
    }

    #[test]
    fn digits_by_halving() {
        let check = |number: u32| {
            let text = String::from_utf8((eight_digits(number) | ZEROS).to_le_bytes().to_vec());
            assert_eq!(text.as_deref(), Ok(format!("{number:08}").as_str()));
        };
        (0..10_000).for_each(check);
        (0..10_000).for_each(|number| check(number * 10_000));
        check(99_999_999);
    }

    proptest! {
        #[test]
        fn as_searched(thousandths in -999_999_999_999_999i64..=999_999_999_999_999, shift in 0u32..50, nudge in -2i64..=2) {
            let value = (thousandths >> shift) as f64 / 1000.0;
            let value = f64::from_bits((value.to_bits() as i64 + nudge) as u64);
            if value.abs() >= 1e-3 || value == 0.0 {
                if let Some(text) = found(value) {
                    prop_assert_eq!(&text, &searched(value));
                    prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()));
                }
                prop_assert!(nudge != 0 || found(value).is_some(), "{}", value);
            }
        }

        #[test]
        fn all_floats(value: f64) {
            if let Some(text) = found(value) {
                prop_assert_eq!(text, searched(value));
            }
        }
    }
}

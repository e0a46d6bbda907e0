//! Short: floats of up to three decimals, and whole numbers, without a search for their digits. The text is the one that the
//! search would find.
//!
//! A decimal of at most 15 digits is told from all others of as many digits by the float nearest to it. So if that float is the
//! value, the decimal is the shortest that reads back to it. Nearest is what a division of two exact numbers gives.

use super::FLOAT_JSON_BYTES;

/// Thousandths of what is below this have at most 15 digits.
const BELOW: f64 = 1e12;

/// The two digits of each number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Puts a float at the front of `room` if it is short; how many bytes that took, 0 if it is not.
#[inline]
pub(super) fn put(room: &mut [u8; FLOAT_JSON_BYTES], value: f64) -> usize {
    let magnitude = value.abs();
    if magnitude >= BELOW {
        return 0;
    }
    // Of NaN 0, which it is not equal to.
    let thousandths = (magnitude * 1000.0 + 0.5) as i64;
    if thousandths as f64 / 1000.0 != magnitude {
        return 0;
    }
    let thousandths = thousandths as u64;
    let (whole, fraction) = (thousandths / 1000, (thousandths % 1000) as usize);
    room[0] = b'-';
    let mut at = put_whole(room, usize::from(value.is_sign_negative()), whole);
    if fraction > 0 {
        let [a, b] = PAIRS[fraction / 10];
        room[at..at + 4].copy_from_slice(&[b'.', a, b, b'0' + (fraction % 10) as u8]);
        at += 4;
        while room[at - 1] == b'0' {
            at -= 1;
        }
    }
    at
}

/// Puts a number of at most 12 digits at `at`; where it ends.
#[inline]
fn put_whole(room: &mut [u8; FLOAT_JSON_BYTES], at: usize, number: u64) -> usize {
    // Room behind the digits, so that the copy has a size that is known.
    let mut digits = [0u8; 24];
    let (high, low) = ((number / 100_000_000) as u32, (number % 100_000_000) as u32);
    let (upper, lower) = (low / 10_000, low % 10_000);
    for (place, four) in [(0, high), (4, upper), (8, lower)] {
        let (a, b) = (PAIRS[(four / 100) as usize], PAIRS[(four % 100) as usize]);
        digits[place..place + 4].copy_from_slice(&[a[0], a[1], b[0], b[1]]);
    }
    let len = match number {
        0..10 => 1,
        10..100 => 2,
        100..1_000 => 3,
        1_000..10_000 => 4,
        10_000..100_000 => 5,
        100_000..1_000_000 => 6,
        1_000_000..10_000_000 => 7,
        10_000_000..100_000_000 => 8,
        100_000_000..1_000_000_000 => 9,
        1_000_000_000..10_000_000_000 => 10,
        10_000_000_000..100_000_000_000 => 11,
        _ => 12,
    };
    room[at..at + 12].copy_from_slice(&digits[12 - len..24 - len]);
    at + len
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By the search for digits alone.
    fn searched(value: f64) -> String {
        let text = zmij::Buffer::new().format_finite(value).to_owned();
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    }

    fn found(value: f64) -> Option<String> {
        let mut room = [0; FLOAT_JSON_BYTES];
        let len = put(&mut room, value);
        (len > 0).then(|| String::from_utf8_lossy(&room[..len]).into_owned())
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

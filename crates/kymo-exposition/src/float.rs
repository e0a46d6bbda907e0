//! Floats as Prometheus' scrape parsers read them: Go's `ParseFloat` without `_` and hexadecimal, range errors refused.
//!
//! A value of up to 19 digits whose digits fit in 53 bits, scaled by a power of ten up to 22, is one exact integer times
//! or divided by one exact float, and so correctly rounded (Clinger's fast path). Everything else goes to `parse_float`.

use kymo_model::{NORMAL_NAN_BITS, parse_float};

const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The float at `at` and where its token ends; a token ends at a byte below `!`. `None`: not a number (see [`parse`]).
pub(crate) fn scan(body: &[u8], at: usize) -> (Option<f64>, usize) {
    match scan_short(body, at) {
        Some((value, end)) => (Some(value), end),
        None => {
            let end = crate::scan::find_blank(body, at);
            (parse(&body[at..end]), end)
        }
    }
}

fn scan_short(body: &[u8], at: usize) -> Option<(f64, usize)> {
    let negative = *body.get(at)? == b'-';
    let start = at + usize::from(negative);
    let mut i = start;
    let mut mantissa: u64 = 0;
    while let Some(digit) = body.get(i).map(|b| b.wrapping_sub(b'0')).filter(|&d| d < 10) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        i += 1;
    }
    let mut digits = i - start;
    let mut exponent: i32 = 0;
    if body.get(i) == Some(&b'.') {
        let point = i;
        i += 1;
        while let Some(digit) = body.get(i).map(|b| b.wrapping_sub(b'0')).filter(|&d| d < 10) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            i += 1;
        }
        let after = i - point - 1;
        digits += after;
        // A number of more digits than a u64 holds is refused below, so the cast cannot lose any.
        exponent = -(after.min(99) as i32);
    }
    if digits == 0 || digits > 19 {
        return None;
    }
    if let Some(b'e' | b'E') = body.get(i) {
        i += 1;
        let down = body.get(i) == Some(&b'-');
        i += usize::from(matches!(body.get(i), Some(b'-' | b'+')));
        let from = i;
        let mut power: i32 = 0;
        while let Some(digit) = body.get(i).map(|b| b.wrapping_sub(b'0')).filter(|&d| d < 10) {
            power = power.checked_mul(10)?.checked_add(i32::from(digit))?;
            i += 1;
        }
        if i == from || i - from > 4 {
            return None;
        }
        exponent += if down { -power } else { power };
    }
    if body.get(i).is_some_and(|&b| b > b' ') || mantissa > 1 << 53 {
        return None;
    }
    let magnitude = match exponent {
        0 => mantissa as f64,
        1..=22 => mantissa as f64 * POWERS[exponent as usize],
        -22..=-1 => mantissa as f64 / POWERS[-exponent as usize],
        _ => return None,
    };
    Some((if negative { -magnitude } else { magnitude }, i))
}

/// A whole token as a float. NaN comes out with the bits of an ordinary one, never as the staleness marker.
pub(crate) fn parse(token: &[u8]) -> Option<f64> {
    if token.iter().any(|b| matches!(b, b'p' | b'P' | b'_')) {
        return None;
    }
    let value = parse_float(std::str::from_utf8(token).ok()?).ok()?;
    if value.is_nan() {
        return Some(f64::from_bits(NORMAL_NAN_BITS));
    }
    // Digits beyond the range are a range error in Go; only a written infinity is one.
    let overflowed = value.is_infinite() && token.iter().any(u8::is_ascii_digit);
    (!overflowed).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scanned(text: &str) -> Option<u64> {
        let mut body = text.as_bytes().to_vec();
        body.push(b'\n');
        let (value, end) = scan(&body, 0);
        assert!(value.is_none() || end == text.len(), "{text}");
        value.map(f64::to_bits)
    }

    #[test]
    fn accepts_and_refuses_as_go_does() {
        for (text, value) in [
            ("0", 0.0),
            ("-0", -0.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("-.5e1", -5.0),
            ("+3", 3.0),
            ("8.5e+06", 8.5e6),
            ("1E5", 1e5),
            ("2.5e3", 2500.0),
            ("25e-1", 2.5),
            ("9007199254740993", 9007199254740993.0),
            ("12345678901234567890123", 12345678901234567890123.0),
            ("1e-400", 0.0),
            ("0.000000000000000000000000000001", 1e-30),
            ("+Inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("INFINITY", f64::INFINITY),
        ] {
            assert_eq!(scanned(text), Some(value.to_bits()), "{text}");
        }
        assert_eq!(scanned("nAn"), Some(NORMAL_NAN_BITS));
        for bad in [
            "", "-", ".", "1e", "1e+", "1_0", "0x1p-3", "0x1", "1e999", "-1e999", "+nan", "1f", "1e+5x", "e5",
        ] {
            assert_eq!(scanned(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_short_path_is_exact(text in "-?[0-9]{0,12}(\\.[0-9]{0,9})?([eE][+-]?[0-9]{1,3})?") {
            let expected = text.parse::<f64>().ok().filter(|v| v.is_finite()).map(f64::to_bits);
            prop_assert_eq!(scanned(&text), expected);
        }

        #[test]
        fn every_float_reads_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                prop_assert_eq!(scanned(&kymo_model::format_float_g(value)), Some(bits));
                prop_assert_eq!(scanned(&kymo_model::format_float(value)), Some(bits));
            }
        }
    }
}

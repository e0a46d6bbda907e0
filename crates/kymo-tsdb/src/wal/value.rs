//! Values in the log: four bits that say how, and no to eight bytes. A value is read without any other but the one before
//! it in the same record, so a lost record costs nothing but itself.
//!
//! Most measured values are whole numbers or have few decimals. Those are kept as an integer that holds the scale in its
//! lowest two bits (value = (n >> 2) / 10^(n & 3)), in as few bytes as its sign allows; that this gives the same bits again
//! is checked when it is written. What is left is kept as the leading bytes of the float, without trailing zero bytes.
//!
//! ```text
//! 0      +0.0
//! 1..=7  scaled integer in 1 to 7 bytes, little-endian, two's complement
//! 8..=13 the first 1, 2, 3, 4, 6, 8 bytes of the float, big-endian; the others are zero
//! 14     the staleness marker
//! 15     as the value before
//! ```

use kymo_model::STALE_NAN_BITS;

const ZERO: u8 = 0;
const FLOAT: u8 = 8;
const STALE: u8 = 14;
const SAME: u8 = 15;

const FLOAT_BYTES: [usize; 6] = [1, 2, 3, 4, 6, 8];

const SCALES: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];

/// Integers up to here are exact in a float, and four times as much fits into seven bytes.
const MANTISSA_MAX: f64 = 9_007_199_254_740_992.0;

/// From here on three decimals take no fewer bytes than the float.
const DECIMALS_MAX: f64 = 1e9;

/// Appends a value's bytes and gives its four bits. `before` holds the bits of the value before and moves on.
#[inline]
pub(crate) fn put_value(out: &mut Vec<u8>, value: f64, before: &mut u64) -> u8 {
    let bits = value.to_bits();
    if bits == 0 {
        *before = bits;
        return ZERO;
    }
    if bits == *before {
        return SAME;
    }
    *before = bits;
    if bits == STALE_NAN_BITS {
        return STALE;
    }
    let float_bytes = 8 - bits.trailing_zeros() as usize / 8;
    if let Some(scaled) = scaled(value) {
        let count = bytes_of(scaled);
        if count <= float_bytes {
            out.extend_from_slice(&scaled.to_le_bytes()[..count]);
            return count as u8;
        }
    }
    let code = FLOAT_BYTES.iter().position(|count| *count >= float_bytes).unwrap_or(FLOAT_BYTES.len() - 1);
    out.extend_from_slice(&bits.to_be_bytes()[..FLOAT_BYTES[code]]);
    FLOAT + code as u8
}

/// Reads a value by its four bits.
#[inline]
pub(crate) fn take_value(code: u8, bytes: &mut &[u8], before: &mut u64) -> Option<f64> {
    let bits = match code {
        ZERO => 0,
        1..FLOAT => {
            let number = take_eight(usize::from(code), bytes)?;
            let unused = 64 - 8 * u32::from(code);
            let scaled = i64::from_le_bytes(number) << unused >> unused;
            unscaled(scaled).to_bits()
        }
        FLOAT..STALE => {
            let count = FLOAT_BYTES[usize::from(code - FLOAT)];
            u64::from_be_bytes(take_eight(count, bytes)?) & u64::MAX << (64 - 8 * count)
        }
        STALE => STALE_NAN_BITS,
        _ => *before,
    };
    *before = bits;
    Some(f64::from_bits(bits))
}

/// Takes 1 to 8 bytes; what is given behind them may be anything.
#[inline]
fn take_eight(count: usize, bytes: &mut &[u8]) -> Option<[u8; 8]> {
    // A copy of fixed length is several times faster than one of the right length.
    let number = match bytes.first_chunk::<8>() {
        Some(eight) => *eight,
        None => {
            let mut number = [0; 8];
            number[..bytes.len()].copy_from_slice(bytes);
            number
        }
    };
    *bytes = bytes.get(count..)?;
    Some(number)
}

#[inline]
fn scaled(value: f64) -> Option<i64> {
    let size = value.abs();
    if size <= MANTISSA_MAX && (value as i64) as f64 == value {
        // Zero is -0.0 here, which an integer does not know.
        return (value != 0.0).then_some((value as i64) << 2);
    }
    if size < DECIMALS_MAX {
        for (scale, factor) in SCALES.iter().enumerate().skip(1) {
            // Rounds by a cast: the rounding instruction is not in every x86-64, and a call would cost more than the rest.
            let mantissa = (value * factor + 0.5f64.copysign(value)) as i64;
            if mantissa as f64 / factor == value && mantissa != 0 {
                return Some(mantissa << 2 | scale as i64);
            }
        }
    }
    None
}

#[inline]
fn unscaled(scaled: i64) -> f64 {
    (scaled >> 2) as f64 / SCALES[(scaled & 3) as usize]
}

/// How many bytes a signed number needs.
#[inline]
fn bytes_of(number: i64) -> usize {
    let significant = 65 - (number ^ number >> 63).leading_zeros();
    significant.div_ceil(8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[f64]) {
        let (mut out, mut codes, mut before) = (Vec::new(), Vec::new(), 0);
        for value in values {
            codes.push(put_value(&mut out, *value, &mut before));
        }
        let (mut rest, mut before) = (out.as_slice(), 0);
        for (value, code) in values.iter().zip(codes) {
            let found = take_value(code, &mut rest, &mut before).map(f64::to_bits);
            assert_eq!(found, Some(value.to_bits()), "{value} as {code}");
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn edges_come_back() {
        let whole = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            31.0,
            32.0,
            -32.0,
            -33.0,
            127.0,
            128.0,
            1e15,
            9007199254740992.0,
            -9007199254740992.0,
        ];
        check(&whole);
        check(&[0.1, 0.25, 99.999, -0.001, 12345.678, 1e9 + 0.5, 1e-9, 0.30000000000000004, 1.0 / 3.0]);
        check(&[
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            f64::from_bits(STALE_NAN_BITS),
            f64::MIN_POSITIVE,
            f64::MAX,
        ]);
        check(&[f64::from_bits(1), f64::from_bits(u64::MAX), 5e-324, 4294967296.0, 1e300, 2f64.powi(70)]);
        check(&[5.0, 5.0, 0.0, 0.0, 5.0]);
    }

    #[test]
    fn bytes_spent() {
        for (value, bytes) in [
            (0.0, 0),
            (1.0, 1),
            (31.0, 1),
            (-32.0, 1),
            (1000.0, 2),
            (99.9, 2),
            (100_000.0, 3),
            (5e8, 4),
            (1.5e9, 5),
            (4294967296.0, 2),
        ] {
            let mut out = Vec::new();
            put_value(&mut out, value, &mut 1);
            assert_eq!(out.len(), bytes, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_bits_come_back(bits: Vec<u64>) {
            check(&bits.into_iter().map(f64::from_bits).collect::<Vec<_>>());
        }

        #[test]
        fn decimals_come_back(mantissas: Vec<i32>, scale in 0usize..6) {
            check(&mantissas.into_iter().map(|m| f64::from(m) / 10f64.powi(scale as i32)).collect::<Vec<_>>());
        }
    }
}

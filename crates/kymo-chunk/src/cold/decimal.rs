//! Decimal: values that are a whole number divided by a power of ten, exactly: dividing gives the same bits again.

use super::patches::Patches;

/// Powers of ten up to here are exact floats, and so is what they divide.
pub(super) const PLACES_MAX: u8 = 15;

const POWERS: [f64; PLACES_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Added to a number below 2^51 it leaves the number in the low bits.
const MAGIC: f64 = (3u64 << 51) as f64;

/// Numbers below this are narrow.
const NARROW_END: f64 = (1u64 << 51) as f64;

/// So many values of a column are asked for their places.
const ASKED: usize = 256;

/// At least so many of a hundred values must have these places, or fewer.
const PERCENT: usize = 88;

/// `places` is at most [`PLACES_MAX`].
pub(super) fn power(places: u8) -> f64 {
    POWERS[usize::from(places.min(PLACES_MAX))]
}

/// A number below 2^51 as a float, without the conversion that many processors do one at a time.
#[inline(always)]
pub(super) fn narrow(number: i64) -> f64 {
    f64::from_bits((number as u64).wrapping_add(MAGIC.to_bits())) - MAGIC
}

/// The number that divided by 10^places is the value to the bit.
#[inline]
fn scaled(value: f64, places: u8) -> Option<i64> {
    if places == 0 {
        // Saturates, and what it saturates to is asked.
        let number = value as i64;
        return ((number as f64).to_bits() == value.to_bits()).then_some(number);
    }
    let scaled = value * power(places);
    if scaled.is_nan() || scaled.abs() >= NARROW_END {
        return None;
    }
    let number = ((scaled + MAGIC) - MAGIC) as i64;
    ((number as f64 / power(places)).to_bits() == value.to_bits()).then_some(number)
}

/// The places that nearly all values of a column have at most, going by some of them.
pub(super) fn places(values: &[f64]) -> Option<u8> {
    let step = values.len().div_ceil(ASKED).max(1);
    let (mut asked, mut having) = (0, [0; PLACES_MAX as usize + 1]);
    let mut likely = 0;
    for value in values.iter().step_by(step).filter(|value| value.is_finite()) {
        asked += 1;
        // Those of the value before, most often.
        let least = (0..=PLACES_MAX).find(|places| scaled(*value, *places).is_some());
        if let Some(places) = least {
            having[usize::from(places)] += 1;
            likely = likely.max(places);
        } else if asked > ASKED / 4 && having.iter().sum::<usize>() * 2 < asked {
            return None;
        }
    }
    let mut covered = 0;
    for (places, count) in having.iter().enumerate() {
        covered += count;
        if covered * 100 >= asked * PERCENT && covered > 0 {
            return Some(places as u8);
        }
    }
    None
}

/// The numbers of a column; what has none is told apart.
pub(super) fn scale(values: &[f64], places: u8) -> (Vec<i64>, Patches) {
    Patches::around(values, |value| scaled(value, places))
}

pub(super) fn is_narrow(numbers: &[i64]) -> bool {
    numbers.iter().all(|number| number.unsigned_abs() < 1 << 51)
}

//! Patches: the values of a column that its numbers cannot say: staleness markers, infinities, a real among decimals.

use super::ColdError;
use super::bytes::{Bytes, put_unsigned};
use super::values::bits_at;

/// Places and bits of values, in order of place.
#[derive(Debug, Default)]
pub(super) struct Patches {
    places: Vec<usize>,
    /// As many, or one for all.
    bits: Vec<u64>,
}

impl Patches {
    /// The numbers of values; where there is none, the value is told apart, and its number is one that costs little.
    pub(super) fn around(values: &[f64], number: impl Fn(f64) -> Option<i64>) -> (Vec<i64>, Patches) {
        let (mut numbers, mut patches) = (Vec::with_capacity(values.len()), Patches::default());
        let mut gap = 0;
        for (place, value) in values.iter().enumerate() {
            match number(*value) {
                Some(number) => {
                    if gap > 0 {
                        fill(&mut numbers, gap, number);
                        gap = 0;
                    }
                    numbers.push(number);
                }
                None => {
                    patches.places.push(place);
                    patches.bits.push(value.to_bits());
                    gap += 1;
                }
            }
        }
        let last = numbers.last().copied().unwrap_or(0);
        numbers.resize(values.len(), last);
        (numbers, patches)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn are_same(&self) -> bool {
        self.bits.windows(2).all(|pair| pair[0] == pair[1])
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_unsigned(out, self.places.len() as u64);
        let mut next = 0;
        for place in &self.places {
            put_unsigned(out, (place - next) as u64);
            next = place + 1;
        }
        let written = if self.are_same() { 1 } else { self.bits.len() };
        self.bits[..written.min(self.bits.len())]
            .iter()
            .for_each(|bits| out.extend_from_slice(&bits.to_le_bytes()));
    }

    /// Those of a column of `count` samples.
    pub(super) fn read(bytes: &mut Bytes<'_>, count: usize, same: bool) -> Result<Patches, ColdError> {
        let start = *bytes;
        let number = bytes.unsigned("how many values are told apart")?;
        if number == 0 || number > count as u64 {
            return Err(start.unexpected("from one value to all told apart", number));
        }
        let (mut places, mut next) = (Vec::with_capacity(number as usize), 0u64);
        for _ in 0..number {
            let start = *bytes;
            let place = next.saturating_add(bytes.unsigned("the place of a value")?);
            if place >= count as u64 {
                return Err(start.unexpected("a place inside the column", place));
            }
            places.push(place as usize);
            next = place + 1;
        }
        let bits = bits_at(bytes, if same { 1 } else { places.len() }, "values that are told apart")?;
        Ok(Patches { places, bits })
    }

    /// Puts those that are in `values`, the first of which is at place `from` of the column.
    pub(super) fn apply(&self, from: usize, values: &mut [f64]) {
        for (number, place) in self.places.iter().enumerate() {
            let bits = self.bits.get(number).or(self.bits.first());
            let slot = place.checked_sub(from).and_then(|place| values.get_mut(place));
            if let (Some(slot), Some(bits)) = (slot, bits) {
                *slot = f64::from_bits(*bits);
            }
        }
    }
}

/// Numbers between the last one and `next`, in equal steps.
fn fill(numbers: &mut Vec<i64>, gap: usize, next: i64) {
    let before = numbers.last().copied().unwrap_or(next);
    let span = i128::from(next) - i128::from(before);
    numbers
        .extend((1..=gap as i128).map(|step| (i128::from(before) + span * step / (gap as i128 + 1)) as i64));
}

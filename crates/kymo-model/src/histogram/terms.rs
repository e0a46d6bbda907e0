//! Terms: what is added when histograms are, plain counts or counts with the rounding error that they have lost so far.

use std::ops::{AddAssign, Neg};

/// A count in an addition.
pub(super) trait Term: Copy + Default + PartialEq + AddAssign + Neg<Output = Self> {
    /// A count without anything lost.
    fn exact(count: f64) -> Self;
}

impl Term for f64 {
    fn exact(count: f64) -> f64 {
        count
    }
}

/// A sum and what rounding took from it: Kahan's summation with Neumaier's improvement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Compensated {
    pub(super) sum: f64,
    pub(super) rest: f64,
}

impl Compensated {
    #[inline]
    pub(super) fn plus(self, value: f64) -> Compensated {
        let sum = self.sum + value;
        if sum.is_infinite() {
            return Compensated { sum, rest: 0.0 };
        }
        let lost =
            if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        Compensated { sum, rest: self.rest + lost }
    }
}

impl AddAssign for Compensated {
    #[inline]
    fn add_assign(&mut self, other: Compensated) {
        *self = self.plus(other.sum);
        if other.rest != 0.0 {
            *self = self.plus(other.rest);
        }
    }
}

impl Neg for Compensated {
    type Output = Compensated;

    fn neg(self) -> Compensated {
        Compensated { sum: -self.sum, rest: -self.rest }
    }
}

impl Term for Compensated {
    fn exact(count: f64) -> Compensated {
        Compensated { sum: count, rest: 0.0 }
    }
}

//! Scalar: one number per step, or the same number at each.

/// A value of scalar type on the points of a grid.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Constant(f64),
    PerStep(Vec<f64>),
}

impl Scalar {
    pub(crate) fn at(&self, step: usize) -> f64 {
        match self {
            Scalar::Constant(value) => *value,
            Scalar::PerStep(values) => values[step],
        }
    }

    /// The values of the first `steps` steps.
    pub(crate) fn iter(&self, steps: usize) -> impl Iterator<Item = f64> + '_ {
        (0..steps).map(|step| self.at(step))
    }

    pub(crate) fn map(self, f: impl Fn(f64) -> f64) -> Scalar {
        match self {
            Scalar::Constant(value) => Scalar::Constant(f(value)),
            Scalar::PerStep(mut values) => {
                values.iter_mut().for_each(|v| *v = f(*v));
                Scalar::PerStep(values)
            }
        }
    }

    pub(crate) fn zip(self, other: Scalar, f: impl Fn(f64, f64) -> f64) -> Scalar {
        match (self, other) {
            (Scalar::Constant(a), Scalar::Constant(b)) => Scalar::Constant(f(a, b)),
            (a, Scalar::Constant(b)) => a.map(|a| f(a, b)),
            (Scalar::Constant(a), b) => b.map(|b| f(a, b)),
            (Scalar::PerStep(mut a), Scalar::PerStep(b)) => {
                a.iter_mut().zip(b).for_each(|(a, b)| *a = f(*a, b));
                Scalar::PerStep(a)
            }
        }
    }
}

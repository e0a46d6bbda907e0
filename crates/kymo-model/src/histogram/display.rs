//! Display: histograms as Prometheus shows them to people, also as a label of `count_values`.

use std::fmt::{Display, Formatter, Result};

use super::{Bucket, FloatHistogram};
use crate::format_float_g;

/// Count, sum and the buckets that are not empty, from low to high.
///
/// ```
/// use kymo_model::{FloatHistogram, Span};
/// let h = FloatHistogram {
///     count: 7.0,
///     sum: 9.5,
///     positive_spans: vec![Span { offset: 1, length: 2 }],
///     positive_buckets: vec![3.0, 4.0],
///     ..FloatHistogram::default()
/// };
/// assert_eq!(h.to_string(), "{count:7, sum:9.5, (1,2]:3, (2,4]:4}");
/// ```
impl Display for FloatHistogram {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{{count:{}, sum:{}", format_float_g(self.count), format_float_g(self.sum))?;
        let zero = self.zero().into_iter();
        let buckets = self.negative().rev().chain(zero).chain(self.positive());
        buckets.filter(|bucket| bucket.count != 0.0).try_for_each(|bucket| write!(f, ", {bucket}"))?;
        f.write_str("}")
    }
}

/// `(lower,upper]:count`.
impl Display for Bucket {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (open, close) =
            (if self.lower_inclusive { '[' } else { '(' }, if self.upper_inclusive { ']' } else { ')' });
        let [lower, upper, count] = [self.lower, self.upper, self.count].map(format_float_g);
        write!(f, "{open}{lower},{upper}{close}:{count}")
    }
}

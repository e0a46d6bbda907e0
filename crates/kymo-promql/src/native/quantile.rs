//! Quantile and fraction of native histograms: where in the buckets a rank lies, and which rank a value has.
//!
//! Within a bucket observations are spread evenly: on a linear scale in the zero bucket and between custom bounds, on a
//! logarithmic one in exponential buckets. A zero bucket beside buckets of one sign only is taken to have that sign.
//! Observations of NaN are counted but lie in no bucket; they rank above all others.

use std::cmp::Ordering;

use kymo_model::{Bucket, FloatHistogram};

/// NaN was observed, and what it did to a quantile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NanObservations {
    /// The quantile is one of them.
    Result,
    /// The quantile is higher than without them.
    Skew,
}

/// The value below which the share `q` of the observations lies.
pub(crate) fn quantile(q: f64, h: &FloatHistogram) -> (f64, Option<NanObservations>) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if h.count == 0.0 || q.is_nan() {
        return (f64::NAN, None);
    }
    // From the nearer end, for precision; but NaN are on the upper one, out of sight.
    let upwards = h.sum.is_nan() || q < 0.5;
    let mut ascending = h.buckets();
    let (rank, reached) = if upwards {
        let rank = q * h.count;
        (rank, reach(&mut ascending, rank))
    } else {
        let rank = (1.0 - q) * h.count;
        (rank, reach(&mut h.buckets().rev(), rank))
    };
    let Reached { mut bucket, count } = reached;
    if h.has_custom_buckets() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, None);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, None);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        give_sign(&mut bucket, h);
    }
    // Rounding can let the buckets sum up to more than the count.
    let count = if count > h.count { h.count } else { count };
    if count < rank {
        // Without NaN this is rounding again.
        return if h.sum.is_nan() { (f64::NAN, Some(NanObservations::Result)) } else { (bucket.upper, None) };
    }
    let rank = if upwards { rank - (count - bucket.count) } else { count - rank };
    let mut all = count;
    if h.sum.is_nan() {
        all = ascending.fold(all, |all, later| all + later.count);
    }
    let nan = h.sum.is_nan() && all < h.count;
    (value_at(&bucket, rank / bucket.count, h), nan.then_some(NanObservations::Skew))
}

/// The bucket where the search ended, and how many observations lie in it and those before.
struct Reached {
    bucket: Bucket,
    count: f64,
}

fn reach(buckets: &mut impl Iterator<Item = Bucket>, rank: f64) -> Reached {
    let nowhere = Bucket {
        lower: 0.0,
        upper: 0.0,
        lower_inclusive: false,
        upper_inclusive: false,
        count: 0.0,
        index: 0,
    };
    let mut reached = Reached { bucket: nowhere, count: 0.0 };
    for bucket in buckets {
        reached.bucket = bucket;
        if bucket.count != 0.0 {
            reached.count += bucket.count;
            if reached.count >= rank {
                break;
            }
        }
    }
    reached
}

/// The zero bucket reaches only to that side of zero on which there are other buckets, if on one only.
fn give_sign(zero: &mut Bucket, h: &FloatHistogram) {
    match (h.negative_buckets.is_empty(), h.positive_buckets.is_empty()) {
        (true, false) => zero.lower = 0.0,
        (false, true) => zero.upper = 0.0,
        _ => {}
    }
}

/// The value that has a share of the bucket below it.
fn value_at(bucket: &Bucket, share: f64, h: &FloatHistogram) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    if h.has_custom_buckets() || (lower <= 0.0 && upper >= 0.0) {
        return lower + (upper - lower) * share;
    }
    let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
    if lower > 0.0 {
        (log_lower + (log_upper - log_lower) * share).exp2()
    } else {
        -(log_upper + (log_lower - log_upper) * (1.0 - share)).exp2()
    }
}

/// Which share of the observations lies between two values; and whether NaN, which never do, were among them.
pub(crate) fn fraction(lower: f64, upper: f64, h: &FloatHistogram) -> (f64, bool) {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, false);
    }
    if lower >= upper {
        return (0.0, false);
    }
    let (count, nan) = if h.sum.is_nan() {
        let count = h.buckets().fold(0.0, |count, bucket| count + bucket.count);
        (count, count < h.count)
    } else {
        (h.count, false)
    };
    let below = |value| {
        rank_of(value, h).filter(|rank| rank.partial_cmp(&count) != Some(Ordering::Greater)).unwrap_or(count)
    };
    ((below(upper) - below(lower)) / h.count, nan)
}

/// How many observations lie below a value; `None` above all buckets.
fn rank_of(value: f64, h: &FloatHistogram) -> Option<f64> {
    let mut rank = 0.0;
    for mut bucket in h.buckets() {
        let zero = !h.has_custom_buckets() && bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if zero {
            give_sign(&mut bucket, h);
        } else if bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
            bucket.lower = 0.0;
        }
        if bucket.lower >= value {
            return Some(rank);
        }
        if bucket.upper > value {
            return Some(if !h.has_custom_buckets() && !zero {
                rank + bucket.count * bucket.share_below_logarithmic(value)
            } else if bucket.lower == f64::NEG_INFINITY {
                // Where in it the observations lie is not known.
                bucket.count
            } else {
                rank + bucket.count * bucket.share_below_linear(value)
            });
        }
        rank += bucket.count;
    }
    None
}

//! Classic histograms at one step: quantile and fraction from cumulative buckets, after the repairs that scraped data needs.

use std::cmp::Ordering;

/// Relative differences of neighbouring buckets up to this are taken for rounding.
const TOLERANCE: f64 = 1e-12;

/// So much larger a count is no rounding, whatever the rounding of this comparison.
pub(super) const CLEARLY_MORE: f64 = 1.0 + 1e-9;

/// From nothing to this is an increase.
pub(super) const SOMETHING: f64 = 1e-100;

/// A bucket at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    pub(super) bound: f64,
    /// Of all observations up to the bound.
    pub(super) count: f64,
}

/// What had to be done to make counts grow with their bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Repaired {
    pub(super) bucket_min: f64,
    pub(super) bucket_max: f64,
    pub(super) diff_max: f64,
}

/// The value below which the fraction `q` of the observations lies. Buckets are sorted by bound; where some had the same, those
/// left over stay behind the rest, since upstream counts them again for a further quantile.
pub(super) fn quantile(q: f64, buckets: &mut [Bucket]) -> (f64, Option<Repaired>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return (f64::NAN, None);
    }
    let (buckets, repaired) = if is_sound(buckets) {
        (buckets, None)
    } else {
        buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        let different = coalesce(buckets);
        let buckets = &mut buckets[..different];
        let repaired = repair(buckets);
        (buckets, repaired)
    };
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, repaired);
    }
    let mut rank = q * observations;
    let at =
        buckets[..last].partition_point(|bucket| bucket.count.partial_cmp(&rank).is_none_or(Ordering::is_lt));
    if at == last {
        return (buckets[last - 1].bound, repaired);
    }
    if at == 0 && buckets[0].bound <= 0.0 {
        return (buckets[0].bound, repaired);
    }
    let (mut start, end, mut count) = (0.0, buckets[at].bound, buckets[at].count);
    if let Some(below) = at.checked_sub(1) {
        start = buckets[below].bound;
        count -= buckets[below].count;
        rank -= buckets[below].count;
    }
    (start + (end - start) * (rank / count), repaired)
}

/// Which fraction of the observations lies between two values.
pub(super) fn fraction(lower: f64, upper: f64, buckets: &mut [Bucket]) -> f64 {
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return f64::NAN;
    }
    let different = coalesce(buckets);
    let buckets = &buckets[..different];
    let count = buckets[different - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    // A rank that is no number, of a value too large to interpolate, stays none.
    let below = |value: f64| match rank_of(value, buckets) {
        Some(rank) if rank <= count || rank.is_nan() => rank,
        _ => count,
    };
    (below(upper) - below(lower)) / count
}

/// How many observations lie below a value, interpolated; `None` past the last bucket.
fn rank_of(value: f64, buckets: &[Bucket]) -> Option<f64> {
    let mut start = if buckets[0].bound <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let mut rank = 0.0;
    for bucket in buckets {
        if start >= value {
            return Some(rank);
        }
        if bucket.bound > value {
            if start == f64::NEG_INFINITY {
                return Some(bucket.count);
            }
            return Some(rank + (bucket.count - rank) * (value - start) / (bucket.bound - start));
        }
        rank = bucket.count;
        start = bucket.bound;
    }
    None
}

/// Do bounds and counts grow, so that nothing needs repair? Says yes only where that is sure.
fn is_sound(buckets: &[Bucket]) -> bool {
    let grows = |pair: &[Bucket]| {
        let (before, after) = (pair[0].count, pair[1].count);
        pair[0].bound < pair[1].bound
            && before >= 0.0
            && (after == before || after > if before == 0.0 { SOMETHING } else { before * CLEARLY_MORE })
    };
    buckets.windows(2).all(grows)
}

/// Adds up buckets with the same bound at the front and says how many are left; what stood behind those stays there.
fn coalesce(buckets: &mut [Bucket]) -> usize {
    let mut last = 0;
    for at in 1..buckets.len() {
        if buckets[at].bound == buckets[last].bound {
            buckets[last].count += buckets[at].count;
        } else {
            last += 1;
            buckets[last] = buckets[at];
        }
    }
    buckets.len().min(last + 1)
}

/// Ignores differences that are rounding, removes any other decrease.
fn repair(buckets: &mut [Bucket]) -> Option<Repaired> {
    let mut repaired: Option<Repaired> = None;
    let (first, rest) = buckets.split_first_mut()?;
    let mut before = first.count;
    for bucket in rest {
        let count = bucket.count;
        if count == before {
            continue;
        }
        if before > 0.0 && count > before * CLEARLY_MORE {
            before = count;
            continue;
        }
        if nearly_equal(before, count) {
            bucket.count = before;
        } else if count < before {
            bucket.count = before;
            let known = repaired.get_or_insert(Repaired {
                bucket_min: f64::INFINITY,
                bucket_max: f64::NEG_INFINITY,
                diff_max: 0.0,
            });
            known.bucket_min = known.bucket_min.min(bucket.bound);
            known.bucket_max = known.bucket_max.max(bucket.bound);
            known.diff_max = known.diff_max.max(before - count);
        } else {
            before = count;
        }
    }
    repaired
}

fn nearly_equal(a: f64, b: f64) -> bool {
    if a.is_nan() && b.is_nan() {
        return true;
    }
    let sum = a.abs() + b.abs();
    let diff = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return diff < TOLERANCE * f64::MIN_POSITIVE;
    }
    diff / sum.min(f64::MAX) < TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect()
    }

    #[test]
    fn quantiles() {
        let plain = [(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 20.0)];
        let check = |q, pairs: &[(f64, f64)], expected: f64| {
            let (value, _) = quantile(q, &mut buckets(pairs));
            assert!(value == expected || (value.is_nan() && expected.is_nan()), "{q} {pairs:?}: {value}");
        };
        check(0.5, &plain, 1.0);
        check(0.75, &plain, 1.5);
        check(1.0, &plain, 2.0);
        check(-1.0, &plain, f64::NEG_INFINITY);
        check(2.0, &plain, f64::INFINITY);
        check(f64::NAN, &plain, f64::NAN);
        check(0.5, &plain[..2], f64::NAN);
        check(0.5, &[(f64::INFINITY, 1.0)], f64::NAN);
        check(0.5, &[(1.0, 0.0), (f64::INFINITY, 0.0)], f64::NAN);
        check(0.1, &[(-1.0, 5.0), (f64::INFINITY, 10.0)], -1.0);
        check(0.9, &[(1.0, 5.0), (f64::INFINITY, 10.0)], 1.0);
        check(0.5, &[(1.0, 5.0), (1.0, 5.0), (f64::INFINITY, 10.0)], 0.5);
    }

    #[test]
    fn decreases_are_removed_and_reported() {
        let mut wrong = buckets(&[(1.0, 10.0), (2.0, 5.0), (3.0, 9.0), (f64::INFINITY, 12.0)]);
        let (_, repaired) = quantile(0.5, &mut wrong);
        assert_eq!(repaired, Some(Repaired { bucket_min: 2.0, bucket_max: 3.0, diff_max: 5.0 }));
        let mut rounding = buckets(&[(1.0, 10.0), (2.0, 10.0 - 1e-12), (f64::INFINITY, 12.0)]);
        assert_eq!(quantile(0.5, &mut rounding).1, None);
        // The second quantile finds the last bucket once more.
        let mut twice = buckets(&[(1.0, 1.0), (1.0, 1.0), (2.0, 4.0), (f64::INFINITY, 4.0)]);
        assert_eq!([quantile(0.5, &mut twice).0, quantile(0.5, &mut twice).0], [1.0, 2.0]);
    }

    #[test]
    fn fractions() {
        let plain = [(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 40.0)];
        for (lower, upper, expected) in
            [(0.0, 1.0, 0.25), (0.5, 1.5, 0.25), (1.0, f64::INFINITY, 0.75), (3.0, 2.0, 0.0)]
        {
            assert_eq!(fraction(lower, upper, &mut buckets(&plain)), expected);
        }
        assert!(fraction(2.0, 1e308, &mut buckets(&plain)).is_nan());
    }
}

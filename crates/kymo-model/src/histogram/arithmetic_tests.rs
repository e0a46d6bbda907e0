//! Tests of histogram arithmetic: cases from the definitions, and laws that must hold for any two histograms.
//!
//! 40,000 random triples were compared once with Prometheus' `model/histogram`: sums, differences, compensated sums, resets,
//! equality and trimming agree to the last bit but for logarithms.

use proptest::prelude::*;

use super::CounterResetHint::{Gauge, NotReset, Reset, Unknown};
use super::*;

/// Exponential buckets of schema 0 from an index; count is theirs and the zero bucket's, the sum 1 for each.
fn exponential(first: i32, counts: &[f64], zero: (f64, f64)) -> FloatHistogram {
    let (zero_threshold, zero_count) = zero;
    let count = zero_count + counts.iter().sum::<f64>();
    FloatHistogram {
        zero_threshold,
        zero_count,
        count,
        sum: count,
        positive_spans: vec![Span { offset: first, length: counts.len() as u32 }],
        positive_buckets: counts.to_vec(),
        ..FloatHistogram::default()
    }
}

fn custom(bounds: &[f64], counts: &[f64]) -> FloatHistogram {
    FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_values: bounds.to_vec(),
        ..exponential(0, counts, (0.0, 0.0))
    }
}

fn hinted(h: FloatHistogram, counter_reset_hint: CounterResetHint) -> FloatHistogram {
    FloatHistogram { counter_reset_hint, ..h }
}

#[test]
fn sums_and_differences() {
    let check = |a: FloatHistogram, b: FloatHistogram, sum: FloatHistogram| {
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.add(&b).unwrap();
        ba.add(&a).unwrap();
        let mut compensated = a.clone();
        let mut rest = Compensation::default();
        compensated.add_compensated(&b, &mut rest).unwrap();
        compensated.settle(&rest);
        for result in [&mut ab, &mut ba, &mut compensated] {
            result.compact(0);
            assert_eq!(*result, sum, "{a:?} + {b:?}");
        }
        let mut difference = sum.clone();
        difference.sub(&b).unwrap();
        assert_eq!((difference.count, difference.sum), (a.count, a.sum));
    };
    let plain = |first, counts: &[f64]| exponential(first, counts, (0.0, 0.0));
    check(plain(1, &[1.0, 2.0]), plain(1, &[3.0, 4.0]), plain(1, &[4.0, 6.0]));
    check(plain(1, &[1.0, 2.0]), plain(2, &[3.0, 4.0]), plain(1, &[1.0, 5.0, 4.0]));
    check(plain(-3, &[1.0]), plain(0, &[]), plain(-3, &[1.0]));
    // The finer one is merged down.
    let fine = FloatHistogram { schema: 1, ..plain(0, &[1.0, 2.0, 3.0, 4.0]) };
    check(fine, plain(1, &[10.0]), plain(0, &[1.0, 15.0, 4.0]));
    // A narrower zero bucket takes in what lies within the wider one.
    let wide = exponential(1, &[1.0, 2.0], (1.0, 3.0));
    let narrow = exponential(-1, &[1.0, 1.0, 1.0], (0.25, 1.0));
    check(wide, narrow, exponential(1, &[2.0, 2.0], (1.0, 6.0)));
    // Where the wider one ends inside of a populated bucket, both grow to its end.
    let inside = exponential(3, &[2.0], (1.5, 3.0));
    check(inside, plain(1, &[1.0, 1.0]), exponential(3, &[2.0], (2.0, 4.0)).with_bucket(2, 1.0));
    check(
        custom(&[1.0, 2.0], &[1.0, 2.0]),
        custom(&[1.0, 2.0], &[1.0, 0.0, 4.0]),
        custom(&[1.0, 2.0], &[2.0, 2.0, 4.0]),
    );
    check(
        custom(&[1.0, 2.0, 4.0], &[1.0, 2.0, 3.0, 4.0]),
        custom(&[0.5, 2.0], &[1.0, 2.0, 3.0]),
        custom(&[2.0], &[6.0, 10.0]),
    );
    check(custom(&[1.0], &[1.0, 2.0]), custom(&[2.0], &[1.0, 2.0]), custom(&[], &[6.0]));
}

impl FloatHistogram {
    /// With one more bucket, for tests to write expected results.
    fn with_bucket(mut self, index: i32, count: f64) -> FloatHistogram {
        self.add(&exponential(index, &[count], (self.zero_threshold, 0.0))).unwrap();
        self.compact(0);
        self
    }
}

#[test]
fn what_does_not_go_together() {
    let (mut a, b) = (exponential(1, &[1.0], (0.0, 0.0)), custom(&[1.0], &[1.0]));
    let before = a.clone();
    assert_eq!(a.add(&b), Err(IncompatibleHistograms));
    assert_eq!(a.sub(&b), Err(IncompatibleHistograms));
    assert_eq!(a.add_compensated(&b, &mut Compensation::default()), Err(IncompatibleHistograms));
    assert_eq!(a, before);
    let mut differing = custom(&[1.0], &[1.0, 2.0]);
    let combined = differing.add(&custom(&[1.0, 2.0], &[1.0])).unwrap();
    assert!(combined.bounds_reconciled && !combined.resets_collide);
    assert!(!differing.add(&custom(&[1.0], &[3.0])).unwrap().bounds_reconciled);
}

#[test]
fn hints() {
    let check = |a, b, result, collide| {
        for (a, b) in [(a, b), (b, a)] {
            let (mut sum, b) = (hinted(custom(&[], &[]), a), hinted(custom(&[], &[]), b));
            let combined = sum.add(&b).unwrap();
            assert_eq!((sum.counter_reset_hint, combined.resets_collide), (result, collide));
        }
    };
    check(Reset, Reset, Reset, false);
    check(Reset, NotReset, Unknown, true);
    check(Reset, Unknown, Unknown, false);
    check(Gauge, Reset, Gauge, false);
    check(Gauge, Unknown, Gauge, false);
    let mut h = hinted(exponential(1, &[1.0], (0.5, 1.0)), Reset);
    h.mul(2.0);
    h.div(4.0);
    assert_eq!(h, hinted(exponential(1, &[0.5], (0.5, 0.5)), Reset));
    h.mul(-1.0);
    assert_eq!(h.counter_reset_hint, Gauge);
    h.counter_reset_hint = Reset;
    h.div(-1.0);
    assert_eq!((h.counter_reset_hint, h.count), (Gauge, 1.0));
    h.div(0.0);
    assert_eq!((h.count, h.zero_count, h.positive().count()), (f64::INFINITY, f64::INFINITY, 0));
    assert!(h.has_overflow());
}

#[test]
fn counter_resets() {
    let check = |before: FloatHistogram, now: FloatHistogram, reset: bool| {
        assert_eq!(now.detect_reset(&before), reset, "{before:?} then {now:?}");
        assert!(hinted(now.clone(), Reset).detect_reset(&before));
        assert!(!hinted(now.clone(), NotReset).detect_reset(&before));
        assert_eq!(hinted(now, Gauge).detect_reset(&before), reset);
    };
    let plain = |first, counts: &[f64]| exponential(first, counts, (0.0, 0.0));
    check(plain(1, &[1.0, 2.0]), plain(1, &[1.0, 2.0]), false);
    check(plain(1, &[1.0, 2.0]), plain(1, &[1.0, 3.0]), false);
    check(plain(1, &[1.0, 2.0]), plain(1, &[1.0, 1.0]), true);
    check(plain(1, &[1.0, 2.0]), plain(1, &[0.0, 4.0]), true);
    // Buckets appear and vanish.
    check(plain(1, &[1.0]), plain(0, &[1.0, 1.0, 1.0]), false);
    check(plain(1, &[1.0, 2.0]), plain(2, &[4.0]), true);
    check(plain(1, &[0.0, 2.0]), plain(2, &[4.0]), false);
    check(plain(1, &[1.0, 2.0]), plain(1, &[4.0]), true);
    // Sums do not count.
    check(plain(1, &[1.0]), FloatHistogram { sum: -9.0, ..plain(1, &[1.0]) }, false);
    // Resolution: lower without a reset, never higher.
    let fine = |counts: &[f64]| FloatHistogram { schema: 1, ..plain(1, counts) };
    check(fine(&[1.0, 1.0]), plain(1, &[2.0]), false);
    check(fine(&[1.0, 1.0]), plain(1, &[1.0, 5.0]), true);
    check(plain(1, &[2.0]), fine(&[2.0, 2.0]), true);
    // Zero bucket: wider without a reset unless it ends inside of a bucket, never narrower.
    check(exponential(1, &[1.0], (0.0, 1.0)), exponential(2, &[0.0], (2.0, 2.0)), false);
    check(exponential(1, &[1.0], (0.0, 1.0)), exponential(2, &[1.0], (2.0, 1.0)), true);
    check(exponential(1, &[1.0], (0.0, 1.0)), exponential(2, &[1.0], (1.5, 2.0)), true);
    check(exponential(1, &[1.0], (0.5, 1.0)), exponential(1, &[5.0], (0.25, 5.0)), true);
    check(exponential(1, &[1.0], (0.5, 2.0)), exponential(1, &[5.0], (0.5, 1.0)), true);
    // Custom bounds.
    check(custom(&[1.0, 2.0], &[1.0, 2.0]), custom(&[1.0, 2.0], &[1.0, 3.0]), false);
    check(custom(&[1.0, 2.0], &[1.0, 2.0]), custom(&[1.0, 2.0], &[0.0, 5.0]), true);
    check(custom(&[1.0, 2.0], &[1.0, 2.0]), custom(&[2.0, 3.0], &[3.0, 1.0]), false);
    check(custom(&[1.0, 2.0], &[1.0, 2.0]), custom(&[2.0, 3.0], &[2.0, 2.0]), true);
    check(custom(&[1.0], &[1.0]), plain(1, &[5.0]), true);
    check(plain(1, &[1.0]), custom(&[1.0], &[5.0]), true);
}

#[test]
fn trimmed() {
    let check = |h: &FloatHistogram, limit: f64, below: &[(f64, f64)], above: &[(f64, f64)]| {
        for (trim, expected) in [
            (FloatHistogram::trim_upper as fn(&mut _, _), below),
            (FloatHistogram::trim_lower as fn(&mut _, _), above),
        ] {
            let mut trimmed = h.clone();
            trim(&mut trimmed, limit);
            let buckets: Vec<_> = trimmed.buckets().map(|b| (b.upper, b.count)).collect();
            let near = |a: &(f64, f64), b: &(f64, f64)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-12;
            assert!(
                buckets.len() == expected.len() && buckets.iter().zip(expected).all(|(a, b)| near(a, b)),
                "{limit}: {buckets:?}, expected {expected:?}"
            );
            assert!((trimmed.count - expected.iter().map(|b| b.1).sum::<f64>()).abs() < 1e-12);
        }
    };
    let h = exponential(1, &[4.0, 8.0], (0.5, 2.0));
    check(&h, 2.0, &[(0.5, 2.0), (2.0, 4.0)], &[(4.0, 8.0)]);
    check(&h, 8f64.sqrt(), &[(0.5, 2.0), (2.0, 4.0), (4.0, 4.0)], &[(4.0, 4.0)]);
    // The zero bucket has the sign of the others.
    check(&h, 0.25, &[(0.5, 1.0)], &[(0.5, 1.0), (2.0, 4.0), (4.0, 8.0)]);
    check(&h, f64::INFINITY, &[(0.5, 2.0), (2.0, 4.0), (4.0, 8.0)], &[]);
    check(&h, f64::NEG_INFINITY, &[], &[(0.5, 2.0), (2.0, 4.0), (4.0, 8.0)]);
    let lines = custom(&[2.0, 4.0], &[4.0, 8.0, 1.0]);
    check(&lines, 3.0, &[(2.0, 4.0), (4.0, 4.0)], &[(4.0, 4.0), (f64::INFINITY, 1.0)]);
    check(&lines, 1.0, &[(2.0, 2.0)], &[(2.0, 2.0), (4.0, 8.0), (f64::INFINITY, 1.0)]);
    check(&lines, 5.0, &[(2.0, 4.0), (4.0, 8.0)], &[(f64::INFINITY, 1.0)]);
    check(&custom(&[-2.0], &[4.0, 8.0]), -3.0, &[(-2.0, 4.0)], &[(f64::INFINITY, 8.0)]);
    // Nothing cut: count and sum stay as they are, right or wrong.
    let mut odd = FloatHistogram { count: 99.0, sum: 7.0, ..h.clone() };
    odd.trim_upper(4.0);
    assert_eq!((odd.count, odd.sum), (99.0, 7.0));
    let mut cut = h;
    cut.trim_upper(2.0);
    assert!((cut.sum - (2.0 * 0.25 + 4.0 * 2f64.sqrt())).abs() < 1e-12, "{}", cut.sum);
}

#[test]
fn sizes() {
    assert_eq!(FloatHistogram::default().sample_weight(), 11);
    let h = exponential(1, &[1.0, 2.0, 3.0], (0.0, 0.0));
    assert_eq!(h.sample_weight(), 13);
    assert_eq!(h.size_bytes(), size_of::<FloatHistogram>() + 32);
}

/// Any histogram with counts that add up exactly.
fn any_histogram(schemas: std::ops::RangeInclusive<i32>) -> impl Strategy<Value = FloatHistogram> {
    let side = || {
        let span = (0i32..4, prop::collection::vec(0u8..6, 1..4));
        (-6i32..6, prop::collection::vec(span, 0..4))
    };
    let threshold = prop::sample::select(vec![0.0, 0.001, 0.5, 1.0, 1.5, 4.0]);
    (schemas, threshold, 0u8..9, side(), side()).prop_map(
        |(schema, zero_threshold, zero, positive, negative)| {
            let unpack = |(first, spans): (i32, Vec<(i32, Vec<u8>)>)| {
                let counts: Vec<f64> =
                    spans.iter().flat_map(|(_, counts)| counts).map(|n| f64::from(*n)).collect();
                let offset = |at: usize, gap: i32| if at == 0 { first } else { gap };
                let located = spans.iter().enumerate();
                let spans =
                    located.map(|(at, (gap, n))| Span { offset: offset(at, *gap), length: n.len() as u32 });
                (spans.collect::<Vec<_>>(), counts)
            };
            let (positive_spans, positive_buckets) = unpack(positive);
            let (negative_spans, negative_buckets) = unpack(negative);
            let zero_count = f64::from(zero);
            let count = zero_count + positive_buckets.iter().chain(&negative_buckets).sum::<f64>();
            FloatHistogram {
                schema,
                zero_threshold,
                zero_count,
                count,
                sum: 1.0,
                positive_spans,
                positive_buckets,
                negative_spans,
                negative_buckets,
                ..FloatHistogram::default()
            }
        },
    )
}

fn any_custom() -> impl Strategy<Value = FloatHistogram> {
    let bounds = prop::collection::btree_set(-4i8..9, 0..6);
    (bounds, prop::collection::vec(0u8..6, 7)).prop_map(|(bounds, counts)| {
        let bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
        let counts: Vec<f64> = counts.into_iter().take(bounds.len() + 1).map(f64::from).collect();
        custom(&bounds, &counts)
    })
}

fn compacted(mut h: FloatHistogram) -> FloatHistogram {
    h.compact(0);
    h
}

/// Everything that a bucket counts.
fn counted(h: &FloatHistogram) -> f64 {
    h.zero_count + h.positive_buckets.iter().chain(&h.negative_buckets).sum::<f64>()
}

/// A bucket within the zero bucket, of which it is not known to which of the two its observations belong.
fn overlapping(h: &FloatHistogram) -> bool {
    h.positive().any(|b| b.lower < h.zero_threshold) || h.negative().any(|b| -b.upper < h.zero_threshold)
}

#[test]
fn a_merged_bucket_that_reaches_out_of_the_zero_bucket_is_counted_twice() {
    let mut wide = FloatHistogram { schema: -1, ..exponential(0, &[], (2.0, 3.0)) };
    // (0.5, 1] and (1, 2], which at schema -1 are in (0.25, 1] and (1, 4].
    let fine = exponential(0, &[2.0, 1.0], (0.0, 0.0));
    assert!(wide.detect_reset(&fine));
    wide.add(&fine).unwrap();
    wide.compact(0);
    assert_eq!((wide.zero_count, wide.count), (6.0, 6.0));
    assert_eq!(wide.positive().map(|b| (b.upper, b.count)).collect::<Vec<_>>(), [(4.0, 1.0)]);
}

proptest! {
    #[test]
    fn addition_commutes_and_loses_nothing(a in any_histogram(-2..=3), b in any_histogram(-2..=3)) {
        // Where both differ, Prometheus may count a bucket twice.
        let zero_threshold = if a.schema == b.schema { b.zero_threshold } else { a.zero_threshold };
        let b = FloatHistogram { zero_threshold, ..b };
        prop_assume!(!overlapping(&a) && !overlapping(&b));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.add(&b).unwrap();
        ba.add(&a).unwrap();
        prop_assert_eq!(counted(&ab), a.count + b.count);
        prop_assert_eq!(compacted(ab.clone()), compacted(ba));
        ab.validate().unwrap();
        let (mut sum, mut rest) = (a.clone(), Compensation::default());
        sum.add_compensated(&b, &mut rest).unwrap();
        sum.settle(&rest);
        prop_assert_eq!(compacted(sum), compacted(ab.clone()));
        prop_assert!(!ab.detect_reset(&a) || ab.schema > a.schema, "a sum is no reset");
    }

    #[test]
    fn custom_addition_commutes_and_loses_nothing(a in any_custom(), b in any_custom()) {
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.add(&b).unwrap();
        ba.add(&a).unwrap();
        prop_assert_eq!(counted(&ab), a.count + b.count);
        prop_assert_eq!(compacted(ab.clone()), compacted(ba));
        ab.validate().unwrap();
        prop_assert!(!ab.detect_reset(&a));
        let (mut sum, mut rest) = (a.clone(), Compensation::default());
        sum.add_compensated(&b, &mut rest).unwrap();
        sum.settle(&rest);
        prop_assert_eq!(compacted(sum), compacted(ab));
    }

    #[test]
    fn resolution_may_be_reduced_before_or_after(a in any_histogram(1..=1), b in any_histogram(1..=1)) {
        let a = FloatHistogram { zero_threshold: 0.0, ..a };
        let b = FloatHistogram { zero_threshold: 0.0, ..b };
        let mut after = a.clone();
        after.add(&b).unwrap();
        after.reduce_resolution(-1).unwrap();
        let (mut before, mut other) = (a, b);
        before.reduce_resolution(-1).unwrap();
        other.reduce_resolution(-1).unwrap();
        before.add(&other).unwrap();
        prop_assert_eq!(compacted(before), compacted(after));
    }

    #[test]
    fn what_was_added_can_be_subtracted(a in any_histogram(0..=0), b in any_histogram(0..=0)) {
        let b = FloatHistogram { zero_threshold: a.zero_threshold, ..b };
        prop_assume!(!overlapping(&a) && !overlapping(&b));
        let mut result = a.clone();
        result.add(&b).unwrap();
        result.sub(&b).unwrap();
        prop_assert_eq!(compacted(result), compacted(a));
    }

    #[test]
    fn compaction_keeps_every_bucket(a in any_histogram(-2..=3), max in 0usize..4) {
        let mut h = a.clone();
        h.compact(max);
        h.validate().unwrap();
        let populated = |h: &FloatHistogram| h.buckets().filter(|b| b.count != 0.0).collect::<Vec<_>>();
        prop_assert_eq!(populated(&h), populated(&a));
        prop_assert_eq!(compacted(h), compacted(a));
    }

    #[test]
    fn trimming_splits(a in any_histogram(0..=2), limit in -9.0..9.0f64) {
        prop_assume!(!overlapping(&a));
        let (mut below, mut above) = (a.clone(), a.clone());
        below.trim_upper(limit);
        above.trim_lower(limit);
        below.validate().unwrap();
        above.validate().unwrap();
        prop_assert!((below.count + above.count - a.count).abs() < 1e-9);
        prop_assert!(below.buckets().all(|b| b.count == 0.0 || b.lower <= limit));
        prop_assert!(above.buckets().all(|b| b.count == 0.0 || b.upper >= limit));
    }

    /// Nothing that a decoder can hand over panics or loops.
    #[test]
    fn nonsense_is_computed_with(
        mut a in any_histogram(-5..=9),
        b in any_histogram(-4..=8),
        odd in prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, f64::MAX, 5e-324]),
        what in 0..6,
    ) {
        match what {
            0 => a.zero_threshold = odd,
            1 => a.zero_count = odd,
            2 => a.positive_buckets.iter_mut().for_each(|n| *n = odd),
            3 => a.positive_buckets.truncate(1),
            4 => a.positive_spans.push(Span { offset: i32::MAX, length: u32::MAX }),
            _ => a.schema = CUSTOM_BUCKETS_SCHEMA,
        }
        for (x, y) in [(&a, &b), (&b, &a), (&a, &a)] {
            let mut sum = x.clone();
            let mut rest = Compensation::default();
            let _ = (sum.clone().add(y), sum.clone().sub(y), sum.add_compensated(y, &mut rest));
            sum.settle(&rest);
            let _ = x.detect_reset(y);
            sum.trim_lower(odd);
            sum.trim_upper(odd);
        }
    }
}

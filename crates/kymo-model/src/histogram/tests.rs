//! Tests of histograms. Bounds and layouts were taken from Prometheus' `model/histogram` by running it.

use super::*;

fn span(offset: i32, length: u32) -> Span {
    Span { offset, length }
}

fn histogram(schema: i32, spans: &[(i32, u32)], deltas: &[i64]) -> Histogram {
    let counts = deltas.iter().scan(0, |count, delta| {
        *count += delta;
        Some(*count)
    });
    Histogram {
        schema,
        count: counts.sum::<i64>() as u64,
        sum: 1.0,
        positive_spans: spans.iter().map(|(offset, length)| span(*offset, *length)).collect(),
        positive_buckets: deltas.to_vec(),
        ..Histogram::default()
    }
}

#[test]
fn exact_bounds() {
    for (index, schema, bound) in [
        (0, 0, 1.0),
        (10, 0, 1024.0),
        (-1, 0, 0.5),
        (3, 1, 2.82842712474619),
        (1, 2, 1.189207115002721),
        (9, 2, 4.756828460010884),
        (1, 8, 1.0027112750502025),
        (-1, 8, 0.9972960560854698),
        (1024, 0, f64::MAX),
        (1025, 0, f64::INFINITY),
        (64, -4, f64::MAX),
        (65, -4, f64::INFINITY),
        (-1, -4, 1.0 / 65536.0),
        (-1074, 0, 5e-324),
        (-1075, 0, 0.0),
        (1024 << 8, 8, f64::MAX),
        (i32::MAX, 8, f64::INFINITY),
        (i32::MIN, -4, 0.0),
    ] {
        assert_eq!(bounds::exponential(index, schema), bound, "index {index} of schema {schema}");
    }
}

#[test]
fn buckets_in_order() {
    let h = FloatHistogram {
        schema: 0,
        zero_threshold: 1.5,
        zero_count: 2.0,
        count: 12.0,
        positive_spans: vec![span(0, 1), span(0, 0), span(1, 2)],
        positive_buckets: vec![1.0, 0.0, 3.0],
        negative_spans: vec![span(1, 2)],
        negative_buckets: vec![4.0, 2.0],
        ..FloatHistogram::default()
    };
    h.validate().unwrap();
    let all: Vec<_> = h.buckets().map(|b| (b.lower, b.upper, b.count, b.index)).collect();
    assert_eq!(
        all,
        [
            (-4.0, -2.0, 2.0, 2),
            (-2.0, -1.5, 4.0, 1),
            (-1.5, 1.5, 2.0, 0),
            (1.5, 1.0, 1.0, 0),
            (2.0, 4.0, 0.0, 2),
            (4.0, 8.0, 3.0, 3),
        ]
    );
    let inclusive: Vec<_> = h.buckets().map(|b| (b.lower_inclusive, b.upper_inclusive)).collect();
    assert_eq!(inclusive[..3], [(true, false), (true, false), (true, true)]);
    assert_eq!(inclusive[3], (false, true));
    let mut backwards: Vec<_> = h.buckets().rev().map(|b| (b.lower, b.upper, b.count, b.index)).collect();
    backwards.reverse();
    assert_eq!(all, backwards);
}

#[test]
fn custom_buckets() {
    let h = FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 6.0,
        positive_spans: vec![span(0, 1), span(1, 1)],
        positive_buckets: vec![1.0, 5.0],
        custom_values: vec![-1.0, 2.0],
        ..FloatHistogram::default()
    };
    h.validate().unwrap();
    let all: Vec<_> = h.buckets().map(|b| (b.lower, b.upper, b.lower_inclusive, b.count)).collect();
    assert_eq!(all, [(f64::NEG_INFINITY, -1.0, true, 1.0), (2.0, f64::INFINITY, false, 5.0)]);
    assert!(h.clone().reduce_resolution(0).is_err());
}

#[test]
fn compaction() {
    let check =
        |spans: &[(i32, u32)], deltas: &[i64], max: usize, want: &[(i32, u32)], want_deltas: &[i64]| {
            let mut h = histogram(0, spans, deltas);
            let mut float = h.to_float();
            h.compact(max);
            float.compact(max);
            let want = Histogram { count: h.count, ..histogram(0, want, want_deltas) };
            assert_eq!(h, want, "{spans:?} {deltas:?} {max}");
            assert_eq!(float, want.to_float());
            h.validate().unwrap();
        };
    check(&[(1, 2), (3, 1)], &[1, 1, 1], 0, &[(1, 2), (3, 1)], &[1, 1, 1]);
    check(&[(1, 2), (0, 1)], &[1, 1, 1], 0, &[(1, 3)], &[1, 1, 1]);
    check(&[(-2, 2), (1, 0), (2, 1)], &[0, 0, 0], 0, &[], &[]);
    check(&[(-2, 5)], &[0, 1, -1, 0, 2], 0, &[(-1, 1), (2, 1)], &[1, 1]);
    check(&[(-2, 5)], &[0, 1, -1, 0, 2], 1, &[(-1, 1), (2, 1)], &[1, 1]);
    check(&[(-2, 5)], &[0, 1, -1, 0, 2], 2, &[(-1, 4)], &[1, -1, 0, 2]);
    check(&[(5, 1), (2, 1)], &[1, 1], 2, &[(5, 4)], &[1, -1, 0, 2]);
    check(&[(5, 2), (1, 2)], &[1, -1, 0, 3], 3, &[(5, 5)], &[1, -1, 0, 0, 3]);
    check(&[(5, 2), (1, 2)], &[1, -1, 0, 3], 2, &[(5, 1), (3, 1)], &[1, 2]);
}

#[test]
fn lower_resolution() {
    let check = |h: Histogram, schema: i32, want: &[(i32, u32)], want_deltas: &[i64]| {
        let mut float = h.to_float();
        let mut reduced = h;
        reduced.reduce_resolution(schema).unwrap();
        float.reduce_resolution(schema).unwrap();
        assert_eq!(reduced, histogram(schema, want, want_deltas));
        assert_eq!(float, reduced.to_float());
    };
    check(histogram(1, &[(0, 4)], &[1, 1, 1, 1]), 0, &[(0, 3)], &[1, 4, -1]);
    check(histogram(0, &[(0, 4), (3, 2)], &[1, 2, 3, -4, 1, 1]), -2, &[(0, 3)], &[1, 10, -4]);
    check(histogram(2, &[(-9, 1), (40, 1)], &[1, 1]), 0, &[(-2, 1), (9, 1)], &[1, 1]);
    for (from, to) in
        [(0, 0), (0, 1), (0, -5), (CUSTOM_BUCKETS_SCHEMA, -4), (9, 0), (0, CUSTOM_BUCKETS_SCHEMA)]
    {
        let error = Histogram { schema: from, ..Histogram::default() }.reduce_resolution(to).unwrap_err();
        assert_eq!(error, HistogramError::CannotReduce { from, to });
    }
}

#[test]
fn invalid_histograms() {
    let check = |h: Histogram, message: &str| {
        assert_eq!(h.validate().unwrap_err().to_string(), message);
        // Invalid is not a reason to panic.
        let mut float = h.to_float();
        float.buckets().rev().count();
        float.compact(3);
        let _ = float.reduce_resolution(-4);
        let mut h = h;
        h.compact(0);
        let _ = h.reduce_resolution(-4);
    };
    check(histogram(9, &[], &[]), "expected a schema from -4 to 8, or -53 for custom bounds, found 9");
    check(
        histogram(0, &[(0, 1), (-1, 1)], &[1, 0]),
        "positive side: expected an offset of 0 or more in span 2, found -1",
    );
    check(histogram(0, &[(0, 3)], &[1, 0]), "positive side: expected 3 buckets as the spans say, found 2");
    check(histogram(0, &[(0, 1)], &[1, 0]), "positive side: expected 1 buckets as the spans say, found 2");
    check(
        histogram(0, &[(i32::MAX, 1)], &[1]),
        "positive side: expected bucket indices of 32 bits, found 2147483648 in span 1",
    );
    check(
        histogram(0, &[(0, u32::MAX), (0, u32::MAX)], &[1]),
        "positive side: expected bucket indices of 32 bits, found 4294967295 in span 1",
    );
    let mut h = histogram(0, &[(0, 2)], &[1, -2]);
    check(h.clone(), "positive side: expected a count of 0 or more in bucket 2, found -1");
    h.positive_buckets = vec![1, 1];
    h.count = 4;
    check(h.clone(), "expected a count of 3 observations as the buckets say, found 4");
    h.sum = f64::NAN;
    h.validate().unwrap();
    h.count = 2;
    check(h, "expected a count of 3 observations as the buckets say, found 2");
    let custom = |bounds: &[f64]| Histogram {
        custom_values: bounds.to_vec(),
        ..histogram(CUSTOM_BUCKETS_SCHEMA, &[(0, 1), (1, 1)], &[1, 1])
    };
    custom(&[1.0, 2.0]).validate().unwrap();
    check(custom(&[1.0]), "expected custom bounds for 3 buckets as the spans say, found 1 bounds");
    check(
        custom(&[1.0, 1.0]),
        "expected custom bounds in strictly increasing order, found 1 after 1 at bound 2",
    );
    check(
        custom(&[f64::NAN]),
        "expected custom bounds in strictly increasing order, found NaN after -inf at bound 1",
    );
    check(custom(&[1.0, f64::INFINITY]), "expected finite custom bounds, found +Inf as the last");
    check(
        Histogram { zero_threshold: 1.0, ..custom(&[1.0, 2.0]) },
        "expected no zero threshold together with custom bounds, found some",
    );
    check(
        Histogram { custom_values: vec![1.0], ..histogram(0, &[], &[]) },
        "expected no custom bounds with schema 0, found 1",
    );
    let float = FloatHistogram { count: -1.0, ..FloatHistogram::default() };
    assert_eq!(float.validate(), Err(HistogramError::NegativeCount(-1.0)));
}

#[test]
fn stale_by_exact_bits() {
    let stale = FloatHistogram { sum: crate::STALE_NAN, ..FloatHistogram::default() };
    assert!(stale.is_stale() && stale.same_bits(&stale.clone()));
    assert!(!FloatHistogram { sum: f64::NAN, ..FloatHistogram::default() }.is_stale());
}

/// Found by fuzzing chunks: a threshold or a bound may be NaN in bytes from outside, and equals itself.
#[test]
fn nan_bounds_equal_themselves() {
    let threshold = FloatHistogram { zero_threshold: f64::NAN, ..FloatHistogram::default() };
    let bound = FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_values: vec![f64::NAN],
        ..FloatHistogram::default()
    };
    for histogram in [threshold, bound] {
        assert!(histogram.same_bits(&histogram.clone()));
        assert!(
            !histogram.same_bits(&FloatHistogram { schema: histogram.schema, ..FloatHistogram::default() })
        );
    }
}

/// Found by properties of chunks: buckets from damaged bytes may be so full that together they are no number of 64 bits.
#[test]
fn merged_counts_may_wrap() {
    let mut damaged = Histogram {
        schema: 8,
        positive_spans: vec![span(1, 2)],
        positive_buckets: vec![i64::MAX, 0],
        ..Histogram::default()
    };
    damaged.reduce_resolution(7).unwrap();
    assert_eq!((damaged.positive_spans, damaged.positive_buckets), (vec![span(1, 1)], vec![-2]));
}

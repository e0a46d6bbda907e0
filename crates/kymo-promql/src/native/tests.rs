//! Tests of native histograms. Values follow from the definitions; those that do not were taken from Prometheus.

use kymo_model::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Span};

use super::*;

/// Buckets of schema 0 from index 1: (1, 2], (2, 4], …
fn powers(counts: &[f64]) -> FloatHistogram {
    let mut h = FloatHistogram {
        count: counts.iter().sum(),
        positive_spans: vec![Span { offset: 1, length: counts.len() as u32 }],
        positive_buckets: counts.to_vec(),
        ..FloatHistogram::default()
    };
    h.sum = h.positive().map(|bucket| bucket.count * bucket.upper).sum();
    h
}

/// Into a histogram that was something else.
fn rate<H: Borrow<FloatHistogram>>(
    window: Window<'_, H>,
    kind: Kind,
    range: Range,
    known: Option<(&Resets, usize)>,
) -> (Option<FloatHistogram>, Findings) {
    let mut result = with_zero(custom(&[1.0], &[5.0, 7.0]), 0.5, 3.0);
    let (any, findings) = super::rate(window, kind, range, known, &mut Extension::default(), &mut result);
    (any.then_some(result), findings)
}

fn mirrored(h: FloatHistogram) -> FloatHistogram {
    FloatHistogram {
        sum: -h.sum,
        negative_spans: h.positive_spans,
        negative_buckets: h.positive_buckets,
        positive_spans: h.negative_spans,
        positive_buckets: h.negative_buckets,
        ..h
    }
}

fn custom(bounds: &[f64], counts: &[f64]) -> FloatHistogram {
    FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_values: bounds.to_vec(),
        positive_spans: vec![Span { offset: 0, length: counts.len() as u32 }],
        ..powers(counts)
    }
}

fn with_zero(h: FloatHistogram, threshold: f64, count: f64) -> FloatHistogram {
    FloatHistogram { zero_threshold: threshold, zero_count: count, count: h.count + count, ..h }
}

fn hinted(h: FloatHistogram, counter_reset_hint: CounterResetHint) -> FloatHistogram {
    FloatHistogram { counter_reset_hint, ..h }
}

fn near(value: f64, expected: f64) -> bool {
    value == expected
        || (value.is_nan() && expected.is_nan())
        || (value - expected).abs() < 1e-9 * expected.abs()
}

#[test]
fn quantiles() {
    let check = |q: f64, h: FloatHistogram, expected: f64, nan: Option<NanObservations>| {
        let (value, found) = quantile(q, &h);
        assert!(near(value, expected) && found == nan, "{q} of {h:?}: {value}, {found:?}");
    };
    let plain = || powers(&[4.0, 4.0]);
    check(-0.1, plain(), f64::NEG_INFINITY, None);
    check(1.1, plain(), f64::INFINITY, None);
    check(f64::NAN, plain(), f64::NAN, None);
    check(0.5, FloatHistogram::default(), f64::NAN, None);
    // Halfway through (1, 2] on a logarithmic scale.
    check(0.25, plain(), 2f64.sqrt(), None);
    check(0.75, plain(), 8f64.sqrt(), None);
    check(0.0, plain(), 1.0, None);
    check(1.0, plain(), 4.0, None);
    check(0.25, mirrored(plain()), -8f64.sqrt(), None);
    check(0.75, mirrored(plain()), -2f64.sqrt(), None);
    // In the zero bucket, which has the sign of the others.
    check(0.25, with_zero(plain(), 0.5, 8.0), 0.25, None);
    check(0.75, with_zero(mirrored(plain()), 0.5, 8.0), -0.25, None);
    check(0.25, with_zero(powers(&[]), 0.5, 8.0), -0.25, None);
    // Custom bounds: linear, from zero, and not beyond the last.
    check(0.25, custom(&[2.0, 4.0], &[4.0, 4.0]), 1.0, None);
    check(0.75, custom(&[2.0, 4.0], &[4.0, 4.0]), 3.0, None);
    check(0.9, custom(&[2.0], &[4.0, 4.0]), 2.0, None);
    check(0.25, custom(&[-2.0, 4.0], &[4.0, 4.0]), -2.0, None);
    // NaN were observed.
    let nan = |extra| FloatHistogram { sum: f64::NAN, count: 8.0 + extra, ..plain() };
    check(0.95, nan(2.0), f64::NAN, Some(NanObservations::Result));
    check(0.2, nan(2.0), 2f64.sqrt(), Some(NanObservations::Skew));
    check(0.25, nan(0.0), 2f64.sqrt(), None);
}

#[test]
fn fractions() {
    let check = |lower: f64, upper: f64, h: FloatHistogram, expected: f64, nan: bool| {
        let (value, found) = fraction(lower, upper, &h);
        assert!(near(value, expected) && found == nan, "{lower} to {upper} of {h:?}: {value}, {found}");
    };
    let plain = || powers(&[4.0, 4.0]);
    check(f64::NEG_INFINITY, f64::INFINITY, plain(), 1.0, false);
    check(2.0, 1.0, plain(), 0.0, false);
    check(f64::NAN, 1.0, plain(), f64::NAN, false);
    check(0.0, 1.0, FloatHistogram::default(), f64::NAN, false);
    check(1.0, 2f64.sqrt(), plain(), 0.25, false);
    check(-(2f64.sqrt()), -1.0, mirrored(plain()), 0.25, false);
    check(0.0, 0.25, with_zero(plain(), 0.5, 8.0), 0.25, false);
    check(f64::NEG_INFINITY, 1.0, custom(&[2.0, 4.0], &[4.0, 4.0]), 0.25, false);
    check(f64::NEG_INFINITY, -3.0, custom(&[-2.0, 4.0], &[4.0, 4.0]), 0.5, false);
    check(3.0, 9.0, custom(&[2.0], &[4.0, 4.0]), 0.0, false);
    check(f64::NEG_INFINITY, -1.0, custom(&[0.0, 4.0], &[4.0, 4.0]), 0.5, false);
    check(-1.0, 3.0, custom(&[-2.0, 4.0], &[4.0, 4.0]), 1.0 / 3.0, false);
    let nan = FloatHistogram { sum: f64::NAN, count: 10.0, ..plain() };
    check(f64::NEG_INFINITY, f64::INFINITY, nan, 0.8, true);
}

#[test]
fn moments() {
    let h = powers(&[1.0, 1.0]);
    assert_eq!(average(&h), 3.0);
    let spread = ((2f64.sqrt() - 3.0).powi(2) + (8f64.sqrt() - 3.0).powi(2)) / 2.0;
    assert!(near(variance(&h), spread) && near(deviation(&h), spread.sqrt()));
    assert!(near(variance(&mirrored(h)), spread));
    assert_eq!(variance(&FloatHistogram { sum: 6.0, ..custom(&[2.0, 4.0, 8.0], &[0.0, 1.0, 1.0]) }), 4.5);
    assert_eq!(variance(&FloatHistogram { sum: 0.0, ..with_zero(powers(&[]), 1.0, 3.0) }), 0.0);
    assert!(average(&FloatHistogram::default()).is_nan());
}

#[test]
fn totals() {
    let check =
        |inputs: &[FloatHistogram], sum: &FloatHistogram, mean: &FloatHistogram, findings: &[Finding]| {
            let (mut total, mut average) = (Sum::of(&inputs[0]), Mean::of(&inputs[0]));
            for h in &inputs[1..] {
                total.add(h).unwrap();
                average.add(h).unwrap();
            }
            let (total, found) = total.finish();
            assert_eq!((&total, found.iter().collect::<Vec<_>>().as_slice()), (sum, findings));
            let (average, found) = average.finish();
            assert_eq!((&average, found.iter().collect::<Vec<_>>().as_slice()), (mean, findings));
        };
    use CounterResetHint::{Gauge, NotReset, Reset};
    check(&[powers(&[1.0, 2.0])], &powers(&[1.0, 2.0]), &powers(&[1.0, 2.0]), &[]);
    check(&[powers(&[1.0, 2.0]), powers(&[3.0])], &powers(&[4.0, 2.0]), &powers(&[2.0, 1.0]), &[]);
    // Neither lost to rounding nor to the order.
    let large = powers(&[2f64.powi(60)]);
    let mut negative = large.clone();
    negative.mul(-1.0);
    let half = hinted(powers(&[0.5]), Gauge);
    let quarter = hinted(powers(&[0.125]), Gauge);
    check(&[large, half.clone(), negative, powers(&[0.0])], &half, &quarter, &[]);
    // Beyond the largest float, but the mean is not.
    let huge = || powers(&[1e308]);
    let (mut sum, mut mean) = (Sum::of(&huge()), Mean::of(&huge()));
    for _ in 0..3 {
        sum.add(&huge()).unwrap();
        mean.add(&huge()).unwrap();
    }
    assert!(sum.finish().0.has_overflow());
    let (mean, _) = mean.finish();
    assert!(near(mean.count, 1e308) && near(mean.positive_buckets[0], 1e308), "{mean:?}");
    let collide = [hinted(powers(&[1.0]), Reset), hinted(powers(&[1.0]), NotReset)];
    let findings = [Finding::ResetsCollide(Operation::Aggregation)];
    check(&collide, &powers(&[2.0]), &powers(&[1.0]), &findings);
    let findings = [Finding::BoundsReconciled(Operation::Aggregation)];
    let mut sum = custom(&[2.0], &[2.0, 6.0]);
    let inputs = [custom(&[1.0, 2.0], &[1.0, 0.0, 2.0]), custom(&[2.0, 3.0], &[1.0, 2.0, 2.0])];
    sum.sum = inputs[0].sum + inputs[1].sum;
    let mut mean = sum.clone();
    mean.div(2.0);
    check(&inputs, &sum, &mean, &findings);
    assert!(Sum::of(&powers(&[1.0])).add(&custom(&[1.0], &[1.0])).is_err());
    assert!(Mean::of(&powers(&[1.0])).add(&custom(&[1.0], &[1.0])).is_err());
}

const MINUTE: Range = Range { start_ms: 0, end_ms: 60_000, range_ms: 60_000 };

fn window<'a>(times: &'a [i64], histograms: &'a [FloatHistogram]) -> Window<'a, FloatHistogram> {
    Window { times, histograms, starts: &[] }
}

/// Counts of the buckets of what a rate function gives back.
fn counts(result: Option<FloatHistogram>) -> Option<Vec<f64>> {
    result.map(|h| {
        assert_eq!(h.counter_reset_hint, CounterResetHint::Gauge);
        h.positive().map(|bucket| bucket.count).collect()
    })
}

#[test]
fn rates() {
    let check = |kind: Kind,
                 times: &[i64],
                 histograms: &[FloatHistogram],
                 expected: Option<&[f64]>,
                 findings: &[Finding]| {
        let (result, found) = rate(window(times, histograms), kind, MINUTE, None);
        assert_eq!(counts(result).as_deref(), expected, "{kind:?} at {times:?} of {histograms:?}");
        assert_eq!(found.iter().collect::<Vec<_>>(), findings, "{kind:?} at {times:?} of {histograms:?}");
    };
    use CounterResetHint::{Gauge, NotReset, Reset};
    use Kind::{Delta, Increase, Rate};
    let h = |counts: &[f64]| powers(counts);
    check(Increase, &[], &[], None, &[]);
    check(Increase, &[30_000], &[h(&[1.0])], None, &[]);
    // 30 s of 60 are sampled, both edges are within the threshold.
    let two = [h(&[100.0, 100.0]), h(&[101.0, 102.0])];
    check(Increase, &[15_000, 45_000], &two, Some(&[2.0, 4.0]), &[]);
    check(Rate, &[15_000, 45_000], &two, Some(&[2.0 / 60.0, 4.0 / 60.0]), &[]);
    check(Delta, &[15_000, 45_000], &two, Some(&[2.0, 4.0]), &[Finding::NotGauge]);
    // Half a gap only where the edge is far: 10 + 5 + 5.
    check(Increase, &[30_000, 40_000], &two, Some(&[2.0, 4.0]), &[]);
    // Not beyond where the counter was zero.
    check(Increase, &[15_000, 45_000], &[h(&[0.0]), h(&[2.0])], Some(&[3.0]), &[]);
    // What was counted before a reset is added; a first sample that is reset after is not looked at.
    let three = [h(&[2.0, 2.0]), h(&[100.0, 100.0]), h(&[1.0, 1.0]), h(&[3.0, 3.0])];
    let found = rate(window(&[0, 20_000, 40_000, 60_000], &three), Increase, MINUTE, None).0;
    assert_eq!(counts(found), Some(vec![101.0, 101.0]));
    let first = [h(&[9.0, 9.0]), h(&[1.0]), h(&[2.0])];
    check(Increase, &[0, 30_000, 60_000], &first, Some(&[2.0]), &[]);
    let mixed = [custom(&[1.0], &[9.0]), h(&[1.0]), h(&[2.0])];
    check(Increase, &[0, 30_000, 60_000], &mixed, Some(&[2.0]), &[]);
    let hints = [h(&[1.0]), hinted(h(&[5.0]), Reset), hinted(h(&[7.0]), NotReset)];
    check(Increase, &[0, 30_000, 60_000], &hints, Some(&[7.0]), &[]);
    check(
        Increase,
        &[0, 60_000],
        &[hinted(h(&[1.0]), Gauge), h(&[3.0])],
        Some(&[2.0]),
        &[Finding::NotCounter],
    );
    let gauges = [hinted(h(&[5.0]), Gauge), hinted(h(&[3.0]), Gauge)];
    check(Delta, &[0, 60_000], &gauges, Some(&[-2.0]), &[]);
    let mixed = [h(&[1.0]), h(&[2.0]), custom(&[1.0], &[2.0])];
    check(Increase, &[0, 30_000, 60_000], &mixed, None, &[Finding::MixedBuckets]);
    check(Delta, &[0, 30_000], &mixed[1..], None, &[Finding::MixedBuckets]);
    let bounds = [custom(&[1.0, 2.0], &[1.0, 1.0, 1.0]), custom(&[2.0, 3.0], &[4.0, 1.0, 1.0])];
    let findings = [Finding::BoundsReconciled(Operation::Subtraction)];
    check(Increase, &[0, 60_000], &bounds, Some(&[2.0, 1.0]), &findings);
}

#[test]
fn rates_with_start_timestamps() {
    let check =
        |times: &[i64], starts: &[i64], counted: &[f64], expected: Option<&[f64]>, findings: &[Finding]| {
            let histograms: Vec<_> = counted.iter().map(|count| powers(&[*count])).collect();
            let window = Window { times, histograms: &histograms, starts };
            let (result, found) = rate(window, Kind::Increase, MINUTE, None);
            let result: Option<Vec<f64>> = result.map(|h| h.positive().map(|bucket| bucket.count).collect());
            assert_eq!(result.as_deref(), expected, "{times:?} {starts:?} {counted:?}");
            assert_eq!(found.iter().collect::<Vec<_>>(), findings, "{times:?} {starts:?} {counted:?}");
        };
    check(&[30_000], &[10_000], &[5.0], Some(&[5.0]), &[]);
    check(&[30_000], &[0], &[5.0], None, &[]);
    check(&[30_000], &[-1], &[5.0], None, &[]);
    check(&[30_000, 60_000], &[10_000, 10_000], &[5.0, 7.0], Some(&[7.0]), &[]);
    // A reset that the counts do not show.
    check(&[0, 30_000, 60_000], &[-9, -9, 40_000], &[5.0, 6.0, 7.0], Some(&[8.0]), &[]);
    check(&[0, 30_000, 60_000], &[-9, -9, 20_000], &[5.0, 6.0, 7.0], Some(&[2.0]), &[Finding::StartOverlap]);
}

#[test]
fn start_timestamps() {
    for (before, time_before, start, time, reset, overlap) in [
        (10, 20, 10, 30, false, false),
        (10, 20, 0, 30, false, false),
        (10, 20, 25, 30, true, false),
        (0, 20, 25, 30, true, false),
        (10, 20, 20, 30, true, false),
        (0, 20, 20, 30, false, false),
        (20, 20, 20, 30, false, false),
        (25, 20, 20, 30, false, false),
        (10, 20, 15, 30, false, true),
        (10, 20, 30, 30, false, false),
        (10, 20, 35, 30, false, false),
    ] {
        let case = (before, time_before, start, time);
        assert_eq!(start::is_reset(before, time_before, start, time), reset, "{case:?}");
        assert_eq!(start::overlaps(before, time_before, start), overlap, "{case:?}");
    }
}

#[test]
fn instants() {
    let check = |per_second: bool,
                 histograms: [FloatHistogram; 2],
                 expected: Option<&[f64]>,
                 findings: &[Finding]| {
        let (result, found) = instant(window(&[0, 2000], &histograms), per_second);
        assert_eq!(counts(result).as_deref(), expected, "{per_second} {histograms:?}");
        assert_eq!(found.iter().collect::<Vec<_>>(), findings, "{per_second} {histograms:?}");
    };
    let gauge = |counts: &[f64]| hinted(powers(counts), CounterResetHint::Gauge);
    check(true, [powers(&[1.0]), powers(&[5.0])], Some(&[2.0]), &[]);
    check(true, [powers(&[6.0]), powers(&[4.0])], Some(&[2.0]), &[]);
    check(true, [gauge(&[1.0]), powers(&[5.0])], Some(&[2.0]), &[Finding::NotCounter]);
    check(false, [gauge(&[6.0]), gauge(&[4.0])], Some(&[-2.0]), &[]);
    check(false, [powers(&[1.0]), gauge(&[5.0])], Some(&[4.0]), &[Finding::NotGauge]);
    let mixed = [powers(&[1.0]), custom(&[1.0], &[2.0])];
    check(true, mixed.clone(), Some(&[1.0]), &[]);
    check(false, mixed, None, &[Finding::NotGauge, Finding::MixedBuckets]);
}

#[test]
fn extended_rates() {
    let check = |kind: Kind, smoothed: bool, times: &[i64], counted: &[f64], expected: Option<&[f64]>| {
        let histograms: Vec<_> = counted.iter().map(|count| powers(&[*count])).collect();
        let (result, found) = extended(window(times, &histograms), kind, MINUTE, smoothed);
        assert_eq!(counts(result).as_deref(), expected, "{kind:?} {smoothed} {times:?} {counted:?}");
        let findings: &[Finding] =
            if kind == Kind::Delta && expected.is_some() { &[Finding::NotGauge] } else { &[] };
        assert_eq!(found.iter().collect::<Vec<_>>(), findings);
    };
    use Kind::{Delta, Increase, Rate};
    check(Increase, false, &[], &[], None);
    check(Increase, false, &[-10_000], &[5.0], None);
    // The last sample before the range counts as if at its edge.
    check(Increase, false, &[-30_000, 30_000], &[1.0, 7.0], Some(&[6.0]));
    check(Increase, true, &[-30_000, 30_000], &[1.0, 7.0], Some(&[3.0]));
    check(Increase, true, &[-30_000, 30_000, 90_000], &[1.0, 7.0, 9.0], Some(&[4.0]));
    check(Rate, false, &[0, 60_000], &[0.0, 30.0], Some(&[0.5]));
    check(Delta, true, &[-30_000, 30_000], &[7.0, 1.0], Some(&[-3.0]));
    // Resets inside, at the left edge, at the right edge, and both edges within one.
    check(Increase, false, &[0, 20_000, 40_000, 60_000], &[5.0, 9.0, 2.0, 3.0], Some(&[7.0]));
    check(Increase, true, &[-30_000, 30_000, 60_000], &[9.0, 4.0, 6.0], Some(&[4.0]));
    check(Increase, true, &[0, 30_000, 90_000], &[2.0, 6.0, 4.0], Some(&[6.0]));
    check(Increase, true, &[-60_000, 120_000], &[9.0, 6.0], Some(&[2.0]));
    check(Increase, true, &[70_000, 80_000], &[1.0, 2.0], None);
    let mixed = [powers(&[1.0]), custom(&[1.0], &[2.0])];
    let (result, found) = extended(window(&[0, 30_000], &mixed), Increase, MINUTE, true);
    assert_eq!((result, found), (None, Findings::of(Finding::MixedBuckets)));
}

#[test]
fn interpolations() {
    let at =
        |time, counter| interpolate((0, &powers(&[8.0])), (4, &powers(&[4.0])), time, counter).unwrap().0;
    assert_eq!([0, 1, 2, 4].map(|time| at(time, false).count), [8.0, 7.0, 6.0, 4.0]);
    assert_eq!([0, 1, 2, 4].map(|time| at(time, true).count), [8.0, 1.0, 2.0, 4.0]);
    assert!(interpolate((0, &powers(&[1.0])), (4, &custom(&[1.0], &[1.0])), 2, false).is_err());
}

/// Rates by resets found once are those of looking through every window, to the last bit.
#[test]
fn resets_found_once_change_no_rate() {
    let mut state = 7u64;
    let mut below = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut even = 0;
    for _ in 0..300 {
        let (mut counts, mut bounds) = (vec![0.0; 3], vec![1.0, 2.0]);
        let histograms: Vec<FloatHistogram> = (0..30)
            .map(|_| {
                match below(20) {
                    0 => counts = vec![0.0; 2 + below(3) as usize],
                    1 => counts.push(1.0),
                    2 => bounds = if bounds.len() == 2 { vec![2.0] } else { vec![1.0, 2.0] },
                    _ => {}
                }
                counts.iter_mut().for_each(|count| *count += below(3) as f64);
                let h = match below(30) {
                    0 => custom(&bounds, &counts[..bounds.len().min(counts.len())]),
                    1 => hinted(powers(&counts), CounterResetHint::Gauge),
                    2 => hinted(powers(&counts), CounterResetHint::Reset),
                    _ => powers(&counts),
                };
                if below(25) == 0 { with_zero(h, 0.5, 1.0) } else { h }
            })
            .collect();
        let times: Vec<i64> = (0..30).map(|at| at * 5_000).collect();
        let starts: Vec<i64> = match below(4) {
            0 => times.iter().map(|time| time - 2_500 * (1 + below(3) as i64)).collect(),
            _ => Vec::new(),
        };
        let all = Window { times: &times, histograms: &histograms, starts: &starts };
        let resets = Resets::of(all);
        for lo in 0..27usize {
            let hi = lo + 2 + below(10) as usize % (29 - lo);
            let window = Window {
                times: &times[lo..hi],
                histograms: &histograms[lo..hi],
                starts: starts.get(lo..hi).unwrap_or(&[]),
            };
            even += usize::from(resets.between(lo, hi - 1).is_some());
            let known = rate(window, Kind::Increase, MINUTE, Some((&resets, lo)));
            assert_eq!(known, rate(window, Kind::Increase, MINUTE, None), "{lo}..{hi} of {histograms:?}");
        }
    }
    assert!(even > 1000, "only {even} windows were even");
}

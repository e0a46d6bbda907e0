//! The oracle of the kernels: every range function over one window, written down as its definition, without any sliding.

use proptest::prelude::*;

use super::*;
use crate::vector::Scratch;

/// Neumaier's sum as two plain variables.
fn sum_of(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (mut sum, mut rest) = (0.0f64, 0.0);
    for value in values {
        let next: f64 = sum + value;
        if next.is_infinite() {
            rest = 0.0;
        } else if sum.abs() >= value.abs() {
            rest += (sum - next) + value;
        } else {
            rest += (value - next) + sum;
        }
        sum = next;
    }
    (sum, rest)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    values
}

fn naive_quantile(q: f64, values: &[f64]) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let values = sorted(values);
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

fn extreme_of(t: &[i64], v: &[f64], wins: impl Fn(f64, f64) -> bool) -> (f64, i64) {
    let mut best = (v[0], t[0]);
    for (value, time) in v.iter().zip(t) {
        if wins(*value, best.0) || best.0.is_nan() {
            best = (*value, *time);
        }
    }
    best
}

fn line(t: &[i64], v: &[f64], origin: i64) -> (f64, f64) {
    if v.iter().all(|y| *y == v[0]) {
        return if v[0].is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, v[0]) };
    }
    let n = v.len() as f64;
    let x: Vec<f64> = t.iter().map(|t| (t - origin) as f64 / 1e3).collect();
    let total = |values: Vec<f64>| {
        let (sum, rest) = sum_of(values);
        sum + rest
    };
    let (sx, sy) = (total(x.clone()), total(v.to_vec()));
    let sxy = total(x.iter().zip(v).map(|(x, y)| x * y).collect());
    let sxx = total(x.iter().map(|x| x * x).collect());
    let slope = (sxy - sx * sy / n) / (sxx - sx * sx / n);
    (slope, sy / n - slope * sx / n)
}

fn extrapolated(t: &[i64], v: &[f64], end: i64, range: i64, counter: bool) -> f64 {
    let n = v.len();
    let mut result = v[n - 1] - v[0];
    if counter {
        for i in 1..n {
            if v[i] < v[i - 1] {
                result += v[i - 1];
            }
        }
    }
    let mut to_start = (t[0] - (end - range)) as f64 / 1000.0;
    let mut to_end = (end - t[n - 1]) as f64 / 1000.0;
    let sampled = (t[n - 1] - t[0]) as f64 / 1000.0;
    let average = sampled / (n - 1) as f64;
    if to_start >= average * 1.1 {
        to_start = average / 2.0;
    }
    if counter && result > 0.0 && v[0] >= 0.0 {
        to_start = to_start.min(sampled * (v[0] / result));
    }
    if to_end >= average * 1.1 {
        to_end = average / 2.0;
    }
    result * ((sampled + to_start + to_end) / sampled)
}

/// The value of a function over one window of samples, if it has one.
fn naive(f: RangeFunction, t: &[i64], v: &[f64], end: i64, now: i64, range: i64, p: &[f64]) -> Option<f64> {
    let n = v.len();
    let at_least = |count: usize, value: &dyn Fn() -> f64| (n >= count).then(value);
    let pairs = |holds: &dyn Fn(f64, f64) -> bool| v.windows(2).filter(|w| holds(w[0], w[1])).count() as f64;
    let variance = || {
        let (mut count, mut mean, mut squares) = (0.0, (0.0, 0.0), (0.0, 0.0));
        let plus = |(sum, rest): (f64, f64), x: f64| {
            let (s, r) = sum_of([sum, x]);
            (s, if s.is_infinite() { 0.0 } else { rest + r })
        };
        for x in v {
            count += 1.0;
            let delta = x - (mean.0 + mean.1);
            mean = plus(mean, delta / count);
            squares = plus(squares, delta * (x - (mean.0 + mean.1)));
        }
        (squares.0 + squares.1) / count
    };
    match f {
        RangeFunction::Rate => at_least(2, &|| {
            let factor_free = extrapolated(t, v, end, range, true);
            factor_free / (range as f64 / 1000.0)
        }),
        RangeFunction::Increase => at_least(2, &|| extrapolated(t, v, end, range, true)),
        RangeFunction::Delta => at_least(2, &|| extrapolated(t, v, end, range, false)),
        RangeFunction::Irate => at_least(2, &|| {
            let delta = if v[n - 1] < v[n - 2] { v[n - 1] } else { v[n - 1] - v[n - 2] };
            delta / ((t[n - 1] - t[n - 2]) as f64 / 1000.0)
        }),
        RangeFunction::Idelta => at_least(2, &|| v[n - 1] - v[n - 2]),
        RangeFunction::Deriv => at_least(2, &|| line(t, v, t[0]).0),
        RangeFunction::PredictLinear => at_least(2, &|| {
            let (slope, intercept) = line(t, v, now);
            slope * p[0] + intercept
        }),
        RangeFunction::Changes => {
            at_least(1, &|| pairs(&|a: f64, b: f64| a != b && !(a.is_nan() && b.is_nan())))
        }
        RangeFunction::Resets => at_least(1, &|| pairs(&|a, b| b < a)),
        RangeFunction::Count => at_least(1, &|| n as f64),
        RangeFunction::Present => at_least(1, &|| 1.0),
        RangeFunction::First => at_least(1, &|| v[0]),
        RangeFunction::Last => at_least(1, &|| v[n - 1]),
        RangeFunction::TsOfFirst => at_least(1, &|| t[0] as f64 / 1000.0),
        RangeFunction::TsOfLast => at_least(1, &|| t[n - 1] as f64 / 1000.0),
        RangeFunction::Max => at_least(1, &|| extreme_of(t, v, |a, b| a > b).0),
        RangeFunction::Min => at_least(1, &|| extreme_of(t, v, |a, b| a < b).0),
        RangeFunction::TsOfMax => at_least(1, &|| extreme_of(t, v, |a, b| a >= b).1 as f64 / 1000.0),
        RangeFunction::TsOfMin => at_least(1, &|| extreme_of(t, v, |a, b| a <= b).1 as f64 / 1000.0),
        RangeFunction::Sum => at_least(1, &|| {
            let (sum, rest) = sum_of(v.iter().copied());
            if sum.is_infinite() { sum } else { sum + rest }
        }),
        RangeFunction::Avg => at_least(1, &|| {
            let (sum, rest) = sum_of(v.iter().copied());
            sum / n as f64 + rest / n as f64
        }),
        RangeFunction::Stdvar => at_least(1, &variance),
        RangeFunction::Stddev => at_least(1, &|| variance().sqrt()),
        RangeFunction::Quantile => at_least(1, &|| naive_quantile(p[0], v)),
        RangeFunction::Mad => at_least(1, &|| {
            if v.iter().any(|v| v.is_nan()) {
                return f64::NAN;
            }
            let median = naive_quantile(0.5, v);
            naive_quantile(0.5, &v.iter().map(|v| (v - median).abs()).collect::<Vec<_>>())
        }),
        RangeFunction::DoubleExponentialSmoothing => at_least(2, &|| {
            let (mut s0, mut s1, mut b) = (0.0, v[0], v[1] - v[0]);
            for (i, x) in v.iter().enumerate().skip(1) {
                if i > 1 {
                    b = p[1] * (s1 - s0) + (1.0 - p[1]) * b;
                }
                let next = p[0] * x + (1.0 - p[0]) * (s1 + b);
                (s0, s1) = (s1, next);
            }
            s1
        }),
    }
}

const ALL: [RangeFunction; 26] = [
    RangeFunction::Avg,
    RangeFunction::Changes,
    RangeFunction::Count,
    RangeFunction::Delta,
    RangeFunction::Deriv,
    RangeFunction::DoubleExponentialSmoothing,
    RangeFunction::First,
    RangeFunction::Idelta,
    RangeFunction::Increase,
    RangeFunction::Irate,
    RangeFunction::Last,
    RangeFunction::Mad,
    RangeFunction::Max,
    RangeFunction::Min,
    RangeFunction::PredictLinear,
    RangeFunction::Present,
    RangeFunction::Quantile,
    RangeFunction::Rate,
    RangeFunction::Resets,
    RangeFunction::Stddev,
    RangeFunction::Stdvar,
    RangeFunction::Sum,
    RangeFunction::TsOfFirst,
    RangeFunction::TsOfLast,
    RangeFunction::TsOfMax,
    RangeFunction::TsOfMin,
];

/// Functions whose sliding form adds up in another order.
fn tolerance(f: RangeFunction) -> f64 {
    match f {
        RangeFunction::Sum | RangeFunction::Avg => 1e-14,
        RangeFunction::Stddev | RangeFunction::Stdvar => 1e-9,
        RangeFunction::Deriv => 1e-10,
        // The definition itself loses digits when all samples are far from the evaluation.
        RangeFunction::PredictLinear => 1e-7,
        // Division in another order.
        RangeFunction::Rate => 1e-15,
        _ => 0.0,
    }
}

fn same(a: f64, b: f64, tolerance: f64, scale: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * (a.abs() + b.abs() + scale)
}

fn check(t: &[i64], v: &[f64], ends: Grid, range: i64, params: &[f64]) -> Result<(), TestCaseError> {
    let mut scratch = Scratch::alone();
    slide(t, ends, range, &mut scratch.windows).unwrap();
    let params: Vec<Scalar> = params.iter().map(|p| Scalar::Constant(*p)).collect();
    let mut row = Row::default();
    // What rounding errors of sums and lines are measured by.
    let scale = v.iter().filter(|v| v.is_finite()).fold(0.0f64, |max, v| max.max(v.abs()));
    for function in ALL {
        let Scratch { windows, work, pulse, .. } = &mut scratch;
        let samples = Floats { times: t, values: v, starts: &[] };
        let edges = Edges::Inside;
        let call = Call {
            samples,
            gaps: &[],
            left_out: 0,
            windows,
            known: None,
            ends,
            range_ms: range,
            edges,
            grid: ends,
            params: &params,
        };
        run(function, &call, work, pulse, &mut row).unwrap();
        for (step, window) in windows.iter().enumerate() {
            let (t, v) = (&t[window.indices()], &v[window.indices()]);
            let plain: Vec<f64> = params.iter().map(|p| p.at(0)).collect();
            let expected = naive(function, t, v, ends.time(step), ends.time(step), range, &plain);
            let found = row.get(step);
            let good = match (expected, found) {
                (None, None) => true,
                (Some(a), Some(b)) => same(a, b, tolerance(function), scale * scale.max(1.0)),
                _ => false,
            };
            prop_assert!(good, "{function:?} step {step} window {v:?}: {expected:?} is not {found:?}");
        }
    }
    Ok(())
}

/// Times are far from zero, as real ones are.
const EPOCH: i64 = 1_700_000_000_000;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-20i32..20).prop_map(f64::from),
        4 => -1000.0..1000.0f64,
        1 => Just(f64::NAN),
        1 => Just(-0.0),
    ]
}

fn times(gaps: &[i64]) -> Vec<i64> {
    gaps.iter()
        .scan(EPOCH, |t, gap| {
            *t += gap;
            Some(*t)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// What is kept of the windows of earlier series gives the same bits.
    #[test]
    fn known_windows_change_no_rate(
        gaps in prop::collection::vec(prop_oneof![40 => Just(10_000i64), 1 => 1i64..30_000], 2..300),
        growth in prop::collection::vec(0u8..5, 300), first in prop_oneof![Just(0.0), Just(1e6), Just(-3.0)],
        start in 0i64..1_000_000, step in prop_oneof![4 => Just(10_000i64), 1 => 0i64..60_000], range_ms in 10_000i64..400_000,
    ) {
        let times = times(&gaps);
        let grow = |sum: &mut f64, by: &u8| { *sum += f64::from(*by); Some(*sum) };
        let values: Vec<f64> = growth.iter().take(times.len()).scan(first, grow).collect();
        let ends = Grid { start: EPOCH + start, step, steps: 200 };
        let mut scratch = Scratch::alone();
        slide(&times, ends, range_ms, &mut scratch.windows).unwrap();
        let Scratch { windows, work, pulse, .. } = &mut scratch;
        let total = windows.iter().map(|window| window.len()).sum();
        for function in [RangeFunction::Rate, RangeFunction::Increase, RangeFunction::Delta] {
            let mut rows = [(); 4].map(|()| Row::default());
            for (row, number) in rows.iter_mut().zip(0..) {
                let samples = Floats { times: &times, values: &values, starts: &[] };
                let known = (number > 0).then_some(Known { number: 1, total });
                let edges = Edges::Inside;
                let call = Call { samples, gaps: &[], left_out: 0, windows, known, ends, range_ms, edges, grid: ends, params: &[] };
                run(function, &call, work, pulse, row).unwrap();
            }
            let shown = |row: &Row| -> Vec<Option<u64>> {
                (0..200).map(|step| row.get(step).map(f64::to_bits)).collect()
            };
            for row in &rows[1..] {
                prop_assert_eq!(shown(row), shown(&rows[0]), "{:?}", function);
            }
        }
    }

    #[test]
    fn every_kernel_is_its_definition(
        samples in prop::collection::vec((1i64..30_000, value()), 0..250),
        start in 0i64..1_000_000, step in prop_oneof![0i64..60_000, 0i64..200_000], steps in 1usize..60,
        range in prop_oneof![1i64..100_000, 500_000i64..4_000_000],
        q in -0.2..1.2f64, factor in 0.01..0.99f64,
    ) {
        let (gaps, values): (Vec<i64>, Vec<f64>) = samples.into_iter().unzip();
        let ends = Grid { start: EPOCH + start, step, steps };
        let with_params = |params: &[f64]| check(&times(&gaps), &values, ends, range, params);
        // The first parameter is a quantile, a time ahead and a factor all at once.
        with_params(&[if (0.01..0.99).contains(&q) { q } else { factor }, factor])?;
    }

    #[test]
    fn counters_with_resets(
        samples in prop::collection::vec((1i64..30_000, 0.0..50.0f64, prop::bool::weighted(0.05)), 0..250),
        start in 0i64..1_000_000, step in 1i64..60_000, range in 10_000i64..3_000_000,
    ) {
        let gaps: Vec<i64> = samples.iter().map(|s| s.0).collect();
        let values: Vec<f64> = samples.iter().scan(0.0, |total, (_, more, reset)| {
            *total = if *reset { *more } else { *total + more };
            Some(*total)
        }).collect();
        check(&times(&gaps), &values, Grid { start: EPOCH + start, step, steps: 40 }, range, &[0.5, 0.5])?;
    }
}

/// Infinities and sums beyond the largest float keep their order of operations.
#[test]
fn infinities_and_overflow() {
    let t: Vec<i64> = (0..200).map(|i| i * 1000).collect();
    for special in [f64::INFINITY, f64::NEG_INFINITY, 1e308, -1.7e308] {
        let mut v: Vec<f64> = (0..200).map(|i| f64::from(i % 7)).collect();
        v[50] = special;
        v[51] = special;
        v[120] = -special;
        let mut scratch = Scratch::alone();
        let ends = Grid { start: 60_000, step: 3000, steps: 46 };
        slide(&t, ends, 60_000, &mut scratch.windows).unwrap();
        let mut row = Row::default();
        let exact = [RangeFunction::Sum, RangeFunction::Avg, RangeFunction::Max, RangeFunction::Quantile];
        // Of finite values, however large, other sums are made while windows slide.
        let slope = special.is_infinite().then_some(RangeFunction::Deriv);
        for function in exact.into_iter().chain(slope) {
            let Scratch { windows, work, pulse, .. } = &mut scratch;
            let params = [Scalar::Constant(0.9)];
            let samples = Floats { times: &t, values: &v, starts: &[] };
            let edges = Edges::Inside;
            let call = Call {
                samples,
                gaps: &[],
                left_out: 0,
                windows,
                known: None,
                ends,
                range_ms: 60_000,
                edges,
                grid: ends,
                params: &params,
            };
            run(function, &call, work, pulse, &mut row).unwrap();
            for (step, window) in windows.iter().enumerate() {
                let (t, window) = (&t[window.indices()], &v[window.indices()]);
                let expected = match function {
                    RangeFunction::Avg => {
                        let mut mean = Mean::of(window[0]);
                        window[1..].iter().for_each(|v| mean.add(*v));
                        mean.value()
                    }
                    _ => naive(function, t, window, 0, 0, 1, &[0.9]).unwrap(),
                };
                let found = row.get(step).unwrap();
                assert!(same(expected, found, 0.0, 0.0), "{function:?} {special}: {expected} is not {found}");
            }
        }
    }
}

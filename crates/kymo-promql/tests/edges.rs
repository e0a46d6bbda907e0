//! `anchored` and `smoothed`, and start timestamps, beyond what scripts show: ranges as values, windows that meet the edge of
//! the lookback, options.

mod store;

use std::sync::Arc;

use kymo_model::{
    CancelToken, Labels, Matcher, Queryable, Resume, Samples, Selector, SeriesSet, SeriesSource, StoreError,
    TimeRange, Timestamp,
};
use kymo_promql::{Engine, EngineOptions, QueryOptions, QueryResult, QueryValue};
use store::{Recording, loaded};

fn parse(text: &str) -> kymo_promql_syntax::ast::Expr {
    kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything())
        .parse(text)
        .unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn ask(store: &dyn Queryable, options: EngineOptions, text: &str, at_ms: i64) -> QueryResult {
    let query = QueryOptions { text: Some(text.into()), ..QueryOptions::default() };
    let at = Timestamp::from_millis(at_ms);
    Engine::new(options).instant(store, &parse(text), at, &query).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The values of the only series, with their times in seconds where there are several.
fn values(result: &QueryResult) -> Vec<(f64, f64)> {
    match &result.value {
        QueryValue::Vector(samples) => {
            samples.iter().map(|s| (s.timestamp.millis() as f64 / 1e3, s.value.float().unwrap())).collect()
        }
        QueryValue::Matrix(series) => {
            assert!(series.len() <= 1);
            let points = series.iter().flat_map(|s| s.floats.iter());
            points.map(|(t, v)| (t as f64 / 1e3, *v)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn extended_ranges_as_values() {
    let store = loaded("load 10s\n m 0 10 30 30 stale 70");
    let check = |text: &str, at_ms: i64, expected: &[(f64, f64)]| {
        assert_eq!(
            values(&ask(&store, EngineOptions::default(), text, at_ms)),
            expected,
            "{text} at {at_ms}"
        );
    };
    check("m[10s] anchored", 25_000, &[(15.0, 10.0), (20.0, 30.0), (25.0, 30.0)]);
    check("m[10s] smoothed", 25_000, &[(15.0, 20.0), (20.0, 30.0), (25.0, 30.0)]);
    check("m[10s] smoothed offset 10s", 25_000, &[(5.0, 5.0), (10.0, 10.0), (15.0, 20.0)]);
    // The marker at 40 s is not seen.
    check("m[10s] smoothed", 50_000, &[(40.0, 50.0), (50.0, 70.0)]);
    check("m smoothed", 45_000, &[(45.0, 60.0)]);
    check("m", 45_000, &[]);
    // Nothing begins before the first sample, and after the last one it stands for the lookback.
    check("m smoothed", -5_000, &[]);
    check("m smoothed", 349_999, &[(349.999, 70.0)]);
    check("m smoothed", 350_000, &[]);
    check("increase(m[5m] anchored)", 349_000, &[(349.0, 40.0)]);
    check("increase(m[299s] anchored)", 349_000, &[]);
    check("rate(m[10s] smoothed)", 25_000, &[(25.0, 1.0)]);
}

#[test]
fn extended_selectors_ask_for_what_they_need() {
    let asked = |text: &str| {
        let store = Recording::new(loaded("load 10s\n m 0 10"));
        ask(&store, EngineOptions::default(), text, 60_000);
        let range = store.asked()[0].range;
        (range.min.millis(), range.max.millis())
    };
    assert_eq!(asked("rate(m[1m])"), (1, 60_000));
    assert_eq!(asked("rate(m[1m] anchored)"), (-299_999, 60_000));
    assert_eq!(asked("rate(m[1m] smoothed)"), (-299_999, 360_000));
    assert_eq!(asked("m smoothed"), (-239_999, 360_000));
}

#[test]
fn modifiers_are_for_some_functions() {
    let store = loaded("load 10s\n m 0 10");
    for (text, message) in [
        (
            "resets(m[1m] smoothed)",
            "smoothed modifier can only be used with: delta, increase, rate - not with resets",
        ),
        (
            "absent_over_time(m[1m] anchored)",
            "anchored modifier can only be used with: changes, delta, increase, rate, resets - not with absent_over_time",
        ),
    ] {
        let error = Engine::default()
            .instant(&store, &parse(text), Timestamp::from_millis(0), &QueryOptions::default())
            .unwrap_err();
        assert_eq!(error.message, message);
        assert!(error.span.is_some());
    }
}

/// One counter with start timestamps, in two runs of which the first knows none.
struct Started;

impl SeriesSource for Started {
    fn len(&self) -> usize {
        1
    }

    fn labels(&self, _: usize) -> Labels {
        Labels::from_pairs([("__name__", "c_total")])
    }

    fn read(&self, _: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        let (times, values, starts): (&[i64], &[f64], &[i64]) = match resume.a {
            0 => (&[60_000, 120_000], &[5.0, 8.0], &[]),
            1 => (&[180_000, 240_000, 300_000], &[20.0, 25.0, 30.0], &[150_000, 150_000, 200_000]),
            _ => {
                out.clear();
                return Ok(false);
            }
        };
        let (out_times, out_values) = out.floats_mut();
        out_times.extend_from_slice(times);
        out_values.extend_from_slice(values);
        out.start_timestamps_ms.extend_from_slice(starts);
        resume.a += 1;
        Ok(true)
    }
}

impl Queryable for Started {
    fn select(&self, _: &Selector) -> Result<SeriesSet, StoreError> {
        Ok(SeriesSet::new(Arc::new(Started)))
    }

    fn label_names(&self, _: &[Matcher], _: TimeRange, _: &CancelToken) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Matcher],
        _: TimeRange,
        _: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

#[test]
fn start_timestamps_tell_of_resets() {
    let on = EngineOptions { use_start_timestamps: true, ..EngineOptions::default() };
    let off = EngineOptions::default();
    let check = |text: &str, at_ms: i64, with: &[f64], without: &[f64]| {
        for (options, expected) in [(&on, with), (&off, without)] {
            let result = ask(&Started, options.clone(), text, at_ms);
            let found: Vec<f64> = values(&result).into_iter().map(|(_, v)| v).collect();
            let on = options.use_start_timestamps;
            assert_eq!(found, expected, "{text} at {at_ms}, in use: {on}");
        }
    };
    // The counter went from 8 to 20, but began anew at 150 s.
    check("resets(c_total[5m])", 180_000, &[1.0], &[0.0]);
    check("irate(c_total[5m])", 180_000, &[20.0 / 60.0], &[12.0 / 60.0]);
    // One sample is enough if its counter began inside of the range.
    check("increase(c_total[50s])", 180_000, &[20.0], &[]);
    check("rate(c_total[40s])", 180_000, &[0.5], &[]);
    check("increase(c_total[30s])", 180_000, &[], &[]);
    // It is also where counting started: nothing is added to the left, and as much as the gap allows to the right.
    check("increase(c_total[2m])", 241_000, &[25.0 * 91.0 / 90.0], &[5.0 * 120.0 / 60.0]);
    check("start_timestamp(c_total)", 130_000, &[0.0], &[]);
    check("start_timestamp(c_total)", 250_000, &[150.0], &[]);
    check("start_timestamp(c_total + 1)", 250_000, &[], &[]);
    // Subqueries carry no start timestamps.
    check("resets(c_total[5m:1m])", 180_000, &[0.0], &[0.0]);
    check("delta(c_total[66s])", 185_000, &[12.0 * (66.0 / 60.0)], &[12.0 * (66.0 / 60.0)]);
}

#[test]
fn overlapping_start_timestamps_are_told() {
    let on = EngineOptions { use_start_timestamps: true, ..EngineOptions::default() };
    let warnings = |text: &str, at_ms| ask(&Started, on.clone(), text, at_ms).warnings;
    let told = "PromQL warning: sample has start time that overlaps with previous sample timestamp for metric \"c_total\"";
    assert_eq!(warnings("rate(c_total[2m])", 300_000), [format!("{told} (1:6)")]);
    assert_eq!(warnings("rate(c_total[2m])", 240_000), [] as [&str; 0]);
    assert_eq!(warnings("irate(c_total[2m])", 300_000), [] as [&str; 0]);
    // A query may decide for itself.
    let query = QueryOptions { use_start_timestamps: Some(true), ..QueryOptions::default() };
    let at = Timestamp::from_millis(300_000);
    let result = Engine::default().instant(&Started, &parse("rate(c_total[2m])"), at, &query).unwrap();
    assert_eq!(result.warnings.len(), 1);
}

//! Threads change nothing: answers of random queries are the same to the bit with 1, 2, 3 and 8 of them, with their order, notes,
//! errors and figures. Workers are asked at once here, so that small data is divided, too.

mod random;
mod store;

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kymo_model::{Labels, MemoryStore, Queryable, Timestamp};
use kymo_promql::{
    CancelReason, Engine, EngineOptions, Executor, PointValue, QueryErrorKind, QueryOptions, QueryResult,
    QueryValue, ScopedThreads,
};
use proptest::prelude::*;
use random::{data, expression, parse, stored};

const STEP_MS: i64 = 20_000;
const STEPS: i64 = 40;

fn engine(threads: usize, delayed_name_removal: bool) -> Engine {
    Engine::new(EngineOptions {
        threads,
        alone_work: 0,
        lookback_delta_ms: 70_000,
        delayed_name_removal,
        ..EngineOptions::default()
    })
}

/// All of an answer, bits for floats.
fn spelled(result: Result<QueryResult, kymo_promql::QueryError>) -> String {
    let result = match result {
        Ok(result) => result,
        Err(error) => return format!("{error:?}"),
    };
    let mut out = String::new();
    let mut point = |labels: &Labels, t: i64, value: &PointValue| {
        let _ = match value {
            PointValue::Float(value) => writeln!(out, "{labels} {t} {:x}", value.to_bits()),
            PointValue::Histogram(histogram) => writeln!(out, "{labels} {t} {histogram:?}"),
        };
    };
    match &result.value {
        QueryValue::Vector(samples) => {
            samples.iter().for_each(|s| point(&s.labels, s.timestamp.millis(), &s.value));
        }
        QueryValue::Matrix(series) => {
            for one in series {
                one.floats.iter().for_each(|(t, v)| point(&one.labels, t, &PointValue::Float(*v)));
                one.histograms
                    .iter()
                    .for_each(|(t, v)| point(&one.labels, t, &PointValue::Histogram(v.clone())));
            }
        }
        other => out = format!("{other:?}"),
    }
    let stats = result.stats;
    let _ = write!(
        out,
        "{:?} {:?} {} {} {} {} {}",
        result.warnings,
        result.infos,
        stats.selects,
        stats.series,
        stats.samples_read,
        stats.total_queryable_samples,
        stats.peak_samples
    );
    out
}

fn both_ways(engine: &Engine, store: &dyn Queryable, text: &str) -> (String, String) {
    let expr = parse(text);
    let options = QueryOptions { text: Some(text.into()), ..QueryOptions::default() };
    let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis((STEPS - 1) * STEP_MS));
    let range = engine.range(store, &expr, start, end, STEP_MS, &options);
    let instant = engine.instant(store, &expr, Timestamp::from_millis(5 * STEP_MS), &options);
    (spelled(range), spelled(instant))
}

fn check(store: &dyn Queryable, text: &str, delayed: bool) -> Result<(), TestCaseError> {
    let expected = both_ways(&engine(1, delayed), store, text);
    for threads in [2, 3, 8] {
        let found = both_ways(&engine(threads, delayed), store, text);
        prop_assert_eq!(&found.0, &expected.0, "{} with {} threads", text, threads);
        prop_assert_eq!(&found.1, &expected.1, "{} with {} threads at one time", text, threads);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn threads_change_nothing(
        parts in prop::collection::vec(data(), 1..5),
        text in expression(),
        delayed in any::<bool>(),
    ) {
        let mut series = Vec::new();
        for (at, part) in parts.into_iter().enumerate() {
            // Some series are there several times with different samples, so that groups are larger, and conflicts more.
            series.extend(part.into_iter().map(|(name, a, b, samples)| (name, a, format!("{b}{at}"), samples)));
        }
        check(&stored(&series), &text, delayed)?;
    }
}

/// Many series of several groups, with values whose sum depends on the order of additions.
fn wide() -> MemoryStore {
    let mut series = Vec::new();
    for at in 0..240u64 {
        let value = |step: u64| match (at * 31 + step * 7) % 11 {
            0 => f64::NAN,
            1 => -0.0,
            2 => 0.0,
            n => (n as f64 - 5.5) * 10f64.powi((at % 29) as i32 - 14),
        };
        let samples = (0..40).filter(|step| (at + step) % 13 != 0);
        let samples = samples.map(|step| (step as i64 * STEP_MS + 1, value(step))).collect();
        series.push(("m".to_owned(), format!("a{}", at % 40), format!("b{at}"), samples));
    }
    stored(&series)
}

#[test]
fn wide_aggregations_are_the_same() {
    let store = wide();
    for op in [
        "sum",
        "avg",
        "min",
        "max",
        "count",
        "group",
        "stddev",
        "stdvar",
        "topk(3,",
        "bottomk(2,",
        "quantile(0.7,",
        "limitk(2,",
        "limit_ratio(0.3,",
        "count_values(\"v\",",
    ] {
        for grouping in ["", "by (a)", "by (b)", "without (b)"] {
            let text = match op.split_once('(') {
                Some((name, param)) => format!("{name} {grouping} ({param} m)"),
                None => format!("{op} {grouping} (m)"),
            };
            for delayed in [false, true] {
                check(&store, &text, delayed).unwrap();
            }
        }
    }
    for text in [
        "sum by (a) (rate(m[1m]))",
        "m + on (b) m",
        "sort_desc(m)",
        "absent(m)",
        "scalar(m)",
        "sum(m) + sum(m) + count by (a) (m)",
        "sum_over_time(sum by (a) (m)[2m:20s])",
        "m and on (a) topk(20, m)",
    ] {
        check(&store, text, false).unwrap();
    }
}

#[test]
fn the_error_is_that_of_the_first_series() {
    // Each series is in conflict with its twin, and the message names which: only the first pair may be told.
    let store = wide();
    for text in [
        "m + on (a) m",
        "sum by (a) (m + on (a) group_left () m)",
        "label_replace(m, \"b\", \"x\", \"\", \"\")",
    ] {
        let (range, _) = both_ways(&engine(1, false), &store, text);
        assert!(range.contains("Execution"), "{text}: {range}");
        check(&store, text, false).unwrap();
    }
}

#[test]
fn bounds_are_those_of_one_thread() {
    let store = wide();
    let expr = parse("m");
    let ask = |threads: usize, max_samples: usize| {
        let options = EngineOptions { threads, alone_work: 0, max_samples, ..EngineOptions::default() };
        let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis((STEPS - 1) * STEP_MS));
        spelled(Engine::new(options).range(&store, &expr, start, end, STEP_MS, &QueryOptions::default()))
    };
    let result = ask(1, 50_000);
    let peak: usize = result.rsplit(' ').next().unwrap().parse().unwrap();
    for threads in [1, 2, 3, 8] {
        assert_eq!(ask(threads, peak), result);
        assert!(ask(threads, peak - 1).contains("too many samples"), "{threads} threads");
    }
}

/// Counts how often it is asked, and says who asked to stop.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl Executor for Counting {
    fn run(&self, workers: usize, work: &(dyn Fn() + Sync)) {
        self.0.fetch_add(workers, Ordering::Relaxed);
        ScopedThreads.run(workers, work);
    }
}

/// Runs one worker where it was asked for many, and none at all.
#[derive(Debug)]
struct Lazy(bool);

impl Executor for Lazy {
    fn run(&self, _: usize, work: &(dyn Fn() + Sync)) {
        if self.0 {
            work();
        }
    }
}

#[test]
fn executors_are_asked_only_where_there_is_work() {
    let store = wide();
    let ask = |options: EngineOptions, text: &str| {
        both_ways(&Engine::new(EngineOptions { lookback_delta_ms: 70_000, ..options }), &store, text)
    };
    let counting = Arc::new(Counting::default());
    let with = |threads, alone_work| EngineOptions {
        threads,
        alone_work,
        executor: counting.clone(),
        ..EngineOptions::default()
    };
    let expected = ask(EngineOptions::default(), "m");
    assert_eq!(ask(with(4, 32 * 1024), "m"), expected);
    assert_eq!(ask(with(1, 0), "m"), expected);
    assert_eq!(counting.0.load(Ordering::Relaxed), 0);
    assert_eq!(ask(with(4, 0), "m"), expected);
    assert_eq!(counting.0.load(Ordering::Relaxed), 8);
    let lazy = |runs| EngineOptions { executor: Arc::new(Lazy(runs)), ..with(4, 0) };
    assert_eq!(ask(lazy(true), "m"), expected);
    assert!(ask(lazy(false), "m").0.contains("before its work was done"));
}

#[test]
fn workers_stop_when_they_are_told() {
    let store = wide();
    let options = QueryOptions::default();
    options.cancel.cancel(CancelReason::Timeout);
    let expr = parse("sum by (a) (m)");
    let error = engine(4, false).instant(&store, &expr, Timestamp::from_millis(0), &options).unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Timeout);
}

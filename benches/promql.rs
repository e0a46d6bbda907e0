//! Upstream's query shapes (`promql/bench_test.go`): 10 s between samples, 18,640 points, steps of 10 s. From columns in memory,
//! so that decoding is not in the figures; docs/promql.md has them beside those of Prometheus.
//!
//! Each query is checked once against a plain recomputation before it is timed. Throughput counts samples read.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kymo_model::{
    Labels, Matcher, Queryable, Resume, Samples, Selector, SeriesSet, SeriesSource, StoreError, TimeRange,
    Timestamp,
};
use kymo_promql::{Engine, EngineOptions, QueryOptions, QueryResult, QueryValue};

const INTERVAL_MS: i64 = 10_000;
const POINTS: usize = 18_640;
const DAY_MS: i64 = 86_400_000;
const LE: [&str; 11] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf"];

/// Series with columns of values; sample `i` is at `i` intervals.
#[derive(Clone)]
struct Store {
    series: Arc<Vec<(Labels, Vec<f64>)>>,
}

struct Selected {
    store: Store,
    chosen: Vec<u32>,
    from: usize,
    to: usize,
}

impl SeriesSource for Selected {
    fn len(&self) -> usize {
        self.chosen.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.store.series[self.chosen[index] as usize].0.clone()
    }

    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        let (times, values) = out.floats_mut();
        let all = &self.store.series[self.chosen[index] as usize].1;
        let to = self.to.min(all.len());
        if resume.a > 0 || self.from >= to {
            return Ok(false);
        }
        resume.a = 1;
        times.extend((self.from..to).map(|i| i as i64 * INTERVAL_MS));
        values.extend_from_slice(&all[self.from..to]);
        Ok(true)
    }
}

impl Queryable for Store {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        let matching = self.series.iter().enumerate().filter(|(_, (labels, _))| wanted.matches(labels));
        let chosen = matching.map(|(at, _)| at as u32).collect();
        let (min, max) = (wanted.range.min.millis().max(0), wanted.range.max.millis());
        let from = (min as u64).div_ceil(INTERVAL_MS as u64) as usize;
        let to = (max / INTERVAL_MS + 1).max(0) as usize;
        Ok(SeriesSet::new(Arc::new(Selected { store: self.clone(), chosen, from, to })))
    }

    fn label_names(&self, _: &[Matcher], _: TimeRange) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &[Matcher], _: TimeRange) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

/// A value that changes and is easy to compute again: a slow counter, different in each series.
fn value(series: usize, point: usize) -> f64 {
    point as f64 + series as f64 / 200.0
}

/// `a_hundred` and `b_hundred` with label `l`, and `h_hundred` with eleven buckets each.
fn dashboard() -> Store {
    let mut series = Vec::new();
    let column = |scale: f64, seed: usize| (0..POINTS).map(|i| value(seed, i) * scale).collect::<Vec<f64>>();
    for l in 0..100 {
        let number = l.to_string();
        for (at, name) in ["a_hundred", "b_hundred"].into_iter().enumerate() {
            let labels = Labels::from_pairs([("__name__", name), ("l", number.as_str())]);
            series.push((labels, column(1.0, 2 * l + at)));
        }
        for (at, le) in LE.into_iter().enumerate() {
            let labels = Labels::from_pairs([("__name__", "h_hundred"), ("l", number.as_str()), ("le", le)]);
            series.push((labels, column((at + 1) as f64, l)));
        }
    }
    Store { series: Arc::new(series) }
}

/// Two metrics of a thousand series, for the join.
fn services(points: usize) -> Store {
    let mut series = Vec::new();
    for instance in 0..1000 {
        let instance_name = format!("instance-{instance}");
        for (at, name) in ["rpc_request_success_total", "rpc_request_error_total"].into_iter().enumerate() {
            let labels = Labels::from_pairs([("__name__", name), ("instance", instance_name.as_str())]);
            series.push((labels, (0..points).map(|i| value(2 * instance + at, i)).collect()));
        }
    }
    Store { series: Arc::new(series) }
}

struct Query {
    name: &'static str,
    text: &'static str,
    steps: usize,
    /// How many series come out, and the first of them at the last step.
    series: usize,
    last: f64,
}

fn engine() -> Engine {
    Engine::new(EngineOptions { max_points_per_series: 0, ..EngineOptions::default() })
}

fn ask(engine: &Engine, store: &Store, text: &str, points: usize, steps: usize) -> QueryResult {
    let expr = kymo_promql_syntax::parse(text).expect("a valid query");
    let end = points as i64 * INTERVAL_MS;
    let start = Timestamp::from_millis(end - steps as i64 * INTERVAL_MS);
    let end = Timestamp::from_millis(end);
    let options = QueryOptions::default();
    if steps == 1 {
        return engine.instant(store, &expr, end, &options).expect("an answer");
    }
    engine.range(store, &expr, start, end, INTERVAL_MS, &options).expect("an answer")
}

fn check(query: &Query, result: &QueryResult) {
    let (series, last) = match &result.value {
        QueryValue::Matrix(series) => (series.len(), *series[0].floats.values.last().expect("a point")),
        QueryValue::Vector(samples) => (samples.len(), samples[0].value.float().expect("a float")),
        other => panic!("{}: neither vector nor matrix: {other:?}", query.name),
    };
    assert_eq!(series, query.series, "{}", query.name);
    let close = (last - query.last).abs() <= 1e-9 * query.last.abs().max(1.0);
    assert!(close, "{}: expected {}, found {last}", query.name, query.last);
}

/// The samples of series 0 in `(end - range, end]` at the last step, which is one interval after the last sample.
fn window(range_ms: i64) -> std::ops::Range<usize> {
    POINTS - (range_ms / INTERVAL_MS) as usize + 1..POINTS
}

/// Upstream's extrapolation for evenly spaced samples that rise by `slope` at each: all the way to both edges.
fn rate(first: f64, slope: f64, range_ms: i64) -> f64 {
    let samples = window(range_ms).len();
    let increase = slope * (samples - 1) as f64;
    let sampled = ((samples - 1) as i64 * INTERVAL_MS) as f64 / 1000.0;
    let (to_start, to_end) = ((INTERVAL_MS as f64 / 1000.0).min(sampled * first / increase), 10.0);
    increase * (sampled + to_start + to_end) / sampled / (range_ms as f64 / 1000.0)
}

fn queries() -> Vec<Query> {
    let last = POINTS - 1;
    let day = window(DAY_MS);
    let quantile = {
        let rank = 0.9 * (day.len() - 1) as f64;
        value(0, day.start) + rank
    };
    let rate_1m = rate(value(0, window(60_000).start), 1.0, 60_000);
    // Buckets 1 to 11 times the same rate: rank 9.9 lies in the tenth.
    let histogram = 2.5 + (5.0 - 2.5) * 0.9;
    let query = |name, text, steps, series, last| Query { name, text, steps, series, last };
    let sum: f64 = (0..100).map(|l| value(2 * l, last)).sum();
    vec![
        query("selector", "a_hundred", 1000, 100, value(0, last)),
        query("rate_1m", "rate(a_hundred[1m])", 1000, 100, rate_1m),
        query("rate_1d", "rate(a_hundred[1d])", 1000, 100, rate(value(0, day.start), 1.0, DAY_MS)),
        query("changes_1d", "changes(a_hundred[1d])", 1000, 100, (day.len() - 1) as f64),
        query("max_1d", "max_over_time(a_hundred[1d])", 1000, 100, value(0, last)),
        query(
            "avg_1d",
            "avg_over_time(a_hundred[1d])",
            1000,
            100,
            value(0, day.start) + (day.len() - 1) as f64 / 2.0,
        ),
        query("deriv_1d", "deriv(a_hundred[1d])", 1000, 100, 0.1),
        query("quantile_1d", "quantile_over_time(0.9, a_hundred[1d])", 1000, 100, quantile),
        query("sum", "sum(a_hundred)", 1000, 1, sum),
        query("sum_rate_1m", "sum(rate(a_hundred[1m]))", 1000, 1, 100.0 * rate_1m),
        query("topk_5", "topk(5, a_hundred)", 1000, 5, value(190, last)),
        query("minus", "a_hundred - b_hundred", 1000, 100, value(0, last) - value(1, last)),
        query("sum_by_h", "sum by (l) (h_hundred)", 1000, 100, 66.0 * value(0, last)),
        query("histogram_quantile", "histogram_quantile(0.9, rate(h_hundred[5m]))", 1000, 100, histogram),
        query("instant_sum_rate_1m", "sum(rate(a_hundred[1m]))", 1, 1, 100.0 * rate_1m),
    ]
}

fn shapes(c: &mut Criterion) {
    let store = dashboard();
    let engine = engine();
    let mut group = c.benchmark_group("promql");
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for query in queries() {
        let result = ask(&engine, &store, query.text, POINTS, query.steps);
        check(&query, &result);
        group.throughput(Throughput::Elements(result.stats.samples_read));
        group.bench_function(query.name, |b| {
            b.iter(|| black_box(ask(&engine, &store, query.text, POINTS, query.steps)));
        });
    }
    group.finish();
}

fn join(c: &mut Criterion) {
    const STEPS: usize = 5000;
    let points = STEPS + 1;
    let store = services(points);
    let engine = engine();
    let mut group = c.benchmark_group("promql_join");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(3));
    let both = value(0, points - 1) + value(1, points - 1);
    let queries = [
        ("plus", "rpc_request_success_total + rpc_request_error_total", both),
        ("group_left", "rpc_request_success_total + on (instance) group_left rpc_request_error_total", both),
        ("and", "rpc_request_success_total and rpc_request_error_total", value(0, points - 1)),
        ("or", "rpc_request_success_total or rpc_request_error_total", value(0, points - 1)),
        ("share", "sum(rpc_request_error_total) / sum(rpc_request_success_total)", {
            let sum = |at: usize| (0..1000).map(|i| value(2 * i + at, points - 1)).sum::<f64>();
            sum(1) / sum(0)
        }),
    ];
    for (name, text, last) in queries {
        let query = Query { name, text, steps: STEPS, series: if name == "share" { 1 } else { 1000 }, last };
        let result = ask(&engine, &store, text, points, STEPS);
        check(&query, &result);
        group.throughput(Throughput::Elements(result.stats.samples_read));
        group.bench_function(name, |b| b.iter(|| black_box(ask(&engine, &store, text, points, STEPS))));
    }
    group.finish();
}

criterion_group!(benches, shapes, join);
criterion_main!(benches);

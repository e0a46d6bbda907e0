//! Upstream's query shapes (`promql/bench_test.go`): 10 s between samples, 18,640 points, steps of 10 s. From chunks in memory, so
//! that decoding is in the figures; docs/promql.md has them beside those of Prometheus. With one thread and with two.
//!
//! Each query is checked once against a plain recomputation before it is timed. Throughput counts samples read.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kymo_chunk::{
    Encoding, HistogramAppender, HistogramPushed, XorAppender, decode, decode_histograms, decode_range,
};
use kymo_model::{
    CancelToken, Histogram, Labels, Matcher, Queryable, Resume, Samples, Selector, SeriesSet, SeriesSource,
    Span, StoreError, StoreErrorKind, TimeRange, Timestamp,
};
use kymo_promql::{Engine, EngineOptions, PointValue, QueryOptions, QueryResult, QueryValue};

const INTERVAL_MS: i64 = 10_000;
const POINTS: usize = 18_640;
const DAY_MS: i64 = 86_400_000;
const LE: [&str; 11] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf"];
/// As the head cuts them.
const CHUNK_SAMPLES: usize = 120;

/// Series as chunks; sample `i` is at `i` intervals.
#[derive(Clone, Default)]
struct Store {
    series: Arc<Vec<(Labels, Vec<Chunk>)>>,
}

struct Chunk {
    times: TimeRange,
    encoding: Encoding,
    bytes: Box<[u8]>,
}

struct Selected {
    store: Store,
    chosen: Vec<u32>,
    range: TimeRange,
}

impl SeriesSource for Selected {
    fn len(&self) -> usize {
        self.chosen.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.store.series[self.chosen[index] as usize].0.clone()
    }

    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        out.clear();
        if std::mem::replace(&mut resume.a, 1) > 0 {
            return Ok(false);
        }
        let chunks = &self.store.series[self.chosen[index] as usize].1;
        let first = chunks.partition_point(|chunk| chunk.times.max < self.range.min);
        let wanted = chunks[first..].iter().take_while(|chunk| chunk.times.min <= self.range.max);
        let read = match chunks.first().map(|chunk| chunk.encoding) {
            Some(Encoding::Xor) => {
                let (times, values) = out.floats_mut();
                let mut wanted = wanted;
                wanted.try_for_each(|chunk| {
                    match self.range.min <= chunk.times.min && chunk.times.max <= self.range.max {
                        true => decode(&chunk.bytes, times, values),
                        false => decode_range(&chunk.bytes, self.range, times, values),
                    }
                })
            }
            _ => {
                let (times, values) = out.histograms_mut();
                let (mut wanted, mut starts) = (wanted, Vec::new());
                wanted.try_for_each(|chunk| {
                    decode_histograms(chunk.encoding, &chunk.bytes, self.range, (times, values, &mut starts))
                })
            }
        };
        read.map_err(|error| StoreError::new(StoreErrorKind::Corrupt, error.to_string()))?;
        Ok(!out.is_empty())
    }
}

impl Queryable for Store {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        let matching = self.series.iter().enumerate().filter(|(_, (labels, _))| wanted.matches(labels));
        let chosen = matching.map(|(at, _)| at as u32).collect();
        Ok(SeriesSet::new(Arc::new(Selected { store: self.clone(), chosen, range: wanted.range })))
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

/// The chunks of a series of floats.
fn chunks(values: impl Iterator<Item = f64>) -> Vec<Chunk> {
    let values: Vec<f64> = values.collect();
    let encoded = values.chunks(CHUNK_SAMPLES).enumerate().map(|(number, values)| {
        let time = |at: usize| ((number * CHUNK_SAMPLES + at) as i64) * INTERVAL_MS;
        let mut chunk = XorAppender::new();
        values.iter().enumerate().for_each(|(at, value)| chunk.push(time(at), *value));
        let times = TimeRange::from_millis(time(0), time(values.len() - 1));
        Chunk { times, encoding: Encoding::Xor, bytes: chunk.into_bytes().into() }
    });
    encoded.collect()
}

/// A value that changes and is easy to compute again: a slow counter, different in each series.
fn value(series: usize, point: usize) -> f64 {
    point as f64 + series as f64 / 200.0
}

/// `a_hundred` and `b_hundred` with label `l`, and `h_hundred` with eleven buckets each.
fn dashboard() -> Store {
    let mut series = Vec::new();
    let column = |scale: f64, seed: usize| chunks((0..POINTS).map(|i| value(seed, i) * scale));
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
            series.push((labels, chunks((0..points).map(|i| value(2 * instance + at, i)))));
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

fn engine(threads: usize) -> Engine {
    Engine::new(EngineOptions { max_points_per_series: 0, threads, ..EngineOptions::default() })
}

fn ask(engine: &Engine, store: &Store, text: &str, points: usize, steps: usize) -> QueryResult {
    let expr = kymo_promql_syntax::parse(text).expect("a valid query");
    let end = points as i64 * INTERVAL_MS;
    // The first of 1,000 steps is 999 before the last.
    let start = Timestamp::from_millis(end - (steps as i64 - 1) * INTERVAL_MS);
    let end = Timestamp::from_millis(end);
    let options = QueryOptions::default();
    if steps == 1 {
        return engine.instant(store, &expr, end, &options).expect("an answer");
    }
    engine.range(store, &expr, start, end, INTERVAL_MS, &options).expect("an answer")
}

fn check(query: &Query, result: &QueryResult) {
    let (series, last) = match &result.value {
        QueryValue::Matrix(series) => {
            let one = &series[0];
            (
                series.len(),
                one.floats
                    .values
                    .last()
                    .copied()
                    .unwrap_or_else(|| one.histograms.values.last().expect("a point").count),
            )
        }
        QueryValue::Vector(samples) => (
            samples.len(),
            match &samples[0].value {
                PointValue::Float(value) => *value,
                PointValue::Histogram(histogram) => histogram.count,
            },
        ),
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

/// Milliseconds of the processor and of the clock for a query with one thread and with two. The processor's are the steadier on a
/// machine that has other work.
fn print_costs(name: &str, ask: impl Fn(usize) -> QueryResult) {
    let cost = |threads| {
        let (begin, begin_seconds) = (Instant::now(), processor_seconds());
        let mut runs = 0u32;
        while runs < 5 || begin.elapsed() < Duration::from_millis(1500) {
            black_box(ask(threads));
            runs += 1;
        }
        let each = |seconds: f64| seconds * 1000.0 / f64::from(runs);
        (each(processor_seconds() - begin_seconds), each(begin.elapsed().as_secs_f64()))
    };
    let (one, two) = (cost(1), cost(2));
    println!(
        "{name:<20} processor {:.2} ms, {:.2} with two threads; clock {:.2} ms, {:.2} with two threads",
        one.0, two.0, one.1, two.1
    );
}

/// Seconds that all threads of this process had a processor, those that ended included.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
    // In hundredths of a second; what is before them was cut off.
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Asks with one thread and with two, which must agree to the bit, and times both.
fn compare(c: &mut Criterion, group: &str, store: &Store, points: usize, queries: &[Query]) {
    let mut group = c.benchmark_group(group);
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for query in queries {
        let ask = |threads| ask(&engine(threads), store, query.text, points, query.steps);
        let result = ask(1);
        check(query, &result);
        assert_eq!(ask(2).value, result.value, "{}", query.name);
        group.throughput(Throughput::Elements(result.stats.samples_read));
        print_costs(query.name, ask);
        for threads in [1, 2] {
            group.bench_function(BenchmarkId::new(query.name, format!("{threads}_threads")), |b| {
                b.iter(|| black_box(ask(threads)));
            });
        }
    }
    group.finish();
}

fn shapes(c: &mut Criterion) {
    compare(c, "promql", &dashboard(), POINTS, &queries());
}

fn join(c: &mut Criterion) {
    const STEPS: usize = 5000;
    let points = STEPS + 1;
    let both = value(0, points - 1) + value(1, points - 1);
    let share = {
        let sum = |at: usize| (0..1000).map(|i| value(2 * i + at, points - 1)).sum::<f64>();
        sum(1) / sum(0)
    };
    let query = |name, text, series, last| Query { name, text, steps: STEPS, series, last };
    let queries = [
        query("plus", "rpc_request_success_total + rpc_request_error_total", 1000, both),
        query(
            "group_left",
            "rpc_request_success_total + on (instance) group_left rpc_request_error_total",
            1000,
            both,
        ),
        query("and", "rpc_request_success_total and rpc_request_error_total", 1000, value(0, points - 1)),
        query("or", "rpc_request_success_total or rpc_request_error_total", 1000, value(0, points - 1)),
        query("share", "sum(rpc_request_error_total) / sum(rpc_request_success_total)", 1, share),
    ];
    compare(c, "promql_join", &services(points), points, &queries);
}

/// How much the count of a native histogram grows from sample to sample, 30 s each: 1 in each bucket.
const BUCKETS: usize = 60;
/// Two hours.
const NATIVE_POINTS: usize = 240;
const NATIVE_SERIES: usize = 3000;
/// Samples come every 30 s; the grid's interval is 10.
const NATIVE_EVERY: i64 = 3;

fn native_histograms() -> Store {
    let sample = |at: usize| {
        // Buckets are written as differences: all have the same count.
        let mut positive_buckets = vec![0; BUCKETS];
        positive_buckets[0] = at as i64 + 1;
        Histogram {
            schema: 3,
            count: (BUCKETS * (at + 1)) as u64,
            sum: (at + 1) as f64 * 100.0,
            zero_threshold: 1e-128,
            positive_spans: vec![Span { offset: -20, length: BUCKETS as u32 }],
            positive_buckets,
            ..Histogram::default()
        }
    };
    let time = |at: usize| at as i64 * NATIVE_EVERY * INTERVAL_MS;
    let of_series = |number: usize| {
        let mut chunks: Vec<Chunk> = Vec::new();
        let (mut chunk, mut first) = (HistogramAppender::new(), 0);
        for at in 0..NATIVE_POINTS {
            if usize::from(chunk.len()) == CHUNK_SAMPLES {
                let times = TimeRange::from_millis(time(first), time(at - 1));
                let next = chunk.following(&sample(at));
                let bytes = std::mem::replace(&mut chunk, next).into_bytes().into();
                chunks.push(Chunk { times, encoding: Encoding::Histogram, bytes });
                first = at;
            }
            assert_ne!(chunk.push(time(at), &sample(at)), HistogramPushed::Cut, "the layout stays");
        }
        let times = TimeRange::from_millis(time(first), time(NATIVE_POINTS - 1));
        chunks.push(Chunk { times, encoding: Encoding::Histogram, bytes: chunk.into_bytes().into() });
        let number = number.to_string();
        (Labels::from_pairs([("__name__", "native_histogram_series"), ("number", number.as_str())]), chunks)
    };
    Store { series: Arc::new((0..NATIVE_SERIES).map(of_series).collect()) }
}

fn native(c: &mut Criterion) {
    let points = NATIVE_POINTS * NATIVE_EVERY as usize;
    let count = (BUCKETS * NATIVE_POINTS * NATIVE_SERIES) as f64;
    // 60 more every 30 s, in each series.
    let rate = (BUCKETS * NATIVE_SERIES) as f64 / 30.0;
    let query = |name, text, last| Query { name, text, steps: 120, series: 1, last };
    let queries = [
        query("sum", "sum(native_histogram_series)", count),
        query("sum_rate_2m", "sum(rate(native_histogram_series[2m]))", rate),
        query("sum_rate_20m", "sum(rate(native_histogram_series[20m]))", rate),
        query("count_of_rate_2m", "histogram_count(sum(rate(native_histogram_series[2m])))", rate),
    ];
    compare(c, "promql_native", &native_histograms(), points, &queries);
}

criterion_group!(benches, shapes, join, native);
criterion_main!(benches);

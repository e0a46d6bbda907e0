//! Native histograms in upstream's shape (`BenchmarkNativeHistograms`): 3,000 series with four buckets on either side and a zero bucket, a
//! sample every 30 s for two hours, asked at as many steps. From memory, so that decoding is not in the figures.
//!
//! Each answer is checked against what follows from the data: every bucket counts one more at every sample.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kymo_model::{
    CancelToken, FloatHistogram, Labels, Matcher, Queryable, Resume, Samples, Selector, SeriesSet,
    SeriesSource, Span, StoreError, TimeRange, Timestamp,
};
use kymo_promql::{Engine, EngineOptions, QueryOptions, QueryResult, QueryValue};

const SERIES: usize = 3000;
const INTERVAL_MS: i64 = 30_000;
/// The last sample, at two hours.
const LAST: usize = 240;

#[derive(Clone)]
struct Store(Arc<Vec<(Labels, Vec<Arc<FloatHistogram>>)>>);

impl Store {
    fn new() -> Store {
        let labels = |at: usize| {
            let h = at.to_string();
            Labels::from_pairs([("__name__", "native"), ("foo", "bar"), ("h", h.as_str())])
        };
        let column = || (0..=LAST).map(|at| Arc::new(histogram(at as f64))).collect();
        let mut series: Vec<_> = (0..SERIES).map(|at| (labels(at), column())).collect();
        series.sort_by(|a, b| a.0.cmp(&b.0));
        Store(Arc::new(series))
    }
}

fn histogram(at: f64) -> FloatHistogram {
    let spans = vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 2 }];
    let buckets = vec![at + 1.0, at + 2.0, at + 1.0, at + 1.0];
    FloatHistogram {
        schema: 1,
        zero_threshold: 0.001,
        zero_count: at + 2.0,
        count: 12.0 + 9.0 * at,
        sum: 18.4 * (at + 1.0),
        positive_spans: spans.clone(),
        positive_buckets: buckets.clone(),
        negative_spans: spans,
        negative_buckets: buckets,
        ..FloatHistogram::default()
    }
}

struct Selected {
    store: Store,
    from: usize,
    to: usize,
}

impl SeriesSource for Selected {
    fn len(&self) -> usize {
        self.store.0.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.store.0[index].0.clone()
    }

    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        let (times, values) = out.histograms_mut();
        if resume.a > 0 || self.from >= self.to {
            return Ok(false);
        }
        resume.a = 1;
        times.extend((self.from..self.to).map(|at| at as i64 * INTERVAL_MS));
        values.extend_from_slice(&self.store.0[index].1[self.from..self.to]);
        Ok(true)
    }
}

impl Queryable for Store {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        let (min, max) = (wanted.range.min.millis().max(0), wanted.range.max.millis());
        let from = (min as u64).div_ceil(INTERVAL_MS as u64) as usize;
        let to = ((max / INTERVAL_MS + 1).max(0) as usize).min(LAST + 1);
        Ok(SeriesSet::new(Arc::new(Selected { store: self.clone(), from, to })))
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

fn ask(engine: &Engine, store: &Store, text: &str) -> QueryResult {
    let expr = kymo_promql_syntax::parse(text).expect("a valid query");
    let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis(LAST as i64 * INTERVAL_MS));
    engine.range(store, &expr, start, end, INTERVAL_MS, &QueryOptions::default()).expect("an answer")
}

/// The value at the last step; of a histogram its count.
fn last(result: &QueryResult) -> f64 {
    let QueryValue::Matrix(series) = &result.value else { panic!("a range query gives a matrix") };
    assert_eq!(series.len(), 1, "everything is summed up");
    match series[0].histograms.values.last() {
        Some(histogram) => histogram.count,
        None => *series[0].floats.values.last().expect("a value"),
    }
}

fn native(c: &mut Criterion) {
    let store = Store::new();
    let engine = Engine::new(EngineOptions::default());
    let mut group = c.benchmark_group("promql_native");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(3));
    // Nine more in every histogram at each sample.
    let rate = SERIES as f64 * 9.0 * 1000.0 / INTERVAL_MS as f64;
    // A tenth below the upper end of the last of nine equal buckets, on a logarithmic scale.
    let quantile = (1.5f64 + 0.5 * 0.1).exp2();
    for (name, text, expected) in [
        ("sum", "sum(native)", SERIES as f64 * (12.0 + 9.0 * LAST as f64)),
        ("sum_rate_2m", "sum(rate(native[2m]))", rate),
        ("sum_rate_20m", "sum(rate(native[20m]))", rate),
        ("count_sum_rate_20m", "histogram_count(sum(rate(native[20m])))", rate),
        ("quantile_sum_rate_5m", "histogram_quantile(0.9, sum(rate(native[5m])))", quantile),
    ] {
        let result = ask(&engine, &store, text);
        let found = last(&result);
        assert!((found - expected).abs() <= 1e-9 * expected, "{name}: expected {expected}, found {found}");
        group.throughput(Throughput::Elements(result.stats.samples_read));
        group.bench_function(name, |b| b.iter(|| black_box(ask(&engine, &store, text))));
    }
    group.finish();
}

criterion_group!(benches, native);
criterion_main!(benches);

//! The read border at a million series: one index-addressed source behind a `SeriesSet`, against one boxed object for each
//! series. Three steps of every query: select, look at all labels, read the last value of each. docs/decisions.md has the
//! figures.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kymo_model::{
    CancelToken, Labels, Matcher, Queryable, Resume, Samples, Selector, SeriesSet, SeriesSource, StoreError,
    TimeRange,
};

const SERIES: usize = 1_000_000;
/// An instant query with five minutes of lookback over a scrape every 15 seconds.
const SAMPLES_PER_SERIES: i64 = 20;

/// Labels are held, samples computed, so that the border is what costs.
struct Store {
    labels: Vec<Labels>,
}

impl Store {
    fn new() -> Store {
        let mut scratch = String::new();
        let series = |index: usize| {
            let (instance, code, path) =
                (format!("10.0.{}.{}:9100", index >> 8 & 0xFF, index & 0xFF), index % 7, index >> 16);
            let (code, path) = (format!("{}", 200 + code), format!("/api/v1/resource/{path}"));
            let pairs = [
                ("__name__", "http_requests_total"),
                ("code", &code),
                ("instance", &instance),
                ("job", "api-server"),
                ("method", "GET"),
                ("path", &path),
            ];
            Labels::from_sorted(pairs, &mut scratch).expect("sorted as written")
        };
        Store { labels: (0..SERIES).map(series).collect() }
    }

    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> bool {
        let (times, values) = out.floats_mut();
        if resume.a > 0 {
            return false;
        }
        resume.a = 1;
        times.extend((0..SAMPLES_PER_SERIES).map(|at| at * 15_000));
        values.extend((0..SAMPLES_PER_SERIES).map(|at| (index as i64 + at) as f64));
        true
    }
}

/// The border as it is: what a select makes is a list of series numbers.
struct Selected {
    store: Arc<Store>,
    series: Vec<u32>,
}

impl SeriesSource for Selected {
    fn len(&self) -> usize {
        self.series.len()
    }
    fn labels(&self, index: usize) -> Labels {
        self.store.labels[self.series[index] as usize].clone()
    }
    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        Ok(self.store.read(self.series[index] as usize, resume, out))
    }
}

struct Indexed(Arc<Store>);

impl Queryable for Indexed {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        assert_eq!(wanted.matchers.len(), 1, "selects everything");
        let series = (0..self.0.labels.len() as u32).collect();
        Ok(SeriesSet::new(Arc::new(Selected { store: self.0.clone(), series })))
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

/// The alternative: a series is an object of its own.
trait SeriesObject: Send + Sync {
    fn labels(&self) -> Labels;
    fn read(&self, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError>;
}

struct Pinned {
    store: Arc<Store>,
    index: usize,
}

impl SeriesObject for Pinned {
    fn labels(&self) -> Labels {
        self.store.labels[self.index].clone()
    }
    fn read(&self, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        Ok(self.store.read(self.index, resume, out))
    }
}

fn select_boxed(store: &Arc<Store>) -> Vec<Box<dyn SeriesObject>> {
    let object = |index| Box::new(Pinned { store: store.clone(), index }) as Box<dyn SeriesObject>;
    (0..store.labels.len()).map(object).collect()
}

/// What a select makes the process grow by, as the operating system counts it.
fn grown_bytes_per_series<T>(select: impl FnOnce() -> T) -> Option<f64> {
    let resident_kib = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    };
    let before = resident_kib()?;
    let kept = select();
    let after = resident_kib()?;
    drop(kept);
    Some((after - before) * 1024.0 / SERIES as f64)
}

fn read_border(c: &mut Criterion) {
    let store = Arc::new(Store::new());
    let indexed = Indexed(store.clone());
    let wanted = Selector::new(vec![Matcher::equal("__name__", "http_requests_total")], TimeRange::ALL);
    let select = || indexed.select(&wanted).expect("cannot fail");
    println!(
        "bytes per series of a select: indexed {:?}, boxed {:?}",
        grown_bytes_per_series(select),
        grown_bytes_per_series(|| select_boxed(&store)),
    );
    let (set, boxed) = (select(), select_boxed(&store));
    let expected: f64 = (0..SERIES as i64).map(|index| (index + SAMPLES_PER_SERIES - 1) as f64).sum();

    let mut group = c.benchmark_group("read_border");
    group.throughput(Throughput::Elements(SERIES as u64)).sample_size(10);
    group.bench_function("select/indexed", |b| b.iter(|| assert_eq!(black_box(select()).len(), SERIES)));
    group.bench_function("select/boxed", |b| {
        b.iter(|| assert_eq!(black_box(select_boxed(&store)).len(), SERIES));
    });
    group.bench_function("labels/indexed", |b| {
        b.iter(|| assert_eq!(set.iter().filter(|s| s.labels().get("job").is_some()).count(), SERIES));
    });
    group.bench_function("labels/boxed", |b| {
        b.iter(|| assert_eq!(boxed.iter().filter(|s| s.labels().get("job").is_some()).count(), SERIES));
    });
    group.bench_function("read_last/indexed", |b| {
        b.iter(|| {
            let (mut samples, mut sum) = (Samples::new(), 0.0);
            for series in set.iter() {
                let mut reader = series.reader();
                while reader.read(&mut samples).expect("cannot fail") {
                    sum += samples.floats().and_then(|values| values.last()).expect("runs are not empty");
                }
            }
            assert_eq!(sum, expected);
        });
    });
    group.bench_function("read_last/boxed", |b| {
        b.iter(|| {
            let (mut samples, mut sum) = (Samples::new(), 0.0);
            for series in &boxed {
                let mut resume = Resume::default();
                while series.read(&mut resume, &mut samples).expect("cannot fail") {
                    sum += samples.floats().and_then(|values| values.last()).expect("runs are not empty");
                }
            }
            assert_eq!(sum, expected);
        });
    });
    group.finish();
}

criterion_group!(benches, read_border);
criterion_main!(benches);

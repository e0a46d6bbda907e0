//! Exposition text in, and remote write in: MB/s and ns per sample of the steady state, in which every series is known.
//!
//! `cargo bench -p kymo-benches --bench exposition`. With `KYMO_CORPORA` set, the real fixture is parsed as well.

use std::collections::HashMap;
use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::Mutex;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kymo_exposition::{Encoder, Entry, Family, Format, LabelScratch, Parser, strict};
use kymo_model::{
    Append, Appended, Batch, Labels, MetricType, RowSeries, SeriesHandle, StoreError, Timestamp,
};
use kymo_remote::{RequestEncoder, WriteReceiver};
use xxhash_rust::xxh3::xxh3_128;

const FAMILIES: usize = 200;
const LINES: usize = 100;

fn made_up(format: Format) -> String {
    let mut encoder = Encoder::new(format);
    for family in 0..FAMILIES {
        let name = format!("node_network_receive_bytes_{family}");
        encoder.family(&Family {
            name: &name,
            metric_type: MetricType::Counter,
            unit: "",
            help: "A made-up family of metrics.",
        });
        for line in 0..LINES {
            let value = (family * 7919 + line * 104_729) as f64 / 8.0;
            let (device, mode) = (format!("eth{line}"), ["system", "user", "iowait"][line % 3]);
            let labels = [("device", device.as_str()), ("direction", "in"), ("mode", mode)];
            encoder.sample(&format!("{name}_total"), labels, value, None);
        }
    }
    encoder.finish()
}

fn samples(format: Format, body: &[u8], mut each: impl FnMut(&kymo_exposition::Sample<'_>)) -> usize {
    let mut count = 0;
    for entry in Parser::new(format, body) {
        if let Entry::Sample(sample) = entry.expect("the body parses") {
            each(&sample);
            count += 1;
        }
    }
    count
}

fn parse(c: &mut Criterion) {
    let mut bodies = vec![
        ("text", Format::Text, made_up(Format::Text)),
        ("openmetrics", Format::OpenMetrics, made_up(Format::OpenMetrics)),
    ];
    if let Some(corpora) = std::env::var_os("KYMO_CORPORA") {
        let path = std::path::Path::new(&corpora).join("exposition/node_exporter.txt");
        if let Ok(body) = std::fs::read_to_string(path) {
            bodies.push(("node_exporter", Format::Text, body));
        }
    }
    for (name, format, body) in &bodies {
        let body = body.as_bytes();
        let lines = body.split(|&b| b == b'\n').filter(|line| !line.is_empty() && line[0] != b'#').count();
        let mut group = c.benchmark_group(format!("parse/{name}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("known_series", |b| {
            b.iter(|| {
                let count = samples(*format, body, |sample| {
                    black_box((sample.series(), sample.value));
                });
                assert_eq!(count, lines);
            });
        });
        group.bench_function("known_series_with_cache", |b| {
            let mut cache: HashMap<u128, usize> = HashMap::new();
            samples(*format, body, |sample| {
                let next = cache.len();
                cache.insert(xxh3_128(sample.series()), next);
            });
            assert_eq!(cache.len(), lines);
            b.iter(|| {
                let mut sum = 0;
                samples(*format, body, |sample| sum += cache[&xxh3_128(sample.series())]);
                assert_eq!(sum, lines * (lines - 1) / 2);
            });
        });
        group.bench_function("new_series", |b| {
            let mut scratch = LabelScratch::default();
            b.iter(|| {
                let count = samples(*format, body, |sample| {
                    black_box(sample.labels(&mut scratch).expect("the series is valid"));
                });
                assert_eq!(count, lines);
            });
        });
        if *format == Format::OpenMetrics {
            group.bench_function("strict", |b| {
                b.iter(|| assert_eq!(strict::check_openmetrics(body).expect("valid").samples, lines));
            });
        }
    }
}

/// A store that only hands out handles: what is measured is the receiver.
#[derive(Default)]
struct HandlesOnly(Mutex<HashMap<Labels, SeriesHandle>>);

impl Append for HandlesOnly {
    fn append(&self, batch: &Batch) -> Result<Appended, StoreError> {
        let mut outcome = Appended { appended: batch.len(), ..Appended::default() };
        for (row, rows) in batch.rows().iter().enumerate() {
            if let RowSeries::Labels(labels) = &rows.series {
                let mut known = self.0.lock().expect("no test panics here");
                let next = NonZeroU64::new(known.len() as u64 + 1).expect("not zero");
                let handle = *known.entry(labels.clone()).or_insert(SeriesHandle::new(next));
                outcome.handles.push((row, handle));
            }
        }
        Ok(outcome)
    }
}

fn remote_write(c: &mut Criterion) {
    const SERIES: usize = 10_000;
    let mut request = RequestEncoder::new();
    for series in 0..SERIES {
        let labels = Labels::from_pairs([
            ("__name__", "node_cpu_seconds_total"),
            ("cpu", &format!("{}", series % 64)),
            ("instance", &format!("host-{:04}.example.com:9100", series / 64)),
            ("job", "node"),
            ("mode", ["idle", "user", "system", "iowait"][series % 4]),
            ("zone", &format!("eu-west-{}", series % 3)),
        ]);
        request
            .series(&labels, &[(Timestamp::from_millis(1_700_000_000_000).millis(), series as f64 * 1.25)]);
    }
    let body = request.to_snappy();
    let mut group = c.benchmark_group("remote_write");
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("known_series", |b| {
        let (receiver, store) = (WriteReceiver::default(), HandlesOnly::default());
        assert_eq!(receiver.receive(&body, &store).expect("first time").samples, SERIES);
        assert_eq!(receiver.cached_series(), SERIES);
        b.iter(|| assert_eq!(receiver.receive(&body, &store).expect("again").samples, SERIES));
    });
    group.bench_function("new_series", |b| {
        b.iter(|| {
            let (receiver, store) = (WriteReceiver::default(), HandlesOnly::default());
            assert_eq!(receiver.receive(&body, &store).expect("first time").samples, SERIES);
        });
    });
}

criterion_group!(benches, parse, remote_write);
criterion_main!(benches);

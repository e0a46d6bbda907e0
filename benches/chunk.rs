//! Chunks: nanoseconds per sample of encode (sample by sample, at once), iterate and batch decode, by kind of data. Asserts decoded == pushed.
//!
//! `cargo bench -p kymo-benches --bench chunk`. One second divided by the throughput printed is the time of a sample.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kymo_chunk::{XorAppender, XorIter, decode};

const CHUNKS: usize = 200;
const SAMPLES: usize = 120;
const START_MS: i64 = 1_600_000_000_000;

/// A small deterministic generator (splitmix64), so that every run measures the same bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// One chunk's worth of columns per entry.
type Columns = Vec<(Vec<i64>, Vec<f64>)>;

fn columns(mut sample: impl FnMut(&mut Random, usize) -> (i64, f64)) -> Columns {
    let mut random = Random(42);
    let chunk = |_| (0..SAMPLES).map(|i| sample(&mut random, i)).unzip();
    (0..CHUNKS).map(chunk).collect()
}

fn kinds() -> Vec<(&'static str, Columns)> {
    let exact = |i: usize| START_MS + 15_000 * i as i64;
    let mut count = 0;
    let counter = move |random: &mut Random| {
        count += random.below(100);
        count as f64
    };
    let (mut exact_counter, mut jittered_counter) = (counter, counter);
    vec![
        ("constant", columns(|_, i| (exact(i), 1.0))),
        ("counter_exact", columns(|random, i| (exact(i), exact_counter(random)))),
        (
            "counter_jittered",
            columns(|random, i| (exact(i) + random.below(7) as i64 - 3, jittered_counter(random))),
        ),
        ("gauge_two_decimals", columns(|random, i| (exact(i), random.below(10_000) as f64 / 100.0))),
        (
            "random_mantissa",
            columns(|random, i| (exact(i), f64::from_bits(0x3ff0_0000_0000_0000 | random.next() >> 12))),
        ),
    ]
}

fn encode(columns: &(Vec<i64>, Vec<f64>), buffer: Vec<u8>) -> Vec<u8> {
    let mut chunk = XorAppender::with_buffer(buffer);
    for (t_ms, value) in columns.0.iter().zip(&columns.1) {
        chunk.push(*t_ms, *value);
    }
    chunk.into_bytes()
}

fn bench(c: &mut Criterion) {
    for (kind, columns) in kinds() {
        let chunks: Vec<Vec<u8>> = columns.iter().map(|columns| encode(columns, Vec::new())).collect();
        let bytes: usize = chunks.iter().map(Vec::len).sum();
        println!("{kind}: {:.2} bytes per sample", bytes as f64 / (CHUNKS * SAMPLES) as f64);

        let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
        for (chunk, wanted) in chunks.iter().zip(&columns) {
            timestamps_ms.clear();
            values.clear();
            decode(chunk, &mut timestamps_ms, &mut values).expect("a chunk just written");
            assert_eq!((&timestamps_ms, &values), (&wanted.0, &wanted.1));
            let mut at_once = XorAppender::new();
            at_once.push_all(wanted.0.iter().copied().zip(wanted.1.iter().copied()));
            assert_eq!(at_once.bytes(), chunk);
            let iterated = XorIter::new(chunk).expect("a chunk just written");
            assert!(iterated.map(Result::unwrap).eq(wanted.0.iter().copied().zip(wanted.1.iter().copied())));
        }

        let mut group = c.benchmark_group(kind);
        group.throughput(Throughput::Elements((CHUNKS * SAMPLES) as u64));
        group.bench_function("decode", |b| {
            b.iter(|| {
                for chunk in &chunks {
                    timestamps_ms.clear();
                    values.clear();
                    decode(black_box(chunk), &mut timestamps_ms, &mut values).expect("a chunk just written");
                    black_box((&timestamps_ms, &values));
                }
            });
        });
        group.bench_function("iterate", |b| {
            b.iter(|| {
                for chunk in &chunks {
                    for sample in XorIter::new(black_box(chunk)).expect("a chunk just written") {
                        black_box(sample).expect("a chunk just written");
                    }
                }
            });
        });
        group.bench_function("encode_at_once", |b| {
            let mut buffer = Vec::new();
            b.iter(|| {
                for (timestamps_ms, values) in &columns {
                    let mut chunk = XorAppender::with_buffer(std::mem::take(&mut buffer));
                    chunk.push_all(black_box(timestamps_ms).iter().copied().zip(values.iter().copied()));
                    buffer = chunk.into_bytes();
                }
            });
        });
        group.bench_function("encode", |b| {
            let mut buffer = Vec::new();
            b.iter(|| {
                for columns in &columns {
                    buffer = encode(black_box(columns), std::mem::take(&mut buffer));
                }
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(30);
    targets = bench
}
criterion_main!(benches);

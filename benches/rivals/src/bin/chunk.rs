//! Chunks of 120 samples and columns of 1,440: kymo against `tsz`, `rusty-chunkenc` and `pco`, each asserted to give the samples back.
//!
//! `cargo run --profile bench -p kymo-rivals --bin chunk`. Nanoseconds of the thread's CPU time per sample, the best round, so that
//! other work on the machine disturbs little.

use std::hint::black_box;

use kymo_chunk::cold::{decode_times, decode_values, encode_times, encode_values};
use kymo_chunk::{XorAppender, decode};
use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress};
use rusty_chunkenc::XORSample;
use rusty_chunkenc::xor::{XORChunk, read_xor_chunk_data};
use tsz::stream::{BufferedReader, BufferedWriter};
use tsz::{DataPoint, Decode, Encode, StdDecoder, StdEncoder};

const SAMPLES: usize = 120 * 12 * 40;
const START_MS: i64 = 1_600_000_000_000;
const ROUNDS: usize = 40;

/// splitmix64.
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

type Columns = (Vec<i64>, Vec<f64>);

fn kinds() -> Vec<(&'static str, Columns)> {
    let mut random = Random(42);
    let exact = |i: usize| START_MS + 15_000 * i as i64;
    let times: Vec<i64> = (0..SAMPLES).map(exact).collect();
    let jittered = (0..SAMPLES).map(|i| exact(i) + random.below(7) as i64 - 3).collect();
    let counter: Vec<f64> = (0..SAMPLES)
        .scan(0, |count, _| {
            *count += random.below(100);
            Some(*count as f64)
        })
        .collect();
    let gauge = (0..SAMPLES).map(|_| random.below(10_000) as f64 / 100.0).collect();
    let real = (0..SAMPLES).map(|_| f64::from_bits(0x3ff0_0000_0000_0000 | random.next() >> 12)).collect();
    let now_and_then = (0..SAMPLES)
        .scan(0, |count, _| {
            *count += random.below(2) * random.below(10);
            Some(*count as f64)
        })
        .collect();
    vec![
        ("constant", (times.clone(), vec![1.0; SAMPLES])),
        ("counter, exact interval", (times.clone(), counter.clone())),
        ("counter, 3 ms of jitter", (jittered, counter)),
        ("counter, rises now and then", (times.clone(), now_and_then)),
        ("gauge of two decimals", (times.clone(), gauge)),
        ("random mantissa", (times, real)),
    ]
}

/// Nanoseconds that this thread has used.
fn cpu_ns() -> u64 {
    // Linux adds them up at ticks and when a thread gives way.
    std::thread::yield_now();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux's /proc");
    stat.split(' ').next().and_then(|number| number.parse().ok()).expect("nanoseconds")
}

fn best(mut work: impl FnMut()) -> f64 {
    let mut round = || {
        let from = cpu_ns();
        work();
        cpu_ns() - from
    };
    (0..ROUNDS).map(|_| round()).min().unwrap_or(0) as f64 / SAMPLES as f64
}

/// What a codec makes of samples, and how it is read.
fn measure(
    name: &str,
    columns: &Columns,
    length: usize,
    encode: impl Fn(&[i64], &[f64]) -> Vec<u8>,
    mut decode: impl FnMut(&[u8], &mut Vec<i64>, &mut Vec<f64>),
) {
    let parts = || columns.0.chunks(length).zip(columns.1.chunks(length));
    let chunks: Vec<Vec<u8>> = parts().map(|(times, values)| encode(times, values)).collect();
    let (mut times, mut values) = (Vec::new(), Vec::new());
    for (chunk, wanted) in chunks.iter().zip(parts()) {
        times.clear();
        values.clear();
        decode(chunk, &mut times, &mut values);
        assert_eq!((&*times, &*values), wanted, "{name}");
    }
    let encoding = best(|| parts().for_each(|(times, values)| drop(black_box(encode(times, values)))));
    let decoding = best(|| {
        for chunk in &chunks {
            times.clear();
            values.clear();
            decode(black_box(chunk), &mut times, &mut values);
            black_box((&times, &values));
        }
    });
    let bytes: usize = chunks.iter().map(Vec::len).sum();
    println!("  {name:<28} {:>6.2} {encoding:>9.2} {decoding:>9.2}", bytes as f64 / SAMPLES as f64);
}

fn main() {
    for (kind, columns) in kinds() {
        println!("{kind:<30} bytes encode ns decode ns");
        measure("kymo", &columns, 120, xor, xor_back);
        measure("kymo, sample by sample", &columns, 120, xor_singly, xor_back);
        measure("tsz", &columns, 120, tsz, tsz_back);
        measure("rusty-chunkenc", &columns, 120, rusty, rusty_back);
        let level = ChunkConfig::default();
        measure("pco", &columns, 120, |times, values| pco(times, values, &level), pco_back);
        measure("kymo, cold, 1,440", &columns, 1440, cold, cold_back);
        measure("pco, 1,440", &columns, 1440, |times, values| pco(times, values, &level), pco_back);
    }
}

fn xor(times: &[i64], values: &[f64]) -> Vec<u8> {
    let mut chunk = XorAppender::with_buffer(Vec::with_capacity(XorAppender::ROOMY_BYTES));
    chunk.push_all(times.iter().copied().zip(values.iter().copied()));
    chunk.into_bytes()
}

fn xor_singly(times: &[i64], values: &[f64]) -> Vec<u8> {
    let mut chunk = XorAppender::with_buffer(Vec::with_capacity(XorAppender::ROOMY_BYTES));
    times.iter().zip(values).for_each(|(t_ms, value)| chunk.push(*t_ms, *value));
    chunk.into_bytes()
}

fn xor_back(chunk: &[u8], times: &mut Vec<i64>, values: &mut Vec<f64>) {
    decode(chunk, times, values).expect("a chunk just written");
}

/// Its first time is written as 32 bits, so it gets times from the first sample on, in milliseconds.
fn tsz(times: &[i64], values: &[f64]) -> Vec<u8> {
    let start = times[0] as u64;
    let mut encoder = StdEncoder::new(start, BufferedWriter::new());
    for (t_ms, value) in times.iter().zip(values) {
        encoder.encode(DataPoint::new(*t_ms as u64, *value));
    }
    encoder.close().into_vec()
}

fn tsz_back(chunk: &[u8], times: &mut Vec<i64>, values: &mut Vec<f64>) {
    let mut decoder = StdDecoder::new(BufferedReader::new(chunk.into()));
    while let Ok(point) = decoder.next() {
        times.push(point.get_time() as i64);
        values.push(point.get_value());
    }
}

fn rusty(times: &[i64], values: &[f64]) -> Vec<u8> {
    let samples = times.iter().zip(values).map(|(t_ms, value)| XORSample { timestamp: *t_ms, value: *value });
    let mut chunk = Vec::new();
    XORChunk::new(samples.collect()).write(&mut chunk).expect("memory");
    chunk
}

fn rusty_back(chunk: &[u8], times: &mut Vec<i64>, values: &mut Vec<f64>) {
    let (_, read) = read_xor_chunk_data(chunk).expect("a chunk just written");
    for sample in read.samples() {
        times.push(sample.timestamp);
        values.push(sample.value);
    }
}

fn pco(times: &[i64], values: &[f64], level: &ChunkConfig) -> Vec<u8> {
    let times = simple_compress(times, level).expect("times");
    let values = simple_compress(values, level).expect("values");
    [&(times.len() as u32).to_le_bytes(), &*times, &*values].concat()
}

fn pco_back(chunk: &[u8], times: &mut Vec<i64>, values: &mut Vec<f64>) {
    let (length, rest) = chunk.split_first_chunk::<4>().expect("a length");
    let (first, second) = rest.split_at(u32::from_le_bytes(*length) as usize);
    times.extend(simple_decompress::<i64>(first).expect("times"));
    values.extend(simple_decompress::<f64>(second).expect("values"));
}

fn cold(times: &[i64], values: &[f64]) -> Vec<u8> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    encode_times(times, &mut first);
    encode_values(values, &mut second);
    [&(first.len() as u32).to_le_bytes(), &*first, &*second].concat()
}

fn cold_back(chunk: &[u8], times: &mut Vec<i64>, values: &mut Vec<f64>) {
    let (length, rest) = chunk.split_first_chunk::<4>().expect("a length");
    let (first, second) = rest.split_at(u32::from_le_bytes(*length) as usize);
    let count = kymo_chunk::cold::sample_count(first).expect("times");
    decode_times(first, 0..count, times).expect("times");
    decode_values(second, 0..count, values).expect("values");
}

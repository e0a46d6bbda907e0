//! The database: append by handles and by labels, log bytes per sample, memory per series by part, one pass over a million
//! series, replay. Each figure's answer is asserted.
//!
//! `cargo bench -p kymo-benches --bench tsdb` runs everything; `-- append` and the like run a part. The figures that are no
//! times (bytes per sample, bytes per series) are printed before the times. `KYMO_BENCH_SERIES` sets how many series the
//! select uses (a million by default).

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kymo_model::{
    Append, Batch, Exemplar, ExemplarQueryable, Labels, Matcher, Queryable, Samples, Selector, SeriesHandle,
    TimeRange, Timestamp,
};
use kymo_tsdb::{Db, Options, SyncMode};

const START_MS: i64 = 1_700_000_000_000;
const INTERVAL_MS: i64 = 15_000;

/// Nanoseconds that this thread has had a processor: on a busy machine the better measure of cost. 0 where unknown.
fn processor_ns() -> u64 {
    let figures = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    figures.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

/// A directory that is removed with the value.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("kymo-bench-tsdb-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Dir(path)
    }

    fn open(&self) -> Db {
        self.open_with(0, u64::MAX)
    }

    fn open_with(&self, replay_threads: usize, checkpoint_close_bytes: u64) -> Db {
        let options =
            Options { sync: SyncMode::Never, replay_threads, checkpoint_close_bytes, ..Options::default() };
        Db::open(&self.0, options).expect("the directory is new or was closed")
    }
}

impl AsRef<Path> for Dir {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Series as a scrape of many instances has them: neighbours share most labels.
fn labels(index: usize) -> Labels {
    let (instance, slot) = (index / 1000, index % 1000);
    let name = format!("metric_{:02}_total", slot / 20);
    let address = format!("10.0.{}.{}:9100", instance / 250, instance % 250 + 1);
    let device = format!("device-{}", slot % 20);
    let pod = format!("app-{slot:03}-{:06x}", (index * 7919) & 0xff_ffff);
    let zone = format!("zone-{}", instance % 3);
    Labels::from_pairs([
        ("__name__", name.as_str()),
        ("device", device.as_str()),
        ("instance", address.as_str()),
        ("job", "node"),
        ("namespace", "default"),
        ("pod", pod.as_str()),
        ("zone", zone.as_str()),
    ])
}

/// The value of a series at a scrape: the mix of kinds that exporters have.
fn value(index: usize, scrape: usize) -> f64 {
    let noise = (index * 2_654_435_761 + scrape * 40_503) % 1000;
    match index % 20 {
        0..10 => (scrape * (1 + index % 300) + index * 1000 + noise / 10) as f64,
        10..13 => (scrape * (1 + index % 150) + noise) as f64 / 100.0,
        13..16 => noise as f64 / 10.0,
        16..19 => 4096.0 * (index % 77) as f64,
        _ => (noise as f64 + 0.5) / 7.0,
    }
}

/// All series of an instance share a time that jitters by some milliseconds.
fn time_ms(index: usize, scrape: usize) -> i64 {
    let instance = index / 1000;
    START_MS
        + scrape as i64 * INTERVAL_MS
        + (instance * 13 % 15_000) as i64
        + ((instance + scrape) * 7 % 9) as i64
}

const BATCH_ROWS: usize = 2000;

/// Appends scrapes in batches; by handles once they are known.
struct Scraper {
    labels: Vec<Labels>,
    handles: Vec<Option<SeriesHandle>>,
    scrape: usize,
    batch: Batch,
    /// Time of the processor spent in appends.
    processor_ns: u64,
}

impl Scraper {
    fn new(series: usize) -> Scraper {
        let labels = (0..series).map(labels).collect();
        Scraper {
            labels,
            handles: vec![None; series],
            scrape: 0,
            batch: Batch::with_capacity(BATCH_ROWS),
            processor_ns: 0,
        }
    }

    /// One scrape of everything; the time spent in the database alone.
    fn scrape(&mut self, db: &Db, by_handles: bool) -> Duration {
        let mut spent = Duration::ZERO;
        for first in (0..self.labels.len()).step_by(BATCH_ROWS) {
            let end = self.labels.len().min(first + BATCH_ROWS);
            self.batch.clear();
            for index in first..end {
                let time = Timestamp::from_millis(time_ms(index, self.scrape));
                match self.handles[index].filter(|_| by_handles) {
                    Some(handle) => self.batch.push(handle, time, value(index, self.scrape)),
                    None => self.batch.push(self.labels[index].clone(), time, value(index, self.scrape)),
                }
            }
            let (begin, begin_ns) = (Instant::now(), processor_ns());
            let outcome = db.append(&self.batch).expect("the disk takes it");
            spent += begin.elapsed();
            self.processor_ns += processor_ns() - begin_ns;
            assert_eq!(outcome.appended, end - first, "every sample is newer than the one before");
            for (row, handle) in outcome.handles {
                self.handles[first + row] = Some(handle);
            }
        }
        self.scrape += 1;
        spent
    }
}

fn append(c: &mut Criterion) {
    const SERIES: usize = 100_000;
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Elements(SERIES as u64)).sample_size(10);
    for (name, by_handles) in [("handles", true), ("labels", false)] {
        let dir = Dir::new(name);
        let db = dir.open();
        let mut scraper = Scraper::new(SERIES);
        scraper.scrape(&db, false);
        let created = std::mem::take(&mut scraper.processor_ns) / SERIES as u64;
        const SCRAPES: usize = 60;
        for _ in 0..SCRAPES {
            scraper.scrape(&db, by_handles);
        }
        let each = scraper.processor_ns as f64 / (SERIES * SCRAPES) as f64;
        println!("append/{name}: {created} ns of processor for a new series, {each:.0} ns for a sample");
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter_custom(|rounds| (0..rounds).map(|_| scraper.scrape(&db, by_handles)).sum());
        });
        assert_eq!(db.stats().samples, (SERIES * scraper.scrape) as u64);
        let wal = db.stats().wal;
        println!(
            "append/{name}: {:.2} log bytes per sample",
            wal.bytes as f64 / (SERIES * scraper.scrape) as f64
        );
        db.close().expect("the disk takes it");
    }
    group.finish();
}

/// Resident memory of this process.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

fn memory_and_replay(c: &mut Criterion) {
    const SERIES: usize = 100_000;
    const SCRAPES: usize = 240;
    let dir = Dir::new("memory");
    let before = resident_bytes();
    let db = dir.open();
    let mut scraper = Scraper::new(SERIES);
    let test_bytes = resident_bytes() - before;
    for _ in 0..SCRAPES {
        scraper.scrape(&db, true);
    }
    let samples = (SERIES * SCRAPES) as u64;
    assert_eq!(db.stats().samples, samples);
    let memory = db.memory();
    let per_series = |bytes: u64| bytes as f64 / SERIES as f64;
    println!("memory: bytes per series at {SERIES} series x {SCRAPES} samples");
    for (part, bytes) in [
        ("series", memory.series_bytes),
        ("labels", memory.labels_bytes),
        ("open chunks", memory.open_bytes),
        ("sealed chunks", memory.sealed_bytes),
        ("out of order", memory.late_bytes),
        ("postings", memory.postings_bytes),
        ("table", memory.table_bytes),
        ("sum", memory.total_bytes()),
        // The scraper above shares the labels; its own lists are not the database's.
        ("resident", resident_bytes() - before - test_bytes),
    ] {
        println!("memory/{part}: {:.0}", per_series(bytes));
    }
    let stats = db.stats();
    println!("log: {:.2} bytes per sample", stats.wal.bytes as f64 / samples as f64);
    drop((stats, db));

    let begin = processor_ns();
    drop(dir.open_with(1, u64::MAX));
    println!(
        "replay/log: {:.1} ns of processor for a sample",
        (processor_ns() - begin) as f64 / samples as f64
    );
    let mut group = c.benchmark_group("replay");
    group.throughput(Throughput::Elements(samples)).sample_size(10).measurement_time(Duration::from_secs(20));
    for threads in [1, 2] {
        group.bench_function(BenchmarkId::new("log", format!("{threads}_threads")), |b| {
            b.iter(|| {
                let db = dir.open_with(threads, u64::MAX);
                assert_eq!(db.stats().replay.samples, samples);
                assert_eq!(db.stats().samples, samples);
                db.close().expect("nothing to write");
            });
        });
    }
    let db = dir.open_with(0, 0);
    let (begin, begin_ns) = (Instant::now(), processor_ns());
    db.close().expect("the disk takes it");
    let spent_ns = processor_ns() - begin_ns;
    println!("close with a checkpoint: {:?}, {} ms of processor", begin.elapsed(), spent_ns / 1_000_000);
    println!("on disk after it: {:?}", db.stats().disk);
    drop(db);
    group.bench_function("checkpoint", |b| {
        b.iter(|| {
            let db = dir.open();
            assert_eq!(db.stats().samples, samples);
            db.close().expect("nothing to write");
        });
    });
    group.finish();
}

fn select(c: &mut Criterion) {
    let series: usize =
        std::env::var("KYMO_BENCH_SERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    const SCRAPES: usize = 20;
    let dir = Dir::new("select");
    let db = dir.open();
    let mut scraper = Scraper::new(series);
    for _ in 0..SCRAPES {
        scraper.scrape(&db, true);
    }
    let end_ms = START_MS + 2 * SCRAPES as i64 * INTERVAL_MS;
    let range = TimeRange::from_millis(end_ms - 3_600_000, end_ms);
    let mut group = c.benchmark_group("select");
    group.sample_size(10);
    let cases = [
        ("all", vec![Matcher::equal("job", "node")], series),
        ("one_name", vec![Matcher::equal("__name__", "metric_07_total")], series / 50),
        (
            "regex",
            vec![Matcher::new(kymo_model::MatchOp::Regex, "pod", "app-0[0-4].*").expect("valid")],
            series / 20,
        ),
    ];
    for (name, matchers, expected) in cases {
        group.throughput(Throughput::Elements(expected as u64));
        group.bench_function(BenchmarkId::new("pin", name), |b| {
            b.iter(|| {
                let found = db.select(&Selector::new(matchers.clone(), range)).expect("it is open");
                assert_eq!(found.len(), expected);
                black_box(found)
            });
        });
        group.bench_function(BenchmarkId::new("last_value", name), |b| {
            let mut samples = Samples::new();
            b.iter(|| {
                let found = db.select(&Selector::new(matchers.clone(), range)).expect("it is open");
                let (mut count, mut sum) = (0, 0.0);
                for series in found.iter() {
                    if series.reader().read(&mut samples).expect("whole chunks") {
                        count += samples.len();
                        sum += samples.floats().and_then(|values| values.last().copied()).unwrap_or(0.0);
                    }
                }
                assert_eq!(count, expected * SCRAPES);
                black_box(sum)
            });
        });
    }
    group.finish();
}

/// Exemplars by handle until all that may be kept are there, and on; the same again, as each scrape brings them; selects.
fn exemplars(c: &mut Criterion) {
    const SERIES: usize = 10_000;
    const KEPT: usize = 100_000;
    let dir = Dir::new("exemplars");
    let db = dir.open();
    let mut scraper = Scraper::new(SERIES);
    scraper.scrape(&db, false);
    let mut batches = (0..20).map(|round| {
        let mut batch = Batch::new();
        for (index, handle) in scraper.handles.iter().flatten().enumerate() {
            let trace = format!("{:032x}", (index * 7919 + round * 104_729) as u128 * 0x1234_5678_9abc_def1);
            let labels = Labels::from_pairs([("trace_id", trace.as_str())]);
            let exemplar = Exemplar { labels, value: value(index, round), timestamp: None };
            batch.push_exemplar(*handle, Timestamp::from_millis(time_ms(index, round + 1)), exemplar);
        }
        batch
    });
    let (mut new_ns, mut again_ns, log_before) = (0, 0, db.stats().wal.bytes);
    for batch in &mut batches {
        let begin = processor_ns();
        assert_eq!(db.append(&batch).expect("the disk takes it").exemplars, SERIES);
        new_ns += processor_ns() - begin;
        let begin = processor_ns();
        assert_eq!(db.append(&batch).expect("the disk takes it").exemplars_refused.len(), SERIES);
        again_ns += processor_ns() - begin;
    }
    let (stats, each) = (db.stats(), |all: u64| all as f64 / (20 * SERIES) as f64);
    assert_eq!(stats.exemplars.stored, KEPT as u64);
    println!(
        "exemplars: {:.0} ns of processor for one, {:.0} ns for a repetition",
        each(new_ns),
        each(again_ns)
    );
    println!(
        "exemplars: {:.0} log bytes, {:.0} bytes of memory for each",
        each(stats.wal.bytes - log_before),
        db.memory().exemplars_bytes as f64 / KEPT as f64
    );
    let mut group = c.benchmark_group("exemplars");
    let cases = [
        ("one_name", vec![Matcher::equal("__name__", "metric_07_total")], KEPT / 50),
        ("all", vec![Matcher::equal("job", "node")], KEPT),
    ];
    for (name, matchers, expected) in cases {
        group.bench_function(BenchmarkId::new("select", name), |b| {
            b.iter(|| {
                let found =
                    db.exemplars(std::slice::from_ref(&matchers), TimeRange::ALL).expect("it is open");
                assert_eq!(found.iter().map(|of| of.exemplars.len()).sum::<usize>(), expected);
                black_box(found)
            });
        });
    }
    group.finish();
}

/// A fleet whose samples lie half in a block and half in the head: what cutting the block costs, and reading from either and both.
fn blocks(c: &mut Criterion) {
    const SERIES: usize = 100_000;
    /// Of START_MS' two hours.
    const IN_BLOCK: usize = 426;
    const SCRAPES: usize = 2 * IN_BLOCK;
    let dir = Dir::new("blocks");
    let db = dir.open();
    let mut scraper = Scraper::new(SERIES);
    for _ in 0..SCRAPES {
        scraper.scrape(&db, true);
    }
    let now = Timestamp::from_millis(START_MS + SCRAPES as i64 * INTERVAL_MS);
    let (begin, begin_ns) = (Instant::now(), processor_ns());
    assert_eq!(db.maintain(now).expect("the disk takes it").blocks_cut, 1);
    let (spent_ns, stats) = (processor_ns() - begin_ns, db.stats());
    println!(
        "blocks: cut of {} samples of {SERIES} series: {:.0} ns of processor a series, {:.1} a sample, {:.2} s; {:.2} bytes a sample",
        stats.blocks.samples,
        spent_ns as f64 / SERIES as f64,
        spent_ns as f64 / stats.blocks.samples as f64,
        begin.elapsed().as_secs_f64(),
        stats.disk.block_bytes as f64 / stats.blocks.samples as f64
    );
    let cut_ms = stats.blocks.max_time.expect("there is a block").millis();
    let mut group = c.benchmark_group("blocks");
    group.sample_size(10);
    group.throughput(Throughput::Elements(SERIES as u64));
    let all = TimeRange::ALL;
    for (name, range, least) in [
        ("head", TimeRange { min: Timestamp::from_millis(cut_ms), ..all }, SERIES * (IN_BLOCK - 2)),
        ("block", TimeRange { max: Timestamp::from_millis(cut_ms - 1), ..all }, SERIES * (IN_BLOCK - 2)),
        ("both", all, SERIES * SCRAPES),
    ] {
        group.bench_function(BenchmarkId::new("pin", name), |b| {
            b.iter(|| black_box(db.select(&Selector::new(Vec::new(), range)).expect("it is open").len()));
        });
        group.bench_function(BenchmarkId::new("read", name), |b| {
            let mut samples = Samples::new();
            b.iter(|| {
                let found = db.select(&Selector::new(Vec::new(), range)).expect("it is open");
                let mut count = 0;
                for series in found.iter() {
                    let mut reader = series.reader();
                    while reader.read(&mut samples).expect("whole chunks") {
                        count += samples.len();
                    }
                }
                assert!(found.len() == SERIES && count >= least && count <= SERIES * SCRAPES, "{count}");
                black_box(count)
            });
        });
    }
    group.finish();
}

// Memory comes first: what other parts have freed would count as the allocator's.
criterion_group!(benches, memory_and_replay, append, select, exemplars, blocks);
criterion_main!(benches);

//! How long an append takes until it is acknowledged, by sync mode, and how many there are a second when several threads wait for
//! the same disk: appends that wait together share an fsync. Every sample is counted at the end.
//!
//! `cargo bench -p kymo-benches --bench sync`; `KYMO_BENCH_DIR` is where the databases go (the directory for temporary files by
//! default; a disk in memory has no fsync to wait for), `KYMO_BENCH_SECONDS` how long each line takes (2 by default).

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use kymo_model::{Append, Batch, Labels, SeriesHandle, Timestamp};
use kymo_tsdb::{Db, Options, SyncMode};

const START_MS: i64 = 1_700_000_000_000;

/// Rows of an append: one sample, and a scrape.
const ROWS: [usize; 2] = [1, 500];

const THREADS: [usize; 5] = [1, 2, 4, 8, 16];

struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        let parent = std::env::var_os("KYMO_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = parent.join(format!("kymo-bench-sync-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Series of one writer, known by their handles.
fn create(db: &Db, writer: usize, rows: usize) -> Vec<SeriesHandle> {
    let mut batch = Batch::with_capacity(rows);
    for row in 0..rows {
        let (writer, row) = (writer.to_string(), row.to_string());
        let labels = Labels::from_pairs([("__name__", "m"), ("writer", &writer), ("row", &row)]);
        batch.push(labels, Timestamp::from_millis(START_MS), 0.0);
    }
    let handles = db.append(&batch).expect("a disk with space").handles;
    handles.into_iter().map(|(_, handle)| handle).collect()
}

/// Appends until told to stop; how long each took.
fn append_all(db: &Db, handles: &[SeriesHandle], stop: &AtomicBool) -> Vec<Duration> {
    let (mut took, mut batch) = (Vec::new(), Batch::with_capacity(handles.len()));
    while !stop.load(Relaxed) {
        let t_ms = START_MS + 15_000 * (took.len() as i64 + 1);
        batch.clear();
        for (at, handle) in handles.iter().enumerate() {
            batch.push(*handle, Timestamp::from_millis(t_ms), (took.len() * (at + 1)) as f64);
        }
        let begun = Instant::now();
        let outcome = db.append(&batch).expect("a disk with space");
        took.push(begun.elapsed());
        assert_eq!(outcome.appended, handles.len());
    }
    took
}

fn run(sync: SyncMode, rows: usize, threads: usize, seconds: u64) -> (Vec<Duration>, u64, f64) {
    let dir = Dir::new();
    let db = Db::open(&dir.0, Options { sync, ..Options::default() }).expect("a new directory");
    let handles: Vec<_> = (0..threads).map(|writer| create(&db, writer, rows)).collect();
    let (stop, syncs, begun) = (AtomicBool::new(false), db.stats().wal.syncs, Instant::now());
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let (db, stop) = (&db, &stop);
        let writers: Vec<_> =
            handles.iter().map(|handles| scope.spawn(move || append_all(db, handles, stop))).collect();
        std::thread::sleep(Duration::from_secs(seconds));
        stop.store(true, Relaxed);
        writers.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect()
    });
    let elapsed = begun.elapsed().as_secs_f64();
    let stats = db.stats();
    assert_eq!(stats.samples, ((took.len() + threads) * rows) as u64, "every sample once");
    took.sort_unstable();
    db.close().expect("a disk with space");
    (took, stats.wal.syncs - syncs, elapsed)
}

fn main() {
    let seconds = std::env::var("KYMO_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let us =
        |took: &[Duration], part: f64| took[((took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    println!("one thread: time of an append");
    for (name, sync) in [
        ("always", SyncMode::Always),
        ("interval 1 s", SyncMode::IntervalMs(1000)),
        ("never", SyncMode::Never),
    ] {
        for rows in ROWS {
            let (took, syncs, _) = run(sync, rows, 1, seconds);
            println!(
                "{name:>12}, {rows:>3} rows: p50 {:>9.1} us, p99 {:>9.1} us, {} appends, {syncs} fsyncs",
                us(&took, 0.5),
                us(&took, 0.99),
                took.len()
            );
        }
    }
    println!("sync = always, 500 rows: appends that wait together share an fsync");
    for threads in THREADS {
        let (took, syncs, elapsed) = run(SyncMode::Always, 500, threads, seconds);
        println!(
            "{threads:>3} threads: {:>8.0} samples/s, p50 {:>9.1} us, p99 {:>9.1} us, {:.1} appends per fsync",
            (took.len() * 500) as f64 / elapsed,
            us(&took, 0.5),
            us(&took, 0.99),
            took.len() as f64 / syncs.max(1) as f64
        );
    }
}

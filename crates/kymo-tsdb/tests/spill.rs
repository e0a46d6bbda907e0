//! Sealed chunks leave the heap: what that saves, what reading them costs, and who may still read files that are removed.

use kymo_model::{Append, Batch, Labels, Queryable, Samples, Selector, SeriesSet, TimeRange, Timestamp};
use kymo_testkit::{SimClock, SimDisk};
use kymo_tsdb::{Db, Options};

const START_MS: i64 = 1_699_999_200_000;
const STEP_MS: i64 = 30_000;
const SERIES: i64 = 200;
const HOUR_MS: i64 = 3_600_000;

fn options(disk: &SimDisk, clock: &SimClock) -> Options {
    Options {
        vfs: disk.vfs(),
        clock: clock.shared(),
        spill_bytes: 4000,
        retention_ms: 24 * HOUR_MS,
        replay_threads: 2,
        checkpoint_close_bytes: u64::MAX,
        ..Options::default()
    }
}

fn value(series: i64, i: i64) -> f64 {
    (series * 1_000_003 + i * i) as f64 / 3.0
}

/// Appends number `from..to` to each series.
fn append(db: &Db, from: i64, to: i64) {
    for i in from..to {
        let mut batch = Batch::new();
        for series in 0..SERIES {
            let labels = Labels::from_pairs([("__name__", "m"), ("s", &format!("{series:03}"))]);
            batch.push(labels, Timestamp::from_millis(START_MS + i * STEP_MS), value(series, i));
        }
        assert_eq!(db.append(&batch).unwrap().appended, SERIES as usize);
    }
}

fn select(db: &Db, range: TimeRange) -> SeriesSet {
    db.select(&Selector::new(Vec::new(), range)).unwrap()
}

/// Reads everything and checks each value; gives the number of samples.
fn read(set: &SeriesSet) -> usize {
    let (mut samples, mut count) = (Samples::new(), 0);
    for series in set.iter() {
        let number = series.labels().get("s").unwrap().parse().unwrap();
        let mut reader = series.reader();
        while reader.read(&mut samples).unwrap() {
            for (t_ms, found) in samples.timestamps_ms.iter().zip(samples.floats().unwrap()) {
                assert_eq!(*found, value(number, (t_ms - START_MS) / STEP_MS), "{}", series.labels());
            }
            count += samples.len();
        }
    }
    count
}

fn chunk_files(disk: &SimDisk) -> Vec<String> {
    let files = disk.files().into_iter().filter(|file| file.starts_with("/data/head/chunks"));
    files.map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn sealed_chunks_leave_the_heap_at_once_and_at_an_opening() {
    let (disk, clock) = (SimDisk::new(1), SimClock::at_ms(START_MS + 8 * HOUR_MS));
    let db = Db::open("/data", options(&disk, &clock)).unwrap();
    append(&db, 0, 700);
    // Six hours: a file for each range of two.
    assert_eq!(chunk_files(&disk).len(), 3, "{:?}", chunk_files(&disk));
    let check_memory = |db: &Db| {
        let memory = db.memory();
        let chunks = db.stats().chunks - memory.series;
        let each = memory.sealed_bytes as f64 / chunks as f64;
        assert!(
            chunks >= 5 * memory.series && each < 80.0,
            "{each} bytes for each of {chunks} sealed chunks"
        );
    };
    check_memory(&db);
    assert_eq!(read(&select(&db, TimeRange::ALL)), 700 * SERIES as usize);
    drop(db);
    // What was spilled is not a part of the database yet: the log has it.
    let db = Db::open("/data", options(&disk, &clock)).unwrap();
    assert_eq!(db.stats().replay.samples, 700 * SERIES as u64);
    check_memory(&db);
    assert_eq!(read(&select(&db, TimeRange::ALL)), 700 * SERIES as usize);
    db.checkpoint().unwrap();
    check_memory(&db);
    drop(db);
    let db = Db::open("/data", options(&disk, &clock)).unwrap();
    assert_eq!(db.stats().replay.samples, 0);
    check_memory(&db);
    assert_eq!(read(&select(&db, TimeRange::ALL)), 700 * SERIES as usize);
}

#[test]
fn neighbouring_chunks_are_read_together() {
    let (disk, clock) = (SimDisk::new(1), SimClock::at_ms(START_MS + 8 * HOUR_MS));
    let db = Db::open("/data", options(&disk, &clock)).unwrap();
    append(&db, 0, 700);
    let sealed = db.stats().chunks - SERIES as u64;
    let reads = |set: &SeriesSet| {
        let before = disk.reads();
        assert!(read(set) > 0);
        disk.reads() - before
    };
    let set = select(&db, TimeRange::ALL);
    let first = reads(&set);
    assert!(first * 10 < sealed, "{first} reads for {sealed} chunks");
    // Two threads that read one half each cost about as much as one.
    let set = select(&db, TimeRange::ALL);
    let before = disk.reads();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let set = &set;
            scope.spawn(move || {
                let mut samples = Samples::new();
                for series in set.iter().skip(half * set.len() / 2).take(set.len() / 2) {
                    assert!(series.reader().read(&mut samples).unwrap());
                    assert_eq!(samples.len(), 700);
                }
            });
        }
    });
    let both = disk.reads() - before;
    assert!(both < 2 * first + 20, "{both} reads by two threads, {first} by one");
    // One range of two hours costs about a third.
    let one = reads(&select(&db, TimeRange::from_millis(START_MS, START_MS + HOUR_MS)));
    assert!(one < first, "{one} of {first}");
}

#[test]
fn a_select_outlives_the_files_it_pinned() {
    let (disk, clock) = (SimDisk::new(1), SimClock::at_ms(START_MS + 8 * HOUR_MS));
    let db = Db::open("/data", options(&disk, &clock)).unwrap();
    append(&db, 0, 700);
    db.checkpoint().unwrap();
    let (before, pinned) = (chunk_files(&disk), select(&db, TimeRange::ALL));
    clock.advance_ms(40 * HOUR_MS as u64);
    append(&db, 4000, 4002);
    let done = db.maintain(Timestamp::from_millis(START_MS + 48 * HOUR_MS)).unwrap();
    assert_eq!(done.files_removed, 3);
    // The manifest names files that are gone on purpose.
    assert!(chunk_files(&disk).iter().all(|name| !before.contains(name)), "{:?}", chunk_files(&disk));
    // The chunk that was open then is gone, because no retention keeps its samples.
    assert_eq!(read(&pinned), 600 * SERIES as usize, "a select from before goes on");
    assert!(read(&select(&db, TimeRange::ALL)) < 200 * SERIES as usize);
    drop(db);
    assert_eq!(read(&pinned), 600 * SERIES as usize, "and when the database has ended");
    let db = Db::open("/data", options(&disk, &clock)).unwrap();
    assert_eq!(db.stats().replay.damaged, []);
    db.checkpoint().unwrap();
    assert!(chunk_files(&disk).iter().all(|name| !name.contains("gone")), "{:?}", chunk_files(&disk));
}

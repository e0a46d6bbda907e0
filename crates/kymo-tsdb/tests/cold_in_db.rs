//! Cold blocks as a part of a database: it answers as before, whatever was made cold; retention, deletions, snapshots and guests
//! know them; damage to one costs that one.
//!
//! That a crash at any place of a conversion leaves every sample once is tested by tests/faults, where histories make blocks cold.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use kymo_model::{
    Append, Batch, CancelToken, Labels, Matcher, Queryable, Samples, Selector, TimeRange, Values,
};
use kymo_testkit::{Crash, Fault, SimClock, SimDisk};
use kymo_tsdb::block::{BlockStore, BlockStoreOptions, CompactionPlan, StoredBlock};
use kymo_tsdb::cold::ColdWriteError;
use kymo_tsdb::{Clock, Db, Options, ReadOnlyDb};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// The beginning of a range, of two hours and of six.
const START_MS: i64 = 1_700_000_000_000 / (6 * HOUR_MS) * (6 * HOUR_MS);
const NAMES: [&str; 3] = ["a", "b", "c"];

type Rows = BTreeMap<Labels, BTreeMap<i64, u64>>;

/// Blocks of two hours that do not grow, cold when they are older than `hours`.
fn options(disk: &SimDisk, clock: &SimClock, hours: Option<i64>) -> Options {
    let cold_after_ms = hours.map_or(Options::NEVER_COLD, |hours| hours * HOUR_MS);
    let (vfs, clock) = (disk.vfs(), clock.shared());
    Options { vfs, clock, cold_after_ms, block_range_ms_max: 1, ..Options::default() }
}

/// Goes on by so many hours: a sample each minute of each series, a maintenance each minute.
fn live(db: &Db, clock: &SimClock, hours: i64) {
    for _ in 0..hours * 60 {
        clock.advance_ms(MINUTE_MS as u64);
        let now = Clock::now(clock);
        let mut batch = Batch::new();
        for (number, name) in NAMES.iter().enumerate() {
            let labels = Labels::from_pairs([("__name__", "m"), ("s", *name)]);
            batch.push(labels, now, (now.millis() % 7_919 * (number as i64 + 1)) as f64 / 8.0);
        }
        assert_eq!(db.append(&batch).unwrap().refused, []);
        db.maintain(now).unwrap();
    }
}

/// Everything in a range; a sample that is there twice fails.
fn rows(store: &dyn Queryable, range: TimeRange) -> Rows {
    let (mut rows, mut samples) = (Rows::new(), Samples::new());
    for series in store.select(&Selector::new(Vec::new(), range)).unwrap().iter() {
        let row = rows.entry(series.labels()).or_default();
        let mut reader = series.reader();
        while reader.read(&mut samples).unwrap() {
            let Values::Floats(values) = &samples.values else { panic!("only floats were written") };
            for (t_ms, value) in samples.timestamps_ms.iter().zip(values) {
                assert_eq!(row.insert(*t_ms, value.to_bits()), None, "twice at {t_ms}");
            }
        }
    }
    rows.retain(|_, row| !row.is_empty());
    rows
}

fn count(rows: &Rows) -> usize {
    rows.values().map(BTreeMap::len).sum()
}

fn cold_count(blocks: &[StoredBlock]) -> usize {
    blocks.iter().filter(|block| block.is_cold()).count()
}

/// A database of so many hours that has no cold blocks.
fn prepared(seed: u64, hours: i64) -> (SimDisk, SimClock) {
    let (disk, clock) = (SimDisk::new(seed), SimClock::at_ms(START_MS - MINUTE_MS));
    let db = Db::open("/data", options(&disk, &clock, None)).unwrap();
    live(&db, &clock, hours);
    db.close().unwrap();
    (disk, clock)
}

/// Makes everything cold that is old enough.
fn make_cold(db: &Db, clock: &SimClock) -> usize {
    (0..).take_while(|_| db.maintain(Clock::now(clock)).unwrap().made_cold).count()
}

#[test]
fn a_database_answers_as_before() {
    let (disk, clock) = prepared(1, 13);
    let db = Db::open("/data", options(&disk, &clock, Some(4))).unwrap();
    let (plain, bytes) = (db.blocks(), db.stats().disk.block_bytes);
    assert_eq!((plain.len(), cold_count(&plain)), (6, 0));
    let ranges: Vec<TimeRange> = (-1..15)
        .flat_map(|hour| [1, 5, 30].map(|long| (START_MS + hour * HOUR_MS, long * HOUR_MS)))
        .map(|(from_ms, long_ms)| TimeRange::from_millis(from_ms, from_ms + long_ms))
        .collect();
    let oracle: Vec<Rows> = ranges.iter().map(|range| rows(&db, *range)).collect();
    let estimate = |db: &dyn Queryable| db.estimate(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap();
    let (estimated, pinned) = (estimate(&db), db.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap());
    // Four end more than four hours before the newest sample.
    assert_eq!(make_cold(&db, &clock), 4);
    let check = |store: &dyn Queryable| {
        for (range, wanted) in ranges.iter().zip(&oracle) {
            assert_eq!(&rows(store, *range), wanted, "{range:?}");
            let empty = wanted.is_empty();
            assert_eq!(
                store.label_names(&[], *range, &CancelToken::new()).unwrap().is_empty(),
                empty,
                "{range:?}"
            );
            let names = store.label_values("s", &[], *range, &CancelToken::new()).unwrap();
            assert_eq!(names, if empty { Vec::new() } else { NAMES.to_vec() }, "{range:?}");
        }
        assert_eq!(estimate(store), estimated);
    };
    check(&db);
    let blocks = db.blocks();
    assert_eq!((blocks.len(), cold_count(&blocks)), (6, 4));
    assert!(
        blocks.is_sorted_by_key(|block| block.meta().min_time_ms)
            && blocks[..4].iter().all(StoredBlock::is_cold)
    );
    let stats = db.stats();
    assert_eq!((stats.blocks.cold, stats.blocks.made_cold, stats.blocks.failures), (4, 4, 0));
    assert!(stats.disk.block_bytes < bytes, "{} of {bytes}", stats.disk.block_bytes);
    // Who selected before reads what is gone from the disk.
    let (mut samples, mut read) = (Samples::new(), 0);
    for series in pinned.iter() {
        let mut reader = series.reader();
        while reader.read(&mut samples).unwrap() {
            read += samples.len();
        }
    }
    assert_eq!(read, 3 * 13 * 60);
    check(&ReadOnlyDb::open("/data", options(&disk, &clock, None)).unwrap());
    db.close().unwrap();
    // What is beside the blocks is passed over.
    for dir in ["quarantine", "imported"] {
        for block in blocks[..2].iter().chain(&blocks[4..]) {
            let name = block.dir().file_name().unwrap();
            disk.put(&Path::new("/data").join(dir).join(name).join("meta.json"), b"{}".to_vec());
        }
    }
    let db = Db::open("/data", options(&disk, &clock, None)).unwrap();
    assert!(!db.stats().replay.has_loss(), "{:?}", db.stats().replay);
    check(&db);
    // A snapshot is a directory of Prometheus' blocks.
    let metas = db.snapshot("/copy", true).unwrap().blocks;
    assert!(
        disk.files()
            .iter()
            .all(|path| !path.starts_with("/copy") || !path.to_string_lossy().contains("cold"))
    );
    let copy = BlockStore::open(disk.vfs(), Path::new("/copy"), BlockStoreOptions::default()).unwrap();
    assert_eq!((copy.blocks().len(), cold_count(&copy.blocks())), (metas.len(), 0));
    assert_eq!(rows(&copy, TimeRange::ALL), rows(&db, TimeRange::ALL));
}

#[test]
fn deleted_and_cleaned() {
    let (disk, clock) = prepared(2, 13);
    let db = Db::open("/data", options(&disk, &clock, Some(4))).unwrap();
    make_cold(&db, &clock);
    // Of the second, all of the third, and of the fourth.
    let gone = TimeRange::from_millis(START_MS + 3 * HOUR_MS, START_MS + 7 * HOUR_MS);
    let mut wanted = rows(&db, TimeRange::ALL);
    let before = count(&wanted);
    let deleted = db.delete(&[Matcher::equal("s", "b")], gone).unwrap();
    assert_eq!(deleted.block_series, 3);
    for (labels, row) in &mut wanted {
        row.retain(|t_ms, _| {
            labels.get("s") != Some("b") || *t_ms < gone.min.millis() || *t_ms > gone.max.millis()
        });
    }
    assert_eq!(before - count(&wanted), 4 * 60 + 1);
    assert_eq!(rows(&db, TimeRange::ALL), wanted);
    db.close().unwrap();
    let db = Db::open("/data", options(&disk, &clock, Some(4))).unwrap();
    assert_eq!((rows(&db, TimeRange::ALL), db.stats().blocks.tombstones), (wanted.clone(), 3));
    assert_eq!(db.clean_tombstones().unwrap(), 3);
    let blocks = db.blocks();
    assert_eq!((cold_count(&blocks), db.stats().blocks.tombstones), (4, 0));
    assert_eq!(blocks[2].meta().stats.num_series, 2);
    assert_eq!(rows(&db, TimeRange::ALL), wanted);
    // All of the third.
    let third = TimeRange::from_millis(START_MS + 4 * HOUR_MS, START_MS + 6 * HOUR_MS - 1);
    db.delete(&[], third).unwrap();
    assert_eq!((db.clean_tombstones().unwrap(), cold_count(&db.blocks())), (1, 3));
    db.close().unwrap();
    let db = Db::open("/data", options(&disk, &clock, Some(4))).unwrap();
    wanted
        .values_mut()
        .for_each(|row| row.retain(|t_ms, _| !(third.min.millis()..=third.max.millis()).contains(t_ms)));
    assert_eq!(rows(&db, TimeRange::ALL), wanted);
}

/// Where something was deleted from more than a twentieth of the series, maintenance cleans a cold block by itself, as compaction does
/// with others.
#[test]
fn much_deleted_is_cleaned_by_itself() {
    let (disk, clock) = prepared(4, 9);
    let db = Db::open("/data", options(&disk, &clock, Some(4))).unwrap();
    assert_eq!(make_cold(&db, &clock), 2);
    let first = TimeRange::from_millis(START_MS, START_MS + HOUR_MS);
    assert_eq!(db.delete(&[Matcher::equal("s", "b")], first).unwrap().block_series, 1);
    let (wanted, before) = (rows(&db, TimeRange::ALL), db.blocks());
    let done = db.maintain(Clock::now(&clock)).unwrap();
    let after = db.blocks();
    assert_eq!((done.compacted, db.stats().blocks.tombstones, cold_count(&after)), (true, 0, 2));
    assert!(after[0].meta().ulid != before[0].meta().ulid && after[1].meta().ulid == before[1].meta().ulid);
    assert_eq!(rows(&db, TimeRange::ALL), wanted);
    assert!(!db.maintain(Clock::now(&clock)).unwrap().compacted, "there is nothing left to clean");
    db.close().unwrap();
    let db = Db::open("/data", options(&disk, &clock, Some(4))).unwrap();
    assert_eq!((rows(&db, TimeRange::ALL), cold_count(&db.blocks())), (wanted, 2));
}

/// A fault at every operation of cleaning: what was deleted stays so, the rest is there once.
#[test]
fn cleaning_breaks_off() {
    let (disk, clock) = prepared(3, 9);
    let db = Db::open("/data", options(&disk, &clock, Some(4))).unwrap();
    assert_eq!(make_cold(&db, &clock), 2);
    db.delete(&[Matcher::equal("s", "b")], TimeRange::from_millis(START_MS, START_MS + HOUR_MS)).unwrap();
    let wanted = rows(&db, TimeRange::ALL);
    db.close().unwrap();
    let open = |disk: &SimDisk| Db::open("/data", options(disk, &clock, None)).unwrap();
    let counting = disk.copy(0);
    let db = open(&counting);
    let first = counting.calls();
    db.clean_tombstones().unwrap();
    let calls = counting.calls() - first;
    assert!(calls > 30, "{calls} operations");
    for call in 0..calls {
        for (fault, crash) in [
            (Fault::Stop, Crash::Power),
            (Fault::Stop, Crash::Process),
            (Fault::Io, Crash::Power),
            (Fault::Full, Crash::Process),
        ] {
            let disk = disk.copy(call);
            let db = open(&disk);
            disk.plan(disk.calls() + call, fault);
            let cleaned = db.clean_tombstones();
            if fault != Fault::Stop {
                assert_eq!(rows(&db, TimeRange::ALL), wanted, "operation {call}, {fault:?}: {cleaned:?}");
            }
            drop(db);
            disk.restart(crash);
            let db = open(&disk);
            assert_eq!(rows(&db, TimeRange::ALL), wanted, "operation {call}, {fault:?}: {cleaned:?}");
            db.clean_tombstones().unwrap();
            assert_eq!((rows(&db, TimeRange::ALL), db.stats().blocks.tombstones), (wanted.clone(), 0));
        }
    }
}

#[test]
fn the_oldest_go_cold_or_not() {
    let (disk, clock) = prepared(4, 13);
    let db = Db::open("/data", options(&disk, &clock, Some(4))).unwrap();
    make_cold(&db, &clock);
    let (blocks, bytes) = (db.blocks(), db.stats().disk.total_bytes());
    db.close().unwrap();
    // By bytes, at the opening: two of the cold ones have to go.
    let bound = bytes - blocks[0].size_bytes() - 1;
    let db = Db::open("/data", Options { retention_bytes: bound, ..options(&disk, &clock, None) }).unwrap();
    assert!(db.stats().disk.total_bytes() <= bound);
    assert_eq!((db.blocks().len(), cold_count(&db.blocks())), (4, 2));
    let oldest_ms =
        |db: &Db| rows(db, TimeRange::ALL).values().filter_map(|row| row.keys().next().copied()).min();
    assert_eq!(oldest_ms(&db), Some(START_MS + 4 * HOUR_MS));
    db.close().unwrap();
    // By time.
    let db =
        Db::open("/data", Options { retention_ms: 6 * HOUR_MS, ..options(&disk, &clock, None) }).unwrap();
    assert_eq!(
        (db.blocks().len(), cold_count(&db.blocks()), oldest_ms(&db)),
        (3, 1, Some(START_MS + 6 * HOUR_MS))
    );
    let dirs = disk.vfs().list(Path::new("/data")).unwrap();
    assert_eq!(dirs.iter().filter(|entry| entry.name.contains(".cold")).count(), 1, "{dirs:?}");
}

/// One that cannot be opened is set aside, one with a damaged column is warned of; neither stops anything.
#[test]
fn damage_costs_what_it_hits() {
    let (disk, clock) = prepared(5, 13);
    let db = Db::open("/data", options(&disk, &clock, Some(4))).unwrap();
    make_cold(&db, &clock);
    let (blocks, all) = (db.blocks(), rows(&db, TimeRange::ALL));
    db.close().unwrap();
    let index = blocks[0].dir().join("index");
    disk.put(&index, disk.read(&index).unwrap()[..40].to_vec());
    disk.flip(&blocks[1].dir().join("columns"), 20, 1).unwrap();
    let guest = ReadOnlyDb::open("/data", options(&disk, &clock, None)).unwrap();
    assert_eq!((guest.refused_blocks().len(), guest.blocks().len()), (1, 5));
    let db = Db::open("/data", options(&disk, &clock, Some(2))).unwrap();
    let damaged = db.stats().replay.damaged;
    let aside = damaged[0].quarantine.clone().expect("it was moved");
    assert!(
        damaged.len() == 1 && disk.files().contains(&aside.join("index")) && !disk.files().contains(&index)
    );
    let left = rows(&db, TimeRange::ALL);
    // All of the first, one series of the second.
    assert_eq!(count(&all) - count(&left), 3 * 120 + 120);
    let set = db.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap();
    assert_eq!((set.warnings().len(), db.stats().blocks.damaged > 0), (1, true), "{:?}", set.warnings());
    // The others go on: one more is old enough now.
    assert_eq!((make_cold(&db, &clock), cold_count(&db.blocks())), (1, 4));
    live(&db, &clock, 2);
    assert_eq!((cold_count(&db.blocks()), db.stats().blocks.failures), (5, 0));
}

/// A block that is damaged when it is to become cold goes to quarantine, what can be read of it is cold.
#[test]
fn damaged_before() {
    let (disk, clock) = prepared(6, 9);
    let db = Db::open("/data", options(&disk, &clock, Some(4))).unwrap();
    let (first, all) = (db.blocks()[0].dir().to_owned(), rows(&db, TimeRange::ALL));
    disk.flip(&first.join("chunks/000001"), 40, 1).unwrap();
    assert_eq!(make_cold(&db, &clock), 2);
    assert!(disk.read(&Path::new("/data/quarantine").join(first.file_name().unwrap()).join("index")).is_ok());
    let left = count(&rows(&db, TimeRange::ALL));
    assert!(left < count(&all) && left >= count(&all) - 120, "{left}");
}

/// A fault at every operation of a conversion by maintenance: every sample is there once, and it is tried again.
#[test]
fn becoming_cold_breaks_off() {
    let (disk, clock) = prepared(7, 7);
    let options = |disk: &SimDisk| options(disk, &clock, Some(4));
    // All that is due at an opening is done before.
    let settle = |disk: &SimDisk| {
        let db = Db::open("/data", options(disk)).unwrap();
        db.sync().unwrap();
        db
    };
    let counting = disk.copy(0);
    let db = settle(&counting);
    let (wanted, first) = (rows(&db, TimeRange::ALL), counting.calls());
    assert!(db.maintain(Clock::now(&clock)).unwrap().made_cold);
    let calls = counting.calls() - first;
    assert!(calls > 15, "{calls} operations");
    let mut cold_after = 0;
    for call in 0..calls {
        for (fault, crash) in [
            (Fault::Stop, Crash::Power),
            (Fault::Stop, Crash::Process),
            (Fault::Io, Crash::Power),
            (Fault::Full, Crash::Process),
        ] {
            let disk = disk.copy(call);
            let db = settle(&disk);
            disk.plan(disk.calls() + call, fault);
            let done = db.maintain(Clock::now(&clock));
            if fault != Fault::Stop {
                assert_eq!(rows(&db, TimeRange::ALL), wanted, "operation {call}, {fault:?}: {done:?}");
            }
            drop(db);
            disk.restart(crash);
            let db = settle(&disk);
            assert_eq!(rows(&db, TimeRange::ALL), wanted, "operation {call}, {fault:?}: {done:?}");
            assert_eq!(db.blocks().len(), 3, "operation {call}, {fault:?}: {done:?}");
            cold_after += cold_count(&db.blocks());
            make_cold(&db, &clock);
            assert_eq!((rows(&db, TimeRange::ALL), cold_count(&db.blocks())), (wanted.clone(), 1));
            let names = disk.vfs().list(Path::new("/data")).unwrap();
            assert!(names.iter().all(|entry| !entry.name.contains(".cold.tmp")), "{names:?}");
        }
    }
    assert!(cold_after > 0 && cold_after < 4 * calls as usize, "{cold_after} of {}", 4 * calls);
}

/// Selects beside conversions see every sample that was there before them, once.
#[test]
fn selects_beside_conversions_miss_nothing() {
    let (disk, clock) = prepared(8, 25);
    let db = Db::open("/data", options(&disk, &clock, Some(2))).unwrap();
    let (wanted, done) = (rows(&db, TimeRange::ALL), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    assert_eq!(rows(&db, TimeRange::ALL), wanted);
                }
            });
        }
        let converted = make_cold(&db, &clock);
        done.store(true, SeqCst);
        assert!(converted >= 10, "{converted}");
    });
}

/// Whoever closes the database, or wants to delete, does not wait for a conversion.
#[test]
fn a_conversion_stops() {
    let (disk, _) = prepared(9, 9);
    let plan = CompactionPlan::from_first(2 * HOUR_MS, 3, 2 * HOUR_MS);
    let options = BlockStoreOptions { plan, ..BlockStoreOptions::default() };
    let store = BlockStore::open(disk.vfs(), Path::new("/data"), options).unwrap();
    let (before, files) = (rows(&store, TimeRange::ALL), disk.files());
    // While it is read, and while what was written is verified.
    for calls in 0..2 {
        let mut left = calls;
        let stopped = store.make_cold(i64::MAX, 1, &mut |_, _| {
            left -= 1;
            left >= 0
        });
        assert!(matches!(stopped, Err(ColdWriteError::Stopped)), "{stopped:?}");
        assert_eq!((rows(&store, TimeRange::ALL), disk.files()), (before.clone(), files.clone()));
    }
    let converted =
        (0..).take_while(|now_ms| store.make_cold(i64::MAX, *now_ms, &mut |_, _| true).unwrap().is_some());
    assert_eq!(converted.count(), store.blocks().len() - 1, "the newest stays");
    assert_eq!(rows(&store, TimeRange::ALL), before);
}

//! From the head to blocks and on: nothing is missing from any select meanwhile, nothing is twice, and what is damaged or too
//! much goes without the rest.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};

use kymo_model::{
    Append, Batch, CancelToken, Labels, Matcher, Queryable, Samples, Selector, SeriesSet, TimeRange,
    Timestamp,
};
use kymo_testkit::{SimClock, SimDisk};
use kymo_tsdb::block::{BlockStore, BlockStoreOptions};
use kymo_tsdb::{Clock, DamageKind, Db, Options, ReadOnlyDb};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// The beginning of a range.
const START_MS: i64 = 1_700_000_000_000 / (2 * HOUR_MS) * (2 * HOUR_MS);

fn options(disk: &SimDisk, clock: &SimClock) -> Options {
    Options { vfs: disk.vfs(), clock: clock.shared(), chunk_file_bytes: 4096, ..Options::default() }
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("s", name)])
}

fn put(db: &Db, name: &str, t_ms: i64, value: f64) {
    let mut batch = Batch::new();
    batch.push(labels(name), Timestamp::from_millis(t_ms), value);
    assert_eq!(db.append(&batch).unwrap().refused, [], "{name} at {t_ms}");
}

/// Times from `first` on, one each minute.
fn minutes(first: i64, count: i64) -> Vec<i64> {
    (first..first + count).map(|minute| START_MS + minute * MINUTE_MS).collect()
}

fn select(store: &dyn Queryable) -> SeriesSet {
    store.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap()
}

fn times(set: &SeriesSet, name: &str) -> Vec<i64> {
    let (mut times, mut samples) = (Vec::new(), Samples::new());
    for series in set.iter().filter(|series| series.labels() == labels(name)) {
        let mut reader = series.reader();
        while reader.read(&mut samples).unwrap() {
            times.extend_from_slice(&samples.timestamps_ms);
        }
    }
    times
}

/// Goes on by so many minutes, with a sample of each series and a maintenance in each.
fn live(db: &Db, clock: &SimClock, names: &[&str], minutes: i64) {
    for _ in 0..minutes {
        clock.advance_ms(MINUTE_MS as u64);
        let now = Clock::now(clock);
        names.iter().for_each(|name| put(db, name, now.millis(), now.millis() as f64));
        db.maintain(now).unwrap();
    }
}

#[test]
fn what_is_final_moves_to_blocks_and_is_seen_all_the_while() {
    let (disk, clock) = (SimDisk::new(1), SimClock::at_ms(START_MS - MINUTE_MS));
    let db = Db::open("/data", options(&disk, &clock)).unwrap();
    live(&db, &clock, &["a", "gone"], 50);
    // Pinned while its chunk is open; read when the chunk is in a block and the series has left.
    let pinned = select(&db);
    live(&db, &clock, &["a"], 99);
    assert_eq!(db.blocks().len(), 0, "what comes late is waited for");
    live(&db, &clock, &["a"], 2);
    let stats = db.stats();
    assert_eq!(
        (stats.blocks.blocks, stats.blocks.samples, stats.series, stats.series_removed),
        (1, 170, 1, 1)
    );
    assert_eq!(stats.samples, 31);
    assert_eq!(times(&pinned, "gone"), minutes(0, 50));
    assert_eq!(times(&pinned, "a"), minutes(0, 50));
    let found = select(&db);
    assert_eq!((times(&found, "a"), times(&found, "gone")), (minutes(0, 151), minutes(0, 50)));
    assert_eq!(db.label_values("s", &[], TimeRange::ALL, &CancelToken::new()).unwrap(), ["a", "gone"]);
    let late = TimeRange { min: Timestamp::from_millis(START_MS + 2 * HOUR_MS), ..TimeRange::ALL };
    assert_eq!(db.label_values("s", &[], late, &CancelToken::new()).unwrap(), ["a"]);

    // A series that comes back, with a gap to be filled: another block of the same range, merged with the first.
    put(&db, "gone", START_MS + 55 * MINUTE_MS, 1.0);
    live(&db, &clock, &["a"], 70);
    let compactions = db.stats().blocks.compactions;
    assert!(db.stats().blocks.cut >= 2 && compactions >= 1, "{:?}", db.stats().blocks);
    let found = select(&db);
    assert_eq!(times(&found, "gone"), [minutes(0, 50), minutes(55, 1)].concat());
    assert_eq!(times(&found, "a"), minutes(0, 221));
    let guest = ReadOnlyDb::open("/data", options(&disk, &clock)).unwrap();
    assert_eq!(times(&select(&guest), "a"), minutes(0, 221));
    assert_eq!(guest.blocks().len(), db.blocks().len());

    // Deleted from the block and from the head, and not brought back by anything.
    let gone = TimeRange::from_millis(START_MS + 10 * MINUTE_MS, START_MS + 210 * MINUTE_MS);
    let deleted = db.delete(&[Matcher::equal("s", "a")], gone).unwrap();
    assert!(
        deleted.block_series == 1 && deleted.head_series == 1 && deleted.head_samples >= 31,
        "{deleted:?}"
    );
    let left = [minutes(0, 10), minutes(211, 10)].concat();
    assert_eq!(times(&select(&db), "a"), left);
    assert_eq!(db.clean_tombstones().unwrap(), 1);
    assert_eq!(times(&select(&db), "a"), left);
    let snapshot = db.snapshot("/copies/one", true).unwrap();
    assert!(snapshot.blocks.len() >= 2 && snapshot.warnings.is_empty(), "{snapshot:?}");
    let copy = BlockStore::open(disk.vfs(), Path::new("/copies/one"), BlockStoreOptions::default()).unwrap();
    assert_eq!(times(&select(&copy), "a"), left);
    // A Prometheus that goes on with it takes what comes after the last sample, and not only what comes after its range.
    let newest_ms = db.stats().max_time.unwrap().millis();
    assert_eq!(copy.end_ms(), Some(newest_ms + 1));
    assert!(db.snapshot("/copies/one", true).is_err(), "a name that is taken");
    db.close().unwrap();
    let db = Db::open("/data", options(&disk, &clock)).unwrap();
    assert!(!db.stats().replay.has_loss(), "{:?}", db.stats().replay);
    let found = select(&db);
    assert_eq!((times(&found, "a"), times(&found, "gone").len()), (left, 51));
}

/// Series of which some are still being filled do not hold up the others for ever.
#[test]
fn a_back_fill_holds_up_nobody() {
    let (disk, clock) = (SimDisk::new(2), SimClock::at_ms(START_MS - MINUTE_MS));
    let db = Db::open("/data", options(&disk, &clock)).unwrap();
    live(&db, &clock, &["a"], 120);
    // Ten seconds of its past each minute.
    for step in 0..150 {
        put(&db, "slow", START_MS + step * 10_000, 1.0);
        live(&db, &clock, &["a"], 1);
        // From when the range was over for `a` on, it waits for an hour.
        let cut = db.stats().blocks.cut;
        assert!(cut == 0 || step > 85, "after {step} minutes");
        assert!(cut == 1 || step < 95, "after {step} minutes");
    }
    let blocks = db.blocks();
    assert_eq!((blocks.len(), blocks[0].meta().stats.num_series), (1, 1));
    let found = select(&db);
    assert_eq!((times(&found, "a").len(), times(&found, "slow").len()), (270, 150));
}

/// Selects beside cuts and compactions see every sample that was there before them, once.
#[test]
fn selects_beside_cuts_miss_nothing() {
    let (disk, clock) = (SimDisk::new(3), SimClock::at_ms(START_MS - MINUTE_MS));
    let options = Options { out_of_order_window_ms: MINUTE_MS, ..options(&disk, &clock) };
    let db = Db::open("/data", options).unwrap();
    let (written, done) = (AtomicI64::new(0), AtomicBool::new(false));
    let names: Vec<String> = (0..40).map(|number| format!("{number}")).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    let least = written.load(SeqCst);
                    let found = select(&db);
                    for name in names.iter().step_by(7) {
                        let times = times(&found, name);
                        assert_eq!(times, minutes(0, times.len() as i64), "{name}");
                        assert!(times.len() as i64 >= least, "{name}: {} of {least}", times.len());
                    }
                }
            });
        }
        for minute in 0..1000 {
            clock.advance_ms(MINUTE_MS as u64);
            let now = Clock::now(&clock);
            let mut batch = Batch::new();
            names.iter().for_each(|name| batch.push(labels(name), now, minute as f64));
            assert_eq!(db.append(&batch).unwrap().refused, []);
            written.store(minute + 1, SeqCst);
            db.maintain(now).unwrap();
        }
        done.store(true, SeqCst);
    });
    let blocks = db.stats().blocks;
    assert!(blocks.cut >= 7 && blocks.compactions >= 1 && blocks.failures == 0, "{blocks:?}");
}

#[test]
fn damaged_blocks_are_set_aside_and_the_oldest_go_when_there_is_too_much() {
    let (disk, clock) = (SimDisk::new(4), SimClock::at_ms(START_MS - MINUTE_MS));
    let db = Db::open("/data", Options { block_range_ms_max: 1, ..options(&disk, &clock) }).unwrap();
    live(&db, &clock, &["a", "b"], 11 * 60);
    let blocks = db.blocks();
    assert_eq!(blocks.len(), 5);
    let bytes = db.stats().disk.total_bytes();
    db.close().unwrap();
    // The index of the second one is cut.
    let index = blocks[1].dir().join("index");
    let whole = disk.read(&index).unwrap();
    disk.put(&index, whole[..40].to_vec());
    let db = Db::open("/data", options(&disk, &clock)).unwrap();
    let replay = db.stats().replay;
    assert_eq!(
        (replay.damaged.len(), replay.damaged[0].kind),
        (1, DamageKind::Block),
        "{:?}",
        replay.damaged
    );
    let aside = replay.damaged[0].quarantine.clone().expect("it was moved");
    assert!(disk.files().contains(&aside.join("index")) && !disk.files().contains(&index));
    assert_eq!(db.blocks().len(), 4);
    let wanted = [minutes(0, 120), minutes(240, 11 * 60 - 240)].concat();
    assert_eq!(times(&select(&db), "a"), wanted);
    db.close().unwrap();
    // A bound that two blocks have to go for, at the opening already.
    let one = blocks[0].size_bytes();
    let bound = bytes - one - 2 * one + one / 2;
    let db = Db::open("/data", Options { retention_bytes: bound, ..options(&disk, &clock) }).unwrap();
    assert!(db.stats().disk.total_bytes() <= bound, "{:?}, bound {bound}", db.stats().disk);
    let found = times(&select(&db), "a");
    assert_eq!(found.last(), wanted.last());
    assert!(found[0] >= START_MS + 6 * HOUR_MS, "{:?}", found[0]);
    // By time: what is left of the blocks goes when all of it is too old.
    db.close().unwrap();
    let db = Db::open("/data", Options { retention_ms: 2 * HOUR_MS, ..options(&disk, &clock) }).unwrap();
    let found = times(&select(&db), "a");
    assert_eq!(found, minutes(8 * 60, 3 * 60), "{:?}", db.blocks());
}

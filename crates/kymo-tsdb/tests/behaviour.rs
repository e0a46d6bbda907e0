//! What the database answers when nothing fails: outcomes row by row, snapshots, order, retention, figures, locks.

use kymo_model::{
    Append, Appended, Batch, CancelToken, Labels, MatchOp, Matcher, Queryable, Refusal, RowSeries, Samples,
    Selector, SeriesSet, StoreErrorKind, TimeRange, Timestamp,
};
use kymo_testkit::{SimClock, SimDisk};
use kymo_tsdb::{Db, LabelBound, OpenError, Options, OsVfs, SyncMode, Vfs};

const NOW_MS: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;

fn options(disk: &SimDisk) -> Options {
    Options { vfs: disk.vfs(), clock: SimClock::at_ms(NOW_MS).shared(), ..Options::default() }
}

fn open(change: impl FnOnce(&mut Options)) -> (SimDisk, Db) {
    let disk = SimDisk::new(1);
    let mut options = options(&disk);
    change(&mut options);
    let db = Db::open("/data", options).unwrap();
    (disk, db)
}

fn series(text: &str) -> Labels {
    let mut pairs = vec![("__name__", "m")];
    pairs.extend(text.split(',').filter_map(|pair| pair.split_once('=')));
    Labels::from_pairs(pairs)
}

/// Appends rows; gives the outcome and what was refused by row.
fn append<S: Into<RowSeries>>(
    db: &Db,
    rows: impl IntoIterator<Item = (S, i64, f64)>,
) -> (Appended, Vec<(usize, Refusal)>) {
    let mut batch = Batch::new();
    for (series, t_ms, value) in rows {
        batch.push(series, Timestamp::from_millis(t_ms), value);
    }
    let outcome = db.append(&batch).unwrap();
    let refused = outcome.refused.iter().map(|refused| (refused.row, refused.reason)).collect();
    (outcome, refused)
}

fn all(set: &SeriesSet) -> Vec<(String, Vec<(i64, f64)>)> {
    let mut samples = Samples::new();
    let mut found: Vec<_> = set
        .iter()
        .map(|series| {
            let (mut reader, mut points) = (series.reader(), Vec::new());
            while reader.read(&mut samples).unwrap() {
                points.extend(
                    samples.timestamps_ms.iter().copied().zip(samples.floats().unwrap().iter().copied()),
                );
            }
            (series.labels().to_string(), points)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn select(db: &Db, matchers: &[Matcher], range: TimeRange) -> SeriesSet {
    db.select(&Selector::new(matchers.to_vec(), range)).unwrap()
}

#[test]
fn every_reason_to_refuse() {
    let (_disk, db) = open(|options| {
        options.series_max = 3;
        options.labels_max = 3;
        options.label_value_bytes_max = 10;
        options.out_of_order_window_ms = 60_000;
        options.retention_ms = HOUR_MS;
    });
    let (a, t) = (series("s=a"), NOW_MS);
    let check = |rows: Vec<(Labels, i64, f64)>, expected: &[(usize, Refusal)]| {
        assert_eq!(append(&db, rows.clone()).1, expected, "{rows:?}");
    };
    check(vec![(a.clone(), t, 1.0)], &[]);
    check(vec![(a.clone(), t, 1.0)], &[]);
    check(vec![(a.clone(), t, 2.0)], &[(0, Refusal::DuplicateTimestamp)]);
    check(vec![(a.clone(), t + 600_001, 1.0)], &[(0, Refusal::TooFarAhead)]);
    check(vec![(a.clone(), t - 60_000, 3.0)], &[]);
    check(vec![(a.clone(), t - 60_000, 3.5)], &[(0, Refusal::DuplicateTimestamp)]);
    check(vec![(a.clone(), t - 60_001, 3.0)], &[(0, Refusal::TooOld)]);
    check(vec![(Labels::empty(), t, 1.0)], &[(0, Refusal::InvalidLabels)]);
    check(vec![(series("s=b,t=c,u=d"), t, 1.0)], &[(0, Refusal::LabelCountLimit)]);
    check(vec![(series("s=12345678901"), t, 1.0)], &[(0, Refusal::LabelSizeLimit)]);
    // Inside one batch: judged after the rows before.
    let b = series("s=b");
    let rows = vec![
        (b.clone(), t, 1.0),
        (b.clone(), t, 1.0),
        (b.clone(), t, 2.0),
        (b.clone(), t - 5, 4.0),
        (b.clone(), t - 5, 5.0),
        (b.clone(), t + 1, 6.0),
    ];
    check(rows, &[(2, Refusal::DuplicateTimestamp), (4, Refusal::DuplicateTimestamp)]);
    check(
        vec![(series("s=c"), t, 1.0), (series("s=d"), t, 1.0), (a.clone(), t + 1, 1.0)],
        &[(1, Refusal::SeriesLimit)],
    );
    let unknown =
        append(&db, [(kymo_model::SeriesHandle::new(std::num::NonZeroU64::new(99).unwrap()), t, 1.0)]);
    assert_eq!(unknown.1, [(0, Refusal::UnknownHandle)]);
    let stats = db.stats();
    let count = |reason| stats.refused.iter().find(|(r, _)| *r == reason).unwrap().1;
    assert_eq!((count(Refusal::DuplicateTimestamp), count(Refusal::SeriesLimit), stats.series), (4, 1, 3));
    assert_eq!(stats.samples_out_of_order, 2);
    assert_eq!(
        all(&select(&db, &[Matcher::equal("s", "b")], TimeRange::ALL))[0].1,
        [(t - 5, 4.0), (t, 1.0), (t + 1, 6.0)]
    );
}

#[test]
fn one_metric_name_cannot_use_up_the_room_of_others() {
    let (_disk, db) = open(|options| options.series_per_name_max = 3);
    let rows = |name: &'static str, series: std::ops::Range<i32>, t_ms: i64| {
        series.map(move |s| {
            (Labels::from_pairs([("__name__", name), ("s", &s.to_string())]), t_ms, f64::from(s))
        })
    };
    assert_eq!(append(&db, rows("a", 0..2, 0)).1, []);
    let limit = |row| (row, Refusal::SeriesPerLabelLimit);
    assert_eq!(append(&db, rows("a", 0..6, 1000)).1, [limit(3), limit(4), limit(5)]);
    assert_eq!(append(&db, rows("b", 0..4, 1000).chain(rows("a", 2..4, 2000))).1, [limit(3), limit(5)]);
    assert_eq!(db.stats().series, 6);
}

#[test]
fn one_value_of_a_label_cannot_use_up_the_room_of_others() {
    let bound = |name: &str, series_max| LabelBound { name: name.to_owned(), series_max };
    let (_disk, db) = open(|options| {
        options.series_per_label_max = vec![bound("tenant", 3), bound("job", 4)];
    });
    let series = |tenant: &str, job: &str, number: i32| {
        let number = number.to_string();
        Labels::from_pairs([("__name__", "m"), ("tenant", tenant), ("job", job), ("s", &number)])
    };
    let limit = |row| (row, Refusal::SeriesPerLabelLimit);
    let rows = |tenant: &'static str, job: &'static str, numbers: std::ops::Range<i32>| {
        numbers.map(move |number| (series(tenant, job, number), 1000, f64::from(number)))
    };
    assert_eq!(append(&db, rows("a", "x", 0..4)).1, [limit(3)]);
    // What the tenant may have, the job may not; what was refused counts nowhere.
    assert_eq!(append(&db, rows("b", "x", 0..3)).1, [limit(1), limit(2)]);
    assert_eq!(append(&db, rows("b", "y", 0..3)).1, [limit(2)]);
    // Series that exist go on, and those without the label are not counted.
    assert_eq!(append(&db, (0..3).map(|number| (series("a", "x", number), 2000, 1.0))).1, []);
    assert_eq!(append(&db, rows("", "", 0..9)).1, []);
    let stats = db.stats();
    let refused = stats.refused.iter().find(|(reason, _)| *reason == Refusal::SeriesPerLabelLimit);
    assert_eq!((stats.series, refused.unwrap().1), (3 + 1 + 2 + 9, 4));
}

#[test]
fn a_reserve_stays_free_on_the_disk() {
    let clock = SimClock::at_ms(NOW_MS);
    let (disk, db) = open(|options| {
        options.disk_reserve_bytes = 10_000;
        options.clock = clock.shared();
    });
    let append = |t_ms: i64| {
        let mut batch = Batch::new();
        batch.push(series("reserve=r"), Timestamp::from_millis(t_ms), t_ms as f64);
        db.append(&batch)
    };
    append(0).unwrap();
    let used: u64 = disk.files().iter().map(|file| disk.read(file).unwrap().len() as u64).sum();
    disk.set_capacity(Some(used + 10_500));
    // Asked once a second; what was free then is counted down.
    clock.advance_ms(1000);
    let mut taken = 1;
    while append(taken).is_ok() {
        taken += 1;
        assert!(taken < 10_000, "the disk is full");
    }
    let error = append(taken).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full);
    assert!(error.to_string().contains("expected 10000 bytes to stay free"), "{error}");
    let free = disk.vfs().free_bytes("/data".as_ref()).unwrap();
    assert!((10_000..10_500).contains(&free), "{free} bytes are free");
    assert_eq!(db.stats().wal.refused_for_reserve, 2);
    // What is reserved is for a checkpoint, and for closing.
    db.checkpoint().unwrap();
    disk.set_capacity(None);
    append(taken).unwrap();
    assert_eq!((db.stats().samples_appended, db.stats().wal.write_failures), (taken as u64 + 1, 0));
}

#[test]
fn a_real_disk_says_how_much_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let free = OsVfs.free_bytes(dir.path()).unwrap();
    assert!(free > 0 && (free < u64::MAX || cfg!(not(unix))), "{free}");
    let options = Options { disk_reserve_bytes: u64::MAX, ..Options::default() };
    let db = Db::open(dir.path(), options).unwrap();
    let mut batch = Batch::new();
    batch.push(series(""), Timestamp::from_millis(0), 1.0);
    if cfg!(unix) {
        assert_eq!(db.append(&batch).unwrap_err().kind(), StoreErrorKind::Full);
        assert_eq!((db.stats().wal.refused_for_reserve, db.stats().samples), (1, 0));
    }
}

#[test]
fn without_a_window_nothing_is_taken_out_of_order() {
    let (_disk, db) = open(|options| options.out_of_order_window_ms = 0);
    append(&db, [(series(""), 100, 1.0), (series(""), 200, 1.0)]);
    assert_eq!(append(&db, [(series(""), 150, 1.0)]).1, [(0, Refusal::OutOfOrder)]);
    assert_eq!(append(&db, [(series(""), 100, 1.0)]).1, []);
}

#[test]
fn old_data_is_taken_by_an_empty_database() {
    let (_disk, db) = open(|_| {});
    let long_ago = NOW_MS - 3 * 365 * 24 * HOUR_MS;
    assert_eq!(append(&db, [(series(""), long_ago, 1.0)]).1, []);
    db.maintain(Timestamp::from_millis(NOW_MS)).unwrap();
    assert_eq!(db.stats().samples, 1);
}

#[test]
fn handles_lead_to_their_series() {
    let (_disk, db) = open(|_| {});
    let (outcome, _) = append(&db, (0..600).map(|i| (series(&format!("s={i}")), 1000, f64::from(i))));
    assert_eq!((outcome.handles.len(), outcome.series_created), (600, 600));
    let rows = outcome.handles.iter().rev().map(|(row, handle)| (*handle, 2000, *row as f64 + 0.5));
    assert_eq!(append(&db, rows).0.appended, 600);
    for (labels, points) in all(&select(&db, &[], TimeRange::ALL)) {
        let number: f64 = labels.split('"').nth(1).unwrap().parse().unwrap();
        assert_eq!(points, [(1000, number), (2000, number + 0.5)], "{labels}");
    }
}

#[test]
fn a_select_does_not_see_what_comes_later() {
    let (_disk, db) = open(|options| options.out_of_order_window_ms = HOUR_MS);
    let sample = |i: i64| (series("s=a"), i * 1000, i as f64);
    append(&db, (0..150).filter(|i| i % 10 != 5).map(sample));
    let pinned = select(&db, &[], TimeRange::ALL);
    let before = all(&pinned);
    assert_eq!(before[0].1.len(), 135);
    // Seals the chunk that was open, adds samples in between, and another series.
    append(&db, (150..500).map(sample));
    append(&db, (0..15).map(|i| sample(i * 10 + 5)));
    append(&db, [(series("s=b"), 0, 1.0)]);
    db.checkpoint().unwrap();
    assert_eq!(all(&pinned), before);
    let now = all(&select(&db, &[], TimeRange::ALL));
    assert_eq!(now[0].1, (0..500).map(|i| (i * 1000, i as f64)).collect::<Vec<_>>());
    let part = all(&select(&db, &[Matcher::equal("s", "a")], TimeRange::from_millis(95_000, 97_999)));
    assert_eq!(part[0].1, [(95_000, 95.0), (96_000, 96.0), (97_000, 97.0)]);
}

#[test]
fn labels_and_values_by_matchers_and_time() {
    let (_disk, db) = open(|_| {});
    append(
        &db,
        [
            (series("job=a,zone=1"), 0, 1.0),
            (series("job=b,zone=2"), HOUR_MS, 1.0),
            (series("job=c"), HOUR_MS, 1.0),
        ],
    );
    let late = TimeRange::from_millis(HOUR_MS - 1, HOUR_MS + 1);
    assert_eq!(
        db.label_names(&[], TimeRange::ALL, &CancelToken::new()).unwrap(),
        ["__name__", "job", "zone"]
    );
    assert_eq!(db.label_values("zone", &[], TimeRange::ALL, &CancelToken::new()).unwrap(), ["1", "2"]);
    assert_eq!(db.label_values("zone", &[], late, &CancelToken::new()).unwrap(), ["2"]);
    assert_eq!(
        db.label_names(&[Matcher::equal("job", "c")], late, &CancelToken::new()).unwrap(),
        ["__name__", "job"]
    );
    assert_eq!(
        db.label_values("job", &[Matcher::equal("zone", "")], TimeRange::ALL, &CancelToken::new()).unwrap(),
        ["c"]
    );
    let matcher = Matcher::new(MatchOp::NotRegex, "job", "a|b").unwrap();
    assert_eq!(db.label_values("job", &[matcher], TimeRange::ALL, &CancelToken::new()).unwrap(), ["c"]);
    let mut ordered = Selector::new(Vec::new(), TimeRange::ALL);
    ordered.hints.ordered = true;
    let labels: Vec<_> = db.select(&ordered).unwrap().iter().map(|series| series.labels()).collect();
    assert!(labels.is_sorted());
    ordered.hints.series_limit = 2;
    assert_eq!(db.select(&ordered).unwrap_err().kind(), StoreErrorKind::Limit);
}

#[test]
fn retention_by_time_drops_chunks_series_and_files() {
    let clock = SimClock::at_ms(NOW_MS);
    let (disk, db) = open(|options| {
        options.retention_ms = 10 * HOUR_MS;
        options.chunk_file_bytes = 4096;
        options.clock = clock.shared();
    });
    let start = NOW_MS - 30 * HOUR_MS;
    let handles = append(&db, [(series("s=old"), start, 1.0), (series("s=live"), start, 1.0)]).0.handles;
    for i in 1..30 * 240 {
        append(&db, [(handles[1].1, start + i * 15_000, i as f64)]);
        if i % 1000 == 0 {
            db.checkpoint().unwrap();
            db.maintain(Timestamp::from_millis(NOW_MS)).unwrap();
        }
    }
    assert_eq!(db.stats().series, 2, "what was written to a moment ago stays, however old it is");
    clock.advance_ms(HOUR_MS as u64);
    append(&db, [(handles[1].1, NOW_MS, 1.0)]);
    let done = db.maintain(Timestamp::from_millis(NOW_MS)).unwrap();
    let stats = db.stats();
    assert_eq!((stats.series, stats.series_removed), (1, 1), "{done:?}");
    assert!(stats.samples < 10 * 240 + 200, "{}", stats.samples);
    assert!(stats.min_time.unwrap().millis() > NOW_MS - 11 * HOUR_MS);
    let (kept, _) = append(&db, [(handles[0].1, NOW_MS, 1.0)]);
    assert_eq!(kept.refused[0].reason, Refusal::UnknownHandle);
    assert_eq!(db.label_values("s", &[], TimeRange::ALL, &CancelToken::new()).unwrap(), ["live"]);
    // The same series again is a new one, and everything is found after opening again.
    append(&db, [(series("s=old"), NOW_MS, 7.0)]);
    let before = all(&select(&db, &[], TimeRange::ALL));
    db.close().unwrap();
    let mut again = options(&disk);
    again.retention_ms = 10 * HOUR_MS;
    let db = Db::open("/data", again).unwrap();
    assert!(!db.stats().replay.has_loss(), "{:?}", db.stats().replay);
    let found = all(&select(&db, &[], TimeRange::ALL));
    assert_eq!(found.len(), before.len());
    assert_eq!(found[1].1, before[1].1);
    assert_eq!(*found[0].1.last().unwrap(), *before[0].1.last().unwrap());
}

/// A back-fill of three years ago beside a scrape of today; the old series number `s` has 200 samples from `LONG_AGO_MS` on.
fn back_fill(db: &Db) {
    for i in 0..200 {
        let old = (0..3).map(|s| (series(&format!("s={s}")), LONG_AGO_MS + i * 60_000, i as f64));
        let fresh = [(series("s=fresh"), NOW_MS - 200_000 + i * 1000, i as f64)];
        assert_eq!(append(db, old.chain(fresh)).1, []);
    }
}

const LONG_AGO_MS: i64 = NOW_MS - 3 * 365 * 24 * HOUR_MS;

#[test]
fn old_data_stays_beside_new_until_nobody_wrote_to_it_for_an_hour() {
    let (disk, clock) = (SimDisk::new(1), SimClock::at_ms(NOW_MS));
    let options = || Options {
        vfs: disk.vfs(),
        clock: clock.shared(),
        wal_segment_bytes: 4096,
        chunk_file_bytes: 1024,
        ..Options::default()
    };
    let maintain = |db: &Db| db.maintain(kymo_tsdb::Clock::now(&clock)).unwrap();
    let samples = |db: &Db| db.stats().samples + db.stats().blocks.samples;
    let mut db = Db::open("/data", options()).unwrap();
    back_fill(&db);
    clock.advance_ms(30 * 60_000);
    maintain(&db);
    assert_eq!(samples(&db), 800);
    // Opened again, from the log and from a checkpoint: it has been idle for half an hour, however often it is opened.
    for checkpoint in [false, true, true] {
        if checkpoint {
            db.checkpoint().unwrap();
        }
        db.close().unwrap();
        db = Db::open("/data", options()).unwrap();
        maintain(&db);
        assert_eq!(samples(&db), 800, "after a checkpoint: {checkpoint}");
    }
    // One of the old series goes on, a little later.
    append(&db, [(series("s=1"), LONG_AGO_MS + 13 * HOUR_MS, 1.0)]);
    clock.advance_ms(59 * 60_000);
    append(&db, [(series("s=1"), LONG_AGO_MS + 14 * HOUR_MS, 1.0)]);
    append(&db, [(series("s=fresh"), NOW_MS + HOUR_MS, 1.0)]);
    clock.advance_ms(60_000);
    let done = maintain(&db);
    // The first part of it is in a block by now, which stays as long as one of its series goes on; so does the next part of that.
    let blocks = db.blocks();
    let first = blocks[0].meta().stats;
    assert_eq!((blocks.len(), first.num_series, blocks[1].meta().stats.num_series), (2, 3, 1), "{blocks:?}");
    let others = first.num_samples / 3 * 2;
    assert_eq!((done.series_dropped, samples(&db)), (2, 403 + others), "{done:?}");
    assert_eq!(db.stats().series, 2);
    // What is gone stays gone, and what was kept does too.
    db.checkpoint().unwrap();
    db.close().unwrap();
    db = Db::open("/data", options()).unwrap();
    assert_eq!((samples(&db), db.stats().series), (403 + others, 2), "{:?}", db.stats());
    clock.advance_ms(HOUR_MS as u64);
    append(&db, [(series("s=fresh"), NOW_MS + 2 * HOUR_MS, 1.0)]);
    let done = maintain(&db);
    assert_eq!((samples(&db), db.stats().series, done.blocks_removed), (202, 1, 2), "{done:?}");
}

#[test]
fn retention_bounds_a_series_that_is_written_to() {
    let (_disk, db) = open(|options| {
        options.retention_ms = 10 * HOUR_MS;
        options.chunk_file_bytes = 1024;
    });
    // Two series three years apart, each a day long.
    for i in 0..24 * 60 {
        let rows = [LONG_AGO_MS, NOW_MS - 24 * HOUR_MS]
            .map(|start| (series(&format!("s={start}")), start + i * 60_000, i as f64));
        assert_eq!(append(&db, rows).1, []);
        if i % 300 == 299 {
            db.checkpoint().unwrap();
        }
        if i % 100 == 99 {
            db.maintain(Timestamp::from_millis(NOW_MS)).unwrap();
        }
    }
    let done = db.maintain(Timestamp::from_millis(NOW_MS)).unwrap();
    let found = all(&select(&db, &[], TimeRange::ALL));
    for ((_, points), start) in found.iter().zip([LONG_AGO_MS, NOW_MS - 24 * HOUR_MS]) {
        assert!((600..800).contains(&points.len()), "{} samples, {done:?}", points.len());
        assert_eq!(points.last().unwrap().0, start + (24 * 60 - 1) * 60_000);
    }
}

#[test]
fn retention_by_bytes_keeps_all_files_below_the_limit() {
    let limit = 60_000;
    let (disk, db) = open(|options| {
        options.retention_bytes = limit;
        options.wal_segment_bytes = 4096;
    });
    let start = NOW_MS - 200 * HOUR_MS;
    for i in 0..3000 {
        let rows = (0..10)
            .map(|s| (series(&format!("s={s}")), start + i * 60_000, (i * 7919 % 10_007) as f64 / 7.0));
        append(&db, rows);
        if i % 20 == 0 {
            db.maintain(Timestamp::from_millis(NOW_MS)).unwrap();
        }
    }
    db.maintain(Timestamp::from_millis(NOW_MS)).unwrap();
    let stats = db.stats();
    let on_disk: usize = disk.files().iter().map(|file| disk.read(file).unwrap().len()).sum();
    assert!(on_disk as u64 <= limit, "{on_disk}");
    assert_eq!(on_disk as u64, stats.disk.total_bytes(), "{:?}", stats.disk);
    assert!(stats.samples > 1000 && stats.samples < 30_000, "{}", stats.samples);
}

#[test]
fn the_interval_bounds_what_a_loss_of_power_costs() {
    let clock = SimClock::at_ms(NOW_MS);
    let (_disk, db) = open(|options| {
        options.clock = clock.shared();
        options.sync = SyncMode::IntervalMs(1000);
    });
    append(&db, [(series(""), 0, 1.0)]);
    assert_eq!(db.stats().wal.syncs, 0);
    clock.advance_ms(999);
    assert!(!db.maintain(Timestamp::from_millis(NOW_MS)).unwrap().synced);
    clock.advance_ms(1);
    assert!(db.maintain(Timestamp::from_millis(NOW_MS)).unwrap().synced);
    assert!(!db.maintain(Timestamp::from_millis(NOW_MS)).unwrap().synced);
    // Without maintenance an append does it.
    append(&db, [(series(""), 1, 1.0)]);
    clock.advance_ms(1000);
    append(&db, [(series(""), 2, 1.0)]);
    assert_eq!(db.stats().wal.syncs, 2);
}

#[test]
fn a_replay_does_not_depend_on_its_threads_and_a_clean_stop_spares_it() {
    let (disk, db) = open(|options| options.checkpoint_close_bytes = u64::MAX);
    // More rows than are applied at once, some of them out of order.
    for i in 0..240 {
        let late = |s: i64| if i % 7 == 3 && s % 5 == 0 { 20_000 } else { 0 };
        append(&db, (0..600).map(|s| (series(&format!("s={s:03}")), i * 15_000 - late(s), (i * s) as f64)));
    }
    let before = all(&select(&db, &[], TimeRange::ALL));
    let samples = db.stats().samples;
    db.close().unwrap();
    drop(db);
    let mut found = Vec::new();
    for threads in [1, 2, 5] {
        let db = Db::open("/data", Options { replay_threads: threads, ..options(&disk) }).unwrap();
        let stats = db.stats();
        assert_eq!((stats.samples, stats.replay.samples), (samples, samples), "{threads} threads");
        assert_eq!(all(&select(&db, &[], TimeRange::ALL)), before, "{threads} threads");
        found.push((stats.chunks, stats.min_time, stats.max_time));
    }
    assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
    let cheap = || Options { checkpoint_close_bytes: 1000, ..options(&disk) };
    Db::open("/data", cheap()).unwrap().close().unwrap();
    let db = Db::open("/data", cheap()).unwrap();
    assert_eq!((db.stats().replay.records, db.stats().samples), (0, samples));
    assert_eq!(all(&select(&db, &[], TimeRange::ALL)), before);
    // There is nothing new to write now.
    db.close().unwrap();
    assert_eq!(db.stats().checkpoints, 0);
}

#[test]
fn one_directory_one_database() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    append(&db, [(series(""), NOW_MS, 1.0)]);
    assert!(matches!(Db::open(dir.path(), Options::default()), Err(OpenError::Locked { .. })));
    db.close().unwrap();
    assert_eq!(db.append(&Batch::new()).unwrap_err().kind(), StoreErrorKind::Closed);
    let again = Db::open(dir.path(), Options::default()).unwrap();
    assert_eq!(again.stats().samples, 1);
    assert_eq!(again.stats().replay.damaged, []);
}

#[test]
fn a_newer_version_is_refused_and_not_touched() {
    let (disk, db) = open(|_| {});
    append(&db, [(series(""), NOW_MS, 1.0)]);
    db.close().unwrap();
    let file = disk.files().into_iter().find(|file| file.ends_with("00000001")).unwrap();
    let mut bytes = disk.read(&file).unwrap();
    bytes[8] = 4;
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    disk.put(&file, bytes.clone());
    let error = Db::open("/data", options(&disk)).unwrap_err();
    assert_eq!(error.to_string(), "expected format version 3, found 4 (/data/head/wal/00000001, offset 8)");
    assert_eq!(disk.read(&file).unwrap(), bytes);
}

#[test]
fn figures_by_name_label_and_pair() {
    let (_disk, db) = open(|_| {});
    append(&db, (0..20).map(|i| (series(&format!("pod=p{i:02},zone=z{}", i % 2)), 0, 1.0)));
    let found = db.cardinality(2);
    let text = |counted: &[kymo_tsdb::Counted]| {
        counted.iter().map(|c| format!("{} {}", c.name, c.count)).collect::<Vec<_>>()
    };
    assert_eq!(text(&found.series_by_metric_name), ["m 20"]);
    assert_eq!(text(&found.values_by_label_name), ["pod 20", "zone 2"]);
    assert_eq!(text(&found.bytes_by_label_name), ["pod 60", "zone 40"]);
    assert_eq!(text(&found.series_by_label_pair), ["__name__=m 20", "zone=z0 10"]);
    assert_eq!(found.chunk_bytes_by_metric_name.len(), 1);
    assert_eq!(db.memory().series, 20);
    assert_eq!((db.stats().label_pairs, db.stats().chunks), (23, 20));
}

#[test]
fn appends_from_many_threads_are_all_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options { sync: SyncMode::Always, ..Options::default() }).unwrap();
    let guard =
        db.spawn_maintenance(std::time::Duration::from_millis(1), |done| assert!(done.is_ok())).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let db = &db;
            scope.spawn(move || {
                for i in 0..50 {
                    // Half of the series are everybody's: who comes first makes them.
                    let rows = (0..10).map(|s| {
                        let own = if s % 2 == 0 { String::new() } else { format!(",thread={thread}") };
                        (series(&format!("s={s}{own}")), NOW_MS + i, i as f64)
                    });
                    assert_eq!(append(db, rows).0.refused, []);
                }
            });
        }
    });
    drop(guard);
    let found = all(&select(&db, &[], TimeRange::ALL));
    assert_eq!(found.len(), 5 + 4 * 5);
    assert!(found.iter().all(|(_, points)| points.len() == 50));
    db.close().unwrap();
    let again = Db::open(dir.path(), Options::default()).unwrap();
    assert_eq!(all(&select(&again, &[], TimeRange::ALL)), found);
}

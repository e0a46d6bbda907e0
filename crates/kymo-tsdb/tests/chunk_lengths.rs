//! How many chunks series get: the first one of each two hours ends early, each page's at another number of samples.

use kymo_model::{Append, Batch, Labels, Queryable, Samples, Selector, TimeRange, Timestamp};
use kymo_testkit::{SimClock, SimDisk};
use kymo_tsdb::{Db, Options};

const RANGE_MS: i64 = 2 * 3_600_000;
const START_MS: i64 = 236_111 * RANGE_MS;
/// Of three pages.
const SERIES: i64 = 600;

struct Fleet {
    disk: SimDisk,
    interval_ms: i64,
}

impl Fleet {
    fn open(&self) -> Db {
        let options = Options {
            vfs: self.disk.vfs(),
            clock: SimClock::at_ms(START_MS + 4 * RANGE_MS).shared(),
            checkpoint_close_bytes: u64::MAX,
            ..Options::default()
        };
        Db::open("/data", options).unwrap()
    }

    fn append(&self, db: &Db, scrapes: std::ops::Range<i64>) {
        for scrape in scrapes {
            let mut batch = Batch::new();
            let time = Timestamp::from_millis(START_MS + scrape * self.interval_ms);
            for series in 0..SERIES {
                let labels = Labels::from_pairs([("__name__", "m"), ("n", &series.to_string())]);
                batch.push(labels, time, (scrape * (series % 7)) as f64);
            }
            assert_eq!(db.append(&batch).unwrap().appended, SERIES as usize);
        }
    }
}

/// Chunks of each page after so many scrapes: as they come, after a replay of the log, and after checkpoints in between.
fn check(interval_ms: i64, scrapes: i64, chunks: [u64; 3]) {
    let pages = [256, 256, SERIES as u64 - 512];
    let expected: u64 = pages.iter().zip(chunks).map(|(series, chunks)| series * chunks).sum();
    for checkpoints in [&[][..], &[3, 40, 100, 150]] {
        let fleet = Fleet { disk: SimDisk::new(1), interval_ms };
        let mut db = fleet.open();
        let mut from = 0;
        for to in checkpoints.iter().copied().chain([scrapes]) {
            fleet.append(&db, from..to);
            if to < scrapes {
                db.checkpoint().unwrap();
                drop(db);
                db = fleet.open();
            }
            from = to;
        }
        assert_eq!(db.stats().chunks, expected, "every {interval_ms} ms, checkpoints {checkpoints:?}");
        drop(db);
        let db = fleet.open();
        assert_eq!(
            db.stats().chunks,
            expected,
            "every {interval_ms} ms, checkpoints {checkpoints:?}, opened"
        );
        let all = db.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap();
        let mut samples = Samples::new();
        for series in all.iter() {
            let number: i64 = series.labels().get("n").unwrap().parse().unwrap();
            assert!(series.reader().read(&mut samples).unwrap());
            let values: Vec<f64> = (0..scrapes).map(|scrape| (scrape * (number % 7)) as f64).collect();
            assert_eq!(samples.floats().unwrap(), values);
        }
        assert_eq!(all.len(), SERIES as usize);
    }
}

#[test]
fn every_15_s_one_more_in_two_hours() {
    // The first chunks have 120, 50 and 93 samples.
    check(15_000, 480, [4, 5, 5]);
    check(15_000, 480 + 60, [5, 7, 6]);
}

#[test]
fn every_30_s_one_more_in_two_hours() {
    check(30_000, 240, [2, 3, 3]);
}

#[test]
fn every_minute_none_more() {
    check(60_000, 240, [2, 2, 2]);
}

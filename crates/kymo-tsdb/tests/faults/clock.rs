//! Clocks that jump: by an hour or a year, forwards or backwards, and back again; with the retention of a day. A scraper goes on
//! through all of it and stamps its samples with whatever the clock says.

use std::time::Duration;

use kymo_model::{Append, Batch, Queryable, Samples, Selector, TimeRange};
use kymo_testkit::{SimClock, SimDisk, report, series_labels};
use kymo_tsdb::{Clock, Db, Options};

const START_MS: i64 = 1_700_000_000_000;
const SCRAPE_MS: i64 = 15_000;
const SERIES: usize = 3;
const HOUR: Duration = Duration::from_secs(3600);
const HOUR_MS: i64 = 3_600_000;
/// So that no time is scraped twice.
const ODD_MS: i64 = 1001;
const RETENTION_MS: i64 = 24 * HOUR_MS;

struct Scraper {
    disk: SimDisk,
    clock: SimClock,
    db: Db,
    refused: usize,
}

impl Scraper {
    fn new() -> Scraper {
        let (disk, clock) = (SimDisk::new(1), SimClock::at_ms(START_MS));
        let db = open(&disk, &clock);
        Scraper { disk, clock, db, refused: 0 }
    }

    fn scrape_for(&mut self, span: Duration) {
        for _ in 0..span.as_millis() as i64 / SCRAPE_MS {
            self.clock.advance_ms(SCRAPE_MS as u64);
            let now = self.clock.now();
            let mut batch = Batch::new();
            for series in 0..SERIES {
                batch.push(series_labels(series), now, now.millis() as f64);
            }
            self.refused += self.db.append(&batch).unwrap().refused.len();
            self.db.maintain(now).unwrap();
        }
    }

    fn jump(&self, by_ms: i64) {
        self.clock.jump_to_ms(self.clock.now().millis() + by_ms);
    }

    /// How many samples are in some part of time.
    fn samples(&self, range: TimeRange) -> usize {
        let (mut samples, mut count) = (Samples::new(), 0);
        for series in self.db.select(&Selector::new(Vec::new(), range)).unwrap().iter() {
            let mut reader = series.reader();
            while reader.read(&mut samples).unwrap() {
                count += samples.len();
            }
        }
        count
    }

    fn restart(&mut self) {
        self.db.close().unwrap();
        self.db = open(&self.disk, &self.clock);
    }
}

fn open(disk: &SimDisk, clock: &SimClock) -> Db {
    let options =
        Options { vfs: disk.vfs(), clock: clock.shared(), retention_ms: RETENTION_MS, ..Options::default() };
    Db::open("/data", options).unwrap()
}

/// Three hours with a right clock, half an hour with a wrong one, two hours with a right one. Nothing is refused, nothing is
/// deleted, whether the database is opened again in between or not.
fn check(by_ms: i64) {
    for restarts in [false, true] {
        let mut scraper = Scraper::new();
        scraper.scrape_for(3 * HOUR);
        for (by_ms, span) in [(by_ms, HOUR / 2), (-by_ms, 2 * HOUR)] {
            scraper.jump(by_ms);
            if restarts {
                scraper.restart();
            }
            scraper.scrape_for(span);
        }
        let what = format!("clock {} h off, restarts: {restarts}", by_ms / HOUR_MS);
        assert_eq!(scraper.refused, 0, "{what}: samples refused");
        // What was stamped with a time before the retention may go.
        let wrong = if by_ms < -RETENTION_MS { HOUR / 2 } else { Duration::ZERO };
        let expected = SERIES * (11 * HOUR / 2 - wrong).as_millis() as usize / SCRAPE_MS as usize;
        let kept = scraper.samples(TimeRange::from_millis(START_MS, i64::MAX));
        assert_eq!(kept, expected, "{what}");
        report(format_args!("{what}: {kept} scraped samples, none refused, none deleted"));
    }
}

#[test]
fn an_hour_off() {
    check(HOUR_MS + ODD_MS);
    check(-HOUR_MS + ODD_MS);
}

#[test]
fn a_year_off() {
    check(365 * 24 * HOUR_MS + ODD_MS);
    check(-365 * 24 * HOUR_MS + ODD_MS);
}

/// A leap that is real, such as a machine that slept for a month, is believed after a day; then retention does its work.
#[test]
fn a_leap_that_lasts_is_believed() {
    let mut scraper = Scraper::new();
    scraper.scrape_for(HOUR);
    let before = TimeRange::from_millis(START_MS, scraper.clock.now().millis());
    scraper.jump(30 * 24 * HOUR_MS);
    scraper.scrape_for(23 * HOUR);
    assert_eq!(scraper.samples(before), SERIES * 240);
    scraper.scrape_for(3 * HOUR);
    assert_eq!(scraper.samples(before), 0);
    assert_eq!(scraper.refused, 0);
}

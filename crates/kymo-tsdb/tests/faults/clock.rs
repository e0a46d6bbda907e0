//! Clocks that jump: by an hour or a year, forwards or backwards, and back again; with the retention of a day. A scraper goes on
//! through all of it and stamps its samples with whatever the clock says.

use std::time::Duration;

use kymo_model::{Append, Batch, Timestamp};
use kymo_testkit::{SimClock, SimDisk, series_labels};
use kymo_tsdb::{Clock, Db, Options};

use crate::report::report;

const START_MS: i64 = 1_700_000_000_000;
const SCRAPE_MS: i64 = 15_000;
const SERIES: usize = 3;
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

struct Scraper {
    disk: SimDisk,
    clock: SimClock,
    db: Db,
    refused: usize,
    refused_in_a_row: usize,
    refused_in_a_row_most: usize,
}

impl Scraper {
    fn new() -> Scraper {
        let (disk, clock) = (SimDisk::new(1), SimClock::at_ms(START_MS));
        let db = open(&disk, &clock);
        Scraper { disk, clock, db, refused: 0, refused_in_a_row: 0, refused_in_a_row_most: 0 }
    }

    fn scrape_for(&mut self, span: Duration) {
        for _ in 0..span.as_millis() as i64 / SCRAPE_MS {
            self.clock.advance_ms(SCRAPE_MS as u64);
            let now = self.clock.now();
            let mut batch = Batch::new();
            for series in 0..SERIES {
                batch.push(series_labels(series), now, now.millis() as f64);
            }
            let refused = self.db.append(&batch).unwrap().refused.len();
            self.refused += refused;
            self.refused_in_a_row = if refused > 0 { self.refused_in_a_row + 1 } else { 0 };
            self.refused_in_a_row_most = self.refused_in_a_row_most.max(self.refused_in_a_row);
            self.db.maintain(now).unwrap();
        }
    }

    fn jump(&self, forwards: bool, by: Duration) {
        let by_ms = by.as_millis() as i64;
        let now_ms = self.clock.now().millis();
        self.clock.jump_to_ms(if forwards { now_ms + by_ms } else { now_ms - by_ms });
    }
}

fn open(disk: &SimDisk, clock: &SimClock) -> Db {
    let options = Options {
        vfs: disk.vfs(),
        clock: clock.shared(),
        retention_ms: 24 * HOUR.as_millis() as i64,
        ..Options::default()
    };
    Db::open("/data", options).unwrap()
}

fn check(forwards: bool, by: Duration) {
    let mut scraper = Scraper::new();
    scraper.scrape_for(3 * HOUR);
    let before = scraper.db.stats().samples;
    scraper.jump(forwards, by);
    scraper.scrape_for(HOUR / 2);
    let during = (scraper.refused, scraper.db.stats().samples);
    scraper.jump(!forwards, by);
    scraper.scrape_for(HOUR / 2);
    let after = (scraper.refused - during.0, scraper.db.stats().samples);
    report(format_args!("clock {forwards} {by:?}: before {before}, during refused {} samples {}, after refused {} samples {}, gap {} s",
      during.0, during.1, after.0, after.1, scraper.refused_in_a_row_most as i64 * SCRAPE_MS / 1000));
    let _ = (&scraper.disk, Timestamp::from_millis(0));
}

#[test]
fn an_hour_forwards() { check(true, HOUR); }
#[test]
fn an_hour_backwards() { check(false, HOUR); }
#[test]
fn a_year_forwards() { check(true, YEAR); }
#[test]
fn a_year_backwards() { check(false, YEAR); }

//! History: a random life of a database on a simulated disk, followed step by step by the naive model.

use kymo_model::{Append, Batch, Labels, RowSeries, SeriesHandle, Timestamp};
use kymo_testkit::{Crash, ModelStore, Random, SimClock, SimDisk, series_labels};
use kymo_tsdb::{Db, Options, SyncMode};
use std::collections::HashMap;

pub(crate) const DIR: &str = "/data";
const START_MS: i64 = 1_700_000_000_000;
const SERIES: u64 = 12;

pub(crate) struct History {
    pub(crate) disk: SimDisk,
    pub(crate) clock: SimClock,
    pub(crate) model: ModelStore,
    pub(crate) db: Option<Db>,
    sync: SyncMode,
    random: Random,
    now_ms: i64,
    next_value: u64,
    handles: HashMap<Labels, SeriesHandle>,
    /// Did an fsync fail, so that the kernel may show what will never be durable?
    sync_failed: bool,
    power_was_lost: bool,
    series_removed: u64,
    what: String,
}

impl History {
    pub(crate) fn new(seed: u64, sync: SyncMode, what: String) -> History {
        History {
            disk: SimDisk::new(seed),
            clock: SimClock::at_ms(START_MS),
            // So that every other history loses samples by their age.
            model: ModelStore::new(
                60_000,
                if seed.is_multiple_of(2) { 8 * 60_000 } else { 15 * 24 * 3_600_000 },
            ),
            db: None,
            sync,
            random: Random::new(seed ^ 0x5eed),
            now_ms: START_MS,
            next_value: 0,
            handles: HashMap::new(),
            sync_failed: false,
            power_was_lost: false,
            series_removed: 0,
            what: format!("seed {seed}, {sync:?}, {what}"),
        }
    }

    fn options(&self) -> Options {
        Options {
            vfs: self.disk.vfs(),
            clock: self.clock.shared(),
            sync: self.sync,
            out_of_order_window_ms: self.model.out_of_order_window_ms,
            retention_ms: self.model.retention_ms,
            wal_segment_bytes: 2048,
            checkpoint_wal_bytes: 6144,
            chunk_file_bytes: 2048,
            checkpoint_close_bytes: 3000,
            // What an opening finds must not depend on the threads.
            replay_threads: 1 + (self.next_value % 3) as usize,
            ..Options::default()
        }
    }

    /// Lives on for some steps, or until the disk stops.
    pub(crate) fn live(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.disk.is_stopped() {
                return;
            }
            if self.db.is_none() {
                self.open(false);
            }
            self.step();
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..14 => self.append(),
            14 | 15 => self.maintain(),
            16 => {
                let Some(db) = &self.db else { return };
                let _ = db.checkpoint();
                self.note_failure();
            }
            17 => {
                let Some(db) = &self.db else { return };
                if db.sync().is_ok() {
                    self.model.synced();
                }
                self.note_failure();
            }
            18 => self.compare(),
            _ => self.close_and_open(),
        }
    }

    fn append(&mut self) {
        let Some(db) = self.db.clone() else { return };
        self.now_ms += 1000 * (1 + self.random.below(20) as i64);
        self.clock.advance_ms((self.now_ms - Timestamp::millis(kymo_tsdb::Clock::now(&self.clock))) as u64);
        let (mut rows, mut batch) = (Vec::new(), Batch::new());
        let first = self.random.below(SERIES);
        for i in 0..1 + self.random.below(2 * SERIES) {
            let labels = series_labels(((first + i) % SERIES) as usize * 37);
            let late_ms = match self.random.below(10) {
                0 => self.random.below(90_000) as i64,
                1 => 1000 * self.random.below(10) as i64,
                _ => 0,
            };
            let t_ms = self.now_ms - late_ms + (i / SERIES) as i64;
            let value = self.value();
            let series = match self.handles.get(&labels) {
                Some(handle) if self.random.chance(2, 3) => RowSeries::Handle(*handle),
                _ => RowSeries::Labels(labels.clone()),
            };
            batch.push(series, Timestamp::from_millis(t_ms), value);
            rows.push((labels, t_ms, value));
        }
        let monotonic_ms = kymo_tsdb::Clock::monotonic_ms(&self.clock);
        let expected = self.model.take(&rows, self.sync == SyncMode::Always, monotonic_ms);
        match db.append(&batch) {
            Ok(outcome) => {
                let refused: Vec<_> =
                    outcome.refused.iter().map(|refused| (refused.row, refused.reason)).collect();
                let wanted: Vec<_> = expected
                    .iter()
                    .enumerate()
                    .filter_map(|(row, e)| e.err().map(|reason| (row, reason)))
                    .collect();
                assert_eq!(refused, wanted, "{}", self.what);
                assert_eq!(outcome.appended + refused.len(), rows.len(), "{}", self.what);
                self.handles
                    .extend(outcome.handles.iter().map(|(row, handle)| (rows[*row].0.clone(), *handle)));
            }
            Err(_) => {
                self.model.last_batch_failed();
                self.note_failure();
            }
        }
    }

    /// Mostly values that nobody else has, so that a wrong one cannot hide; sometimes a repeated one.
    fn value(&mut self) -> f64 {
        self.next_value += 1;
        match self.random.below(8) {
            0 => 1.0,
            1 => kymo_model::STALE_NAN,
            2 => self.next_value as f64 / 100.0,
            3 => f64::from_bits(self.random.next()),
            _ => self.next_value as f64,
        }
    }

    fn maintain(&mut self) {
        let Some(db) = self.db.clone() else { return };
        // Now and then nothing is written for more than an hour.
        self.clock.advance_ms(if self.random.chance(1, 12) { 3_700_000 } else { self.random.below(2000) });
        self.now_ms = Timestamp::millis(kymo_tsdb::Clock::now(&self.clock)).max(self.now_ms);
        let maintained = db.maintain(Timestamp::from_millis(self.now_ms));
        self.model_maintained();
        if maintained.is_ok_and(|done| done.synced) {
            self.model.synced();
        }
        if db.stats().series_removed > self.series_removed {
            self.series_removed = db.stats().series_removed;
            self.handles.clear();
        }
        self.note_failure();
    }

    fn model_maintained(&mut self) {
        let now_ms = Timestamp::millis(kymo_tsdb::Clock::now(&self.clock));
        self.model.maintained(now_ms, kymo_tsdb::Clock::monotonic_ms(&self.clock));
    }

    fn note_failure(&mut self) {
        self.sync_failed |= self.db.as_ref().is_some_and(|db| db.stats().wal.failed);
    }

    /// An open database has exactly what was acknowledged. After a failed fsync the batch that waited for it is there too.
    fn compare(&mut self) {
        let Some(db) = &self.db else { return };
        let mismatches = self.model.compare(db, self.sync_failed).unwrap();
        assert_eq!(mismatches, [], "{}", self.what);
    }

    fn close_and_open(&mut self) {
        let Some(db) = self.db.take() else { return };
        if db.close().is_ok() {
            self.model.synced();
        }
        self.sync_failed |= db.stats().wal.failed;
        drop(db);
        self.open(false);
    }

    /// Ends everything as a crash does, opens again and compares.
    pub(crate) fn crash_and_open(&mut self, crash: Crash) {
        self.db = None;
        self.disk.restart(crash);
        self.open(crash == Crash::Power);
        assert!(self.db.is_some(), "it must open after a crash ({})", self.what);
    }

    fn open(&mut self, power_lost: bool) {
        self.handles.clear();
        let db = match Db::open(DIR, self.options()) {
            Ok(db) => db,
            // A fault that was planned for an operation of the opening; the next step tries again.
            Err(_) => return,
        };
        // Retention by time is a part of opening.
        self.model_maintained();
        let mismatches = self.model.compare_reopened(&db, power_lost).unwrap();
        assert_eq!(mismatches, [], "after opening again: {}", self.what);
        let replay = db.stats().replay;
        // Holes that a loss of power tore stay in the log, and are named, until a checkpoint overrules it.
        self.power_was_lost |= power_lost;
        assert!(self.power_was_lost || !replay.has_loss(), "{:?}: {}", replay.damaged, self.what);
        self.series_removed = 0;
        self.model.adopt(&db, !self.sync_failed).unwrap();
        if power_lost {
            self.sync_failed = false;
        }
        self.db = Some(db);
    }
}

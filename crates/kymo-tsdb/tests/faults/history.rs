//! History: a random life of a database on a simulated disk, followed step by step by the naive model.

mod writes;

use kymo_model::{
    Append, Batch, Exemplar, FamilyMetadata, Labels, Matcher, Metadata, MetricType, Refusal, RowSeries,
    SampleValue, SeriesHandle, StoreError, TimeRange, Timestamp,
};
use kymo_testkit::{
    Crash, Mismatch, ModelStore, Moment, Random, SimClock, SimDisk, any_histogram, series_labels,
};
use kymo_tsdb::block::{BlockStore, BlockStoreOptions};
use kymo_tsdb::{Clock, DamageKind, Db, Options, SyncMode};
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use crate::model::{EXEMPLARS_MAX, Model};

pub(crate) const DIR: &str = "/data";
const START_MS: i64 = 1_700_000_000_000;
const SERIES: u64 = 12;
/// How late a sample may be.
const WINDOW_MS: i64 = 60_000;
/// How long a block is that is cut.
const RANGE_MS: i64 = 2 * 3_600_000;
/// Rows that were taken lately are written again now and then, with the same value or with another.
const RECENT_ROWS: usize = 64;

pub(crate) struct History {
    pub(crate) disk: SimDisk,
    pub(crate) clock: SimClock,
    pub(crate) model: Model,
    pub(crate) db: Option<Db>,
    sync: SyncMode,
    random: Random,
    now_ms: i64,
    /// When blocks become cold, and how long they grow before.
    cold_after_ms: i64,
    range_ms_max: i64,
    /// At most so long is between two batches. Where it is long, chunks end soon.
    pause_s_max: u64,
    next_value: u64,
    handles: HashMap<Labels, SeriesHandle>,
    /// Did an fsync fail, so that the kernel may show what will never be durable?
    sync_failed: bool,
    power_was_lost: bool,
    series_removed: u64,
    /// Rows that were acknowledged.
    pub(crate) taken: usize,
    snapshots: u32,
    /// Blocks that were cut, compactions, deletions and snapshots that succeeded.
    pub(crate) moved: Moved,
    recent: Vec<(Labels, i64, SampleValue)>,
    /// The places at which it could have stopped, if it is watched.
    places: Option<Vec<Place>>,
    what: String,
}

/// What moved samples about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moved {
    pub(crate) cuts: u64,
    pub(crate) compactions: u64,
    pub(crate) made_cold: u64,
    pub(crate) cleaned: u64,
    pub(crate) deletions: u64,
    pub(crate) snapshots: u64,
}

impl Moved {
    /// Was there some of everything?
    pub(crate) fn is_all(&self) -> bool {
        let Moved { cuts, compactions, made_cold, cleaned, deletions, snapshots } = *self;
        [cuts, compactions, made_cold, cleaned, deletions, snapshots].iter().all(|count| *count > 0)
    }
}

impl std::ops::AddAssign for Moved {
    fn add_assign(&mut self, other: Moved) {
        self.cuts += other.cuts;
        self.compactions += other.compactions;
        self.made_cold += other.made_cold;
        self.cleaned += other.cleaned;
        self.deletions += other.deletions;
        self.snapshots += other.snapshots;
    }
}

/// A place in a history at which the machine can stop, and what was known there.
pub(crate) struct Place {
    pub(crate) moment: Moment,
    model: Rc<Model>,
    clock: (i64, u64),
    next_value: u64,
    sync_failed: bool,
    power_was_lost: bool,
    /// Was it being opened after a loss of power?
    power_lost: bool,
}

impl History {
    pub(crate) fn new(seed: u64, sync: SyncMode, what: String) -> History {
        History {
            disk: SimDisk::new(seed),
            clock: SimClock::at_ms(START_MS),
            // So that every other history loses samples by their age, from the head or from blocks.
            model: Model::new(ModelStore::new(
                WINDOW_MS,
                match seed % 4 {
                    0 => 8 * 60_000,
                    2 => 5 * 3_600_000,
                    _ => 15 * 24 * 3_600_000,
                },
            )),
            db: None,
            sync,
            random: Random::new(seed ^ 0x5eed),
            now_ms: START_MS,
            // Of every four histories one has none, two have them after all compactions, one has them soon.
            cold_after_ms: [Options::NEVER_COLD, 2, 1, 2][(seed % 4) as usize].saturating_mul(3_600_000),
            range_ms_max: [18, 6, 2, 6][(seed % 4) as usize] * 3_600_000,
            pause_s_max: [3000, 1000, 20][(seed % 3) as usize],
            next_value: 0,
            handles: HashMap::new(),
            sync_failed: false,
            power_was_lost: false,
            series_removed: 0,
            taken: 0,
            snapshots: 0,
            moved: Moved::default(),
            recent: Vec::new(),
            places: None,
            what: format!("seed {seed}, {sync:?}, {what}"),
        }
    }

    /// From now on keeps the places at which it could have stopped.
    pub(crate) fn watch(&mut self) {
        self.disk.watch();
        self.places = Some(Vec::new());
    }

    /// The places since it was asked before.
    pub(crate) fn take_places(&mut self) -> Vec<Place> {
        self.places.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The history that goes on after a stop at a place, opened again; the opening may be watched.
    pub(crate) fn stopped_at(&self, place: &Place, crash: Crash, luck: u64, watch: bool) -> History {
        let (wall_ms, monotonic_ms) = place.clock;
        let clock = SimClock::at_ms(wall_ms - monotonic_ms as i64);
        clock.advance_ms(monotonic_ms);
        let mut history = History {
            disk: place.moment.crash(crash, luck),
            clock,
            model: (*place.model).clone(),
            db: None,
            sync: self.sync,
            random: Random::new(luck),
            now_ms: wall_ms,
            cold_after_ms: self.cold_after_ms,
            range_ms_max: self.range_ms_max,
            pause_s_max: self.pause_s_max,
            next_value: place.next_value,
            handles: HashMap::new(),
            sync_failed: place.sync_failed,
            power_was_lost: place.power_was_lost,
            series_removed: 0,
            taken: 0,
            snapshots: self.snapshots,
            moved: Moved::default(),
            recent: Vec::new(),
            places: None,
            what: format!("{}; {crash:?} stop at {}, luck {luck}", self.what, place.moment),
        };
        if watch {
            history.watch();
        }
        history.open(crash == Crash::Power || place.power_lost);
        assert!(history.db.is_some(), "it must open after a crash ({})", history.what);
        history
    }

    /// Keeps the places of what was just done, of which `model` is what was known.
    fn keep_places(&mut self, model: Option<Model>, power_lost: bool) {
        let Some(model) = model.map(Rc::new) else { return };
        let clock = (self.wall_ms(), self.monotonic_ms());
        for moment in self.disk.take_moments() {
            let place = Place {
                moment,
                model: Rc::clone(&model),
                clock,
                next_value: self.next_value,
                sync_failed: self.sync_failed,
                power_was_lost: self.power_was_lost,
                power_lost,
            };
            if let Some(places) = &mut self.places {
                places.push(place);
            }
        }
    }

    fn model_before(&self) -> Option<Model> {
        self.places.as_ref().map(|_| self.model.clone())
    }

    fn wall_ms(&self) -> i64 {
        Clock::now(&self.clock).millis()
    }

    fn monotonic_ms(&self) -> u64 {
        Clock::monotonic_ms(&self.clock)
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
            spill_bytes: 300,
            checkpoint_close_bytes: 3000,
            exemplars_max: EXEMPLARS_MAX,
            block_range_ms_max: self.range_ms_max,
            cold_after_ms: self.cold_after_ms,
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
        match self.random.below(24) {
            0..14 => self.append(),
            14 | 15 => self.maintain(),
            16 => self.make_durable(Db::checkpoint),
            17 => self.make_durable(Db::sync),
            18 => self.compare(),
            19 => self.close_and_open(),
            20 => self.delete(),
            21 => self.clean_tombstones(),
            22 if self.random.chance(1, 4) => self.snapshot(),
            _ => self.maintain(),
        }
    }

    /// Does something after which everything acknowledged is durable.
    fn make_durable(&mut self, act: impl Fn(&Db) -> Result<(), StoreError>) {
        let (Some(db), before) = (self.db.clone(), self.model_before()) else { return };
        if act(&db).is_ok() {
            self.model.synced();
        }
        self.note_failure();
        self.keep_places(before, false);
    }

    /// After an append or a maintenance nothing is older than the interval that is not durable, whatever the database says.
    fn synced_as_promised(&mut self) {
        if let SyncMode::IntervalMs(interval_ms) = self.sync
            && let Some(until_ms) = self.monotonic_ms().checked_sub(interval_ms)
        {
            self.model.synced_until(until_ms);
        }
    }

    fn maintain(&mut self) {
        let (Some(db), before) = (self.db.clone(), self.model_before()) else { return };
        // Now and then nothing is written for more than an hour.
        self.clock.advance_ms(if self.random.chance(1, 12) { 3_700_000 } else { self.random.below(2000) });
        self.now_ms = self.wall_ms().max(self.now_ms);
        let maintained = db.maintain(Timestamp::from_millis(self.now_ms));
        self.model_maintained();
        if let Ok(done) = &maintained {
            self.moved.cuts += done.blocks_cut;
            self.moved.compactions += u64::from(done.compacted);
            self.moved.made_cold += u64::from(done.made_cold);
        }
        match maintained {
            Ok(done) if done.synced || done.checkpoint => self.model.synced(),
            Ok(_) => self.synced_as_promised(),
            Err(_) => {}
        }
        self.forget_handles(&db);
        self.note_failure();
        self.keep_places(before, false);
    }

    fn forget_handles(&mut self, db: &Db) {
        if db.stats().series_removed > self.series_removed {
            self.series_removed = db.stats().series_removed;
            self.handles.clear();
        }
    }

    /// Deletes a part of some series, or all of them for all time.
    fn delete(&mut self) {
        let Some(db) = self.db.clone() else { return };
        let labels = series_labels(self.random.below(SERIES) as usize * 37);
        let label = labels.iter().nth(self.random.below(labels.len() as u64) as usize);
        let Some(label) = label else { return };
        let matchers = [Matcher::equal(label.name, label.value)];
        let range = if self.random.chance(1, 3) {
            TimeRange::ALL
        } else {
            // Not of times at which samples may still come late.
            let until_ms = self.now_ms - 100_000 - self.random.below(4 * 3_600_000) as i64;
            TimeRange::from_millis(until_ms - self.random.below(3 * 3_600_000) as i64, until_ms)
        };
        let before = self.model_before().map(|mut model| {
            model.delete(&matchers, range, false);
            model
        });
        let deleted = db.delete(&matchers, range);
        self.model.delete(&matchers, range, deleted.is_ok());
        self.moved.deletions += u64::from(deleted.is_ok());
        self.recent.clear();
        self.forget_handles(&db);
        self.note_failure();
        self.keep_places(before, false);
    }

    fn clean_tombstones(&mut self) {
        let (Some(db), before) = (self.db.clone(), self.model_before()) else { return };
        self.moved.cleaned += db.clean_tombstones().unwrap_or(0);
        self.note_failure();
        self.keep_places(before, false);
    }

    /// Everything that moves samples about, one after the other: nothing is written for an hour, so all of it is final.
    pub(crate) fn move_everything(&mut self) {
        self.clock.advance_ms(3_700_000);
        for _ in 0..4 {
            self.maintain();
        }
        self.append();
        self.append_old();
        self.delete();
        self.maintain();
        self.clean_tombstones();
        self.snapshot();
        self.compare();
    }

    /// Bits of chunk files flip behind the back of the database, and then it deletes and moves samples about; how many damaged chunks
    /// left the head. Nothing is appended: an unreadable sample is none that another one would repeat.
    pub(crate) fn rot_and_move(&mut self) -> u64 {
        self.maintain();
        let Some(db) = self.db.clone() else { return 0 };
        self.recent.clear();
        for _ in 0..1 + self.random.below(3) {
            let files = self.disk.files();
            let files: Vec<_> = files.iter().filter(|file| file.starts_with("/data/head/chunks")).collect();
            if files.is_empty() {
                break;
            }
            let file = files[self.random.below(files.len() as u64) as usize];
            let bytes = self.disk.read(file).unwrap().len() as u64;
            if bytes > 16 {
                self.disk.flip(file, 16 + self.random.below(bytes - 16), 1 << self.random.below(8)).unwrap();
            }
        }
        // What that took may come back while the log has it.
        self.power_was_lost = true;
        for mismatch in self.model.compare(&db, self.sync_failed).unwrap() {
            let Mismatch::Lost(labels, t_ms) = mismatch else { panic!("{mismatch}: {}", self.what) };
            let matchers: Vec<Matcher> =
                labels.iter().map(|label| Matcher::equal(label.name, label.value)).collect();
            self.model.delete(&matchers, TimeRange::from_millis(t_ms, t_ms), false);
        }
        let before = self.moved.deletions;
        self.delete();
        self.clock.advance_ms(3_700_000);
        self.maintain();
        self.delete();
        self.maintain();
        assert!(self.sync_failed || self.moved.deletions == before + 2, "a deletion failed: {}", self.what);
        self.clean_tombstones();
        self.compare();
        db.stats().head_damage.quarantined
    }

    /// Takes a snapshot, which has exactly what the database has, and removes it.
    fn snapshot(&mut self) {
        let (Some(db), before) = (self.db.clone(), self.model_before()) else { return };
        self.snapshots += 1;
        let dir = PathBuf::from(format!("{DIR}/snapshots/{}", self.snapshots));
        let taken = db.snapshot(&dir, true);
        self.note_failure();
        self.keep_places(before, false);
        let vfs = self.disk.vfs();
        if taken.is_err() {
            return;
        }
        self.moved.snapshots += 1;
        if let Ok(store) = BlockStore::open_read_only(vfs.clone(), &dir, BlockStoreOptions::default()) {
            assert!(store.refused().is_empty(), "{:?}: {}", store.refused(), self.what);
            let mismatches = self.model.compare(&store, self.sync_failed).unwrap_or_default();
            assert_eq!(mismatches, [], "in a snapshot: {}", self.what);
        }
        for file in self.disk.files().iter().filter(|file| file.starts_with(&dir)) {
            let _ = vfs.remove(file);
        }
    }

    fn model_maintained(&mut self) {
        let (wall_ms, monotonic_ms) = (self.wall_ms(), self.monotonic_ms());
        self.model.maintained(wall_ms, monotonic_ms);
    }

    fn note_failure(&mut self) {
        self.sync_failed |= self.db.as_ref().is_some_and(|db| db.stats().wal.failed);
    }

    /// An open database has exactly what was acknowledged. After a failed fsync the batch that waited for it is there too.
    fn compare(&mut self) {
        let Some(db) = &self.db else { return };
        let mismatches = self.model.compare(db, self.sync_failed).unwrap();
        assert_eq!(mismatches, [], "{}", self.what);
        let beside = self.model.compare_beside(db, false, self.sync_failed).unwrap();
        assert_eq!(beside, [""; 0], "{}", self.what);
    }

    fn close_and_open(&mut self) {
        let (Some(db), before) = (self.db.take(), self.model_before()) else { return };
        if db.close().is_ok() {
            self.model.synced();
        }
        self.sync_failed |= db.stats().wal.failed;
        drop(db);
        self.keep_places(before, false);
        self.open(false);
    }

    /// Ends everything as a crash does, opens again and compares.
    pub(crate) fn crash_and_open(&mut self, crash: Crash) {
        self.db = None;
        self.disk.restart(crash);
        self.open(crash == Crash::Power);
        assert!(self.db.is_some(), "it must open after a crash ({})", self.what);
    }

    /// How many reads an opening makes after the process has ended.
    pub(crate) fn reads_of_an_opening(&mut self) -> u64 {
        self.db = None;
        self.disk.restart(Crash::Process);
        let from = self.disk.reads();
        drop(Db::open(DIR, self.options()).unwrap());
        let reads = self.disk.reads() - from;
        self.crash_and_open(Crash::Process);
        reads
    }

    /// Opens with one read that fails: an error that names a file, or everything is there. Then without.
    pub(crate) fn open_with_failing_read(&mut self, read: u64) {
        self.db = None;
        self.disk.restart(Crash::Process);
        self.disk.plan_read(self.disk.reads() + read);
        match Db::open(DIR, self.options()) {
            Ok(db) => {
                self.model_maintained();
                // The one that fails may be one of these: then the next time it is read.
                let mut compared = self.model.compare_reopened(&db, false);
                if let Err(error) = compared {
                    check_read_error(read, &error);
                    compared = self.model.compare_reopened(&db, false);
                }
                let mut mismatches = compared.unwrap();
                // A block that cannot be read does not stop the others; it is named, and stays where it is.
                let refused = db.stats().replay.damaged.iter().any(|damage| damage.kind == DamageKind::Block);
                mismatches.retain(|mismatch| !refused || !matches!(mismatch, Mismatch::Lost(..)));
                assert_eq!(mismatches, [], "read {read} failed: {}", self.what);
                let beside = self.model.compare_beside(&db, false, true).unwrap();
                assert_eq!(beside, [""; 0], "read {read} failed: {}", self.what);
            }
            Err(error) => check_read_error(read, &error),
        }
        self.crash_and_open(Crash::Process);
    }

    fn open(&mut self, power_lost: bool) {
        self.handles.clear();
        let before = self.model_before();
        let opened = Db::open(DIR, self.options());
        self.keep_places(before, power_lost);
        // A fault that was planned for an operation of the opening; the next step tries again.
        let Ok(db) = opened else { return };
        // Retention by time is a part of opening.
        self.model_maintained();
        let mismatches = self.model.compare_reopened(&db, power_lost).unwrap();
        assert_eq!(mismatches, [], "after opening again: {}", self.what);
        let beside = self.model.compare_beside(&db, power_lost, true).unwrap();
        assert_eq!(beside, [""; 0], "after opening again: {}", self.what);
        let replay = db.stats().replay;
        // Holes that a loss of power tore stay in the log, and are named, until a checkpoint overrules it.
        self.power_was_lost |= power_lost;
        assert!(self.power_was_lost || !replay.has_loss(), "{:?}: {}", replay.damaged, self.what);
        self.series_removed = 0;
        self.model.adopt(&db, !self.sync_failed).unwrap();
        self.recent.clear();
        if power_lost {
            self.sync_failed = false;
        }
        self.db = Some(db);
    }
}

fn check_read_error(read: u64, error: &dyn std::error::Error) {
    let text = error.to_string();
    assert!(text.contains(DIR) && text.contains("input/output"), "read {read}: {text}");
}

//! Maintenance: sync what is due, drop what is past the retention, cut the log by a checkpoint. Done by whoever calls it.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Relaxed;

use kymo_model::{StoreError, Timestamp};

use crate::checkpoint::{Retire, checkpoint, spill};
use crate::db::{Db, Files, Shared};
use crate::head::Cutoffs;
use crate::lock::lock;
use crate::options::SyncMode;

/// What a round of maintenance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Was anything made durable?
    pub synced: bool,
    /// Was a checkpoint written?
    pub checkpoint: bool,
    /// Series that had no samples left.
    pub series_dropped: u64,
    /// Chunks that were past the retention.
    pub chunks_dropped: u64,
    /// Chunk files removed.
    pub files_removed: u64,
}

impl Db {
    /// Does what is due. To be called about every second; more often does no harm, less often delays only.
    ///
    /// `now` holds back retention when the newest sample is ahead of it. A leap of it by more than ten minutes counts only when
    /// it has lasted for a day of the monotonic clock. An error says that something could not be done
    /// now; the next call tries again.
    pub fn maintain(&self, now: Timestamp) -> Result<Maintained, StoreError> {
        let shared = self.shared();
        shared.ensure_open()?;
        let mut done = Maintained::default();
        if let SyncMode::IntervalMs(interval_ms) = shared.options.sync
            && shared.syncer.is_due(shared.options.clock.monotonic_ms(), interval_ms)
        {
            self.sync()?;
            done.synced = true;
        }
        let mut files = lock(&shared.files);
        shared.ensure_writable()?;
        // Retention comes first: it makes room for what needs some.
        let now_ms = files.time.look(now.millis(), shared.options.clock.monotonic_ms());
        enforce_age(shared, &mut files, now_ms, &mut done);
        enforce_size(shared, &mut files, now_ms, &mut done)?;
        if checkpoint_is_due(shared, &files) {
            write_checkpoint(shared, &mut files, &mut done)?;
        }
        if shared.head.unspilled.bytes() >= shared.options.spill_bytes {
            spill_now(shared, &mut files)?;
        }
        Ok(done)
    }

    /// Writes a checkpoint now, so that the next opening has less of the log to read.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let shared = self.shared();
        let mut files = lock(&shared.files);
        shared.ensure_writable()?;
        write_checkpoint(shared, &mut files, &mut Maintained::default())
    }

    /// Drops what is past the retention as soon as it was read. What needs a write waits for the first maintenance.
    pub(crate) fn enforce_retention_at_opening(&self) {
        let shared = self.shared();
        let mut files = lock(&shared.files);
        let clock = &shared.options.clock;
        let now_ms = files.time.look(clock.now().millis(), clock.monotonic_ms());
        enforce_age(shared, &mut files, now_ms, &mut Maintained::default());
    }
}

/// Retention by time looks at every series, so not more often than by this: in seconds, or by the newest sample.
const AGE_STEP_S: u32 = 60;

fn enforce_age(shared: &Shared, files: &mut MutexGuard<'_, Files>, now_ms: i64, done: &mut Maintained) {
    let (second, newest_ms) = (shared.see_second(), shared.head.max_ms());
    let is_due = files.aged.is_none_or(|(before, before_ms)| {
        second.number().saturating_sub(before.number()) >= AGE_STEP_S
            || newest_ms.saturating_sub(before_ms) >= 1000 * i64::from(AGE_STEP_S)
    });
    if is_due {
        files.aged = Some((second, newest_ms));
        drop_before(shared, files, now_ms, done);
    }
}

/// Removes the chunk files with the oldest samples, and these samples, while all files together are too large.
fn enforce_size(
    shared: &Shared,
    files: &mut MutexGuard<'_, Files>,
    now_ms: i64,
    done: &mut Maintained,
) -> Result<(), StoreError> {
    let limit = shared.options.retention_bytes;
    while limit > 0 && disk_bytes(shared, files) > limit {
        let oldest = files.chunks.files.values().map(|file| file.max_ms).min();
        let Some(oldest_ms) = oldest else {
            // All of it is log and open chunks: only a checkpoint makes that smaller.
            if !done.checkpoint {
                write_checkpoint(shared, files, done)?;
                continue;
            }
            break;
        };
        let cutoff_ms = oldest_ms.saturating_add(1);
        shared.floor_ms.fetch_max(cutoff_ms, Relaxed);
        let before = files.chunks.files.len();
        drop_before(shared, files, now_ms, done);
        if files.chunks.files.len() == before {
            break;
        }
    }
    Ok(())
}

fn drop_before(shared: &Shared, files: &mut MutexGuard<'_, Files>, now_ms: i64, done: &mut Maintained) {
    let cutoffs = Cutoffs {
        floor_ms: shared.floor_ms.load(Relaxed),
        retention_ms: shared.options.retention_ms,
        now_ms,
        second: shared.second(),
    };
    let (dropped, cutoff_ms) = {
        let _no_appends = lock(&shared.writer);
        (shared.head.drop_before(&cutoffs), cutoffs.of_idle(shared.head.max_ms()))
    };
    done.series_dropped += dropped.series as u64;
    done.chunks_dropped += dropped.chunks as u64;
    shared.counters.series_removed.fetch_add(dropped.series as u64, Relaxed);
    let is_needed = |number| dropped.needed_files.contains(&number);
    let (vfs, store) = (&*shared.options.vfs, &shared.head.store);
    let removed = files.chunks.remove_before(vfs, store, cutoff_ms, is_needed);
    done.files_removed += removed as u64;
}

fn disk_bytes(shared: &Shared, files: &Files) -> u64 {
    let log = lock(&shared.writer).log.disk_bytes();
    log + files.checkpoint.map_or(0, |(_, bytes)| bytes) + files.chunks.disk_bytes()
}

fn checkpoint_is_due(shared: &Shared, files: &Files) -> bool {
    let last = files.checkpoint.map_or(0, |(_, bytes)| bytes);
    let log = lock(&shared.writer).log.disk_bytes();
    log >= shared.options.checkpoint_wal_bytes_effective().max(last)
}

fn write_checkpoint(shared: &Shared, files: &mut Files, done: &mut Maintained) -> Result<(), StoreError> {
    checkpoint(shared, files, &Retire::default())?;
    done.checkpoint = true;
    shared.counters.checkpoints.fetch_add(1, Relaxed);
    Ok(())
}

fn spill_now(shared: &Shared, files: &mut Files) -> Result<(), StoreError> {
    let mut sync_failed = None;
    let spilled = spill(&shared.chunk_target(), &shared.head, &mut files.chunks, &mut sync_failed);
    shared.spill_failed.store(spilled.is_err(), Relaxed);
    if let Some(reason) = sync_failed {
        shared.syncer.fail(reason);
    }
    spilled
}

/// Spills when there is much, unless somebody else is at it. An append does not wait for maintenance: where many series are as
/// old as one another, their chunks are all sealed within a second.
pub(crate) fn spill_if_much(shared: &Shared) {
    if shared.head.unspilled.bytes() >= shared.options.spill_bytes
        && !shared.spill_failed.load(Relaxed)
        && let Ok(mut files) = shared.files.try_lock()
        && shared.ensure_writable().is_ok()
    {
        // What could not be written stays on the heap, and maintenance says why when it cannot either.
        let _ = spill_now(shared, &mut files);
    }
}

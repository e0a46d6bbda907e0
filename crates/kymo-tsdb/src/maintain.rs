//! Maintenance: sync what is due, drop what is past the retention, cut the log by a checkpoint. Done by whoever calls it.

use std::sync::atomic::Ordering::Relaxed;

use kymo_model::{StoreError, Timestamp};

use crate::block::CompactError;
use crate::checkpoint::spill;
use crate::cut::{cut, write_checkpoint};
use crate::db::{Db, Files, Shared};
use crate::lock::lock;
use crate::options::SyncMode;
use crate::retention::{enforce_age, enforce_size};

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
    /// Blocks that were past the retention.
    pub blocks_removed: u64,
    /// Blocks cut from the head.
    pub blocks_cut: u64,
    /// Were blocks compacted?
    pub compacted: bool,
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
        let mut failed = enforce_size(shared, &mut files, now_ms, &mut done).err();
        failed = cut(shared, &mut files, now_ms, &mut done).err().or(failed);
        if checkpoint_is_due(shared, &files) {
            failed = write_checkpoint(shared, &mut files, &mut done).err().or(failed);
        }
        if shared.head.unspilled.bytes() >= shared.options.spill_bytes {
            failed = spill_now(shared, &mut files).err().or(failed);
        }
        shared.note_sizes(&files);
        drop(files);
        failed = failed.or(compact(shared, now, &mut done).err());
        failed.map_or(Ok(done), Err)
    }

    /// Writes a checkpoint now, so that the next opening has less of the log to read.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let shared = self.shared();
        let mut files = lock(&shared.files);
        shared.ensure_writable()?;
        let written = write_checkpoint(shared, &mut files, &mut Maintained::default());
        shared.note_sizes(&files);
        written
    }
}

/// Compacts what the plan asks for, one compaction at a time. After a failure it waits, longer each time.
fn compact(shared: &Shared, now: Timestamp, done: &mut Maintained) -> Result<(), StoreError> {
    /// The first wait, and the longest.
    const WAIT_S: std::ops::RangeInclusive<u32> = 60..=3600;
    // Somebody else compacts already.
    let Ok(mut compacting) = shared.compacting.try_lock() else { return Ok(()) };
    let second = shared.see_second();
    if second < compacting.not_before || shared.ensure_writable().is_err() {
        return Ok(());
    }
    let now_ms = u64::try_from(now.millis()).unwrap_or(0);
    match shared.blocks.compact_while(now_ms, &mut |_, _| shared.go_on()) {
        Ok(None) | Err(CompactError::Stopped) => Ok(()),
        Ok(Some(_)) => {
            compacting.failed = 0;
            done.compacted = true;
            shared.counters.compactions.fetch_add(1, Relaxed);
            Ok(())
        }
        Err(error) => {
            let wait_s = (WAIT_S.start() << compacting.failed.min(6)).min(*WAIT_S.end());
            compacting.failed = compacting.failed.saturating_add(1);
            compacting.not_before = second.later_by(wait_s);
            shared.counters.block_failures.fetch_add(1, Relaxed);
            Err(error.into())
        }
    }
}

fn checkpoint_is_due(shared: &Shared, files: &Files) -> bool {
    if files.unsettled {
        return true;
    }
    let last = files.checkpoint.map_or(0, |(_, bytes)| bytes);
    let log = lock(&shared.writer).log.disk_bytes();
    log >= shared.options.checkpoint_wal_bytes_effective().max(last)
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

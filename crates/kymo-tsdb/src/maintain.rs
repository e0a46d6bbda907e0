//! Maintenance: sync what is due, drop what is past the retention, cut the log by a checkpoint. Done by whoever calls it.

use std::sync::atomic::Ordering::Relaxed;

use kymo_model::{StoreError, Timestamp};

use crate::block::CompactError;
use crate::block::cold::ColdWriteError;
use crate::checkpoint::spill;
use crate::cut::{cut, write_checkpoint};
use crate::db::{Compacting, Db, Files, Retry, Shared};
use crate::head::Second;
use crate::lock::lock;
use crate::options::{Options, SyncMode};
use crate::retention::{enforce_age, enforce_size, newest_ms};

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
    /// Did a block become cold?
    pub made_cold: bool,
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
        sync_ahead(shared)?;
        let mut files = lock(&shared.files);
        shared.ensure_writable()?;
        // Retention comes first: it makes room for what needs some.
        let now_ms = files.time.look(now.millis(), shared.options.clock.monotonic_ms());
        enforce_age(shared, &mut files, now_ms, &mut done);
        let mut failed = enforce_size(shared, &mut files, now_ms, &mut done).err();
        failed = cut(shared, &mut files, now_ms, &mut done).err().or(failed);
        if checkpoint_is_due(shared, &files) {
            let written = write_checkpoint(shared, &mut files, &mut done);
            failed = written.unwrap_or_else(Some).or(failed);
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
        written.map(drop)
    }
}

/// Compacts what the plan asks for, one compaction at a time; when there is nothing, makes a block cold. After a failure it waits,
/// longer each time.
fn compact(shared: &Shared, now: Timestamp, done: &mut Maintained) -> Result<(), StoreError> {
    // Somebody else compacts already.
    let Ok(mut compacting) = shared.compacting.try_lock() else { return Ok(()) };
    let Compacting { compaction, conversion } = &mut *compacting;
    let second = shared.see_second();
    if shared.ensure_writable().is_err() {
        return Ok(());
    }
    let now_ms = u64::try_from(now.millis()).unwrap_or(0);
    if second >= compaction.not_before {
        match shared.blocks.compact_while(now_ms, &mut |_| shared.go_on()) {
            Ok(None) => {}
            Err(CompactError::Stopped) => return Ok(()),
            Ok(Some(_)) => {
                compaction.succeeded();
                done.compacted = true;
                shared.counters.compactions.fetch_add(1, Relaxed);
                return Ok(());
            }
            Err(error) => {
                compaction.failed(second);
                shared.counters.block_failures.fetch_add(1, Relaxed);
                return Err(error.into());
            }
        }
    }
    make_cold(shared, (now, second), conversion, done)
}

/// Makes the oldest block cold that is old enough, if that is wanted.
fn make_cold(
    shared: &Shared,
    (now, second): (Timestamp, Second),
    conversion: &mut Retry,
    done: &mut Maintained,
) -> Result<(), StoreError> {
    let cold_after_ms = shared.options.cold_after_ms;
    if cold_after_ms == Options::NEVER_COLD || second < conversion.not_before {
        return Ok(());
    }
    // As with retention: neither a clock that leaps nor a sample from the future makes anything old.
    let Some(newest_ms) = newest_ms(shared, &shared.blocks.blocks()) else { return Ok(()) };
    let before_ms = newest_ms.min(now.millis()).saturating_sub(cold_after_ms.max(0));
    let now_ms = u64::try_from(now.millis()).unwrap_or(0);
    match shared.blocks.make_cold(before_ms, now_ms, &mut |_, _| shared.go_on()) {
        Ok(None) | Err(ColdWriteError::Stopped) => Ok(()),
        Ok(Some(_)) => {
            conversion.succeeded();
            done.made_cold = true;
            shared.counters.made_cold.fetch_add(1, Relaxed);
            Ok(())
        }
        Err(error) => {
            conversion.failed(second);
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

/// A checkpoint waits until chunk files are durable, and no chunk leaves the heap meanwhile. So most of them is made durable before it
/// begins.
fn sync_ahead(shared: &Shared) -> Result<(), StoreError> {
    let unsynced = {
        let files = lock(&shared.files);
        if checkpoint_is_due(shared, &files) { files.chunks.unsynced() } else { Vec::new() }
    };
    for file in unsynced {
        let mut sync_failed = None;
        let synced = file.sync(&mut sync_failed);
        if let Some(reason) = sync_failed {
            shared.syncer.fail(reason);
        }
        synced?;
    }
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

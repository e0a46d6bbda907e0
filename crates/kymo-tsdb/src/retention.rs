//! Retention: what is too old goes, and the oldest of what is too much, from the head and from the blocks.
//!
//! By time, each series of the head is judged by itself (head/retain.rs); a block goes when all of it is too old, and stays while
//! a series that is being written to is still about that time. By bytes, all files count.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Relaxed;

use kymo_model::StoreError;

use crate::block::{BlockMeta, StoredBlock};
use crate::cut::write_checkpoint;
use crate::db::{Db, Files, Shared};
use crate::head::Cutoffs;
use crate::lock::lock;
use crate::maintain::Maintained;

/// Retention by time looks at every series, so not more often than by this: in seconds, or by the newest sample.
const AGE_STEP_S: u32 = 60;

impl Db {
    /// Drops what is past the retention as soon as it was read. What needs a write waits for the first maintenance.
    pub(crate) fn enforce_retention_at_opening(&self) {
        let shared = self.shared();
        let mut files = lock(&shared.files);
        let clock = &shared.options.clock;
        let now_ms = files.time.look(clock.now().millis(), clock.monotonic_ms());
        let mut done = Maintained::default();
        enforce_age(shared, &mut files, now_ms, &mut done);
        while is_too_large(shared, &files) && drop_oldest(shared, &mut files, now_ms, &mut done) {}
        shared.note_sizes(&files);
    }
}

pub(crate) fn enforce_age(
    shared: &Shared,
    files: &mut MutexGuard<'_, Files>,
    now_ms: i64,
    done: &mut Maintained,
) {
    let (second, newest_ms) = (shared.see_second(), shared.head.max_ms());
    let is_due = files.aged.is_none_or(|(before, before_ms)| {
        second.number().saturating_sub(before.number()) >= AGE_STEP_S
            || newest_ms.saturating_sub(before_ms) >= 1000 * i64::from(AGE_STEP_S)
    });
    if is_due {
        files.aged = Some((second, newest_ms));
        drop_before(shared, files, now_ms, done);
        drop_old_blocks(shared, now_ms, done);
    }
}

/// Removes the blocks and chunk files with the oldest samples, and these samples, while all files together are too large.
pub(crate) fn enforce_size(
    shared: &Shared,
    files: &mut MutexGuard<'_, Files>,
    now_ms: i64,
    done: &mut Maintained,
) -> Result<(), StoreError> {
    while is_too_large(shared, files) {
        if files.chunks.files.is_empty() && shared.blocks.blocks().is_empty() {
            // All of it is log and open chunks: only a checkpoint makes that smaller.
            if !done.checkpoint {
                write_checkpoint(shared, files, done)?;
                continue;
            }
            break;
        }
        if !drop_oldest(shared, files, now_ms, done) {
            break;
        }
    }
    Ok(())
}

fn is_too_large(shared: &Shared, files: &Files) -> bool {
    let limit = shared.options.retention_bytes;
    limit > 0 && disk_bytes(shared, files) > limit
}

/// Drops the oldest block or the oldest chunk file, whichever ends first; says whether anything became smaller.
fn drop_oldest(
    shared: &Shared,
    files: &mut MutexGuard<'_, Files>,
    now_ms: i64,
    done: &mut Maintained,
) -> bool {
    let chunks_end_ms = files.chunks.files.values().map(|file| file.max_ms.saturating_add(1)).min();
    let blocks = shared.blocks.blocks();
    let oldest = blocks.iter().filter(|block| block.is_named()).min_by_key(|block| block.meta().max_time_ms);
    let block = oldest.filter(|block| chunks_end_ms.is_none_or(|end_ms| block.meta().max_time_ms <= end_ms));
    let Some(cutoff_ms) = block.map(|block| block.meta().max_time_ms).or(chunks_end_ms) else { return false };
    shared.floor_ms.fetch_max(cutoff_ms, Relaxed);
    if let Some(block) = block {
        drop_blocks(shared, std::slice::from_ref(block), done);
    }
    let before = files.chunks.files.len();
    drop_before(shared, files, now_ms, done);
    block.is_some() || files.chunks.files.len() < before
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

/// Drops the blocks all of which is past the retention, unless old data is being loaded there.
fn drop_old_blocks(shared: &Shared, now_ms: i64, done: &mut Maintained) {
    let blocks = shared.blocks.blocks();
    let Some(newest_ms) = newest_ms(shared, &blocks) else { return };
    let retention_ms = shared.options.retention_ms;
    let cutoff_ms = newest_ms.min(now_ms).saturating_sub(retention_ms);
    let mut doomed: Vec<StoredBlock> = blocks
        .iter()
        .filter(|block| block.is_named() && block.meta().max_time_ms <= cutoff_ms)
        .cloned()
        .collect();
    if doomed.is_empty() {
        return;
    }
    shared.head.for_each_written(shared.second(), |newest_ms| {
        // In whose past the block lies, and within its retention.
        doomed.retain(|block| {
            let BlockMeta { min_time_ms, max_time_ms, .. } = *block.meta();
            newest_ms < min_time_ms || newest_ms.min(now_ms).saturating_sub(retention_ms) >= max_time_ms
        });
    });
    drop_blocks(shared, &doomed, done);
}

fn drop_blocks(shared: &Shared, doomed: &[StoredBlock], done: &mut Maintained) {
    shared.blocks.drop_blocks(doomed);
    done.blocks_removed += doomed.len() as u64;
    shared.counters.blocks_removed.fetch_add(doomed.len() as u64, Relaxed);
}

/// The newest sample of all, never later than it is: a block says where its range ends, not where its samples do.
pub(crate) fn newest_ms(shared: &Shared, blocks: &[StoredBlock]) -> Option<i64> {
    let of_head = shared.head.time().map(|time| time.max.millis());
    let of_blocks = blocks.iter().map(|block| block.meta().min_time_ms).max();
    of_head.max(of_blocks)
}

fn disk_bytes(shared: &Shared, files: &Files) -> u64 {
    let log = lock(&shared.writer).log.disk_bytes();
    let checkpoint = files.checkpoint.map_or(0, |(_, bytes)| bytes);
    log + checkpoint + files.chunks.disk_bytes() + shared.blocks.size_bytes()
}

//! Cut: samples of the head that are final become a block.
//!
//! ```text
//! mark       what goes is marked in the head; it changes no more
//! write      the block is made durable, as ULID.cut, and enters the list: selects see its samples twice, which nobody notices
//! publish    a checkpoint leaves out what is marked and names the block: the moment of truth
//! drop       what is marked leaves the head; chunk files that held it go
//! name       ULID.cut becomes ULID
//! ```
//!
//! A failure leaves everything where it was, and the step is tried again. At an opening a block that the checkpoint names gets its
//! name, and any other ULID.cut goes: the head has its samples.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use kymo_model::{Labels, StoreError, StoreErrorKind};

use crate::block::{
    Block, BlockError, BlockMeta, BlockOrigin, BlockWriter, BlockWriterOptions, EncodedChunk, Ulid, join,
    refill,
};
use crate::checkpoint::{Checkpointed, Retire, checkpoint};
use crate::db::{Files, Shared};
use crate::head::{Data, Finality, HeadChunk, Missing, SealedChunk, Second};
use crate::index::SeriesId;
use crate::lock::lock;
use crate::maintain::Maintained;

/// What cuts remember.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// A block that is not a part of the database yet, or has no name yet.
    pub(crate) pending: Option<Pending>,
    /// When the head was last looked at, and what its newest sample was then.
    looked: Option<(Second, i64)>,
    /// When a range was cut last of which some series are not final, or when such a one was first seen.
    partial: Option<Second>,
    /// Ranges of which nothing that is left can be read, and when that was found.
    unreadable: BTreeMap<i64, Second>,
    /// After a failure nothing is cut before this.
    not_before: Second,
    /// How often in a row it failed.
    failed: u32,
}

/// A block on its way.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) ulid: Ulid,
    /// Does a checkpoint name it?
    pub(crate) published: bool,
}

/// The head is looked at so often, and when its newest sample has gone on by this part of a range.
const LOOK_STEP_S: u32 = 60;
const LOOK_PART_OF_RANGE: i64 = 4;

/// So long a range waits for series that still write to it, before it is cut without them.
const PARTIAL_STEP_S: u32 = 3600;

/// The first wait after a failure, and the longest.
const WAIT_S: std::ops::RangeInclusive<u32> = 10..=600;

/// Does the next step of a cut, if one is due.
pub(crate) fn cut(
    shared: &Shared,
    files: &mut Files,
    now_ms: i64,
    done: &mut Maintained,
) -> Result<(), StoreError> {
    let second = shared.see_second();
    if second < files.cuts.not_before {
        return Ok(());
    }
    let result = finish(shared, files, done).and_then(|()| match choose(shared, files, now_ms, second) {
        Some(range) => cut_range(shared, files, range, now_ms, done),
        None => Ok(()),
    });
    match &result {
        Ok(()) => files.cuts.failed = 0,
        Err(error) if error.kind() == StoreErrorKind::Canceled => return Ok(()),
        Err(_) => {
            let wait_s = (WAIT_S.start() << files.cuts.failed.min(6)).min(*WAIT_S.end());
            files.cuts.failed = files.cuts.failed.saturating_add(1);
            files.cuts.not_before = second.later_by(wait_s);
            shared.counters.block_failures.fetch_add(1, Relaxed);
        }
    }
    result
}

/// Brings the block that is on its way to its end.
pub(crate) fn finish(shared: &Shared, files: &mut Files, done: &mut Maintained) -> Result<(), StoreError> {
    if files.cuts.pending.as_ref().is_some_and(|pending| !pending.published) {
        write_checkpoint(shared, files, done)?;
    }
    let Some(Pending { ulid, .. }) = files.cuts.pending else { return Ok(()) };
    if let Err(error) = shared.blocks.name_cut(ulid) {
        if let BlockError::Io { action: "sync", path, source } = &error {
            // Whether the name is durable is not known, and the next fsync would not say.
            shared.syncer.fail(format!("fsync of directory {} failed: {source}", path.display()));
        }
        return Err(error.into());
    }
    files.cuts.pending = None;
    done.blocks_cut += 1;
    shared.counters.blocks_cut.fetch_add(1, Relaxed);
    Ok(())
}

/// Makes a checkpoint. What is on its way to a block, and what was deleted, does not come back from then on; unless a chunk file
/// has to stay that holds some of it: then this says why.
pub(crate) fn write_checkpoint(
    shared: &Shared,
    files: &mut Files,
    done: &mut Maintained,
) -> Result<Option<StoreError>, StoreError> {
    let publishes = files.cuts.pending.as_ref().is_some_and(|pending| !pending.published);
    let mut retire =
        Retire { files: files.erased.clone(), damaged: files.damaged.clone(), ..Retire::default() };
    retire.publish = files.cuts.pending.as_ref().map(|pending| pending.ulid);
    let is_marked = |_: SeriesId, chunk: &SealedChunk| chunk.is_cut();
    if publishes {
        retire.gone = Some(&is_marked);
        retire.files.extend(shared.head.files_of_marked());
    }
    let Checkpointed { retired, stay } = checkpoint(shared, files, &retire)?;
    done.checkpoint = true;
    shared.counters.checkpoints.fetch_add(1, Relaxed);
    // A file that stays holds something that is not to come back, and is tried again.
    files.erased = stay.keys().copied().collect();
    files.damaged.retain(|place| stay.contains_key(&place.file));
    files.unsettled = false;
    if publishes {
        let left = {
            let _no_appends = lock(&shared.writer);
            shared.head.drop_marked()
        };
        shared.counters.series_removed.fetch_add(left.series as u64, Relaxed);
        done.series_dropped += left.series as u64;
        if let Some(pending) = &mut files.cuts.pending {
            pending.published = true;
        }
    }
    let (vfs, store) = (&*shared.options.vfs, &shared.head.store);
    for number in retired {
        done.files_removed += u64::from(files.chunks.remove(vfs, store, number));
    }
    Ok(stay.into_values().next())
}

/// The range that is to be cut next, the oldest first.
fn choose(shared: &Shared, files: &mut Files, now_ms: i64, second: Second) -> Option<(i64, i64)> {
    let (range_ms, newest_ms) = (shared.options.block_range_ms_effective(), shared.head.max_ms());
    let is_due = |(before, before_ms): (Second, i64)| {
        second.number().saturating_sub(before.number()) >= LOOK_STEP_S
            || newest_ms.saturating_sub(before_ms) >= range_ms / LOOK_PART_OF_RANGE
    };
    if !files.cuts.looked.is_none_or(is_due) {
        return None;
    }
    let time = shared.head.time()?;
    let finality = finality(shared, now_ms, second);
    // The newest sample a series can wait for.
    let latest_ms = time.max.millis().max(now_ms);
    let is_over = |number: i64| {
        let end_ms = number.saturating_add(1).saturating_mul(range_ms);
        end_ms.saturating_add(finality.window_ms) <= latest_ms
    };
    if !is_over(time.min.millis().div_euclid(range_ms)) {
        return None;
    }
    files.cuts.looked = Some((second, newest_ms));
    let tallies = shared.head.tally(range_ms, &finality);
    files.cuts.unreadable.retain(|_, since| second.number().saturating_sub(since.number()) < PARTIAL_STEP_S);
    let is_readable = |number: &i64| !files.cuts.unreadable.contains_key(number);
    let over = || {
        tallies.iter().filter(|(number, tally)| is_over(**number) && tally.ready > 0 && is_readable(number))
    };
    let whole = over().find(|(_, tally)| tally.waiting == 0);
    let chosen = match whole {
        Some((number, _)) => *number,
        None => {
            let Some((number, _)) = over().next() else {
                files.cuts.partial = None;
                return None;
            };
            let since = *files.cuts.partial.get_or_insert(second);
            let has_waited = second.number().saturating_sub(since.number()) >= PARTIAL_STEP_S;
            if !has_waited && files.chunks.disk_bytes() < shared.options.head_chunk_bytes_max {
                return None;
            }
            files.cuts.partial = Some(second);
            *number
        }
    };
    // There may be more.
    files.cuts.looked = None;
    Some((chosen.saturating_mul(range_ms), chosen.saturating_add(1).saturating_mul(range_ms)))
}

fn finality(shared: &Shared, now_ms: i64, second: Second) -> Finality {
    let window_ms = shared.options.out_of_order_window_ms.min(shared.options.retention_ms).max(0);
    Finality { window_ms, now_ms, second }
}

fn cut_range(
    shared: &Shared,
    files: &mut Files,
    range: (i64, i64),
    now_ms: i64,
    done: &mut Maintained,
) -> Result<(), StoreError> {
    let finality = finality(shared, now_ms, shared.second());
    let marked = shared.head.mark_cut(range, &finality);
    let written = write_block(shared, files, &marked, range, now_ms);
    drop(marked);
    match written {
        Ok(Some(block)) => {
            let ulid = block.meta().ulid;
            shared.blocks.add_cut(block);
            files.cuts.pending = Some(Pending { ulid, published: false });
            finish(shared, files, done)
        }
        Ok(None) => {
            shared.head.unmark_cut(None);
            if files.damaged.is_empty() {
                // There is no use in trying again at once, and others are not to wait for it.
                let number = range.0.div_euclid(shared.options.block_range_ms_effective());
                files.cuts.unreadable.insert(number, shared.second());
            }
            Ok(())
        }
        Err(error) => {
            shared.head.unmark_cut(None);
            Err(error)
        }
    }
}

/// Writes what is marked; `None` when nothing of it can be read.
fn write_block(
    shared: &Shared,
    files: &mut Files,
    marked: &[(Labels, SeriesId)],
    range: (i64, i64),
    now_ms: i64,
) -> Result<Option<Block>, StoreError> {
    let ulid = Ulid::generate(u64::try_from(now_ms).unwrap_or(0));
    let (vfs, dir) = (shared.options.vfs.clone(), &shared.paths.dir);
    let mut writer = BlockWriter::create_cut(vfs.clone(), dir, ulid, shared.options.block_store().writer)?;
    let leave_out = |(_, id): &(Labels, SeriesId), chunk: Option<&SealedChunk>, _| {
        shared.head.unmark_cut(Some(*id));
        shared.counters.block_failures.fetch_add(1, Relaxed);
        // The next checkpoint lets go of it, and the next cut finds the rest of the series.
        if let Some(place) = chunk.and_then(SealedChunk::place) {
            files.erased.insert(place.file);
            files.damaged.insert(place);
            files.unsettled = true;
        }
        Ok(Without::Series)
    };
    let written = write_series(shared, &mut writer, marked, |id| shared.head.marked_chunks(id), leave_out);
    if written.is_err() || writer.stats().num_series == 0 {
        // What keeps it from being cleaned up says less than what made it fail; the next opening cleans up.
        let _ = writer.discard();
        return written.map(|()| None);
    }
    let (meta, unnamed) = writer.finish_unnamed(shared.blocks.origin_of_cut(range))?;
    let block = Block::open(&*vfs, &unnamed).and_then(|block| check(&block, &meta).map(|()| block));
    block.map(Some).map_err(|error| {
        let _ = crate::block::remove_tree(&*vfs, &unnamed);
        error.into()
    })
}

/// Reads the index once: the head lets go of what is in it.
fn check(block: &Block, meta: &BlockMeta) -> Result<(), BlockError> {
    let (mut series, mut chunks) = (0, 0);
    for entry in block.series()? {
        series += 1;
        chunks += entry?.chunks.len() as u64;
    }
    block.expect_counts((meta.stats.num_series, series), (meta.stats.num_chunks, chunks))
}

/// What a block does without when a chunk is damaged.
enum Without {
    Chunk,
    Series,
}

/// Adds series of the head to a block, in order of labels. Where a chunk is damaged, or where chunks together do not decode, `leave_out`
/// says what is left out.
fn write_series(
    shared: &Shared,
    writer: &mut BlockWriter,
    wanted: &[(Labels, SeriesId)],
    chunks_of: impl Fn(SeriesId) -> Vec<HeadChunk>,
    mut leave_out: impl FnMut(
        &(Labels, SeriesId),
        Option<&SealedChunk>,
        StoreError,
    ) -> Result<Without, StoreError>,
) -> Result<(), StoreError> {
    /// How often other duties are looked after.
    const SERIES_PER_LOOK: usize = 1024;
    'series: for (done, series) in wanted.iter().enumerate() {
        if done % SERIES_PER_LOOK == 0 && !shared.go_on() {
            return Err(StoreError::new(StoreErrorKind::Canceled, "the database is being closed"));
        }
        let (labels, id) = series;
        let mut chunks = Vec::new();
        for chunk in chunks_of(*id) {
            let chunk = match chunk {
                HeadChunk::Copied { times_ms: (min_ms, max_ms), encoding, data } => {
                    chunks.push(EncodedChunk { min_ms, max_ms, encoding, data });
                    continue;
                }
                HeadChunk::Sealed(chunk) => chunk,
            };
            match encoded(shared, *id, &chunk) {
                Ok(chunk) => chunks.push(chunk),
                Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                    match leave_out(series, Some(&chunk), error)? {
                        Without::Chunk => {}
                        Without::Series => continue 'series,
                    }
                }
                Err(error) => return Err(error),
            }
        }
        match join(chunks) {
            Ok(chunks) if chunks.is_empty() => {}
            Ok(chunks) => {
                let chunks = refill(chunks);
                let borrowed: Vec<_> = chunks.iter().map(EncodedChunk::borrowed).collect();
                writer.add_series(labels, &borrowed)?;
            }
            Err(error) => {
                let message = format!("chunk of series {labels} does not decode");
                let error = StoreError::new(StoreErrorKind::Corrupt, message).caused_by(error);
                leave_out(series, None, error)?;
            }
        }
    }
    Ok(())
}

fn encoded(shared: &Shared, id: SeriesId, chunk: &SealedChunk) -> Result<EncodedChunk, StoreError> {
    let data = match chunk.data() {
        Data::Heap(data) => data.to_vec(),
        Data::File(place) => {
            let store = &shared.head.store;
            let read = store.read_one(&store.set(), *place, chunk.data_bytes());
            let (bytes, range) = read.inspect_err(|error| {
                if error.kind() == StoreErrorKind::Corrupt {
                    store.note_damage(*place, chunk.record_bytes(id));
                }
            })?;
            bytes[range].to_vec()
        }
    };
    Ok(EncodedChunk { min_ms: chunk.min_ms, max_ms: chunk.max_ms(), encoding: chunk.encoding(), data })
}

/// What a deletion from the head is followed by: nothing of it may come back.
pub(crate) fn settle(shared: &Shared, files: &mut Files) -> Result<(), StoreError> {
    let written = write_checkpoint(shared, files, &mut Maintained::default());
    shared.note_sizes(files);
    written?.map_or(Ok(()), Err)
}

/// Writes everything that the head has in a range to a block in a directory; `None` when there is nothing. Chunks that are damaged are
/// left out and noted as missing.
pub(crate) fn copy_range(
    shared: &Shared,
    dir: &Path,
    range: (i64, i64),
    now_ms: u64,
    missing: &Missing,
) -> Result<Option<BlockMeta>, StoreError> {
    let wanted = shared.head.series_in(range);
    let (vfs, options) = (shared.options.vfs.clone(), BlockWriterOptions::default());
    let mut writer = BlockWriter::create(vfs, dir, Ulid::generate(now_ms), options)?;
    let leave_out = |(labels, id): &(Labels, SeriesId), chunk: Option<&SealedChunk>, error| match chunk {
        Some(chunk) => missing.note(&shared.head.store, (*id, labels), chunk, error).map(|()| Without::Chunk),
        None => Err(error),
    };
    write_series(shared, &mut writer, &wanted, |id| shared.head.chunks_in(id, range), leave_out)?;
    if writer.stats().num_series == 0 {
        writer.discard()?;
        return Ok(None);
    }
    // It ends with its last sample: a Prometheus that is started on it takes nothing from before the end of its last block.
    Ok(Some(writer.finish(BlockOrigin::default())?))
}

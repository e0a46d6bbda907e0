//! Writing a checkpoint, beside running appends.
//!
//! The log moves on to a new segment first. Every sample in the segments before it is then found either in a sealed chunk,
//! which is or goes into a chunk file, or in an open one, which goes into the checkpoint; both are taken from a series under one
//! lock. Samples of the new segments may be found too; replaying them again changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;

use kymo_model::StoreError;

use super::activity_record::{IdleRun, put_activity};
use super::chunk_files::fsync_failed;
use super::chunk_writer::{ChunkWriter, Taken};
use super::manifest::{Listed, ListedFile, Manifest};
use super::quarantine::Quarantine;
use super::record_file::RecordFile;
use super::spill::{give_back, take};
use crate::beside::put_beside;
use crate::block::Ulid;
use crate::chunks::{ChunkPlace, ChunkRecord, ChunkState};
use crate::db::{Files, Shared};
use crate::error::store_error;
use crate::frame::{FileId, FileKind};
use crate::head::{Data, PageTable, SealedChunk, Second, late_chunks};
use crate::index::SeriesId;
use crate::lock::lock;
use crate::stats::Damage;
use crate::wal::{RecordKind, put_definitions};

/// Says of a sealed chunk of a series whether it is kept elsewhere.
pub(crate) type IsGone<'a> = dyn Fn(SeriesId, &SealedChunk) -> bool + 'a;

/// What leaves the database with a checkpoint, and what comes in its place.
#[derive(Default)]
pub(crate) struct Retire<'a> {
    /// Chunk files that the manifest does not name any more. What is alive in them is written anew, to other files.
    pub(crate) files: BTreeSet<u32>,
    /// Chunks in these files that are known to be damaged.
    pub(crate) damaged: BTreeSet<ChunkPlace>,
    /// Sealed chunks that are not written, neither anew nor for the first time, because they are kept elsewhere from now on or
    /// are to go. They stay in the head until the caller takes them out.
    pub(crate) gone: Option<&'a IsGone<'a>>,
    /// A block that is a part of the database from the moment on at which the checkpoint is.
    pub(crate) publish: Option<Ulid>,
}

impl Retire<'_> {
    fn is_gone(&self, id: SeriesId, chunk: &SealedChunk) -> bool {
        self.gone.is_some_and(|gone| gone(id, chunk))
    }

    /// Must this chunk be written?
    fn wants(&self, id: SeriesId, chunk: &SealedChunk) -> bool {
        let here = chunk.place().is_none_or(|place| self.files.contains(&place.file));
        here && !self.is_gone(id, chunk)
    }
}

/// What a checkpoint did.
#[derive(Debug, Default)]
pub(crate) struct Checkpointed {
    /// The files that the manifest does not name any more. When no chunk of the head is in one of them, it can be removed with
    /// [`ChunkFiles::remove`](super::ChunkFiles::remove).
    pub(crate) retired: BTreeSet<u32>,
    /// The files that were to be retired and stay, as the disk did not give a chunk in them, or did not take the copy of a damaged one.
    pub(crate) stay: BTreeMap<u32, StoreError>,
}

/// What the files say when they are written.
struct Written {
    /// Of the checkpoint.
    bytes: u64,
    done: Checkpointed,
    /// Damaged chunks of the files that were retired, and where their bytes are kept.
    damaged: Vec<(SeriesId, SealedChunk)>,
    aside: Vec<(ChunkPlace, Damage)>,
}

/// Makes a checkpoint and removes what it makes superfluous. After an error everything is as before, but that chunks may have
/// moved to other files.
///
/// Damaged chunks do not keep a file from being retired: their bytes are copied to quarantine, and the head lets go of them.
pub(crate) fn checkpoint(
    shared: &Shared,
    files: &mut Files,
    retire: &Retire<'_>,
) -> Result<Checkpointed, StoreError> {
    let wal_from = lock(&shared.writer).log.rotate()?;
    let unspilled = shared.head.unspilled.take();
    let mut sync_failed = None;
    match write_files(shared, files, wal_from, retire, &mut sync_failed) {
        Ok(Written { bytes, done, damaged, aside }) => {
            if !damaged.is_empty() {
                for (place, damage) in aside {
                    shared.head.store.note_set_aside(place, damage);
                }
                let left = {
                    let _no_appends = lock(&shared.writer);
                    shared.head.forget(&damaged)
                };
                shared.counters.series_removed.fetch_add(left.series as u64, Relaxed);
            }
            // What is kept elsewhere was not written.
            if retire.gone.is_some() {
                give_back(&shared.head, &unspilled);
            }
            files.chunks.listed(&*shared.options.vfs, &shared.head.store);
            // After a crash a segment's number may be used again, and the rename has replaced the checkpoint of that number.
            let old = files.checkpoint.replace((wal_from, bytes)).filter(|(number, _)| *number != wal_from);
            if let Some((number, _)) = old {
                // A checkpoint that stays is overruled by the newer one, and is removed at the next opening.
                let _ = shared.options.vfs.remove(&shared.paths.checkpoint(number));
            }
            lock(&shared.writer).log.remove_before(wal_from);
            Ok(done)
        }
        Err(error) => {
            give_back(&shared.head, &unspilled);
            if let Some(reason) = sync_failed {
                shared.syncer.fail(reason);
            }
            Err(error)
        }
    }
}

/// Writes chunk files and checkpoint.
fn write_files(
    shared: &Shared,
    files: &mut Files,
    wal_from: u64,
    retire: &Retire<'_>,
    sync_failed: &mut Option<String>,
) -> Result<Written, StoreError> {
    let vfs = &*shared.options.vfs;
    let paths = &shared.paths;
    let target = shared.chunk_target();
    for number in &retire.files {
        files.chunks.close(*number);
    }
    let temporary = paths.checkpoint(wal_from).with_extension("tmp");
    let _ = vfs.remove(&temporary);
    let id = FileId { kind: FileKind::Checkpoint, number: wal_from };
    let mut out = RecordFile::create(vfs, temporary.clone(), id)?;
    let pages = shared.head.pages();
    // Twice, each copy whole, so that no single damaged place costs a series its name.
    for _copy in 0..2 {
        for page in 0..pages.page_count() {
            put_page_definitions(&pages, page, &mut out);
            put_page_activity(&pages, page, shared.second(), &mut out);
            out.flush_if_large()?;
        }
    }
    put_beside(&shared.head.beside, &mut out)?;
    let mut chunks = ChunkWriter::new(&target, &shared.head, &mut files.chunks);
    let written = put_chunks(&pages, retire, &mut chunks, &mut out);
    *sync_failed = chunks.sync_failed.take();
    let (mut damaged, mut stay) = (std::mem::take(&mut chunks.damaged), std::mem::take(&mut chunks.unread));
    drop(chunks);
    written?;
    files.chunks.sync(vfs, &paths.chunks, sync_failed)?;
    let mut aside = set_aside(shared, files, &damaged, &mut stay);
    let goes = |place: ChunkPlace| !stay.contains_key(&place.file);
    damaged.retain(|(_, chunk)| chunk.place().is_some_and(goes));
    aside.retain(|(place, _)| goes(*place));
    let retired: BTreeSet<u32> =
        retire.files.iter().filter(|number| !stay.contains_key(number)).copied().collect();
    let manifest = Manifest {
        wal_from,
        next_id: shared.head.next_and_live().0,
        records: Some(out.records() + 2),
        block: retire.publish,
        files: listed(files, &retired),
    };
    for _copy in 0..2 {
        out.put(|payload| manifest.put(payload));
    }
    out.flush()?;
    out.sync().map_err(|error| fsync_failed(&temporary, error, sync_failed))?;
    let path = paths.checkpoint(wal_from);
    vfs.rename(&temporary, &path).map_err(|error| store_error("rename", &temporary, error))?;
    vfs.sync_dir(&paths.checkpoints).map_err(|error| fsync_failed(&paths.checkpoints, error, sync_failed))?;
    for number in &retired {
        files.chunks.retire(*number);
    }
    Ok(Written { bytes: out.size(), done: Checkpointed { retired, stay }, damaged, aside })
}

/// Copies aside what is damaged in chunk files that are to go. A file of which it cannot be copied stays.
fn set_aside(
    shared: &Shared,
    files: &Files,
    damaged: &[(SeriesId, SealedChunk)],
    stay: &mut BTreeMap<u32, StoreError>,
) -> Vec<(ChunkPlace, Damage)> {
    let store = &shared.head.store;
    let mut by_file: BTreeMap<u32, Vec<ChunkPlace>> = BTreeMap::new();
    for place in damaged.iter().filter_map(|(_, chunk)| chunk.place()) {
        by_file.entry(place.file).or_default().push(place);
    }
    let mut quarantine = Quarantine::new(&*shared.options.vfs, &shared.paths.dir);
    let mut aside = Vec::new();
    for (number, places) in by_file {
        let bytes = files.chunks.files.get(&number).map_or(0, |file| file.bytes);
        match quarantine.keep_of_chunk_file(store, (number, bytes), &places) {
            Ok(kept) => aside.extend(kept),
            Err(error) => {
                let path = store.path(number.into());
                stay.entry(number).or_insert_with(|| store_error("copy what is damaged in", &path, error));
            }
        }
    }
    aside
}

/// What the manifest says of the chunk files.
fn listed(files: &Files, retired: &BTreeSet<u32>) -> Listed {
    let stays = files.chunks.files.values().filter(|file| file.is_named() && !retired.contains(&file.number));
    let each = stays.map(|file| ListedFile { number: file.number, bytes: file.bytes, range: file.range });
    Listed::Each { files: each.collect(), next: files.chunks.next_number }
}

fn put_page_definitions(pages: &PageTable, page: usize, out: &mut RecordFile) {
    let mut found = Vec::new();
    pages.for_each_in_page(page, |id, series| found.push((id, series.labels().clone())));
    if !found.is_empty() {
        out.put(|payload| {
            payload.push(RecordKind::Definitions as u8);
            put_definitions(payload, found.iter().map(|(id, labels)| (*id, labels)));
        });
    }
}

/// How long the series of a page have been idle.
fn put_page_activity(pages: &PageTable, page: usize, now: Second, out: &mut RecordFile) {
    let mut runs: Vec<IdleRun> = Vec::new();
    pages.for_each_in_page(page, |id, series| {
        let idle_s = now.idle_s(series.written());
        match runs.last_mut() {
            Some(run) if run.idle_s == idle_s && run.first.0 + run.count == id.0 => run.count += 1,
            _ => runs.push(IdleRun { first: id, count: 1, idle_s }),
        }
    });
    if !runs.is_empty() {
        out.put(|payload| put_activity(payload, &runs));
    }
}

/// Sealed chunks go into chunk files, open ones into the checkpoint.
fn put_chunks(
    pages: &PageTable,
    retire: &Retire<'_>,
    chunks: &mut ChunkWriter<'_>,
    out: &mut RecordFile,
) -> Result<(), StoreError> {
    for page in 0..pages.page_count() {
        let mut taken = take_page(pages, page, retire, out);
        let known = |taken: &Taken| taken.chunk.place().is_some_and(|place| retire.damaged.contains(&place));
        chunks
            .damaged
            .extend(taken.extract_if(.., |taken| known(taken)).map(|taken| (taken.id, taken.chunk)));
        chunks.put(&mut taken)?;
        out.flush_if_large()?;
    }
    chunks.flush()
}

/// Takes the sealed chunks of a page that are to be written, and puts the open ones into the checkpoint.
fn take_page(pages: &PageTable, page: usize, retire: &Retire<'_>, out: &mut RecordFile) -> Vec<Taken> {
    let mut taken = Vec::new();
    pages.for_each_in_page(page, |id, series| {
        take(id, series, &mut taken, |id, chunk| retire.wants(id, chunk));
        if let Some((min_ms, _, open)) = series.open() {
            let (state, encoding, data) = (ChunkState::Open, open.encoding(), open.bytes());
            let max_ms = open.newest_ms().unwrap_or(min_ms);
            let record = ChunkRecord { id, state, encoding, min_ms, max_ms, data };
            out.put(|payload| record.put(payload));
        }
        if let Some(closed) = series.closed().filter(|closed| !closed.late.is_empty()) {
            for late in late_chunks(&closed.late) {
                let Data::Heap(data) = late.data() else { continue };
                let (state, encoding) = (ChunkState::LateBuffer, late.encoding());
                let (min_ms, max_ms) = (late.min_ms, late.max_ms());
                let record = ChunkRecord { id, state, encoding, min_ms, max_ms, data };
                out.put(|payload| record.put(payload));
            }
        }
    });
    taken
}

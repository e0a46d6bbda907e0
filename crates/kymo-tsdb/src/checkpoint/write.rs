//! Writing a checkpoint, beside running appends.
//!
//! The log moves on to a new segment first. Every sample in the segments before it is then found either in a sealed chunk,
//! which goes into a chunk file, or in an open one, which goes into the checkpoint; both are taken from a series under one
//! lock. Samples of the new segments may be found too; replaying them again changes nothing.

use kymo_model::StoreError;

use super::activity_record::{IdleRun, put_activity};
use super::chunk_files::ChunkWriter;
use super::chunk_record::{ChunkRecord, ChunkState};
use super::manifest::Manifest;
use super::record_file::RecordFile;
use crate::beside::put_beside;
use crate::db::{Files, Shared};
use crate::error::store_error;
use crate::frame::{FileId, FileKind};
use crate::head::{Flush, PageTable, Second, Series, file_tag, late_chunks};
use crate::lock::lock;
use crate::wal::{RecordKind, put_definitions};

/// Makes a checkpoint and removes what it makes superfluous. After an error everything is as before.
pub(crate) fn checkpoint(shared: &Shared, files: &mut Files) -> Result<(), StoreError> {
    let wal_from = lock(&shared.writer).log.rotate()?;
    let mut sync_failed = None;
    let written = write_files(shared, files, wal_from, &mut sync_failed);
    let pages = shared.head.pages();
    match written {
        Ok(bytes) => {
            mark(&pages, Flush::Durable);
            // After a crash a segment's number may be used again, and the rename has replaced the checkpoint of that number.
            let old = files.checkpoint.replace((wal_from, bytes)).filter(|(number, _)| *number != wal_from);
            if let Some((number, _)) = old {
                // A checkpoint that stays is overruled by the newer one, and is removed at the next opening.
                let _ = shared.options.vfs.remove(&shared.paths.checkpoint(number));
            }
            lock(&shared.writer).log.remove_before(wal_from);
            Ok(())
        }
        Err(error) => {
            mark(&pages, Flush::Unwritten);
            // What was added to the chunk files is cut off by the next attempt, or at the next opening.
            if let Some(reason) = sync_failed {
                shared.syncer.fail(reason);
            }
            Err(error)
        }
    }
}

/// Decides what becomes of the chunks that this checkpoint has written.
fn mark(pages: &PageTable, flush: Flush) {
    pages.for_each(|_, series| {
        if has(series, Flush::Written)
            && let Some(closed) = series.closed_mut()
        {
            let written = closed.chunks.iter_mut().filter(|chunk| chunk.flush == Flush::Written);
            written.for_each(|chunk| chunk.flush = flush);
        }
    });
}

fn has(series: &Series, flush: Flush) -> bool {
    series.closed().is_some_and(|closed| closed.chunks.iter().any(|chunk| chunk.flush == flush))
}

/// Writes chunk files and checkpoint; gives the checkpoint's size.
fn write_files(
    shared: &Shared,
    files: &mut Files,
    wal_from: u64,
    sync_failed: &mut Option<String>,
) -> Result<u64, StoreError> {
    let vfs = &*shared.options.vfs;
    let paths = &shared.paths;
    let file_bytes_max = shared.options.chunk_file_bytes_effective();
    let mut chunks = ChunkWriter::new(vfs, &paths.chunks, file_bytes_max, &files.chunks)?;
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
    for page in 0..pages.page_count() {
        put_page_chunks(&pages, page, &mut chunks, &mut out)?;
        out.flush_if_large()?;
        chunks.flush_if_large()?;
    }
    let (changed, next_number) = chunks.finish(sync_failed)?;
    let last = changed.last().or(files.chunks.files.last());
    let manifest = Manifest {
        wal_from,
        chunk_file: last.map_or(0, |file| file.number),
        chunk_file_bytes: last.map_or(0, |file| file.bytes),
        next_id: shared.head.next_and_live().0,
    };
    for _copy in 0..2 {
        out.put(|payload| manifest.put(payload));
    }
    out.flush()?;
    let failed = |what: &std::path::Path, error: std::io::Error, sync_failed: &mut Option<String>| {
        *sync_failed = Some(format!("fsync of {} failed: {error}", what.display()));
        store_error("fsync", what, error)
    };
    out.sync().map_err(|error| failed(&temporary, error, sync_failed))?;
    let path = paths.checkpoint(wal_from);
    vfs.rename(&temporary, &path).map_err(|error| store_error("rename", &temporary, error))?;
    vfs.sync_dir(&paths.checkpoints).map_err(|error| failed(&paths.checkpoints, error, sync_failed))?;
    let bytes = out.size();
    for file in changed {
        match files.chunks.files.iter_mut().find(|known| known.number == file.number) {
            Some(known) => *known = file,
            None => files.chunks.files.push(file),
        }
    }
    files.chunks.next_number = next_number;
    files.chunks.last_is_open = true;
    Ok(bytes)
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

fn put_page_chunks(
    pages: &PageTable,
    page: usize,
    chunks: &mut ChunkWriter<'_>,
    out: &mut RecordFile,
) -> Result<(), StoreError> {
    let file = file_tag(chunks.number());
    let (mut defined, mut sealed) = (Vec::new(), Vec::new());
    pages.for_each_in_page(page, |id, series| {
        if has(series, Flush::Unwritten) {
            defined.push((id, series.labels().clone()));
            if let Some(closed) = series.closed_mut() {
                for chunk in closed.chunks.iter_mut().filter(|chunk| chunk.flush == Flush::Unwritten) {
                    (chunk.flush, chunk.file) = (Flush::Written, file);
                    sealed.push((id, chunk.clone()));
                }
            }
        }
        if let Some((min_ms, _, open)) = series.open() {
            let (state, encoding, data) = (ChunkState::Open, open.encoding(), open.bytes());
            let max_ms = open.newest_ms().unwrap_or(min_ms);
            let record = ChunkRecord { id, state, encoding, min_ms, max_ms, data };
            out.put(|payload| record.put(payload));
        }
        if let Some(closed) = series.closed().filter(|closed| !closed.late.is_empty()) {
            for late in late_chunks(&closed.late) {
                let (state, encoding, data) = (ChunkState::LateBuffer, late.encoding(), late.bytes());
                let (min_ms, max_ms) = (late.min_ms, late.max_ms);
                let record = ChunkRecord { id, state, encoding, min_ms, max_ms, data };
                out.put(|payload| record.put(payload));
            }
        }
    });
    if !defined.is_empty() {
        // Chunk files name their series before they have chunks of them, so that they can be read without the checkpoint.
        chunks.file()?.put(|payload| {
            payload.push(RecordKind::Definitions as u8);
            put_definitions(payload, defined.iter().map(|(id, labels)| (*id, labels)));
        });
    }
    sealed.iter().try_for_each(|(id, chunk)| chunks.put(*id, chunk))
}

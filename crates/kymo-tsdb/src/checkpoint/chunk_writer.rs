//! ChunkWriter: adds sealed chunks to the chunk files of their ranges. A chunk goes from the heap to its place in a file when the
//! write has succeeded, and stays where it was when it has not.

use std::collections::{BTreeMap, BTreeSet};

use kymo_model::{Labels, StoreError, StoreErrorKind};

use super::chunk_files::{ChunkFile, ChunkFiles, ChunkTarget};
use super::record_file::RecordFile;
use crate::chunks::{ChunkPlace, ChunkRecord, ChunkState};
use crate::frame::{FileId, FileKind};
use crate::head::{Cursor, Data, Head, SealedChunk};
use crate::index::SeriesId;
use crate::wal::{RecordKind, put_definitions};

/// A chunk that was taken from its series to be written.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: SeriesId,
    pub(super) labels: Labels,
    pub(super) chunk: SealedChunk,
}

/// A chunk in the buffer of a file.
#[derive(Debug)]
struct Moving {
    id: SeriesId,
    min_ms: i64,
    from: Data,
    to: ChunkPlace,
}

#[derive(Debug)]
pub(super) struct ChunkWriter<'a> {
    target: &'a ChunkTarget,
    head: &'a Head,
    files: &'a mut ChunkFiles,
    moving: Vec<Moving>,
    /// Files with something in their buffers.
    buffered: BTreeSet<u32>,
    /// Chunks that are to be written anew and are damaged.
    pub(super) damaged: Vec<(SeriesId, SealedChunk)>,
    /// Files with chunks that are to be written anew and that the disk did not give, for now.
    pub(super) unread: BTreeMap<u32, StoreError>,
    pub(super) sync_failed: Option<String>,
}

impl<'a> ChunkWriter<'a> {
    pub(super) fn new(target: &'a ChunkTarget, head: &'a Head, files: &'a mut ChunkFiles) -> ChunkWriter<'a> {
        ChunkWriter {
            target,
            head,
            files,
            moving: Vec::new(),
            buffered: BTreeSet::new(),
            damaged: Vec::new(),
            unread: BTreeMap::new(),
            sync_failed: None,
        }
    }

    /// Adds chunks of neighbouring series, sorted by id. After an error some of them may be in their places, and the others are
    /// where they were.
    pub(super) fn put(&mut self, taken: &mut [Taken]) -> Result<(), StoreError> {
        taken.sort_by_key(|taken| taken.chunk.range());
        for taken in taken.chunk_by(|a, b| a.chunk.range() == b.chunk.range()) {
            let number = self.file_of(taken[0].chunk.range())?;
            self.put_into(number, taken)?;
            let file = self.files.files.get(&number);
            let writer = file.and_then(|file| file.writer.as_ref()).expect("BUG: a file was just written to");
            if writer.is_large() || writer.size() >= self.target.file_bytes_max {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn put_into(&mut self, number: u32, taken: &[Taken]) -> Result<(), StoreError> {
        let file = self.files.files.get_mut(&number).expect("BUG: the file was just found");
        let writer = file.writer.as_mut().expect("BUG: a writer was just made");
        self.buffered.insert(number);
        let (mut file_min_ms, mut file_max_ms) = (file.min_ms, file.max_ms);
        // Chunk files name their series before they have chunks of them, so that they can be read without the checkpoint.
        let mut defined: Vec<(SeriesId, &Labels)> =
            taken.iter().map(|taken| (taken.id, &taken.labels)).collect();
        defined.dedup_by_key(|(id, _)| *id);
        writer.put(|payload| {
            payload.push(RecordKind::Definitions as u8);
            put_definitions(payload, defined.iter().copied());
        });
        for Taken { id, chunk, .. } in taken {
            let read;
            let data = match chunk.data() {
                Data::Heap(data) => &data[..],
                Data::File(place) => {
                    let files = self.head.store.set();
                    match self.head.store.read_one(&files, *place, chunk.data_bytes()) {
                        Ok(found) => {
                            read = found;
                            &read.0[read.1.clone()]
                        }
                        Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                            self.damaged.push((*id, chunk.clone()));
                            continue;
                        }
                        Err(error) => {
                            self.unread.entry(place.file).or_insert(error);
                            continue;
                        }
                    }
                }
            };
            let state = if chunk.late() { ChunkState::SealedLate } else { ChunkState::Sealed };
            let (encoding, min_ms, max_ms) = (chunk.encoding(), chunk.min_ms, chunk.max_ms());
            let record = ChunkRecord { id: *id, state, encoding, min_ms, max_ms, data };
            let place = ChunkPlace::new(u64::from(number), writer.size());
            // A file is closed long before its offsets do not fit any more.
            let Some(to) = place else { continue };
            writer.put(|payload| record.put(payload));
            (file_min_ms, file_max_ms) = (file_min_ms.min(min_ms), file_max_ms.max(max_ms));
            self.moving.push(Moving { id: *id, min_ms, from: chunk.data().clone(), to });
        }
        file.extend(file_min_ms, file_max_ms);
        Ok(())
    }

    /// The file that chunks of a range go to, with its writer.
    fn file_of(&mut self, range: i64) -> Result<u32, StoreError> {
        let max = self.target.file_bytes_max;
        let (vfs, store) = (&*self.target.vfs, &self.head.store);
        let size = |file: &ChunkFile| file.writer.as_ref().map_or(file.bytes, RecordFile::size);
        let of_range = |file: &&mut ChunkFile| file.range == Some(range) && file.open && size(file) < max;
        if let Some(file) = self.files.files.values_mut().rev().find(of_range) {
            if file.writer.is_none() {
                let id = FileId { kind: FileKind::Chunks, number: u64::from(file.number) };
                file.writer = Some(RecordFile::resume(vfs, store.path(id.number), id, file.bytes)?);
            }
            return Ok(file.number);
        }
        let number = self.files.next_number;
        let id = FileId { kind: FileKind::Chunks, number: u64::from(number) };
        // What an attempt before this one left behind under this name was never part of the database.
        let path = store.path(id.number);
        let _ = vfs.remove(&path);
        let writer = RecordFile::create(vfs, path, id)?;
        store.add(number);
        self.files.next_number += 1;
        self.files.names_unsynced = true;
        let new = ChunkFile { open: true, writer: Some(writer), ..ChunkFile::new(number, Some(range)) };
        self.files.files.insert(number, new);
        Ok(number)
    }

    /// Writes out the buffers, and lets the chunks that were written leave the heap.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        let mut result = Ok(());
        for number in std::mem::take(&mut self.buffered) {
            let Some(file) = self.files.files.get_mut(&number) else { continue };
            let Some(writer) = &mut file.writer else { continue };
            match writer.flush() {
                Ok(()) => {
                    file.bytes = writer.size();
                    writer.shrink();
                    file.open &= file.bytes < self.target.file_bytes_max;
                }
                Err(error) => {
                    writer.discard();
                    self.moving.retain(|moving| moving.to.file != number);
                    result = Err(error);
                }
            }
        }
        self.settle();
        result?;
        self.files.bound_unsynced(&mut self.sync_failed)
    }

    /// The chunks that were written are in their places.
    fn settle(&mut self) {
        let pages = self.head.pages();
        let mut cursor = Cursor::new(&pages);
        self.moving.sort_by_key(|moving| moving.id);
        for Moving { id, min_ms, from, to } in self.moving.drain(..) {
            // A series that is gone meanwhile has left nothing to be moved.
            if let Some(series) = cursor.get(id) {
                series.move_chunk(min_ms, &from, to);
            }
        }
    }
}

impl Drop for ChunkWriter<'_> {
    /// What was put and not flushed was never there.
    fn drop(&mut self) {
        for number in &self.buffered {
            if let Some(writer) = self.files.files.get_mut(number).and_then(|file| file.writer.as_mut()) {
                writer.discard();
            }
        }
    }
}

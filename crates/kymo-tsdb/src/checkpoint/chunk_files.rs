//! Chunk files: sealed chunks in the order in which checkpoints found them. A file goes when all its chunks are past the
//! retention. What lies behind the length that the last checkpoint named is not part of the database.

use std::path::{Path, PathBuf};

use kymo_model::StoreError;

use super::chunk_record::{ChunkRecord, ChunkState};
use super::record_file::RecordFile;
use crate::frame::{FileId, FileKind};
use crate::head::SealedChunk;
use crate::index::SeriesId;
use crate::vfs::Vfs;

/// The chunk files of the last checkpoint.
#[derive(Debug, Default)]
pub(crate) struct ChunkFiles {
    /// In order of number.
    pub(crate) files: Vec<ChunkFile>,
    /// The number of the next new file.
    pub(crate) next_number: u64,
    /// May the last file be added to? Not after something went wrong with it.
    pub(crate) last_is_open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkFile {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

impl ChunkFile {
    pub(crate) fn new(number: u64) -> ChunkFile {
        ChunkFile { number, bytes: 0, min_ms: i64::MAX, max_ms: i64::MIN }
    }

    pub(crate) fn extend(&mut self, min_ms: i64, max_ms: i64) {
        self.min_ms = self.min_ms.min(min_ms);
        self.max_ms = self.max_ms.max(max_ms);
    }
}

pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(FileId { kind: FileKind::Chunks, number }.name())
}

impl ChunkFiles {
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Removes the files whose newest sample is before the cutoff and that nobody needs; gives how many.
    pub(crate) fn remove_before(
        &mut self,
        vfs: &dyn Vfs,
        dir: &Path,
        cutoff_ms: i64,
        is_needed: impl Fn(u64) -> bool,
    ) -> usize {
        let before = self.files.len();
        let last = self.files.last().map(|file| file.number);
        self.files.retain(|file| {
            file.max_ms >= cutoff_ms || is_needed(file.number) || vfs.remove(&path(dir, file.number)).is_err()
        });
        if self.files.last().map(|file| file.number) != last {
            self.last_is_open = false;
        }
        before - self.files.len()
    }
}

/// Adds chunks to the last file, or to new ones; nothing of it counts before [`ChunkWriter::finish`].
#[derive(Debug)]
pub(crate) struct ChunkWriter<'a> {
    vfs: &'a dyn Vfs,
    dir: &'a Path,
    file_bytes_max: u64,
    next_number: u64,
    current: Option<(ChunkFile, RecordFile)>,
    /// Files that this writer has made full; the first may be one that was there before.
    full: Vec<ChunkFile>,
    created: bool,
}

impl<'a> ChunkWriter<'a> {
    pub(crate) fn new(
        vfs: &'a dyn Vfs,
        dir: &'a Path,
        file_bytes_max: u64,
        files: &ChunkFiles,
    ) -> Result<ChunkWriter<'a>, StoreError> {
        let last = files.files.last().filter(|file| files.last_is_open && file.bytes < file_bytes_max);
        let current = match last {
            None => None,
            Some(file) => {
                let id = FileId { kind: FileKind::Chunks, number: file.number };
                Some((*file, RecordFile::resume(vfs, path(dir, file.number), id, file.bytes)?))
            }
        };
        let next_number = files.next_number;
        Ok(ChunkWriter { vfs, dir, file_bytes_max, next_number, current, full: Vec::new(), created: false })
    }

    /// The file to put records into now.
    pub(crate) fn file(&mut self) -> Result<&mut RecordFile, StoreError> {
        if self.current.is_none() {
            let number = self.next_number;
            let id = FileId { kind: FileKind::Chunks, number };
            // What an attempt before this one left behind under this name was never part of the database.
            let path = path(self.dir, number);
            let _ = self.vfs.remove(&path);
            let file = RecordFile::create(self.vfs, path, id)?;
            self.created = true;
            self.next_number += 1;
            self.current = Some((ChunkFile::new(number), file));
        }
        Ok(&mut self.current.as_mut().expect("BUG: it was just made").1)
    }

    /// The number of the file that the next record goes to.
    pub(crate) fn number(&self) -> u64 {
        self.current.as_ref().map_or(self.next_number, |(file, _)| file.number)
    }

    /// Adds a sealed chunk to the current file.
    pub(crate) fn put(&mut self, id: SeriesId, chunk: &SealedChunk) -> Result<(), StoreError> {
        let state = if chunk.late() { ChunkState::SealedLate } else { ChunkState::Sealed };
        let (encoding, data) = (chunk.encoding(), chunk.bytes());
        let record = ChunkRecord { id, state, encoding, min_ms: chunk.min_ms, max_ms: chunk.max_ms, data };
        self.file()?.put(|out| record.put(out));
        let (file, _) = self.current.as_mut().expect("BUG: a record was just put into it");
        file.extend(chunk.min_ms, chunk.max_ms);
        Ok(())
    }

    /// Writes out what is large, and goes on to another file when this one is full.
    pub(crate) fn flush_if_large(&mut self) -> Result<(), StoreError> {
        let Some((_, file)) = &mut self.current else { return Ok(()) };
        file.flush_if_large()?;
        if file.size() >= self.file_bytes_max {
            self.close_current()?;
        }
        Ok(())
    }

    /// Makes everything durable; gives the files that were changed or made, and the next number.
    pub(crate) fn finish(
        mut self,
        sync_failed: &mut Option<String>,
    ) -> Result<(Vec<ChunkFile>, u64), StoreError> {
        self.close_current_with(sync_failed)?;
        if self.created
            && let Err(error) = self.vfs.sync_dir(self.dir)
        {
            *sync_failed = Some(format!("fsync of directory {} failed: {error}", self.dir.display()));
            return Err(crate::error::store_error("fsync directory", self.dir, error));
        }
        Ok((self.full, self.next_number))
    }

    fn close_current(&mut self) -> Result<(), StoreError> {
        self.close_current_with(&mut None)
    }

    fn close_current_with(&mut self, sync_failed: &mut Option<String>) -> Result<(), StoreError> {
        let Some((mut info, mut file)) = self.current.take() else { return Ok(()) };
        file.flush()?;
        if let Err(error) = file.sync() {
            *sync_failed = Some(format!("fsync of {} failed: {error}", file.path.display()));
            return Err(crate::error::store_error("fsync", &file.path, error));
        }
        info.bytes = file.size();
        self.full.push(info);
        Ok(())
    }
}

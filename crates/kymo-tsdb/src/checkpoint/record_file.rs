//! RecordFile: writes many records to a file through a buffer.

use std::path::PathBuf;
use std::sync::Arc;

use kymo_model::StoreError;

use crate::error::store_error;
use crate::frame::{FileId, RECORD_HEADER_BYTES, finish_record, header_bytes};
use crate::vfs::{OpenMode, Vfs, VfsFile};

/// From this size on the buffer is written out.
const BUFFER_BYTES: usize = 256 << 10;

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct RecordFile {
    pub(crate) path: PathBuf,
    pub(crate) id: FileId,
    file: Arc<dyn VfsFile>,
    /// Where the buffer goes.
    offset: u64,
    buffer: Vec<u8>,
    /// How many records were put.
    records: u64,
}

impl RecordFile {
    /// A new file.
    pub(crate) fn create(vfs: &dyn Vfs, path: PathBuf, id: FileId) -> Result<RecordFile, StoreError> {
        let file = vfs.open(&path, OpenMode::Create).map_err(|error| store_error("create", &path, error))?;
        Ok(RecordFile { path, id, file, offset: 0, buffer: header_bytes(id).to_vec(), records: 0 })
    }

    /// A file that is there, of which everything from `size` on is cut off.
    pub(crate) fn resume(
        vfs: &dyn Vfs,
        path: PathBuf,
        id: FileId,
        size: u64,
    ) -> Result<RecordFile, StoreError> {
        let file = vfs.open(&path, OpenMode::Write).map_err(|error| store_error("open", &path, error))?;
        file.truncate(size).map_err(|error| store_error("truncate", &path, error))?;
        Ok(RecordFile { path, id, file, offset: size, buffer: Vec::new(), records: 0 })
    }

    /// Adds a record, whose payload `put` appends. Nothing is written yet.
    pub(crate) fn put(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        self.buffer.resize(start + RECORD_HEADER_BYTES, 0);
        put(&mut self.buffer);
        finish_record(&mut self.buffer[start..], self.id, self.offset + start as u64);
        self.records += 1;
    }

    /// How many records were put.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Forgets what was put and not written out.
    pub(crate) fn discard(&mut self) {
        self.buffer.clear();
        if self.offset == 0 {
            self.buffer.extend_from_slice(&header_bytes(self.id));
        }
    }

    /// Gives back the memory of what was written out.
    pub(crate) fn shrink(&mut self) {
        self.buffer.shrink_to_fit();
    }

    pub(crate) fn is_large(&self) -> bool {
        self.buffer.len() >= BUFFER_BYTES
    }

    /// Writes the buffer out if it is large.
    pub(crate) fn flush_if_large(&mut self) -> Result<(), StoreError> {
        if self.is_large() { self.flush() } else { Ok(()) }
    }

    /// Writes the buffer out.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        self.file
            .write_at(&self.buffer, self.offset)
            .map_err(|error| store_error("write", &self.path, error))?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    pub(crate) fn file(&self) -> Arc<dyn VfsFile> {
        self.file.clone()
    }

    /// Makes what was written out durable.
    pub(crate) fn sync(&self) -> std::io::Result<()> {
        self.file.sync()
    }

    /// How many bytes the file has with everything that was put.
    pub(crate) fn size(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }
}

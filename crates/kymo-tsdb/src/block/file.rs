//! Files of a block: read at any place with every bound checked, in windows where they are read in order; written in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{BlockError, WriteBlockError};
use crate::vfs::{OpenMode, Vfs, VfsFile};

/// Bytes of the checksum behind each section.
pub(super) const CRC_BYTES: usize = 4;

/// A file that changes no more.
#[derive(Clone, Debug)]
pub(super) struct BlockFile {
    file: Arc<dyn VfsFile>,
    path: Arc<Path>,
    size: u64,
}

impl BlockFile {
    pub(super) fn open(vfs: &dyn Vfs, path: &Path) -> Result<BlockFile, BlockError> {
        let file = vfs.open(path, OpenMode::Read).map_err(BlockError::io("open", path))?;
        let size = file.size().map_err(BlockError::io("read the size of", path))?;
        Ok(BlockFile { file, path: Arc::from(path), size })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// As many bytes from an offset as there are, at most `length`.
    pub(super) fn read_some(&self, offset: u64, length: usize) -> Result<Vec<u8>, BlockError> {
        let there = self.size.saturating_sub(offset);
        let mut bytes = vec![0; length.min(usize::try_from(there).unwrap_or(usize::MAX))];
        let mut done = 0;
        while done < bytes.len() {
            let read = self.file.read_at(&mut bytes[done..], offset + done as u64);
            match read.map_err(BlockError::io("read", &self.path))? {
                0 => bytes.truncate(done),
                count => done += count,
            }
        }
        Ok(bytes)
    }

    /// So many bytes from an offset.
    pub(super) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, BlockError> {
        // Compared before anything is reserved: lengths may come from damaged bytes.
        if (length as u64) > self.size.saturating_sub(offset) {
            return Err(self.too_short(offset, length as u64));
        }
        let bytes = self.read_some(offset, length)?;
        if bytes.len() == length { Ok(bytes) } else { Err(self.too_short(offset, length as u64)) }
    }

    /// A section at an offset: length in 4 bytes, body, checksum of the body.
    pub(super) fn section(&self, offset: u64) -> Result<Vec<u8>, BlockError> {
        /// Most lists of postings are shorter than this, and come with one read.
        const FIRST_READ_BYTES: usize = 4096;
        let first = self.read_some(offset, FIRST_READ_BYTES)?;
        let Some(length) = first.first_chunk::<4>() else { return Err(self.too_short(offset, 4)) };
        let length = u32::from_be_bytes(*length) as usize;
        let mut bytes = match first.len() {
            there if there >= 4 + length + CRC_BYTES => first[4..4 + length + CRC_BYTES].to_vec(),
            _ => self.read(offset + 4, length + CRC_BYTES)?,
        };
        self.check_crc(offset, &bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// The checksum in the last bytes is that of the others; `offset` is only for the error.
    pub(super) fn check_crc(&self, offset: u64, bytes: &[u8]) -> Result<(), BlockError> {
        let (body, wanted) = bytes.split_at(bytes.len() - CRC_BYTES);
        let (wanted, found) =
            (u32::from_be_bytes(wanted.try_into().unwrap_or_default()), crc32c::crc32c(body));
        if wanted == found {
            Ok(())
        } else {
            Err(self.damaged(offset, format!("expected checksum {wanted:08x}, found {found:08x}")))
        }
    }

    pub(super) fn damaged(&self, offset: u64, message: impl Into<String>) -> BlockError {
        BlockError::damaged(&self.path, offset, message)
    }

    fn too_short(&self, offset: u64, length: u64) -> BlockError {
        let left = self.size.saturating_sub(offset);
        self.damaged(offset, format!("expected {length} more bytes, found {left}"))
    }
}

/// A window that moves over a file which is read more or less in order.
#[derive(Debug)]
pub(super) struct Window<'a> {
    file: &'a BlockFile,
    bytes: Vec<u8>,
    start: u64,
}

/// What a window holds.
const WINDOW_BYTES: usize = 128 * 1024;

impl<'a> Window<'a> {
    pub(super) fn over(file: &'a BlockFile) -> Window<'a> {
        Window { file, bytes: Vec::new(), start: 0 }
    }

    pub(super) fn file(&self) -> &'a BlockFile {
        self.file
    }

    /// The bytes from an offset on: at least `wanted`, unless the file ends before.
    pub(super) fn at(&mut self, offset: u64, wanted: usize) -> Result<&[u8], BlockError> {
        let inside = offset >= self.start && offset - self.start <= self.bytes.len() as u64;
        let have = if inside { self.bytes.len() - (offset - self.start) as usize } else { 0 };
        let left = self.file.size.saturating_sub(offset);
        if have < wanted && (have as u64) < left {
            self.bytes = self.file.read_some(offset, wanted.max(WINDOW_BYTES))?;
            self.start = offset;
        } else if !inside {
            return Ok(&[]);
        }
        Ok(&self.bytes[(offset - self.start) as usize..])
    }
}

/// A file that is written from its beginning to its end.
#[derive(Debug)]
pub(super) struct FileWriter {
    file: Arc<dyn VfsFile>,
    path: PathBuf,
    /// Bytes in the file.
    written: u64,
    /// Bytes behind them, not written yet.
    buffer: Vec<u8>,
}

/// What is written at once.
const BUFFER_BYTES: usize = 1 << 20;

impl FileWriter {
    pub(super) fn create(vfs: &dyn Vfs, path: PathBuf) -> Result<FileWriter, WriteBlockError> {
        let file = vfs.open(&path, OpenMode::Create).map_err(WriteBlockError::io("create", &path))?;
        Ok(FileWriter { file, path, written: 0, buffer: Vec::new() })
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), WriteBlockError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    /// Zeros up to a multiple of `alignment`.
    pub(super) fn pad(&mut self, alignment: u64) -> Result<(), WriteBlockError> {
        let padding = self.position().next_multiple_of(alignment) - self.position();
        self.buffer.resize(self.buffer.len() + padding as usize, 0);
        Ok(())
    }

    /// A section: length in 4 bytes, body, checksum of the body.
    pub(super) fn push_section(&mut self, what: &'static str, body: &[u8]) -> Result<(), WriteBlockError> {
        let length = u32::try_from(body.len()).map_err(|_| WriteBlockError::TooLarge {
            what,
            max: u32::MAX.into(),
            found: body.len() as u64,
        })?;
        self.push(&length.to_be_bytes())?;
        self.push(body)?;
        self.push(&crc32c::crc32c(body).to_be_bytes())
    }

    fn flush(&mut self) -> Result<(), WriteBlockError> {
        self.file.write_at(&self.buffer, self.written).map_err(WriteBlockError::io("write", &self.path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Everything so far, to be read.
    pub(super) fn reader(&mut self) -> Result<BlockFile, WriteBlockError> {
        self.flush()?;
        Ok(BlockFile { file: self.file.clone(), path: Arc::from(self.path.as_path()), size: self.written })
    }

    /// Makes it durable; its size.
    pub(super) fn finish(mut self) -> Result<u64, WriteBlockError> {
        self.flush()?;
        self.file.sync().map_err(WriteBlockError::io("sync", &self.path))?;
        Ok(self.written)
    }
}

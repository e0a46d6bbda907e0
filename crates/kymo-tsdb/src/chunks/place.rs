//! ChunkPlace: where the record of a sealed chunk lies, and how it is read from there. What is read is checked: a place that
//! does not hold what was written is an error with file and offset.

use std::io;
use std::path::Path;

use kymo_model::{StoreError, StoreErrorKind};

use super::record::ChunkRecord;
use crate::error::store_error;
use crate::frame::{FileId, FileKind, RECORD_HEADER_BYTES, RecordAt, record_at};
use crate::vfs::VfsFile;
use crate::wal::RecordKind;

/// A record of a chunk file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChunkPlace {
    /// The number of the file.
    pub(crate) file: u32,
    /// Of the record.
    pub(crate) offset: u32,
}

/// What a chunk's record has at most besides the encoded samples: kind, id, state, encoding, times.
const DESCRIPTION_BYTES_MAX: usize = 1 + 5 + 1 + 1 + 10 + 5;

impl ChunkPlace {
    /// `None` for a place that is too far behind in a file, or in too many a file.
    pub(crate) fn new(file: u64, offset: u64) -> Option<ChunkPlace> {
        Some(ChunkPlace { file: u32::try_from(file).ok()?, offset: u32::try_from(offset).ok()? })
    }

    /// Up to where a record reaches at most whose chunk has so many bytes.
    pub(crate) fn end(self, data_bytes: usize) -> u64 {
        u64::from(self.offset) + (RECORD_HEADER_BYTES + DESCRIPTION_BYTES_MAX + data_bytes) as u64
    }

    /// The chunk's encoded samples, from bytes of the file that begin at the record; as a range of them.
    pub(crate) fn data_in(self, bytes: &[u8]) -> Result<std::ops::Range<usize>, Unreadable> {
        let id = FileId { kind: FileKind::Chunks, number: u64::from(self.file) };
        match record_at(id, u64::from(self.offset), bytes) {
            RecordAt::Whole(payload) => {
                let Some((RecordKind::Chunk, rest)) = RecordKind::of(payload) else {
                    return Err(Unreadable::Damaged);
                };
                let chunk = ChunkRecord::read(rest).ok_or(Unreadable::Damaged)?;
                let end = RECORD_HEADER_BYTES + payload.len();
                Ok(end - chunk.data.len()..end)
            }
            RecordAt::Longer(length) => Err(Unreadable::Longer(length)),
            RecordAt::None => Err(Unreadable::Damaged),
        }
    }

    /// Reads the record alone: the bytes, and where in them the encoded samples are.
    pub(crate) fn read(
        self,
        file: &dyn VfsFile,
        path: &Path,
        data_bytes: usize,
    ) -> Result<(Vec<u8>, std::ops::Range<usize>), StoreError> {
        let mut wanted = (self.end(data_bytes) - u64::from(self.offset)) as usize;
        // A second time when the chunk is longer than can be said of it.
        for _attempt in 0..2 {
            let bytes = read_up_to(file, u64::from(self.offset), wanted)
                .map_err(|error| store_error("read", path, error))?;
            match self.data_in(&bytes) {
                Ok(range) => return Ok((bytes, range)),
                Err(Unreadable::Longer(length)) if length > wanted => wanted = length,
                Err(_) => break,
            }
        }
        Err(self.damaged(path))
    }

    /// What is said of a place that does not hold its chunk.
    pub(crate) fn damaged(self, path: &Path) -> StoreError {
        let offset = self.offset;
        let message =
            format!("expected a sealed chunk, found damaged bytes ({}, offset {offset})", path.display());
        StoreError::new(StoreErrorKind::Corrupt, message)
    }
}

/// Why bytes do not have the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// There should be so many.
    Longer(usize),
    Damaged,
}

/// Reads so many bytes, or fewer at the end of the file.
pub(crate) fn read_up_to(file: &dyn VfsFile, offset: u64, wanted: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; wanted];
    let mut done = 0;
    while done < wanted {
        let got = file.read_at(&mut bytes[done..], offset + done as u64)?;
        if got == 0 {
            break;
        }
        done += got;
    }
    bytes.truncate(done);
    Ok(bytes)
}

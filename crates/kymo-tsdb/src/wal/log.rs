//! Log: writes records into segments. After a failed write the segment is cut back to its last whole record before anything
//! else is written: nothing is ever appended after a torn record, and a record that was refused is not there.

use std::path::PathBuf;
use std::sync::Arc;

use kymo_model::StoreError;

use super::record::RecordKind;
use super::sync::Syncer;
use crate::clock::Clock;
use crate::error::store_error;
use crate::frame::{
    FILE_HEADER_BYTES, FileId, FileKind, RECORD_HEADER_BYTES, finish_record, header_bytes, put_unsigned,
};
use crate::vfs::{OpenMode, Vfs, VfsFile};

/// Where the log is and what it may use.
#[derive(Clone, Debug)]
pub(crate) struct WalTarget {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) syncer: Arc<Syncer>,
    pub(crate) dir: PathBuf,
    pub(crate) segment_bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Log {
    target: WalTarget,
    /// The segment that is written to; none before the first record.
    current: Option<Segment>,
    next_number: u64,
    /// Segments that are not written to any more: number and size.
    finished: Vec<(u64, u64)>,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) write_failures: u64,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    /// Up to the end of the last whole record.
    size: u64,
    /// Where its first batch begins.
    begin: u64,
    /// Did a write fail, so that there may be something behind the last whole record?
    torn: bool,
}

impl Segment {
    fn id(&self) -> FileId {
        FileId { kind: FileKind::Wal, number: self.number }
    }

    fn cut_torn_end(&mut self, syncer: &Syncer, now_ms: u64) -> Result<(), StoreError> {
        if self.torn {
            self.file.truncate(self.size).map_err(|error| store_error("truncate", &self.path, error))?;
            syncer.touched(&self.path, &self.file, now_ms);
            self.torn = false;
        }
        Ok(())
    }
}

impl Log {
    /// A log that begins with a new segment of at least this number; `finished` are the segments before it.
    pub(crate) fn new(target: WalTarget, next_number: u64, finished: Vec<(u64, u64)>) -> Log {
        Log { target, current: None, next_number, finished, records: 0, bytes: 0, write_failures: 0 }
    }

    /// Goes on in a segment that was read up to `size`, which is its end.
    pub(crate) fn resume(&mut self, number: u64, path: PathBuf, file: Arc<dyn VfsFile>, size: u64) {
        let begin = FILE_HEADER_BYTES as u64;
        self.current = Some(Segment { number, path, file, size, begin, torn: false });
        self.next_number = self.next_number.max(number + 1);
    }

    /// Writes records with one write; `ends` is where each of them ends in `records`, and their headers are filled in here.
    /// Gives their number, for the syncer.
    ///
    /// On an error nothing of them is in the log.
    pub(crate) fn append(&mut self, records: &mut [u8], ends: &[usize]) -> Result<u64, StoreError> {
        let result = self.try_append(records, ends);
        self.write_failures += u64::from(result.is_err());
        result
    }

    fn try_append(&mut self, records: &mut [u8], ends: &[usize]) -> Result<u64, StoreError> {
        let length = records.len() as u64;
        let now_ms = self.target.clock.monotonic_ms();
        if let Some(segment) = &mut self.current {
            segment.cut_torn_end(&self.target.syncer, now_ms)?;
        }
        let full = self.current.as_ref().is_none_or(|segment| {
            segment.size > segment.begin && segment.size + length > self.target.segment_bytes
        });
        if full {
            self.rotate()?;
        }
        let segment = self.current.as_mut().expect("BUG: there is a segment after a rotation");
        let mut start = 0;
        for end in ends {
            finish_record(&mut records[start..*end], segment.id(), segment.size + start as u64);
            start = *end;
        }
        if let Err(error) = segment.file.write_at(records, segment.size) {
            let error = store_error("write", &segment.path, error);
            segment.torn = true;
            // If it cannot be cut now, that is tried again before the next write.
            let _ = segment.cut_torn_end(&self.target.syncer, now_ms);
            return Err(error);
        }
        segment.size += length;
        self.records += ends.len() as u64;
        self.bytes += length;
        Ok(self.target.syncer.wrote(&segment.path, &segment.file, now_ms))
    }

    /// Begins a new segment; gives its number. On an error the old one stays in use.
    pub(crate) fn rotate(&mut self) -> Result<u64, StoreError> {
        if let Some(segment) = &mut self.current {
            // No segment but the last ever ends inside a record.
            segment.cut_torn_end(&self.target.syncer, self.target.clock.monotonic_ms())?;
        }
        let WalTarget { vfs, dir, .. } = &self.target;
        let id = FileId { kind: FileKind::Wal, number: self.next_number };
        let path = dir.join(id.name());
        let file = vfs.open(&path, OpenMode::Create).map_err(|error| store_error("create", &path, error));
        let file = match file {
            Ok(file) => file,
            Err(error) => {
                // Whatever is there under this name was not made whole; the next attempt takes another.
                if vfs.open(&path, OpenMode::Read).is_ok() {
                    self.next_number += 1;
                }
                return Err(error);
            }
        };
        let header = self.header_of(id);
        if let Err(error) = file.write_at(&header, 0) {
            let error = store_error("write", &path, error);
            if vfs.remove(&path).is_err() {
                self.next_number += 1;
            }
            return Err(error);
        }
        if let Err(error) = vfs.sync_dir(dir) {
            self.target.syncer.fail(format!("fsync of directory {} failed: {error}", dir.display()));
            return Err(store_error("fsync directory", dir, error));
        }
        self.finish_current();
        self.next_number = id.number + 1;
        let size = header.len() as u64;
        self.current = Some(Segment { number: id.number, path, file, size, begin: size, torn: false });
        Ok(id.number)
    }

    /// What a segment begins with: the header of a file, and how long the segment before it is.
    fn header_of(&self, id: FileId) -> Vec<u8> {
        let mut header = header_bytes(id).to_vec();
        let before = self.current.as_ref().map(|segment| (segment.number, segment.size));
        if let Some((number, size)) = before.or(self.finished.last().copied()) {
            let mut record = vec![0; RECORD_HEADER_BYTES];
            record.push(RecordKind::Segment as u8);
            put_unsigned(&mut record, number);
            put_unsigned(&mut record, size);
            finish_record(&mut record, id, FILE_HEADER_BYTES as u64);
            header.extend_from_slice(&record);
        }
        header
    }

    /// Removes the segments before this one, which a checkpoint has made superfluous. What cannot be removed now is left for
    /// the next time.
    pub(crate) fn remove_before(&mut self, number: u64) {
        let WalTarget { vfs, dir, .. } = &self.target;
        self.finished.retain(|(old, _)| {
            let path = dir.join(FileId { kind: FileKind::Wal, number: *old }.name());
            *old >= number || vfs.remove(&path).is_err()
        });
    }

    /// Bytes of all segments.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |segment| segment.size);
        current + self.finished.iter().map(|(_, size)| size).sum::<u64>()
    }

    /// The number of the segment that is written to, 0 when there is none.
    pub(crate) fn segment(&self) -> u64 {
        self.current.as_ref().map_or(0, |segment| segment.number)
    }

    fn finish_current(&mut self) {
        if let Some(segment) = self.current.take() {
            self.finished.push((segment.number, segment.size));
        }
    }
}

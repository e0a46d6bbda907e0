//! Reading frames: record by record through a window over the file, so memory is bounded by the longest record.
//!
//! Whatever the bytes are, every record that is whole comes out and every stretch that is not is named once.

use std::io;

use super::{
    FILE_HEADER_BYTES, FileId, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, RECORD_MAGIC, VERSION, VERSION_MIN,
};
use crate::stats::DamageKind;
use crate::vfs::VfsFile;

/// The window is refilled by this much.
const READ_BYTES: usize = 1 << 20;

/// What the reader came upon.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A whole record, its offset, its payload.
    Record { offset: u64, payload: &'a [u8] },
    /// Bytes that are not a record.
    Damage { offset: u64, bytes: u64, kind: DamageKind },
}

/// The file's header says a version this crate does not know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownVersion(pub(crate) u32);

#[derive(Debug)]
pub(crate) struct FrameReader<'a> {
    file: &'a dyn VfsFile,
    id: FileId,
    /// Only so many bytes of the file are read.
    end: u64,
    window: Vec<u8>,
    /// Where in the file the window begins.
    window_offset: u64,
    /// How much of the window was consumed.
    at: usize,
    header_checked: bool,
}

impl<'a> FrameReader<'a> {
    /// Reads a file from its header up to `end`.
    pub(crate) fn new(file: &'a dyn VfsFile, id: FileId, end: u64) -> FrameReader<'a> {
        FrameReader { file, id, end, window: Vec::new(), window_offset: 0, at: 0, header_checked: false }
    }

    /// The version in the file's header; `None` when it cannot be read. A file that ends inside its header is fine: it was
    /// being created.
    pub(crate) fn check_version(&mut self) -> io::Result<Result<Option<u32>, UnknownVersion>> {
        if !self.fill(FILE_HEADER_BYTES)? {
            return Ok(Ok(None));
        }
        Ok(match self.version() {
            Some(version) if !(VERSION_MIN..=VERSION).contains(&version) => Err(UnknownVersion(version)),
            version => Ok(version),
        })
    }

    /// What the header at the front of the window says, if it is whole.
    fn version(&self) -> Option<u32> {
        let header = &self.window[..FILE_HEADER_BYTES];
        let intact = header[..8] == self.id.kind.magic()
            && header[12..] == crc32fast::hash(&header[..12]).to_le_bytes();
        intact.then(|| u32::from_le_bytes([header[8], header[9], header[10], header[11]]))
    }

    /// The next record or damaged stretch; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        if !self.header_checked {
            self.header_checked = true;
            if let Some(damage) = self.read_header()? {
                return Ok(Some(damage));
            }
        }
        let offset = self.offset();
        if offset >= self.end {
            return Ok(None);
        }
        if !self.fill(RECORD_HEADER_BYTES)? {
            return Ok(Some(self.skip_rest(DamageKind::TornTail)));
        }
        match self.header_at(self.at) {
            None => {
                let zeros = self.scan()?;
                let bytes = self.offset() - offset;
                let at_end = self.offset() >= self.end;
                // Zeros up to the end are a size that became durable before its content did.
                let kind = if at_end && zeros { DamageKind::TornTail } else { DamageKind::Frame };
                Ok(Some(Found::Damage { offset, bytes, kind }))
            }
            Some((length, _)) if offset + (RECORD_HEADER_BYTES + length) as u64 > self.end => {
                Ok(Some(self.skip_rest(DamageKind::TornTail)))
            }
            Some((length, crc)) => {
                let whole = RECORD_HEADER_BYTES + length;
                if !self.fill(whole)? {
                    return Ok(Some(self.skip_rest(DamageKind::TornTail)));
                }
                let start = self.at + RECORD_HEADER_BYTES;
                self.at += whole;
                let payload = &self.window[start..self.at];
                if crc32fast::hash(payload) == crc {
                    return Ok(Some(Found::Record { offset, payload }));
                }
                Ok(Some(Found::Damage { offset, bytes: whole as u64, kind: DamageKind::Record }))
            }
        }
    }

    fn read_header(&mut self) -> io::Result<Option<Found<'static>>> {
        if !self.fill(FILE_HEADER_BYTES)? {
            return Ok(if self.end == 0 { None } else { Some(self.skip_rest(DamageKind::TornTail)) });
        }
        let intact = self.version().is_some();
        self.at = FILE_HEADER_BYTES;
        let bytes = FILE_HEADER_BYTES as u64;
        Ok((!intact).then_some(Found::Damage { offset: 0, bytes, kind: DamageKind::FileHeader }))
    }

    fn offset(&self) -> u64 {
        self.window_offset + self.at as u64
    }

    fn skip_rest(&mut self, kind: DamageKind) -> Found<'static> {
        let offset = self.offset();
        self.window.clear();
        self.at = 0;
        self.window_offset = self.end;
        Found::Damage { offset, bytes: self.end - offset, kind }
    }

    /// Moves on to the next header that proves itself, or to the end. Says whether it passed nothing but zeros.
    fn scan(&mut self) -> io::Result<bool> {
        let mut zeros = true;
        loop {
            zeros &= self.window[self.at] == 0;
            self.at += 1;
            // Straight to the next byte that can begin a record.
            let rest = &self.window[self.at..];
            let skip = rest.iter().position(|byte| *byte == RECORD_MAGIC[0]).unwrap_or(rest.len());
            zeros &= rest[..skip].iter().all(|byte| *byte == 0);
            self.at += skip;
            if !self.fill(RECORD_HEADER_BYTES)? {
                zeros &= self.window[self.at..].iter().all(|byte| *byte == 0);
                self.skip_rest(DamageKind::Frame);
                return Ok(zeros);
            }
            if self.header_at(self.at).is_some() {
                return Ok(false);
            }
        }
    }

    /// The length and the payload's checksum of the record header at a place of the window, if it proves itself.
    fn header_at(&self, at: usize) -> Option<(usize, u32)> {
        prove(self.id, self.window_offset + at as u64, self.window.get(at..at + RECORD_HEADER_BYTES)?)
    }

    /// Makes at least `wanted` bytes available behind the consumed part; `false` when the file ends before that.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        while self.window.len() - self.at < wanted {
            if self.at > 0 {
                self.window.drain(..self.at);
                self.window_offset += self.at as u64;
                self.at = 0;
            }
            let have = self.window.len();
            let next = self.window_offset + have as u64;
            let read = usize::try_from(self.end.saturating_sub(next)).unwrap_or(usize::MAX);
            let read = read.min(READ_BYTES.max(wanted - have));
            if read == 0 {
                return Ok(false);
            }
            self.window.resize(have + read, 0);
            let got = self.file.read_at(&mut self.window[have..], next)?;
            self.window.truncate(have + got);
            if got == 0 {
                // Shorter than it was said to be.
                self.end = next;
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The length and the payload's checksum that a record's header says, if it proves itself to be one at this place.
fn prove(id: FileId, offset: u64, header: &[u8]) -> Option<(usize, u32)> {
    if header[..4] != RECORD_MAGIC {
        return None;
    }
    let number = |i: usize| u32::from_le_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
    let length = number(4) as usize;
    let proven = length <= PAYLOAD_BYTES_MAX && id.place_crc(offset, &header[..12]) == number(12);
    proven.then_some((length, number(8)))
}

/// What is at a place of a file where a record should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RecordAt<'a> {
    /// The payload of the record.
    Whole(&'a [u8]),
    /// The record has so many bytes, more than there are.
    Longer(usize),
    /// No record, or a damaged one.
    None,
}

/// The record at an offset, from bytes of the file that begin there.
pub(crate) fn record_at(id: FileId, offset: u64, bytes: &[u8]) -> RecordAt<'_> {
    let Some(header) = bytes.get(..RECORD_HEADER_BYTES) else {
        return RecordAt::Longer(RECORD_HEADER_BYTES);
    };
    let Some((length, crc)) = prove(id, offset, header) else { return RecordAt::None };
    match bytes.get(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + length) {
        None => RecordAt::Longer(RECORD_HEADER_BYTES + length),
        Some(payload) if crc32fast::hash(payload) == crc => RecordAt::Whole(payload),
        Some(_) => RecordAt::None,
    }
}

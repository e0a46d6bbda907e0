//! Pages: the records of a segment of Prometheus' log, read past damage. What is returned as a record has right checksums.
//!
//! ```text
//! segment   pages of 32 KiB, the last one may be shorter
//! page      fragment...   zeros
//! fragment  type:3 bits (1 whole, 2 first, 3 middle, 4 last) snappy:bit 3 zstd:bit 4   length:u16   crc32c of data:u32   data
//! ```
//!
//! Numbers are big-endian. A record's fragments follow one another in one segment. A fragment with a wrong checksum costs its
//! record when the next fragment is where its length says; otherwise, and when a header makes no sense, reading goes on at the
//! next page. Nothing is searched in between, where bytes of a label could look like a fragment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compression::Compression;
use crate::stats::{Damage, DamageKind};
use crate::vfs::VfsFile;

const PAGE_BYTES: usize = 32 * 1024;

const HEADER_BYTES: usize = 7;

/// What is read at once.
const WINDOW_PAGES: usize = 32;

/// No record is longer; a segment of Prometheus has 128 MiB unless told otherwise.
pub(super) const RECORD_BYTES_MAX: usize = 256 << 20;

/// What a segment has next.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// A record; its bytes are in [`SegmentReader::record`].
    Record { offset: u64, compression: Compression },
    /// A stretch that could not be read.
    Damage(Damage),
}

/// Reads a segment from its beginning to its end.
#[derive(Debug)]
pub(super) struct SegmentReader {
    file: Arc<dyn VfsFile>,
    path: PathBuf,
    size: u64,
    window: Vec<u8>,
    window_start: u64,
    at: u64,
    record: Vec<u8>,
    /// Where the record began of which fragments were read, and how it is compressed.
    begun: Option<(u64, Compression)>,
    /// A stretch that may get longer: begin, end, kind.
    lost: Option<(u64, u64, DamageKind)>,
}

/// What lies at a place of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    /// Nothing more up to the end of the page or of the file.
    Padding,
    /// Data of so many bytes, with a right checksum.
    Fragment { kind: u8, compression: Compression, length: usize },
    /// Data of so many bytes, with a wrong one.
    WrongChecksum { length: usize },
    /// The file ends inside it.
    Cut,
    /// No header that makes sense.
    Unreadable,
}

const WHOLE: u8 = 1;
const FIRST: u8 = 2;
const LAST: u8 = 4;

impl SegmentReader {
    pub(super) fn new(file: Arc<dyn VfsFile>, path: &Path) -> std::io::Result<SegmentReader> {
        let size = file.size()?;
        Ok(SegmentReader {
            file,
            path: path.to_owned(),
            size,
            window: Vec::new(),
            window_start: 0,
            at: 0,
            record: Vec::new(),
            begun: None,
            lost: None,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How far it was read.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The bytes of the record that was found last.
    pub(super) fn record(&self) -> &[u8] {
        &self.record
    }

    /// The next record or damaged stretch; `None` at the end.
    pub(super) fn next(&mut self) -> std::io::Result<Option<Found>> {
        while self.at < self.size {
            let page_end = (self.at / PAGE_BYTES as u64 + 1).saturating_mul(PAGE_BYTES as u64).min(self.size);
            match self.piece(self.at)? {
                // Padding ends a page, and is never all of it.
                Piece::Padding if self.at.is_multiple_of(PAGE_BYTES as u64) => {
                    self.lose(page_end, DamageKind::TornTail);
                }
                Piece::Padding => {
                    // A record that goes on behind padding is none that was written.
                    self.abandon(self.at, DamageKind::TornTail);
                    self.at = page_end;
                }
                Piece::Fragment { kind: WHOLE | FIRST, .. } if self.begun.is_some() => {
                    self.abandon(self.at, DamageKind::TornTail);
                }
                Piece::Fragment { kind: WHOLE | FIRST, .. } if self.lost.is_some() => {
                    // Prometheus goes on in another segment behind a write that it could not finish.
                    let lost = self.lost.as_mut().filter(|lost| lost.2 == DamageKind::TornTail);
                    lost.into_iter().for_each(|lost| lost.2 = DamageKind::Frame);
                    return Ok(self.take_lost());
                }
                Piece::Fragment { kind: kind @ (WHOLE | FIRST), compression, length } => {
                    let offset = self.at;
                    self.record.clear();
                    self.take_data(length);
                    if kind == WHOLE {
                        return Ok(Some(Found::Record { offset, compression }));
                    }
                    self.begun = Some((offset, compression));
                }
                Piece::Fragment { kind, compression, length } => {
                    let behind = self.at + (HEADER_BYTES + length) as u64;
                    match self.begun {
                        Some((offset, begun))
                            if begun == compression && self.record.len() + length <= RECORD_BYTES_MAX =>
                        {
                            self.take_data(length);
                            if kind == LAST {
                                self.begun = None;
                                return Ok(Some(Found::Record { offset, compression }));
                            }
                        }
                        // The rest of a record whose beginning is lost.
                        _ => self.lose(behind, DamageKind::Frame),
                    }
                }
                Piece::WrongChecksum { length } => {
                    let behind = self.at + (HEADER_BYTES + length) as u64;
                    if self.is_sound(behind)? {
                        self.lose(behind, DamageKind::Record);
                    } else {
                        self.lose(page_end, DamageKind::Frame);
                    }
                }
                Piece::Cut => self.lose(self.size, DamageKind::TornTail),
                Piece::Unreadable => self.lose(page_end, DamageKind::Frame),
            }
        }
        self.abandon(self.size, DamageKind::TornTail);
        Ok(self.take_lost())
    }

    /// Appends the data of the fragment here, which is in the window, and goes behind it.
    fn take_data(&mut self, length: usize) {
        let start = (self.at - self.window_start) as usize + HEADER_BYTES;
        self.record.extend_from_slice(&self.window[start..start + length]);
        self.at += (HEADER_BYTES + length) as u64;
    }

    /// What lies at an offset. Loads the page that it is in.
    fn piece(&mut self, offset: u64) -> std::io::Result<Piece> {
        self.load(offset)?;
        let page_end = (offset / PAGE_BYTES as u64 + 1).saturating_mul(PAGE_BYTES as u64);
        let start = (offset - self.window_start) as usize;
        let there = self.window.len().min((page_end - self.window_start) as usize);
        let rest = &self.window[start.min(there)..there];
        let is_padding = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        let is_last = page_end >= self.size;
        let Some((header, data)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(match is_padding(rest) {
                true => Piece::Padding,
                false if is_last => Piece::Cut,
                false => Piece::Unreadable,
            });
        };
        if header[0] == 0 {
            return Ok(if is_padding(rest) { Piece::Padding } else { Piece::Unreadable });
        }
        let kind = header[0] & 0b111;
        let compression = Compression::from_bits(header[0] >> 3);
        let (Some(compression), WHOLE..=LAST) = (compression, kind) else { return Ok(Piece::Unreadable) };
        let length = usize::from(u16::from_be_bytes([header[1], header[2]]));
        if length > (page_end - offset) as usize - HEADER_BYTES {
            return Ok(Piece::Unreadable);
        }
        let Some(data) = data.get(..length) else {
            return Ok(if is_last { Piece::Cut } else { Piece::Unreadable });
        };
        let wanted = u32::from_be_bytes([header[3], header[4], header[5], header[6]]);
        if crc32c::crc32c(data) != wanted {
            return Ok(Piece::WrongChecksum { length });
        }
        Ok(Piece::Fragment { kind, compression, length })
    }

    /// Is there something behind a damaged fragment that proves that its length is right?
    fn is_sound(&mut self, offset: u64) -> std::io::Result<bool> {
        if offset >= self.size || offset.is_multiple_of(PAGE_BYTES as u64) {
            return Ok(true);
        }
        let piece = self.piece(offset)?;
        Ok(matches!(piece, Piece::Padding) || matches!(piece, Piece::Fragment { length, .. } if length > 0))
    }

    /// Has the window hold the page that an offset is in.
    fn load(&mut self, offset: u64) -> std::io::Result<()> {
        let page = offset / PAGE_BYTES as u64 * PAGE_BYTES as u64;
        let held = self.window_start + self.window.len() as u64;
        if !self.window.is_empty() && page >= self.window_start && page < held {
            return Ok(());
        }
        self.window_start = page;
        let wanted = (WINDOW_PAGES * PAGE_BYTES) as u64;
        self.window.resize(wanted.min(self.size - page) as usize, 0);
        let mut done = 0;
        while done < self.window.len() {
            match self.file.read_at(&mut self.window[done..], page + done as u64)? {
                0 => {
                    // Cut since its size was asked.
                    self.window.truncate(done);
                    self.size = page + done as u64;
                }
                count => done += count,
            }
        }
        Ok(())
    }

    /// Everything from here up to `end` is lost, and the record that had begun.
    fn lose(&mut self, end: u64, kind: DamageKind) {
        self.abandon(self.at, kind);
        self.extend(self.at, end, kind);
        self.at = end;
    }

    /// The record that had begun, up to `end`, is lost.
    fn abandon(&mut self, end: u64, kind: DamageKind) {
        if let Some((offset, _)) = self.begun.take() {
            self.record.clear();
            self.extend(offset, end, kind);
        }
    }

    fn extend(&mut self, begin: u64, end: u64, kind: DamageKind) {
        self.lost = match self.lost {
            Some((begin, _, kind)) => Some((begin, end, kind)),
            None => Some((begin, end, kind)),
        };
    }

    fn take_lost(&mut self) -> Option<Found> {
        let (begin, end, kind) = self.lost.take()?;
        let file = self.path.clone();
        Some(Found::Damage(Damage { file, offset: begin, bytes: end - begin, kind, quarantine: None }))
    }
}

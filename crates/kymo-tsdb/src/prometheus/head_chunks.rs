//! Chunk files of Prometheus' head: sealed chunks of series by number, read past damage.
//!
//! ```text
//! file   01 30 bc 91  version:1  0 0 0   chunk...   zeros where nothing was written yet
//! chunk  number:u64 min:u64 max:u64 encoding:byte (bit 7: out of order) length:unsigned data crc32c of all before:u32
//! ```
//!
//! Behind a chunk with a wrong checksum the next one is where its length says, if it proves itself there; otherwise every
//! place behind it is tried: what begins a chunk names a series that is known and has a right checksum.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kymo_chunk::Encoding;

use super::record::be_u64;
use crate::frame::Bytes;
use crate::stats::{Damage, DamageKind};
use crate::vfs::VfsFile;

const MAGIC: [u8; 4] = [0x01, 0x30, 0xbc, 0x91];

const HEADER_BYTES: u64 = 8;

/// Number, times, encoding.
const FIXED_BYTES: usize = 25;

const CRC_BYTES: usize = 4;

/// What Prometheus keeps free for the length.
const LENGTH_BYTES_MAX: usize = 5;

const OUT_OF_ORDER: u8 = 0x80;

/// No chunk is longer: those of floats end at a kilobyte, those of histograms at a few.
const DATA_BYTES_MAX: usize = 4 << 20;

/// What is read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// A chunk of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HeadChunk<'a> {
    pub(super) number: u64,
    pub(super) max_ms: i64,
    pub(super) encoding: Encoding,
    pub(super) out_of_order: bool,
    pub(super) data: &'a [u8],
}

/// What a file has next.
#[derive(Debug, PartialEq)]
pub(super) enum FoundChunk<'a> {
    Chunk(HeadChunk<'a>, Place),
    Damage(Damage),
}

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Reads a chunk file from its beginning to its end.
#[derive(Debug)]
pub(super) struct HeadChunkReader {
    file: Arc<dyn VfsFile>,
    path: PathBuf,
    size: u64,
    window: Vec<u8>,
    window_start: u64,
    at: u64,
}

/// How a chunk lies in bytes that begin with it.
#[derive(Clone, Copy)]
enum Shape {
    Sound {
        encoding: Encoding,
        data: (usize, usize),
        bytes: usize,
    },
    WrongChecksum {
        bytes: usize,
    },
    /// The bytes end inside it.
    Cut,
    Unreadable,
    /// Nothing was written here.
    End,
}

impl HeadChunkReader {
    pub(super) fn new(file: Arc<dyn VfsFile>, path: &Path) -> std::io::Result<HeadChunkReader> {
        let size = file.size()?;
        Ok(HeadChunkReader { file, path: path.to_owned(), size, window: Vec::new(), window_start: 0, at: 0 })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How far it was read.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next chunk or damaged stretch; `None` at the end.
    pub(super) fn next(&mut self, is_known: &dyn Fn(u64) -> bool) -> std::io::Result<Option<FoundChunk<'_>>> {
        if self.at == 0 && self.size > 0 {
            self.at = HEADER_BYTES.min(self.size);
            let header = self.bytes(0, HEADER_BYTES as usize)?;
            let is_empty = header.iter().all(|byte| *byte == 0);
            if header.get(..5) != Some(&[MAGIC.as_slice(), &[1]].concat()) && !is_empty {
                return Ok(Some(self.damage(0, self.at, DamageKind::FileHeader)));
            }
        }
        if self.at >= self.size {
            return Ok(None);
        }
        let begin = self.at;
        let kind = match self.shape(begin)? {
            Shape::Sound { encoding, data, bytes } => {
                self.at += bytes as u64;
                let start = (begin - self.window_start) as usize;
                let chunk = &self.window[start..start + bytes];
                let number = be_u64(&mut Bytes(chunk)).unwrap_or_default();
                let max_ms = be_u64(&mut Bytes(&chunk[16..])).unwrap_or_default() as i64;
                let chunk = HeadChunk {
                    number,
                    max_ms,
                    encoding,
                    out_of_order: chunk[FIXED_BYTES - 1] & OUT_OF_ORDER != 0,
                    data: &chunk[data.0..data.1],
                };
                return Ok(Some(FoundChunk::Chunk(chunk, Place { offset: begin, bytes: bytes as u64 })));
            }
            Shape::End => {
                let Some(written) = self.first_written(begin)? else {
                    self.at = self.size;
                    return Ok(None);
                };
                // Zeros in the middle of a file. Up to seven of them begin the number of the next chunk.
                let (next, _) = self.search(written.saturating_sub(7).max(begin + 1), is_known)?;
                self.at = next;
                return Ok(Some(self.damage(begin, next, DamageKind::Frame)));
            }
            Shape::WrongChecksum { bytes } => {
                let behind = begin + bytes as u64;
                if matches!(self.shape(behind)?, Shape::Sound { .. } | Shape::End) {
                    self.at = behind;
                    return Ok(Some(self.damage(begin, behind, DamageKind::Record)));
                }
                DamageKind::Frame
            }
            Shape::Cut => DamageKind::TornTail,
            Shape::Unreadable => DamageKind::Frame,
        };
        let (next, found) = self.search(begin + 1, is_known)?;
        self.at = next;
        // A file that is cut inside a chunk looks like a damaged length; only when nothing follows it was cut.
        let kind = if found { DamageKind::Frame } else { kind };
        Ok(Some(self.damage(begin, next, kind)))
    }

    /// The next place where a chunk proves itself, or the end; and which of them it is.
    fn search(&mut self, from: u64, is_known: &dyn Fn(u64) -> bool) -> std::io::Result<(u64, bool)> {
        for at in from..self.size {
            let head = self.bytes(at, 8)?;
            let Some(number) = be_u64(&mut Bytes(head)) else { break };
            if number != 0 && is_known(number) && matches!(self.shape(at)?, Shape::Sound { .. }) {
                return Ok((at, true));
            }
        }
        Ok((self.size, false))
    }

    /// The first byte from here on that is not zero.
    fn first_written(&mut self, from: u64) -> std::io::Result<Option<u64>> {
        let mut at = from;
        while at < self.size {
            let bytes = self.bytes(at, WINDOW_BYTES)?;
            if let Some(found) = bytes.iter().position(|byte| *byte != 0) {
                return Ok(Some(at + found as u64));
            }
            if bytes.is_empty() {
                break;
            }
            at += bytes.len() as u64;
        }
        Ok(None)
    }

    fn shape(&mut self, at: u64) -> std::io::Result<Shape> {
        let head = self.bytes(at, FIXED_BYTES + LENGTH_BYTES_MAX)?;
        if head.iter().all(|byte| *byte == 0) {
            return Ok(Shape::End);
        }
        let Some((fixed, length)) = head.split_at_checked(FIXED_BYTES) else { return Ok(Shape::Cut) };
        let mut fields = Bytes(fixed);
        let (Some(_), Some(min_ms), Some(max_ms)) =
            (be_u64(&mut fields), be_u64(&mut fields), be_u64(&mut fields))
        else {
            return Ok(Shape::Cut);
        };
        let encoding = Encoding::from_byte(fixed[FIXED_BYTES - 1] & !OUT_OF_ORDER);
        let mut rest = Bytes(length);
        let data_bytes = rest.unsigned().and_then(|length| usize::try_from(length).ok());
        let data_bytes = data_bytes.filter(|length| (2..=DATA_BYTES_MAX).contains(length));
        let (Ok(encoding), Some(data_bytes), true) = (encoding, data_bytes, min_ms as i64 <= max_ms as i64)
        else {
            return Ok(if length.is_empty() { Shape::Cut } else { Shape::Unreadable });
        };
        let data = FIXED_BYTES + length.len() - rest.0.len();
        let bytes = data + data_bytes + CRC_BYTES;
        let all = self.bytes(at, bytes)?;
        let Some((covered, crc)) = all.split_at_checked(data + data_bytes) else { return Ok(Shape::Cut) };
        if crc.len() < CRC_BYTES {
            return Ok(Shape::Cut);
        }
        if crc32c::crc32c(covered).to_be_bytes() != crc {
            return Ok(Shape::WrongChecksum { bytes });
        }
        Ok(Shape::Sound { encoding, data: (data, data + data_bytes), bytes })
    }

    /// So many bytes from an offset, or those there are.
    fn bytes(&mut self, at: u64, wanted: usize) -> std::io::Result<&[u8]> {
        let there = self.size.saturating_sub(at).min(wanted as u64) as usize;
        let inside = at >= self.window_start && at - self.window_start <= self.window.len() as u64;
        if !inside || self.window.len() - ((at - self.window_start) as usize) < there {
            let load = self.size.saturating_sub(at).min(wanted.max(WINDOW_BYTES) as u64) as usize;
            self.window.resize(load, 0);
            self.window_start = at;
            let mut done = 0;
            while done < load {
                match self.file.read_at(&mut self.window[done..], at + done as u64)? {
                    0 => {
                        self.window.truncate(done);
                        self.size = at + done as u64;
                        break;
                    }
                    count => done += count,
                }
            }
        }
        let start = (at - self.window_start) as usize;
        Ok(&self.window[start..self.window.len().min(start + there)])
    }

    fn damage(&self, begin: u64, end: u64, kind: DamageKind) -> FoundChunk<'static> {
        let file = self.path.clone();
        FoundChunk::Damage(Damage { file, offset: begin, bytes: end - begin, kind, quarantine: None })
    }
}

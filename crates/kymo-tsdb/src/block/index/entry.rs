//! Entries: the series of an index, each with its labels and where its chunks are.

use kymo_model::{Labels, TimeRange};

use super::super::error::BlockError;
use super::super::file::{BlockFile, CRC_BYTES, Window};
use super::Symbols;
use crate::frame::Bytes;

/// Entries begin at multiples of this.
pub(in super::super) const SERIES_ALIGNMENT: u64 = 16;

/// Where a chunk is and which time it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkMeta {
    /// Its first sample.
    pub min_ms: i64,
    /// Its last sample.
    pub max_ms: i64,
    /// Where it is: number of the segment, from 0, and offset in it.
    pub reference: u64,
}

impl ChunkMeta {
    /// Has it a sample in the range, as far as its ends say?
    pub fn overlaps(&self, range: TimeRange) -> bool {
        self.min_ms <= range.max.millis() && range.min.millis() <= self.max_ms
    }

    /// Are all its samples in the range, as far as its ends say?
    pub(in super::super) fn is_inside(&self, range: TimeRange) -> bool {
        range.min.millis() <= self.min_ms && self.max_ms <= range.max.millis()
    }
}

/// An entry, read.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Entry {
    pub(in super::super) labels: Labels,
    pub(in super::super) chunks: Vec<ChunkMeta>,
    /// Where the next one may begin.
    pub(in super::super) end: u64,
}

/// Reads entries, best in order.
#[derive(Debug)]
pub(in super::super) struct EntryReader<'a> {
    window: Window<'a>,
    scratch: String,
}

impl<'a> EntryReader<'a> {
    pub(in super::super) fn over(file: &'a BlockFile) -> EntryReader<'a> {
        EntryReader { window: Window::over(file), scratch: String::new() }
    }

    /// The checked body of the entry at an offset, and where it ends.
    pub(in super::super) fn body(&mut self, offset: u64) -> Result<(&[u8], u64), BlockError> {
        /// Length and most entries.
        const FIRST_BYTES: usize = 1024;
        let file = self.window.file();
        let mut bytes = Bytes(self.window.at(offset, FIRST_BYTES)?);
        let there = bytes.0.len();
        let length = bytes.unsigned().and_then(|length| usize::try_from(length).ok());
        let Some(length) = length else {
            return Err(file.damaged(offset, "expected the length of a series, found no number"));
        };
        let start = offset + (there - bytes.0.len()) as u64;
        let whole = length.saturating_add(CRC_BYTES);
        if whole as u64 > file.size().saturating_sub(start) {
            let left = file.size().saturating_sub(start);
            return Err(file.damaged(offset, format!("expected a series of {whole} bytes, found {left}")));
        }
        let bytes = self.window.at(start, whole)?;
        let Some(body) = bytes.get(..whole) else {
            return Err(file.damaged(offset, format!("expected a series of {whole} bytes, found the end")));
        };
        file.check_crc(offset, body)?;
        Ok((&body[..length], start + whole as u64))
    }

    /// The entry at an offset.
    pub(in super::super) fn read(&mut self, offset: u64, symbols: &Symbols) -> Result<Entry, BlockError> {
        let file = self.window.file();
        let mut scratch = std::mem::take(&mut self.scratch);
        let (body, end) = self.body(offset)?;
        let mut bytes = Bytes(body);
        let labels = read_labels(&mut bytes, symbols, &mut scratch);
        let chunks = labels.and_then(|labels| Some((labels, read_chunks(&mut bytes)?)));
        self.scratch = scratch;
        match chunks {
            Some((labels, chunks)) => Ok(Entry { labels, chunks, end }),
            None => Err(file.damaged(offset, "expected labels and chunks of a series, found something else")),
        }
    }
}

fn read_labels(bytes: &mut Bytes<'_>, symbols: &Symbols, scratch: &mut String) -> Option<Labels> {
    let mut pairs = Vec::with_capacity(16);
    for _ in 0..bytes.count()? {
        pairs.push((symbols.get(bytes.unsigned()?)?, symbols.get(bytes.unsigned()?)?));
    }
    let sorted = Labels::from_sorted(pairs.iter().copied(), scratch);
    Some(sorted.unwrap_or_else(|| Labels::from_pairs(pairs)))
}

fn read_chunks(bytes: &mut Bytes<'_>) -> Option<Vec<ChunkMeta>> {
    let count = bytes.count()?;
    let mut chunks: Vec<ChunkMeta> = Vec::with_capacity(count);
    for _ in 0..count {
        let (min_ms, length, reference) = match chunks.last() {
            None => (bytes.signed()?, bytes.unsigned()?, bytes.unsigned()?),
            Some(before) => (
                before.max_ms.wrapping_add_unsigned(bytes.unsigned()?),
                bytes.unsigned()?,
                before.reference.wrapping_add_signed(bytes.signed()?),
            ),
        };
        chunks.push(ChunkMeta { min_ms, max_ms: min_ms.wrapping_add_unsigned(length), reference });
    }
    Some(chunks)
}

//! The series of a block in order of their labels, for those who want all: compaction, dump, verify.

use std::sync::Arc;

use kymo_model::Labels;

use super::error::BlockError;
use super::index::{ChunkMeta, Entry, EntryReader};
use super::reader::{Inner, Tables};

/// A series of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockSeries {
    /// Its number in the block, as tombstones name it.
    pub number: u64,
    /// Its labels.
    pub labels: Labels,
    /// Its chunks, in order of their first sample.
    pub chunks: Vec<ChunkMeta>,
}

/// All series of a block. A damaged one is an error in its place; the ones behind it follow.
#[derive(Debug)]
pub struct BlockSeriesIter<'a> {
    scan: Scan<'a>,
}

impl<'a> BlockSeriesIter<'a> {
    pub(super) fn new(block: &'a Inner, tables: Arc<Tables>) -> BlockSeriesIter<'a> {
        BlockSeriesIter { scan: Scan::new(block, TablesRef::Shared(tables)) }
    }
}

impl Iterator for BlockSeriesIter<'_> {
    type Item = Result<BlockSeries, BlockError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (number, entry) = self.scan.next()?;
        Some(entry.map(|Entry { labels, chunks, .. }| BlockSeries { number, labels, chunks }))
    }
}

impl Inner {
    /// Every entry with its number, from the file itself.
    pub(super) fn scan<'a>(&'a self, tables: &'a Tables) -> Scan<'a> {
        Scan::new(self, TablesRef::Borrowed(tables))
    }
}

#[derive(Debug)]
enum TablesRef<'a> {
    Shared(Arc<Tables>),
    Borrowed(&'a Tables),
}

/// Reads entries from the first to the last.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    entries: EntryReader<'a>,
    tables: TablesRef<'a>,
    next: u64,
    end: u64,
    alignment: u64,
    /// Behind a damaged entry, whose end is not known, every place where one may begin is tried.
    lost: bool,
}

impl<'a> Scan<'a> {
    fn new(block: &'a Inner, tables: TablesRef<'a>) -> Scan<'a> {
        let alignment = block.toc.series_factor();
        let next = block.toc.series.next_multiple_of(alignment);
        Scan { entries: block.entries(), tables, next, end: block.toc.series_end, alignment, lost: false }
    }
}

/// Labels and chunks are counted, so an entry has at least two bytes and its checksum.
const ENTRY_BYTES_MIN: u64 = 7;

impl Iterator for Scan<'_> {
    type Item = (u64, Result<Entry, BlockError>);

    fn next(&mut self) -> Option<Self::Item> {
        let symbols = match &self.tables {
            TablesRef::Shared(tables) => &tables.symbols,
            TablesRef::Borrowed(tables) => &tables.symbols,
        };
        while self.next + ENTRY_BYTES_MIN <= self.end {
            let offset = self.next;
            let number = offset / self.alignment;
            match self.entries.read(offset, symbols) {
                Ok(entry) => {
                    self.lost = false;
                    self.next = entry.end.next_multiple_of(self.alignment);
                    return Some((number, Ok(entry)));
                }
                Err(error) => {
                    self.next += self.alignment;
                    let is_damage = matches!(error, BlockError::Damaged(_));
                    if !is_damage {
                        self.next = self.end;
                    }
                    // One report for all that follows of the damaged one.
                    if !std::mem::replace(&mut self.lost, is_damage) || !is_damage {
                        return Some((number, Err(error)));
                    }
                }
            }
        }
        None
    }
}

//! StoredBlock: a block as a database keeps it, Prometheus' or cold. Whoever asks need not know which.

use std::path::Path;

use kymo_model::{CancelToken, Estimate, Matcher, Queryable, Selector, SeriesSet, StoreError, TimeRange};

use super::cold::{COLD_ENDING, ColdBlock};
use super::error::{BlockDamage, BlockError};
use super::meta::BlockMeta;
use super::reader::{Block, Inner};
use super::series::BlockSeriesIter;
use super::tombstones::Tombstones;
use super::ulid::Ulid;
use crate::vfs::Vfs;

/// A block of a database. Clones share what was read.
#[derive(Clone, Debug)]
pub enum StoredBlock {
    /// One that Prometheus can read, too.
    Plain(Block),
    /// One in a fourth of the bytes, which only kymo reads.
    Cold(ColdBlock),
}

impl StoredBlock {
    /// What the block says of itself. The chunks of a cold one are columns.
    pub fn meta(&self) -> &BlockMeta {
        &self.inner().meta
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.inner().dir
    }

    /// What was deleted from it.
    pub fn tombstones(&self) -> &Tombstones {
        &self.inner().tombstones
    }

    /// Bytes of all its files.
    pub fn size_bytes(&self) -> u64 {
        match self {
            StoredBlock::Plain(block) => block.size_bytes(),
            StoredBlock::Cold(block) => block.size_bytes(),
        }
    }

    /// The time from its first millisecond to its last.
    pub fn time_range(&self) -> TimeRange {
        self.inner().time_range()
    }

    /// The damaged places that were met so far, and how many there were; as [`Block::damage`].
    pub fn damage(&self) -> (Vec<BlockDamage>, u64) {
        self.inner().damage()
    }

    /// All series, in order of their labels. The chunks of a cold block's are its columns.
    pub fn series(&self) -> Result<BlockSeriesIter<'_>, BlockError> {
        Ok(BlockSeriesIter::new(self.inner(), self.inner().tables(&CancelToken::new())?))
    }

    /// Is it cold?
    pub fn is_cold(&self) -> bool {
        self.cold().is_some()
    }

    /// The block, if Prometheus can read it, too.
    pub fn plain(&self) -> Option<&Block> {
        match self {
            StoredBlock::Plain(block) => Some(block),
            StoredBlock::Cold(_) => None,
        }
    }

    /// The block, if it is cold.
    pub fn cold(&self) -> Option<&ColdBlock> {
        match self {
            StoredBlock::Plain(_) => None,
            StoredBlock::Cold(block) => Some(block),
        }
    }

    /// Is it in the directory of its name? A block that was just cut is not yet.
    pub(crate) fn is_named(&self) -> bool {
        self.plain().is_none_or(Block::is_named)
    }

    pub(super) fn inner(&self) -> &Inner {
        match self {
            StoredBlock::Plain(block) => &block.inner,
            StoredBlock::Cold(block) => &block.inner.block,
        }
    }

    pub(super) fn open_plain(vfs: &dyn Vfs, parent: &Path, ulid: Ulid) -> Result<StoredBlock, BlockError> {
        Block::open(vfs, &parent.join(ulid.to_string())).map(StoredBlock::Plain)
    }

    pub(super) fn open_cold(vfs: &dyn Vfs, parent: &Path, ulid: Ulid) -> Result<StoredBlock, BlockError> {
        ColdBlock::open(vfs, &parent.join(format!("{ulid}{COLD_ENDING}"))).map(StoredBlock::Cold)
    }

    /// The same block as it is on disk now.
    pub(super) fn reopen(&self, vfs: &dyn Vfs) -> Result<StoredBlock, BlockError> {
        match self {
            StoredBlock::Plain(block) => Block::open(vfs, block.dir()).map(StoredBlock::Plain),
            StoredBlock::Cold(block) => ColdBlock::open(vfs, block.dir()).map(StoredBlock::Cold),
        }
    }
}

impl From<Block> for StoredBlock {
    fn from(block: Block) -> StoredBlock {
        StoredBlock::Plain(block)
    }
}

impl From<ColdBlock> for StoredBlock {
    fn from(block: ColdBlock) -> StoredBlock {
        StoredBlock::Cold(block)
    }
}

impl Queryable for StoredBlock {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        match self {
            StoredBlock::Plain(block) => block.select(wanted),
            StoredBlock::Cold(block) => block.select(wanted),
        }
    }

    fn estimate(&self, wanted: &Selector) -> Result<Option<Estimate>, StoreError> {
        Ok(self.inner().estimate(wanted).map(Some)?)
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        match self {
            StoredBlock::Plain(block) => block.label_names(matchers, range, cancel),
            StoredBlock::Cold(block) => block.label_names(matchers, range, cancel),
        }
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        match self {
            StoredBlock::Plain(block) => block.label_values(name, matchers, range, cancel),
            StoredBlock::Cold(block) => block.label_values(name, matchers, range, cancel),
        }
    }
}

//! BlockStore: the blocks of one directory as one store: queried together, cut, compacted, deleted from, and let go.
//!
//! Readers take the list of blocks that is current and keep it; whoever changes it makes a new list, one at a time. A block
//! that is removed stays readable for those who have it, because its files are open.

mod change;
mod cold;
mod link;
mod open;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, RwLock};

use kymo_model::{CancelToken, Estimate, Matcher, Queryable, Selector, SeriesSet, StoreError, TimeRange};

use super::compact::CompactionPlan;
use super::error::BlockError;
use super::meta::BlockMeta;
use super::reader::Block;
use super::stored::StoredBlock;
use super::ulid::Ulid;
use super::union::union;
use super::write::BlockWriterOptions;
use crate::lock::{lock, read, write};
use crate::summary::Summaries;
use crate::vfs::Vfs;

pub use change::Deleted;

/// How a store of blocks is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockStoreOptions {
    /// Which blocks are compacted together.
    pub plan: CompactionPlan,
    /// The bounds of new blocks.
    pub writer: BlockWriterOptions,
    /// Blocks that are larger together are not compacted, unless they overlap; 0 for no bound.
    pub block_bytes_max: u64,
    /// Bytes of memory for what is known of chunks that queries over long windows need not read again; 0 for none. In a database
    /// those of the head count, too.
    pub summary_bytes_max: usize,
}

impl Default for BlockStoreOptions {
    /// As Prometheus with a retention of a year: blocks of two hours grow to a month.
    fn default() -> BlockStoreOptions {
        const HOUR_MS: i64 = 3_600_000;
        let plan = CompactionPlan::from_first(2 * HOUR_MS, 3, 31 * 24 * HOUR_MS);
        BlockStoreOptions {
            plan,
            writer: BlockWriterOptions::default(),
            block_bytes_max: 0,
            summary_bytes_max: 32 << 20,
        }
    }
}

/// The blocks of a directory.
///
/// ```
/// use std::sync::Arc;
/// use kymo_model::{Append, Batch, Labels, MemoryStore, Queryable, Selector, TimeRange, Timestamp};
/// use kymo_tsdb::{OsVfs, block::{BlockStore, BlockStoreOptions}};
///
/// let head = MemoryStore::default();
/// let mut batch = Batch::new();
/// batch.push(Labels::from_pairs([("__name__", "up")]), Timestamp::from_millis(1000), 1.0);
/// head.append(&batch)?;
///
/// # let dir = std::env::temp_dir().join(format!("kymo-blocks-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// let store = BlockStore::open(Arc::new(OsVfs), &dir, BlockStoreOptions::default())?;
/// let meta = store.cut(&head, (0, 7_200_000), 0)?.expect("there is a sample");
/// assert_eq!((meta.stats.num_samples, store.end_ms()), (1, Some(7_200_000)));
/// assert_eq!(store.select(&Selector::new(Vec::new(), TimeRange::ALL))?.len(), 1);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BlockStore {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    options: BlockStoreOptions,
    /// In order of their first millisecond.
    blocks: RwLock<Arc<[StoredBlock]>>,
    refused: Vec<(PathBuf, BlockError)>,
    /// Held by whoever changes the blocks.
    changing: Mutex<()>,
    /// How many wait for a compaction to make room for them.
    waiting: AtomicUsize,
    /// Blocks that could not be read when they were to be compacted. They are left alone until the next opening.
    unreadable: Mutex<HashSet<Ulid>>,
    /// Directories of blocks that are not in the list any more and could not be removed yet.
    leftovers: Mutex<Vec<PathBuf>>,
    summaries: Arc<Summaries>,
}

impl BlockStore {
    /// The blocks as they are now, cold ones among them, in order of their first millisecond.
    pub fn blocks(&self) -> Arc<[StoredBlock]> {
        read(&self.blocks).clone()
    }

    /// Where is kept what is known of the blocks' chunks; the head's are kept there, too.
    pub(crate) fn summaries(&self) -> &Arc<Summaries> {
        &self.summaries
    }

    /// The blocks that could not be opened, with why.
    pub fn refused(&self) -> &[(PathBuf, BlockError)] {
        &self.refused
    }

    /// Bytes of all blocks.
    pub fn size_bytes(&self) -> u64 {
        self.blocks().iter().map(StoredBlock::size_bytes).sum()
    }

    /// Where the last block ends: what a head is to keep begins there.
    pub fn end_ms(&self) -> Option<i64> {
        self.blocks().iter().map(|block| block.meta().max_time_ms).max()
    }

    /// Takes blocks out of the list and puts one in.
    fn exchange(&self, removed: &[Ulid], added: Option<StoredBlock>) {
        let gone = |block: &StoredBlock| removed.contains(&block.meta().ulid);
        let mut list = write(&self.blocks);
        let mut blocks: Vec<StoredBlock> =
            list.iter().filter(|block| !gone(block)).cloned().chain(added).collect();
        blocks.sort_by_key(|block| (block.meta().min_time_ms, block.meta().ulid));
        blocks.iter().for_each(|block| block.inner().share_summaries(&self.summaries));
        *list = blocks.into();
    }

    /// As [`BlockStore::exchange`], with a block that is opened first.
    fn replace(&self, removed: &[Ulid], added: Option<Ulid>) -> Result<(), BlockError> {
        let added = added.map(|ulid| StoredBlock::open_plain(&*self.vfs, &self.dir, ulid)).transpose()?;
        self.exchange(removed, added);
        Ok(())
    }

    fn metas(blocks: &[StoredBlock]) -> Vec<BlockMeta> {
        blocks.iter().map(|block| block.meta().clone()).collect()
    }

    fn ulids(blocks: &[Block]) -> Vec<Ulid> {
        blocks.iter().map(|block| block.meta().ulid).collect()
    }
}

impl Queryable for BlockStore {
    /// In order of labels, whether that was asked for or not.
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        let sets = self.blocks().iter().map(|block| block.select(wanted)).collect::<Result<_, _>>()?;
        Ok(union(sets))
    }

    /// Blocks whose times overlap may hold the same samples.
    fn estimate(&self, wanted: &Selector) -> Result<Option<Estimate>, StoreError> {
        let mut found = Estimate::default();
        // Blocks that follow one another, each behind all before it; and those of them that overlap.
        let (mut end_ms, mut together) = (i64::MIN, Estimate::default());
        for block in self.blocks().iter() {
            let estimate = block.estimate(wanted)?.unwrap_or_default();
            if block.meta().min_time_ms >= end_ms {
                found = found.beside(std::mem::replace(&mut together, estimate));
            } else {
                together = together.over(estimate);
            }
            end_ms = end_ms.max(block.meta().max_time_ms);
            if found.beside(together).exceeds(wanted.hints.series_limit, wanted.hints.samples_limit) {
                break;
            }
        }
        Ok(Some(found.beside(together)))
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        let names = self
            .blocks()
            .iter()
            .map(|block| block.label_names(matchers, range, cancel))
            .collect::<Result<_, _>>()?;
        merged(names, cancel)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        let values = self
            .blocks()
            .iter()
            .map(|block| block.label_values(name, matchers, range, cancel))
            .collect::<Result<_, _>>()?;
        merged(values, cancel)
    }
}

/// The names of several sorted lists, each once.
pub(crate) fn merged(mut lists: Vec<Vec<String>>, cancel: &CancelToken) -> Result<Vec<String>, StoreError> {
    lists.retain(|list| !list.is_empty());
    if lists.len() < 2 {
        return Ok(lists.pop().unwrap_or_default());
    }
    let mut all: Vec<String> = lists.into_iter().flatten().collect();
    cancel.sort_by(&mut all, String::cmp)?;
    all.dedup();
    Ok(all)
}

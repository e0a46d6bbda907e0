//! BlockStore: the blocks of one directory as one store: queried together, cut, compacted, deleted from, and let go.
//!
//! Readers take the list of blocks that is current and keep it; whoever changes it makes a new list, one at a time. A block
//! that is removed stays readable for those who have it, because its files are open.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use kymo_model::{CancelToken, Estimate, Matcher, Queryable, Selector, SeriesSet, StoreError, TimeRange};

use super::compact::{CompactError, CompactOptions, Compacted, CompactionPlan, compact_blocks};
use super::cut::{CutError, write_select};
use super::error::{BlockError, WriteBlockError};
use super::meta::{BlockCompaction, BlockMeta};
use super::reader::{Block, OpenedBlocks};
use super::tombstones::Interval;
use super::ulid::Ulid;
use super::union::union;
use super::write::{
    BlockOrigin, BlockWriter, BlockWriterOptions, remove_block, remove_unfinished_blocks, write_tombstones,
};
use crate::lock::{lock, read, write};
use crate::vfs::Vfs;

/// Where damaged blocks go, in the directory of the blocks.
const QUARANTINE_DIR: &str = "quarantine";

/// How a store of blocks is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockStoreOptions {
    /// Which blocks are compacted together.
    pub plan: CompactionPlan,
    /// The bounds of new blocks.
    pub writer: BlockWriterOptions,
}

impl Default for BlockStoreOptions {
    /// As Prometheus with a retention of a year: blocks of two hours grow to a month.
    fn default() -> BlockStoreOptions {
        const HOUR_MS: i64 = 3_600_000;
        let plan = CompactionPlan::from_first(2 * HOUR_MS, 3, 31 * 24 * HOUR_MS);
        BlockStoreOptions { plan, writer: BlockWriterOptions::default() }
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
    blocks: RwLock<Arc<[Block]>>,
    refused: Vec<(PathBuf, BlockError)>,
    /// Held by whoever changes the blocks.
    changing: Mutex<()>,
}

impl BlockStore {
    /// Opens the blocks in a directory, which must be there, and removes what a crash has left half done. Blocks that cannot be
    /// opened stay where they are and are told by [`BlockStore::refused`].
    pub fn open(vfs: Arc<dyn Vfs>, dir: &Path, options: BlockStoreOptions) -> Result<BlockStore, BlockError> {
        remove_unfinished_blocks(&*vfs, dir)?;
        let (store, replaced) = BlockStore::look(vfs, dir, options)?;
        for block in replaced {
            remove_block(&*store.vfs, block.dir())?;
        }
        Ok(store)
    }

    /// The same without changing anything on disk, beside whoever may.
    pub fn open_read_only(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: BlockStoreOptions,
    ) -> Result<BlockStore, BlockError> {
        Ok(BlockStore::look(vfs, dir, options)?.0)
    }

    /// The store, and the blocks that others of it have replaced.
    fn look(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: BlockStoreOptions,
    ) -> Result<(BlockStore, Vec<Block>), BlockError> {
        let OpenedBlocks { blocks, refused } = Block::open_all(&*vfs, dir)?;
        // A crash between a compaction and the removal of what it replaces leaves both.
        let replaced = |block: &Block| {
            let ulid = block.meta().ulid;
            blocks
                .iter()
                .any(|other| other.meta().compaction.parents.iter().any(|parent| parent.ulid == ulid))
        };
        let (replaced, current): (Vec<Block>, Vec<Block>) = blocks.iter().cloned().partition(replaced);
        let store = BlockStore {
            vfs,
            dir: dir.to_owned(),
            options,
            blocks: RwLock::new(current.into()),
            refused,
            changing: Mutex::default(),
        };
        Ok((store, replaced))
    }

    /// The blocks as they are now, in order of their first millisecond.
    pub fn blocks(&self) -> Arc<[Block]> {
        read(&self.blocks).clone()
    }

    /// The blocks that could not be opened, with why.
    pub fn refused(&self) -> &[(PathBuf, BlockError)] {
        &self.refused
    }

    /// Bytes of all blocks.
    pub fn size_bytes(&self) -> u64 {
        self.blocks().iter().map(Block::size_bytes).sum()
    }

    /// Where the last block ends: what a head is to keep begins there.
    pub fn end_ms(&self) -> Option<i64> {
        self.blocks().iter().map(|block| block.meta().max_time_ms).max()
    }

    /// Writes what `source` has from the first millisecond of a range up to the one before its end into a new block; `None`
    /// when that is nothing. Only when this has returned may the source let go of it.
    pub fn cut(
        &self,
        source: &dyn Queryable,
        (begin_ms, end_ms): (i64, i64),
        now_ms: u64,
    ) -> Result<Option<BlockMeta>, CutError> {
        let _one_at_a_time = lock(&self.changing);
        let mut wanted =
            Selector::new(Vec::new(), TimeRange::from_millis(begin_ms, end_ms.saturating_sub(1)));
        wanted.hints.ordered = true;
        let set = source.select(&wanted)?;
        let mut writer =
            BlockWriter::create(self.vfs.clone(), &self.dir, Ulid::generate(now_ms), self.options.writer)?;
        let written = write_select(&mut writer, &set, &mut |_, _| ());
        if written.is_err() || writer.stats().num_series == 0 {
            // A failure to clean up says less than the failure before it; the next opening cleans up.
            let discarded = writer.discard();
            written?;
            discarded.map_err(WriteBlockError::from)?;
            return Ok(None);
        }
        let overlaps = self
            .blocks()
            .iter()
            .any(|block| block.meta().min_time_ms < end_ms && begin_ms < block.meta().max_time_ms);
        let hints = if overlaps { vec!["from-out-of-order".to_owned()] } else { Vec::new() };
        let compaction = BlockCompaction { hints, ..BlockCompaction::default() };
        let meta = writer.finish(BlockOrigin { range_ms: Some((begin_ms, end_ms)), compaction })?;
        self.replace(&[], Some(meta.ulid)).map_err(WriteBlockError::from)?;
        Ok(Some(meta))
    }

    /// Compacts the blocks that the plan chooses, if it does, and removes them. Blocks of which something could not be read go
    /// to `quarantine/` instead.
    pub fn compact(
        &self,
        now_ms: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Option<Compacted>, CompactError> {
        let _one_at_a_time = lock(&self.changing);
        let blocks = self.blocks();
        let metas: Vec<BlockMeta> = blocks.iter().map(|block| block.meta().clone()).collect();
        let chosen: Vec<Block> =
            self.options.plan.choose(&metas).into_iter().map(|index| blocks[index].clone()).collect();
        if chosen.is_empty() {
            return Ok(None);
        }
        let options = CompactOptions { writer: self.options.writer };
        let compacted =
            compact_blocks(&self.vfs, &self.dir, Ulid::generate(now_ms), &chosen, &options, progress)?;
        self.replace(&chosen, compacted.meta.as_ref().map(|meta| meta.ulid))?;
        for block in &chosen {
            let damaged = compacted.damage.iter().any(|damage| damage.file.starts_with(block.dir()));
            if damaged { self.set_aside(block.dir())? } else { remove_block(&*self.vfs, block.dir())? }
        }
        Ok(Some(compacted))
    }

    /// Removes the blocks that end at or before `oldest_ms`, and of the others the oldest until all are at most `bytes_max`
    /// (0 for no bound). What was removed.
    pub fn retain(&self, oldest_ms: i64, bytes_max: u64) -> Result<Vec<BlockMeta>, BlockError> {
        let _one_at_a_time = lock(&self.changing);
        let blocks = self.blocks();
        let mut bytes = blocks.iter().map(Block::size_bytes).sum::<u64>();
        let mut doomed = Vec::new();
        for block in blocks.iter() {
            if block.meta().max_time_ms <= oldest_ms || (bytes_max > 0 && bytes > bytes_max) {
                bytes -= block.size_bytes();
                doomed.push(block.clone());
            }
        }
        self.replace(&doomed, None)?;
        for block in &doomed {
            remove_block(&*self.vfs, block.dir())?;
        }
        Ok(doomed.into_iter().map(|block| block.meta().clone()).collect())
    }

    /// Deletes the samples inside a range of all series that match. How many series had some.
    pub fn delete(&self, matchers: &[Matcher], range: TimeRange) -> Result<u64, WriteBlockError> {
        let _one_at_a_time = lock(&self.changing);
        let mut series = 0;
        for block in self.blocks().iter().filter(|block| block.time_range().overlaps(&range)) {
            let (mut tombstones, mut added) = (block.tombstones().clone(), 0);
            let tables = block.inner.tables()?;
            block.inner.for_each_match(&tables, (matchers, &CancelToken::new()), |number, entry| {
                if entry.chunks.iter().any(|chunk| chunk.overlaps(range)) {
                    let Some((first, last)) = entry.chunks.first().zip(entry.chunks.last()) else { return };
                    let (min_ms, max_ms) =
                        (range.min.millis().max(first.min_ms), range.max.millis().min(last.max_ms));
                    tombstones.add(number, Interval { min_ms, max_ms });
                    added += 1;
                }
            })?;
            if added > 0 {
                write_tombstones(&*self.vfs, block.dir(), &tombstones)?;
                self.replace(std::slice::from_ref(block), Some(block.meta().ulid))?;
                series += added;
            }
        }
        Ok(series)
    }

    /// Takes blocks out of the list and puts one in.
    fn replace(&self, removed: &[Block], added: Option<Ulid>) -> Result<(), BlockError> {
        let added =
            added.map(|ulid| Block::open(&*self.vfs, &self.dir.join(ulid.to_string()))).transpose()?;
        let gone = |block: &Block| removed.iter().any(|removed| removed.meta().ulid == block.meta().ulid);
        let mut list = write(&self.blocks);
        let mut blocks: Vec<Block> = list.iter().filter(|block| !gone(block)).cloned().chain(added).collect();
        blocks.sort_by_key(|block| (block.meta().min_time_ms, block.meta().ulid));
        *list = blocks.into();
        Ok(())
    }

    fn set_aside(&self, block: &Path) -> Result<(), BlockError> {
        let quarantine = self.dir.join(QUARANTINE_DIR);
        self.vfs.create_dir_all(&quarantine).map_err(BlockError::io("create", &quarantine))?;
        let Some(name) = block.file_name() else { return Ok(()) };
        self.vfs.rename(block, &quarantine.join(name)).map_err(BlockError::io("rename", block))?;
        for dir in [&quarantine, &self.dir] {
            self.vfs.sync_dir(dir).map_err(BlockError::io("sync", dir))?;
        }
        Ok(())
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

    fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, StoreError> {
        let names =
            self.blocks().iter().map(|block| block.label_names(matchers, range)).collect::<Result<_, _>>()?;
        Ok(merged(names))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<String>, StoreError> {
        let values = self
            .blocks()
            .iter()
            .map(|block| block.label_values(name, matchers, range))
            .collect::<Result<_, _>>()?;
        Ok(merged(values))
    }
}

fn merged(lists: Vec<Vec<String>>) -> Vec<String> {
    let mut all: Vec<String> = lists.into_iter().flatten().collect();
    all.sort_unstable();
    all.dedup();
    all
}

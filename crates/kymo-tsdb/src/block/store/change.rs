//! What changes the blocks of a store. One change at a time; each is done on disk first and then in the list.

use std::path::Path;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Relaxed;

use kymo_model::{CancelToken, Matcher, Queryable, Selector, StoreError, StoreErrorKind, TimeRange};

use super::{Block, BlockError, BlockMeta, BlockStore, StoredBlock, Ulid, lock};
use crate::block::compact::{CompactError, CompactOptions, Compacted, compact_blocks_as, origin};
use crate::block::cut::{CutError, write_select};
use crate::block::error::WriteBlockError;
use crate::block::meta::BlockCompaction;
use crate::block::tombstones::Interval;
use crate::block::write::{
    BlockOrigin, BlockWriter, name_block, remove_block, remove_tree, write_tombstones,
};
use crate::progress::{Progress, ProgressUnit, Work};

/// What a deletion from blocks did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Series of blocks that had samples in the range; one that several blocks have counts for each.
    pub series: u64,
    /// Blocks that were touched.
    pub blocks: u64,
}

impl BlockStore {
    /// Takes the right to change the blocks; a compaction that runs gives up for it.
    pub(super) fn change(&self) -> MutexGuard<'_, ()> {
        self.waiting.fetch_add(1, Relaxed);
        let guard = lock(&self.changing);
        self.waiting.fetch_sub(1, Relaxed);
        guard
    }

    /// Writes what `source` has from the first millisecond of a range up to the one before its end into a new block; `None`
    /// when that is nothing. Only when this has returned may the source let go of it; so it is an error if the source warns of
    /// something that it could not read.
    pub fn cut(
        &self,
        source: &dyn Queryable,
        (begin_ms, end_ms): (i64, i64),
        now_ms: u64,
    ) -> Result<Option<BlockMeta>, CutError> {
        let _one_at_a_time = self.change();
        let mut wanted =
            Selector::new(Vec::new(), TimeRange::from_millis(begin_ms, end_ms.saturating_sub(1)));
        wanted.hints.ordered = true;
        let set = source.select(&wanted)?;
        let mut writer =
            BlockWriter::create(self.vfs.clone(), &self.dir, Ulid::generate(now_ms), self.options.writer)?;
        let written = write_select(&mut writer, &set, &mut |_| ()).and_then(|()| match &set.warnings()[..] {
            [] => Ok(()),
            warnings => Err(StoreError::new(StoreErrorKind::Corrupt, warnings.join("; ")).into()),
        });
        if written.is_err() || writer.stats().num_series == 0 {
            // A failure to clean up says less than the failure before it; the next opening cleans up.
            let discarded = writer.discard();
            written?;
            discarded.map_err(WriteBlockError::from)?;
            return Ok(None);
        }
        let meta = writer.finish(self.origin_of_cut((begin_ms, end_ms)))?;
        self.replace(&[], Some(meta.ulid)).map_err(WriteBlockError::from)?;
        Ok(Some(meta))
    }

    /// What a block of a head's samples of a range says of itself.
    pub(crate) fn origin_of_cut(&self, (begin_ms, end_ms): (i64, i64)) -> BlockOrigin {
        let overlaps = self
            .blocks()
            .iter()
            .any(|block| block.meta().min_time_ms < end_ms && begin_ms < block.meta().max_time_ms);
        let hints = if overlaps { vec!["from-out-of-order".to_owned()] } else { Vec::new() };
        let compaction = BlockCompaction { hints, ..BlockCompaction::default() };
        BlockOrigin { range_ms: Some((begin_ms, end_ms)), compaction }
    }

    /// Adds a block that was cut from a head and has no name yet.
    pub(crate) fn add_cut(&self, block: Block) {
        let _one_at_a_time = self.change();
        self.exchange(&[], Some(block.into()));
    }

    /// Gives a block that was cut from a head its name.
    pub(crate) fn name_cut(&self, ulid: Ulid) -> Result<(), BlockError> {
        let _one_at_a_time = self.change();
        name_block(&*self.vfs, &self.dir, ulid)?;
        self.replace(&[ulid], Some(ulid))
    }

    /// Compacts the blocks that the plan chooses, if it does, and removes them. Blocks of which something could not be read go
    /// to `quarantine/` instead. When the plan chooses none, a cold block of which something was deleted in more than a twentieth of the
    /// series is written anew.
    pub fn compact(
        &self,
        now_ms: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<Compacted>, CompactError> {
        self.compact_while(now_ms, &mut |now| {
            progress(now);
            true
        })
    }

    /// The same, as long as `go_on`, which is told how far it has come, says so, and nobody waits to change the blocks.
    /// A compaction that was stopped is begun anew by the next call.
    pub fn compact_while(
        &self,
        now_ms: u64,
        go_on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Option<Compacted>, CompactError> {
        let _one_at_a_time = lock(&self.changing);
        // What stays is tried again, and does not count as long as what it was replaced by is there.
        let _ = self.sweep();
        let chosen = self.choose();
        let mut go_on = |now| go_on(now) && self.waiting.load(Relaxed) == 0;
        if chosen.is_empty() {
            return self.clean_pruned_cold(now_ms, &mut |done, total| {
                go_on(Progress { what: Work::Compacting, unit: ProgressUnit::Series, done, total })
            });
        }
        self.compact_these(&chosen, now_ms, &mut go_on).map(Some)
    }

    /// What the plan chooses among the blocks that can be read and are not cold.
    pub(super) fn choose(&self) -> Vec<Block> {
        let unreadable = lock(&self.unreadable).clone();
        let all = self.blocks();
        let blocks: Vec<Block> = all
            .iter()
            .filter_map(StoredBlock::plain)
            .filter(|block| block.is_named() && !unreadable.contains(&block.meta().ulid))
            .cloned()
            .collect();
        let mut metas: Vec<BlockMeta> = blocks.iter().map(|block| block.meta().clone()).collect();
        loop {
            let chosen = self.options.plan.choose(&metas);
            let bytes: u64 = chosen.iter().map(|index| blocks[*index].size_bytes()).sum();
            let overlap = chosen.windows(2).any(|pair| {
                let (first, second) = (&metas[pair[0]], &metas[pair[1]]);
                second.min_time_ms < first.max_time_ms
            });
            let bound = self.options.block_bytes_max;
            if bound == 0 || bytes <= bound || overlap || chosen.len() < 2 {
                return chosen.into_iter().map(|index| blocks[index].clone()).collect();
            }
            // The plan passes over these and looks further.
            chosen.iter().for_each(|index| metas[*index].compaction.failed = true);
        }
    }

    fn compact_these(
        &self,
        chosen: &[Block],
        now_ms: u64,
        go_on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Compacted, CompactError> {
        let options = CompactOptions { writer: self.options.writer };
        let ulid = Ulid::generate(now_ms);
        let compacted =
            match compact_blocks_as(&self.vfs, &self.dir, ulid, chosen, (&options, origin(chosen)), go_on) {
                Ok(compacted) => compacted,
                Err(CompactError::Read(error)) => return self.give_up_on(chosen, error),
                Err(error) => {
                    // It may have its name already, when the directory could not be synced.
                    self.take_back(self.dir.join(ulid.to_string()));
                    return Err(error);
                }
            };
        self.replace(&BlockStore::ulids(chosen), compacted.meta.as_ref().map(|meta| meta.ulid))
            .inspect_err(|_| self.take_back(self.dir.join(ulid.to_string())))?;
        for block in chosen {
            let damaged = compacted.damage.iter().any(|damage| damage.file.starts_with(block.dir()));
            if !damaged {
                self.remove(block.dir());
            } else if let Err(error) = self.set_aside(block.dir()) {
                // At the next opening it is seen that it was replaced, and it goes without having been set aside.
                return Err(error.into());
            }
        }
        Ok(compacted)
    }

    /// One of the blocks cannot be read at all: it must not stop the others for good.
    fn give_up_on(&self, chosen: &[Block], error: BlockError) -> Result<Compacted, CompactError> {
        let path = error.path();
        let Some(block) = path.and_then(|path| chosen.iter().find(|block| path.starts_with(block.dir())))
        else {
            return Err(error.into());
        };
        match error.into_damage() {
            Ok(damage) => {
                self.set_aside(block.dir())?;
                self.exchange(&[block.meta().ulid], None);
                Ok(Compacted { meta: None, damage: vec![damage] })
            }
            Err(error) => {
                lock(&self.unreadable).insert(block.meta().ulid);
                Err(error.into())
            }
        }
    }

    /// Removes the blocks that end at or before `oldest_ms`, and of the others the oldest until all are at most `bytes_max`
    /// (0 for no bound). What was removed.
    pub fn retain(&self, oldest_ms: i64, bytes_max: u64) -> Result<Vec<BlockMeta>, BlockError> {
        let blocks = self.blocks();
        let mut bytes = blocks.iter().map(StoredBlock::size_bytes).sum::<u64>();
        let mut doomed = Vec::new();
        for block in blocks.iter() {
            if block.meta().max_time_ms <= oldest_ms || (bytes_max > 0 && bytes > bytes_max) {
                bytes -= block.size_bytes();
                doomed.push(block.clone());
            }
        }
        self.drop_blocks(&doomed);
        Ok(BlockStore::metas(&doomed))
    }

    /// Takes blocks out of the list and removes them.
    pub(crate) fn drop_blocks(&self, doomed: &[StoredBlock]) {
        if doomed.is_empty() {
            return;
        }
        let _one_at_a_time = self.change();
        let ulids: Vec<Ulid> = doomed.iter().map(|block| block.meta().ulid).collect();
        self.exchange(&ulids, None);
        doomed.iter().for_each(|block| self.remove(block.dir()));
    }

    /// Removes a block's files. What cannot be removed now is tried again later.
    pub(super) fn remove(&self, block: &Path) {
        if remove_block(&*self.vfs, block).is_err() {
            lock(&self.leftovers).push(block.to_owned());
        }
    }

    /// Removes what could not be removed before. An error when something stays.
    pub(crate) fn sweep(&self) -> Result<(), BlockError> {
        let mut swept = Ok(());
        let mut leftovers = std::mem::take(&mut *lock(&self.leftovers));
        leftovers.retain(|dir| {
            let removed = self.remove_at_last(dir);
            let stays = removed.is_err();
            swept = std::mem::replace(&mut swept, Ok(())).and(removed);
            stays
        });
        lock(&self.leftovers).extend(leftovers);
        swept
    }

    fn remove_at_last(&self, dir: &Path) -> Result<(), BlockError> {
        let vfs = &*self.vfs;
        let is_there = |dir: &Path| vfs.list(dir).is_ok();
        if is_there(dir) {
            return remove_block(vfs, dir);
        }
        let mut half_removed = dir.as_os_str().to_owned();
        half_removed.push(".tmp-for-deletion");
        let half_removed = Path::new(&half_removed);
        if is_there(half_removed) { remove_tree(vfs, half_removed) } else { Ok(()) }
    }

    /// Deletes the samples inside a range of all series that match. An error, and nothing is deleted, while a block that is not in
    /// the list cannot be removed: at the next opening it might count in the place of one that something was deleted from.
    pub fn delete(&self, matchers: &[Matcher], range: TimeRange) -> Result<Deleted, WriteBlockError> {
        let _one_at_a_time = self.change();
        self.sweep()?;
        let mut deleted = Deleted::default();
        for block in self.blocks().iter().filter(|block| block.time_range().overlaps(&range)) {
            let (mut tombstones, mut added) = (block.tombstones().clone(), 0);
            let tables = block.inner().tables(&CancelToken::new())?;
            block.inner().for_each_match(&tables, (matchers, &CancelToken::new()), |number, entry| {
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
                self.exchange(&[block.meta().ulid], Some(block.reopen(&*self.vfs)?));
                deleted.series += added;
                deleted.blocks += 1;
            }
        }
        Ok(deleted)
    }

    /// Writes every block of which something was deleted anew without it, and removes the old one. The blocks that are gone,
    /// with what took their place: cold blocks become cold again, or stay plain ones where that cannot be done now.
    pub fn clean_tombstones(&self, now_ms: u64) -> Result<Vec<(BlockMeta, Option<BlockMeta>)>, CompactError> {
        let _one_at_a_time = self.change();
        let mut cleaned = Vec::new();
        for block in self.blocks().iter().filter(|block| !block.tombstones().is_empty()) {
            let meta = match block {
                StoredBlock::Plain(block) => {
                    self.compact_these(std::slice::from_ref(block), now_ms, &mut |_| true)?.meta
                }
                StoredBlock::Cold(block) => self.clean_cold(block, now_ms, &mut |_, _| true)?.meta,
            };
            cleaned.push((block.meta().clone(), meta));
        }
        Ok(cleaned)
    }
}

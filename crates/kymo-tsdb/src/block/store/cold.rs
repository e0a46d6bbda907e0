//! Cold blocks of a store: old blocks become cold, are cleaned of what was deleted, and become blocks again in snapshots.
//!
//! Each is made durable beside what it is made of, which it names as its parent; then the list is exchanged; then what it was made
//! of goes. A select sees one of them, and so does an opening after a crash at any place.

use std::path::{Path, PathBuf};
use std::slice::from_ref;
use std::sync::atomic::Ordering::Relaxed;

use super::{Block, BlockError, BlockMeta, BlockStore, StoredBlock, Ulid, lock};
use crate::block::cold::{
    COLD_ENDING, ColdBlock, ColdWriteError, ConvertOptions, Converted, Stepped, convert_while, to_block,
    to_block_while,
};
use crate::block::compact::{CompactError, Compacted, much_was_deleted};
use crate::block::error::BlockDamage;

impl BlockStore {
    /// Makes the oldest block cold all of whose samples are before `before_ms` and that compaction will leave alone, and removes
    /// it; `None` when there is none. It goes on as long as `go_on`, which is told how many of how many series were done, says
    /// so, and nobody waits to change the blocks; a conversion that was stopped is begun anew by the next call.
    ///
    /// A block of which something could not be read goes to `quarantine/`, as in a compaction.
    pub fn make_cold(
        &self,
        before_ms: i64,
        now_ms: u64,
        go_on: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Option<Stepped>, ColdWriteError> {
        let _one_at_a_time = lock(&self.changing);
        // What a block was made of has to be gone before the block goes itself: it would count again at the next opening.
        if self.sweep().is_err() {
            return Ok(None);
        }
        let Some(block) = self.oldest_settled(before_ms) else { return Ok(None) };
        let mut go_on = |done, total| go_on(done, total) && self.waiting.load(Relaxed) == 0;
        let bytes_before = block.size_bytes();
        let converted = match self.exchange_for_cold(&block, now_ms, &mut go_on) {
            Ok(converted) => converted,
            Err(error) => self.pass_over(&block, error)?,
        };
        let ulid = converted.meta.as_ref().map(|meta| meta.ulid);
        let blocks = self.blocks();
        let cold = blocks.iter().find(|block| Some(block.meta().ulid) == ulid);
        let bytes_after = cold.map_or(0, StoredBlock::size_bytes);
        Ok(Some(Stepped { from: block.meta().clone(), bytes_before, converted, bytes_after }))
    }

    fn oldest_settled(&self, before_ms: i64) -> Option<Block> {
        let unreadable = lock(&self.unreadable).clone();
        let blocks = self.blocks();
        let plain: Vec<&Block> =
            blocks.iter().filter_map(StoredBlock::plain).filter(|block| block.is_named()).collect();
        // The newest stays as it is: it may still be joined by what comes late.
        let (newest, older) = plain.split_last()?;
        let is_due = |block: &&&Block| {
            let meta = block.meta();
            meta.max_time_ms <= before_ms
                && !unreadable.contains(&meta.ulid)
                && self.options.plan.is_settled(meta, newest.meta().min_time_ms)
        };
        let oldest = older.iter().find(is_due)?;
        self.choose().is_empty().then(|| (*oldest).clone())
    }

    /// Puts a cold block in the place of a block.
    fn exchange_for_cold(
        &self,
        block: &Block,
        now_ms: u64,
        go_on: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Converted, ColdWriteError> {
        let (vfs, ulid) = (&self.vfs, Ulid::generate(now_ms));
        let postings_per_pass_max = self.options.writer.postings_per_pass_max;
        let options = ConvertOptions { postings_per_pass_max, ..ConvertOptions::default() };
        let opened = |converted: Converted| {
            let open = |meta: &BlockMeta| StoredBlock::open_cold(&**vfs, &self.dir, meta.ulid);
            let cold = converted.meta.as_ref().map(open).transpose()?;
            Ok((converted, cold))
        };
        let made = convert_while(vfs, &self.dir, ulid, from_ref(block), options, go_on).and_then(opened);
        let (converted, cold) =
            made.inspect_err(|_| self.take_back(self.dir.join(format!("{ulid}{COLD_ENDING}"))))?;
        self.exchange(&[block.meta().ulid], cold);
        self.let_go(block.dir(), &converted.damage)?;
        Ok(converted)
    }

    /// What was made and is not in the list must not count at the next opening: what is deleted meanwhile would be in it.
    pub(super) fn take_back(&self, dir: PathBuf) {
        if self.vfs.list(&dir).is_ok() {
            self.remove(&dir);
        }
    }

    /// Removes what is not in the list any more, or sets it aside where it is damaged.
    fn let_go(&self, dir: &Path, damage: &[BlockDamage]) -> Result<(), BlockError> {
        match damage {
            [] => self.remove(dir),
            // If it fails, the next opening sees that it was replaced, and it goes without having been set aside.
            _ => drop(self.set_aside(dir)?),
        }
        Ok(())
    }

    /// A block that cannot become cold must not stop the others for good.
    fn pass_over(&self, block: &Block, error: ColdWriteError) -> Result<Converted, ColdWriteError> {
        let leave_alone = || {
            lock(&self.unreadable).insert(block.meta().ulid);
        };
        match error {
            ColdWriteError::Read(error) if error.path().is_some_and(|path| path.starts_with(block.dir())) => {
                match error.into_damage() {
                    Ok(damage) => {
                        self.set_aside(block.dir())?;
                        self.exchange(&[block.meta().ulid], None);
                        Ok(Converted { meta: None, damage: vec![damage] })
                    }
                    Err(error) => {
                        leave_alone();
                        Err(ColdWriteError::Read(error))
                    }
                }
            }
            ColdWriteError::Different { .. } => {
                leave_alone();
                Err(error)
            }
            _ => Err(error),
        }
    }

    /// Cleans the oldest cold block of which as much was deleted as makes a compaction write a block anew; `None` when there is none.
    pub(super) fn clean_pruned_cold(
        &self,
        now_ms: u64,
        go_on: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Option<Compacted>, CompactError> {
        let unreadable = lock(&self.unreadable).clone();
        let is_due =
            |block: &&ColdBlock| much_was_deleted(block.meta()) && !unreadable.contains(&block.meta().ulid);
        let blocks = self.blocks();
        let Some(cold) = blocks.iter().filter_map(StoredBlock::cold).find(is_due) else { return Ok(None) };
        let cleaned = self.clean_cold(cold, now_ms, go_on).inspect_err(|error| {
            // It must not stop the others for good, and is tried again after the next opening.
            if matches!(error, CompactError::Read(_)) {
                lock(&self.unreadable).insert(cold.meta().ulid);
            }
        });
        cleaned.map(Some)
    }

    /// Writes a cold block anew without what was deleted: a plain block first, which becomes cold. If it cannot, or is to stop then,
    /// it stays plain; whoever makes blocks cold later tries again.
    pub(super) fn clean_cold(
        &self,
        cold: &ColdBlock,
        now_ms: u64,
        go_on: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Compacted, CompactError> {
        let (vfs, ulid) = (&self.vfs, Ulid::generate(now_ms));
        let made = to_block_while(vfs, &self.dir, ulid, cold, self.options.writer, go_on);
        let opened = made.and_then(|made| {
            let open = |meta: &BlockMeta| Block::open(&**vfs, &self.dir.join(meta.ulid.to_string()));
            let plain = made.meta.as_ref().map(open).transpose()?;
            Ok((plain, made.damage))
        });
        let (plain, damage) = opened.inspect_err(|_| self.take_back(self.dir.join(ulid.to_string())))?;
        self.exchange(&[cold.meta().ulid], plain.clone().map(StoredBlock::Plain));
        self.let_go(cold.dir(), &damage)?;
        let Some(plain) = plain else { return Ok(Compacted { meta: None, damage }) };
        let meta = match self.exchange_for_cold(&plain, now_ms, go_on) {
            Ok(converted) => converted.meta,
            Err(_) => Some(plain.meta().clone()),
        };
        Ok(Compacted { meta, damage })
    }

    /// Makes a block of a cold one in another directory, or none when no sample is left. What cannot be read is left out; the cold
    /// block's damage has it, too.
    pub(crate) fn copy_cold(
        &self,
        cold: &ColdBlock,
        target: &Path,
        now_ms: u64,
        tell: &mut dyn FnMut(),
    ) -> Result<Compacted, CompactError> {
        let ulid = Ulid::generate(now_ms);
        let copied = to_block(&self.vfs, target, ulid, cold, self.options.writer, &mut |_, _| tell())?;
        copied.damage.iter().for_each(|damage| cold.inner.block.note(damage.clone()));
        Ok(copied)
    }
}

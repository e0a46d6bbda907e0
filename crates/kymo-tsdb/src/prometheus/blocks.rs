//! Blocks of an import: made in a directory of their own, put together where there are several of one range, and then given their
//! places, the oldest first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ImportOptions;
use super::directory::list;
use super::gather::Gathered;
use super::moving::{IMPORTED_DIR, sync};
use super::report::ImportError;
use crate::block::{
    Block, BlockCompaction, BlockMeta, BlockOrigin, BlockWriter, CompactOptions, Ulid, compact_blocks_as,
    remove_tree,
};
use crate::progress::{Progress, ProgressUnit, STEP_SERIES, Work};
use crate::vfs::Vfs;

/// Where blocks are until all of them are there. An import removes what another one has left in it.
const UNFINISHED_DIR: &str = "unfinished";

/// What Prometheus notes of blocks that do not end what came in order.
const NOT_IN_ORDER: [&str; 2] = ["from-out-of-order", "from-stale-series"];

/// What is noted of blocks that an import made: the log they came from may be still there.
const FROM_HEAD: &str = "from-prometheus-head";

pub(super) struct Blocks {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    unfinished: PathBuf,
    options: ImportOptions,
    /// The blocks that were there: their times, and whether Prometheus cut them from what came in order.
    others: Vec<((i64, i64), bool)>,
    /// What was made of each range, in the order it was read.
    made: BTreeMap<i64, Vec<BlockMeta>>,
}

impl Blocks {
    pub(super) fn begin(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: &ImportOptions,
    ) -> Result<Blocks, ImportError> {
        let unfinished = dir.join(IMPORTED_DIR).join(UNFINISHED_DIR);
        for entry in list(&*vfs, &unfinished)?.unwrap_or_default() {
            remove_tree(&*vfs, &unfinished.join(entry.name))?;
        }
        vfs.create_dir_all(&unfinished).map_err(ImportError::io("create directory", &unfinished))?;
        let is_in_order = |meta: &BlockMeta| {
            let hints = &meta.compaction.hints;
            !hints.iter().any(|hint| NOT_IN_ORDER.contains(&hint.as_str()) || hint == FROM_HEAD)
        };
        let opened = Block::open_all(&*vfs, dir)?.blocks;
        let others = opened
            .iter()
            .map(Block::meta)
            .map(|meta| ((meta.min_time_ms, meta.max_time_ms), is_in_order(meta)))
            .collect();
        let (dir, options) = (dir.to_owned(), options.clone());
        Ok(Blocks { vfs, dir, unfinished, options, others, made: BTreeMap::new() })
    }

    /// Where the last block ends that Prometheus cut from samples in order.
    pub(super) fn cutoff_ms(&self) -> i64 {
        let ends = self.others.iter().filter(|(_, is_in_order)| *is_in_order).map(|((_, end_ms), _)| *end_ms);
        ends.max().unwrap_or(i64::MIN)
    }

    /// Writes all that was gathered and has it forgotten.
    pub(super) fn write(
        &mut self,
        gathered: &mut Gathered,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), ImportError> {
        let ranges = gathered.ranges();
        let order = gathered.order();
        let total = (ranges.len() * order.len()) as u64;
        for (nth, range) in ranges.into_iter().enumerate() {
            let ulid = self.ulid();
            let mut writer =
                BlockWriter::create(self.vfs.clone(), &self.unfinished, ulid, self.options.writer)?;
            let before = (nth * order.len()) as u64;
            gathered.write(range, &order, &mut writer, &mut |series| {
                if series.is_multiple_of(STEP_SERIES) {
                    let (what, unit) = (Work::Writing, ProgressUnit::Series);
                    progress(Progress { what, unit, done: before + series, total });
                }
            })?;
            if writer.stats().num_series == 0 {
                writer.discard()?;
            } else {
                let meta = writer.finish(self.origin(range))?;
                self.made.entry(range).or_default().push(meta);
            }
        }
        gathered.clear();
        Ok(())
    }

    /// Makes one block of those of each range, and puts them where they belong.
    pub(super) fn publish(
        &mut self,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<BlockMeta>, ImportError> {
        let mut finished = Vec::new();
        for (range, parts) in std::mem::take(&mut self.made) {
            if let [whole] = parts.as_slice() {
                finished.push(whole.clone());
                continue;
            }
            let dirs: Vec<PathBuf> =
                parts.iter().map(|part| self.unfinished.join(part.ulid.to_string())).collect();
            let open = |dir: &PathBuf| Block::open(&*self.vfs, dir);
            let blocks = dirs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
            let options = CompactOptions { writer: self.options.writer };
            let compacted = compact_blocks_as(
                &self.vfs,
                &self.unfinished,
                self.ulid(),
                &blocks,
                (&options, self.origin(range)),
                &mut |now| {
                    progress(now);
                    true
                },
            )?;
            // What was written a moment ago and cannot be read is a disk that fails: better import again.
            if let Some(damage) = compacted.damage.into_iter().next() {
                return Err(crate::block::BlockError::Damaged(damage).into());
            }
            finished.extend(compacted.meta);
            drop(blocks);
            dirs.iter().try_for_each(|dir| remove_tree(&*self.vfs, dir))?;
        }
        for meta in &finished {
            let name = meta.ulid.to_string();
            let from = self.unfinished.join(&name);
            self.vfs.rename(&from, &self.dir.join(&name)).map_err(ImportError::io("rename", &from))?;
        }
        sync(&*self.vfs, &self.dir)?;
        sync(&*self.vfs, &self.unfinished)?;
        self.vfs.remove_dir(&self.unfinished).map_err(ImportError::io("remove", &self.unfinished))?;
        Ok(finished)
    }

    fn ulid(&self) -> Ulid {
        Ulid::generate(u64::try_from(self.options.clock.now().millis()).unwrap_or(0))
    }

    fn origin(&self, range: i64) -> BlockOrigin {
        let range_ms = self.options.range_ms.max(1);
        let begin_ms = range.saturating_mul(range_ms);
        let end_ms = range.saturating_add(1).saturating_mul(range_ms);
        let overlaps = |((other_begin_ms, other_end_ms), _): &((i64, i64), bool)| {
            *other_begin_ms < end_ms && begin_ms < *other_end_ms
        };
        let mut hints = vec![FROM_HEAD.to_owned()];
        if self.others.iter().any(overlaps) {
            hints.insert(0, NOT_IN_ORDER[0].to_owned());
        }
        let compaction = BlockCompaction { hints, ..BlockCompaction::default() };
        // It ends with its last sample: a Prometheus takes nothing from before the end of its last block.
        BlockOrigin { range_ms: None, compaction }
    }
}

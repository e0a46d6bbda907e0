//! Compaction: several blocks become one. Series by series in order of labels, so that memory holds one series at a time.
//!
//! Chunks that overlap nothing are copied as they are; those that overlap, or of which a part was deleted, are decoded,
//! merged and encoded anew. Which blocks go together is said by [`CompactionPlan`].

mod merge;
mod plan;

use std::path::Path;
use std::sync::Arc;

use kymo_model::{StoreError, StoreErrorKind};

use super::error::{BlockDamage, BlockError, WriteBlockError};
use super::meta::{BlockCompaction, BlockMeta, BlockParent};
use super::reader::Block;
use super::ulid::Ulid;
use super::write::{BlockOrigin, BlockWriter, BlockWriterOptions};
use crate::progress::{Progress, ProgressUnit, STEP_SERIES, Work};
use crate::vfs::Vfs;
pub(super) use merge::Merge;
pub use plan::CompactionPlan;
pub(super) use plan::much_was_deleted;

/// How blocks are compacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactOptions {
    /// The bounds of the new block.
    pub writer: BlockWriterOptions,
}

/// Why blocks could not be compacted. They are as they were; of the new one nothing is left.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// A block could not be read. Damaged series and chunks are no such error.
    #[error("cannot read a block: {0}")]
    Read(#[from] BlockError),
    /// The new block could not be written.
    #[error("cannot write the new block: {0}")]
    Write(#[from] WriteBlockError),
    /// It was asked to stop.
    #[error("the compaction was stopped")]
    Stopped,
}

impl From<CompactError> for StoreError {
    fn from(error: CompactError) -> StoreError {
        match error {
            CompactError::Read(error) => error.into(),
            CompactError::Write(error) => error.into(),
            CompactError::Stopped => StoreError::new(StoreErrorKind::Canceled, error.to_string()),
        }
    }
}

/// What a compaction made.
#[derive(Clone, Debug, PartialEq)]
pub struct Compacted {
    /// The new block; `None` when no sample was left.
    pub meta: Option<BlockMeta>,
    /// What could not be read of the old ones and is not in the new one, at most [`Block::DAMAGE_MAX`] places.
    pub damage: Vec<BlockDamage>,
}

/// Makes one block of several, beside them in `parent`. `progress` is told, now and then, how many of how many series of the
/// old blocks were read. Removing the old ones is for the caller.
///
/// A sample that several blocks have is taken from the first of them.
pub fn compact_blocks(
    vfs: &Arc<dyn Vfs>,
    parent: &Path,
    ulid: Ulid,
    blocks: &[Block],
    options: &CompactOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Compacted, CompactError> {
    compact_blocks_as(vfs, parent, ulid, blocks, (options, origin(blocks)), &mut |now| {
        progress(now);
        true
    })
}

/// The same as long as `go_on`, which is told how far it has come, says so; then nothing is left of it but an error. Something
/// else may be said of where the new block came from.
pub(crate) fn compact_blocks_as(
    vfs: &Arc<dyn Vfs>,
    parent: &Path,
    ulid: Ulid,
    blocks: &[Block],
    (options, origin): (&CompactOptions, BlockOrigin),
    go_on: &mut dyn FnMut(Progress) -> bool,
) -> Result<Compacted, CompactError> {
    let mut writer = BlockWriter::create(vfs.clone(), parent, ulid, options.writer)?;
    let mut damage = Vec::new();
    match copy(&mut writer, blocks, &mut damage, go_on) {
        Ok(()) if writer.stats().num_series == 0 => {
            writer.discard()?;
            Ok(Compacted { meta: None, damage })
        }
        Ok(()) => Ok(Compacted { meta: Some(writer.finish(origin)?), damage }),
        Err(error) => {
            // What made it fail says more than what keeps it from being cleaned up, which the next start does.
            drop(writer.discard());
            Err(error)
        }
    }
}

fn copy(
    writer: &mut BlockWriter,
    blocks: &[Block],
    damage: &mut Vec<BlockDamage>,
    go_on: &mut dyn FnMut(Progress) -> bool,
) -> Result<(), CompactError> {
    let total: u64 = blocks.iter().map(|block| block.meta().stats.num_series).sum();
    let mut tell = |done| {
        let now = Progress { what: Work::Compacting, unit: ProgressUnit::Series, done, total };
        if go_on(now) { Ok(()) } else { Err(CompactError::Stopped) }
    };
    let mut merge = Merge::of(blocks)?;
    let mut told = 0;
    while let Some(series) = merge.next(damage)? {
        if !series.chunks.is_empty() {
            writer.add_series(
                &series.labels,
                &series.chunks.iter().map(|chunk| chunk.borrowed()).collect::<Vec<_>>(),
            )?;
        }
        if merge.read() >= told + STEP_SERIES {
            told = merge.read();
            tell(told)?;
        }
    }
    // Once at least, so that small blocks can be stopped, too.
    tell(merge.read())
}

/// What a block made of others says of its making.
pub(super) fn origin(blocks: &[Block]) -> BlockOrigin {
    let metas = || blocks.iter().map(Block::meta);
    let mut sources: Vec<Ulid> = metas().flat_map(|meta| meta.compaction.sources.iter().copied()).collect();
    sources.sort_unstable();
    sources.dedup();
    let parents = metas().map(|meta| BlockParent {
        ulid: meta.ulid,
        min_time_ms: meta.min_time_ms,
        max_time_ms: meta.max_time_ms,
    });
    let min_ms = metas().map(|meta| meta.min_time_ms).min();
    let max_ms = metas().map(|meta| meta.max_time_ms).max();
    BlockOrigin {
        range_ms: min_ms.zip(max_ms),
        compaction: BlockCompaction {
            level: metas().map(|meta| meta.compaction.level).max().unwrap_or(0) + 1,
            sources,
            parents: parents.collect(),
            ..BlockCompaction::default()
        },
    }
}

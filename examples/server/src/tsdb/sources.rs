//! Sources: what a data directory holds, ours or Prometheus': blocks, and our head beside them.

use std::path::Path;

use kymo_model::{Queryable, Selector, SeriesSet, StoreError};
use kymo_tsdb::block::{Block, BlockError, Ulid, union};
use kymo_tsdb::cold::{ColdBlock, Current};
use kymo_tsdb::{Options, OsVfs, ReadOnlyDb};

use crate::output::complain;

/// Where our head is, in a data directory.
const HEAD_DIR: &str = "head";

/// What a data directory holds.
pub(super) struct Sources {
    pub(super) blocks: Vec<Block>,
    pub(super) cold: Vec<ColdBlock>,
    pub(super) head: Option<ReadOnlyDb>,
    /// How many blocks could not be opened; each was complained of.
    pub(super) refused: usize,
}

/// Why a directory could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourcesError {
    #[error(transparent)]
    Blocks(#[from] BlockError),
    #[error(transparent)]
    Head(#[from] kymo_tsdb::OpenError),
    #[error("block {0} not found")]
    NoBlock(Ulid),
    #[error("expected blocks, found none")]
    NoBlocks,
}

impl Sources {
    /// Blocks and head.
    pub(super) fn open(dir: &Path) -> Result<Sources, SourcesError> {
        let mut sources = Sources::blocks(dir)?;
        if dir.join(HEAD_DIR).is_dir() {
            sources.head = Some(ReadOnlyDb::open(dir, Options::default())?);
        }
        Ok(sources)
    }

    /// Blocks only, cold ones among them.
    pub(super) fn blocks(dir: &Path) -> Result<Sources, SourcesError> {
        let Current { blocks, cold, refused, .. } = Current::open(&OsVfs, dir)?;
        for (dir, error) in &refused {
            complain(format_args!("{}: {error}", dir.display()));
        }
        Ok(Sources { blocks, cold, head: None, refused: refused.len() })
    }

    /// The block of this name, or the newest.
    pub(super) fn block(&self, wanted: Option<Ulid>) -> Result<&Block, SourcesError> {
        match wanted {
            None => self.blocks.last().ok_or(SourcesError::NoBlocks),
            Some(ulid) => {
                self.blocks.iter().find(|block| block.meta().ulid == ulid).ok_or(SourcesError::NoBlock(ulid))
            }
        }
    }

    /// The series of all, in order of labels.
    pub(super) fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        let mut wanted = wanted.clone();
        wanted.hints.ordered = true;
        let blocks = self.blocks.iter().map(|block| block.select(&wanted));
        let cold = self.cold.iter().map(|block| block.select(&wanted));
        let head = self.head.iter().map(|head| head.select(&wanted));
        Ok(union(blocks.chain(cold).chain(head).collect::<Result<_, _>>()?))
    }

    /// Complains of what was damaged; how many places.
    pub(super) fn complain_of_damage(&self) -> u64 {
        let mut total = 0;
        let damage = self.blocks.iter().map(Block::damage).chain(self.cold.iter().map(ColdBlock::damage));
        for (listed, all) in damage {
            total += all;
            listed.iter().for_each(|damage| complain(format_args!("damaged: {damage}")));
        }
        total
    }
}

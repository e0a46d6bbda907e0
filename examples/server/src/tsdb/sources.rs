//! Sources: what a data directory holds, ours or Prometheus': blocks, and our head beside them.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use kymo_model::{Queryable, Selector, SeriesSet, StoreError};
use kymo_tsdb::block::{Block, BlockError, StoredBlock, Ulid, UlidError, union};
use kymo_tsdb::cold::{COLD_ENDING, ColdBlock, Current};
use kymo_tsdb::{Options, OsVfs, ReadOnlyDb};

use crate::output::complain;
use crate::progress::Progress;

/// Where our head is, in a data directory.
const HEAD_DIR: &str = "head";

/// What a data directory holds.
pub(super) struct Sources {
    pub(super) blocks: Vec<Block>,
    pub(super) cold: Vec<ColdBlock>,
    /// The database, head and all these blocks, if there is a head.
    pub(super) db: Option<ReadOnlyDb>,
    /// How many blocks could not be opened; each was complained of.
    pub(super) refused: usize,
}

/// A block, as `list` names it: a cold one with its ending or without.
#[derive(Clone, Copy)]
pub(super) struct BlockName(pub(super) Ulid);

impl FromStr for BlockName {
    type Err = UlidError;

    fn from_str(text: &str) -> Result<BlockName, UlidError> {
        text.strip_suffix(COLD_ENDING).unwrap_or(text).parse().map(BlockName)
    }
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
    #[error("expected a block with chunks, found {0}, which is cold and has columns")]
    NoChunks(Ulid),
}

/// Is there a head of ours?
pub(super) fn has_head(dir: &Path) -> bool {
    dir.join(HEAD_DIR).is_dir()
}

impl Sources {
    /// Blocks and head.
    pub(super) fn open(dir: &Path) -> Result<Sources, SourcesError> {
        if !has_head(dir) {
            return Sources::blocks(dir);
        }
        let opening = Arc::new(Progress::work(dir.display().to_string()));
        let options = Options { on_progress: Some(opening.on_open()), ..Options::default() };
        let db = ReadOnlyDb::open(dir, options)?;
        drop(opening);
        for (dir, error) in db.refused_blocks() {
            complain(format_args!("{}: {error}", dir.display()));
        }
        let all = db.blocks();
        let blocks = all.iter().filter_map(StoredBlock::plain).cloned().collect();
        let cold = all.iter().filter_map(StoredBlock::cold).cloned().collect();
        Ok(Sources { blocks, cold, refused: db.refused_blocks().len(), db: Some(db) })
    }

    /// Blocks only, cold ones among them.
    pub(super) fn blocks(dir: &Path) -> Result<Sources, SourcesError> {
        let Current { blocks, cold, refused, .. } = Current::open(&OsVfs, dir)?;
        for (dir, error) in &refused {
            complain(format_args!("{}: {error}", dir.display()));
        }
        Ok(Sources { blocks, cold, db: None, refused: refused.len() })
    }

    /// The block of this name, cold or not, or the newest.
    pub(super) fn block(&self, wanted: Option<BlockName>) -> Result<StoredBlock, SourcesError> {
        let plain = self.blocks.iter().cloned().map(StoredBlock::Plain);
        let mut all = plain.chain(self.cold.iter().cloned().map(StoredBlock::Cold));
        match wanted {
            None => all
                .max_by_key(|block| (block.meta().min_time_ms, block.meta().ulid))
                .ok_or(SourcesError::NoBlocks),
            Some(BlockName(ulid)) => {
                all.find(|block| block.meta().ulid == ulid).ok_or(SourcesError::NoBlock(ulid))
            }
        }
    }

    /// The series of all, in order of labels.
    pub(super) fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        let mut wanted = wanted.clone();
        wanted.hints.ordered = true;
        if let Some(db) = &self.db {
            return db.select(&wanted);
        }
        let plain = self.blocks.iter().map(|block| (block.meta(), block as &dyn Queryable));
        let cold = self.cold.iter().map(|block| (block.meta(), block as &dyn Queryable));
        let mut all: Vec<_> = plain.chain(cold).collect();
        all.sort_by_key(|(meta, _)| (meta.min_time_ms, meta.ulid));
        let sets = all.iter().map(|(_, block)| block.select(&wanted)).collect::<Result<Vec<_>, _>>()?;
        Ok(union(sets))
    }

    /// Complains of what was damaged; how many places.
    pub(super) fn complain_of_damage(&self) -> u64 {
        let mut total = 0;
        let damage = self.blocks.iter().map(Block::damage).chain(self.cold.iter().map(ColdBlock::damage));
        for (listed, all) in damage {
            total += all;
            listed.iter().for_each(|damage| complain(format_args!("damaged: {damage}")));
        }
        // What the opening found is told elsewhere, and is not in the head.
        let head = self.db.as_ref().map(|db| db.stats().head_damage).unwrap_or_default();
        head.listed.iter().for_each(|damage| complain(format_args!("damaged: {damage}")));
        total + head.chunks
    }
}

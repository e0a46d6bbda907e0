//! Opening a store of blocks: what a crash has left half done goes, what was replaced goes, what cannot be read is told.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use super::{BlockStore, BlockStoreOptions};
use crate::block::cold::{COLD_ENDING, Current, remove_unfinished};
use crate::block::error::BlockError;
use crate::block::stored::StoredBlock;
use crate::block::ulid::Ulid;
use crate::block::write::remove_block;
use crate::summary::Summaries;
use crate::vfs::Vfs;

/// So often is a directory looked at whose blocks change meanwhile.
const LOOKS_MAX: usize = 10;

/// Where damaged blocks go, in the directory of the blocks.
const QUARANTINE_DIR: &str = "quarantine";

impl BlockStore {
    /// Opens the blocks in a directory, which must be there, cold ones among them, and removes what a crash has left half done. Blocks that cannot be
    /// opened stay where they are and are told by [`BlockStore::refused`].
    pub fn open(vfs: Arc<dyn Vfs>, dir: &Path, options: BlockStoreOptions) -> Result<BlockStore, BlockError> {
        remove_unfinished(&*vfs, dir)?;
        let (store, replaced) = BlockStore::look(vfs, dir, options)?;
        for block in replaced {
            remove_block(&*store.vfs, &block)?;
        }
        Ok(store)
    }

    /// The same, but what cannot be removed now is left for later.
    pub(crate) fn open_tidying(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: BlockStoreOptions,
    ) -> Result<BlockStore, BlockError> {
        // What is half done is never looked at; it costs room until the next opening, nothing else.
        let _ = remove_unfinished(&*vfs, dir);
        let (store, replaced) = BlockStore::look(vfs, dir, options)?;
        replaced.iter().for_each(|dir| store.remove(dir));
        Ok(store)
    }

    /// The same without changing anything on disk, beside whoever may.
    pub fn open_read_only(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: BlockStoreOptions,
    ) -> Result<BlockStore, BlockError> {
        let names = || -> Result<BTreeSet<String>, BlockError> {
            let entries = vfs.list(dir).map_err(BlockError::io("list", dir))?;
            Ok(entries
                .into_iter()
                .filter(|entry| {
                    let name = entry.name.strip_suffix(COLD_ENDING).unwrap_or(&entry.name);
                    entry.is_dir && name.parse::<Ulid>().is_ok()
                })
                .map(|entry| entry.name)
                .collect())
        };
        let mut before = names()?;
        for _attempt in 1..LOOKS_MAX {
            let store = BlockStore::look(vfs.clone(), dir, options.clone())?.0;
            // A list that is made while blocks come and go may miss both what was compacted and what came of it.
            let after = names()?;
            if before == after {
                return Ok(store);
            }
            before = after;
        }
        Ok(BlockStore::look(vfs, dir, options)?.0)
    }

    /// The store, and the blocks that others of it have replaced.
    fn look(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: BlockStoreOptions,
    ) -> Result<(BlockStore, Vec<PathBuf>), BlockError> {
        // A crash between a compaction or a conversion and the removal of what it replaces leaves both.
        let Current { blocks, cold, replaced, refused } = Current::open(&*vfs, dir)?;
        let cold = cold.into_iter().map(StoredBlock::Cold);
        let mut current: Vec<StoredBlock> = blocks.into_iter().map(StoredBlock::Plain).chain(cold).collect();
        current.sort_by_key(|block| (block.meta().min_time_ms, block.meta().ulid));
        let summaries = Arc::new(Summaries::new(options.summary_bytes_max));
        current.iter().for_each(|block| block.inner().share_summaries(&summaries));
        let store = BlockStore {
            vfs,
            dir: dir.to_owned(),
            options,
            blocks: RwLock::new(current.into()),
            refused,
            changing: Mutex::default(),
            waiting: Default::default(),
            unreadable: Mutex::default(),
            leftovers: Mutex::default(),
            summaries,
        };
        Ok((store, replaced))
    }

    /// Moves the blocks that could not be opened because of what is in them to `quarantine/`; where they went, if they did.
    /// What the disk refused to read, and what a newer version wrote, stays where it is.
    pub(crate) fn set_refused_aside(&self) -> Vec<Option<PathBuf>> {
        let aside = |(dir, error): &(PathBuf, BlockError)| {
            let damaged = match error {
                BlockError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
                BlockError::Version { .. } => false,
                _ => true,
            };
            // One that cannot be moved now is refused again at the next opening.
            if damaged { self.set_aside(dir).ok() } else { None }
        };
        self.refused.iter().map(aside).collect()
    }

    /// Moves a block to `quarantine/`; where it is then.
    pub(super) fn set_aside(&self, block: &Path) -> Result<PathBuf, BlockError> {
        let quarantine = self.dir.join(QUARANTINE_DIR);
        self.vfs.create_dir_all(&quarantine).map_err(BlockError::io("create", &quarantine))?;
        let name = block.file_name().unwrap_or_default();
        let mut aside = quarantine.join(name);
        // A block of this name may have been set aside before, and put back.
        for number in 1.. {
            if self.vfs.list(&aside).is_err() {
                break;
            }
            aside = quarantine.join(format!("{}-{number}", name.to_string_lossy()));
        }
        self.vfs.rename(block, &aside).map_err(BlockError::io("rename", block))?;
        for dir in [&quarantine, &self.dir] {
            self.vfs.sync_dir(dir).map_err(BlockError::io("sync", dir))?;
        }
        Ok(aside)
    }
}

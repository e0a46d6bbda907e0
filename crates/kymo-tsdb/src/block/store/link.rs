//! Copies of blocks that cost no room: their files get another name each, where the disk can do that.

use std::path::Path;
use std::sync::Arc;

use super::BlockStore;
use crate::block::error::WriteBlockError;
use crate::block::meta::META_FILE;
use crate::block::stored::StoredBlock;

impl BlockStore {
    /// Makes the blocks as they are now, but for cold ones, appear in another directory, which must be there. They change no more:
    /// what is deleted later is deleted from the store alone. All blocks as they are now.
    pub(crate) fn link_to(&self, target: &Path) -> Result<Arc<[StoredBlock]>, WriteBlockError> {
        // Nothing is removed meanwhile.
        let _one_at_a_time = self.change();
        let blocks = self.blocks();
        for block in blocks.iter().filter_map(StoredBlock::plain) {
            self.link_block(block.dir(), &target.join(block.meta().ulid.to_string()))?;
        }
        Ok(blocks)
    }

    fn link_block(&self, from: &Path, to: &Path) -> Result<(), WriteBlockError> {
        let vfs = &*self.vfs;
        vfs.create_dir_all(to).map_err(WriteBlockError::io("create", to))?;
        let mut entries = vfs.list(from).map_err(WriteBlockError::io("list", from))?;
        // A directory with a description is a block, so that comes last.
        entries.sort_by_key(|entry| entry.name == META_FILE);
        for entry in entries {
            let (from, to) = (from.join(&entry.name), to.join(&entry.name));
            if entry.is_dir {
                self.link_block(&from, &to)?;
            } else if !entry.name.ends_with(".tmp") {
                vfs.link(&from, &to).map_err(WriteBlockError::io("link", &from))?;
            }
        }
        vfs.sync_dir(to).map_err(WriteBlockError::io("sync", to))
    }
}

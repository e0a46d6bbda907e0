//! Step: blocks of a directory that are old enough become cold, one at a time. A crash at any operation leaves every sample once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::error::BlockError;
use super::super::meta::BlockMeta;
use super::super::reader::{Block, OpenedBlocks};
use super::super::ulid::Ulid;
use super::super::write::{remove_block, remove_tree, remove_unfinished_blocks};
use super::COLD_ENDING;
use super::convert::{ConvertOptions, Converted, convert};
use super::reader::ColdBlock;
use super::write::{ColdWriteError, UNFINISHED};
use crate::vfs::Vfs;

/// What follows the name of a cold block that is being removed.
const DOOMED: &str = ".cold.tmp-for-deletion";

/// Where blocks go of which something could not be read, in the directory of the blocks.
const QUARANTINE_DIR: &str = "quarantine";

/// The blocks of a directory that count, each sample in one of them.
#[derive(Debug, Default)]
pub struct Current {
    /// Prometheus' blocks, in order of their first millisecond.
    pub blocks: Vec<Block>,
    /// Cold ones, in the same order.
    pub cold: Vec<ColdBlock>,
    /// Those that another one was made of, and a crash has left.
    pub replaced: Vec<PathBuf>,
    /// Those that cannot be read, with why.
    pub refused: Vec<(PathBuf, BlockError)>,
}

impl Current {
    /// Opens the blocks of a directory without changing anything.
    pub fn open(vfs: &dyn Vfs, dir: &Path) -> Result<Current, BlockError> {
        let OpenedBlocks { blocks, mut refused } = Block::open_all(vfs, dir)?;
        let (cold, refused_cold) = ColdBlock::open_all(vfs, dir)?;
        refused.extend(refused_cold);
        let metas: Vec<BlockMeta> =
            blocks.iter().map(Block::meta).chain(cold.iter().map(ColdBlock::meta)).cloned().collect();
        let is_replaced = |old: &BlockMeta| metas.iter().any(|new| new.replaces(old));
        let mut current = Current { refused, ..Current::default() };
        for block in blocks {
            match is_replaced(block.meta()) {
                true => current.replaced.push(block.dir().to_owned()),
                false => current.blocks.push(block),
            }
        }
        for block in cold {
            match is_replaced(block.meta()) {
                true => current.replaced.push(block.dir().to_owned()),
                false => current.cold.push(block),
            }
        }
        Ok(current)
    }
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct Stepped {
    /// The block that became cold.
    pub from: BlockMeta,
    /// Its bytes.
    pub bytes_before: u64,
    /// What it became.
    pub converted: Converted,
    /// The bytes of that.
    pub bytes_after: u64,
}

/// Makes the oldest block of a directory cold whose samples are all before `before_ms`, and removes it; `None` when there is none.
/// What a crash has left half done is cleaned up first. Nobody else may change the directory meanwhile.
///
/// A block of which something could not be read goes to `quarantine/`, as in a compaction.
pub fn step(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    before_ms: i64,
    now_ms: u64,
    options: ConvertOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<Stepped>, ColdWriteError> {
    remove_unfinished(&**vfs, dir)?;
    let current = Current::open(&**vfs, dir)?;
    for replaced in &current.replaced {
        remove(&**vfs, replaced)?;
    }
    let oldest = current.blocks.iter().find(|block| block.meta().max_time_ms <= before_ms);
    let Some(block) = oldest else { return Ok(None) };
    let (from, bytes_before) = (block.meta().clone(), block.size_bytes());
    let ulid = Ulid::generate(now_ms);
    let converted = convert(vfs, dir, ulid, std::slice::from_ref(block), options, progress)?;
    let bytes_after = match &converted.meta {
        None => 0,
        Some(meta) => ColdBlock::open(&**vfs, &dir.join(format!("{}{COLD_ENDING}", meta.ulid)))?.size_bytes(),
    };
    if converted.damage.is_empty() {
        remove_block(&**vfs, block.dir())?;
    } else {
        set_aside(&**vfs, dir, block.dir())?;
    }
    Ok(Some(Stepped { from, bytes_before, converted, bytes_after }))
}

/// Removes what a crash has left half written or half removed, of blocks and cold blocks; how many.
pub fn remove_unfinished(vfs: &dyn Vfs, dir: &Path) -> Result<usize, BlockError> {
    let mut removed = remove_unfinished_blocks(vfs, dir)?;
    for entry in vfs.list(dir).map_err(BlockError::io("list", dir))? {
        let name = [UNFINISHED, DOOMED].iter().find_map(|ending| entry.name.strip_suffix(ending));
        if entry.is_dir && name.is_some_and(|name| name.parse::<Ulid>().is_ok()) {
            remove_tree(vfs, &dir.join(&entry.name))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes a block or a cold block; both are renamed first, to a name that does not count.
fn remove(vfs: &dyn Vfs, block: &Path) -> Result<(), BlockError> {
    // `X.cold` becomes `X.cold.tmp-for-deletion`, which is DOOMED.
    remove_block(vfs, block)
}

fn set_aside(vfs: &dyn Vfs, dir: &Path, block: &Path) -> Result<(), BlockError> {
    let quarantine = dir.join(QUARANTINE_DIR);
    vfs.create_dir_all(&quarantine).map_err(BlockError::io("create", &quarantine))?;
    let Some(name) = block.file_name() else { return Ok(()) };
    vfs.rename(block, &quarantine.join(name)).map_err(BlockError::io("rename", block))?;
    for dir in [&quarantine, &dir.to_owned()] {
        vfs.sync_dir(dir).map_err(BlockError::io("sync", dir))?;
    }
    Ok(())
}

//! Convert: blocks become one cold block. Series by series in order of labels, merged as compaction merges them: what overlaps is
//! one, what was deleted is gone.

use std::path::Path;
use std::sync::Arc;

use super::super::compact::{Merge, origin};
use super::super::error::BlockDamage;
use super::super::meta::BlockMeta;
use super::super::reader::Block;
use super::super::ulid::Ulid;
use super::write::{ColdWriteError, ColdWriter};
use crate::vfs::Vfs;

/// The bounds of a cold block that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvertOptions {
    /// About so many timestamps are kept in memory, for other series to share; 8 bytes each.
    pub shared_times_max: usize,
    /// As [`BlockWriterOptions::postings_per_pass_max`](super::super::BlockWriterOptions::postings_per_pass_max).
    pub postings_per_pass_max: usize,
}

impl Default for ConvertOptions {
    fn default() -> ConvertOptions {
        ConvertOptions { shared_times_max: 1 << 22, postings_per_pass_max: 1 << 22 }
    }
}

/// What a conversion made.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The cold block; `None` when no sample was left.
    pub meta: Option<BlockMeta>,
    /// What could not be read of the blocks and is not in the cold one, at most [`Block::DAMAGE_MAX`] places.
    pub damage: Vec<BlockDamage>,
}

/// Makes one cold block of blocks, beside them in `parent`, and reads all of it back before it gets its name. `progress` is told, now
/// and then, how many of how many series were read. Removing the blocks is for the caller ([`step`](super::step()) does).
///
/// A sample that several blocks have is taken from the first of them.
///
/// ```no_run
/// use std::{path::Path, sync::Arc};
/// use kymo_tsdb::{OsVfs, Vfs, block::{Block, Ulid}, cold::{ColdBlock, ConvertOptions, convert}};
/// let (vfs, data): (Arc<dyn Vfs>, _) = (Arc::new(OsVfs), Path::new("data"));
/// let blocks = Block::open_all(&*vfs, data)?.blocks;
/// let made = convert(&vfs, data, Ulid::generate(0), &blocks, ConvertOptions::default(), &mut |_, _| ())?;
/// if let Some(meta) = made.meta {
///     let cold = ColdBlock::open(&*vfs, &data.join(format!("{}.cold", meta.ulid)))?;
///     println!("{} bytes", cold.size_bytes());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn convert(
    vfs: &Arc<dyn Vfs>,
    parent: &Path,
    ulid: Ulid,
    blocks: &[Block],
    options: ConvertOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Converted, ColdWriteError> {
    convert_while(vfs, parent, ulid, blocks, options, &mut |read, total| {
        progress(read, total);
        true
    })
}

/// The same, as long as `go_on` says so.
pub(in super::super) fn convert_while(
    vfs: &Arc<dyn Vfs>,
    parent: &Path,
    ulid: Ulid,
    blocks: &[Block],
    options: ConvertOptions,
    go_on: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Converted, ColdWriteError> {
    let origin = origin(blocks);
    let mut writer =
        ColdWriter::create(vfs.clone(), parent, ulid, origin.range_ms.unwrap_or((0, 0)), options)?;
    let mut damage = Vec::new();
    match copy(&mut writer, blocks, &mut damage, go_on) {
        Ok(()) if writer.stats().num_series == 0 => {
            writer.discard()?;
            Ok(Converted { meta: None, damage })
        }
        Ok(()) => Ok(Converted { meta: Some(writer.finish(origin, go_on)?), damage }),
        Err(error) => {
            // What made it fail says more than what keeps it from being cleaned up, which the next step does.
            drop(writer.discard());
            Err(error)
        }
    }
}

fn copy(
    writer: &mut ColdWriter,
    blocks: &[Block],
    damage: &mut Vec<BlockDamage>,
    go_on: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<(), ColdWriteError> {
    /// How often progress is told.
    const SERIES_PER_REPORT: u64 = 1024;
    let total: u64 = blocks.iter().map(|block| block.meta().stats.num_series).sum();
    let mut merge = Merge::of(blocks).map_err(ColdWriteError::Read)?;
    let mut told = 0;
    while let Some(series) = merge.next(damage).map_err(ColdWriteError::Read)? {
        for (at, message) in writer.add_series(&series.labels, &series.chunks)? {
            let chunk = &series.chunks[at];
            let message = format!(
                "{message}, in the chunk from {} to {} of {}",
                chunk.min_ms, chunk.max_ms, series.labels
            );
            // A chunk that is copied is not read on the way here, so its block is not known where there are several.
            let file = blocks.first().map_or_else(Default::default, |block| block.dir().to_owned());
            damage.push(BlockDamage { file, offset: 0, message });
        }
        if merge.read() >= told + SERIES_PER_REPORT {
            told = merge.read();
            if !go_on(told, total) {
                return Err(ColdWriteError::Stopped);
            }
        }
    }
    damage.truncate(Block::DAMAGE_MAX);
    if go_on(merge.read(), total) { Ok(()) } else { Err(ColdWriteError::Stopped) }
}

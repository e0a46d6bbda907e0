//! Opening: everything is read, and then the directory is made ready to be written to, or left alone.
//!
//! Nothing that belongs to the database is changed before everything was read; only sealed chunks that the log has are added to
//! chunk files, behind what belongs to it. Then what is not part of the database is removed: checkpoints and
//! segments that a newer checkpoint overrules, chunk files that no checkpoint names, the torn end of the last segment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::apply::with_appliers;
use super::chunk_files::{ChunkFiles, ChunkTarget, gone_path};
use super::quarantine::Quarantine;
use super::read::{End, Seen, Whose, numbered, numbered_gone, read_files};
use super::replay::SpillAt;
use crate::beside::take_in;
use crate::block::{Block, BlockStore, Ulid, cut_blocks};
use crate::chunks::ChunkStore;
use crate::db::Paths;
use crate::error::OpenError;
use crate::frame::{FILE_HEADER_BYTES, FileId, FileKind};
use crate::head::Head;
use crate::options::Options;
use crate::stats::{DiskStats, ReplayReport};
use crate::vfs::{OpenMode, Vfs, VfsFile};

/// What the opening found on disk.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) chunks: ChunkFiles,
    /// Number and size of the checkpoint.
    pub(crate) checkpoint: Option<(u64, u64)>,
    /// The block that the checkpoint has published.
    pub(crate) published: Option<Ulid>,
    /// Is it unknown whether there is such a block?
    pub(crate) manifest_lost: bool,
    /// Number and size of the segments that are not written to any more.
    pub(crate) segments: Vec<(u64, u64)>,
    /// The last segment, if it can be gone on with.
    pub(crate) resumed: Option<Resumed>,
    pub(crate) next_segment: u64,
    pub(crate) report: ReplayReport,
    /// An fsync that failed: no write can be taken.
    pub(crate) sync_failed: Option<String>,
}

/// A segment that is gone on with.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn VfsFile>,
    /// Its end, behind the last whole record.
    pub(crate) size: u64,
}

/// While everything is read, chunks wait until there are so many times as many of them as otherwise: writing them can wait until the
/// database is open, and takes a fifth of the time.
const SPILL_FACTOR: u64 = 64;

/// Reads everything into the head, on so many threads, and makes the directory ready to be written to. What comes out does
/// not depend on the threads.
pub(crate) fn load(
    paths: &Paths,
    head: &Head,
    options: &Options,
    target: &ChunkTarget,
) -> Result<Loaded, OpenError> {
    let (vfs, threads) = (&*options.vfs, options.replay_threads_effective());
    let quarantine = Quarantine::new(vfs, &paths.dir);
    head.beside.set_bounds(options);
    let seen = with_appliers(head, threads, |appliers| {
        let spill = SpillAt { target, bytes: options.spill_bytes.saturating_mul(SPILL_FACTOR) };
        let whose = Whose::Owner { quarantine, spill };
        read_files(vfs, paths, head, appliers, whose, options.on_progress.as_ref())
    })?;
    let Seen { chunks, checkpoint, published, manifest_lost, mut segments, end, last_is_old, .. } = seen;
    let (old_segments, mut next_segment) = (seen.old_segments, seen.next_segment);
    make_durable(vfs, &paths.wal, &segments)?;
    cut_torn_ends(vfs, &paths.wal, &mut segments, &seen.torn)?;
    if checkpoint.is_some() {
        // It may have been renamed by a process that ended before it made the name durable; what it overrules goes below.
        vfs.sync_dir(&paths.checkpoints).map_err(OpenError::io("fsync directory", &paths.checkpoints))?;
    }
    let mut resumed = resume(vfs, &paths.wal, &mut segments, end, &mut next_segment)?;
    // What this version writes does not belong into a file that says it is older.
    if let Some(old) = resumed.take_if(|_| last_is_old) {
        segments.push((old.number, old.size));
    }
    clean_up(vfs, paths, checkpoint.map(|(number, _)| number), &old_segments, &chunks, &head.store);
    let (report, sync_failed) = (seen.report, seen.sync_failed);
    Ok(Loaded {
        chunks,
        checkpoint,
        published,
        manifest_lost,
        segments,
        resumed,
        next_segment,
        report,
        sync_failed,
    })
}

/// What a guest found on disk.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) head: Head,
    pub(crate) blocks: BlockStore,
    pub(crate) report: ReplayReport,
    pub(crate) disk: DiskStats,
}

/// Reads everything beside somebody who may be writing, and changes nothing.
pub(crate) fn look(paths: &Paths, options: &Options) -> Result<Looked, OpenError> {
    let (vfs, threads) = (&*options.vfs, options.replay_threads_effective());
    for _attempt in 0..LOOKS_MAX {
        let head = Head::new(Arc::new(ChunkStore::new(options.vfs.clone(), paths.chunks.clone())));
        head.beside.set_bounds(options);
        let seen = with_appliers(&head, threads, |appliers| {
            read_files(vfs, paths, &head, appliers, Whose::Guest, options.on_progress.as_ref())
        })?;
        let mut report = seen.report.clone();
        take_in(vfs, &paths.dir, &head.beside, None, &mut |damage| report.add(damage))?;
        // Behind the head, as selects do it: what a cut moves meanwhile is seen in both rather than in neither.
        let published = seen.published.map(|ulid| look_at_published(vfs, paths, ulid)).transpose()?.flatten();
        let blocks = BlockStore::open_read_only(options.vfs.clone(), &paths.dir, options.block_store())?;
        head.remembered.share(blocks.summaries());
        if let Some(block) = published
            && !blocks.blocks().iter().any(|other| other.meta().ulid == block.meta().ulid)
        {
            blocks.add_cut(block);
        }
        if seen.is_current(vfs, paths)? {
            let disk = DiskStats {
                wal_bytes: seen.segments.iter().map(|(_, size)| size).sum(),
                checkpoint_bytes: seen.checkpoint.map_or(0, |(_, size)| size),
                chunk_bytes: seen.chunks.disk_bytes(),
                block_bytes: blocks.size_bytes(),
            };
            return Ok(Looked { head, blocks, report, disk });
        }
    }
    Err(OpenError::Unsettled { dir: paths.dir.clone(), attempts: LOOKS_MAX })
}

/// A block that was published and has no name yet.
fn look_at_published(vfs: &dyn Vfs, paths: &Paths, published: Ulid) -> Result<Option<Block>, OpenError> {
    let cut = cut_blocks(vfs, &paths.dir)?.into_iter().find(|(ulid, _)| *ulid == published);
    // When it cannot be opened it has got its name just now, or it is among those that are refused later.
    Ok(cut.and_then(|(_, dir)| Block::open(vfs, &dir).ok()))
}

/// So often is everything read again, when a checkpoint was made meanwhile.
const LOOKS_MAX: u32 = 10;

/// A process that was killed has left writes that only the kernel knows. They were acknowledged and read again, so they are
/// made durable before anything is built on them.
fn make_durable(vfs: &dyn Vfs, dir: &Path, segments: &[(u64, u64)]) -> Result<(), OpenError> {
    for (number, _) in segments {
        let path = dir.join(FileId { kind: FileKind::Wal, number: *number }.name());
        let file = vfs.open(&path, OpenMode::Write).map_err(OpenError::io("open", &path))?;
        file.sync().map_err(OpenError::io("fsync", &path))?;
    }
    if segments.is_empty() {
        Ok(())
    } else {
        vfs.sync_dir(dir).map_err(OpenError::io("fsync directory", dir))
    }
}

/// Cuts the torn ends off segments behind which nothing was written but what a failed attempt to begin another has left, so that
/// they are whole when more is written.
fn cut_torn_ends(
    vfs: &dyn Vfs,
    dir: &Path,
    segments: &mut [(u64, u64)],
    torn: &[(u64, u64)],
) -> Result<(), OpenError> {
    let Some((_, before_last)) = segments.split_last_mut() else { return Ok(()) };
    for (number, size) in before_last {
        if let Some((_, offset)) = torn.iter().find(|(torn, _)| torn == number) {
            let path = dir.join(FileId { kind: FileKind::Wal, number: *number }.name());
            let file = vfs.open(&path, OpenMode::Write).map_err(OpenError::io("open", &path))?;
            file.truncate(*offset).map_err(OpenError::io("truncate", &path))?;
            file.sync().map_err(OpenError::io("fsync", &path))?;
            *size = *offset;
        }
    }
    Ok(())
}

/// Cuts the torn end off the last segment, so that it can be gone on with. A segment with any other damage at its end, or
/// in its header, is left as it is.
fn resume(
    vfs: &dyn Vfs,
    dir: &Path,
    segments: &mut Vec<(u64, u64)>,
    torn_end: Option<End>,
    next_segment: &mut u64,
) -> Result<Option<Resumed>, OpenError> {
    let (Some(end), Some((number, size))) = (torn_end, segments.last().copied()) else { return Ok(None) };
    let path = dir.join(FileId { kind: FileKind::Wal, number }.name());
    let end = match end {
        End::Whole if size >= FILE_HEADER_BYTES as u64 => size,
        End::Torn { offset } if offset >= FILE_HEADER_BYTES as u64 => offset,
        // Not even a header: nothing was ever in it.
        End::Whole | End::Torn { .. } => {
            vfs.remove(&path).map_err(OpenError::io("remove", &path))?;
            segments.pop();
            *next_segment = number;
            return Ok(None);
        }
        End::Damaged => return Ok(None),
    };
    let file = vfs.open(&path, OpenMode::Write).map_err(OpenError::io("open", &path))?;
    if end < size {
        file.truncate(end).map_err(OpenError::io("truncate", &path))?;
        file.sync().map_err(OpenError::io("fsync", &path))?;
    }
    segments.pop();
    Ok(Some(Resumed { number, path, file, size: end }))
}

/// Removes what is not part of the database. What cannot be removed now is tried again at the next opening.
fn clean_up(
    vfs: &dyn Vfs,
    paths: &Paths,
    checkpoint: Option<u64>,
    old_segments: &[(u64, u64)],
    chunks: &ChunkFiles,
    store: &ChunkStore,
) {
    for (number, _) in old_segments {
        let _ = vfs.remove(&paths.wal.join(FileId { kind: FileKind::Wal, number: *number }.name()));
    }
    for entry in vfs.list(&paths.checkpoints).unwrap_or_default() {
        let keep = checkpoint.is_some() && FileId::number_of(&entry.name) == checkpoint;
        if !keep && !entry.is_dir {
            let _ = vfs.remove(&paths.checkpoints.join(&entry.name));
        }
    }
    for (number, _) in numbered(vfs, &paths.chunks).unwrap_or_default() {
        if !u32::try_from(number).is_ok_and(|number| chunks.files.contains_key(&number)) {
            let _ = vfs.remove(&store.path(number));
        }
    }
    for file in chunks.files.values().filter(|file| file.longer) {
        if let Ok(longer) = vfs.open(&store.path(file.number.into()), OpenMode::Write) {
            let _ = longer.truncate(file.bytes);
        }
    }
    for number in numbered_gone(vfs, &paths.chunks).unwrap_or_default() {
        if !chunks.gone.contains(&number) {
            let _ = vfs.remove(&gone_path(store, number));
        }
    }
}

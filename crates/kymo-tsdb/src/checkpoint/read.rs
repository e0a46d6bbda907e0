//! Reading what is on disk into the head: checkpoint, chunk files, log, in this order, one record at a time.
//!
//! Nothing is changed on disk, except that the owner of the directory copies damaged bytes aside. A guest, who reads beside a
//! writer, sees files grow and go: a record that is not whole yet is no damage to him, and [`Seen::is_current`] tells whether
//! a checkpoint was made meanwhile, so that what he has read may have holes.

use std::io;
use std::path::Path;

use super::apply::Appliers;
use super::chunk_files::{self, ChunkFile, ChunkFiles};
use super::manifest::Manifest;
use super::quarantine::Quarantine;
use super::replay::Replay;
use crate::db::Paths;
use crate::error::OpenError;
use crate::frame::{FileId, FileKind, Found, FrameReader, VERSION};
use crate::head::Head;
use crate::progress::{OnProgress, Reading};
use crate::stats::{Damage, DamageKind, ReplayReport};
use crate::vfs::{OpenMode, Vfs};

/// What was found on disk.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) chunks: ChunkFiles,
    /// Number and size of the checkpoint.
    pub(super) checkpoint: Option<(u64, u64)>,
    /// Number and size of the segments that are replayed over it.
    pub(super) segments: Vec<(u64, u64)>,
    /// How the last segment ends.
    pub(super) end: Option<End>,
    /// Segments that the checkpoint overrules.
    pub(super) old_segments: Vec<(u64, u64)>,
    pub(super) next_segment: u64,
    pub(super) report: ReplayReport,
}

/// Reads everything into the head. Only the owner of the directory has a quarantine.
pub(super) fn read_files(
    vfs: &dyn Vfs,
    paths: &Paths,
    head: &Head,
    appliers: &Appliers<'_>,
    quarantine: Option<Quarantine<'_>>,
    on_progress: Option<&OnProgress>,
) -> Result<Seen, OpenError> {
    let checkpoint = numbered(vfs, &paths.checkpoints)?.pop();
    let lost = lost_checkpoint(vfs, paths, checkpoint)?;
    let replay = Replay::new(head, appliers);
    let reading = Reading::new(on_progress, bytes_to_read(vfs, paths, checkpoint, lost)?);
    let mut reader = Reader { vfs, quarantine, replay, reading };
    let mut manifest = None;
    if let Some((number, _)) = checkpoint {
        let id = FileId { kind: FileKind::Checkpoint, number };
        reader.file(id, &paths.checkpoint(number), u64::MAX, |replay, payload| {
            replay.checkpoint(payload, &mut manifest)
        })?;
    }
    if let Some(number) = lost {
        let (file, kind) = (paths.checkpoint(number), DamageKind::Missing);
        reader.replay.report.add(Damage { file, offset: 0, bytes: 0, kind, quarantine: None });
    }
    let chunks = read_chunk_files(&mut reader, paths, checkpoint.is_some() || lost.is_some(), manifest)?;
    let first = checkpoint.map(|(number, _)| number).or(lost).unwrap_or(1);
    let (old_segments, current): (Vec<_>, Vec<_>) =
        numbered(vfs, &paths.wal)?.into_iter().partition(|(number, _)| *number < first);
    let mut segments = Vec::new();
    let (mut next_segment, mut end) = (first, None);
    for (number, _) in current {
        let id = FileId { kind: FileKind::Wal, number };
        let path = paths.wal.join(id.name());
        for missing in next_segment..number.min(next_segment + MISSING_LISTED_MAX) {
            let file = paths.wal.join(FileId { kind: FileKind::Wal, number: missing }.name());
            let kind = DamageKind::Missing;
            reader.replay.report.add(Damage { file, offset: 0, bytes: 0, kind, quarantine: None });
        }
        next_segment = number + 1;
        reader.replay.report.segments += 1;
        // Up to where it ends now: that there is a segment behind it says that it grows no more, its size in a list that was
        // made beside a writer may be older.
        let read = reader.file(id, &path, u64::MAX, |replay, payload| replay.log(payload))?;
        end = read.map(|(end, _)| end);
        segments.push((number, read.map_or(0, |(_, size)| size)));
    }
    let mut report = reader.replay.finish(manifest.map_or(0, |manifest| manifest.next_id));
    report.series = head.next_and_live().1 as u64;
    Ok(Seen { chunks, checkpoint, segments, end, old_segments, next_segment, report })
}

impl Seen {
    /// Is the checkpoint still the last one? Then nothing was removed while the files were read but what is past the
    /// retention: a checkpoint gets its name before what it overrules goes.
    pub(super) fn is_current(&self, vfs: &dyn Vfs, paths: &Paths) -> Result<bool, OpenError> {
        Ok(numbered(vfs, &paths.checkpoints)?.pop() == self.checkpoint)
    }
}

/// The number of the checkpoint that should be there and is not: only a checkpoint removes the log's first segment. Without it
/// the chunk files are read whole; where the log begins at 1, they are what an unfinished attempt has left.
fn lost_checkpoint(
    vfs: &dyn Vfs,
    paths: &Paths,
    checkpoint: Option<(u64, u64)>,
) -> Result<Option<u64>, OpenError> {
    if checkpoint.is_some() {
        return Ok(None);
    }
    let first = numbered(vfs, &paths.wal)?.first().map(|(number, _)| *number);
    Ok(first.filter(|number| *number > 1))
}

fn bytes_to_read(
    vfs: &dyn Vfs,
    paths: &Paths,
    checkpoint: Option<(u64, u64)>,
    lost: Option<u64>,
) -> Result<u64, OpenError> {
    let (first, checkpoint_bytes) = checkpoint.unwrap_or((1, 0));
    let segments = numbered(vfs, &paths.wal)?.into_iter().filter(|(number, _)| *number >= first);
    let has_chunks = checkpoint.is_some() || lost.is_some();
    let chunks = if has_chunks { numbered(vfs, &paths.chunks)? } else { Vec::new() };
    Ok(checkpoint_bytes + segments.chain(chunks).map(|(_, bytes)| bytes).sum::<u64>())
}

/// At most so many missing segments in a row are listed.
const MISSING_LISTED_MAX: u64 = 16;

/// The files with our names in a directory, in order of number, with their sizes.
pub(super) fn numbered(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<(u64, u64)>, OpenError> {
    let entries = vfs.list(dir).map_err(OpenError::io("list", dir))?;
    let files = entries.into_iter().filter(|entry| !entry.is_dir);
    let mut numbers: Vec<_> =
        files.filter_map(|entry| FileId::number_of(&entry.name).map(|number| (number, entry.size))).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn read_chunk_files(
    reader: &mut Reader<'_>,
    paths: &Paths,
    has_checkpoint: bool,
    manifest: Option<Manifest>,
) -> Result<ChunkFiles, OpenError> {
    let mut chunks = ChunkFiles { next_number: 1, ..ChunkFiles::default() };
    if !has_checkpoint {
        return Ok(chunks);
    }
    for (number, size) in numbered(reader.vfs, &paths.chunks)? {
        let end = match manifest {
            Some(manifest) if number > manifest.chunk_file => continue,
            Some(manifest) if number == manifest.chunk_file => size.min(manifest.chunk_file_bytes),
            // Without a readable manifest everything that is there is taken.
            _ => size,
        };
        let mut info = ChunkFile::new(number);
        info.bytes = end;
        let id = FileId { kind: FileKind::Chunks, number };
        let path = chunk_files::path(&paths.chunks, number);
        reader.file(id, &path, end, |replay, payload| replay.chunk(payload, &mut info))?;
        chunks.files.push(info);
    }
    let last = chunks.files.last().map_or(0, |file| file.number);
    chunks.next_number = last.max(manifest.map_or(0, |manifest| manifest.chunk_file)) + 1;
    chunks.last_is_open = manifest.is_some_and(|manifest| manifest.chunk_file == last);
    Ok(chunks)
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// Inside a record that begins here.
    Torn {
        offset: u64,
    },
    Damaged,
}

struct Reader<'a> {
    vfs: &'a dyn Vfs,
    quarantine: Option<Quarantine<'a>>,
    replay: Replay<'a>,
    reading: Reading<'a>,
}

impl<'a> Reader<'a> {
    /// Reads the records of one file, up to `end` or to its own end. `take` gives `None` for a record that makes no sense.
    /// How the file ends and how long it is; `None` when it is not there.
    fn file(
        &mut self,
        id: FileId,
        path: &Path,
        end: u64,
        mut take: impl FnMut(&mut Replay<'a>, &[u8]) -> Option<()>,
    ) -> Result<Option<(End, u64)>, OpenError> {
        let file = match self.vfs.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io("open", path)(error)),
        };
        let size = file.size().map_err(OpenError::io("read the size of", path))?.min(end);
        let mut frames = FrameReader::new(&*file, id, size);
        if let Err(unknown) = frames.check_version().map_err(OpenError::io("read", path))? {
            return Err(OpenError::Version { path: path.to_owned(), expected: VERSION, found: unknown.0 });
        }
        let mut end = End::Whole;
        while let Some(found) = frames.next().map_err(OpenError::io("read", path))? {
            let mut damage = match found {
                Found::Record { offset, payload } => {
                    end = End::Whole;
                    self.reading.at(offset);
                    let bytes = payload.len() as u64;
                    match take(&mut self.replay, payload) {
                        Some(()) => continue,
                        None => damage(path, offset, bytes, DamageKind::Content),
                    }
                }
                Found::Damage { offset, bytes, kind } => {
                    let torn = kind == DamageKind::TornTail;
                    end = if torn { End::Torn { offset } } else { End::Damaged };
                    damage(path, offset, bytes, kind)
                }
            };
            match &mut self.quarantine {
                Some(quarantine) => quarantine.keep(id, &*file, &mut damage),
                // The writer is not done with it, or has never acknowledged it.
                None if damage.kind == DamageKind::TornTail => continue,
                None => {}
            }
            self.replay.report.add(damage);
        }
        self.reading.file_done(size);
        Ok(Some((end, size)))
    }
}

fn damage(path: &Path, offset: u64, bytes: u64, kind: DamageKind) -> Damage {
    Damage { file: path.to_owned(), offset, bytes, kind, quarantine: None }
}

//! Opening: checkpoint, chunk files, log, in this order, one record at a time.
//!
//! Nothing on disk is changed before everything was read. Then what is not part of the database is removed: checkpoints and
//! segments that a newer checkpoint overrules, chunk files that no checkpoint names, the torn end of the last segment.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::apply::{Appliers, with_appliers};
use super::chunk_files::{self, ChunkFile, ChunkFiles};
use super::manifest::Manifest;
use super::quarantine::Quarantine;
use super::replay::Replay;
use crate::db::Paths;
use crate::error::OpenError;
use crate::frame::{FILE_HEADER_BYTES, FileId, FileKind, Found, FrameReader, VERSION};
use crate::head::Head;
use crate::stats::{Damage, DamageKind, ReplayReport};
use crate::vfs::{OpenMode, Vfs, VfsFile};

/// What the opening found on disk.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) chunks: ChunkFiles,
    /// Number and size of the checkpoint.
    pub(crate) checkpoint: Option<(u64, u64)>,
    /// Number and size of the segments that are not written to any more.
    pub(crate) segments: Vec<(u64, u64)>,
    /// The last segment, if it can be gone on with.
    pub(crate) resumed: Option<Resumed>,
    pub(crate) next_segment: u64,
    pub(crate) report: ReplayReport,
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

/// Reads everything into the head, on so many threads. What comes out does not depend on how many.
pub(crate) fn load(vfs: &dyn Vfs, paths: &Paths, head: &Head, threads: usize) -> Result<Loaded, OpenError> {
    with_appliers(head, threads, |appliers| load_with(vfs, paths, head, appliers))
}

fn load_with(
    vfs: &dyn Vfs,
    paths: &Paths,
    head: &Head,
    appliers: &Appliers<'_>,
) -> Result<Loaded, OpenError> {
    let quarantine = Quarantine::new(vfs, &paths.dir);
    let mut reader = Reader { vfs, quarantine, replay: Replay::new(head, appliers) };
    let checkpoint = numbered(vfs, &paths.checkpoints)?.pop();
    let mut manifest = None;
    if let Some((number, size)) = checkpoint {
        let id = FileId { kind: FileKind::Checkpoint, number };
        reader.file(id, &paths.checkpoint(number), size, |replay, payload| {
            replay.checkpoint(payload, &mut manifest)
        })?;
    }
    let chunks = load_chunk_files(&mut reader, paths, checkpoint.is_some(), manifest)?;
    let first = checkpoint.map_or(1, |(number, _)| number);
    let (old, current): (Vec<_>, Vec<_>) =
        numbered(vfs, &paths.wal)?.into_iter().partition(|(number, _)| *number < first);
    let mut segments = Vec::new();
    let (mut expected, mut torn_end) = (first, None);
    for (number, size) in current {
        let id = FileId { kind: FileKind::Wal, number };
        let path = paths.wal.join(id.name());
        for missing in expected..number.min(expected + MISSING_LISTED_MAX) {
            let file = paths.wal.join(FileId { kind: FileKind::Wal, number: missing }.name());
            let kind = DamageKind::Missing;
            reader.replay.report.add(Damage { file, offset: 0, bytes: 0, kind, quarantine: None });
        }
        expected = number + 1;
        reader.replay.report.segments += 1;
        torn_end = reader.file(id, &path, size, |replay, payload| replay.batch(payload))?;
        segments.push((number, size));
    }
    let mut report = reader.replay.finish(manifest.map_or(0, |manifest| manifest.next_id));
    report.series = head.next_and_live().1 as u64;
    make_durable(vfs, &paths.wal, &segments)?;
    if checkpoint.is_some() {
        // It may have been renamed by a process that ended before it made the name durable; what it overrules goes below.
        vfs.sync_dir(&paths.checkpoints).map_err(OpenError::io("fsync directory", &paths.checkpoints))?;
    }
    let resumed = resume(vfs, &paths.wal, &mut segments, torn_end, &mut expected)?;
    clean_up(vfs, paths, checkpoint.map(|(number, _)| number), &old, &chunks);
    Ok(Loaded { chunks, checkpoint, segments, resumed, next_segment: expected, report })
}

/// At most so many missing segments in a row are listed.
const MISSING_LISTED_MAX: u64 = 16;

/// The files with our names in a directory, in order of number, with their sizes.
fn numbered(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<(u64, u64)>, OpenError> {
    let entries = vfs.list(dir).map_err(OpenError::io("list", dir))?;
    let files = entries.into_iter().filter(|entry| !entry.is_dir);
    let mut numbers: Vec<_> =
        files.filter_map(|entry| FileId::number_of(&entry.name).map(|number| (number, entry.size))).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn load_chunk_files(
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
        if !chunks.files.iter().any(|file| file.number == number) {
            let _ = vfs.remove(&chunk_files::path(&paths.chunks, number));
        }
    }
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// Inside a record that begins here.
    Torn {
        offset: u64,
    },
    Damaged,
}

struct Reader<'a> {
    vfs: &'a dyn Vfs,
    quarantine: Quarantine<'a>,
    replay: Replay<'a>,
}

impl<'a> Reader<'a> {
    /// Reads the records of one file. `take` gives `None` for a record that makes no sense.
    fn file(
        &mut self,
        id: FileId,
        path: &Path,
        size: u64,
        mut take: impl FnMut(&mut Replay<'a>, &[u8]) -> Option<()>,
    ) -> Result<Option<End>, OpenError> {
        let file = match self.vfs.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io("open", path)(error)),
        };
        let mut frames = FrameReader::new(&*file, id, size);
        if let Err(unknown) = frames.check_version().map_err(OpenError::io("read", path))? {
            return Err(OpenError::Version { path: path.to_owned(), expected: VERSION, found: unknown.0 });
        }
        let mut end = End::Whole;
        while let Some(found) = frames.next().map_err(OpenError::io("read", path))? {
            let mut damage = match found {
                Found::Record { offset, payload } => {
                    end = End::Whole;
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
            self.quarantine.keep(id, &*file, &mut damage);
            self.replay.report.add(damage);
        }
        Ok(Some(end))
    }
}

fn damage(path: &Path, offset: u64, bytes: u64, kind: DamageKind) -> Damage {
    Damage { file: path.to_owned(), offset, bytes, kind, quarantine: None }
}

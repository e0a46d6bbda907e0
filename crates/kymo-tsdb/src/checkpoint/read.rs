//! Reading what is on disk into the head: checkpoint, chunk files, log, in this order, one record at a time.
//!
//! Nothing is changed on disk, except that the owner of the directory copies damaged bytes aside. A guest, who reads beside a
//! writer, sees files grow and go: a record that is not whole yet is no damage to him, and [`Seen::is_current`] tells whether
//! a checkpoint was made meanwhile, so that what he has read may have holes.

use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

use super::apply::Appliers;
use super::chunk_files::{ChunkFile, ChunkFiles, GONE};
use super::manifest::{Listed, Manifest};
use super::quarantine::Quarantine;
use super::replay::{Replay, Replayed, SpillAt};
use crate::block::Ulid;
use crate::db::Paths;
use crate::error::OpenError;
use crate::frame::{FILE_HEADER_BYTES, FileId, FileKind, Found, FrameReader, VERSION};
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
    /// The block that the checkpoint has published.
    pub(super) published: Option<Ulid>,
    /// Is there a checkpoint, or should there be one, of which it is not known what it has published?
    pub(super) manifest_lost: bool,
    /// Number and size of the segments that are replayed over it.
    pub(super) segments: Vec<(u64, u64)>,
    /// How the last segment ends.
    pub(super) end: Option<End>,
    /// Is the last segment of an older version?
    pub(super) last_is_old: bool,
    /// Segments that end inside a record which was never acknowledged, and where it begins.
    pub(super) torn: Vec<(u64, u64)>,
    /// Segments that the checkpoint overrules.
    pub(super) old_segments: Vec<(u64, u64)>,
    pub(super) next_segment: u64,
    pub(super) report: ReplayReport,
    /// An fsync that failed while chunks were spilled.
    pub(super) sync_failed: Option<String>,
}

/// Who reads.
#[derive(Debug)]
pub(super) enum Whose<'a> {
    /// The owner of the directory copies damaged bytes aside, and spills what does not fit into memory.
    Owner { quarantine: Quarantine<'a>, spill: SpillAt<'a> },
    /// A guest changes nothing.
    Guest,
}

/// Reads everything into the head.
pub(super) fn read_files(
    vfs: &dyn Vfs,
    paths: &Paths,
    head: &Head,
    appliers: &Appliers<'_>,
    whose: Whose<'_>,
    on_progress: Option<&OnProgress>,
) -> Result<Seen, OpenError> {
    let checkpoint = numbered(vfs, &paths.checkpoints)?.pop();
    let lost = lost_checkpoint(vfs, paths, checkpoint)?;
    let first = checkpoint.map(|(number, _)| number).or(lost).unwrap_or(1);
    let reading = Reading::new(on_progress, bytes_to_read(vfs, paths, checkpoint, lost)?);
    let (quarantine, spill) = match whose {
        Whose::Owner { quarantine, spill } => {
            check_versions(vfs, paths, first)?;
            (Some(quarantine), Some(spill))
        }
        Whose::Guest => (None, None),
    };
    let mut reader = Reader { vfs, quarantine, replay: Replay::new(head, appliers, spill), reading };
    let manifest = match checkpoint {
        Some((number, _)) => reader.checkpoint(paths, number)?,
        None => None,
    };
    if let Some(number) = lost {
        reader.missing(paths.checkpoint(number), 0);
    }
    if checkpoint.is_some() || lost.is_some() {
        reader.chunk_files(paths, manifest.as_ref())?;
    }
    let (old_segments, current): (Vec<_>, Vec<_>) =
        numbered(vfs, &paths.wal)?.into_iter().partition(|(number, _)| *number < first);
    let mut log = LogRead { next_segment: first, ..LogRead::default() };
    for (number, _) in current {
        reader.segment(paths, number, &mut log)?;
    }
    reader.never_acknowledged(paths, &log.torn);
    if let Some(quarantine) = &mut reader.quarantine {
        // What cannot be made durable now is found again by the next opening, unless it goes before; that is no reason not to open.
        let _ = quarantine.sync();
    }
    let LogRead { segments, next_segment, end, version, torn } = log;
    let published = manifest.as_ref().and_then(|manifest| manifest.block);
    let manifest_lost = manifest.is_none() && (checkpoint.is_some() || lost.is_some());
    let Replayed { mut report, chunks, sync_failed } =
        reader.replay.finish(manifest.map_or(0, |manifest| manifest.next_id));
    report.series = head.next_and_live().1 as u64;
    Ok(Seen {
        chunks,
        checkpoint,
        published,
        manifest_lost,
        segments,
        end,
        last_is_old: version.is_some_and(|version| version != VERSION),
        torn,
        old_segments,
        next_segment,
        report,
        sync_failed,
    })
}

/// The log as far as it was read.
#[derive(Default)]
struct LogRead {
    segments: Vec<(u64, u64)>,
    next_segment: u64,
    /// How the last segment ends, and of which version it is.
    end: Option<End>,
    version: Option<u32>,
    /// Segments that end inside a record, and where it begins. No whole record was found behind it yet.
    torn: Vec<(u64, u64)>,
}

/// A log of a newer version is refused before anything is written.
fn check_versions(vfs: &dyn Vfs, paths: &Paths, first: u64) -> Result<(), OpenError> {
    for (number, size) in numbered(vfs, &paths.wal)?.into_iter().filter(|(number, _)| *number >= first) {
        let id = FileId { kind: FileKind::Wal, number };
        let path = paths.wal.join(id.name());
        let file = vfs.open(&path, OpenMode::Read).map_err(OpenError::io("open", &path))?;
        check_version(&mut FrameReader::new(&*file, id, size.min(FILE_HEADER_BYTES as u64)), &path)?;
    }
    Ok(())
}

fn check_version(frames: &mut FrameReader<'_>, path: &Path) -> Result<Option<u32>, OpenError> {
    let checked = frames.check_version().map_err(OpenError::io("read", path))?;
    checked.map_err(|unknown| OpenError::Version {
        path: path.to_owned(),
        expected: VERSION,
        found: unknown.0,
    })
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

/// How much of a file there should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// So many bytes, which end with a record; what is behind them is not read.
    Bytes(u64),
    /// All of it, up to the end of a record.
    Whole,
    /// It may end inside a record, whose write was never acknowledged.
    Torn,
    /// As [`Extent::Torn`]; what is behind the file decides whether it was acknowledged.
    Log,
}

/// A file that was read.
struct FileRead {
    end: End,
    size: u64,
    /// Is there more than belongs to the database?
    longer: bool,
    /// None when the header is damaged.
    version: Option<u32>,
    /// Records that were whole.
    records: u64,
    damaged: bool,
}

struct Reader<'a> {
    vfs: &'a dyn Vfs,
    quarantine: Option<Quarantine<'a>>,
    replay: Replay<'a>,
    reading: Reading<'a>,
}

impl<'a> Reader<'a> {
    /// Reads a checkpoint; gives its manifest, if one of the two is whole.
    fn checkpoint(&mut self, paths: &Paths, number: u64) -> Result<Option<Manifest>, OpenError> {
        let id = FileId { kind: FileKind::Checkpoint, number };
        let path = paths.checkpoint(number);
        let mut manifest = None;
        let read = self
            .file(id, &path, Extent::Whole, |replay, _, payload| replay.checkpoint(payload, &mut manifest))?;
        // A file that was cut between two records has no other damage, but it has fewer records than it should.
        if let Some(read) = read.filter(|read| !read.damaged) {
            let whole = manifest.as_ref().is_some_and(|manifest: &Manifest| {
                manifest.records.is_none_or(|records| records == read.records)
            });
            if !whole {
                self.replay.report.add(damage(&path, read.size, 0, DamageKind::Cut));
            }
        }
        Ok(manifest)
    }

    /// Reads the chunk files that belong to the database. Without a readable manifest everything that is there is taken.
    fn chunk_files(&mut self, paths: &Paths, manifest: Option<&Manifest>) -> Result<(), OpenError> {
        let there = numbered(self.vfs, &paths.chunks)?;
        let there: Vec<(u32, u64)> = there
            .into_iter()
            .filter_map(|(number, size)| Some((u32::try_from(number).ok()?, size)))
            .collect();
        let next_free = there.last().map_or(1, |(number, _)| number + 1);
        match manifest.map(|manifest| &manifest.files) {
            Some(Listed::Each { files, next }) => {
                self.replay.chunks.next_number = next_free.max(*next);
                for file in files {
                    self.chunk_file(paths, file.number, Extent::Bytes(file.bytes), file.range, true)?;
                }
            }
            Some(Listed::UpTo { last, last_bytes }) => {
                self.replay.chunks.next_number =
                    u32::try_from(*last).map_or(next_free, |last| next_free.max(last + 1));
                for (number, _) in &there {
                    match u64::from(*number).cmp(last) {
                        Ordering::Less => self.chunk_file(paths, *number, Extent::Whole, None, true)?,
                        Ordering::Equal => {
                            self.chunk_file(paths, *number, Extent::Bytes(*last_bytes), None, true)?
                        }
                        Ordering::Greater => {}
                    }
                }
            }
            None => {
                self.replay.chunks.next_number = next_free;
                for (number, _) in there {
                    self.chunk_file(paths, number, Extent::Torn, None, false)?;
                }
            }
        }
        Ok(())
    }

    fn chunk_file(
        &mut self,
        paths: &Paths,
        number: u32,
        extent: Extent,
        range: Option<i64>,
        listed: bool,
    ) -> Result<(), OpenError> {
        let store = self.replay.store().clone();
        let path = store.path(number.into());
        if self.quarantine.is_some() {
            store.add(number);
        } else {
            // Its owner may remove it at any time.
            match store.add_kept(number) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(OpenError::io("open", &path)(error)),
            }
        }
        self.replay.chunks.files.insert(number, ChunkFile::new(number, range));
        let id = FileId { kind: FileKind::Chunks, number: number.into() };
        let read =
            self.file(id, &path, extent, |replay, offset, payload| replay.chunk(payload, number, offset))?;
        let file = self.replay.chunks.files.get_mut(&number).expect("BUG: it was just put there");
        let Some(read) = read else {
            self.replay.chunks.files.remove(&number);
            let on_purpose = numbered_gone(self.vfs, &paths.chunks)?.contains(&number);
            if on_purpose {
                self.replay.chunks.gone.insert(number);
            } else if let Extent::Bytes(bytes) = extent {
                self.missing(path, bytes);
            }
            return Ok(());
        };
        file.bytes = read.size;
        file.listed = listed.then_some(read.size);
        file.longer = read.longer;
        // What a crash left behind its end is cut off and not written over: selects of an owner that ended may still read it.
        file.open = range.is_some() && !read.damaged && !read.longer && read.version == Some(VERSION);
        Ok(())
    }

    fn segment(&mut self, paths: &Paths, number: u64, log: &mut LogRead) -> Result<(), OpenError> {
        let path_of = |number| paths.wal.join(FileId { kind: FileKind::Wal, number }.name());
        for missing in log.next_segment..number.min(log.next_segment + MISSING_LISTED_MAX) {
            self.missing(path_of(missing), 0);
        }
        log.next_segment = number + 1;
        self.replay.report.segments += 1;
        // Up to where it ends now: that there is a segment behind it says that it grows no more, its size in a list that was
        // made beside a writer may be older.
        let (id, path) = (FileId { kind: FileKind::Wal, number }, path_of(number));
        self.replay.before = None;
        let read = self.file(id, &path, Extent::Log, |replay, _, payload| replay.log(payload))?;
        if read.as_ref().is_some_and(|read| read.records > 0) {
            // Nothing is written to a segment before the one before it is whole.
            for (number, offset) in std::mem::take(&mut log.torn) {
                // One without a header was never begun, and the attempt could not be removed; had it been, the next one would say
                // how long it was.
                let begun = offset >= FILE_HEADER_BYTES as u64;
                self.torn(paths, number, offset, if begun { DamageKind::Cut } else { DamageKind::TornTail });
            }
        }
        if let Some(FileRead { end: End::Torn { offset }, .. }) = read {
            log.torn.push((number, offset));
        }
        // A segment says how long the one before it was.
        if let (Some((before, bytes)), Some((known, size))) =
            (self.replay.before, log.segments.last().copied())
            && before == known
            && size < bytes
        {
            let path = path_of(known);
            let cut = |damage: &Damage| damage.file == path && damage.kind == DamageKind::Cut;
            if !self.replay.report.damaged.iter().any(cut) {
                self.replay.report.add(damage(&path, size, bytes - size, DamageKind::Cut));
            }
        }
        log.end = read.as_ref().map(|read| read.end);
        log.version = read.as_ref().and_then(|read| read.version);
        log.segments.push((number, read.map_or(0, |read| read.size)));
        Ok(())
    }

    /// The torn ends behind which nothing was written.
    fn never_acknowledged(&mut self, paths: &Paths, torn: &[(u64, u64)]) {
        for (number, offset) in torn {
            self.torn(paths, *number, *offset, DamageKind::TornTail);
        }
    }

    /// Reports the end of a segment that is no record.
    fn torn(&mut self, paths: &Paths, number: u64, offset: u64, kind: DamageKind) {
        let id = FileId { kind: FileKind::Wal, number };
        let path = paths.wal.join(id.name());
        let file = self.vfs.open(&path, OpenMode::Read).ok();
        let size = file.as_ref().and_then(|file| file.size().ok()).unwrap_or(offset);
        let mut torn = damage(&path, offset, size.saturating_sub(offset), kind);
        match (&mut self.quarantine, file) {
            (Some(quarantine), Some(file)) => quarantine.keep(id, &*file, &mut torn),
            // The writer is not done with it, or has never acknowledged it.
            (None, _) if kind == DamageKind::TornTail => return,
            _ => {}
        }
        self.replay.report.add(torn);
    }

    fn missing(&mut self, file: PathBuf, bytes: u64) {
        let kind = DamageKind::Missing;
        self.replay.report.add(Damage { file, offset: 0, bytes, kind, quarantine: None });
    }

    /// Reads the records of one file. `take` gives `None` for a record that makes no sense. `None` when the file is not there.
    fn file(
        &mut self,
        id: FileId,
        path: &Path,
        extent: Extent,
        mut take: impl FnMut(&mut Replay<'a>, u64, &[u8]) -> Option<()>,
    ) -> Result<Option<FileRead>, OpenError> {
        let file = match self.vfs.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io("open", path)(error)),
        };
        let there = file.size().map_err(OpenError::io("read the size of", path))?;
        let (size, wanted) = match extent {
            Extent::Bytes(bytes) => (there.min(bytes), bytes),
            Extent::Whole | Extent::Torn | Extent::Log => (there, there),
        };
        let mut frames = FrameReader::new(&*file, id, size);
        let version = check_version(&mut frames, path)?;
        let longer = there > size;
        let mut read = FileRead { end: End::Whole, size, longer, version, records: 0, damaged: false };
        while let Some(found) = frames.next().map_err(OpenError::io("read", path))? {
            let mut damage = match found {
                Found::Record { offset, payload } => {
                    read.end = End::Whole;
                    self.reading.at(offset);
                    let bytes = payload.len() as u64;
                    match take(&mut self.replay, offset, payload) {
                        Some(()) => {
                            read.records += 1;
                            continue;
                        }
                        None => damage(path, offset, bytes, DamageKind::Content),
                    }
                }
                Found::Damage { offset, bytes, kind } => {
                    let torn = kind == DamageKind::TornTail;
                    read.end = if torn { End::Torn { offset } } else { End::Damaged };
                    if torn && extent == Extent::Log {
                        continue;
                    }
                    if torn && extent != Extent::Torn {
                        damage(path, offset, wanted - offset, DamageKind::Cut)
                    } else {
                        damage(path, offset, bytes, kind)
                    }
                }
            };
            read.damaged = true;
            match &mut self.quarantine {
                Some(quarantine) => quarantine.keep(id, &*file, &mut damage),
                // The writer is not done with it, or has never acknowledged it.
                None if damage.kind == DamageKind::TornTail => continue,
                None => {}
            }
            self.replay.report.add(damage);
        }
        if size < wanted && read.end == End::Whole {
            read.damaged = true;
            self.replay.report.add(damage(path, size, wanted - size, DamageKind::Cut));
        }
        self.reading.file_done(size);
        Ok(Some(read))
    }
}

/// The numbers of the chunk files that are gone on purpose.
pub(super) fn numbered_gone(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<u32>, OpenError> {
    let entries = vfs.list(dir).map_err(OpenError::io("list", dir))?;
    let number = |name: &str| {
        let (number, rest) = name.split_once('.')?;
        (rest == GONE).then(|| FileId::number_of(number))?.and_then(|number| u32::try_from(number).ok())
    };
    Ok(entries.iter().filter_map(|entry| number(&entry.name)).collect())
}

fn damage(path: &Path, offset: u64, bytes: u64, kind: DamageKind) -> Damage {
    Damage { file: path.to_owned(), offset, bytes, kind, quarantine: None }
}

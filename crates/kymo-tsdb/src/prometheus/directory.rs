//! Directory: where Prometheus keeps what is not in blocks yet, and in which order it is read.
//!
//! ```text
//! DATA/wal/checkpoint.00000004/00000000 …   series and samples that were kept of segments up to 4
//! DATA/wal/00000005 …                       the log
//! DATA/wbl/00000000 …                       the log of samples out of order
//! DATA/chunks_head/000001 …                 sealed chunks
//! ```

use std::io;
use std::path::{Path, PathBuf};

use super::report::ImportError;
use crate::stats::{Damage, DamageKind};
use crate::vfs::{DirEntry, Vfs};

pub(super) const WAL_DIR: &str = "wal";
const WBL_DIR: &str = "wbl";
const CHUNKS_DIR: &str = "chunks_head";
const CHECKPOINT: &str = "checkpoint.";

/// Copies of the head that speed up a start of Prometheus. The log has all that is in them.
const SNAPSHOT: &str = "chunk_snapshot.";

/// A file and its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// The files of a Prometheus, each list in order.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// The last checkpoint, then the log.
    pub(super) log: Vec<SourceFile>,
    pub(super) late_log: Vec<SourceFile>,
    pub(super) chunks: Vec<SourceFile>,
    /// Segments that should be there.
    pub(super) missing: Vec<Damage>,
    /// The names in the data directory that all of it has. The log comes last: without it nothing else can be read.
    pub(super) names: Vec<String>,
}

/// Is there anything of a Prometheus in a data directory besides blocks?
pub(crate) fn has_prometheus_head(vfs: &dyn Vfs, dir: &Path) -> Result<bool, ImportError> {
    for name in [WAL_DIR, CHUNKS_DIR, WBL_DIR] {
        if !list(vfs, &dir.join(name))?.unwrap_or_default().is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Directory {
    pub(super) fn look(vfs: &dyn Vfs, dir: &Path) -> Result<Directory, ImportError> {
        let mut found = Directory::default();
        let wal = dir.join(WAL_DIR);
        let entries = list(vfs, &wal)?;
        let checkpoint = entries.iter().flatten().filter(|entry| entry.is_dir).filter_map(|entry| {
            let number = entry.name.strip_prefix(CHECKPOINT)?.parse::<u64>().ok()?;
            Some((number, &entry.name))
        });
        let mut expected = Some(0);
        if let Some((number, name)) = checkpoint.max() {
            let dir = wal.join(name);
            let segments = list(vfs, &dir)?.unwrap_or_default();
            found.add_segments(&dir, segments, Some(0), |found| &mut found.log);
            expected = Some(number + 1);
        }
        let has_log = entries.is_some();
        found.add_segments(&wal, entries.unwrap_or_default(), expected, |found| &mut found.log);

        for entry in list(vfs, dir)?.unwrap_or_default() {
            if entry.is_dir && entry.name.starts_with(SNAPSHOT) {
                found.names.push(entry.name);
            }
        }
        let wbl = dir.join(WBL_DIR);
        if let Some(segments) = list(vfs, &wbl)? {
            found.names.push(WBL_DIR.to_owned());
            found.add_segments(&wbl, segments, None, |found| &mut found.late_log);
        }
        let chunks = dir.join(CHUNKS_DIR);
        if let Some(files) = list(vfs, &chunks)? {
            found.names.push(CHUNKS_DIR.to_owned());
            found.chunks =
                numbered(files).into_iter().map(|(_, entry)| source_file(&chunks, entry)).collect();
        }
        if has_log {
            found.names.push(WAL_DIR.to_owned());
        }
        Ok(found)
    }

    /// Adds the segments of a log, and notes those that are not there. The first may have a lower number than expected, when
    /// Prometheus ended before it removed what its checkpoint has.
    fn add_segments(
        &mut self,
        dir: &Path,
        entries: Vec<DirEntry>,
        mut expected: Option<u64>,
        list: impl Fn(&mut Directory) -> &mut Vec<SourceFile>,
    ) {
        for (number, entry) in numbered(entries) {
            if let Some(missing) = expected.filter(|expected| number > *expected) {
                let file = dir.join(format!("{missing:08}"));
                let kind = DamageKind::Missing;
                self.missing.push(Damage { file, offset: 0, bytes: 0, kind, quarantine: None });
            }
            expected = Some(expected.map_or(number + 1, |expected| expected.max(number + 1)));
            list(self).push(source_file(dir, entry));
        }
    }

    /// The first file whose size is another one than in `before`, with both sizes; 0 where there is no such file.
    pub(super) fn differs_from(&self, before: &Directory) -> Option<(PathBuf, u64, u64)> {
        let bytes = |files: &Directory, path: &Path| {
            files.files().find(|file| file.path == path).map_or(0, |file| file.bytes)
        };
        before.files().chain(self.files()).find_map(|SourceFile { path, .. }| {
            let (before, now) = (bytes(before, path), bytes(self, path));
            (before != now).then(|| (path.clone(), before, now))
        })
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.log.iter().chain(&self.late_log).chain(&self.chunks)
    }
}

fn source_file(dir: &Path, entry: DirEntry) -> SourceFile {
    SourceFile { path: dir.join(entry.name), bytes: entry.size }
}

/// Files whose names are numbers, in order.
fn numbered(entries: Vec<DirEntry>) -> Vec<(u64, DirEntry)> {
    let is_number = |entry: &DirEntry| entry.name.bytes().all(|byte| byte.is_ascii_digit());
    let number = |entry: DirEntry| Some((entry.name.parse::<u32>().ok()?.into(), entry));
    let files = entries.into_iter().filter(|entry| !entry.is_dir && is_number(entry));
    let mut numbered: Vec<(u64, DirEntry)> = files.filter_map(number).collect();
    numbered.sort_by_key(|(number, _)| *number);
    numbered
}

/// The entries of a directory; `None` when it is not there.
pub(super) fn list(vfs: &dyn Vfs, dir: &Path) -> Result<Option<Vec<DirEntry>>, ImportError> {
    match vfs.list(dir) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(ImportError::io("list", dir)(error)),
    }
}

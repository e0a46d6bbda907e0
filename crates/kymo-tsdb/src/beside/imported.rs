//! Imported: exemplars and metadata that an import found. They wait in a file until a database is opened, which takes them into its
//! head, and lets go of the file when a checkpoint has them.
//!
//! The file is `DATA/imported/beside`, a checkpoint with nothing else in it. Taking it in twice changes nothing.

use std::io;
use std::path::{Path, PathBuf};

use kymo_model::{Exemplar, FamilyMetadata, Labels, StoreError, StoredExemplar, Timestamp};

use super::Beside;
use super::checkpoint::put_kept;
use super::families::Said;
use super::replay::BesideReplay;
use super::ring::KeptExemplar;
use crate::checkpoint::{Quarantine, RecordFile};
use crate::error::{OpenError, store_error};
use crate::frame::{FileId, FileKind, Found, FrameReader, VERSION};
use crate::lock::{read, write};
use crate::stats::{Damage, DamageKind};
use crate::vfs::{OpenMode, Vfs};
use crate::wal::RecordKind;

/// As the records of the file know it.
const ID: FileId = FileId { kind: FileKind::Checkpoint, number: 0 };

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("imported").join("beside")
}

/// What an import gathers.
#[derive(Debug)]
pub(crate) struct Imported {
    beside: Beside,
    /// No exemplar is newer.
    latest_ms: i64,
}

impl Imported {
    /// With these bounds, and what an import before this one has left.
    pub(crate) fn begin(
        vfs: &dyn Vfs,
        data_dir: &Path,
        (exemplars_max, metadata_bytes_max): (usize, usize),
        latest_ms: i64,
        damaged: &mut dyn FnMut(Damage),
    ) -> Result<Imported, OpenError> {
        let beside = Beside::default();
        write(&beside.exemplars).resize(exemplars_max);
        write(&beside.families).set_bytes_max(metadata_bytes_max);
        read_file(vfs, data_dir, &beside, Some(Quarantine::new(vfs, data_dir)), damaged)?;
        Ok(Imported { beside, latest_ms })
    }

    /// Takes an exemplar, in the order in which it was stored; says whether it is kept.
    pub(crate) fn exemplar(
        &mut self,
        series: &Labels,
        labels: Labels,
        value: f64,
        timestamp: Timestamp,
    ) -> bool {
        let mut ring = write(&self.beside.exemplars);
        let one = Exemplar { labels, value, timestamp: Some(timestamp) };
        let is_bounded =
            one.label_chars() <= Exemplar::LABEL_CHARS_MAX && timestamp.millis() <= self.latest_ms;
        let exemplar = StoredExemplar { labels: one.labels, value, timestamp };
        let kept = KeptExemplar { exemplar, own_time: true };
        if ring.max() == 0 || !is_bounded || kept.judge(ring.newest(series)).is_err() {
            return false;
        }
        ring.push(series, kept);
        true
    }

    /// Takes what is said of a family, in place of what was said before; says whether it is kept.
    pub(crate) fn family(&mut self, family: FamilyMetadata) -> bool {
        let mut families = write(&self.beside.families);
        match families.judge(&family, 0).0 {
            Said::Known => true,
            Said::Changed => {
                families.put(family);
                true
            }
            Said::Refused => false,
        }
    }

    /// How many exemplars and families there are.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (read(&self.beside.exemplars).len() as u64, read(&self.beside.families).len() as u64)
    }

    /// Writes it, durable when this returns, in place of what was there.
    pub(crate) fn write(&self, vfs: &dyn Vfs, data_dir: &Path) -> Result<(), StoreError> {
        if self.counts() == (0, 0) {
            return Ok(());
        }
        let path = path(data_dir);
        let unfinished = path.with_extension("tmp");
        // What an attempt before this one has left.
        let _ = vfs.remove(&unfinished);
        let mut out = RecordFile::create(vfs, unfinished.clone(), ID)?;
        put_kept(&read(&self.beside.exemplars), &read(&self.beside.families), &mut out)?;
        out.flush()?;
        let failed = |action, path| move |error| store_error(action, path, error);
        out.sync().map_err(failed("fsync", &unfinished))?;
        vfs.rename(&unfinished, &path).map_err(failed("rename", &unfinished))?;
        let dir = path.parent().unwrap_or(data_dir);
        [dir, data_dir]
            .into_iter()
            .try_for_each(|dir| vfs.sync_dir(dir).map_err(failed("fsync directory", dir)))
    }
}

/// Takes what an import has left into the head; says whether there is such a file. What is damaged in it is told, and copied aside
/// where there is a quarantine.
pub(crate) fn take_in(
    vfs: &dyn Vfs,
    data_dir: &Path,
    beside: &Beside,
    quarantine: Option<Quarantine<'_>>,
    damaged: &mut dyn FnMut(Damage),
) -> Result<bool, OpenError> {
    let found = Beside::default();
    write(&found.exemplars).resize(read(&beside.exemplars).max());
    write(&found.families).set_bytes_max(usize::MAX);
    if !read_file(vfs, data_dir, &found, quarantine, damaged)? {
        return Ok(false);
    }
    write(&beside.exemplars).merge(&read(&found.exemplars));
    let mut families = write(&beside.families);
    for family in read(&found.families).list(None) {
        // What the head knows was said later.
        if families.list(Some(&family.name)).is_empty() {
            families.replay(family);
        }
    }
    Ok(true)
}

/// Lets go of the file, when a checkpoint has what is in it. If it cannot be removed the next opening takes it in again.
pub(crate) fn let_go(vfs: &dyn Vfs, data_dir: &Path) {
    let _ = vfs.remove(&path(data_dir));
}

/// Reads the file into an empty place; says whether there is one.
fn read_file(
    vfs: &dyn Vfs,
    data_dir: &Path,
    beside: &Beside,
    mut quarantine: Option<Quarantine<'_>>,
    damaged: &mut dyn FnMut(Damage),
) -> Result<bool, OpenError> {
    let path = path(data_dir);
    let file = match vfs.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        Err(error) => return Err(OpenError::io("open", &path)(error)),
    };
    let size = file.size().map_err(OpenError::io("read the size of", &path))?;
    let mut frames = FrameReader::new(&*file, ID, size);
    if let Err(unknown) = frames.check_version().map_err(OpenError::io("read", &path))? {
        return Err(OpenError::Version { path, expected: VERSION, found: unknown.0 });
    }
    let mut replay = BesideReplay::default();
    while let Some(found) = frames.next().map_err(OpenError::io("read", &path))? {
        let (offset, bytes, kind) = match found {
            Found::Record { offset, payload } => {
                let taken = RecordKind::of(payload).and_then(|(kind, bytes)| match kind {
                    RecordKind::KeptExemplars => replay.kept_exemplars(beside, bytes),
                    RecordKind::Metadata => replay.metadata(beside, bytes),
                    _ => None,
                });
                if taken.is_some() {
                    continue;
                }
                (offset, payload.len() as u64, DamageKind::Content)
            }
            // It was durable before it got its name.
            Found::Damage { offset, bytes, kind: DamageKind::TornTail } => (offset, bytes, DamageKind::Cut),
            Found::Damage { offset, bytes, kind } => (offset, bytes, kind),
        };
        let mut damage = Damage { file: path.clone(), offset, bytes, kind, quarantine: None };
        if let Some(quarantine) = &mut quarantine {
            quarantine.keep(ID, &*file, &mut damage);
        }
        damaged(damage);
    }
    if let Some(quarantine) = &mut quarantine {
        // That it cannot is no reason not to go on.
        let _ = quarantine.sync();
    }
    Ok(true)
}

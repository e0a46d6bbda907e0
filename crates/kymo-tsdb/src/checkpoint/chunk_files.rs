//! The chunk files of a database, as its writer knows them: which there are, how much of each is whole, what the last manifest
//! says of it. A file holds chunks of one two-hour range, so that it goes when that range does.
//!
//! What lies behind the length that the last manifest names is a cache of what the log has: a crash cuts it off. A file that the
//! last manifest names and that goes before the next one leaves an empty file beside it, so that nobody misses it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kymo_model::StoreError;

use super::record_file::RecordFile;
use crate::chunks::ChunkStore;
use crate::error::store_error;
use crate::vfs::{OpenMode, Vfs, VfsFile};

/// So many files at most have writes that are not durable; their handles are kept until they are.
const UNSYNCED_MAX: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct ChunkFiles {
    pub(crate) files: BTreeMap<u32, ChunkFile>,
    /// No file had this number or a higher one.
    pub(crate) next_number: u32,
    /// Files that the last manifest names and that are gone on purpose.
    pub(super) gone: BTreeSet<u32>,
    /// Were files made since the directory was made durable?
    pub(super) names_unsynced: bool,
}

#[derive(Debug)]
pub(crate) struct ChunkFile {
    pub(crate) number: u32,
    /// So many are whole records.
    pub(crate) bytes: u64,
    /// How many of them the last manifest names; `None` when it does not name the file.
    pub(crate) listed: Option<u64>,
    /// In which two hours all its chunks lie; `None` where that is not so, as in files of version 1.
    pub(crate) range: Option<i64>,
    /// Its samples, those that left the head included.
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
    /// Was there more when it was opened than belongs to the database?
    pub(super) longer: bool,
    /// May it be added to? Not when it is full, damaged or retired.
    pub(super) open: bool,
    /// The next manifest does not name it any more.
    pub(super) retired: bool,
    /// Kept from the first write that is not durable on.
    pub(super) writer: Option<RecordFile>,
}

impl ChunkFile {
    pub(crate) fn new(number: u32, range: Option<i64>) -> ChunkFile {
        ChunkFile {
            number,
            bytes: 0,
            listed: None,
            range,
            min_ms: i64::MAX,
            max_ms: i64::MIN,
            longer: false,
            open: false,
            retired: false,
            writer: None,
        }
    }

    /// Does the next manifest name it?
    pub(super) fn is_named(&self) -> bool {
        !self.retired && self.bytes > 0
    }

    pub(crate) fn extend(&mut self, min_ms: i64, max_ms: i64) {
        self.min_ms = self.min_ms.min(min_ms);
        self.max_ms = self.max_ms.max(max_ms);
    }
}

/// The name of the empty file that says that a chunk file is gone on purpose.
pub(super) fn gone_path(store: &ChunkStore, number: u32) -> PathBuf {
    store.path(u64::from(number)).with_extension(GONE)
}

pub(super) const GONE: &str = "gone";

/// What an fsync that fails says; from then on no write is taken.
pub(super) fn fsync_failed(path: &Path, error: std::io::Error, failed: &mut Option<String>) -> StoreError {
    *failed = Some(format!("fsync of {} failed: {error}", path.display()));
    store_error("fsync", path, error)
}

impl ChunkFiles {
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// Nothing is added to this file any more.
    pub(super) fn close(&mut self, number: u32) {
        if let Some(file) = self.files.get_mut(&number) {
            file.open = false;
        }
    }

    /// No manifest names this file any more.
    pub(super) fn retire(&mut self, number: u32) {
        if let Some(file) = self.files.get_mut(&number) {
            file.retired = true;
        }
    }

    /// Removes the files whose newest sample is before the cutoff and that nobody needs; gives how many.
    pub(crate) fn remove_before(
        &mut self,
        vfs: &dyn Vfs,
        store: &ChunkStore,
        cutoff_ms: i64,
        is_needed: impl Fn(u32) -> bool,
    ) -> usize {
        let old: Vec<u32> = self
            .files
            .values()
            .filter(|file| file.max_ms < cutoff_ms && !is_needed(file.number))
            .map(|file| file.number)
            .collect();
        old.into_iter().filter(|number| self.remove(vfs, store, *number)).count()
    }

    /// Removes a file in which no chunk of the head lies any more; says whether it could.
    pub(crate) fn remove(&mut self, vfs: &dyn Vfs, store: &ChunkStore, number: u32) -> bool {
        let Some(file) = self.files.get(&number) else { return true };
        if file.listed.is_some() && !self.gone.contains(&number) {
            match vfs.open(&gone_path(store, number), OpenMode::Create) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(_) => return false,
            }
            self.gone.insert(number);
        }
        let removed = store.remove(number);
        if removed {
            self.files.remove(&number);
        }
        removed
    }

    /// Makes all writes durable.
    pub(super) fn sync(
        &mut self,
        vfs: &dyn Vfs,
        dir: &Path,
        failed: &mut Option<String>,
    ) -> Result<(), StoreError> {
        self.sync_files(0, failed)?;
        if self.names_unsynced {
            vfs.sync_dir(dir).map_err(|error| fsync_failed(dir, error, failed))?;
            self.names_unsynced = false;
        }
        Ok(())
    }

    /// What of the files is not durable yet, so that it can be made so without holding up whoever adds to them.
    pub(crate) fn unsynced(&self) -> Vec<Unsynced> {
        let written = self.files.values().filter_map(|file| file.writer.as_ref());
        written.map(|writer| Unsynced { path: writer.path.clone(), file: writer.file() }).collect()
    }

    /// Makes writes durable, those of the oldest files first, until no more files than the bound have others.
    pub(super) fn bound_unsynced(&mut self, failed: &mut Option<String>) -> Result<(), StoreError> {
        self.sync_files(UNSYNCED_MAX, failed)
    }

    fn sync_files(&mut self, keep: usize, failed: &mut Option<String>) -> Result<(), StoreError> {
        let unsynced = self.files.values().filter(|file| file.writer.is_some()).count();
        let written = self.files.values_mut().filter(|file| file.writer.is_some());
        for file in written.take(unsynced.saturating_sub(keep)) {
            if let Some(writer) = &file.writer {
                writer.sync().map_err(|error| fsync_failed(&writer.path, error, failed))?;
            }
            file.writer = None;
        }
        Ok(())
    }

    /// A manifest that names all files that are not retired has become the last one.
    pub(super) fn listed(&mut self, vfs: &dyn Vfs, store: &ChunkStore) {
        for file in self.files.values_mut() {
            file.listed = file.is_named().then_some(file.bytes);
        }
        // A name that stays goes at the next opening.
        for number in std::mem::take(&mut self.gone) {
            let _ = vfs.remove(&gone_path(store, number));
        }
    }
}

/// A chunk file with writes that are not durable.
#[derive(Debug)]
pub(crate) struct Unsynced {
    path: PathBuf,
    file: Arc<dyn VfsFile>,
}

impl Unsynced {
    pub(crate) fn sync(&self, failed: &mut Option<String>) -> Result<(), StoreError> {
        self.file.sync().map_err(|error| fsync_failed(&self.path, error, failed))
    }
}

/// What chunk files are written with.
#[derive(Clone, Debug)]
pub(crate) struct ChunkTarget {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) file_bytes_max: u64,
}

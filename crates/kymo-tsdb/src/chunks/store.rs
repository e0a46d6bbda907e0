//! ChunkStore: which chunk files there are, and handles to read them by. A file that is removed stays readable for the selects
//! that pinned it.
//!
//! A select takes the set of files as it pins, and no file leaves the set meanwhile; so every chunk it pinned is in its set. A
//! file that some set still has is opened before its name goes, and the handle lives as long as the sets do.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, RwLock, RwLockReadGuard};

use kymo_model::{StoreError, StoreErrorKind};

use super::ChunkPlace;
use super::damage::DamageLog;
use crate::error::store_error;
use crate::frame::{FileId, FileKind};
use crate::lock::{lock, read, write};
use crate::stats::{Damage, DamageKind, HeadDamage};
use crate::vfs::{OpenMode, Vfs, VfsFile};

/// So many chunk files are held open to be read; the others are opened when they are wanted.
const HANDLES_MAX: usize = 16;

/// The chunk files at one moment, by number.
pub(crate) type FileSet = BTreeMap<u32, Arc<Slot>>;

/// A chunk file.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// Set when the file's name is about to go, or when it may go at any time.
    kept: OnceLock<Arc<dyn VfsFile>>,
}

#[derive(Debug)]
pub(crate) struct ChunkStore {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    /// Held for reading while a select pins, for writing while files leave the set.
    pinning: RwLock<()>,
    set: Mutex<Arc<FileSet>>,
    /// Set when the directory may be somebody else's: then nothing is opened by its name any more.
    closed: AtomicBool,
    handles: Mutex<VecDeque<(u32, Arc<dyn VfsFile>)>>,
    damage: DamageLog,
}

impl ChunkStore {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, dir: PathBuf) -> ChunkStore {
        ChunkStore {
            vfs,
            dir,
            pinning: RwLock::default(),
            set: Mutex::default(),
            closed: AtomicBool::new(false),
            handles: Mutex::default(),
            damage: DamageLog::default(),
        }
    }

    pub(crate) fn path(&self, number: u64) -> PathBuf {
        path(&self.dir, number)
    }

    /// While this is held no file leaves the set.
    pub(crate) fn pin(&self) -> RwLockReadGuard<'_, ()> {
        read(&self.pinning)
    }

    /// The files as they are now.
    pub(crate) fn set(&self) -> Arc<FileSet> {
        lock(&self.set).clone()
    }

    /// A file is there from now on.
    pub(crate) fn add(&self, number: u32) {
        Arc::make_mut(&mut lock(&self.set)).entry(number).or_default();
    }

    /// A file is there from now on, and is kept open: somebody else may remove it.
    pub(crate) fn add_kept(&self, number: u32) -> io::Result<()> {
        let slot = Slot::default();
        let _ = slot.kept.set(self.vfs.open(&self.path(number.into()), OpenMode::Read)?);
        Arc::make_mut(&mut lock(&self.set)).insert(number, Arc::new(slot));
        Ok(())
    }

    /// The directory is let go of: another owner may remove files, and make others of the same names. Those that selects have
    /// pinned stay readable for them.
    pub(crate) fn close(&self) {
        let _nobody_pins = write(&self.pinning);
        let set = lock(&self.set);
        if self.closed.load(SeqCst) {
            return;
        }
        for (number, slot) in set.iter().filter(|(_, slot)| is_pinned(&set, slot)) {
            if slot.kept.get().is_none()
                && let Ok(file) = self.open(*number)
            {
                let _ = slot.kept.set(file);
            }
        }
        self.closed.store(true, SeqCst);
        lock(&self.handles).clear();
    }

    /// Removes a file in which no chunk of the head lies any more; says whether it could.
    pub(crate) fn remove(&self, number: u32) -> bool {
        let _nobody_pins = write(&self.pinning);
        let mut set = lock(&self.set);
        let path = self.path(number.into());
        if let Some(slot) = set.get(&number)
            && is_pinned(&set, slot)
            && slot.kept.get().is_none()
        {
            let Ok(file) = self.open(number) else { return false };
            let _ = slot.kept.set(file);
        }
        match self.vfs.remove(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return false,
        }
        Arc::make_mut(&mut set).remove(&number);
        lock(&self.handles).retain(|(other, _)| *other != number);
        true
    }

    /// A handle to a file of the set as it is now.
    pub(crate) fn open(&self, number: u32) -> io::Result<Arc<dyn VfsFile>> {
        let mut handles = lock(&self.handles);
        if let Some((_, file)) = handles.iter().find(|(other, _)| *other == number) {
            return Ok(file.clone());
        }
        if self.closed.load(SeqCst) {
            return Err(io::Error::other("the database was closed"));
        }
        let file = self.vfs.open(&self.path(number.into()), OpenMode::Read)?;
        if handles.len() == HANDLES_MAX {
            handles.pop_front();
        }
        handles.push_back((number, file.clone()));
        Ok(file)
    }

    /// A handle to a file of a set that was taken.
    pub(crate) fn handle(&self, set: &FileSet, number: u32) -> Result<Arc<dyn VfsFile>, StoreError> {
        let path = || self.path(number.into());
        let Some(slot) = set.get(&number) else {
            let message = format!("expected a chunk file, found none ({})", path().display());
            return Err(StoreError::new(StoreErrorKind::Corrupt, message));
        };
        if let Some(file) = slot.kept.get() {
            return Ok(file.clone());
        }
        match self.open(number) {
            Ok(file) => Ok(file),
            // Its name went between the two looks.
            Err(_) if slot.kept.get().is_some() => Ok(slot.kept.get().expect("BUG: it was there").clone()),
            Err(error) => Err(store_error("open", &path(), error)),
        }
    }

    /// A chunk, whose record has so many bytes, could not be read.
    pub(crate) fn note_damage(&self, place: ChunkPlace, bytes: u64) {
        self.damage.note(place, || Damage {
            file: self.path(place.file.into()),
            offset: place.offset.into(),
            bytes,
            kind: DamageKind::Chunk,
            quarantine: None,
        });
    }

    /// The head lets go of a chunk that could not be read; its bytes were copied aside.
    pub(crate) fn note_set_aside(&self, place: ChunkPlace, damage: Damage) {
        self.damage.note_set_aside(place, damage);
    }

    /// The chunks that could not be read since the opening.
    pub(crate) fn damage(&self) -> HeadDamage {
        self.damage.figures()
    }

    /// Reads one chunk: bytes, and where in them the encoded samples are.
    pub(crate) fn read_one(
        &self,
        set: &FileSet,
        place: ChunkPlace,
        data_bytes: usize,
    ) -> Result<(Vec<u8>, std::ops::Range<usize>), StoreError> {
        let file = self.handle(set, place.file)?;
        place.read(&*file, &self.path(place.file.into()), data_bytes)
    }
}

/// Does anybody but the store itself have the file in a set?
fn is_pinned(set: &Arc<FileSet>, slot: &Arc<Slot>) -> bool {
    Arc::strong_count(set) > 1 || Arc::strong_count(slot) > 1
}

pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(FileId { kind: FileKind::Chunks, number }.name())
}

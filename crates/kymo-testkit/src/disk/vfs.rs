//! The simulated disk as a Vfs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kymo_tsdb::{DirEntry, OpenMode, Vfs, VfsFile, VfsLock};

use super::file::SimFile;
use super::state::{State, gone};

#[derive(Debug)]
pub(super) struct SimVfs {
    pub(super) state: Arc<Mutex<State>>,
}

impl SimVfs {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.stopped { Err(gone()) } else { Ok(state) }
    }
}

impl Vfs for SimVfs {
    /// Directories are durable at once: the database makes them when it is created, before anything is acknowledged.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        if !state.dirs.contains(dir) {
            state.whole_call()?;
            state.dirs.extend(dir.ancestors().map(Path::to_owned));
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.alive()?;
        if !state.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let name = |path: &PathBuf| {
            let inside = path.parent() == Some(dir);
            path.file_name().filter(|_| inside).and_then(|name| name.to_str()).map(str::to_owned)
        };
        let dirs =
            state.dirs.iter().filter_map(|path| Some(DirEntry { name: name(path)?, is_dir: true, size: 0 }));
        let files = state.names.iter().filter_map(|(path, inode)| {
            let size = state.inodes[inode].bytes.len() as u64;
            Some(DirEntry { name: name(path)?, is_dir: false, size })
        });
        Ok(dirs.chain(files).collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let mut state = self.alive()?;
        let inode = match (mode, state.inode_of(path)) {
            (OpenMode::Create, Ok(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::Create, Err(_)) => {
                if path.parent().is_none_or(|dir| !state.dirs.contains(dir)) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                state.whole_call()?;
                state.create(path)
            }
            (OpenMode::Read | OpenMode::Write, found) => found?,
        };
        Ok(Arc::new(SimFile { state: self.state.clone(), inode, era: state.era }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        state.inode_of(from)?;
        state.whole_call()?;
        state.rename(from, to);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        state.inode_of(path)?;
        state.whole_call()?;
        state.unlink(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        state.whole_call()?;
        state.sync_dir(dir);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn VfsLock>> {
        let mut state = self.alive()?;
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { state: self.state.clone(), path: path.to_owned(), era: state.era }))
    }
}

#[derive(Debug)]
struct SimLock {
    state: Arc<Mutex<State>>,
    path: PathBuf,
    era: u64,
}

impl VfsLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.era == self.era {
            state.locks.remove(&self.path);
        }
    }
}

//! The simulated disk as a Vfs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kymo_tsdb::{DirEntry, OpenMode, Vfs, VfsFile, VfsLock};

use super::file::SimFile;
use super::op::Op;
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
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        if !state.dirs.contains(dir) {
            state.perform(Op::CreateDir(dir.to_owned()))?;
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut state = self.alive()?;
        state.look()?;
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
                state.perform(Op::Create(path.to_owned()))?;
                state.inode_of(path)?
            }
            (OpenMode::Read | OpenMode::Write, found) => {
                state.look()?;
                found?
            }
        };
        Ok(Arc::new(SimFile { state: self.state.clone(), inode, era: state.era }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        if !state.dirs.contains(from) {
            state.inode_of(from)?;
        }
        state.perform(Op::Rename { from: from.to_owned(), to: to.to_owned() })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        state.inode_of(path)?;
        state.perform(Op::Remove(path.to_owned()))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        if !state.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = |path: &PathBuf| path.parent() == Some(dir);
        if state.names.keys().any(inside) || state.dirs.iter().any(inside) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.perform(Op::RemoveDir(dir.to_owned()))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.alive()?.perform(Op::SyncDir(dir.to_owned()))
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.alive()?;
        let used: u64 = state.names.values().map(|inode| state.inodes[inode].bytes.len() as u64).sum();
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(used)))
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

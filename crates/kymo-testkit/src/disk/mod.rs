//! SimDisk: a disk in memory that does what bad disks do, when the test says so.
//!
//! Every operation that changes something has a number, counted from 0. A fault is planned for a number, so a test can run
//! the same history with a fault at each of its operations in turn.

mod file;
mod state;
mod vfs;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kymo_tsdb::Vfs;

use self::state::State;

/// What goes wrong at one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No space: a write leaves a part of its bytes behind, other operations do nothing.
    Full,
    /// The device fails: a write leaves a part of its bytes behind. An fsync that fails has dropped what it should have
    /// written, and the next one says that all is well.
    Io,
    /// The process or the machine stops: a write may be done in part, and no operation works until [`SimDisk::restart`].
    Stop,
}

/// How a machine stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process ended; the kernel still has everything that was written.
    Process,
    /// The power went: what was not synced is there in part, in any order, sector by sector, or not at all.
    Power,
}

/// A disk, held by the test. What it gives out as [`Vfs`] is the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl SimDisk {
    /// An empty disk whose luck follows from the seed.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(State::new(seed))) }
    }

    /// As the database takes it.
    pub fn vfs(&self) -> Arc<dyn Vfs> {
        Arc::new(vfs::SimVfs { state: self.state.clone() })
    }

    /// How many operations that change something were made.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Plans a fault for the operation of this number.
    pub fn plan(&self, call: u64, fault: Fault) {
        self.lock().plan.insert(call, fault);
    }

    /// Forgets the faults that did not happen yet.
    pub fn forget_plan(&self) {
        self.lock().plan.clear();
    }

    /// Did a planned [`Fault::Stop`] happen?
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// At most so many bytes fit; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Ends every user of the disk and starts anew with what a crash left. Files that are open fail from now on.
    pub fn restart(&self, crash: Crash) {
        self.lock().restart(crash);
    }

    /// Every file, in order of path.
    pub fn files(&self) -> Vec<PathBuf> {
        self.lock().names.keys().cloned().collect()
    }

    /// A file's bytes.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.lock();
        let inode = state.inode_of(path)?;
        Ok(state.inodes[&inode].bytes.clone())
    }

    /// Replaces a file's bytes or makes a file, behind the back of everybody.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        self.lock().put(path, bytes);
    }

    /// Changes one byte behind the back of everybody; an error when there is none.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        let mut bytes = self.read(path)?;
        let byte = usize::try_from(offset).ok().and_then(|offset| bytes.get_mut(offset));
        *byte.ok_or(io::ErrorKind::UnexpectedEof)? ^= mask;
        self.put(path, bytes);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

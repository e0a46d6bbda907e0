//! SimDisk: a disk in memory that does what bad disks do, when the test says so.
//!
//! Every operation that changes something has a number, counted from 0. A fault is planned for a number, so a test can run
//! the same history with a fault at each of its operations in turn.

mod file;
mod op;
mod state;
mod vfs;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kymo_tsdb::Vfs;

use self::op::Op;
use self::state::State;
use crate::Random;

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

/// A moment at which the machine can stop: an operation has begun. What is left of it depends on luck.
#[derive(Clone, Debug)]
pub struct Moment {
    before: Box<State>,
    op: Op,
}

impl Moment {
    /// The disk that is found after a stop at this moment. The same seed gives the same disk.
    pub fn crash(&self, crash: Crash, seed: u64) -> SimDisk {
        let mut state = (*self.before).clone();
        state.random = Random::new(seed);
        state.plan.insert(state.calls, Fault::Stop);
        // It stops here; how far it came is in the state.
        let _ = state.run(&self.op);
        state.restart(crash);
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Does the operation make something durable?
    pub fn is_sync(&self) -> bool {
        matches!(self.op, Op::Sync { .. } | Op::SyncDir(_))
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "operation {}, {}", self.before.calls, self.op.name())?;
        match self.op.path(&self.before) {
            Some(path) => write!(f, " {}", path.display()),
            None => Ok(()),
        }
    }
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

    /// Lets every operation from this number on fail, until [`SimDisk::repair`].
    pub fn plan_all_from(&self, call: u64, fault: Fault) {
        self.lock().broken_from = Some((call, fault));
    }

    /// How many operations were made that only look.
    pub fn reads(&self) -> u64 {
        self.lock().reads
    }

    /// Lets the look of this number fail as a device does.
    pub fn plan_read(&self, read: u64) {
        self.lock().read_plan.insert(read);
    }

    /// Forgets the faults that did not happen yet.
    pub fn repair(&self) {
        let mut state = self.lock();
        state.plan.clear();
        state.read_plan.clear();
        state.broken_from = None;
    }

    /// From now on keeps every moment at which the machine could stop, for [`SimDisk::take_moments`].
    pub fn watch(&self) {
        self.lock().moments.get_or_insert_default();
    }

    /// The moments since it was asked before.
    pub fn take_moments(&self) -> Vec<Moment> {
        self.lock().moments.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Another disk with the same files, durable and with luck of its own.
    pub fn copy(&self, seed: u64) -> SimDisk {
        let mut state = self.lock().clone();
        state.random = Random::new(seed);
        state.moments = None;
        state.restart(Crash::Process);
        state.settle();
        SimDisk { state: Arc::new(Mutex::new(state)) }
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

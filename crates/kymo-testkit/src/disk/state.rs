//! The state of the simulated disk: what the kernel shows, what the platter holds, and the changes in between.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::{Crash, Fault, Moment};
use crate::Random;

/// The platter writes this much at once.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) random: Random,
    /// Operations that changed something, and operations that only looked.
    pub(super) calls: u64,
    pub(super) reads: u64,
    pub(super) plan: HashMap<u64, Fault>,
    /// Looks that fail.
    pub(super) read_plan: BTreeSet<u64>,
    /// From this operation on every one fails like this.
    pub(super) broken_from: Option<(u64, Fault)>,
    pub(super) stopped: bool,
    /// What is kept for [`super::SimDisk::watch`].
    pub(super) moments: Option<Vec<Moment>>,
    pub(super) capacity: Option<u64>,
    /// Raised by a restart, so that handles from before it fail.
    pub(super) era: u64,
    pub(super) inodes: HashMap<u64, Inode>,
    next_inode: u64,
    /// Names as the kernel shows them, and as they are durable.
    pub(super) names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names that are not durable, oldest first.
    name_changes: Vec<NameChange>,
    pub(super) dirs: BTreeSet<PathBuf>,
    durable_dirs: BTreeSet<PathBuf>,
    pub(super) locks: BTreeSet<PathBuf>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) bytes: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { size: usize },
}

#[derive(Clone, Debug)]
enum NameChange {
    Link { path: PathBuf, inode: u64 },
    Unlink { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
}

impl NameChange {
    fn dir(&self) -> Option<&Path> {
        match self {
            NameChange::Link { path, .. } | NameChange::Unlink { path } => path.parent(),
            NameChange::Rename { to, .. } => to.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            NameChange::Link { path, inode } => {
                names.insert(path.clone(), *inode);
            }
            NameChange::Unlink { path } => {
                names.remove(path);
            }
            NameChange::Rename { from, to } => {
                // A file, or a directory with all that is in it.
                let moved: Vec<PathBuf> =
                    names.keys().filter(|path| path.starts_with(from)).cloned().collect();
                for path in moved {
                    if let Some(inode) = names.remove(&path) {
                        names.insert(moved_path(&path, from, to), inode);
                    }
                }
            }
        }
    }

    /// As [`NameChange::apply`], for directories.
    fn apply_to_dirs(&self, dirs: &mut BTreeSet<PathBuf>) {
        if let NameChange::Rename { from, to } = self {
            move_dirs(dirs, from, to);
        }
    }

    fn undo_in_dirs(&self, dirs: &mut BTreeSet<PathBuf>) {
        if let NameChange::Rename { from, to } = self {
            move_dirs(dirs, to, from);
        }
    }
}

fn move_dirs(dirs: &mut BTreeSet<PathBuf>, from: &Path, to: &Path) {
    let moved: Vec<PathBuf> = dirs.iter().filter(|dir| dir.starts_with(from)).cloned().collect();
    for dir in moved {
        dirs.remove(&dir);
        dirs.insert(moved_path(&dir, from, to));
    }
}

/// `path`, which is `from` or below it, when that has become `to`.
fn moved_path(path: &Path, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        Ok(inner) if !inner.as_os_str().is_empty() => to.join(inner),
        _ => to.to_owned(),
    }
}

impl Inode {
    fn apply(bytes: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Write { offset, bytes: written } => write(bytes, *offset, written),
            Change::Truncate { size } => bytes.resize(*size, 0),
        }
    }

    fn change(&mut self, change: Change) {
        Inode::apply(&mut self.bytes, &change);
        self.changes.push(change);
    }
}

fn write(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    if bytes.len() < offset + written.len() {
        bytes.resize(offset + written.len(), 0);
    }
    bytes[offset..offset + written.len()].copy_from_slice(written);
}

pub(super) fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "simulated: no space left on device")
}

pub(super) fn device() -> io::Error {
    io::Error::other("simulated: input/output error")
}

pub(super) fn gone() -> io::Error {
    io::Error::other("simulated: the machine has stopped")
}

impl State {
    pub(super) fn new(seed: u64) -> State {
        State {
            random: Random::new(seed),
            calls: 0,
            reads: 0,
            plan: HashMap::new(),
            read_plan: BTreeSet::new(),
            broken_from: None,
            stopped: false,
            moments: None,
            capacity: None,
            era: 0,
            inodes: HashMap::new(),
            next_inode: 1,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            dirs: BTreeSet::new(),
            durable_dirs: BTreeSet::new(),
            locks: BTreeSet::new(),
        }
    }

    /// Counts an operation that changes something, and says what goes wrong at it.
    pub(super) fn call(&mut self) -> io::Result<Option<Fault>> {
        if self.stopped {
            return Err(gone());
        }
        let broken = self.broken_from.filter(|(from, _)| self.calls >= *from).map(|(_, fault)| fault);
        let fault = self.plan.remove(&self.calls).or(broken);
        self.calls += 1;
        self.stopped = fault == Some(Fault::Stop);
        Ok(fault)
    }

    /// Counts an operation that only looks; it fails if that was planned.
    pub(super) fn look(&mut self) -> io::Result<()> {
        let number = self.reads;
        self.reads += 1;
        if self.read_plan.remove(&number) { Err(device()) } else { Ok(()) }
    }

    pub(super) fn inode_of(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn create_dir(&mut self, path: &Path) {
        self.dirs.extend(path.ancestors().map(Path::to_owned));
    }

    pub(super) fn create(&mut self, path: &Path) {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(inode, Inode::default());
        self.change_name(NameChange::Link { path: path.to_owned(), inode });
    }

    pub(super) fn unlink(&mut self, path: &Path) {
        self.change_name(NameChange::Unlink { path: path.to_owned() });
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        self.change_name(NameChange::Rename { from: from.to_owned(), to: to.to_owned() });
    }

    /// That a directory is gone is durable at once: it was empty.
    pub(super) fn remove_dir(&mut self, dir: &Path) {
        self.dirs.remove(dir);
        self.durable_dirs.remove(dir);
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        change.apply_to_dirs(&mut self.dirs);
        self.name_changes.push(change);
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let (durable, durable_dirs) = (&mut self.durable_names, &mut self.durable_dirs);
        self.name_changes.retain(|change| {
            let here = change.dir() == Some(dir);
            if here {
                change.apply(durable);
                change.apply_to_dirs(durable_dirs);
            }
            !here
        });
        let inside = self.dirs.iter().filter(|path| path.parent().is_none_or(|parent| parent == dir));
        self.durable_dirs.extend(inside.cloned());
    }

    pub(super) fn put(&mut self, path: &Path, bytes: Vec<u8>) {
        let inode = match self.names.get(path) {
            Some(inode) => *inode,
            None => {
                self.create(path);
                self.names[path]
            }
        };
        let durable = bytes.clone();
        self.inodes.insert(inode, Inode { bytes, durable, changes: Vec::new() });
        self.durable_names.insert(path.to_owned(), inode);
        let dirs = path.ancestors().skip(1).map(Path::to_owned);
        self.dirs.extend(dirs.clone());
        self.durable_dirs.extend(dirs);
    }

    pub(super) fn write(
        &mut self,
        inode: u64,
        offset: usize,
        bytes: &[u8],
        fault: Option<Fault>,
    ) -> io::Result<()> {
        let used: usize = self.names.values().map(|inode| self.inodes[inode].bytes.len()).sum();
        let Some(file) = self.inodes.get_mut(&inode) else { return Err(gone()) };
        let grows = (offset + bytes.len()).saturating_sub(file.bytes.len());
        let room = self.capacity.map_or(usize::MAX, |capacity| (capacity as usize).saturating_sub(used));
        let (fits, result) = match fault {
            None if grows <= room => (bytes.len(), Ok(())),
            None => (bytes.len() - (grows - room).min(bytes.len()), Err(full())),
            Some(fault) => {
                let part = self.random.below(bytes.len() as u64 + 1) as usize;
                (
                    part,
                    Err(match fault {
                        Fault::Full => full(),
                        Fault::Io => device(),
                        Fault::Stop => gone(),
                    }),
                )
            }
        };
        file.change(Change::Write { offset, bytes: bytes[..fits].to_vec() });
        result
    }

    pub(super) fn truncate(&mut self, inode: u64, size: usize) -> io::Result<()> {
        self.inodes.get_mut(&inode).ok_or_else(gone)?.change(Change::Truncate { size });
        Ok(())
    }

    pub(super) fn sync(&mut self, inode: u64, fault: Option<Fault>) -> io::Result<()> {
        let file = self.inodes.get_mut(&inode).ok_or_else(gone)?;
        match fault {
            None => {
                file.changes.clear();
                file.durable.clone_from(&file.bytes);
                Ok(())
            }
            Some(Fault::Stop) => Err(gone()),
            Some(fault) => {
                // The kernel forgets that the pages were dirty: some reached the platter, the others never will.
                let changes = std::mem::take(&mut file.changes);
                file.durable = survivors(&mut self.random, &file.durable, &changes);
                Err(if fault == Fault::Full { full() } else { device() })
            }
        }
    }

    pub(super) fn restart(&mut self, crash: Crash) {
        if crash == Crash::Power {
            let mut names = std::mem::take(&mut self.durable_names);
            // Per directory the first changes of names survive, up to some moment.
            let mut until: HashMap<Option<PathBuf>, bool> = HashMap::new();
            for change in &self.name_changes {
                let alive = until.entry(change.dir().map(Path::to_owned)).or_insert(true);
                *alive &= self.random.chance(1, 2);
                if *alive {
                    change.apply(&mut names);
                    change.apply_to_dirs(&mut self.durable_dirs);
                } else {
                    change.undo_in_dirs(&mut self.dirs);
                }
            }
            let (durable_dirs, random) = (&self.durable_dirs, &mut self.random);
            self.dirs
                .retain(|dir| dir.parent().is_none() || durable_dirs.contains(dir) || random.chance(1, 2));
            let all = self.dirs.clone();
            self.dirs.retain(|dir| dir.ancestors().all(|above| all.contains(above)));
            names.retain(|path, _| path.parent().is_none_or(|dir| self.dirs.contains(dir)));
            self.names = names;
            let mut inodes: Vec<u64> = self.inodes.keys().copied().collect();
            inodes.sort_unstable();
            for inode in inodes {
                if let Some(file) = self.inodes.get_mut(&inode) {
                    file.bytes = survivors(&mut self.random, &file.durable, &file.changes);
                }
            }
            self.settle();
        }
        self.plan.clear();
        self.read_plan.clear();
        self.broken_from = None;
        self.stopped = false;
        self.locks.clear();
        self.era += 1;
    }

    /// Makes everything durable as it is.
    pub(super) fn settle(&mut self) {
        self.durable_names = self.names.clone();
        self.durable_dirs = self.dirs.clone();
        self.name_changes.clear();
        let live: BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|inode, _| live.contains(inode));
        for file in self.inodes.values_mut() {
            file.durable = file.bytes.clone();
            file.changes.clear();
        }
    }
}

/// What of some changes is on the platter when the power goes: each whole, not at all, or only some of its sectors.
fn survivors(random: &mut Random, durable: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = durable.to_vec();
    for change in changes {
        match (random.below(3), change) {
            (0, _) => {}
            (1, change) => Inode::apply(&mut bytes, change),
            (_, Change::Write { offset, bytes: written }) => {
                let mut done = 0;
                while done < written.len() {
                    let to_boundary = SECTOR_BYTES - (offset + done) % SECTOR_BYTES;
                    let end = written.len().min(done + to_boundary);
                    if random.chance(1, 2) {
                        write(&mut bytes, offset + done, &written[done..end]);
                    }
                    done = end;
                }
            }
            (_, Change::Truncate { .. }) => {}
        }
    }
    bytes
}

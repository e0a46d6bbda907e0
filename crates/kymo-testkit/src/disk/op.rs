//! Op: an operation that changes something, as a value, so that it can be done, fail, or be done in part on a copy of the disk.

use std::io;
use std::path::{Path, PathBuf};

use super::state::{State, device, full, gone};
use super::{Fault, Moment};

#[derive(Clone, Debug)]
pub(super) enum Op {
    CreateDir(PathBuf),
    Create(PathBuf),
    Rename { from: PathBuf, to: PathBuf },
    Remove(PathBuf),
    RemoveDir(PathBuf),
    SyncDir(PathBuf),
    Write { inode: u64, offset: usize, bytes: Vec<u8> },
    Truncate { inode: u64, size: usize },
    Sync { inode: u64 },
}

impl Op {
    /// In two words, for messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Op::CreateDir(_) => "mkdir",
            Op::Create(_) => "create",
            Op::Rename { .. } => "rename",
            Op::Remove(_) => "remove",
            Op::RemoveDir(_) => "rmdir",
            Op::SyncDir(_) => "fsync of a directory",
            Op::Write { .. } => "write",
            Op::Truncate { .. } => "truncate",
            Op::Sync { .. } => "fsync",
        }
    }

    /// The file or directory that it is about; of an inode, its name now.
    pub(super) fn path<'a>(&'a self, state: &'a State) -> Option<&'a Path> {
        match self {
            Op::CreateDir(path)
            | Op::Create(path)
            | Op::Remove(path)
            | Op::RemoveDir(path)
            | Op::SyncDir(path) => Some(path),
            Op::Rename { to, .. } => Some(to),
            Op::Write { inode, .. } | Op::Truncate { inode, .. } | Op::Sync { inode } => {
                state.names.iter().find(|(_, other)| *other == inode).map(|(path, _)| path.as_path())
            }
        }
    }
}

impl State {
    /// Does an operation, or what a planned fault makes of it.
    pub(super) fn perform(&mut self, op: Op) -> io::Result<()> {
        if let Some(mut moments) = self.moments.take() {
            if !self.stopped {
                moments.push(Moment { before: Box::new(self.clone()), op: op.clone() });
            }
            self.moments = Some(moments);
        }
        self.run(&op)
    }

    pub(super) fn run(&mut self, op: &Op) -> io::Result<()> {
        let fault = self.call()?;
        match op {
            Op::Write { inode, offset, bytes } => self.write(*inode, *offset, bytes, fault),
            Op::Sync { inode } => self.sync(*inode, fault),
            whole => {
                // Done whole or not at all; at a stop either.
                match fault {
                    None => {}
                    Some(Fault::Full) => return Err(full()),
                    Some(Fault::Io) => return Err(device()),
                    Some(Fault::Stop) if self.random.chance(1, 2) => {}
                    Some(Fault::Stop) => return Err(gone()),
                }
                match whole {
                    Op::CreateDir(path) => self.create_dir(path),
                    Op::Create(path) => self.create(path),
                    Op::Rename { from, to } => self.rename(from, to),
                    Op::Remove(path) => self.unlink(path),
                    Op::RemoveDir(path) => self.remove_dir(path),
                    Op::SyncDir(path) => self.sync_dir(path),
                    Op::Truncate { inode, size } => return self.truncate(*inode, *size),
                    Op::Write { .. } | Op::Sync { .. } => {}
                }
                Ok(())
            }
        }
    }
}

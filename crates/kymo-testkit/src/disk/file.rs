//! An open file of the simulated disk.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kymo_tsdb::VfsFile;

use super::op::Op;
use super::state::{State, gone};

#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) inode: u64,
    pub(super) era: u64,
}

impl SimFile {
    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stopped || state.era != self.era { Err(gone()) } else { Ok(state) }
    }
}

impl VfsFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        let mut state = self.alive()?;
        state.look()?;
        Ok(state.inodes.get(&self.inode).ok_or_else(gone)?.bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.alive()?;
        state.look()?;
        let bytes = &state.inodes.get(&self.inode).ok_or_else(gone)?.bytes;
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.alive()?.perform(Op::Write { inode: self.inode, offset: offset as usize, bytes: bytes.to_vec() })
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.alive()?.perform(Op::Truncate { inode: self.inode, size: size as usize })
    }

    fn sync(&self) -> io::Result<()> {
        self.alive()?.perform(Op::Sync { inode: self.inode })
    }
}

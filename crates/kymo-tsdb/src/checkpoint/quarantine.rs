//! Quarantine: damaged bytes are copied aside before anything overwrites or removes them.

use std::path::{Path, PathBuf};

use crate::frame::{FileId, FileKind};
use crate::stats::{Damage, DamageKind};
use crate::vfs::{OpenMode, Vfs, VfsFile};

/// At most so much is copied at one opening.
const QUARANTINE_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug)]
pub(crate) struct Quarantine<'a> {
    vfs: &'a dyn Vfs,
    dir: PathBuf,
    left: u64,
}

impl<'a> Quarantine<'a> {
    pub(crate) fn new(vfs: &'a dyn Vfs, data_dir: &Path) -> Quarantine<'a> {
        Quarantine { vfs, dir: data_dir.join("quarantine"), left: QUARANTINE_BYTES_MAX }
    }

    /// Copies the bytes of a damage, unless it is a torn tail, and says where to. That it cannot is no reason not to open.
    pub(crate) fn keep(&mut self, id: FileId, file: &dyn VfsFile, damage: &mut Damage) {
        if matches!(damage.kind, DamageKind::TornTail | DamageKind::Missing)
            || damage.bytes == 0
            || damage.bytes > self.left
        {
            return;
        }
        let kind = match id.kind {
            FileKind::Wal => "wal",
            FileKind::Checkpoint => "checkpoint",
            FileKind::Chunks => "chunks",
        };
        let path = self.dir.join(format!("{kind}-{}-{}", id.name(), damage.offset));
        if self.copy(file, damage, &path).is_ok() {
            self.left -= damage.bytes;
            damage.quarantine = Some(path);
        }
    }

    fn copy(&self, file: &dyn VfsFile, damage: &Damage, path: &Path) -> std::io::Result<()> {
        self.vfs.create_dir_all(&self.dir)?;
        let copy = match self.vfs.open(path, OpenMode::Create) {
            Ok(copy) => copy,
            // Copied at an earlier opening.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut buffer = vec![0; damage.bytes.min(1 << 20) as usize];
        let mut done = 0;
        while done < damage.bytes {
            let wanted = buffer.len().min((damage.bytes - done) as usize);
            let got = file.read_at(&mut buffer[..wanted], damage.offset + done)?;
            if got == 0 {
                break;
            }
            copy.write_at(&buffer[..got], done)?;
            done += got as u64;
        }
        copy.sync()
    }
}

//! Quarantine: damaged bytes are copied aside before anything overwrites or removes them.

use std::io;
use std::path::{Path, PathBuf};

use crate::chunks::{ChunkPlace, ChunkStore};
use crate::frame::{FileId, FileKind, Found, FrameReader, RECORD_HEADER_BYTES};
use crate::stats::{Damage, DamageKind};
use crate::vfs::{OpenMode, Vfs, VfsFile};

/// At most so much is copied at one opening.
const QUARANTINE_BYTES_MAX: u64 = 64 << 20;

/// So many copies of one place at most: a number of a file may be used again after a crash.
const COPIES_MAX: u32 = 100;

/// A copy has this name until it is whole and durable.
const UNFINISHED: &str = "unfinished";

#[derive(Debug)]
pub(crate) struct Quarantine<'a> {
    vfs: &'a dyn Vfs,
    data_dir: PathBuf,
    dir: PathBuf,
    left: u64,
    /// Copies whose names are not durable yet.
    unsynced: Vec<PathBuf>,
}

impl<'a> Quarantine<'a> {
    pub(crate) fn new(vfs: &'a dyn Vfs, data_dir: &Path) -> Quarantine<'a> {
        let dir = data_dir.join("quarantine");
        Quarantine {
            vfs,
            data_dir: data_dir.to_owned(),
            dir,
            left: QUARANTINE_BYTES_MAX,
            unsynced: Vec::new(),
        }
    }

    /// Copies the bytes of a damage, unless it is a torn tail, and says where to; durable after [`Quarantine::sync`]. That it cannot is
    /// no reason not to open.
    pub(crate) fn keep(&mut self, id: FileId, file: &dyn VfsFile, damage: &mut Damage) {
        if matches!(damage.kind, DamageKind::TornTail | DamageKind::Missing)
            || damage.bytes == 0
            || damage.bytes > self.left
        {
            return;
        }
        if self.keep_all(id, file, damage).is_ok() {
            self.left -= damage.bytes;
        }
    }

    /// The same for a chunk file that is to go: all that is damaged in the part of it that counts, and the records of `doomed`
    /// chunks, whatever is in them. Gives for each of them the damage that it is in. When this has returned without an error the copies
    /// are durable.
    pub(super) fn keep_of_chunk_file(
        &mut self,
        store: &ChunkStore,
        (number, bytes): (u32, u64),
        doomed: &[ChunkPlace],
    ) -> io::Result<Vec<(ChunkPlace, Damage)>> {
        let (id, path) =
            (FileId { kind: FileKind::Chunks, number: number.into() }, store.path(number.into()));
        let file = self.vfs.open(&path, OpenMode::Read)?;
        let size = file.size()?.min(bytes);
        let of = |offset, bytes, kind| Damage { file: path.clone(), offset, bytes, kind, quarantine: None };
        let mut frames = FrameReader::new(&*file, id, size);
        let mut damaged = Vec::new();
        while let Some(found) = frames.next()? {
            match found {
                Found::Record { offset, payload } => {
                    if doomed.iter().any(|place| u64::from(place.offset) == offset) {
                        let bytes = (RECORD_HEADER_BYTES + payload.len()) as u64;
                        damaged.push(of(offset, bytes, DamageKind::Content));
                    }
                }
                // No end of such a file is one that was never acknowledged.
                Found::Damage { offset, bytes, kind: DamageKind::TornTail } => {
                    damaged.push(of(offset, bytes, DamageKind::Cut));
                }
                Found::Damage { offset, bytes, kind } => damaged.push(of(offset, bytes, kind)),
            }
        }
        for damage in &mut damaged {
            self.keep_all(id, &*file, damage)?;
        }
        self.sync()?;
        let lies_in = |damage: &&Damage, place: &ChunkPlace| {
            (damage.offset..damage.offset + damage.bytes).contains(&u64::from(place.offset))
        };
        let damage_of = |place: &ChunkPlace| {
            let found = damaged.iter().find(|damage| lies_in(damage, place)).cloned();
            // Behind the end nothing is left.
            (*place, found.unwrap_or_else(|| of(place.offset.into(), 0, DamageKind::Cut)))
        };
        Ok(doomed.iter().map(damage_of).collect())
    }

    /// Makes the names of the copies durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced.is_empty() {
            return Ok(());
        }
        let synced = [&self.data_dir, &self.dir].into_iter().try_for_each(|dir| self.vfs.sync_dir(dir));
        if synced.is_err() {
            // The next fsync would say nothing of what this one should have done: it has to be done anew.
            self.unsynced.iter().for_each(|copy| drop(self.vfs.remove(copy)));
            let _ = self.vfs.remove_dir(&self.dir);
        }
        self.unsynced.clear();
        synced
    }

    /// Copies the bytes of a damage, however many there are. Under the same name the same bytes are copied once.
    fn keep_all(&mut self, id: FileId, file: &dyn VfsFile, damage: &mut Damage) -> io::Result<()> {
        let kind = match id.kind {
            FileKind::Wal => "wal",
            FileKind::Checkpoint => "checkpoint",
            FileKind::Chunks => "chunks",
        };
        self.vfs.create_dir_all(&self.dir)?;
        let name = format!("{kind}-{}-{}", id.name(), damage.offset);
        for copy in 0..COPIES_MAX {
            let path = match copy {
                0 => self.dir.join(&name),
                _ => self.dir.join(format!("{name}.{copy}")),
            };
            match self.vfs.open(&path, OpenMode::Read) {
                Ok(there) if is_copy(file, damage, &*there)? => {}
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.copy(file, damage, &path)?,
                Err(error) => return Err(error),
            }
            // Also one that was made before: whoever made it may have ended before its name was durable.
            self.unsynced.push(path.clone());
            damage.quarantine = Some(path);
            return Ok(());
        }
        Err(io::Error::other(format!("expected a free name for {name} in quarantine, found none")))
    }

    fn copy(&self, file: &dyn VfsFile, damage: &Damage, path: &Path) -> io::Result<()> {
        let unfinished = self.dir.join(UNFINISHED);
        // What an attempt before this one has left.
        let _ = self.vfs.remove(&unfinished);
        let copy = self.vfs.open(&unfinished, OpenMode::Create)?;
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
        copy.sync()?;
        self.vfs.rename(&unfinished, path)
    }
}

/// Are these the bytes of the damage?
fn is_copy(file: &dyn VfsFile, damage: &Damage, copy: &dyn VfsFile) -> io::Result<bool> {
    let there = file.size()?.saturating_sub(damage.offset).min(damage.bytes);
    if copy.size()? != there {
        return Ok(false);
    }
    let mut buffers = [vec![0; there.min(1 << 16) as usize], vec![0; there.min(1 << 16) as usize]];
    let mut done = 0;
    while done < there {
        let wanted = buffers[0].len().min((there - done) as usize);
        let [of_file, of_copy] = &mut buffers;
        read_whole(file, &mut of_file[..wanted], damage.offset + done)?;
        read_whole(copy, &mut of_copy[..wanted], done)?;
        if of_file[..wanted] != of_copy[..wanted] {
            return Ok(false);
        }
        done += wanted as u64;
    }
    Ok(true)
}

/// Fills the buffer; an error at the end of the file.
fn read_whole(file: &dyn VfsFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            got => done += got,
        }
    }
    Ok(())
}

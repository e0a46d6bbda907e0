//! Vfs: every file operation of the database goes through here, so that tests can put a faulty disk below it.
//!
//! Writes are positional and a file is never mapped. A created, renamed or removed name is durable only after
//! [`Vfs::sync_dir`] of its directory; written bytes only after [`VfsFile::sync`].

mod os;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use os::OsVfs;

/// A file system, as far as a database needs one.
pub trait Vfs: fmt::Debug + Send + Sync {
    /// Creates a directory and those above it; no error when it is there.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// The entries of a directory, in any order. Names that are not UTF-8 are left out: the database makes none.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>>;

    /// Gives a file another name in one step, replacing what had that name; or a directory, to a name that nothing has.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, which must be free; or makes a copy of it under that name, where that cannot be done. The
    /// file is one that changes no more.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        copy(self.open(from, OpenMode::Read)?, self.open(to, OpenMode::Create)?)
    }

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory that is empty.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// How many bytes can be written to the file system that a directory is on; `u64::MAX` where that is not known.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let _anywhere = dir;
        Ok(u64::MAX)
    }

    /// Takes the lock file at `path`, creating it when needed, for as long as the returned value lives.
    ///
    /// `ErrorKind::WouldBlock` when somebody else holds it; never waits.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn VfsLock>>;
}

/// A held lock; dropping it releases it.
pub trait VfsLock: fmt::Debug + Send + Sync {}

/// An open file. All methods may be called from several threads at once.
pub trait VfsFile: fmt::Debug + Send + Sync {
    /// How many bytes it has.
    fn size(&self) -> io::Result<u64>;

    /// Reads up to `buffer.len()` bytes from `offset`; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file to `size` bytes.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// To be read; it must be there.
    Read,
    /// To be read and written; it must be there.
    Write,
    /// To be read and written; it must not be there.
    Create,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name, without the directory.
    pub name: String,
    /// Is it a directory itself?
    pub is_dir: bool,
    /// How many bytes, for a file.
    pub size: u64,
}

/// Copies what is in a file to an empty one and makes it durable.
fn copy(from: Arc<dyn VfsFile>, to: Arc<dyn VfsFile>) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    loop {
        match from.read_at(&mut buffer, offset)? {
            0 => return to.sync(),
            count => {
                to.write_at(&buffer[..count], offset)?;
                offset += count as u64;
            }
        }
    }
}

//! OpenError, and how file errors become the border's StoreError.

use std::io;
use std::path::{Path, PathBuf};

use kymo_model::{StoreError, StoreErrorKind};

use crate::block::BlockError;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another database object, here or in another process, has the directory open to write.
    #[error("data directory is in use by another process (lock file {})", .lock_file.display())]
    Locked {
        /// The lock file.
        lock_file: PathBuf,
    },
    /// There is no database to be looked at.
    #[error("expected a database, found none ({})", .dir.display())]
    NoDatabase {
        /// The directory.
        dir: PathBuf,
    },
    /// Whoever writes makes checkpoints faster than the database can be read.
    #[error("the database changed while it was read, {attempts} times in a row ({})", .dir.display())]
    Unsettled {
        /// The directory.
        dir: PathBuf,
        /// How often it was read.
        attempts: u32,
    },
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// What a Prometheus has left in the directory could not be imported.
    #[error("cannot import what a Prometheus has left: {source}")]
    Import {
        /// Why.
        #[source]
        source: crate::prometheus::ImportError,
    },
    /// A file was written by a version of this crate that this one does not know.
    #[error("expected format version {expected}, found {found} ({}, offset 8)", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The newest version this crate reads.
        expected: u32,
        /// What the file says.
        found: u32,
    },
    /// The blocks could not be looked at.
    #[error(transparent)]
    Blocks(BlockError),
}

impl From<BlockError> for OpenError {
    fn from(error: BlockError) -> OpenError {
        match error {
            BlockError::Io { action, path, source } => OpenError::Io { action, path, source },
            error => OpenError::Blocks(error),
        }
    }
}

impl OpenError {
    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> OpenError + 'a {
        move |source| OpenError::Io { action, path: path.to_owned(), source }
    }
}

/// A file operation that failed while the database was open.
pub(crate) fn store_error(action: &str, path: &Path, error: io::Error) -> StoreError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreErrorKind::Full
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => StoreErrorKind::ReadOnly,
        _ => StoreErrorKind::Io,
    };
    StoreError::new(kind, format!("cannot {action} {}: {error}", path.display())).caused_by(error)
}

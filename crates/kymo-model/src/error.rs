//! StoreError: what crosses the borders when a store cannot do its work.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a store could not do what was asked. Opaque: callers act on [`kind`](StoreError::kind), people read the text.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    place: Option<(PathBuf, u64)>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What a caller can do about a [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The disk is full: writes heal when space returns.
    Full,
    /// The store was opened for reading, or had to stop writing.
    ReadOnly,
    /// The store was closed.
    Closed,
    /// Bytes on disk are not what was written; the place says where.
    Corrupt,
    /// The operating system refused.
    Io,
    /// A limit of the store or of the query was hit.
    Limit,
    /// The caller asked to stop.
    Canceled,
    /// The other end of a remote store failed.
    Remote,
    /// The store does not do what was asked.
    Unsupported,
}

impl StoreError {
    /// An error with a message that says expected, found, where.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> StoreError {
        StoreError { kind, message: message.into(), place: None, source: None }
    }

    /// The same error with the file and the offset in bytes where it was found.
    pub fn at(mut self, file: impl Into<PathBuf>, offset: u64) -> StoreError {
        self.place = Some((file.into(), offset));
        self
    }

    /// The same error with its cause.
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        self.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The file and the offset in bytes, where the error has a place on disk.
    pub fn place(&self) -> Option<(&Path, u64)> {
        self.place.as_ref().map(|(file, offset)| (file.as_path(), *offset))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some((file, offset)) = &self.place {
            write!(f, " ({}, offset {offset})", file.display())?;
        }
        Ok(())
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|s| &**s as &(dyn Error + 'static))
    }
}

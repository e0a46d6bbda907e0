//! What can be wrong with a block: damage with file and offset, or what the disk refused.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use kymo_model::{StoreError, StoreErrorKind};

use super::index::ChunkMeta;
use super::ulid::UlidError;

/// Bytes of a block that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDamage {
    /// The file.
    pub file: PathBuf,
    /// Where in it what is damaged begins.
    pub offset: u64,
    /// What was expected and what was found.
    pub message: String,
}

impl fmt::Display for BlockDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, offset {})", self.message, self.file.display(), self.offset)
    }
}

/// Why a block, or a part of it, could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
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
    /// Whoever asked does not want the answer any more.
    #[error("{0}")]
    Canceled(#[from] StoreError),
    /// Bytes that are not what was written.
    #[error("{0}")]
    Damaged(BlockDamage),
    /// A version of the format that is not known here.
    #[error("expected {expected}, found version {found} ({})", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What this crate reads.
        expected: &'static str,
        /// What the file says.
        found: u64,
    },
    /// A meta.json that says nothing usable.
    #[error("expected the description of a block: {message} ({})", .path.display())]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A directory whose name is no block's.
    #[error("{source} ({})", .path.display())]
    Name {
        /// The directory.
        path: PathBuf,
        /// What is wrong with the name.
        source: UlidError,
    },
}

impl BlockError {
    pub(super) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> BlockError + 'a {
        move |source| BlockError::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn damaged(file: &Path, offset: u64, message: impl Into<String>) -> BlockError {
        BlockError::Damaged(BlockDamage { file: file.to_owned(), offset, message: message.into() })
    }

    /// The file or directory that it is about.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            BlockError::Damaged(damage) => Some(&damage.file),
            BlockError::Io { path, .. }
            | BlockError::Version { path, .. }
            | BlockError::Meta { path, .. }
            | BlockError::Name { path, .. } => Some(path),
            BlockError::Canceled(_) => None,
        }
    }

    /// Damage of a chunk that a reader does without: says which times are missing.
    pub(super) fn missing(self, chunk: &ChunkMeta) -> BlockError {
        self.missing_times((chunk.min_ms, chunk.max_ms))
    }

    /// Damage that costs a reader all samples of these times.
    pub(super) fn missing_times(mut self, (min_ms, max_ms): (i64, i64)) -> BlockError {
        if let BlockError::Damaged(damage) = &mut self {
            damage.message.push_str(&format!("; samples from {min_ms} to {max_ms} are missing"));
        }
        self
    }

    /// The damage, unless it was the disk or something else that failed.
    pub(super) fn into_damage(self) -> Result<BlockDamage, BlockError> {
        match self {
            BlockError::Damaged(damage) => Ok(damage),
            other => Err(other),
        }
    }
}

impl From<BlockError> for StoreError {
    fn from(error: BlockError) -> StoreError {
        match error {
            BlockError::Canceled(error) => error,
            BlockError::Damaged(BlockDamage { file, offset, message }) => {
                StoreError::new(StoreErrorKind::Corrupt, message).at(file, offset)
            }
            BlockError::Io { .. } => StoreError::new(StoreErrorKind::Io, error.to_string()).caused_by(error),
            _ => StoreError::new(StoreErrorKind::Corrupt, error.to_string()).caused_by(error),
        }
    }
}

/// Why a block could not be written. What was written so far is of no use; discard it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteBlockError {
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
    /// Series come in order of their labels, each once.
    #[error("expected series in order of labels, found {found} after {before}")]
    SeriesOrder {
        /// The series before.
        before: String,
        /// The one that does not come after it.
        found: String,
    },
    /// The chunks of a series come in order of time and do not overlap; a series has at least one.
    #[error("expected chunks in order of time in {series}, found {found} at chunk {chunk}")]
    ChunkOrder {
        /// The series.
        series: String,
        /// Which chunk, from 1.
        chunk: usize,
        /// What is wrong with it.
        found: String,
    },
    /// The format has no room for more.
    #[error("expected at most {max} bytes of {what}, found {found}")]
    TooLarge {
        /// Of what there is too much.
        what: &'static str,
        /// How much there may be.
        max: u64,
        /// How much there is.
        found: u64,
    },
    /// What was just written cannot be read back.
    #[error("cannot read back what was written: {0}")]
    ReadBack(#[from] BlockError),
}

impl WriteBlockError {
    pub(super) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> WriteBlockError + 'a {
        move |source| WriteBlockError::Io { action, path: path.to_owned(), source }
    }
}

impl From<WriteBlockError> for StoreError {
    fn from(error: WriteBlockError) -> StoreError {
        match error {
            WriteBlockError::Io { action, path, source } => crate::error::store_error(action, &path, source),
            other => StoreError::new(StoreErrorKind::Io, other.to_string()).caused_by(other),
        }
    }
}

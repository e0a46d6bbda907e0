//! What an import found and made, and why one could not be done.

use std::io;
use std::path::{Path, PathBuf};

use kymo_model::{StoreError, StoreErrorKind};

use crate::block::{BlockError, BlockMeta, CompactError, WriteBlockError};
use crate::error::OpenError;
use crate::stats::{Damage, DamageKind};

/// What an import found and made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportReport {
    /// Segments of logs read, those of the checkpoint and of the log of samples out of order included.
    pub segments: u64,
    /// Records read.
    pub records: u64,
    /// Chunk files read.
    pub chunk_files: u64,
    /// Series found.
    pub series: u64,
    /// Samples read. A sample that was in a log and in a chunk counts twice.
    pub samples_read: u64,
    /// Of those, samples before the end of the last block that Prometheus cut: that block has them, or they were deleted.
    pub samples_in_blocks: u64,
    /// The blocks that were made.
    pub blocks: Vec<BlockMeta>,
    /// Deleted intervals that were left out.
    pub tombstones: u64,
    /// Exemplars that are kept for the next opening, those of an import before included.
    pub exemplars: u64,
    /// Exemplars that were read and not taken: repeated, older than the newest of their series, too long, too far ahead, of a series that is
    /// not known, or of any while none are kept.
    pub exemplars_skipped: u64,
    /// Metric families whose metadata is kept for the next opening, those of an import before included.
    pub metadata: u64,
    /// Descriptions of metrics that were read and not taken: of a series that is not known or has no name, or for want of room.
    pub metadata_skipped: u64,
    /// Start timestamps of floats, which chunks of floats have no place for.
    pub float_starts_dropped: u64,
    /// Histograms that make no sense.
    pub invalid_histograms: u64,
    /// Samples and chunks whose series is not known: its definition was lost, or its number given to another series later.
    pub orphans: u64,
    /// Places where the bytes on disk are not what was written, in the order found; at most [`ImportReport::DAMAGED_MAX`].
    pub damaged: Vec<Damage>,
    /// How many such places, listed or not.
    pub damaged_total: u64,
    /// Where the files are now that were read.
    pub moved_to: Option<PathBuf>,
}

impl ImportReport {
    /// At most so many places are listed.
    pub const DAMAGED_MAX: usize = 1000;

    /// Samples in the blocks that were made.
    pub fn samples(&self) -> u64 {
        self.blocks.iter().map(|meta| meta.stats.num_samples).sum()
    }

    /// Was anything lost? A torn tail is not a loss: its write was never acknowledged.
    pub fn has_loss(&self) -> bool {
        self.orphans > 0
            || self.invalid_histograms > 0
            || self.damaged_total > self.damaged.len() as u64
            || self.damaged.iter().any(|damage| damage.kind != DamageKind::TornTail)
    }

    pub(super) fn add(&mut self, damage: Damage) {
        self.damaged_total += 1;
        if self.damaged.len() < Self::DAMAGED_MAX {
            self.damaged.push(damage);
        }
    }
}

/// Why nothing was imported. What was to be imported is as it was; blocks may have been made already, and making them again
/// does no harm.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// There is nothing to import.
    #[error("expected wal/ or chunks_head/ of a Prometheus, found neither ({})", .dir.display())]
    NoPrometheus {
        /// The directory.
        dir: PathBuf,
    },
    /// Somebody has the directory open.
    #[error("data directory is in use by another process (lock file {})", .lock_file.display())]
    Locked {
        /// The lock file.
        lock_file: PathBuf,
    },
    /// Somebody writes to the files, without a lock.
    #[error("expected a Prometheus that was stopped, found a file that changed from {read} to {found} bytes ({})", .file.display())]
    Running {
        /// The file.
        file: PathBuf,
        /// How many bytes it had when it was read; 0 if it was not there.
        read: u64,
        /// How many it has now.
        found: u64,
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
    /// More series than there may be.
    #[error("expected at most {expected} series, found more ({}, offset {offset})", .file.display())]
    SeriesLimit {
        /// How many there may be: [`ImportOptions::series_max`](super::ImportOptions::series_max).
        expected: usize,
        /// The file.
        file: PathBuf,
        /// Where in it the first series too many is.
        offset: u64,
    },
    /// What an import before this one has left is of a newer version.
    #[error("expected version {expected} or older, found version {found} ({})", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The newest version that is known.
        expected: u32,
        /// The version it says.
        found: u32,
    },
    /// Exemplars and metadata could not be written.
    #[error("cannot keep exemplars and metadata: {0}")]
    Beside(#[from] StoreError),
    /// The blocks in the directory could not be looked at.
    #[error(transparent)]
    Blocks(#[from] BlockError),
    /// A block could not be written.
    #[error(transparent)]
    Write(#[from] WriteBlockError),
    /// The parts of a block could not be put together.
    #[error(transparent)]
    Compact(#[from] CompactError),
}

impl From<OpenError> for ImportError {
    fn from(error: OpenError) -> ImportError {
        match error {
            OpenError::Io { action, path, source } => ImportError::Io { action, path, source },
            OpenError::Version { path, expected, found } => ImportError::Version { path, expected, found },
            OpenError::Blocks(error) => ImportError::Blocks(error),
            other => ImportError::Beside(StoreError::new(StoreErrorKind::Io, other.to_string())),
        }
    }
}

impl ImportError {
    pub(super) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ImportError + 'a {
        move |source| ImportError::Io { action, path: path.to_owned(), source }
    }
}

//! Progress: how far long work has come, told to whoever asked for it.

use std::fmt;
use std::sync::Arc;

/// How far long work has come: opening, importing, writing a block, compacting, verifying.
///
/// Bytes and series that are found on the way may make the total more in the end; what is done only grows while
/// [`Progress::what`] is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub what: Work,
    /// What is counted.
    pub unit: ProgressUnit,
    /// How much is done.
    pub done: u64,
    /// How much there is.
    pub total: u64,
}

/// What takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Work {
    /// The files of a database are read.
    Opening,
    /// The log and head of a Prometheus are read.
    Importing,
    /// A block is written.
    Writing,
    /// Several blocks become one.
    Compacting,
    /// All of a block is checked.
    Verifying,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Work::Opening => "reading",
            Work::Importing => "importing",
            Work::Writing => "writing",
            Work::Compacting => "compacting",
            Work::Verifying => "verifying",
        })
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProgressUnit {
    /// Bytes of files.
    Bytes,
    /// Series.
    Series,
}

/// Told about the progress of an opening, about once a megabyte; on the thread that opens, so it should not take long.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use kymo_tsdb::{Db, OnProgress, Options, ReadOnlyDb};
/// # let dir = std::env::temp_dir().join(format!("kymo-tsdb-progress-{}", std::process::id()));
/// Db::open(&dir, Options::default())?.checkpoint()?;
/// let read = std::sync::Arc::new(AtomicU64::new(0));
/// let seen = read.clone();
/// let on_progress = OnProgress::new(move |progress| seen.store(progress.done, Relaxed));
/// ReadOnlyDb::open(&dir, Options { on_progress: Some(on_progress), ..Options::default() })?;
/// assert!(read.load(Relaxed) > 0);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct OnProgress(Arc<dyn Fn(Progress) + Send + Sync>);

impl OnProgress {
    /// Calls `tell` with the progress.
    pub fn new(tell: impl Fn(Progress) + Send + Sync + 'static) -> OnProgress {
        OnProgress(Arc::new(tell))
    }

    /// Tells it.
    pub fn tell(&self, progress: Progress) {
        (self.0)(progress);
    }
}

impl fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnProgress")
    }
}

/// After so many bytes it is told again.
pub(crate) const STEP_BYTES: u64 = 1 << 20;

/// After so many series it is told again.
pub(crate) const STEP_SERIES: u64 = 4096;

/// Adds up what was read.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    tell: Option<&'a OnProgress>,
    bytes_total: u64,
    /// Of the files before this one.
    bytes_before: u64,
    told: u64,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(tell: Option<&'a OnProgress>, bytes_total: u64) -> Reading<'a> {
        Reading { tell, bytes_total, bytes_before: 0, told: 0 }
    }

    /// The file that is being read was read up to here.
    pub(crate) fn at(&mut self, offset: u64) {
        if self.bytes_before + offset >= self.told + STEP_BYTES {
            self.tell(self.bytes_before + offset);
        }
    }

    /// The file was read to its end.
    pub(crate) fn file_done(&mut self, bytes: u64) {
        self.bytes_before += bytes;
        self.tell(self.bytes_before);
    }

    fn tell(&mut self, bytes_read: u64) {
        self.told = bytes_read;
        if let Some(tell) = self.tell {
            let total = self.bytes_total.max(bytes_read);
            tell.tell(Progress { what: Work::Opening, unit: ProgressUnit::Bytes, done: bytes_read, total });
        }
    }
}

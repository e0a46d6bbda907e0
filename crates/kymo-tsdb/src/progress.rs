//! Progress: how far a long opening has come, told to whoever asked for it.

use std::fmt;
use std::sync::Arc;

/// How far an opening has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenProgress {
    /// Bytes of files read.
    pub bytes_read: u64,
    /// Bytes there were to read when it began; files that grow meanwhile may make it more in the end.
    pub bytes_total: u64,
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
/// let on_progress = OnProgress::new(move |progress| seen.store(progress.bytes_read, Relaxed));
/// ReadOnlyDb::open(&dir, Options { on_progress: Some(on_progress), ..Options::default() })?;
/// assert!(read.load(Relaxed) > 0);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct OnProgress(Arc<dyn Fn(OpenProgress) + Send + Sync>);

impl OnProgress {
    /// Calls `tell` with the progress.
    pub fn new(tell: impl Fn(OpenProgress) + Send + Sync + 'static) -> OnProgress {
        OnProgress(Arc::new(tell))
    }
}

impl fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnProgress")
    }
}

/// After so many bytes it is told again.
const STEP_BYTES: u64 = 1 << 20;

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
        if let Some(OnProgress(tell)) = self.tell {
            tell(OpenProgress { bytes_read, bytes_total: self.bytes_total.max(bytes_read) });
        }
    }
}

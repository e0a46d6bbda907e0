//! Syncer: makes what was written durable. Appends that wait at the same time share one fsync: one of them does it, for all
//! that was written until then.
//!
//! An fsync that failed is never tried again: the kernel may have dropped the pages and the next one would say yes. From
//! then on the database is read-only, and says why.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use kymo_model::{StoreError, StoreErrorKind};

use crate::lock::lock;
use crate::vfs::VfsFile;

#[derive(Debug, Default)]
pub(crate) struct Syncer {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Changes made and changes known to be durable, counted from the opening.
    written: u64,
    durable: u64,
    syncing: bool,
    /// Files with writes that are not durable, oldest first.
    dirty: Vec<(PathBuf, Arc<dyn VfsFile>)>,
    /// When the oldest write was made that is not durable.
    dirty_since_ms: Option<u64>,
    failed: Option<String>,
    syncs: u64,
}

impl Syncer {
    /// A record was written; gives its number.
    pub(crate) fn wrote(&self, path: &Path, file: &Arc<dyn VfsFile>, now_ms: u64) -> u64 {
        let mut state = lock(&self.state);
        state.touch(path, file, now_ms);
        state.written
    }

    /// A file was changed otherwise.
    pub(crate) fn touched(&self, path: &Path, file: &Arc<dyn VfsFile>, now_ms: u64) {
        lock(&self.state).touch(path, file, now_ms);
    }

    /// The number of the last record that was written.
    pub(crate) fn written(&self) -> u64 {
        lock(&self.state).written
    }

    /// How many fsyncs succeeded, and whether one failed.
    pub(crate) fn figures(&self) -> (u64, bool) {
        let state = lock(&self.state);
        (state.syncs, state.failed.is_some())
    }

    /// Is there anything that was written at least `interval_ms` ago and is not durable?
    pub(crate) fn is_due(&self, now_ms: u64, interval_ms: u64) -> bool {
        let state = lock(&self.state);
        !state.syncing
            && state.dirty_since_ms.is_some_and(|since| now_ms.saturating_sub(since) >= interval_ms)
    }

    /// An error if an fsync failed before.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        lock(&self.state).check()
    }

    /// Takes no write any more, for this reason.
    pub(crate) fn fail(&self, reason: String) {
        lock(&self.state).failed.get_or_insert(reason);
        self.done.notify_all();
    }

    /// Returns when this record and those before it are durable.
    pub(crate) fn wait(&self, record: u64) -> Result<(), StoreError> {
        let mut state = lock(&self.state);
        loop {
            if state.durable >= record {
                return Ok(());
            }
            state.check()?;
            if state.syncing {
                state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.syncing = true;
            let (upto, files) = (state.written, state.dirty.clone());
            let since = state.dirty_since_ms.take();
            drop(state);
            let failed = files.iter().find_map(|(path, file)| file.sync().err().map(|error| (path, error)));
            state = lock(&self.state);
            state.syncing = false;
            match failed {
                None => {
                    state.syncs += files.len() as u64;
                    state.durable = upto;
                    // The newest file goes on being written to; it is dirty again only if it was since.
                    let clean =
                        if state.written == upto { files.len() } else { files.len().saturating_sub(1) };
                    state.dirty.drain(..clean);
                }
                Some((path, error)) => {
                    state.dirty_since_ms = since;
                    state.failed = Some(format!("fsync of {} failed: {error}", path.display()));
                }
            }
            self.done.notify_all();
        }
    }
}

impl State {
    fn touch(&mut self, path: &Path, file: &Arc<dyn VfsFile>, now_ms: u64) {
        self.written += 1;
        self.dirty_since_ms.get_or_insert(now_ms);
        if self.dirty.last().is_none_or(|(last, _)| last != path) {
            self.dirty.push((path.to_owned(), file.clone()));
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        match &self.failed {
            None => Ok(()),
            Some(reason) => {
                let message = format!("no more writes until the database is opened again: {reason}");
                Err(StoreError::new(StoreErrorKind::ReadOnly, message))
            }
        }
    }
}

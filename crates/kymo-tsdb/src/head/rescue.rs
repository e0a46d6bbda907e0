//! Eras: what left the head while somebody may still want it.
//!
//! A select pins an open chunk by its number and reads it later. When the chunk has moved to a block since, or was deleted, the
//! select finds it here, for as long as it lives; so too the labels of a series that it knows by its id alone. Nothing is kept
//! when there is no select.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use kymo_model::Labels;

use super::sealed::SealedChunk;
use crate::chunks::{ChunkStore, FileSet};
use crate::index::SeriesId;
use crate::lock::lock;

/// The time between two droppings. A select holds the one in which it pinned.
#[derive(Debug, Default)]
pub(crate) struct Era {
    /// What was dropped at its end.
    gone: Mutex<HashMap<SeriesId, Vec<SealedChunk>>>,
    /// The labels of series that were dropped with all they had.
    labels: Mutex<HashMap<SeriesId, Labels>>,
    /// The chunk files as they were then.
    files: OnceLock<Arc<FileSet>>,
    next: OnceLock<Arc<Era>>,
}

impl Era {
    /// The chunk in order that begins at a time and has so many samples at least, if it was dropped since; with the chunk files
    /// that it may be in.
    pub(super) fn find(&self, id: SeriesId, min_ms: i64, count: u16) -> Option<(SealedChunk, Arc<FileSet>)> {
        let mut era = self;
        loop {
            let wanted = |chunk: &&SealedChunk| chunk.min_ms == min_ms && chunk.count >= count;
            let found = lock(&era.gone).get(&id).and_then(|chunks| chunks.iter().find(wanted).cloned());
            if let Some(chunk) = found {
                return era.files.get().map(|files| (chunk, files.clone()));
            }
            era = era.next.get()?;
        }
    }

    /// The labels of a series that was dropped since.
    pub(super) fn labels(&self, id: SeriesId) -> Option<Labels> {
        let mut era = self;
        loop {
            if let Some(labels) = lock(&era.labels).get(&id) {
                return Some(labels.clone());
            }
            era = era.next.get()?;
        }
    }

    /// Keeps the labels of a series, whose page is locked until it is dropped. A select that begins now may find it, so nobody
    /// asks who is watching.
    pub(super) fn keep_labels(&self, id: SeriesId, labels: &Labels) {
        lock(&self.labels).insert(id, labels.clone());
    }
}

/// The era that it is.
#[derive(Debug, Default)]
pub(crate) struct Eras {
    current: Mutex<Arc<Era>>,
}

impl Eras {
    /// For a select that is about to pin.
    pub(super) fn current(&self) -> Arc<Era> {
        lock(&self.current).clone()
    }

    /// For somebody who is about to drop chunks. Those of which a select that begins now may find nothing are not its business.
    pub(super) fn rescue(&self, store: &ChunkStore) -> Rescue<'_> {
        let era = self.current();
        // Besides the two here, who holds it is a select, or the era before it, which a select holds.
        let is_watched = Arc::strong_count(&era) > 2;
        if is_watched {
            let _ = era.files.set(store.set());
        }
        Rescue { eras: self, era, is_watched }
    }
}

/// Keeps what is dropped, if anybody may want it.
#[derive(Debug)]
pub(super) struct Rescue<'a> {
    eras: &'a Eras,
    era: Arc<Era>,
    is_watched: bool,
}

impl Rescue<'_> {
    pub(super) fn keep(&mut self, id: SeriesId, chunks: Vec<SealedChunk>) {
        if self.is_watched && !chunks.is_empty() {
            let in_order = chunks.into_iter().filter(|chunk| !chunk.late());
            lock(&self.era.gone).entry(id).or_default().extend(in_order);
        }
    }

    /// What is dropped from now on belongs to the next era.
    pub(super) fn finish(self) {
        if self.is_watched || !lock(&self.era.labels).is_empty() {
            let next = Arc::new(Era::default());
            let _ = self.era.next.set(next.clone());
            *lock(&self.eras.current) = next;
        }
    }
}

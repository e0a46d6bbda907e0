//! Missing: what a select or a snapshot could not read of chunk files. It is left out, and the reader is told which samples these are.

use std::collections::BTreeMap;
use std::sync::Mutex;

use kymo_model::{Labels, StoreError, StoreErrorKind, TimeRange};

use super::sealed::SealedChunk;
use crate::chunks::{ChunkPlace, ChunkStore};
use crate::index::SeriesId;
use crate::lock::lock;

/// So many chunks are named each by itself.
const NAMED_MAX: usize = 10;

/// The chunks that are missing from what one select or snapshot reads.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    chunks: Mutex<BTreeMap<ChunkPlace, Lost>>,
}

#[derive(Debug)]
struct Lost {
    labels: Labels,
    times: TimeRange,
}

impl Missing {
    /// Notes a chunk in a file that is damaged; gives back any other error.
    pub(crate) fn note(
        &self,
        store: &ChunkStore,
        (id, labels): (SeriesId, &Labels),
        chunk: &SealedChunk,
        error: StoreError,
    ) -> Result<(), StoreError> {
        let Some(place) = chunk.place().filter(|_| error.kind() == StoreErrorKind::Corrupt) else {
            return Err(error);
        };
        store.note_damage(place, chunk.record_bytes(id));
        let times = TimeRange::from_millis(chunk.min_ms, chunk.max_ms());
        lock(&self.chunks).entry(place).or_insert_with(|| Lost { labels: labels.clone(), times });
        Ok(())
    }

    /// What the reader is told.
    pub(crate) fn warnings(&self, store: &ChunkStore) -> Vec<String> {
        let chunks = lock(&self.chunks);
        let named = chunks.iter().take(NAMED_MAX).map(|(place, Lost { labels, times })| {
            let (file, offset) = (store.path(place.file.into()), place.offset);
            let (min_ms, max_ms) = (times.min.millis(), times.max.millis());
            format!(
                "head is damaged: samples of {labels} from {min_ms} to {max_ms} are missing ({}, offset {offset})",
                file.display()
            )
        });
        let mut warnings: Vec<String> = named.collect();
        let others = || chunks.values().skip(NAMED_MAX).map(|lost| lost.times);
        if let (Some(min), Some(max)) = (others().map(|t| t.min).min(), others().map(|t| t.max).max()) {
            warnings.push(format!(
                "head is damaged: {} more chunks with samples from {} to {} are missing",
                chunks.len() - NAMED_MAX,
                min.millis(),
                max.millis()
            ));
        }
        warnings
    }
}

//! The closed part of a series: sealed chunks, and the buffer of samples that came out of order. Shared with selects by
//! reference count and copied when it changes while a select holds it.

use kymo_model::{SampleValue, TimeRange};

use super::late::LateBuffer;
use super::sealed::{Data, SealedChunk};
use super::value::late_chunks;
use crate::chunks::{ChunkPlace, ChunkStore};

/// From so many samples on the buffer becomes a chunk.
const LATE_SAMPLES_MAX: usize = 120;

#[derive(Clone, Debug, Default)]
pub(crate) struct Closed {
    /// Sorted by `min_ms`; those in order overlap nothing but late ones.
    pub(crate) chunks: Vec<SealedChunk>,
    /// Samples out of order, sorted by time.
    pub(crate) late: LateBuffer,
}

impl Closed {
    /// The newest sample that was in order.
    pub(crate) fn newest_in_order_ms(&self) -> Option<i64> {
        self.chunks.iter().rev().find(|chunk| !chunk.late()).map(SealedChunk::max_ms)
    }

    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        let chunk = self.chunks.first().map(|chunk| chunk.min_ms);
        let late = self.late.first().map(|(t_ms, _)| *t_ms);
        chunk.into_iter().chain(late).min()
    }

    pub(crate) fn add(&mut self, chunk: SealedChunk) {
        let at = self.chunks.partition_point(|other| other.min_ms <= chunk.min_ms);
        if self.chunks.len() == self.chunks.capacity() {
            // Lists are long-lived and there is one per series: grow by a little, not twofold.
            self.chunks.reserve_exact(self.chunks.len() / 4 + 1);
        }
        self.chunks.insert(at, chunk);
    }

    /// Adds a sample to the buffer; gives the number of chunks that this sealed. A time that is there stays as it is.
    pub(crate) fn add_late(&mut self, t_ms: i64, value: SampleValue) -> usize {
        match self.late.binary_search_by_key(&t_ms, |(t_ms, _)| *t_ms) {
            Ok(_) => return 0,
            Err(at) => self.late.insert(at, (t_ms, value)),
        }
        if self.late.len() < LATE_SAMPLES_MAX { 0 } else { self.seal_late() }
    }

    fn seal_late(&mut self) -> usize {
        let late = self.late.take();
        let mut sealed = 0;
        for chunk in late_chunks(&late) {
            self.add(chunk);
            sealed += 1;
        }
        sealed
    }

    pub(crate) fn remove(&mut self, chunk: &SealedChunk) {
        self.chunks.retain(|other| !other.is(chunk));
    }

    /// The chunk that is there goes to a place.
    pub(crate) fn move_chunk(&mut self, min_ms: i64, from: &Data, to: ChunkPlace) {
        let first = self.chunks.partition_point(|chunk| chunk.min_ms < min_ms);
        let same_time = self.chunks[first..].iter_mut().take_while(|chunk| chunk.min_ms == min_ms);
        for chunk in same_time {
            if chunk.move_to(from, to) {
                return;
            }
        }
    }

    /// The value at a time, if there is one.
    pub(crate) fn value_at(&self, t_ms: i64, store: &ChunkStore) -> Option<SampleValue> {
        if let Ok(at) = self.late.binary_search_by_key(&t_ms, |(t_ms, _)| *t_ms) {
            return Some(self.late[at].1.clone());
        }
        let only = TimeRange::from_millis(t_ms, t_ms);
        self.chunks.iter().filter(|chunk| chunk.overlaps(only)).find_map(|chunk| chunk.value_at(t_ms, store))
    }

    /// The chunk files of the chunks that end before a time.
    pub(crate) fn files_before(&self, cutoff_ms: i64) -> impl Iterator<Item = u32> {
        let old = self.chunks.iter().filter(move |chunk| chunk.max_ms() < cutoff_ms);
        old.filter_map(|chunk| chunk.place()).map(|place| place.file)
    }

    /// Drops what ends before the cutoff; gives the numbers of chunks and of samples dropped.
    pub(crate) fn drop_before(&mut self, cutoff_ms: i64) -> (usize, usize) {
        let (mut chunks, mut samples) = (0, 0);
        self.chunks.retain(|chunk| {
            let keep = chunk.max_ms() >= cutoff_ms;
            if !keep {
                chunks += 1;
                samples += usize::from(chunk.count);
            }
            keep
        });
        let late = self.late.partition_point(|(t_ms, _)| *t_ms < cutoff_ms);
        self.late.drop_first(late);
        (chunks, samples + late)
    }
}

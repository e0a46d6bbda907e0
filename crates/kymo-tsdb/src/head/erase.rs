//! Erase: samples of chosen series are deleted from the head. Chunks that lie inside the range go, those at its ends are written
//! anew, and what was open is closed.

use std::collections::{BTreeSet, HashMap};

use kymo_model::{CancelToken, Matcher, StoreError, StoreErrorKind, TimeRange};

use super::cut::Left;
use super::sealed::{Data, SealedChunk};
use super::value::{chunks_of, samples_of};
use super::{Head, Series};
use crate::chunks::{ChunkPlace, ChunkStore};
use crate::index::SeriesId;
use crate::lock::write;

/// What a deletion did to the head.
#[derive(Debug, Default)]
pub(crate) struct Erased {
    pub(crate) series: usize,
    pub(crate) left: Left,
    /// Chunk files in which something lies that was deleted.
    pub(crate) files: BTreeSet<u32>,
    /// Damaged chunks of which a part was to go. They are as they were.
    pub(crate) damaged: BTreeSet<ChunkPlace>,
    /// The first chunk that could not be read for another reason. It is as it was.
    pub(crate) failed: Option<StoreError>,
}

impl Head {
    /// Deletes the samples in a range of the series that match.
    ///
    /// The caller holds the writer, so that no series is being written to. No select is made meanwhile.
    pub(crate) fn erase(&self, matchers: &[Matcher], range: TimeRange) -> Erased {
        let _no_select = write(&self.isolation);
        let mut erased = Erased::default();
        let wanted: BTreeSet<u32> = match self.resolve(matchers, &self.pages(), &CancelToken::new()) {
            Ok(ids) => ids.into_iter().collect(),
            Err(error) => {
                erased.failed = Some(error);
                return erased;
            }
        };
        if wanted.is_empty() {
            return erased;
        }
        self.remembered.forget();
        let mut rescue = self.eras.rescue(&self.store);
        let (mut rewritten, mut unspilled_bytes, mut unspilled) = (0, 0, Vec::new());
        let left = self.take_out(|id, series| {
            if !wanted.contains(&id.0) || !series.overlaps(range) {
                return (0, 0);
            }
            let outcome = series.erase(id, range, &self.store, &mut erased);
            rescue.keep(id, outcome.gone);
            rewritten += outcome.rewritten;
            let bytes = series.unspilled_bytes();
            if outcome.rewritten > 0 && bytes > 0 {
                unspilled.push(id);
                unspilled_bytes += bytes as u64;
            }
            erased.series += usize::from(outcome.samples > 0);
            (outcome.chunks, outcome.samples)
        });
        rescue.finish();
        self.unspilled.add(&unspilled, unspilled_bytes);
        self.chunks.fetch_add(rewritten as u64, std::sync::atomic::Ordering::Relaxed);
        erased.left = left;
        erased
    }

    /// Lets go of chunks that are damaged.
    ///
    /// The caller holds the writer, so that no series is being written to.
    pub(crate) fn forget(&self, damaged: &[(SeriesId, SealedChunk)]) -> Left {
        let mut by_series: HashMap<SeriesId, Vec<&SealedChunk>> = HashMap::new();
        damaged.iter().for_each(|(id, chunk)| by_series.entry(*id).or_default().push(chunk));
        let mut rescue = self.eras.rescue(&self.store);
        let left = self.take_out(|id, series| {
            let Some(doomed) = by_series.get(&id) else { return (0, 0) };
            let gone = series.forget(doomed);
            let left = (gone.len(), gone.iter().map(|chunk| usize::from(chunk.count)).sum());
            // Selects that pinned them say that they are damaged.
            rescue.keep(id, gone);
            left
        });
        rescue.finish();
        left
    }
}

/// What was taken from one series.
#[derive(Debug, Default)]
struct Outcome {
    chunks: usize,
    samples: usize,
    /// Chunks that came in place of others.
    rewritten: usize,
    gone: Vec<SealedChunk>,
}

impl Series {
    /// Lets go of those of the chunks that it has, and gives them.
    fn forget(&mut self, doomed: &[&SealedChunk]) -> Vec<SealedChunk> {
        let Some(closed) = self.closed_mut() else { return Vec::new() };
        let is_doomed = |chunk: &mut SealedChunk| doomed.iter().any(|other| chunk.is(other));
        let gone = closed.chunks.extract_if(.., is_doomed).collect();
        self.tighten();
        gone
    }

    fn erase(&mut self, id: SeriesId, range: TimeRange, store: &ChunkStore, erased: &mut Erased) -> Outcome {
        let mut outcome = Outcome::default();
        let inside = |t_ms: i64| (range.min.millis()..=range.max.millis()).contains(&t_ms);
        if self.open_overlaps(range) {
            self.seal_open();
        }
        let Some(closed) = self.closed_mut() else { return outcome };
        let from = closed.late.partition_point(|(t_ms, _)| *t_ms < range.min.millis());
        let to = closed.late.partition_point(|(t_ms, _)| *t_ms <= range.max.millis());
        outcome.samples += closed.late.take_range(from..to.max(from)).len();
        let touched: Vec<SealedChunk> =
            closed.chunks.iter().filter(|chunk| chunk.overlaps(range)).cloned().collect();
        for chunk in touched {
            let whole = inside(chunk.min_ms) && inside(chunk.max_ms());
            let kept = match if whole { Ok(Vec::new()) } else { kept(&chunk, store, inside) } {
                Ok(kept) => kept,
                Err(error) => {
                    if let Some(place) = chunk.place().filter(|_| error.kind() == StoreErrorKind::Corrupt) {
                        store.note_damage(place, chunk.record_bytes(id));
                        erased.files.insert(place.file);
                        erased.damaged.insert(place);
                        continue;
                    }
                    erased.failed.get_or_insert(error);
                    continue;
                }
            };
            let left: usize = kept.iter().map(|chunk| usize::from(chunk.count)).sum();
            if left == usize::from(chunk.count) {
                continue;
            }
            outcome.samples += usize::from(chunk.count) - left;
            outcome.chunks += 1;
            outcome.rewritten += kept.len();
            erased.files.extend(chunk.place().map(|place| place.file));
            closed.remove(&chunk);
            kept.into_iter().for_each(|chunk| closed.add(chunk));
            outcome.gone.push(chunk);
        }
        self.tighten();
        outcome
    }
}

/// What stays of a chunk.
fn kept(
    chunk: &SealedChunk,
    store: &ChunkStore,
    inside: impl Fn(i64) -> bool,
) -> Result<Vec<SealedChunk>, StoreError> {
    let read;
    let data = match chunk.data() {
        Data::Heap(data) => &data[..],
        Data::File(place) => {
            read = store.read_one(&store.set(), *place, chunk.data_bytes())?;
            &read.0[read.1.clone()]
        }
    };
    let mut samples = samples_of(chunk.encoding(), data);
    if samples.len() != usize::from(chunk.count) {
        let message = format!("expected a chunk of {} samples, found {}", chunk.count, samples.len());
        return Err(StoreError::new(StoreErrorKind::Corrupt, message));
    }
    samples.retain(|(t_ms, _)| !inside(*t_ms));
    Ok(chunks_of(&samples, chunk.late()))
}

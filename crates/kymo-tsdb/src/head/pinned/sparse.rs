//! Sparse: a series of floats in order is read without the sealed chunks of which enough is known.
//!
//! Only where chunks lie behind one another: what came late, in a buffer or as a chunk, may lie anywhere, so a series that has
//! some in the range is read whole.

use kymo_model::{Gap, Samples, Sparing, StoreError, StoreErrorKind, TimeRange, Values};

use super::{Piece, Snapshot, within};
use crate::block::ChunkMeta;
use crate::chunks::{CHUNKS_AHEAD_MAX, ChunkBytes};
use crate::head::sealed::SealedChunk;
use crate::sparse::{OneSeries, read_sparse};
use crate::summary::is_inside;

impl Snapshot {
    /// Reads all of a series but what can be spared; says whether it could. If not, `out` and `gaps` mean nothing: where something is
    /// damaged, too, as it is the plain reading's business what becomes of that.
    pub(super) fn read_sparsely(
        &self,
        index: usize,
        sparing: Sparing,
        out: &mut Samples,
        gaps: &mut Vec<Gap>,
    ) -> bool {
        let (series, range) = (&self.series[index], self.range);
        let (Some(known), Some(closed)) = (&self.known, &series.closed) else { return false };
        let asked = Sparing { range: common(sparing.range, range), ..sparing };
        if !closed.chunks.iter().any(|chunk| is_inside(&meta_of(chunk), asked)) {
            return false;
        }
        let sealed: Vec<&SealedChunk> = closed.chunks.iter().filter(|chunk| chunk.overlaps(range)).collect();
        let metas: Vec<ChunkMeta> = sealed.iter().map(|chunk| meta_of(chunk)).collect();
        let is_plain = |chunk: &&SealedChunk| chunk.encoding().is_float() && !chunk.late();
        let in_order = metas.is_sorted_by(|before, after| before.max_ms < after.min_ms);
        if !sealed.iter().all(is_plain) || !in_order || !within(&closed.late, range).is_empty() {
            return false;
        }
        let Ok(open) = self.open_chunk(series, range) else { return false };
        if open.as_ref().is_some_and(|(encoding, _)| !encoding.is_float()) {
            return false;
        }
        let oldest = closed.chunks.first().map_or(0, |chunk| meta_of(chunk).reference);
        let (number, few) = (u64::from(series.id.0), sealed.len() <= CHUNKS_AHEAD_MAX);
        let one = OneSeries { summaries: &known.summaries, owner: known.number, number, oldest };
        out.clear();
        out.floats_mut();
        let read = read_sparse(one, &metas, asked, (out, gaps), |wanted, out, after| {
            let count = wanted.len();
            for at in wanted.clone() {
                let rest = sealed[at + 1..wanted.end].iter().copied();
                let piece = self.sealed_piece((index, few), sealed[at], rest)?;
                let before = out.len();
                self.read_piece(&piece, out)?;
                after(&metas[at], before, out);
            }
            Ok(count)
        });
        let read = read.and_then(|_| match &open {
            Some((encoding, bytes)) => {
                let bytes = ChunkBytes::Heap(bytes);
                self.read_piece(&Piece { encoding: *encoding, bytes, times: None, chunk: None }, out)
            }
            None => Ok(()),
        });
        read.is_ok()
    }

    /// Adds the floats of a chunk that lies behind what was read.
    fn read_piece(&self, piece: &Piece<'_>, out: &mut Samples) -> Result<(), StoreError> {
        let Samples { timestamps_ms, values: Values::Floats(values), .. } = out else { return Ok(()) };
        let added = piece.add_floats(self.range, timestamps_ms, values);
        added.map_err(|error| {
            StoreError::new(StoreErrorKind::Corrupt, "chunk does not decode").caused_by(error)
        })
    }
}

/// A chunk in order is known by its first time: no other of its series begins there.
fn meta_of(chunk: &SealedChunk) -> ChunkMeta {
    let reference = chunk.min_ms.wrapping_sub(i64::MIN) as u64;
    ChunkMeta { min_ms: chunk.min_ms, max_ms: chunk.max_ms(), reference }
}

/// What is in both.
fn common(a: TimeRange, b: TimeRange) -> TimeRange {
    TimeRange { min: a.min.max(b.min), max: a.max.min(b.max) }
}

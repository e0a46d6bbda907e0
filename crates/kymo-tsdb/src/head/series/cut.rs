//! What a cut and a deletion do to a series: seal what is open, mark, take out.

use std::sync::Arc;

use kymo_model::TimeRange;

use super::super::cut::{HeadChunk, begins_in, tighten};
use super::super::open::Open;
use super::super::sealed::SealedChunk;
use super::super::value::late_chunks;
use super::Series;

impl Series {
    /// Visits the numbers of the ranges in which it has samples; some more than once.
    pub(crate) fn for_each_range(&self, range_ms: i64, mut visit: impl FnMut(i64)) {
        if let Some(closed) = &self.closed {
            closed.chunks.iter().for_each(|chunk| visit(chunk.min_ms.div_euclid(range_ms)));
            closed.late.iter().for_each(|(t_ms, _)| visit(t_ms.div_euclid(range_ms)));
        }
        if !self.open.is_empty() {
            visit(self.open_min_ms.div_euclid(range_ms));
        }
    }

    /// Marks its chunks in a range, after what is not sealed of it was; of what is open only if `seal_open`. Are there any, and
    /// how many chunks are there more?
    pub(crate) fn mark_cut(&mut self, range: (i64, i64), seal_open: bool) -> (bool, usize) {
        let open_is_inside = !self.open.is_empty() && (range.0..range.1).contains(&self.open_min_ms);
        let late_inside = self
            .closed
            .as_ref()
            .is_some_and(|closed| closed.late.iter().any(|(t_ms, _)| (range.0..range.1).contains(t_ms)));
        let has_some = late_inside
            || open_is_inside && seal_open
            || self
                .closed
                .as_ref()
                .is_some_and(|closed| closed.chunks.iter().any(|chunk| begins_in(chunk, range)));
        if !has_some {
            return (false, 0);
        }
        if open_is_inside && seal_open {
            self.seal_open();
        }
        let closed = Arc::make_mut(self.closed.get_or_insert_default());
        let more = closed.seal_late_in(range);
        closed
            .chunks
            .iter_mut()
            .filter(|chunk| begins_in(chunk, range))
            .for_each(|chunk| chunk.set_cut(true));
        (true, more)
    }

    pub(crate) fn unmark_cut(&mut self) {
        if let Some(closed) =
            self.closed.as_mut().filter(|closed| closed.chunks.iter().any(SealedChunk::is_cut))
        {
            Arc::make_mut(closed).chunks.iter_mut().for_each(|chunk| chunk.set_cut(false));
        }
    }

    /// Takes out what is marked: the numbers of chunks and of samples, and the chunks.
    pub(crate) fn drop_cut(&mut self) -> (usize, usize, Vec<SealedChunk>) {
        let marked = |closed: &Arc<_>| -> bool {
            let closed: &super::Closed = closed;
            closed.chunks.iter().any(SealedChunk::is_cut)
        };
        let Some(closed) = self.closed.as_mut().filter(|closed| marked(closed)) else {
            return (0, 0, Vec::new());
        };
        let mut gone = Vec::new();
        Arc::make_mut(closed).chunks.retain(|chunk| {
            if chunk.is_cut() {
                gone.push(chunk.clone());
            }
            !chunk.is_cut()
        });
        self.tighten();
        let samples = gone.iter().map(|chunk| usize::from(chunk.count)).sum();
        (gone.len(), samples, gone)
    }

    /// Everything in a range, as it is now.
    pub(crate) fn chunks_in(&self, range: (i64, i64)) -> Vec<HeadChunk> {
        let inside = |t_ms: i64| (range.0..range.1).contains(&t_ms);
        let mut chunks = Vec::new();
        if let Some(closed) = &self.closed {
            chunks.extend(closed.chunks.iter().filter(|chunk| begins_in(chunk, range)).cloned());
            let late: Vec<_> = closed.late.iter().filter(|(t_ms, _)| inside(*t_ms)).cloned().collect();
            chunks.extend(late_chunks(&late));
        }
        let mut chunks: Vec<HeadChunk> = chunks.into_iter().map(HeadChunk::Sealed).collect();
        if !self.open.is_empty() && inside(self.open_min_ms) {
            let max_ms = self.open.newest_ms().unwrap_or(self.open_min_ms);
            chunks.push(HeadChunk::Copied {
                times_ms: (self.open_min_ms, max_ms),
                encoding: self.open.encoding(),
                data: self.open.bytes().to_vec(),
            });
        }
        chunks
    }

    pub(crate) fn open_overlaps(&self, range: TimeRange) -> bool {
        !self.open.is_empty()
            && self.open_min_ms <= range.max.millis()
            && self.open.newest_ms().is_some_and(|newest_ms| range.min.millis() <= newest_ms)
    }

    /// Nothing is open any more.
    pub(crate) fn seal_open(&mut self) {
        if !self.open.is_empty() {
            self.close_open();
            self.open = Open::default();
        }
    }

    pub(crate) fn tighten(&mut self) {
        tighten(&mut self.closed);
    }
}

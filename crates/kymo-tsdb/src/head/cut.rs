//! Cut: which samples of the head are final, and how they leave it for a block.
//!
//! Chunks that go into a block are marked first, and what is marked changes no more: a sample that comes late begins another
//! chunk. When the block is a part of the database, exactly what was marked is dropped.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use kymo_model::Labels;

use super::activity::{IDLE_S, Second};
use super::closed::Closed;
use super::sealed::SealedChunk;
use super::{Cursor, Directory, Head, Series};
use crate::index::SeriesId;
use crate::lock::write;

/// When samples are final: none is expected any more that is older.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finality {
    /// No sample is taken that is older than its series' newest by more than this.
    pub(crate) window_ms: i64,
    /// No sample counts as newer than this.
    pub(crate) now_ms: i64,
    /// Tells which series are idle.
    pub(crate) second: Second,
}

impl Finality {
    fn is_idle(&self, series: &Series) -> bool {
        self.second.idle_s(series.written()) >= IDLE_S
    }

    /// Is everything of the series final that is older than this?
    fn of(&self, series: &Series, end_ms: i64) -> bool {
        let newest_ms = series.newest_ms().map_or(i64::MIN, |newest_ms| newest_ms.min(self.now_ms));
        newest_ms >= end_ms.saturating_add(self.window_ms) || self.is_idle(series)
    }
}

/// How many series have samples in a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Those whose samples are final.
    pub(crate) ready: u64,
    /// The others.
    pub(crate) waiting: u64,
}

/// A chunk of the head, wherever it is.
#[derive(Clone, Debug)]
pub(crate) enum HeadChunk {
    Sealed(SealedChunk),
    /// A copy of what was open.
    Copied {
        times_ms: (i64, i64),
        encoding: kymo_chunk::Encoding,
        data: Vec<u8>,
    },
}

/// What left the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) series: usize,
    pub(crate) chunks: usize,
    pub(crate) samples: usize,
}

impl Head {
    /// The ranges that have samples, by number, and in how many series. Walks over every series.
    pub(crate) fn tally(&self, range_ms: i64, finality: &Finality) -> BTreeMap<i64, Tally> {
        let mut tallies: BTreeMap<i64, Tally> = BTreeMap::new();
        self.pages().for_each(|_, series| {
            let mut before = None;
            series.for_each_range(range_ms, |number| {
                if before.replace(number) == Some(number) {
                    return;
                }
                let tally = tallies.entry(number).or_default();
                let end_ms = number.saturating_add(1).saturating_mul(range_ms);
                match finality.of(series, end_ms) {
                    true => tally.ready += 1,
                    false => tally.waiting += 1,
                }
            });
        });
        tallies
    }

    /// The numbers of the ranges that have samples.
    pub(crate) fn ranges(&self, range_ms: i64) -> BTreeSet<i64> {
        let mut ranges = BTreeSet::new();
        let mut before = None;
        self.pages().for_each(|_, series| {
            series.for_each_range(range_ms, |number| {
                if before.replace(number) != Some(number) {
                    ranges.insert(number);
                }
            });
        });
        ranges
    }

    /// Marks everything in a range that is final, whatever it is in, and seals it before. The series, in order of labels.
    pub(crate) fn mark_cut(&self, range: (i64, i64), finality: &Finality) -> Vec<(Labels, SeriesId)> {
        let (mut marked, mut sealed, mut sealed_bytes, mut chunks) = (Vec::new(), Vec::new(), 0, 0);
        self.pages().for_each(|id, series| {
            if !finality.of(series, range.1) {
                return;
            }
            let (has_some, more) = series.mark_cut(range, finality.is_idle(series));
            chunks += more as u64;
            if has_some {
                marked.push((series.labels().clone(), id));
                // Until it is a part of a block, it is spilled as everything else.
                let unspilled = series.unspilled_bytes();
                if more > 0 && unspilled > 0 {
                    sealed.push(id);
                    sealed_bytes += unspilled as u64;
                }
            }
        });
        self.unspilled.add(&sealed, sealed_bytes);
        self.chunks.fetch_add(chunks, Relaxed);
        marked.sort_by(|a, b| a.0.cmp(&b.0));
        marked
    }

    /// Forgets what was marked of one series, or of all.
    pub(crate) fn unmark_cut(&self, only: Option<SeriesId>) {
        let pages = self.pages();
        match only {
            Some(id) => {
                if let Some(series) = Cursor::new(&pages).get(id) {
                    series.unmark_cut();
                }
            }
            None => pages.for_each(|_, series| series.unmark_cut()),
        }
    }

    /// What is marked of a series.
    pub(crate) fn marked_chunks(&self, id: SeriesId) -> Vec<HeadChunk> {
        let pages = self.pages();
        let mut cursor = Cursor::new(&pages);
        let closed = cursor.get(id).and_then(|series| series.closed());
        let marked = closed.into_iter().flat_map(|closed| &closed.chunks).filter(|chunk| chunk.is_cut());
        marked.cloned().map(HeadChunk::Sealed).collect()
    }

    /// The series that have samples in a range, in order of labels.
    pub(crate) fn series_in(&self, (begin_ms, end_ms): (i64, i64)) -> Vec<(Labels, SeriesId)> {
        let range = kymo_model::TimeRange::from_millis(begin_ms, end_ms.saturating_sub(1));
        let mut found = Vec::new();
        self.pages().for_each(|id, series| {
            if series.overlaps(range) {
                found.push((series.labels().clone(), id));
            }
        });
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// All that a series has in a range, as it is now.
    pub(crate) fn chunks_in(&self, id: SeriesId, range: (i64, i64)) -> Vec<HeadChunk> {
        let pages = self.pages();
        let mut cursor = Cursor::new(&pages);
        cursor.get(id).map_or_else(Vec::new, |series| series.chunks_in(range))
    }

    /// The chunk files that marked chunks are in.
    pub(crate) fn files_of_marked(&self) -> BTreeSet<u32> {
        let mut files = BTreeSet::new();
        self.pages().for_each(|_, series| {
            let chunks = series.closed().into_iter().flat_map(|closed| &closed.chunks);
            files.extend(
                chunks
                    .filter(|chunk| chunk.is_cut())
                    .filter_map(|chunk| chunk.place())
                    .map(|place| place.file),
            );
        });
        files
    }

    /// Drops what is marked, and the series that have nothing left.
    ///
    /// The caller holds the writer, so that no series is being written to.
    pub(crate) fn drop_marked(&self) -> Left {
        let mut rescue = self.eras.rescue(&self.store);
        let left = self.take_out(|id, series| {
            let (chunks, samples, gone) = series.drop_cut();
            rescue.keep(id, gone);
            (chunks, samples)
        });
        rescue.finish();
        left
    }

    /// Lets `take` take something out of every series, and removes the series that have nothing left. It gives the numbers of
    /// chunks and of samples.
    ///
    /// The caller holds the writer, so that no series is being written to, and has begun a rescue.
    pub(super) fn take_out(&self, mut take: impl FnMut(SeriesId, &mut Series) -> (usize, usize)) -> Left {
        let (pages, era) = (self.pages(), self.eras.current());
        let mut directory = write(&self.directory);
        let (mut left, mut oldest_ms, mut went_back) = (Left::default(), i64::MAX, false);
        let dead = pages.take_out(|id, series| {
            let newest_ms = series.newest_ms();
            let (chunks, samples) = take(id, series);
            left.chunks += chunks;
            left.samples += samples;
            oldest_ms = oldest_ms.min(series.oldest_ms().unwrap_or(i64::MAX));
            let nothing_left = samples > 0 && series.oldest_ms().is_none();
            if nothing_left {
                era.keep_labels(id, series.labels());
            }
            went_back |= !nothing_left && series.newest_ms() != newest_ms;
            nothing_left
        });
        if went_back {
            self.remembered.forget();
        }
        self.min_ms.store(oldest_ms, Relaxed);
        self.samples.fetch_sub(left.samples as u64, Relaxed);
        self.chunks.fetch_sub(left.chunks as u64, Relaxed);
        left.series = dead.len();
        if dead.is_empty() {
            return left;
        }
        let ids: HashSet<u32> = dead.iter().map(|(id, _)| id.0).collect();
        let Directory { table, postings, live, .. } = &mut *directory;
        postings.remove(&ids, dead.iter().map(|(_, series)| series.labels()));
        let mut cursor = Cursor::new(&pages);
        table.rebuild_without_dead(|id| cursor.get(id).map(|series| series.labels().hash64()));
        *live -= dead.len();
        left
    }
}

impl Closed {
    /// The samples of the buffer in a range become chunks; how many.
    pub(super) fn seal_late_in(&mut self, (begin_ms, end_ms): (i64, i64)) -> usize {
        let from = self.late.partition_point(|(t_ms, _)| *t_ms < begin_ms);
        let to = self.late.partition_point(|(t_ms, _)| *t_ms < end_ms);
        let sealed = self.late.take_range(from..to.max(from));
        let chunks = super::value::late_chunks(&sealed);
        let count = chunks.len();
        chunks.into_iter().for_each(|chunk| self.add(chunk));
        count
    }
}

/// Is the chunk's beginning in the range? That is what it counts for.
pub(super) fn begins_in(chunk: &SealedChunk, (begin_ms, end_ms): (i64, i64)) -> bool {
    (begin_ms..end_ms).contains(&chunk.min_ms)
}

/// Gives back memory of a list that became shorter.
pub(super) fn tighten(closed: &mut Option<Arc<Closed>>) {
    match closed {
        Some(held) if held.chunks.is_empty() && held.late.is_empty() => *closed = None,
        Some(held) => {
            if let Some(held) = Arc::get_mut(held) {
                held.chunks.shrink_to_fit();
            }
        }
        None => {}
    }
}

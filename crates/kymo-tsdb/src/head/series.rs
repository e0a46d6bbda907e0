//! Series: its labels, the open chunk that takes samples, and the closed part. Order is judged here and nowhere else.

mod cut;
mod length;

use std::ops::RangeInclusive;
use std::sync::Arc;

use kymo_chunk::{Encoding, XorAppender};
use kymo_model::{Labels, Refusal, SampleValue, TimeRange};

use super::activity::Second;
use super::buffers::Buffers;
use super::closed::Closed;
use super::open::{Open, OpenHistograms};
use super::page::place;
use super::sealed::{Data, SealedChunk};
use super::value::{judge_same_time, value_in};
use crate::chunks::{ChunkPlace, ChunkStore};
use crate::index::SeriesId;
use crate::stats::MemoryStats;
use length::{FIRST_SAMPLES_MIN, SAMPLES_MAX};

/// No chunk crosses a multiple of this, so that blocks of two hours and more take chunks as they are.
const CHUNK_RANGE_MS: i64 = 2 * 3_600_000;

/// An open chunk that was filled at once has so much room for what comes next, at least and at most.
const OPEN_SPARE_BYTES: RangeInclusive<usize> = 32..=256;

/// So much is asked for; what is given may be a step more.
const OPEN_SPARE_WANTED: usize = 96;

/// In which two hours a time lies.
pub(crate) fn range_number(t_ms: i64) -> i64 {
    t_ms.div_euclid(CHUNK_RANGE_MS)
}

#[derive(Debug)]
pub(crate) struct Series {
    labels: Labels,
    open: Open,
    /// The time of the open chunk's first sample.
    open_min_ms: i64,
    closed: Option<Arc<Closed>>,
    /// How many chunks were opened before this one; with its first time it tells a select whether its chunk is still the open one.
    open_number: u16,
    /// From so many samples on the open chunk, if it is of floats, is full. 0 if that is not known, as it comes from a checkpoint.
    open_samples_max: u8,
    /// The same of the first chunk of each two hours.
    first_samples_max: u8,
    /// While a batch is judged, and a row of it was taken for this series: PENDING, and 1 + the index of the newest such row.
    /// Otherwise the second in which it was last written to.
    mark: u32,
}

const PENDING: u32 = !Second::MAX.number();

/// No batch can have more rows, so that [`Series::pending`] can count them.
pub(crate) const ROWS_MAX: usize = Second::MAX.number() as usize - 1;

/// What becomes of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Newer than all of its series.
    InOrder,
    /// Older than the newest, within the window.
    Late,
    /// Already there.
    Repeat,
    Refused(Refusal),
}

impl Series {
    pub(crate) fn new(id: SeriesId, labels: Labels) -> Series {
        // Series of a page are sealed together, so that their chunks lie behind one another in a file. Any two numbers without a common
        // divisor would do; these spread a few pages evenly.
        let early = (place(id).0 * 70 % usize::from(SAMPLES_MAX - FIRST_SAMPLES_MIN + 1)) as u8;
        Series {
            labels,
            open: Open::default(),
            open_min_ms: 0,
            closed: None,
            open_number: 0,
            open_samples_max: SAMPLES_MAX,
            first_samples_max: SAMPLES_MAX - early,
            mark: 0,
        }
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// While a batch is judged: 1 + the index of the newest row that was taken for this series. Otherwise 0.
    #[inline]
    pub(crate) fn pending(&self) -> u32 {
        if self.mark & PENDING == 0 { 0 } else { self.mark & !PENDING }
    }

    /// See [`Series::pending`]; stays until [`Series::touch`].
    #[inline]
    pub(crate) fn set_pending(&mut self, row: u32) {
        self.mark = PENDING | row;
    }

    /// It was written to now, and has no pending rows.
    #[inline]
    pub(crate) fn touch(&mut self, now: Second) {
        self.mark = now.number();
    }

    /// When it was last written to. Not while a batch is judged.
    pub(crate) fn written(&self) -> Second {
        Second::from_number(self.mark)
    }

    /// The newest sample; those out of order are all older.
    pub(crate) fn newest_ms(&self) -> Option<i64> {
        match self.open.newest_ms() {
            Some(t_ms) => Some(t_ms),
            None => self.closed.as_ref().and_then(|closed| closed.newest_in_order_ms()),
        }
    }

    /// The newest sample, if it is a float of the open chunk.
    pub(crate) fn newest_float(&self) -> Option<(i64, f64)> {
        match &self.open {
            Open::Floats(open) => open.last(),
            Open::Histograms(_) => None,
        }
    }

    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        let open = (!self.open.is_empty()).then_some(self.open_min_ms);
        let closed = self.closed.as_ref().and_then(|closed| closed.oldest_ms());
        open.into_iter().chain(closed).min()
    }

    /// Judged by the first and last sample.
    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        match (self.oldest_ms(), self.newest_ms()) {
            (Some(oldest), Some(newest)) => oldest <= range.max.millis() && range.min.millis() <= newest,
            (Some(oldest), None) => oldest <= range.max.millis(),
            _ => false,
        }
    }

    /// How many samples it has in the range at least, and how many chunks were looked at to know. Chunks that overlap may hold
    /// a sample twice, so late ones do not count.
    pub(crate) fn samples_at_least(&self, range: TimeRange) -> (u64, usize) {
        let (min_ms, max_ms) = (range.min.millis(), range.max.millis());
        let (mut samples, mut looked_at) = (0, 1);
        if let Some(closed) = self.closed() {
            let chunks = closed.chunks.iter().filter(|chunk| !chunk.late());
            samples = chunks
                .filter(|chunk| min_ms <= chunk.min_ms && chunk.max_ms() <= max_ms)
                .map(|chunk| u64::from(chunk.count))
                .sum();
            looked_at += closed.chunks.len();
        }
        if let Some((open_min_ms, _, open)) = self.open()
            && min_ms <= open_min_ms
            && open.newest_ms().is_some_and(|newest_ms| newest_ms <= max_ms)
        {
            samples += u64::from(open.len());
        }
        (samples, looked_at)
    }

    /// What is to become of a sample, given what the series holds.
    #[inline]
    pub(crate) fn judge(
        &self,
        t_ms: i64,
        value: &SampleValue,
        lateness: Lateness,
        store: &ChunkStore,
    ) -> Verdict {
        match self.open.newest_ms() {
            Some(newest_ms) if t_ms > newest_ms => Verdict::InOrder,
            _ => self.judge_slowly(t_ms, value, lateness, store),
        }
    }

    #[cold]
    fn judge_slowly(
        &self,
        t_ms: i64,
        value: &SampleValue,
        lateness: Lateness,
        store: &ChunkStore,
    ) -> Verdict {
        let Some(newest_ms) = self.newest_ms() else { return Verdict::InOrder };
        if t_ms > newest_ms {
            return Verdict::InOrder;
        }
        match self.value_at(t_ms, store) {
            Some(stored) => judge_same_time(&stored, value),
            None => lateness.judge(newest_ms, t_ms),
        }
    }

    /// Is there a sample at this time?
    pub(crate) fn has(&self, t_ms: i64, store: &ChunkStore) -> bool {
        self.value_at(t_ms, store).is_some()
    }

    fn value_at(&self, t_ms: i64, store: &ChunkStore) -> Option<SampleValue> {
        if let Open::Floats(open) = &self.open
            && let Some((newest_ms, value)) = open.last()
            && newest_ms == t_ms
        {
            return Some(SampleValue::Float(value));
        }
        if !self.open.is_empty()
            && t_ms >= self.open_min_ms
            && let Some(value) = value_in(self.open.encoding(), self.open.bytes(), t_ms)
        {
            return Some(value);
        }
        self.closed.as_ref().and_then(|closed| closed.value_at(t_ms, store))
    }

    /// Adds a sample that is newer than all others. How many chunks there are more than before.
    #[inline]
    pub(crate) fn push(&mut self, t_ms: i64, value: &SampleValue) -> usize {
        match value {
            SampleValue::Float(value) => self.push_float(t_ms, *value),
            histogram => self.push_histogram(t_ms, histogram),
        }
    }

    #[inline]
    fn push_float(&mut self, t_ms: i64, value: f64) -> usize {
        if self.open_samples_max == 0 {
            self.find_samples_max();
        }
        let begins = match &self.open {
            Open::Floats(open) if open.is_empty() => true,
            Open::Floats(open) if !self.is_full(open, t_ms) => false,
            _ => {
                self.seal();
                true
            }
        };
        if begins {
            self.begin(t_ms);
        }
        if let Open::Floats(open) = &mut self.open {
            open.push(t_ms, value);
        }
        usize::from(begins)
    }

    fn push_histogram(&mut self, t_ms: i64, value: &SampleValue) -> usize {
        if let Open::Histograms(open) = &mut self.open
            && range_number(t_ms) == range_number(self.open_min_ms)
            && open.push(t_ms, value)
        {
            return 0;
        }
        let next = OpenHistograms::begin(&self.open, t_ms, value);
        if !self.open.is_empty() {
            self.close_open();
        }
        self.open = Open::Histograms(Box::new(next));
        self.open_min_ms = t_ms;
        1
    }

    /// Adds the samples from the front as long as each is newer than all before it. How many were added, and how many chunks
    /// there are more than before.
    pub(crate) fn push_newer(&mut self, samples: &[(i64, f64)], buffers: &mut Buffers) -> (usize, usize) {
        let mut newest_ms = self.newest_ms();
        let newer =
            samples.iter().take_while(|(t_ms, _)| newest_ms.replace(*t_ms).is_none_or(|old| old < *t_ms));
        let count = newer.count();
        if count == 0 {
            return (0, 0);
        }
        if let Open::Histograms(_) = self.open {
            return (1, self.push_float(samples[0].0, samples[0].1));
        }
        if self.open_samples_max == 0 {
            self.find_samples_max();
        }
        let Open::Floats(mut open) = std::mem::take(&mut self.open) else { return (0, 0) };
        buffers.work.reserve(XorAppender::ROOMY_BYTES);
        let mut own = open.move_to(std::mem::take(&mut buffers.work));
        let mut chunks = 0;
        let mut rest = &samples[..count];
        while let Some((t_ms, _)) = rest.first() {
            let empty = open.is_empty();
            let full = self.is_full(&open, *t_ms);
            if !empty && full {
                let max_ms = open.last().map_or(self.open_min_ms, |(t_ms, _)| t_ms);
                self.close(max_ms, open.len(), Encoding::Xor, open.bytes());
                open = XorAppender::with_buffer(open.into_bytes());
            }
            if empty || full {
                self.begin(*t_ms);
                chunks += 1;
            }
            // The last range of all has no end that could be told; its samples may be added one by one.
            let end_ms = self.range_end_ms();
            let room = &rest[..rest.len().min(self.fits(&open))];
            let fitting = room.partition_point(|(t_ms, _)| *t_ms < end_ms).max(1);
            let (now, later) = rest.split_at(fitting);
            open.push_all(now.iter().copied());
            rest = later;
        }
        if !OPEN_SPARE_BYTES.contains(&own.capacity().saturating_sub(open.bytes().len())) {
            buffers.give_back(own);
            own = buffers.take(open.bytes().len() + OPEN_SPARE_WANTED);
        }
        buffers.work = open.move_to(own);
        self.open = Open::Floats(open);
        (count, chunks)
    }

    /// Adds a sample that was judged to be out of order. How many chunks there are more than before.
    pub(crate) fn push_late(&mut self, t_ms: i64, value: SampleValue) -> usize {
        Arc::make_mut(self.closed.get_or_insert_default()).add_late(t_ms, value)
    }

    /// Closes the open chunk and begins one of floats.
    fn seal(&mut self) {
        self.close_open();
        match &mut self.open {
            Open::Floats(open) => *open = XorAppender::new(),
            histograms @ Open::Histograms(_) => *histograms = Open::default(),
        }
    }

    /// Adds the open chunk to the closed ones. The caller begins another.
    fn close_open(&mut self) {
        let (min_ms, open) = (self.open_min_ms, &self.open);
        let max_ms = open.newest_ms().unwrap_or(min_ms);
        let chunk = SealedChunk::new(min_ms, max_ms, open.len(), false, open.encoding(), open.bytes());
        self.add_closed(chunk);
    }

    fn close(&mut self, max_ms: i64, count: u16, encoding: Encoding, bytes: &[u8]) {
        self.add_closed(SealedChunk::new(self.open_min_ms, max_ms, count, false, encoding, bytes));
    }

    fn add_closed(&mut self, chunk: SealedChunk) {
        Arc::make_mut(self.closed.get_or_insert_default()).add(chunk);
        self.open_number = self.open_number.wrapping_add(1);
    }

    /// Adds a chunk that was read from a file.
    pub(crate) fn restore(&mut self, chunk: SealedChunk) {
        Arc::make_mut(self.closed.get_or_insert_default()).add(chunk);
    }

    /// Takes up an open chunk that was read from a checkpoint; says whether it could.
    pub(crate) fn restore_open(&mut self, min_ms: i64, encoding: Encoding, bytes: &[u8]) -> bool {
        let Some(open) = Open::resume(encoding, bytes) else { return false };
        self.open = open;
        self.open_min_ms = min_ms;
        self.open_samples_max = 0;
        true
    }

    /// The open chunk: the time of its first sample, its number, its bytes. `None` when it has no samples.
    pub(crate) fn open(&self) -> Option<(i64, u16, &Open)> {
        (!self.open.is_empty()).then_some((self.open_min_ms, self.open_number, &self.open))
    }

    pub(crate) fn closed(&self) -> Option<&Arc<Closed>> {
        self.closed.as_ref()
    }

    /// A sealed chunk goes from where it is to a place in a chunk file, unless it is gone. A select that holds it keeps what it
    /// has.
    pub(crate) fn move_chunk(&mut self, min_ms: i64, from: &Data, to: ChunkPlace) {
        if let Some(closed) = &mut self.closed {
            Arc::make_mut(closed).move_chunk(min_ms, from, to);
        }
    }

    /// The closed part, to be changed; a select that holds it keeps what it has.
    pub(super) fn closed_mut(&mut self) -> Option<&mut Closed> {
        self.closed.as_mut().map(Arc::make_mut)
    }

    /// Drops what ends before the cutoff. The numbers of chunks and of samples dropped, and whether nothing is left.
    pub(crate) fn drop_before(&mut self, cutoff_ms: i64) -> (usize, usize, bool) {
        let (mut chunks, mut samples) = (0, 0);
        if self
            .closed
            .as_ref()
            .is_some_and(|closed| closed.oldest_ms().is_some_and(|oldest| oldest < cutoff_ms))
            && let Some(closed) = self.closed_mut()
        {
            (chunks, samples) = closed.drop_before(cutoff_ms);
            if closed.chunks.is_empty() && closed.late.is_empty() {
                self.closed = None;
            }
        }
        let nothing_left = self.closed.is_none() && self.open.newest_ms().is_none_or(|t_ms| t_ms < cutoff_ms);
        if nothing_left && !self.open.is_empty() {
            chunks += 1;
            samples += usize::from(self.open.len());
        }
        (chunks, samples, nothing_left)
    }

    /// Bytes of sealed chunks that are in no file yet.
    pub(crate) fn unspilled_bytes(&self) -> usize {
        let chunks = self.closed.iter().flat_map(|closed| closed.chunks.iter());
        chunks.map(SealedChunk::heap_bytes).sum()
    }

    /// Bytes of encoded samples.
    pub(crate) fn chunk_bytes(&self) -> usize {
        let closed = self.closed.as_ref();
        let sealed: usize =
            closed.map_or(0, |closed| closed.chunks.iter().map(SealedChunk::data_bytes).sum());
        sealed + if self.open.is_empty() { 0 } else { self.open.bytes().len() }
    }

    pub(crate) fn add_memory(&self, memory: &mut MemoryStats) {
        memory.series += 1;
        memory.series_bytes += size_of::<Option<Series>>() as u64;
        memory.labels_bytes += self.labels.heap_bytes() as u64;
        memory.open_bytes += self.open.heap_bytes() as u64;
        if let Some(closed) = &self.closed {
            let chunks: usize = closed.chunks.iter().map(SealedChunk::memory_bytes).sum();
            let spare = (closed.chunks.capacity() - closed.chunks.len()) * size_of::<SealedChunk>();
            memory.sealed_bytes += (chunks + spare + size_of::<Closed>() + 2 * size_of::<usize>()) as u64;
            memory.late_bytes += closed.late.heap_bytes() as u64;
        }
    }
}

/// How late a sample may be. Counted from the newest of its series, or from the clock when that sample is ahead of it: a clock
/// that was wrong for a while leaves samples in the future, and no series is to wait until the future has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lateness {
    pub(crate) window_ms: i64,
    pub(crate) now_ms: i64,
}

impl Lateness {
    /// Nothing is too late.
    pub(crate) const ANY: Lateness = Lateness { window_ms: i64::MAX, now_ms: i64::MAX };

    /// A sample older than the newest, at a time that is free.
    pub(crate) fn judge(self, newest_ms: i64, t_ms: i64) -> Verdict {
        if self.window_ms <= 0 {
            Verdict::Refused(Refusal::OutOfOrder)
        } else if newest_ms.min(self.now_ms).saturating_sub(t_ms) > self.window_ms {
            Verdict::Refused(Refusal::TooOld)
        } else {
            Verdict::Late
        }
    }
}

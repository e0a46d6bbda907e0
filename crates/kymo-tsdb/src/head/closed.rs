//! The closed part of a series: sealed chunks, and the buffer of samples that came out of order. Shared with selects by
//! reference count and copied when it changes while a select holds it.

use std::sync::Arc;

use kymo_chunk::Encoding;
use kymo_model::{SampleValue, TimeRange};

use super::series::range_number;
use super::value::{late_chunks, value_in};

/// A chunk that takes no more samples.
#[derive(Clone, Debug)]
pub(crate) struct SealedChunk {
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
    pub(crate) count: u16,
    kind: Kind,
    pub(crate) flush: Flush,
    /// The number of the chunk file it is in, unless it is unwritten. Numbers that do not fit are all the highest one.
    pub(crate) file: u32,
    /// On the heap for now; that this is the only place that knows keeps the door open for files.
    data: Arc<[u8]>,
}

/// Is a sealed chunk in a chunk file that a checkpoint has made part of the database?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    Unwritten,
    /// Written by the checkpoint that is being made.
    Written,
    Durable,
}

/// The encoding, and above it whether its samples came out of order.
#[derive(Clone, Copy, Debug)]
struct Kind(u8);

const LATE: u8 = 1 << 7;

const _: () = assert!(size_of::<SealedChunk>() <= 40, "there are very many");

/// The number of a chunk file as chunks keep it.
pub(crate) fn file_tag(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl SealedChunk {
    pub(crate) fn new(
        min_ms: i64,
        max_ms: i64,
        count: u16,
        late: bool,
        encoding: Encoding,
        data: &[u8],
    ) -> SealedChunk {
        let kind = Kind(encoding.to_byte() | if late { LATE } else { 0 });
        SealedChunk { min_ms, max_ms, count, kind, flush: Flush::Unwritten, file: 0, data: Arc::from(data) }
    }

    /// Did its samples come out of order, so that it may overlap others?
    pub(crate) fn late(&self) -> bool {
        self.kind.0 & LATE != 0
    }

    pub(crate) fn encoding(&self) -> Encoding {
        Encoding::from_byte(self.kind.0 & !LATE).expect("BUG: it was made of an encoding")
    }

    /// The same chunk, read from a chunk file.
    pub(crate) fn in_file(self, number: u64) -> SealedChunk {
        SealedChunk { flush: Flush::Durable, file: file_tag(number), ..self }
    }

    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        self.min_ms <= range.max.millis() && range.min.millis() <= self.max_ms
    }

    /// Its encoded samples.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// What it takes in memory, its description included.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<SealedChunk>() + 2 * size_of::<usize>() + self.data.len()
    }
}

/// From so many samples on the buffer becomes a chunk.
const LATE_SAMPLES_MAX: usize = 120;

#[derive(Clone, Debug, Default)]
pub(crate) struct Closed {
    /// Sorted by `min_ms`; those in order overlap nothing but late ones.
    pub(crate) chunks: Vec<SealedChunk>,
    /// Samples out of order, sorted by time.
    pub(crate) late: Vec<(i64, SampleValue)>,
}

impl Closed {
    /// The newest sample that was in order.
    pub(crate) fn newest_in_order_ms(&self) -> Option<i64> {
        self.chunks.iter().rev().find(|chunk| !chunk.late()).map(|chunk| chunk.max_ms)
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
        let late = std::mem::take(&mut self.late);
        let mut sealed = 0;
        for run in late.chunk_by(|(a, _), (b, _)| range_number(*a) == range_number(*b)) {
            for chunk in late_chunks(run) {
                self.add(chunk);
                sealed += 1;
            }
        }
        sealed
    }

    /// The value at a time, if there is one.
    pub(crate) fn value_at(&self, t_ms: i64) -> Option<SampleValue> {
        if let Ok(at) = self.late.binary_search_by_key(&t_ms, |(t_ms, _)| *t_ms) {
            return Some(self.late[at].1.clone());
        }
        let only = TimeRange::from_millis(t_ms, t_ms);
        self.chunks
            .iter()
            .filter(|chunk| chunk.overlaps(only))
            .find_map(|chunk| value_in(chunk.encoding(), chunk.bytes(), t_ms))
    }

    /// The chunk files of the chunks that end before a time.
    pub(crate) fn files_before(&self, cutoff_ms: i64) -> impl Iterator<Item = u32> {
        let old = self.chunks.iter().filter(move |chunk| chunk.max_ms < cutoff_ms);
        old.filter(|chunk| chunk.flush != Flush::Unwritten).map(|chunk| chunk.file)
    }

    /// Drops what ends before the cutoff; gives the numbers of chunks and of samples dropped.
    pub(crate) fn drop_before(&mut self, cutoff_ms: i64) -> (usize, usize) {
        let (mut chunks, mut samples) = (0, 0);
        self.chunks.retain(|chunk| {
            let keep = chunk.max_ms >= cutoff_ms;
            if !keep {
                chunks += 1;
                samples += usize::from(chunk.count);
            }
            keep
        });
        let late = self.late.partition_point(|(t_ms, _)| *t_ms < cutoff_ms);
        self.late.drain(..late);
        (chunks, samples + late)
    }
}

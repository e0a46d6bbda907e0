//! SealedChunk: a chunk that takes no more samples, on the heap or in a chunk file. There are very many, so it is small.

use std::sync::Arc;

use kymo_chunk::Encoding;
use kymo_model::{SampleValue, TimeRange};

use super::series::range_number;
use super::value::value_in;
use crate::chunks::{ChunkPlace, ChunkRecord, ChunkState, ChunkStore};
use crate::frame::RECORD_HEADER_BYTES;
use crate::index::SeriesId;

#[derive(Clone, Debug)]
pub(crate) struct SealedChunk {
    pub(crate) min_ms: i64,
    data: Data,
    /// From the first sample to the last in the lower 24 bits, and above them the encoding and whether its samples came out of
    /// order.
    span_and_kind: u32,
    pub(crate) count: u16,
    /// How many bytes the encoded samples have; longer ones are all the highest number.
    data_bytes: u16,
}

/// Where the encoded samples are.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// Not in any file yet.
    Heap(Arc<[u8]>),
    File(ChunkPlace),
}

const _: () = assert!(size_of::<SealedChunk>() <= 32, "there are very many");

const LATE: u8 = 1 << 7;
/// On its way to a block.
const CUT: u8 = 1 << 6;
const SPAN_BITS: u32 = 24;

impl SealedChunk {
    /// No chunk is longer: none crosses a multiple of two hours.
    pub(crate) const SPAN_MS_MAX: i64 = (1 << SPAN_BITS) - 1;

    /// A chunk on the heap. It spans at most [`SealedChunk::SPAN_MS_MAX`].
    pub(crate) fn new(
        min_ms: i64,
        max_ms: i64,
        count: u16,
        late: bool,
        encoding: Encoding,
        data: &[u8],
    ) -> SealedChunk {
        let heap = Data::Heap(Arc::from(data));
        SealedChunk::with_data((min_ms, max_ms), count, late, encoding, data.len(), heap)
    }

    /// A chunk of so many bytes that are somewhere.
    pub(crate) fn with_data(
        (min_ms, max_ms): (i64, i64),
        count: u16,
        late: bool,
        encoding: Encoding,
        data_bytes: usize,
        data: Data,
    ) -> SealedChunk {
        let span_ms = max_ms - min_ms;
        assert!((0..=SealedChunk::SPAN_MS_MAX).contains(&span_ms), "BUG: a chunk of {span_ms} ms");
        let kind = encoding.to_byte() | if late { LATE } else { 0 };
        let span_and_kind = span_ms as u32 | u32::from(kind) << SPAN_BITS;
        let data_bytes = u16::try_from(data_bytes).unwrap_or(u16::MAX);
        SealedChunk { min_ms, data, span_and_kind, count, data_bytes }
    }

    pub(crate) fn max_ms(&self) -> i64 {
        self.min_ms + i64::from(self.span_and_kind & ((1 << SPAN_BITS) - 1))
    }

    fn kind(&self) -> u8 {
        (self.span_and_kind >> SPAN_BITS) as u8
    }

    /// Did its samples come out of order, so that it may overlap others?
    pub(crate) fn late(&self) -> bool {
        self.kind() & LATE != 0
    }

    pub(crate) fn encoding(&self) -> Encoding {
        Encoding::from_byte(self.kind() & !(LATE | CUT)).expect("BUG: it was made of an encoding")
    }

    /// Is it on its way to a block?
    pub(crate) fn is_cut(&self) -> bool {
        self.kind() & CUT != 0
    }

    pub(crate) fn set_cut(&mut self, cut: bool) {
        let bit = u32::from(CUT) << SPAN_BITS;
        self.span_and_kind = if cut { self.span_and_kind | bit } else { self.span_and_kind & !bit };
    }

    /// Is it the same chunk? Its place may have changed since.
    pub(crate) fn is(&self, other: &SealedChunk) -> bool {
        let same_data = match (&self.data, &other.data) {
            (Data::Heap(mine), Data::Heap(other)) => Arc::ptr_eq(mine, other),
            (Data::File(mine), Data::File(other)) => mine == other,
            _ => false,
        };
        same_data && self.min_ms == other.min_ms
    }

    /// In which two hours it lies.
    pub(crate) fn range(&self) -> i64 {
        range_number(self.min_ms)
    }

    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        self.min_ms <= range.max.millis() && range.min.millis() <= self.max_ms()
    }

    pub(crate) fn data(&self) -> &Data {
        &self.data
    }

    /// Its place, if it is in a file.
    pub(crate) fn place(&self) -> Option<ChunkPlace> {
        match self.data {
            Data::Heap(_) => None,
            Data::File(place) => Some(place),
        }
    }

    /// About how many bytes the encoded samples have: exactly, unless there are more than 65,534.
    pub(crate) fn data_bytes(&self) -> usize {
        match &self.data {
            Data::Heap(data) => data.len(),
            Data::File(_) => usize::from(self.data_bytes),
        }
    }

    /// How many bytes its record has in a chunk file, if it is the chunk of this series; at least so many where the chunk is too long
    /// for its length to be known.
    pub(crate) fn record_bytes(&self, id: SeriesId) -> u64 {
        let state = if self.late() { ChunkState::SealedLate } else { ChunkState::Sealed };
        let (encoding, min_ms, max_ms) = (self.encoding(), self.min_ms, self.max_ms());
        let mut description = Vec::new();
        ChunkRecord { id, state, encoding, min_ms, max_ms, data: &[] }.put(&mut description);
        (RECORD_HEADER_BYTES + description.len() + self.data_bytes()) as u64
    }

    /// How many bytes the encoded samples have on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.data {
            Data::Heap(data) => data.len(),
            Data::File(_) => 0,
        }
    }

    /// Goes from the heap, where it has these bytes, to a place; says whether it is that chunk.
    pub(crate) fn move_to(&mut self, from: &Data, place: ChunkPlace) -> bool {
        let same = match (&self.data, from) {
            (Data::Heap(mine), Data::Heap(other)) => Arc::ptr_eq(mine, other),
            (Data::File(mine), Data::File(other)) => mine == other,
            _ => false,
        };
        if same {
            self.data = Data::File(place);
        }
        same
    }

    /// The value at a time. What cannot be read holds no value to compare with; a select says what is wrong with it.
    pub(crate) fn value_at(&self, t_ms: i64, store: &ChunkStore) -> Option<SampleValue> {
        match &self.data {
            Data::Heap(data) => value_in(self.encoding(), data, t_ms),
            Data::File(place) => {
                let (bytes, range) = store.read_one(&store.set(), *place, self.data_bytes()).ok()?;
                value_in(self.encoding(), &bytes[range], t_ms)
            }
        }
    }

    /// What it takes in memory, its description included.
    pub(crate) fn memory_bytes(&self) -> usize {
        let heap = match &self.data {
            Data::Heap(data) => 2 * size_of::<usize>() + data.len(),
            Data::File(_) => 0,
        };
        size_of::<SealedChunk>() + heap
    }
}

//! How long the open chunk of floats becomes: at most 120 samples or 1,005 bytes, none across a multiple of two hours, and the first
//! one of each two hours shorter.

use kymo_chunk::XorAppender;

use super::{CHUNK_RANGE_MS, Series, range_number};

/// How many samples and bytes end a chunk.
pub(super) const SAMPLES_MAX: u8 = 120;
const BYTES_MAX: usize = 1005;

/// No sample is longer.
const SAMPLE_BYTES_MAX: usize = 20;

/// The first chunk of each two hours ends after so many samples at least.
pub(super) const FIRST_SAMPLES_MIN: u8 = 8;

impl Series {
    /// Does a sample of this time belong into another chunk?
    #[inline]
    pub(super) fn is_full(&self, open: &XorAppender, t_ms: i64) -> bool {
        let many = open.len() >= u16::from(self.open_samples_max) && self.is_full_of_samples(open);
        many || open.bytes().len() > BYTES_MAX || t_ms >= self.range_end_ms()
    }

    /// The end of the two hours in which the open chunk began.
    #[inline]
    pub(super) fn range_end_ms(&self) -> i64 {
        self.open_min_ms.saturating_add(CHUNK_RANGE_MS - self.open_min_ms.rem_euclid(CHUNK_RANGE_MS))
    }

    /// So many samples of the same range can be pushed, at least one, before the open chunk may be full. It is not now.
    pub(super) fn fits(&self, open: &XorAppender) -> usize {
        let (count, full) = (open.len(), u16::from(self.open_samples_max));
        let samples = if count < full { full } else { u16::from(SAMPLES_MAX) } - count;
        let bytes = BYTES_MAX.saturating_sub(open.bytes().len()) / SAMPLE_BYTES_MAX + 1;
        bytes.min(usize::from(samples))
    }

    /// The first chunk of a range ends early only where a whole one fits into the range behind it: otherwise there would be one more
    /// for nothing.
    #[cold]
    fn is_full_of_samples(&self, open: &XorAppender) -> bool {
        let count = i64::from(open.len());
        let newest_ms = open.last().map_or(self.open_min_ms, |(t_ms, _)| t_ms);
        let left_ms = CHUNK_RANGE_MS - newest_ms.rem_euclid(CHUNK_RANGE_MS);
        let whole_ms = (newest_ms - self.open_min_ms) / (count - 1).max(1) * i64::from(SAMPLES_MAX);
        count >= i64::from(SAMPLES_MAX) || left_ms >= whole_ms
    }

    /// A chunk begins. How long the first one of a range is depends on the page: so not all series have their longest chunks at the
    /// same time, and not all are sealed by the same scrape.
    pub(super) fn begin(&mut self, t_ms: i64) {
        let is_first = self.open_number == 0 || range_number(t_ms) != range_number(self.open_min_ms);
        self.open_min_ms = t_ms;
        self.open_samples_max = if is_first { self.first_samples_max } else { SAMPLES_MAX };
    }

    /// The open chunk comes from a checkpoint: is it the first one of its range?
    #[cold]
    pub(super) fn find_samples_max(&mut self) {
        let range = range_number(self.open_min_ms);
        let closed = self.closed.iter().flat_map(|closed| &closed.chunks);
        let is_first = closed.filter(|chunk| !chunk.late()).all(|chunk| chunk.range() != range);
        self.open_samples_max = if is_first { self.first_samples_max } else { SAMPLES_MAX };
    }
}

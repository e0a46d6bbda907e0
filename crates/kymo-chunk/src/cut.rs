//! CutPolicy: when a chunk is full. Write path: the head asks before each push; the appender itself never cuts.
//!
//! Prometheus aims at 120 samples and spreads a block's time evenly over its chunks; 240 samples or 1,005 bytes end a chunk
//! in any case. 1,005 bytes plus the largest sample (19 bytes) stay below 1,024.

use crate::XorAppender;

/// No sample has more bytes, the first two with their longer times included.
const SAMPLE_BYTES_MAX: usize = 20;

/// The bounds of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutPolicy {
    /// How many samples a chunk should have.
    pub samples_target: u16,
    /// How many it may have when the time planned by [`CutPolicy::end_ms`] has not come yet.
    pub samples_max: u16,
    /// A chunk with more bytes than this gets no further sample.
    pub bytes_max: usize,
}

impl Default for CutPolicy {
    fn default() -> CutPolicy {
        CutPolicy { samples_target: 120, samples_max: 240, bytes_max: 1005 }
    }
}

impl CutPolicy {
    /// Must the next sample go into a new chunk, whatever its time?
    ///
    /// A head without block ranges cuts at the target: `samples_max` equal to `samples_target`.
    #[inline]
    pub fn is_full(&self, chunk: &XorAppender) -> bool {
        chunk.len() >= self.samples_max || chunk.bytes().len() > self.bytes_max
    }

    /// How many samples can be added before [`CutPolicy::is_full`] has to be asked again: 0 when it is full.
    ///
    /// ```
    /// let policy = kymo_chunk::CutPolicy::default();
    /// let mut chunk = kymo_chunk::XorAppender::new();
    /// chunk.push_all((0..1000).map(|i| (i * 1000, 0.5)).take(policy.room(&chunk)));
    /// assert!(!policy.is_full(&chunk));
    /// ```
    #[inline]
    pub fn room(&self, chunk: &XorAppender) -> usize {
        if self.is_full(chunk) {
            return 0;
        }
        let bytes = self.bytes_max - chunk.bytes().len();
        usize::from(self.samples_max - chunk.len()).min(1 + bytes / SAMPLE_BYTES_MAX)
    }

    /// Has the chunk a quarter of its samples, so that its rate is known and [`CutPolicy::end_ms`] is worth asking?
    pub fn knows_rate(&self, chunk: &XorAppender) -> bool {
        chunk.len() == self.samples_target / 4
    }

    /// The time from which samples go into the next chunk, so that the chunks up to `block_end_ms` come out equally long.
    ///
    /// To be asked once per chunk, when [`CutPolicy::knows_rate`]. `start_ms` is the first sample, `now_ms` the newest.
    ///
    /// ```
    /// // 30 samples in 435 s: 120 take about half an hour, and two hours divide into four such chunks.
    /// let end_ms = kymo_chunk::CutPolicy::default().end_ms(0, 435_000, 7_200_000);
    /// assert_eq!(end_ms, 1_800_000);
    /// ```
    pub fn end_ms(&self, start_ms: i64, now_ms: i64, block_end_ms: i64) -> i64 {
        let whole_ms = block_end_ms as f64 - start_ms as f64;
        let chunks = whole_ms / ((now_ms as f64 - start_ms as f64 + 1.0) * 4.0);
        // Not a number, or at most one chunk: the block's end is the chunk's end.
        if chunks > 1.0 { (start_ms as f64 + whole_ms / chunks.floor()) as i64 } else { block_end_ms }
    }
}

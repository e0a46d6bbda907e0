//! Ahead: what a select has read of the segments of a block. Neighbouring series lie behind one another there and are read in
//! that order, so whoever reads the few chunks of one reads on, and the next series cost no read of their own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::index::ChunkMeta;
use crate::lock::lock;

/// At most so much is read for the chunks of other series.
const WINDOW_BYTES_MAX: u64 = 64 << 10;

/// Where a series takes more than this, reading on spares little.
const OWN_BYTES_MAX: u64 = WINDOW_BYTES_MAX / 4;

/// From the beginning of a chunk to that of the next one which is worth reading on to.
const STRIDE_BYTES_MAX: u64 = 6 << 10;

/// So many windows are kept: one for each thread of a few, as a select has them for each block.
const WINDOWS_MAX: usize = 4;

/// A stretch of a segment, between references.
#[derive(Debug)]
pub(super) struct Window {
    /// Of the chunk with which it begins.
    pub(super) start: u64,
    /// Of the last chunk for which it was read.
    pub(super) last: u64,
    pub(super) bytes: Vec<u8>,
}

impl Window {
    /// The bytes from a chunk on; none, if it lies behind them.
    pub(super) fn from(&self, reference: u64) -> &[u8] {
        let at = reference.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.bytes.get(at..)).unwrap_or(&[])
    }
}

/// The windows that were read last.
#[derive(Debug, Default)]
pub(super) struct Windows {
    kept: Mutex<VecDeque<Arc<Window>>>,
}

impl Windows {
    /// One that has all chunks from the first to the last.
    pub(super) fn find(&self, first: u64, last: u64) -> Option<Arc<Window>> {
        let kept = lock(&self.kept);
        kept.iter().find(|window| window.start <= first && last <= window.last).cloned()
    }

    pub(super) fn keep(&self, window: Arc<Window>) {
        let mut kept = lock(&self.kept);
        if kept.len() == WINDOWS_MAX {
            kept.pop_back();
        }
        kept.push_front(window);
    }
}

/// The last chunk that should be read with those from `first` to `last`, of those that will be wanted next.
pub(super) fn last_of_neighbours(first: u64, last: u64, next: &[ChunkMeta]) -> u64 {
    if last - first > OWN_BYTES_MAX {
        return last;
    }
    let mut end = last;
    for ChunkMeta { reference, .. } in next {
        // Another segment is far away.
        let is_near = *reference > end && *reference - end <= STRIDE_BYTES_MAX;
        if !is_near || *reference - first > WINDOW_BYTES_MAX {
            break;
        }
        end = *reference;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(references: &[u64]) -> Vec<ChunkMeta> {
        references.iter().map(|reference| ChunkMeta { min_ms: 0, max_ms: 0, reference: *reference }).collect()
    }

    #[test]
    fn neighbours_that_are_near() {
        assert_eq!(last_of_neighbours(8, 300, &[]), 300);
        assert_eq!(last_of_neighbours(8, 300, &chunks(&[600, 900, 8000, 8300])), 900);
        // Not back, not into another segment.
        assert_eq!(last_of_neighbours(8000, 8300, &chunks(&[100])), 8300);
        assert_eq!(last_of_neighbours(8000, 8300, &chunks(&[1 << 32 | 8400])), 8300);
        // No more than a window, and nothing behind what is large itself.
        let many: Vec<u64> = (1..100).map(|number| number * 1000).collect();
        assert_eq!(last_of_neighbours(8, 300, &chunks(&many)), 65_000);
        assert_eq!(last_of_neighbours(8, 20_000, &chunks(&[20_300])), 20_000);
    }

    #[test]
    fn windows_are_few() {
        let windows = Windows::default();
        for number in 0..6 {
            let start = number << 20;
            windows.keep(Arc::new(Window { start, last: start + 500, bytes: vec![number as u8; 700] }));
        }
        let find = |first, last| windows.find(first, last).map(|window| window.start >> 20);
        assert_eq!(find(5 << 20, (5 << 20) + 500), Some(5));
        assert_eq!(find((2 << 20) + 100, (2 << 20) + 200), Some(2));
        assert_eq!(find((2 << 20) + 100, (2 << 20) + 501), None);
        assert_eq!(find(1 << 20, 1 << 20), None);
        let window = windows.find(3 << 20, 3 << 20).unwrap();
        assert_eq!(window.from((3 << 20) + 600), [3; 100]);
        assert_eq!(window.from((3 << 20) + 800), [0; 0]);
        assert_eq!(window.from(0), [0; 0]);
    }
}

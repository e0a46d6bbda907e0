//! Unspilled: which series have sealed chunks that are in no file yet, and about how many bytes these are. So that a spill looks
//! at these series only.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::index::SeriesId;
use crate::lock::lock;

#[derive(Debug, Default)]
pub(crate) struct Unspilled {
    /// A series may be in it twice.
    series: Mutex<Vec<SeriesId>>,
    bytes: AtomicU64,
}

impl Unspilled {
    /// These series have chunks on the heap, of so many bytes.
    pub(crate) fn add(&self, series: &[SeriesId], bytes: u64) {
        if !series.is_empty() {
            lock(&self.series).extend_from_slice(series);
            self.bytes.fetch_add(bytes, Relaxed);
        }
    }

    /// How many bytes at most.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Takes the list, in order; who could not spill a series adds it again.
    pub(crate) fn take(&self) -> Vec<SeriesId> {
        let mut list = lock(&self.series);
        let mut series = std::mem::take(&mut *list);
        self.bytes.store(0, Relaxed);
        drop(list);
        series.sort_unstable();
        series.dedup();
        series
    }
}

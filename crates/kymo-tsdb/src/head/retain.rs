//! Retention: what ends before a cutoff leaves the head, and series that have nothing left leave with it.

use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

use super::{Cursor, Directory, Head, Series};
use crate::index::SeriesId;
use crate::lock::write;

/// What a cutoff took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) series: usize,
    pub(crate) chunks: usize,
    pub(crate) samples: usize,
}

impl Head {
    /// Drops chunks whose newest sample is before the cutoff, and series without any sample at or after it.
    ///
    /// The caller holds the writer, so that no series is being written to.
    pub(crate) fn drop_before(&self, cutoff_ms: i64) -> Dropped {
        let mut dropped = Dropped::default();
        if self.time().is_none_or(|time| time.min.millis() >= cutoff_ms) {
            return dropped;
        }
        let pages = self.pages();
        let mut directory = write(&self.directory);
        let mut oldest_ms = i64::MAX;
        let dead: Vec<(SeriesId, Series)> = pages.take_out(|_, series| {
            let (chunks, samples, nothing_left) = series.drop_before(cutoff_ms);
            dropped.chunks += chunks;
            dropped.samples += samples;
            if !nothing_left {
                oldest_ms = oldest_ms.min(series.oldest_ms().unwrap_or(i64::MAX));
            }
            nothing_left
        });
        self.min_ms.store(oldest_ms, Relaxed);
        self.samples.fetch_sub(dropped.samples as u64, Relaxed);
        self.chunks.fetch_sub(dropped.chunks as u64, Relaxed);
        dropped.series = dead.len();
        if dead.is_empty() {
            return dropped;
        }
        let ids: HashSet<u32> = dead.iter().map(|(id, _)| id.0).collect();
        let Directory { table, postings, live, .. } = &mut *directory;
        postings.remove(&ids, dead.iter().map(|(_, series)| series.labels()));
        let mut cursor = Cursor::new(&pages);
        table.rebuild_without_dead(|id| cursor.get(id).map(|series| series.labels().hash64()));
        *live -= dead.len();
        dropped
    }
}

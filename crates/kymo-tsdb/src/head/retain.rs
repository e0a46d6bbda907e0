//! Retention: what ends before a cutoff leaves the head, and series that have nothing left leave with it.
//!
//! Each series has its own cutoff. One that is being written to is judged by its own newest sample, so that old data can be
//! loaded beside new; one that is idle by the newest of all, so that what is gone for good leaves at last.

use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

use super::activity::{IDLE_S, Second};
use super::{Cursor, Directory, Head, Series};
use crate::index::SeriesId;
use crate::lock::write;

/// Before which time samples are dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cutoffs {
    /// For every series: what retention by bytes asks for.
    pub(crate) floor_ms: i64,
    /// Nothing of a series is older than its newest sample by more than this.
    pub(crate) retention_ms: i64,
    /// No sample counts as newer than this.
    pub(crate) now_ms: i64,
    /// Tells which series are idle.
    pub(crate) second: Second,
}

impl Cutoffs {
    /// For series that are idle, when `newest_ms` is the newest sample of all. No series has a later cutoff.
    pub(crate) fn of_idle(&self, newest_ms: i64) -> i64 {
        newest_ms.min(self.now_ms).saturating_sub(self.retention_ms).max(self.floor_ms)
    }

    fn of(&self, series: &Series, of_idle_ms: i64) -> i64 {
        if self.second.idle_s(series.written()) >= IDLE_S {
            return of_idle_ms;
        }
        series.newest_ms().map_or(self.floor_ms, |newest_ms| self.of_idle(newest_ms))
    }
}

/// What the cutoffs took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) series: usize,
    pub(crate) chunks: usize,
    pub(crate) samples: usize,
    /// The chunk files that hold chunks which are older than the cutoff of idle series and stay all the same.
    pub(crate) needed_files: HashSet<u32>,
}

impl Head {
    /// Visits the newest sample of each series that is being written to.
    pub(crate) fn for_each_written(&self, now: Second, mut visit: impl FnMut(i64)) {
        self.pages().for_each(|_, series| {
            if now.idle_s(series.written()) < IDLE_S
                && let Some(newest_ms) = series.newest_ms()
            {
                visit(newest_ms);
            }
        });
    }

    /// Drops chunks whose newest sample is before the cutoff of their series, and series without any sample at or after it.
    ///
    /// The caller holds the writer, so that no series is being written to.
    pub(crate) fn drop_before(&self, cutoffs: &Cutoffs) -> Dropped {
        let mut dropped = Dropped::default();
        let of_idle_ms = cutoffs.of_idle(self.max_ms());
        if self.time().is_none_or(|time| time.min.millis() >= of_idle_ms) {
            return dropped;
        }
        let rescue = self.eras.rescue(&self.store);
        let (pages, era) = (self.pages(), self.eras.current());
        let mut directory = write(&self.directory);
        let (mut oldest_ms, mut went_back) = (i64::MAX, false);
        let dead: Vec<(SeriesId, Series)> = pages.take_out(|id, series| {
            let newest_ms = series.newest_ms();
            let (chunks, samples, nothing_left) = series.drop_before(cutoffs.of(series, of_idle_ms));
            dropped.chunks += chunks;
            dropped.samples += samples;
            if !nothing_left {
                let series_oldest_ms = series.oldest_ms().unwrap_or(i64::MAX);
                oldest_ms = oldest_ms.min(series_oldest_ms);
                went_back |= series.newest_ms() != newest_ms;
                if series_oldest_ms < of_idle_ms
                    && let Some(closed) = series.closed()
                {
                    dropped.needed_files.extend(closed.files_before(of_idle_ms));
                }
            } else {
                era.keep_labels(id, series.labels());
            }
            nothing_left
        });
        rescue.finish();
        if went_back {
            self.remembered.forget();
        }
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

//! Remembered: what is known of the head's sealed chunks, for queries over long windows. It lies beside what is known of blocks,
//! under a number as a block has one, and a series takes no room of its own for it.
//!
//! A chunk is known by its series and by its first time. That tells which one it is as long as every chunk in order begins behind all
//! that the series had before. Where a series loses its newest samples and stays (a deletion, or what came late while the rest was cut),
//! a chunk may begin where another did; then the head takes a new number, and nobody asks for the old one any more.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use crate::summary::Summaries;

#[derive(Debug, Default)]
pub(crate) struct Remembered {
    summaries: OnceLock<Arc<Summaries>>,
    number: AtomicU64,
}

/// Where a select keeps what it learns, and the number of the head when it pinned.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) summaries: Arc<Summaries>,
    pub(super) number: u64,
}

impl Remembered {
    /// Lets the head remember what is learned of its chunks.
    pub(crate) fn share(&self, summaries: &Arc<Summaries>) {
        if self.summaries.set(summaries.clone()).is_ok() {
            self.forget();
        }
    }

    /// What is known is not of the chunks that come now.
    ///
    /// The caller lets nobody append meanwhile.
    pub(super) fn forget(&self) {
        if let Some(summaries) = self.summaries.get() {
            self.number.store(summaries.number_owner(), Relaxed);
        }
    }

    /// For a select that pins: no batch is applied meanwhile, so all that it pins is known by this number.
    pub(super) fn current(&self) -> Option<Known> {
        let summaries = self.summaries.get()?.clone();
        Some(Known { summaries, number: self.number.load(Relaxed) })
    }
}

#[cfg(test)]
mod tests {
    use kymo_model::{Labels, SampleValue};

    use super::*;
    use crate::chunks::ChunkStore;
    use crate::head::{Cursor, Finality, Head, Second};
    use crate::index::SeriesId;
    use crate::vfs::OsVfs;

    const HOUR_MS: i64 = 3_600_000;

    /// A head whose second range of two hours was cut; is what was known before still asked for?
    fn is_known_after_the_cut(fill: impl Fn(&Head)) -> bool {
        let head = Head::new(Arc::new(ChunkStore::new(Arc::new(OsVfs), "/nowhere".into())));
        head.remembered.share(&Arc::new(Summaries::new(1 << 20)));
        head.create(&[(SeriesId(0), Labels::from_pairs([("__name__", "m")]))]);
        fill(&head);
        let number = |head: &Head| head.remembered.current().map(|known| known.number);
        let before = number(&head);
        let finality = Finality { window_ms: 0, now_ms: i64::MAX, second: Second::OPENING };
        assert_eq!(head.mark_cut((2 * HOUR_MS, 4 * HOUR_MS), &finality).len(), 1);
        assert!(head.drop_marked().samples > 0);
        number(&head) == before
    }

    fn push(head: &Head, t_ms: i64) {
        let pages = head.pages();
        let mut cursor = Cursor::new(&pages);
        let series = cursor.get(SeriesId(0)).expect("it was created");
        match series.newest_ms() {
            Some(newest_ms) if t_ms < newest_ms => series.push_late(t_ms, SampleValue::Float(1.0)),
            _ => series.push(t_ms, &SampleValue::Float(1.0)),
        };
        head.samples.fetch_add(1, Relaxed);
        head.chunks.fetch_add(1, Relaxed);
    }

    #[test]
    fn a_cut_of_what_is_old_changes_nothing() {
        assert!(is_known_after_the_cut(|head| {
            (0..80).for_each(|minutes| push(head, 2 * HOUR_MS + minutes * 120_000));
        }));
    }

    /// What is left came late, so samples as old as those that were cut would be in order.
    #[test]
    fn a_series_without_its_newest_samples_is_not_known() {
        assert!(!is_known_after_the_cut(|head| {
            (0..30).for_each(|minutes| push(head, 2 * HOUR_MS + minutes * 120_000));
            push(head, HOUR_MS);
        }));
    }
}

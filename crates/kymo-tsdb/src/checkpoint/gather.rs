//! Gather: rows of the log, collected by page until there are many. Then each page gets all of its rows at once, while its
//! series are in the processor's caches, and pages can be worked on by several threads.

use std::ops::RangeInclusive;

use kymo_model::SampleValue;

use crate::head::{SERIES_PER_PAGE, place};
use crate::index::SeriesId;
use crate::wal::{Run, RunValues};

/// From so many rows for each slot on they are handed on: a page that is visited costs about as much as ten rows.
const ROWS_PER_SLOT: usize = 32;

/// But not fewer than this, and not more: a row takes 8 to 24 bytes here, and as much again where it is applied.
const ROWS: RangeInclusive<usize> = 1 << 16..=1 << 22;

/// The rows collected so far. The rows of one series stay in order.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// By page: 1 + the index of its bucket, 0 for none. Pages are many when ids were used up over the years, buckets are not.
    bucket_of: Vec<u32>,
    buckets: Vec<Bucket>,
    /// How many rows, or what takes as much memory.
    weight: usize,
}

/// A page of which a series was defined.
#[derive(Debug, Default)]
struct Bucket {
    page: usize,
    /// A bit for each slot whose series was defined.
    defined: [u64; SERIES_PER_PAGE / 64],
    rows: PageRows,
}

/// Rows of one page, in order.
#[derive(Debug, Default)]
pub(super) struct PageRows {
    pub(super) runs: Vec<PageRun>,
    /// The values of the runs of floats, one run after the other.
    pub(super) values: Vec<f64>,
    /// Those of the runs of histograms.
    pub(super) histograms: Vec<SampleValue>,
}

/// Rows of neighbouring series of one page at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageRun {
    pub(super) t_ms: i64,
    pub(super) first_slot: u16,
    pub(super) count: u16,
    pub(super) late: bool,
    pub(super) histograms: bool,
}

impl PageRows {
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.values.clear();
        self.histograms.clear();
    }
}

impl Gather {
    /// From now on rows of this series are known.
    pub(super) fn define(&mut self, id: SeriesId) {
        let (page, slot) = place(id);
        if self.bucket_of.len() <= page {
            self.bucket_of.resize(page + 1, 0);
        }
        if self.bucket_of[page] == 0 {
            self.buckets.push(Bucket { page, ..Bucket::default() });
            self.bucket_of[page] = self.buckets.len() as u32;
        }
        self.buckets[self.bucket_of[page] as usize - 1].defined[slot / 64] |= 1 << (slot % 64);
    }

    /// Was the series defined?
    pub(super) fn knows(&self, id: SeriesId) -> bool {
        let (page, slot) = place(id);
        self.bucket(page).is_some_and(|bucket| self.buckets[bucket].has(slot))
    }

    fn bucket(&self, page: usize) -> Option<usize> {
        self.bucket_of.get(page).and_then(|number| number.checked_sub(1)).map(|bucket| bucket as usize)
    }

    /// Adds rows of the series from `first` on at one time; gives how many of them have a series that was not defined.
    pub(super) fn add(&mut self, run: Run, values: RunValues<'_>) -> u64 {
        let (mut page, mut slot) = place(run.first);
        let (mut unknown, mut at) = (0, 0);
        while at < values.len() {
            let end = values.len().min(at + SERIES_PER_PAGE - slot);
            match self.bucket(page) {
                None => unknown += end - at,
                Some(bucket) => unknown += self.buckets[bucket].add(slot, run, values.part(at..end)),
            }
            self.weight += (end - at) * values.weight();
            at = end;
            (page, slot) = (page + 1, 0);
        }
        unknown as u64
    }

    /// Are there so many that they should be handed on?
    pub(super) fn is_full(&self) -> bool {
        let wanted = self.buckets.len() * SERIES_PER_PAGE * ROWS_PER_SLOT;
        self.weight >= wanted.clamp(*ROWS.start(), *ROWS.end())
    }

    /// Hands out everything: pages and their rows. `spare` gives memory that was used before.
    pub(super) fn take(&mut self, mut spare: impl FnMut() -> PageRows) -> Vec<(usize, PageRows)> {
        self.weight = 0;
        let full = self.buckets.iter_mut().filter(|bucket| !bucket.rows.runs.is_empty());
        full.map(|bucket| (bucket.page, std::mem::replace(&mut bucket.rows, spare()))).collect()
    }
}

impl Bucket {
    fn has(&self, slot: usize) -> bool {
        self.defined[slot / 64] >> (slot % 64) & 1 == 1
    }

    fn add(&mut self, first_slot: usize, run: Run, values: RunValues<'_>) -> usize {
        let mut unknown = 0;
        let mut at = 0;
        while at < values.len() {
            let known = (at..values.len()).take_while(|i| self.has(first_slot + i)).count();
            if known == 0 {
                unknown += 1;
                at += 1;
                continue;
            }
            let (first_slot, count) = ((first_slot + at) as u16, known as u16);
            let histograms = match values.part(at..at + known) {
                RunValues::Floats(values) => {
                    self.rows.values.extend_from_slice(values);
                    false
                }
                RunValues::Histograms(values) => {
                    self.rows.histograms.extend_from_slice(values);
                    true
                }
            };
            self.rows.runs.push(PageRun { t_ms: run.t_ms, first_slot, count, late: run.late, histograms });
            at += known;
        }
        unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_by_page_and_in_order() {
        let mut gather = Gather::default();
        for id in (250..260).filter(|id| *id != 252) {
            gather.define(SeriesId(id));
        }
        assert!(gather.knows(SeriesId(255)) && !gather.knows(SeriesId(252)) && !gather.knows(SeriesId(9000)));
        let values: Vec<f64> = (248..262).map(f64::from).collect();
        // Undefined are 248, 249, 252, 260 and 261.
        let mut add = |first, t_ms, values: &[f64]| {
            let run = Run { first: SeriesId(first), t_ms, late: false };
            gather.add(run, RunValues::Floats(values))
        };
        assert_eq!(add(248, 5, &values), 5);
        assert_eq!(add(9000, 6, &[1.0]), 1);
        assert_eq!(add(259, 6, &[2.0]), 0);
        let pages = gather.take(PageRows::default);
        let seen: Vec<_> = pages
            .iter()
            .map(|(page, rows)| {
                let runs: Vec<_> =
                    rows.runs.iter().map(|run| (run.t_ms, run.first_slot, run.count)).collect();
                (*page, runs, rows.values.clone())
            })
            .collect();
        let second = [256.0, 257.0, 258.0, 259.0, 2.0];
        assert_eq!(
            seen,
            [
                (0, vec![(5, 250, 2), (5, 253, 3)], vec![250.0, 251.0, 253.0, 254.0, 255.0]),
                (1, vec![(5, 0, 4), (6, 3, 1)], second.to_vec()),
            ]
        );
        assert!(gather.take(PageRows::default).is_empty());
    }
}

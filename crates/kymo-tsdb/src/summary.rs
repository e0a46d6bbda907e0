//! Summaries: what functions over long windows need to know of a chunk that lies inside all of them.
//!
//! `rate(x[1d])` over three hours looks at the samples of a day less three hours only to see whether the counter went down among
//! them. A chunk that was read for such a query is remembered by five numbers, and not read for the next one. Blocks do not change,
//! nor does a sealed chunk of the head, so what is known stays true; it is kept in memory alone, as much as fits, of both.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kymo_model::Sparing;

use crate::block::ChunkMeta;
use crate::lock::lock;

/// What is known of a chunk of floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    reference: u64,
    pub(crate) first: f64,
    pub(crate) last: f64,
    /// 0 for a chunk that is to be read whenever it is wanted.
    pub(crate) samples: u32,
    /// How often the value changes, and how often it goes down.
    pub(crate) changes: u32,
    pub(crate) resets: u32,
}

impl Summary {
    /// Of the samples of a chunk that was read whole.
    pub(crate) fn of(chunk: &ChunkMeta, times: &[i64], values: &[f64]) -> Summary {
        let mut summary =
            Summary { reference: chunk.reference, first: 0.0, last: 0.0, samples: 0, changes: 0, resets: 0 };
        let ends = (times.first().copied(), times.last().copied());
        if ends != (Some(chunk.min_ms), Some(chunk.max_ms)) || values.iter().any(|value| value.is_nan()) {
            return summary;
        }
        for pair in values.windows(2) {
            summary.changes += u32::from(pair[0] != pair[1]);
            summary.resets += u32::from(pair[1] < pair[0]);
        }
        (summary.first, summary.last) = (values[0], values[values.len() - 1]);
        summary.samples = values.len() as u32;
        summary
    }

    /// Need the chunk not be read?
    pub(crate) fn suffices(&self, sparing: Sparing) -> bool {
        self.samples > 0 && (sparing.resets || self.resets == 0)
    }
}

/// Is the chunk in the part of which samples can be spared?
pub(crate) fn is_inside(chunk: &ChunkMeta, sparing: Sparing) -> bool {
    chunk.min_ms >= sparing.range.min.millis() && chunk.max_ms <= sparing.range.max.millis()
}

/// The summaries of a series' chunks in a block or in the head, in order of their references.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfSeries(Option<Arc<[Summary]>>);

impl OfSeries {
    /// What is known of each of some chunks. Those of a series usually lie in the order of their references.
    pub(crate) fn each<'a>(
        &'a self,
        chunks: &'a [ChunkMeta],
    ) -> impl Iterator<Item = Option<&'a Summary>> + 'a {
        let known = self.0.as_deref().unwrap_or(&[]);
        let mut next = 0;
        chunks.iter().map(move |chunk| {
            let is = |at: usize| known.get(at).is_some_and(|summary| summary.reference == chunk.reference);
            if !is(next) {
                next = known.partition_point(|summary| summary.reference < chunk.reference);
            }
            is(next).then(|| {
                next += 1;
                &known[next - 1]
            })
        })
    }
}

/// A series: the number of the block it is in, or of the head, and its own there.
pub(crate) type Key = (u64, u64);

type BySeries = HashMap<Key, Arc<[Summary]>, BuildHasherDefault<Mix>>;

/// Both numbers of a key are ours, and small.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// The summaries of several blocks and of the head beside them.
#[derive(Debug)]
pub(crate) struct Summaries {
    known: Mutex<Known>,
    /// When the young ones are so many they become the old ones.
    young_max: usize,
    owners: AtomicU64,
}

/// What was not used while the young ones came together is forgotten.
#[derive(Debug, Default)]
struct Known {
    young: BySeries,
    old: BySeries,
    young_chunks: usize,
}

impl Summaries {
    /// Of about so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Summaries {
        let young_max = bytes_max / 2 / size_of::<Summary>();
        Summaries { known: Mutex::default(), young_max, owners: AtomicU64::new(0) }
    }

    /// A number for a block, or for the head as long as what is known of its chunks stays true. No other has it.
    pub(crate) fn number_owner(&self) -> u64 {
        self.owners.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn get(&self, key: Key) -> OfSeries {
        let known = &mut *lock(&self.known);
        if let Some(found) = known.young.get(&key) {
            return OfSeries(Some(found.clone()));
        }
        let found = known.old.remove(&key);
        if let Some(found) = &found {
            known.put(key, found.clone(), self.young_max);
        }
        OfSeries(found)
    }

    /// Adds what was learned of chunks of a series, and forgets those with a reference below `oldest`.
    pub(crate) fn add(&self, key: Key, oldest: u64, learned: Vec<Summary>) {
        if learned.is_empty() || self.young_max == 0 {
            return;
        }
        let known = &mut *lock(&self.known);
        let mut all = learned;
        if let Some(before) = known.take(&key) {
            let gone = before.partition_point(|summary| summary.reference < oldest);
            all.extend_from_slice(&before[gone..]);
        }
        all.sort_unstable_by_key(|summary| summary.reference);
        all.dedup_by_key(|summary| summary.reference);
        known.put(key, all.into(), self.young_max);
    }
}

impl Known {
    fn take(&mut self, key: &Key) -> Option<Arc<[Summary]>> {
        let young = self.young.remove(key);
        self.young_chunks -= young.as_deref().map_or(0, weight);
        young.or_else(|| self.old.remove(key))
    }

    fn put(&mut self, key: Key, summaries: Arc<[Summary]>, young_max: usize) {
        let more = weight(&summaries);
        if self.young_chunks + more > young_max {
            self.old = std::mem::take(&mut self.young);
            self.young_chunks = 0;
        }
        self.young_chunks += more;
        self.young.insert(key, summaries);
    }
}

/// A series takes as much as two summaries beside its own.
fn weight(summaries: &[Summary]) -> usize {
    summaries.len() + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(reference: u64, min_ms: i64, max_ms: i64) -> ChunkMeta {
        ChunkMeta { reference, min_ms, max_ms }
    }

    #[test]
    fn counts() {
        let summary = Summary::of(&chunk(9, 1, 5), &[1, 2, 3, 4, 5], &[1.0, 1.0, 3.0, 2.0, 2.0]);
        let expected = Summary { reference: 9, first: 1.0, last: 2.0, samples: 5, changes: 2, resets: 1 };
        assert_eq!(summary, expected);
    }

    #[test]
    fn not_all_chunks_suffice() {
        let range = kymo_model::TimeRange::from_millis(0, 10);
        let sparing = Sparing { range, resets: false };
        assert!(Summary::of(&chunk(9, 1, 2), &[1, 2], &[1.0, 1.0]).suffices(sparing));
        assert!(!Summary::of(&chunk(9, 1, 2), &[1, 2], &[1.0, 0.0]).suffices(sparing));
        assert!(Summary::of(&chunk(9, 1, 2), &[1, 2], &[1.0, 0.0]).suffices(Sparing { range, resets: true }));
        assert!(!Summary::of(&chunk(9, 1, 2), &[1, 2], &[1.0, f64::NAN]).suffices(sparing));
        // The index says otherwise when the chunk ends.
        assert!(!Summary::of(&chunk(9, 1, 3), &[1, 2], &[1.0, 1.0]).suffices(sparing));
    }

    #[test]
    fn memory_is_bounded() {
        let summaries = Summaries::new(200 * size_of::<Summary>());
        let of = |reference| Summary::of(&chunk(reference, 1, 1), &[1], &[1.0]);
        for series in 0..1000 {
            summaries.add((0, series), 0, (0..8).map(of).collect());
            // It is used all the time, so it stays.
            let found = summaries.get((0, 0));
            assert!(found.each(&[chunk(3, 1, 1)]).eq([Some(&of(3))]), "after {series}");
        }
        let known = lock(&summaries.known);
        assert!(known.young.len() + known.old.len() <= 20);
        let chunks: usize = known.young.values().map(|summaries| weight(summaries)).sum();
        assert_eq!(known.young_chunks, chunks);
    }

    #[test]
    fn what_is_learned_adds_up() {
        let summaries = Summaries::new(1 << 20);
        let of = |reference| Summary::of(&chunk(reference, 1, 1), &[1], &[1.0]);
        summaries.add((0, 1), 0, vec![of(5), of(2)]);
        summaries.add((0, 1), 0, vec![of(2), of(9)]);
        summaries.add((0, 2), 0, vec![of(3)]);
        let found = summaries.get((0, 1));
        let asked = [2, 5, 9, 3, 9, 2, 10].map(|reference| chunk(reference, 1, 1));
        let expected = [Some(2), Some(5), Some(9), None, Some(9), Some(2), None].map(|known| known.map(of));
        assert!(found.each(&asked).eq(expected.iter().map(Option::as_ref)));
        assert_eq!(lock(&summaries.known).young_chunks, 3 + 2 + 1 + 2);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let summaries = Summaries::new(1 << 20);
        let of = |reference| Summary::of(&chunk(reference, 1, 1), &[1], &[1.0]);
        summaries.add((0, 1), 0, (0..1000).map(of).collect());
        summaries.add((0, 1), 998, vec![of(1000)]);
        let asked = [997, 998, 999, 1000].map(|reference| chunk(reference, 1, 1));
        let expected = [None, Some(998), Some(999), Some(1000)].map(|known| known.map(of));
        assert!(summaries.get((0, 1)).each(&asked).eq(expected.iter().map(Option::as_ref)));
        assert_eq!(lock(&summaries.known).young_chunks, 3 + 2);
    }
}

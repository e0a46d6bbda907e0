//! Which handle the store gave for which raw labels: the step that makes a known series cost no labels.
//!
//! The key is a 128-bit hash of the label fields as they were sent, with a seed that is this process' own. Two generations
//! bound the memory: when the younger is full it becomes the older, and what was not used since is forgotten.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::{RwLock, RwLockReadGuard};

use kymo_model::SeriesHandle;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The hash of a series' raw labels, in halves, so that a map's entry takes 24 bytes and not 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeriesKey(u64, u64);

impl Hash for SeriesKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

#[derive(Debug)]
pub(crate) struct HandleCache {
    seed: u64,
    generation_max: usize,
    generations: RwLock<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: Map,
    old: Map,
}

type Map = HashMap<SeriesKey, SeriesHandle, BuildHasherDefault<KeyHasher>>;

/// Keys are hashes already.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }
}

/// A view of the cache for one request: one lock, however many series.
pub(crate) struct Known<'a> {
    generations: RwLockReadGuard<'a, Generations>,
    seed: u64,
}

impl HandleCache {
    pub(crate) fn new(series_max: usize) -> HandleCache {
        HandleCache {
            seed: RandomState::new().hash_one(0u8),
            generation_max: (series_max / 2).max(1),
            generations: RwLock::default(),
        }
    }

    pub(crate) fn read(&self) -> Known<'_> {
        let generations = self.generations.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        Known { generations, seed: self.seed }
    }

    /// Forgets and learns, in this order.
    pub(crate) fn update(&self, forget: &[SeriesKey], learn: &[(SeriesKey, SeriesHandle)]) {
        if forget.is_empty() && learn.is_empty() {
            return;
        }
        let mut generations = self.generations.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        for key in forget {
            generations.young.remove(key);
            generations.old.remove(key);
        }
        for (key, handle) in learn {
            if generations.young.len() >= self.generation_max && !generations.young.contains_key(key) {
                generations.old = std::mem::take(&mut generations.young);
            }
            generations.young.insert(*key, *handle);
        }
    }

    pub(crate) fn len(&self) -> usize {
        let known = self.read();
        known.generations.young.len() + known.generations.old.len()
    }
}

impl Known<'_> {
    pub(crate) fn key(&self, raw_labels: &[u8]) -> SeriesKey {
        let hash = xxh3_128_with_seed(raw_labels, self.seed);
        SeriesKey(hash as u64, (hash >> 64) as u64)
    }

    /// The handle of a series, and whether it is due to be learnt again lest it be forgotten.
    pub(crate) fn get(&self, key: SeriesKey) -> Option<(SeriesHandle, bool)> {
        if let Some(handle) = self.generations.young.get(&key) {
            return Some((*handle, false));
        }
        self.generations.old.get(&key).map(|handle| (*handle, true))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn stays_within_its_bound_and_keeps_what_is_used() {
        let cache = HandleCache::new(20);
        let handle = |n: u64| SeriesHandle::new(NonZeroU64::new(n + 1).unwrap());
        let used = cache.read().key(b"used");
        cache.update(&[], &[(used, handle(0))]);
        for n in 0..1000u64 {
            let key = cache.read().key(&n.to_le_bytes());
            cache.update(&[], &[(key, handle(n))]);
            let (found, is_old) = cache.read().get(used).expect("used at every step");
            assert_eq!(found, handle(0));
            if is_old {
                cache.update(&[], &[(used, found)]);
            }
            assert!(cache.len() <= 20);
        }
        assert!(cache.read().get(cache.read().key(&0u64.to_le_bytes())).is_none());
        cache.update(&[used], &[]);
        assert!(cache.read().get(used).is_none());
    }
}

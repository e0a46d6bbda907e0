//! Which handle the store gave for which raw labels: the step that makes a known series cost no labels.
//!
//! The key is a 128-bit hash of the label fields as they were sent, with a seed that is this process' own. Senders repeat
//! their series in the same order, so that the one after the last one found is looked at first: it is next in memory, and
//! nearly always the one. Two generations bound the memory: when the younger is full it becomes the older, and what was not
//! used since is forgotten.

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
    young: Generation,
    old: Generation,
}

/// Series in the order in which they were first sent.
#[derive(Debug, Default)]
struct Generation {
    entries: Vec<Entry>,
    /// Where a series stands, by half its key.
    places: HashMap<u64, u32, BuildHasherDefault<KeyHasher>>,
}

#[derive(Debug)]
struct Entry {
    key: SeriesKey,
    /// `None` where it was forgotten.
    handle: Option<SeriesHandle>,
    raw_len: u32,
}

/// A series and its handle, to be remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Learnt {
    pub(crate) key: SeriesKey,
    pub(crate) handle: SeriesHandle,
    /// How many bytes its raw labels take.
    pub(crate) raw_len: u32,
}

impl Generation {
    /// The place and the handle of a series. Where two keys share a half, the later one is known.
    fn find(&self, key: SeriesKey) -> Option<(usize, SeriesHandle)> {
        let place = *self.places.get(&key.0)? as usize;
        Some((place, self.entries.get(place)?.handle_of(key)?))
    }

    fn forget(&mut self, key: SeriesKey) {
        if let Some((place, _)) = self.find(key) {
            self.entries[place].handle = None;
            self.places.remove(&key.0);
        }
    }

    fn learn(&mut self, Learnt { key, handle, raw_len }: Learnt) {
        let entry = Entry { key, handle: Some(handle), raw_len };
        match self.places.get(&key.0) {
            Some(place) => self.entries[*place as usize] = entry,
            None => {
                self.places.insert(key.0, self.entries.len() as u32);
                self.entries.push(entry);
            }
        }
    }
}

impl Entry {
    fn handle_of(&self, key: SeriesKey) -> Option<SeriesHandle> {
        self.handle.filter(|_| self.key == key)
    }
}

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
    /// The place after that of the last series found.
    next: usize,
}

impl HandleCache {
    pub(crate) fn new(series_max: usize) -> HandleCache {
        HandleCache {
            seed: RandomState::new().hash_one(0u8),
            generation_max: (series_max / 2).clamp(1, u32::MAX as usize),
            generations: RwLock::default(),
        }
    }

    pub(crate) fn read(&self) -> Known<'_> {
        let generations = self.generations.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        Known { generations, seed: self.seed, next: 0 }
    }

    /// Forgets and learns, in this order.
    pub(crate) fn update(&self, forget: &[SeriesKey], learn: &[Learnt]) {
        if forget.is_empty() && learn.is_empty() {
            return;
        }
        let mut generations = self.generations.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        for key in forget {
            generations.young.forget(*key);
            generations.old.forget(*key);
        }
        for one in learn {
            let is_full = generations.young.entries.len() >= self.generation_max;
            if is_full && !generations.young.places.contains_key(&one.key.0) {
                generations.old = std::mem::take(&mut generations.young);
            }
            generations.young.learn(*one);
        }
    }

    pub(crate) fn len(&self) -> usize {
        let known = self.read();
        known.generations.young.places.len() + known.generations.old.places.len()
    }
}

impl Known<'_> {
    #[inline(always)]
    pub(crate) fn key(&self, raw_labels: &[u8]) -> SeriesKey {
        let hash = xxh3_128_with_seed(raw_labels, self.seed);
        SeriesKey(hash as u64, (hash >> 64) as u64)
    }

    /// The series after the last one found, if it is the one that `bytes` begin with: its raw labels, then the byte `then`,
    /// which no label begins with. Gives the length of the labels too, which need not be walked.
    #[inline(always)]
    pub(crate) fn guess(&mut self, bytes: &[u8], then: u8) -> Option<(SeriesKey, SeriesHandle, usize)> {
        let entry = self.generations.young.entries.get(self.next)?;
        let len = entry.raw_len as usize;
        if bytes.get(len) != Some(&then) || self.key(&bytes[..len]) != entry.key {
            return None;
        }
        let (key, handle) = (entry.key, entry.handle?);
        self.next += 1;
        Some((key, handle, len))
    }

    /// The handle of a series, and whether it is due to be learnt again lest it be forgotten.
    pub(crate) fn get(&mut self, key: SeriesKey) -> Option<(SeriesHandle, bool)> {
        if let Some((place, handle)) = self.generations.young.find(key) {
            self.next = place + 1;
            return Some((handle, false));
        }
        self.generations.old.find(key).map(|(_, handle)| (handle, true))
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
        let learnt = Learnt { key: used, handle: handle(0), raw_len: 4 };
        cache.update(&[], &[learnt]);
        for n in 0..1000u64 {
            let key = cache.read().key(&n.to_le_bytes());
            cache.update(&[], &[Learnt { key, handle: handle(n), raw_len: 8 }]);
            let (found, is_old) = cache.read().get(used).expect("used at every step");
            assert_eq!(found, handle(0));
            if is_old {
                cache.update(&[], &[learnt]);
            }
            assert!(cache.len() <= 20);
        }
        assert!(cache.read().get(cache.read().key(&0u64.to_le_bytes())).is_none());
        cache.update(&[used], &[]);
        assert!(cache.read().get(used).is_none());
    }

    /// In the order in which they were learnt, in another, and with some forgotten in between.
    #[test]
    fn found_in_any_order() {
        let cache = HandleCache::new(1000);
        let keys: Vec<SeriesKey> = (0..100u64).map(|n| cache.read().key(&n.to_le_bytes())).collect();
        let handle = |n: usize| SeriesHandle::new(NonZeroU64::new(n as u64 + 1).unwrap());
        let learnt = |n: usize| Learnt { key: keys[n], handle: handle(n), raw_len: 8 };
        let all: Vec<_> = (0..100).map(learnt).collect();
        cache.update(&[], &all);
        let check = |order: &mut dyn Iterator<Item = usize>, missing: &[usize]| {
            let mut known = cache.read();
            for n in order {
                let expected = (!missing.contains(&n)).then(|| (handle(n), false));
                // As a request is read: first the one that is expected, then any.
                let bytes = [&(n as u64).to_le_bytes()[..], b"|"].concat();
                let guessed = known.guess(&bytes, b'|').map(|(key, handle, len)| {
                    assert_eq!((key, len), (keys[n], 8));
                    (handle, false)
                });
                assert_eq!(guessed.or_else(|| known.get(keys[n])), expected, "{n}");
            }
        };
        check(&mut (0..100), &[]);
        check(&mut (0..100).rev(), &[]);
        check(&mut (0..200).map(|n| n * 37 % 100), &[]);
        cache.update(&[keys[3], keys[99]], &[]);
        check(&mut (0..100).chain(0..100), &[3, 99]);
        assert_eq!(cache.len(), 98);
        cache.update(&[], &[learnt(3)]);
        check(&mut (0..100), &[99]);
    }
}

//! LabelsTable: finds the series with given labels. Open addressing, 8 bytes an entry: a part of the hash and the id.
//!
//! The labels themselves lie in the series, so a match of the hash is only a candidate that the caller confirms.

use super::SeriesId;

#[derive(Debug)]
pub(crate) struct LabelsTable {
    /// `(upper half of the hash, id + 1)`; 0 in place of the id is an empty entry. The length is a power of two.
    entries: Vec<(u32, u32)>,
    used: usize,
}

const ENTRIES_MIN: usize = 64;

impl Default for LabelsTable {
    fn default() -> LabelsTable {
        LabelsTable { entries: vec![(0, 0); ENTRIES_MIN], used: 0 }
    }
}

impl LabelsTable {
    /// The id under this hash that `is_it` confirms.
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(SeriesId) -> bool) -> Option<SeriesId> {
        let mask = self.entries.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (tag, id) = self.entries[at];
            if id == 0 {
                return None;
            }
            if tag == (hash >> 32) as u32 && is_it(SeriesId(id - 1)) {
                return Some(SeriesId(id - 1));
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an id whose labels are not in the table. `hash_of` gives the hash of any id that is, for when the table grows.
    pub(crate) fn insert(&mut self, hash: u64, id: SeriesId, hash_of: impl FnMut(SeriesId) -> Option<u64>) {
        if (self.used + 1) * 8 > self.entries.len() * 7 {
            let larger = self.entries.len() * 2;
            self.rebuild(larger, hash_of);
        }
        self.put(hash, id);
    }

    /// Drops the ids for which `hash_of` gives no hash any more.
    pub(crate) fn rebuild_without_dead(&mut self, hash_of: impl FnMut(SeriesId) -> Option<u64>) {
        self.rebuild(ENTRIES_MIN, hash_of);
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(u32, u32)>()
    }

    fn put(&mut self, hash: u64, id: SeriesId) {
        let mask = self.entries.len() - 1;
        let mut at = hash as usize & mask;
        while self.entries[at].1 != 0 {
            at = (at + 1) & mask;
        }
        self.entries[at] = ((hash >> 32) as u32, id.0 + 1);
        self.used += 1;
    }

    fn rebuild(&mut self, entries_min: usize, mut hash_of: impl FnMut(SeriesId) -> Option<u64>) {
        let live: Vec<(u64, SeriesId)> = self
            .entries
            .iter()
            .filter(|(_, id)| *id != 0)
            .filter_map(|(_, id)| hash_of(SeriesId(id - 1)).map(|hash| (hash, SeriesId(id - 1))))
            .collect();
        let size = (live.len() * 3 / 2).next_power_of_two().max(entries_min).max(ENTRIES_MIN);
        self.entries = vec![(0, 0); size];
        self.used = 0;
        for (hash, id) in live {
            self.put(hash, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that collide in every part that the table looks at first.
    fn hash(id: u32) -> u64 {
        u64::from(id % 7) << 32 | u64::from(id % 3)
    }

    #[test]
    fn finds_what_was_inserted_through_growth_and_removal() {
        let mut table = LabelsTable::default();
        for id in 0..500 {
            table.insert(hash(id), SeriesId(id), |id| Some(hash(id.0)));
        }
        for id in 0..500 {
            assert_eq!(table.find(hash(id), |found| found.0 == id), Some(SeriesId(id)));
        }
        table.rebuild_without_dead(|id| (id.0 % 2 == 0).then(|| hash(id.0)));
        for id in 0..500 {
            let expected = (id % 2 == 0).then_some(SeriesId(id));
            assert_eq!(table.find(hash(id), |found| found.0 == id), expected);
        }
    }
}

//! Postings: for each label name and value the series that have it, ids sorted. Names and values are kept here once.

use std::collections::{HashMap, HashSet};

use kymo_model::{Label, Labels};

use super::SeriesId;

/// Which series have which label.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    names: HashMap<Box<str>, Values>,
    pairs: usize,
}

/// The values of one label name.
pub(crate) type Values = HashMap<Box<str>, List>;

/// Sorted ids. Very many values belong to one series only, so one id takes no allocation.
#[derive(Debug)]
pub(crate) enum List {
    One(u32),
    #[expect(clippy::box_collection, reason = "16 bytes instead of 24, of which there are millions")]
    Many(Box<Vec<u32>>),
}

impl List {
    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            List::One(id) => std::slice::from_ref(id),
            List::Many(ids) => ids,
        }
    }

    fn add(&mut self, id: u32) {
        match self {
            List::One(only) if *only == id => {}
            List::One(only) => {
                let mut ids = vec![*only, id];
                ids.sort_unstable();
                *self = List::Many(Box::new(ids));
            }
            // New series have the highest id; only a replay may come in another order.
            List::Many(ids) => match ids.last() {
                Some(last) if *last < id => ids.push(id),
                _ => {
                    if let Err(at) = ids.binary_search(&id) {
                        ids.insert(at, id);
                    }
                }
            },
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            List::One(_) => 0,
            List::Many(ids) => size_of::<Vec<u32>>() + ids.capacity() * size_of::<u32>(),
        }
    }
}

/// Series behind one another that have the same label at the same place.
#[derive(Debug, Default)]
struct Same<'a> {
    label: Option<Label<'a>>,
    ids: Vec<u32>,
}

impl Postings {
    /// Adds series under each of their labels. Neighbours share most of theirs, which are looked up once for all of them.
    pub(crate) fn add_all(&mut self, series: &[(SeriesId, Labels)]) {
        let mut places: Vec<Same<'_>> = Vec::new();
        for (id, labels) in series {
            for (place, label) in labels.iter().enumerate() {
                if place == places.len() {
                    places.push(Same::default());
                }
                let same = &mut places[place];
                if same.label != Some(label) {
                    self.add(same);
                    same.label = Some(label);
                }
                same.ids.push(id.0);
            }
        }
        places.iter_mut().for_each(|same| self.add(same));
    }

    fn add(&mut self, same: &mut Same<'_>) {
        let Some(Label { name, value }) = same.label else { return };
        let values = match self.names.get_mut(name) {
            Some(values) => values,
            None => self.names.entry(name.into()).or_default(),
        };
        let mut ids = same.ids.drain(..);
        let list = match values.get_mut(value) {
            Some(list) => list,
            None => {
                let Some(first) = ids.next() else { return };
                self.pairs += 1;
                values.entry(value.into()).or_insert(List::One(first))
            }
        };
        ids.for_each(|id| list.add(id));
    }

    /// Takes series out. `labels` are theirs, any number of them.
    pub(crate) fn remove<'a>(&mut self, dead: &HashSet<u32>, labels: impl Iterator<Item = &'a Labels>) {
        let mut touched: HashSet<(&str, &str)> = HashSet::new();
        for label in labels.flat_map(|labels| labels.iter()) {
            touched.insert((label.name, label.value));
        }
        for (name, value) in touched {
            let Some(values) = self.names.get_mut(name) else { continue };
            let Some(list) = values.get_mut(value) else { continue };
            let left: Vec<u32> = list.as_slice().iter().copied().filter(|id| !dead.contains(id)).collect();
            match left.as_slice() {
                [] => {
                    values.remove(value);
                    self.pairs -= 1;
                }
                [only] => *list = List::One(*only),
                _ => *list = List::Many(Box::new(left)),
            }
            if values.is_empty() {
                self.names.remove(name);
            }
        }
    }

    /// The values of a label and who has them.
    pub(crate) fn values(&self, name: &str) -> Option<&Values> {
        self.names.get(name)
    }

    /// Every label name with its values.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &Values)> {
        self.names.iter().map(|(name, values)| (&**name, values))
    }

    /// How many distinct pairs of name and value.
    pub(crate) fn pairs(&self) -> usize {
        self.pairs
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let mut bytes = self.names.capacity() * (size_of::<(Box<str>, Values)>() + 1);
        for (name, values) in &self.names {
            bytes += name.len() + values.capacity() * (size_of::<(Box<str>, List)>() + 1);
            bytes += values.iter().map(|(value, list)| value.len() + list.heap_bytes()).sum::<usize>();
        }
        bytes
    }
}

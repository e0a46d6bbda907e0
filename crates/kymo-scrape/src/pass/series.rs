//! SeriesTable: the stored series of one target: labels, the store's handle, and whether a marker is owed when it vanishes.

use std::collections::HashMap;

use kymo_model::{Labels, RowSeries, SeriesHandle};

/// A place in the table; given anew after the series is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SeriesId(u32);

#[derive(Debug)]
pub(super) struct SeriesState {
    pub(super) labels: Labels,
    pub(super) handle: Option<SeriesHandle>,
    /// How many raw spellings lead here. A report series has one of its own.
    pub(super) spellings: u32,
    /// A sample without a marker after it is stored: when the series vanishes, a marker is owed.
    pub(super) tracked: bool,
    /// The last pass in which a sample without a timestamp came.
    pub(super) seen_untimed: u32,
    /// The last pass in which a sample came that is to be tracked.
    pub(super) seen_tracked: u32,
}

#[derive(Debug, Default)]
pub(super) struct SeriesTable {
    slots: Vec<Option<SeriesState>>,
    free: Vec<SeriesId>,
    by_labels: HashMap<Labels, SeriesId>,
    tracked: usize,
}

impl SeriesTable {
    /// The series of these labels, made if it is new, with one spelling more.
    pub(super) fn add_spelling(&mut self, labels: Labels) -> SeriesId {
        let id = match self.by_labels.get(&labels) {
            Some(id) => *id,
            None => {
                let id = self.insert(labels.clone());
                self.by_labels.insert(labels, id);
                id
            }
        };
        self.get_mut(id).spellings += 1;
        id
    }

    /// A series that no spelling of the target can reach.
    pub(super) fn insert(&mut self, labels: Labels) -> SeriesId {
        let state = SeriesState {
            labels,
            handle: None,
            spellings: 0,
            tracked: false,
            seen_untimed: 0,
            seen_tracked: 0,
        };
        match self.free.pop() {
            Some(id) => {
                self.slots[id.0 as usize] = Some(state);
                id
            }
            None => {
                let id =
                    u32::try_from(self.slots.len()).expect("BUG: a scrape is bounded far below 2^32 series");
                self.slots.push(Some(state));
                SeriesId(id)
            }
        }
    }

    pub(super) fn get(&self, id: SeriesId) -> &SeriesState {
        self.slots[id.0 as usize].as_ref().expect("BUG: ids of freed series are not kept")
    }

    pub(super) fn get_mut(&mut self, id: SeriesId) -> &mut SeriesState {
        self.slots[id.0 as usize].as_mut().expect("BUG: ids of freed series are not kept")
    }

    /// What a row says about the series: its handle if there is one.
    pub(super) fn row(&self, id: SeriesId) -> RowSeries {
        let series = self.get(id);
        match series.handle {
            Some(handle) => RowSeries::Handle(handle),
            None => RowSeries::Labels(series.labels.clone()),
        }
    }

    pub(super) fn set_tracked(&mut self, id: SeriesId, tracked: bool) {
        let series = self.get_mut(id);
        if series.tracked != tracked {
            series.tracked = tracked;
            if tracked { self.tracked += 1 } else { self.tracked -= 1 }
        }
    }

    /// How many series are owed a marker when they vanish.
    pub(super) fn tracked(&self) -> usize {
        self.tracked
    }

    /// The tracked series that were not seen in `pass`.
    pub(super) fn vanished(&self, pass: u32) -> Vec<SeriesId> {
        self.filter(|series| series.tracked && series.seen_tracked != pass)
    }

    /// Every series that is owed a marker when it vanishes.
    pub(super) fn all_tracked(&self) -> Vec<SeriesId> {
        self.filter(|series| series.tracked)
    }

    fn filter(&self, wanted: impl Fn(&SeriesState) -> bool) -> Vec<SeriesId> {
        let states = self.slots.iter().enumerate();
        states
            .filter(|(_, slot)| slot.as_ref().is_some_and(&wanted))
            .map(|(at, _)| SeriesId(at as u32))
            .collect()
    }

    pub(super) fn remove_spelling(&mut self, id: SeriesId) {
        let series = self.get_mut(id);
        series.spellings = series.spellings.saturating_sub(1);
        self.free_unused(id);
    }

    /// Frees the series if nothing leads to it and no marker is owed.
    pub(super) fn free_unused(&mut self, id: SeriesId) {
        let series = self.get(id);
        if series.spellings == 0 && !series.tracked {
            let labels = series.labels.clone();
            if self.by_labels.get(&labels) == Some(&id) {
                self.by_labels.remove(&labels);
            }
            self.slots[id.0 as usize] = None;
            self.free.push(id);
        }
    }
}

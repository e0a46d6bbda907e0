//! Pages: 256 series with neighbouring ids behind one lock. A series is found by its id alone, without hashing.

use std::sync::{Arc, Mutex, MutexGuard};

use super::Series;
use crate::index::SeriesId;
use crate::lock::lock;

/// How many series share a page.
pub(crate) const SERIES_PER_PAGE: usize = 256;

type Slots = Vec<Option<Series>>;

/// All pages. Cloned when it grows while a select holds it, which copies pointers only.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageTable {
    pages: Vec<Arc<Mutex<Slots>>>,
}

/// The page of a series, and its slot there.
#[inline]
pub(crate) fn place(id: SeriesId) -> (usize, usize) {
    (id.0 as usize / SERIES_PER_PAGE, id.0 as usize % SERIES_PER_PAGE)
}

impl PageTable {
    pub(crate) fn covers(&self, id: SeriesId) -> bool {
        place(id).0 < self.pages.len()
    }

    /// Makes room for a series. Pages that were skipped share one empty page, as ids are never used again.
    pub(crate) fn grow_to(&mut self, id: SeriesId) {
        let page = place(id).0;
        if page > self.pages.len() {
            self.pages.resize(page, Arc::default());
        }
        if page == self.pages.len() {
            self.pages.push(Arc::default());
        }
    }

    /// The ids of all series, in order.
    pub(crate) fn ids(&self) -> Vec<u32> {
        let mut ids = Vec::new();
        self.for_each(|id, _| ids.push(id.0));
        ids
    }

    /// Visits every series, page by page.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(SeriesId, &mut Series)) {
        for page in 0..self.pages.len() {
            self.for_each_in_page(page, &mut visit);
        }
    }

    /// How many pages.
    pub(crate) fn page_count(&self) -> usize {
        self.pages.len()
    }

    /// Works on the slots of one page, `page < page_count()`, while it is locked.
    pub(crate) fn with_page<T>(&self, page: usize, work: impl FnOnce(&mut [Option<Series>]) -> T) -> T {
        work(&mut lock(&self.pages[page]))
    }

    /// Visits the series of one page, `page < page_count()`, while it is locked.
    pub(crate) fn for_each_in_page(&self, page: usize, mut visit: impl FnMut(SeriesId, &mut Series)) {
        for (slot, series) in lock(&self.pages[page]).iter_mut().enumerate() {
            if let Some(series) = series {
                visit(SeriesId((page * SERIES_PER_PAGE + slot) as u32), series);
            }
        }
    }

    /// Takes out every series that `is_dead` names, page by page, and gives back the memory of what is empty.
    pub(crate) fn take_out(
        &self,
        mut is_dead: impl FnMut(SeriesId, &mut Series) -> bool,
    ) -> Vec<(SeriesId, Series)> {
        let mut taken = Vec::new();
        for (number, page) in self.pages.iter().enumerate() {
            let mut slots = lock(page);
            for (slot, series) in slots.iter_mut().enumerate() {
                let id = SeriesId((number * SERIES_PER_PAGE + slot) as u32);
                if series.as_mut().is_some_and(|series| is_dead(id, series)) {
                    taken.extend(series.take().map(|series| (id, series)));
                }
            }
            if slots.iter().all(Option::is_none) {
                *slots = Vec::new();
            }
        }
        taken
    }
}

/// Goes from series to series and holds one page at a time.
pub(crate) struct Cursor<'a> {
    table: &'a PageTable,
    page: usize,
    slots: Option<MutexGuard<'a, Slots>>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(table: &'a PageTable) -> Cursor<'a> {
        Cursor { table, page: 0, slots: None }
    }

    /// The series of this id, `None` when it is gone or never was.
    pub(crate) fn get(&mut self, id: SeriesId) -> Option<&mut Series> {
        let (page, slot) = place(id);
        self.slots(page)?.get_mut(slot)?.as_mut()
    }

    /// Lets go of the page, for when something else takes locks.
    pub(crate) fn release(&mut self) {
        self.slots = None;
    }

    /// Puts a series into its slot. The page must exist.
    pub(crate) fn put(&mut self, id: SeriesId, series: Series) {
        let (page, slot) = place(id);
        let slots = self.slots(page).expect("BUG: the table was grown for this series");
        if slots.len() <= slot {
            slots.resize_with(slot + 1, || None);
        }
        slots[slot] = Some(series);
    }

    fn slots(&mut self, page: usize) -> Option<&mut Slots> {
        if self.slots.is_none() || self.page != page {
            // Let go of the page before taking another: two are never held.
            self.slots = None;
            self.slots = Some(lock(self.table.pages.get(page)?));
            self.page = page;
        }
        self.slots.as_deref_mut()
    }
}

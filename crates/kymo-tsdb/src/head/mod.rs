//! The head: every series with its samples, in memory. Sharded into pages of neighbouring series, each with its own lock,
//! so that a batch of a scrape takes a lock per 256 rows and a select never holds more than one page.
//!
//! Locks are taken in this order and no other: the writer (append.rs), isolation, the chunk files' pins, exemplars and metadata
//! (beside), directory, pages
//! table, one page.

mod activity;
mod buffers;
mod closed;
mod cut;
mod erase;
mod late;
mod missing;
mod newest;
mod open;
mod page;
mod pinned;
mod remembered;
mod rescue;
mod retain;
mod sealed;
mod series;
mod shared_labels;
mod unspilled;
mod value;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, RwLock};

use kymo_model::{
    CancelToken, Estimate, Labels, LabelsNeeded, METRIC_NAME, Matcher, Pulse, Selector, StoreError,
    StoreErrorKind, TimeRange,
};

use crate::beside::Beside;
use crate::chunks::ChunkStore;
use crate::index::{Cardinality, LabelsTable, Postings, SeriesId, Texts, Top, cardinality, resolve};
use crate::lock::{read, write};
use crate::stats::{MemoryStats, Stats};
use remembered::Remembered;
use rescue::Eras;

pub(crate) use activity::Second;
pub(crate) use buffers::Buffers;
pub(crate) use cut::{Finality, HeadChunk};
pub(crate) use missing::Missing;
pub(crate) use newest::Newest;
pub(crate) use page::{Cursor, PageTable, SERIES_PER_PAGE, place};
pub(crate) use pinned::Snapshot;
pub(crate) use retain::Cutoffs;
pub(crate) use sealed::{Data, SealedChunk};
pub(crate) use series::{Lateness, ROWS_MAX, Series, Verdict};
use shared_labels::SharedLabels;
pub(crate) use unspilled::Unspilled;
pub(crate) use value::{histograms_of, is_sound, judge_same_time, late_chunks};

/// Every series of the database.
#[derive(Debug)]
pub(crate) struct Head {
    directory: RwLock<Directory>,
    pages: RwLock<Arc<PageTable>>,
    /// Held for writing while a batch is applied, for reading while a select pins: a select sees whole batches.
    pub(crate) isolation: RwLock<()>,
    min_ms: AtomicI64,
    max_ms: AtomicI64,
    pub(crate) samples: AtomicU64,
    pub(crate) chunks: AtomicU64,
    pub(crate) beside: Beside,
    /// Where sealed chunks are that are not on the heap.
    pub(crate) store: Arc<ChunkStore>,
    pub(crate) unspilled: Unspilled,
    /// What is known of its sealed chunks.
    pub(crate) remembered: Remembered,
    eras: Eras,
}

/// From labels to series.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    table: LabelsTable,
    postings: Postings,
    /// The id of the next new series.
    next: u32,
    live: usize,
}

impl Head {
    /// A head without series.
    pub(crate) fn new(store: Arc<ChunkStore>) -> Head {
        Head {
            directory: RwLock::default(),
            pages: RwLock::default(),
            isolation: RwLock::default(),
            min_ms: AtomicI64::new(i64::MAX),
            max_ms: AtomicI64::new(i64::MIN),
            samples: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            beside: Beside::default(),
            store,
            unspilled: Unspilled::default(),
            remembered: Remembered::default(),
            eras: Eras::default(),
        }
    }

    /// The pages as they are now. Pages that come later are not in it, series that come later into its pages are.
    pub(crate) fn pages(&self) -> Arc<PageTable> {
        read(&self.pages).clone()
    }

    /// The id the next new series gets, and how many series there are.
    pub(crate) fn next_and_live(&self) -> (u32, usize) {
        let directory = read(&self.directory);
        (directory.next, directory.live)
    }

    /// No new series gets an id below `next`.
    pub(crate) fn reserve_ids(&self, next: u32) {
        let mut directory = write(&self.directory);
        directory.next = directory.next.max(next);
    }

    /// The ids of many labels at once; `None` where there is no such series.
    pub(crate) fn find_all<'a>(
        &self,
        wanted: impl Iterator<Item = Option<&'a Labels>>,
    ) -> Vec<Option<SeriesId>> {
        let pages = self.pages();
        let directory = read(&self.directory);
        let mut cursor = Cursor::new(&pages);
        wanted.map(|labels| labels.and_then(|labels| directory.find(labels, &mut cursor))).collect()
    }

    /// The id of one series by its labels.
    pub(crate) fn find(&self, labels: &Labels) -> Option<SeriesId> {
        let pages = self.pages();
        read(&self.directory).find(labels, &mut Cursor::new(&pages))
    }

    /// Adds series, sorted by id, that are not there yet. They have no samples yet.
    pub(crate) fn create(&self, new: &[(SeriesId, Labels)]) {
        let mut directory = write(&self.directory);
        let mut rest = new.iter().peekable();
        while let Some((id, _)) = rest.peek() {
            let pages = self.page_for(*id);
            let mut cursor = Cursor::new(&pages);
            while let Some((id, labels)) = rest.next_if(|(id, _)| pages.covers(*id)) {
                cursor.put(*id, Series::new(*id, labels.clone()));
                let hash_of = |id| cursor.get(id).map(|series| series.labels().hash64());
                directory.table.insert(labels.hash64(), *id, hash_of);
            }
        }
        directory.postings.add_all(new);
        directory.next = directory.next.max(new.last().map_or(0, |(id, _)| id.0 + 1));
        directory.live += new.len();
    }

    fn page_for(&self, id: SeriesId) -> Arc<PageTable> {
        let pages = self.pages();
        if pages.covers(id) {
            return pages;
        }
        drop(pages);
        let mut pages = write(&self.pages);
        Arc::make_mut(&mut pages).grow_to(id);
        pages.clone()
    }

    /// How many series have this label.
    pub(crate) fn series_of_label(&self, name: &str, value: &str) -> usize {
        let directory = read(&self.directory);
        let list = directory.postings.values(name).and_then(|values| values.get(value));
        list.map_or(0, |list| list.as_slice().len())
    }

    /// Widens the time that the head spans.
    pub(crate) fn extend_time(&self, min_ms: i64, max_ms: i64) {
        self.min_ms.fetch_min(min_ms, Relaxed);
        self.max_ms.fetch_max(max_ms, Relaxed);
    }

    /// From the oldest to the newest sample; `None` before the first.
    pub(crate) fn time(&self) -> Option<TimeRange> {
        let (min, max) = (self.min_ms.load(Relaxed), self.max_ms.load(Relaxed));
        (min <= max).then(|| TimeRange::from_millis(min, max))
    }

    /// The newest sample's time, `i64::MIN` before the first.
    pub(crate) fn max_ms(&self) -> i64 {
        self.max_ms.load(Relaxed)
    }

    /// Pins the series that match.
    pub(crate) fn select(&self, wanted: &Selector) -> Result<Snapshot, StoreError> {
        let _whole_batches = read(&self.isolation);
        let _no_file_goes = self.store.pin();
        let era = self.eras.current();
        let pages = self.pages();
        let ids = self.resolve(&wanted.matchers, &pages, &wanted.cancel)?;
        let mut snapshot = Snapshot::pin(pages, &ids, wanted, self.store.clone(), era)?;
        snapshot.remember_in(self.remembered.current());
        refuse_more(snapshot.count(), wanted.hints.series_limit)?;
        if wanted.hints.ordered {
            snapshot.sort_by_labels(&wanted.cancel)?;
        }
        Ok(snapshot)
    }

    /// Takes the newest sample of each series that matches; see [`Hints::newest_only`](kymo_model::Hints::newest_only).
    pub(crate) fn select_newest(&self, wanted: &Selector) -> Result<Newest, StoreError> {
        let _whole_batches = read(&self.isolation);
        let _no_file_goes = self.store.pin();
        let era = self.eras.current();
        let pages = self.pages();
        let (ids, shared) = {
            let directory = read(&self.directory);
            let ids = directory.resolve(&wanted.matchers, &pages, &wanted.cancel)?;
            let shared = match &wanted.hints.labels {
                LabelsNeeded::Only(names) | LabelsNeeded::AllOfFew(names) if !wanted.hints.ordered => {
                    SharedLabels::of(&directory.postings, &ids, names)
                }
                _ => None,
            };
            (ids, shared)
        };
        let mut newest = Newest::pin(pages, &ids, (wanted, shared), self.store.clone(), era)?;
        refuse_more(newest.count(), wanted.hints.series_limit)?;
        if wanted.hints.ordered {
            newest.sort_by_labels(&wanted.cancel)?;
        }
        Ok(newest)
    }

    /// What a select would find at least, from the descriptions of chunks.
    pub(crate) fn estimate(&self, wanted: &Selector) -> Result<Estimate, StoreError> {
        let pages = self.pages();
        let ids = self.resolve(&wanted.matchers, &pages, &wanted.cancel)?;
        let (mut cursor, mut pulse) = (Cursor::new(&pages), wanted.cancel.pulse());
        let mut found = Estimate::default();
        for id in ids {
            let Some(series) = cursor.get(SeriesId(id)) else { continue };
            let (samples, looked_at) = series.samples_at_least(wanted.range);
            found.samples += samples;
            found.series += u64::from(samples > 0);
            pulse.tick(16 + looked_at)?;
            if found.exceeds(wanted.hints.series_limit, wanted.hints.samples_limit) {
                break;
            }
        }
        Ok(found)
    }

    fn resolve(
        &self,
        matchers: &[Matcher],
        pages: &PageTable,
        cancel: &CancelToken,
    ) -> Result<Vec<u32>, StoreError> {
        read(&self.directory).resolve(matchers, pages, cancel)
    }

    pub(crate) fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        let (pages, mut pulse) = (self.pages(), cancel.pulse());
        cancel.check()?;
        if matchers.is_empty() {
            let directory = read(&self.directory);
            let mut cursor = Cursor::new(&pages);
            let mut names = Vec::new();
            for (name, values) in directory.postings.names() {
                for list in values.values() {
                    if self.any_in(list.as_slice(), range, &mut cursor, &mut pulse)? {
                        names.push(name.to_owned());
                        break;
                    }
                }
            }
            names.sort_unstable();
            return Ok(names);
        }
        let mut names = BTreeSet::new();
        self.for_each_in((matchers, cancel), range, &pages, |labels| {
            for label in labels {
                if !names.contains(label.name) {
                    names.insert(label.name.to_owned());
                }
            }
        })?;
        Ok(names.into_iter().collect())
    }

    pub(crate) fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        let (pages, mut pulse) = (self.pages(), cancel.pulse());
        cancel.check()?;
        if matchers.is_empty() {
            let directory = read(&self.directory);
            let mut cursor = Cursor::new(&pages);
            let Some(all) = directory.postings.values(name) else { return Ok(Vec::new()) };
            let mut values = Texts::new(cancel);
            for (value, list) in all {
                if self.any_in(list.as_slice(), range, &mut cursor, &mut pulse)? {
                    values.push(value)?;
                }
            }
            drop(directory);
            return values.sorted();
        }
        let (mut values, mut stopped) = (Texts::new(cancel), Ok(()));
        self.for_each_in((matchers, cancel), range, &pages, |labels| {
            if let (Some(value), Ok(())) = (labels.get(name), &stopped) {
                stopped = values.push(value);
            }
        })?;
        stopped.and_then(|()| values.sorted())
    }

    /// Has any of these series samples in the range, judged by its first and last?
    fn any_in(
        &self,
        ids: &[u32],
        range: TimeRange,
        cursor: &mut Cursor<'_>,
        pulse: &mut Pulse,
    ) -> Result<bool, StoreError> {
        pulse.tick(16)?;
        if self.time().is_some_and(|all| range.min <= all.min && all.max <= range.max) {
            return Ok(!ids.is_empty());
        }
        for id in ids {
            pulse.tick(16)?;
            if cursor.get(SeriesId(*id)).is_some_and(|series| series.overlaps(range)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn for_each_in(
        &self,
        (matchers, cancel): (&[Matcher], &CancelToken),
        range: TimeRange,
        pages: &PageTable,
        mut visit: impl FnMut(&Labels),
    ) -> Result<(), StoreError> {
        let ids = self.resolve(matchers, pages, cancel)?;
        let (mut cursor, mut pulse) = (Cursor::new(pages), cancel.pulse());
        for id in ids {
            pulse.tick(64)?;
            if let Some(series) = cursor.get(SeriesId(id))
                && series.overlaps(range)
            {
                visit(series.labels());
            }
        }
        Ok(())
    }

    /// The largest parts of the head, by everything that can be counted.
    pub(crate) fn cardinality(&self, limit: usize) -> Cardinality {
        let pages = self.pages();
        let directory = read(&self.directory);
        let mut found = cardinality(&directory.postings, limit);
        let mut cursor = Cursor::new(&pages);
        let mut bytes_by_name = Top::new(limit);
        for (name, list) in directory.postings.values(METRIC_NAME).into_iter().flatten() {
            let chunk_bytes = |id: &u32| cursor.get(SeriesId(*id)).map_or(0, |series| series.chunk_bytes());
            let bytes: usize = list.as_slice().iter().map(chunk_bytes).sum();
            bytes_by_name.offer(bytes as u64, || name.to_string());
        }
        found.chunk_bytes_by_metric_name = bytes_by_name.finish();
        found
    }

    /// The figures that the head knows. Cheap: nothing is walked over.
    pub(crate) fn stats(&self) -> Stats {
        let time = self.time();
        let (exemplars, metadata) = (self.beside.exemplar_stats(), self.beside.metadata_stats());
        let directory = read(&self.directory);
        Stats {
            series: directory.live as u64,
            samples: self.samples.load(Relaxed),
            chunks: self.chunks.load(Relaxed),
            label_pairs: directory.postings.pairs() as u64,
            min_time: time.map(|time| time.min),
            max_time: time.map(|time| time.max),
            exemplars,
            metadata,
            head_damage: self.store.damage(),
            ..Stats::default()
        }
    }

    /// Walks over every series and adds up what it takes.
    pub(crate) fn memory(&self) -> MemoryStats {
        let pages = self.pages();
        let directory = read(&self.directory);
        let mut memory = MemoryStats {
            postings_bytes: directory.postings.heap_bytes() as u64,
            table_bytes: directory.table.heap_bytes() as u64,
            ..MemoryStats::default()
        };
        pages.for_each(|_, series| series.add_memory(&mut memory));
        drop(directory);
        self.beside.add_memory(&mut memory);
        memory
    }
}

fn refuse_more(found: usize, limit: usize) -> Result<(), StoreError> {
    if limit > 0 && found > limit {
        let message = format!("expected at most {limit} series, found {found}");
        return Err(StoreError::new(StoreErrorKind::Limit, message));
    }
    Ok(())
}

impl Directory {
    fn resolve(
        &self,
        matchers: &[Matcher],
        pages: &PageTable,
        cancel: &CancelToken,
    ) -> Result<Vec<u32>, StoreError> {
        let mut cursor = Cursor::new(pages);
        let mut labels_of = |id| cursor.get(id).map(|series: &mut Series| series.labels().clone());
        resolve(&self.postings, matchers, || pages.ids(), &mut labels_of, cancel)
    }

    fn find(&self, labels: &Labels, cursor: &mut Cursor<'_>) -> Option<SeriesId> {
        self.table.find(labels.hash64(), |id| cursor.get(id).is_some_and(|series| series.labels() == labels))
    }
}

//! Newest: what a select found that asks for the newest sample of each series and no other. Taken while pages are locked to pin
//! series anyway, from what the open chunk's writer remembers; nothing is copied or decoded.
//!
//! A series whose newest sample of the range is somewhere else (a histogram, or older than its newest) is pinned as always.

use std::sync::Arc;

use kymo_model::{CancelToken, Labels, LabelsNeeded, Resume, Samples, Selector, SeriesSource, StoreError};

use super::page::{Cursor, PageTable};
use super::pinned::{Pinned, Snapshot};
use super::rescue::Era;
use super::shared_labels::SharedLabels;
use crate::chunks::ChunkStore;
use crate::index::SeriesId;

#[derive(Debug)]
pub(crate) struct Newest {
    samples: Vec<Sample>,
    labels: Known,
    /// The series that have to be read.
    pinned: Snapshot,
    /// To look at series again.
    pages: Arc<PageTable>,
    era: Arc<Era>,
}

/// The labels of series, by their index.
#[derive(Debug)]
enum Known {
    Whole(Vec<Labels>),
    /// By the number of a set.
    Shared(Vec<u32>, Vec<Labels>),
    /// Whole ones by the id of the series, and those that all are asked for by the number of a set.
    ById(Vec<u32>, Vec<u32>, Vec<Labels>),
}

#[derive(Clone, Copy, Debug)]
enum Sample {
    Float(i64, f64),
    /// By its number among those that are pinned.
    Pinned(usize),
}

impl Newest {
    /// With the labels that are `shared`, if there are any, and the series' own otherwise.
    pub(super) fn pin(
        pages: Arc<PageTable>,
        ids: &[u32],
        (wanted, shared): (&Selector, Option<SharedLabels>),
        store: Arc<ChunkStore>,
        era: Arc<Era>,
    ) -> Result<Newest, StoreError> {
        let range = wanted.range;
        let (mut whole, mut numbers, mut found_ids) = (Vec::new(), Vec::new(), Vec::new());
        let by_id = matches!(wanted.hints.labels, LabelsNeeded::AllOfFew(_));
        match &shared {
            Some(_) => numbers.reserve(ids.len()),
            None => whole.reserve(ids.len()),
        }
        let mut samples = Vec::with_capacity(ids.len());
        let mut pinned = Vec::new();
        let (mut cursor, mut pulse) = (Cursor::new(&pages), wanted.cancel.pulse());
        for id in ids {
            pulse.tick(8)?;
            let id = SeriesId(*id);
            let Some(found) = cursor.get(id) else { continue };
            match found.newest_float() {
                // Those out of order are older.
                Some((t_ms, _)) if t_ms < range.min.millis() => continue,
                Some((t_ms, value)) if t_ms <= range.max.millis() => samples.push(Sample::Float(t_ms, value)),
                _ if found.overlaps(range) => {
                    samples.push(Sample::Pinned(pinned.len()));
                    pinned.push(Pinned::new(found, id, range));
                }
                _ => continue,
            }
            match &shared {
                Some(shared) => {
                    numbers.push(shared.number(id.0));
                    if by_id {
                        found_ids.push(id.0);
                    }
                }
                None => whole.push(found.labels().clone()),
            }
        }
        drop(cursor);
        let labels = match shared {
            Some(shared) if by_id => Known::ById(found_ids, numbers, shared.sets),
            Some(shared) => Known::Shared(numbers, shared.sets),
            None => Known::Whole(whole),
        };
        let pinned = Snapshot::of(pages.clone(), range, pinned, store, era.clone());
        Ok(Newest { samples, labels, pinned, pages, era })
    }

    pub(crate) fn count(&self) -> usize {
        self.samples.len()
    }

    pub(crate) fn sort_by_labels(&mut self, cancel: &CancelToken) -> Result<(), StoreError> {
        let labels = (0..self.count()).map(|index| self.labels(index));
        let mut both: Vec<(Labels, Sample)> = labels.zip(self.samples.iter().copied()).collect();
        cancel.sort_by(&mut both, |a, b| a.0.cmp(&b.0))?;
        let (labels, samples) = both.into_iter().unzip();
        (self.labels, self.samples) = (Known::Whole(labels), samples);
        Ok(())
    }

    /// The labels of a series that may have left the head.
    fn labels_of(&self, id: SeriesId) -> Labels {
        let mut cursor = Cursor::new(&self.pages);
        if let Some(series) = cursor.get(id) {
            return series.labels().clone();
        }
        drop(cursor);
        self.era.labels(id).expect("BUG: a series that is dropped leaves its labels to whoever has found it")
    }
}

impl SeriesSource for Newest {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn labels(&self, index: usize) -> Labels {
        match &self.labels {
            Known::Whole(labels) => labels[index].clone(),
            Known::Shared(numbers, sets) => sets[numbers[index] as usize].clone(),
            Known::ById(ids, ..) => self.labels_of(SeriesId(ids[index])),
        }
    }

    fn key_labels(&self, index: usize) -> Labels {
        match &self.labels {
            Known::ById(_, numbers, sets) => sets[numbers[index] as usize].clone(),
            Known::Whole(_) | Known::Shared(..) => self.labels(index),
        }
    }

    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        match self.samples[index] {
            Sample::Pinned(number) => self.pinned.read(number, resume, out),
            Sample::Float(t_ms, value) => {
                let (times, values) = out.floats_mut();
                if resume.a > 0 {
                    return Ok(false);
                }
                resume.a = 1;
                times.push(t_ms);
                values.push(value);
                Ok(true)
            }
        }
    }

    fn newest(&self, index: usize) -> Option<(i64, f64)> {
        match self.samples[index] {
            Sample::Float(t_ms, value) => Some((t_ms, value)),
            Sample::Pinned(_) => None,
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.pinned.warnings()
    }
}

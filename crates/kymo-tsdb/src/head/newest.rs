//! Newest: what a select found that asks for the newest sample of each series and no other. Taken while pages are locked to pin
//! series anyway, from what the open chunk's writer remembers; nothing is copied or decoded.
//!
//! A series whose newest sample of the range is somewhere else (a histogram, or older than its newest) is pinned as always.

use std::sync::Arc;

use kymo_model::{Labels, LabelsNeeded, Resume, Samples, Selector, SeriesSource, StoreError};

use super::page::{Cursor, PageTable};
use super::pinned::{Pinned, Snapshot};
use super::rescue::Era;
use crate::chunks::ChunkStore;
use crate::index::SeriesId;

#[derive(Debug)]
pub(crate) struct Newest {
    samples: Vec<Sample>,
    /// Empty if nobody needs them.
    labels: Vec<Labels>,
    /// The series that have to be read.
    pinned: Snapshot,
}

#[derive(Clone, Copy, Debug)]
enum Sample {
    Float(i64, f64),
    /// By its number among those that are pinned.
    Pinned(usize),
}

impl Newest {
    pub(super) fn pin(
        pages: Arc<PageTable>,
        ids: &[u32],
        wanted: &Selector,
        store: Arc<ChunkStore>,
        era: Arc<Era>,
    ) -> Newest {
        let range = wanted.range;
        let needs_labels = wanted.hints.ordered
            || !matches!(&wanted.hints.labels, LabelsNeeded::Only(names) if names.is_empty());
        let mut labels = Vec::with_capacity(if needs_labels { ids.len() } else { 0 });
        let mut samples = Vec::with_capacity(ids.len());
        let mut pinned = Vec::new();
        let mut cursor = Cursor::new(&pages);
        for id in ids {
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
            if needs_labels {
                labels.push(found.labels().clone());
            }
        }
        drop(cursor);
        Newest { samples, labels, pinned: Snapshot::of(pages, range, pinned, store, era) }
    }

    pub(crate) fn count(&self) -> usize {
        self.samples.len()
    }

    /// All labels are there.
    pub(crate) fn sort_by_labels(&mut self) {
        let mut both: Vec<(Labels, Sample)> = self.labels.drain(..).zip(self.samples.drain(..)).collect();
        both.sort_by(|a, b| a.0.cmp(&b.0));
        (self.labels, self.samples) = both.into_iter().unzip();
    }
}

impl SeriesSource for Newest {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.labels.get(index).cloned().unwrap_or_else(Labels::empty)
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
}

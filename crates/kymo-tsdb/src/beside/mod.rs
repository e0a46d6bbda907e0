//! Beside the samples: exemplars of series and metadata of metric families. Both are bounded, logged with the batch that
//! brought them, and written whole into each checkpoint.
//!
//! Their locks are taken after the writer's and that of isolation, before the head's others, or alone.

mod admit;
mod checkpoint;
mod families;
mod imported;
mod replay;
mod ring;

use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kymo_model::{
    Appended, ExemplarQueryable, ExemplarRefusal, FamilyMetadata, Matcher, MetadataQueryable,
    SeriesExemplars, StoreError, TimeRange,
};

use crate::db::Db;
use crate::lock::{lock, read, write};
use crate::options::Options;
use crate::read_only::ReadOnlyDb;
use crate::stats::{ExemplarStats, MemoryStats, MetadataStats};

pub(crate) use admit::{Admitted, admit, apply};
pub(crate) use checkpoint::put_beside;
pub(crate) use imported::{Imported, let_go, take_in};
pub(crate) use replay::BesideReplay;
pub(crate) use ring::KeptExemplar;

use families::Families;
use ring::Ring;

/// Exemplars and metadata of a head.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    exemplars: RwLock<Ring>,
    families: RwLock<Families>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    exemplars: AtomicU64,
    exemplars_refused: [AtomicU64; ExemplarRefusal::ALL.len()],
    families_changed: AtomicU64,
    families_refused: AtomicU64,
}

impl Beside {
    /// Sets the bounds; to be done before anything is read.
    pub(crate) fn set_bounds(&self, options: &Options) {
        write(&self.exemplars).resize(options.exemplars_max);
        write(&self.families).set_bytes_max(options.metadata_bytes_max);
    }

    pub(crate) fn count(&self, outcome: &Appended) {
        let counters = &self.counters;
        counters.exemplars.fetch_add(outcome.exemplars as u64, Relaxed);
        for refused in &outcome.exemplars_refused {
            if let Some(at) = ExemplarRefusal::ALL.iter().position(|reason| *reason == refused.reason) {
                counters.exemplars_refused[at].fetch_add(1, Relaxed);
            }
        }
        counters.families_changed.fetch_add(outcome.metadata_changed as u64, Relaxed);
        counters.families_refused.fetch_add(outcome.metadata_refused as u64, Relaxed);
    }

    pub(crate) fn exemplar_stats(&self) -> ExemplarStats {
        let ring = read(&self.exemplars);
        let refused = self.counters.exemplars_refused.iter().map(|count| count.load(Relaxed));
        ExemplarStats {
            stored: ring.len() as u64,
            stored_max: ring.max() as u64,
            series: ring.series_count() as u64,
            newest: ring.last_stored(),
            appended: self.counters.exemplars.load(Relaxed),
            refused: ExemplarRefusal::ALL.into_iter().zip(refused).collect(),
        }
    }

    pub(crate) fn metadata_stats(&self) -> MetadataStats {
        MetadataStats {
            families: read(&self.families).len() as u64,
            changed: self.counters.families_changed.load(Relaxed),
            refused: self.counters.families_refused.load(Relaxed),
        }
    }

    pub(crate) fn add_memory(&self, memory: &mut MemoryStats) {
        memory.exemplars_bytes = read(&self.exemplars).heap_bytes() as u64;
        memory.metadata_bytes = read(&self.families).heap_bytes() as u64;
    }
}

impl Db {
    /// From now on keeps at most this many exemplars, the newest ones; 0 keeps none. What is dropped is gone for good with the
    /// next checkpoint.
    pub fn resize_exemplars(&self, max: usize) {
        let shared = self.shared();
        // No append is judged by one bound and applied by another.
        let _no_appends = lock(&shared.writer);
        write(&shared.head.beside.exemplars).resize(max);
    }
}

impl ExemplarQueryable for Db {
    fn exemplars(
        &self,
        matcher_sets: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<SeriesExemplars>, StoreError> {
        self.shared().ensure_open()?;
        Ok(read(&self.shared().head.beside.exemplars).select(matcher_sets, range))
    }
}

impl MetadataQueryable for Db {
    fn metadata(&self, metric: Option<&str>) -> Result<Vec<FamilyMetadata>, StoreError> {
        self.shared().ensure_open()?;
        Ok(read(&self.shared().head.beside.families).list(metric))
    }
}

impl ExemplarQueryable for ReadOnlyDb {
    fn exemplars(
        &self,
        matcher_sets: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<SeriesExemplars>, StoreError> {
        Ok(read(&self.head().beside.exemplars).select(matcher_sets, range))
    }
}

impl MetadataQueryable for ReadOnlyDb {
    fn metadata(&self, metric: Option<&str>) -> Result<Vec<FamilyMetadata>, StoreError> {
        Ok(read(&self.head().beside.families).list(metric))
    }
}

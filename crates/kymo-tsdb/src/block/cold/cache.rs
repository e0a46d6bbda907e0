//! TimesCache: columns of timestamps that were read lately, since many series share one. Bounded; several threads use it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// So many timestamps are kept at least, if so many were read; and at most twice as many.
const SAMPLES_MAX: usize = 1 << 20;

/// By the offset of their record.
#[derive(Debug, Default)]
pub(super) struct TimesCache(Mutex<Generations>);

/// What was used since the last change of generations, and what was used before it.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<u64, Arc<[i64]>>,
    old: HashMap<u64, Arc<[i64]>>,
    young_samples: usize,
}

impl TimesCache {
    pub(super) fn get(&self, offset: u64) -> Option<Arc<[i64]>> {
        let mut generations = lock(&self.0);
        if let Some(times) = generations.young.get(&offset) {
            return Some(times.clone());
        }
        let times = generations.old.remove(&offset)?;
        generations.keep(offset, times.clone());
        Some(times)
    }

    pub(super) fn put(&self, offset: u64, times: Arc<[i64]>) {
        lock(&self.0).keep(offset, times);
    }

    pub(super) fn clear(&self) {
        *lock(&self.0) = Generations::default();
    }
}

impl Generations {
    fn keep(&mut self, offset: u64, times: Arc<[i64]>) {
        self.young_samples += times.len();
        self.young.insert(offset, times);
        if self.young_samples > SAMPLES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.young_samples = 0;
        }
    }
}

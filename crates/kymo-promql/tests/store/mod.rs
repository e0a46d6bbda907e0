//! Stores for the tests: series in the notation of promqltest, and a wrapper that notes what it is asked.

#![allow(dead_code)]

use std::sync::Mutex;

use kymo_model::{
    Append, Batch, CancelToken, Labels, Matcher, MemoryStore, Queryable, SampleValue, Selector, SeriesSet,
    StoreError, TimeRange, Timestamp,
};
use kymo_promql_syntax::series::{SequenceValue, parse_series_description};

/// A store with the series of one `load` block.
pub(crate) fn loaded(script: &str) -> MemoryStore {
    let store = MemoryStore::default();
    let mut lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    let step = lines.next().and_then(|line| line.strip_prefix("load ")).expect("a load line");
    let step_ms = kymo_model::parse_duration(step).expect("a duration");
    let mut batch = Batch::new();
    for line in lines {
        let (labels, values) = parse_series_description(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        for (at, value) in values.into_iter().enumerate() {
            let value = match value {
                SequenceValue::Float(value) => SampleValue::Float(value),
                SequenceValue::Histogram { histogram, .. } => SampleValue::FloatHistogram(histogram),
                SequenceValue::Omitted => continue,
            };
            batch.push(labels.clone(), Timestamp::from_millis(at as i64 * step_ms), value);
        }
    }
    store.append(&batch).expect("an open store");
    store
}

/// A series `x{n="…"}` for each bit pattern, with one sample at each minute up to two.
pub(crate) fn with_bits(patterns: &[u64]) -> MemoryStore {
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    for (n, bits) in patterns.iter().enumerate() {
        let n = n.to_string();
        let labels = Labels::from_pairs([("__name__", "x"), ("n", n.as_str()), ("le", "1")]);
        for minute in 0..3 {
            batch.push(labels.clone(), Timestamp::from_millis(minute * 60_000), f64::from_bits(*bits));
        }
    }
    store.append(&batch).expect("an open store");
    store
}

/// Passes everything on and keeps the selectors.
pub(crate) struct Recording {
    inner: MemoryStore,
    asked: Mutex<Vec<Selector>>,
    warnings: Vec<String>,
}

impl Recording {
    pub(crate) fn new(inner: MemoryStore) -> Recording {
        Recording { inner, asked: Mutex::new(Vec::new()), warnings: Vec::new() }
    }

    pub(crate) fn warning(mut self, text: &str) -> Recording {
        self.warnings.push(text.to_owned());
        self
    }

    pub(crate) fn asked(&self) -> Vec<Selector> {
        self.asked.lock().unwrap().clone()
    }
}

impl Queryable for Recording {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        self.asked.lock().unwrap().push(wanted.clone());
        Ok(self.inner.select(wanted)?.with_warnings(self.warnings.clone()))
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.inner.label_names(matchers, range, cancel)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.inner.label_values(name, matchers, range, cancel)
    }
}

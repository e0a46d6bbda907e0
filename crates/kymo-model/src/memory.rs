//! MemoryStore: a store that is a sorted map. For unit tests of rules, scripts, examples; not for a million series.

use std::collections::{BTreeMap, btree_map};
use std::sync::{Arc, RwLock};

use crate::{
    Append, Appended, Batch, CancelToken, Estimate, ExemplarRefusal, FloatHistogram, Labels, Matcher,
    Queryable, Refusal, RefusedExemplar, RefusedRow, Resume, RowSeries, SampleValue, Samples, Selector,
    SeriesSet, SeriesSource, StoreError, TimeRange,
};

/// A whole store in memory: every series a sorted map from time to value. A select copies what it returns.
///
/// It takes samples in any order and holds one value per timestamp; writing another value there is refused. It gives no
/// handles, and keeps neither exemplars nor metadata. Series come out sorted by labels.
#[derive(Debug, Default)]
pub struct MemoryStore {
    series: RwLock<BTreeMap<Labels, BTreeMap<i64, Stored>>>,
}

#[derive(Clone, Debug)]
enum Stored {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl Stored {
    /// The same to the bit, so that one NaN equals itself.
    fn same(&self, other: &Stored) -> bool {
        match (self, other) {
            (Stored::Float(a), Stored::Float(b)) => a.to_bits() == b.to_bits(),
            (Stored::Histogram(a), Stored::Histogram(b)) => a.same_bits(b),
            _ => false,
        }
    }
}

impl MemoryStore {
    /// Forgets everything.
    pub fn clear(&self) {
        self.write().clear();
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<Labels, BTreeMap<i64, Stored>>> {
        self.series.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Distinct texts of the labels of all series that match and have samples in the range, sorted.
    fn distinct(
        &self,
        (matchers, cancel): (&[Matcher], &CancelToken),
        range: TimeRange,
        mut texts: impl FnMut(&Labels, &mut Vec<String>),
    ) -> Result<Vec<String>, StoreError> {
        let wanted = Selector { cancel: cancel.clone(), ..Selector::new(matchers.to_vec(), range) };
        let mut found = Vec::new();
        self.for_each_match(&wanted, |labels, mut samples| {
            if samples.next().is_some() {
                texts(labels, &mut found);
            }
            true
        })?;
        cancel.sort_by(&mut found, String::cmp)?;
        found.dedup();
        Ok(found)
    }

    fn pinned(&self, wanted: &Selector) -> Result<Vec<Pinned>, StoreError> {
        let mut found = Vec::new();
        self.for_each_match(wanted, |labels, samples| {
            let samples: Vec<_> = samples.map(|(t, v)| (*t, v.clone())).collect();
            if !samples.is_empty() {
                found.push(Pinned { labels: labels.clone(), samples });
            }
            true
        })?;
        Ok(found)
    }

    /// Calls `each` with every series that matches and its samples in the range, until it says that this is enough.
    fn for_each_match(
        &self,
        wanted: &Selector,
        mut each: impl FnMut(&Labels, btree_map::Range<'_, i64, Stored>) -> bool,
    ) -> Result<(), StoreError> {
        let (range, mut pulse) = (wanted.range, wanted.cancel.pulse());
        if range.min > range.max {
            return Ok(());
        }
        let all = self.series.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        for (labels, samples) in all.iter() {
            pulse.tick(samples.len())?;
            if wanted.try_matches(labels, &mut pulse)?
                && !each(labels, samples.range(range.min.millis()..=range.max.millis()))
            {
                break;
            }
        }
        Ok(())
    }
}

impl Append for MemoryStore {
    fn append(&self, batch: &Batch) -> Result<Appended, StoreError> {
        let mut all = self.write();
        let disabled = |index| RefusedExemplar { index, reason: ExemplarRefusal::Disabled };
        let mut outcome = Appended {
            exemplars_refused: (0..batch.exemplars().len()).map(disabled).collect(),
            metadata_refused: batch.metadata().len(),
            ..Appended::default()
        };
        for (index, row) in batch.rows().iter().enumerate() {
            let mut refuse = |reason| outcome.refused.push(RefusedRow { row: index, reason });
            let RowSeries::Labels(labels) = &row.series else {
                refuse(Refusal::UnknownHandle);
                continue;
            };
            let value = match &row.value {
                SampleValue::Float(value) => Stored::Float(*value),
                SampleValue::FloatHistogram(histogram) => Stored::Histogram(histogram.clone()),
                SampleValue::Histogram(histogram) => Stored::Histogram(Arc::new(histogram.to_float())),
            };
            if labels.is_empty() {
                refuse(Refusal::InvalidLabels);
                continue;
            }
            let samples = all.entry(labels.clone()).or_insert_with(|| {
                outcome.series_created += 1;
                BTreeMap::new()
            });
            match samples.get(&row.timestamp.millis()) {
                Some(stored) if !stored.same(&value) => {
                    outcome.refused.push(RefusedRow { row: index, reason: Refusal::DuplicateTimestamp });
                }
                _ => {
                    samples.insert(row.timestamp.millis(), value);
                    outcome.appended += 1;
                }
            }
        }
        Ok(outcome)
    }
}

struct Pinned {
    labels: Labels,
    samples: Vec<(i64, Stored)>,
}

struct Snapshot(Vec<Pinned>);

impl SeriesSource for Snapshot {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.0[index].labels.clone()
    }

    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        let rest = &self.0[index].samples[resume.a as usize..];
        let run = match rest.first() {
            None => {
                out.clear();
                return Ok(false);
            }
            Some((_, Stored::Float(_))) => {
                let (times, values) = out.floats_mut();
                for (t, stored) in rest {
                    let Stored::Float(value) = stored else { break };
                    times.push(*t);
                    values.push(*value);
                }
                times.len()
            }
            Some((_, Stored::Histogram(_))) => {
                let (times, values) = out.histograms_mut();
                for (t, stored) in rest {
                    let Stored::Histogram(value) = stored else { break };
                    times.push(*t);
                    values.push(value.clone());
                }
                times.len()
            }
        };
        resume.a += run as u64;
        Ok(true)
    }
}

impl Queryable for MemoryStore {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        Ok(SeriesSet::new(Arc::new(Snapshot(self.pinned(wanted)?))))
    }

    fn estimate(&self, wanted: &Selector) -> Result<Option<Estimate>, StoreError> {
        let mut found = Estimate::default();
        self.for_each_match(wanted, |_, samples| {
            let samples = samples.count() as u64;
            found.samples += samples;
            found.series += u64::from(samples > 0);
            !found.exceeds(wanted.hints.series_limit, wanted.hints.samples_limit)
        })?;
        Ok(Some(found))
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.distinct((matchers, cancel), range, |labels, names| {
            names.extend(labels.iter().map(|label| label.name.to_owned()));
        })
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.distinct((matchers, cancel), range, |labels, values| {
            values.extend(labels.get(name).map(str::to_owned));
        })
    }
}

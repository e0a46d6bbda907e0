//! A store for scripts: every series in memory with the start times that scripts can give. Series come out sorted.

use std::collections::BTreeMap;
use std::sync::Arc;

use kymo_model::{
    CancelToken, Labels, Matcher, Queryable, Resume, Samples, Selector, SeriesSet, SeriesSource, StoreError,
    TimeRange,
};

use crate::answer::{EngineError, LoadedSample, LoadedSeries, Value};
use crate::reset_hints;

/// Holds what scripts load, one sample per time.
#[derive(Clone, Debug, Default)]
pub struct ScriptStore {
    series: BTreeMap<Labels, BTreeMap<i64, LoadedSample>>,
}

impl ScriptStore {
    /// Forgets all series.
    pub fn clear(&mut self) {
        self.series.clear();
    }

    /// Adds series. Another value at a time that has one is an error.
    pub fn load(&mut self, series: &[LoadedSeries]) -> Result<(), EngineError> {
        for loaded in series {
            let samples = self.series.entry(loaded.labels.clone()).or_default();
            for sample in &loaded.samples {
                let t = sample.timestamp.millis();
                let before = samples.insert(t, sample.clone());
                if before.is_some_and(|before| !same_value(&before.value, &sample.value)) {
                    let message = format!("duplicate sample for timestamp {t} ms of {}", loaded.labels);
                    return Err(EngineError::new(message));
                }
            }
            reset_hints::set(samples.values_mut());
        }
        Ok(())
    }

    fn matching(&self, matchers: &[Matcher], range: TimeRange) -> Vec<(Labels, Vec<LoadedSample>)> {
        if range.min > range.max {
            return Vec::new();
        }
        let wanted = Selector::new(matchers.to_vec(), range);
        let matching = self.series.iter().filter(|(labels, _)| wanted.matches(labels));
        let inside = matching.map(|(labels, samples)| {
            let inside = samples.range(range.min.millis()..=range.max.millis());
            (labels.clone(), inside.map(|(_, sample)| sample.clone()).collect())
        });
        inside.filter(|(_, samples): &(_, Vec<_>)| !samples.is_empty()).collect()
    }
}

fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (Value::Histogram(a), Value::Histogram(b)) => a.same_bits(b),
        _ => false,
    }
}

struct Snapshot(Vec<(Labels, Vec<LoadedSample>)>);

impl SeriesSource for Snapshot {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.0[index].0.clone()
    }

    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        let rest = &self.0[index].1[resume.a as usize..];
        let Some(first) = rest.first() else {
            out.clear();
            return Ok(false);
        };
        let float = matches!(first.value, Value::Float(_));
        let run = rest.iter().take_while(|sample| matches!(sample.value, Value::Float(_)) == float).count();
        if float {
            let (times, values) = out.floats_mut();
            for sample in &rest[..run] {
                if let Value::Float(value) = &sample.value {
                    times.push(sample.timestamp.millis());
                    values.push(*value);
                }
            }
        } else {
            let (times, values) = out.histograms_mut();
            for sample in &rest[..run] {
                if let Value::Histogram(value) = &sample.value {
                    times.push(sample.timestamp.millis());
                    values.push(value.clone());
                }
            }
        }
        if rest[..run].iter().any(|sample| sample.start_timestamp_ms.is_some()) {
            out.start_timestamps_ms.extend(rest[..run].iter().map(|s| s.start_timestamp_ms.unwrap_or(0)));
        }
        resume.a += run as u64;
        Ok(true)
    }
}

impl Queryable for ScriptStore {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        Ok(SeriesSet::new(Arc::new(Snapshot(self.matching(&wanted.matchers, wanted.range)))))
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        _: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        let found = self.matching(matchers, range);
        Ok(sorted(found.iter().flat_map(|(labels, _)| labels.iter().map(|l| l.name.to_owned())).collect()))
    }

    fn label_values(
        &self,
        name: &str,
        m: &[Matcher],
        range: TimeRange,
        _: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        let found = self.matching(m, range);
        Ok(sorted(found.iter().filter_map(|(labels, _)| labels.get(name)).map(str::to_owned).collect()))
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

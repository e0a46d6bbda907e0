//! Cardinality: which names, labels and pairs make up the series. What `/api/v1/status/tsdb` shows.

use super::postings::Postings;
use kymo_model::METRIC_NAME;

/// A name and how many or how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// A metric name, a label name, or a pair as `name=value`.
    pub name: String,
    /// Series, values or bytes.
    pub count: u64,
}

/// The largest of each kind, largest first, equal ones by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Series by metric name.
    pub series_by_metric_name: Vec<Counted>,
    /// Distinct values by label name.
    pub values_by_label_name: Vec<Counted>,
    /// Bytes of label values by label name, counted for each series that has them, as Prometheus counts.
    pub bytes_by_label_name: Vec<Counted>,
    /// Series by pair of label name and value.
    pub series_by_label_pair: Vec<Counted>,
    /// Bytes of chunks by metric name.
    pub chunk_bytes_by_metric_name: Vec<Counted>,
}

/// The `limit` largest by everything the postings know.
pub(crate) fn cardinality(postings: &Postings, limit: usize) -> Cardinality {
    let mut metric_names = Top::new(limit);
    let mut values_by_name = Top::new(limit);
    let mut bytes_by_name = Top::new(limit);
    let mut pairs = Top::new(limit);
    for (name, values) in postings.names() {
        values_by_name.offer(values.len() as u64, || name.to_owned());
        let mut bytes = 0;
        for (value, list) in values {
            let series = list.as_slice().len() as u64;
            bytes += value.len() as u64 * series;
            pairs.offer(series, || format!("{name}={value}"));
            if name == METRIC_NAME {
                metric_names.offer(series, || value.to_string());
            }
        }
        bytes_by_name.offer(bytes, || name.to_owned());
    }
    Cardinality {
        series_by_metric_name: metric_names.finish(),
        values_by_label_name: values_by_name.finish(),
        bytes_by_label_name: bytes_by_name.finish(),
        series_by_label_pair: pairs.finish(),
        chunk_bytes_by_metric_name: Vec::new(),
    }
}

/// Keeps the largest few; makes a name only for what may be among them.
pub(crate) struct Top {
    limit: usize,
    found: Vec<Counted>,
    least: u64,
}

impl Top {
    pub(crate) fn new(limit: usize) -> Top {
        Top { limit, found: Vec::new(), least: 0 }
    }

    pub(crate) fn offer(&mut self, count: u64, name: impl FnOnce() -> String) {
        if self.limit == 0 || count < self.least {
            return;
        }
        self.found.push(Counted { name: name(), count });
        if self.found.len() >= self.limit.saturating_mul(2).max(64) {
            self.shrink();
        }
    }

    pub(crate) fn finish(mut self) -> Vec<Counted> {
        self.shrink();
        self.found
    }

    fn shrink(&mut self) {
        self.found.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
        self.found.truncate(self.limit);
        if self.found.len() == self.limit {
            self.least = self.found.last().map_or(0, |counted| counted.count);
        }
    }
}

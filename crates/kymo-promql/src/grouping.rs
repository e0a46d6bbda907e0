//! Grouping: which series belong together by some of their labels. Computed once per query, for aggregations and joins.

use std::collections::HashMap;

use kymo_model::METRIC_NAME;

use crate::QueryError;
use crate::context::Context;
use crate::vector::Series;

/// A choice of labels: these, or all but these.
pub(crate) struct Key {
    names: Vec<String>,
    keep: bool,
}

impl Key {
    /// Only these labels.
    pub(crate) fn by(names: &[String]) -> Key {
        Key { names: names.to_vec(), keep: true }
    }

    /// All labels but these and the metric name.
    pub(crate) fn without(names: &[String]) -> Key {
        let mut names = names.to_vec();
        names.push(METRIC_NAME.to_owned());
        Key { names, keep: false }
    }

    /// All labels but these; the metric name counts.
    pub(crate) fn without_exactly(names: &[String]) -> Key {
        Key { names: names.to_vec(), keep: false }
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name) == self.keep
    }

    /// Writes the chosen labels so that equal bytes mean equal labels.
    fn write(&self, series: &Series, out: &mut Vec<u8>) {
        out.clear();
        if self.keep && self.names.is_empty() {
            return;
        }
        for (name, value) in series.iter().filter(|(name, _)| self.wants(name)) {
            for part in [name, value] {
                out.extend_from_slice(&(part.len() as u32).to_le_bytes());
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
}

/// Numbers the distinct values of a key in order of first appearance.
pub(crate) struct Numbering {
    key: Key,
    numbers: HashMap<Vec<u8>, u32>,
    scratch: Vec<u8>,
}

impl Numbering {
    pub(crate) fn new(key: Key) -> Numbering {
        Numbering { key, numbers: HashMap::new(), scratch: Vec::new() }
    }

    /// The number of this series' group; a new one where there was none.
    pub(crate) fn number(&mut self, series: &Series) -> u32 {
        self.key.write(series, &mut self.scratch);
        if let Some(number) = self.numbers.get(&self.scratch) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(self.scratch.clone(), number);
        number
    }

    /// The number of this series' group, if it has one.
    pub(crate) fn find(&mut self, series: &Series) -> Option<u32> {
        self.key.write(series, &mut self.scratch);
        self.numbers.get(&self.scratch).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}

/// Groups of series.
pub(crate) struct Groups {
    /// For each series its group.
    pub(crate) of_series: Vec<u32>,
    /// For each group its first series.
    pub(crate) first: Vec<usize>,
}

impl Groups {
    pub(crate) fn new(key: Key, series: &[Series], context: &Context) -> Result<Groups, QueryError> {
        let mut numbering = Numbering::new(key);
        let mut groups = Groups { of_series: Vec::with_capacity(series.len()), first: Vec::new() };
        for (at, series) in series.iter().enumerate() {
            context.check_now_and_then(at)?;
            let number = numbering.number(series);
            if number as usize == groups.first.len() {
                groups.first.push(at);
            }
            groups.of_series.push(number);
        }
        Ok(groups)
    }

    pub(crate) fn len(&self) -> usize {
        self.first.len()
    }

    /// The series of each group.
    pub(crate) fn members(&self) -> Vec<Vec<u32>> {
        let mut members = vec![Vec::new(); self.len()];
        for (series, group) in self.of_series.iter().enumerate() {
            members[*group as usize].push(series as u32);
        }
        members
    }
}

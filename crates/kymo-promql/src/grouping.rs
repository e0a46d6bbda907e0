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
        let mut names = names.to_vec();
        names.sort_unstable();
        Key { names, keep: true }
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
        let mut write = |name: &str, value: &str| {
            for part in [name, value] {
                out.extend_from_slice(&(part.len() as u32).to_le_bytes());
                out.extend_from_slice(part.as_bytes());
            }
        };
        if !self.keep {
            series.iter().filter(|(name, _)| self.wants(name)).for_each(|(name, value)| write(name, value));
            return;
        }
        // Both are sorted: nobody looks behind the last name.
        let mut wanted = self.names.iter().map(String::as_str).peekable();
        for (name, value) in series.iter() {
            while wanted.next_if(|wanted| *wanted < name).is_some() {}
            match wanted.peek() {
                None => return,
                Some(wanted) if *wanted == name => write(name, value),
                Some(_) => {}
            }
        }
    }
}

/// Numbers the distinct values of a key in order of first appearance.
pub(crate) struct Numbering {
    key: Key,
    numbers: HashMap<Vec<u8>, u32>,
    scratch: Vec<u8>,
    /// The key that was numbered last: neighbours often have the same.
    last: Option<(Vec<u8>, u32)>,
}

impl Numbering {
    pub(crate) fn new(key: Key) -> Numbering {
        Numbering { key, numbers: HashMap::new(), scratch: Vec::new(), last: None }
    }

    /// The number of this series' group; a new one where there was none.
    pub(crate) fn number(&mut self, series: &Series) -> u32 {
        self.key.write(series, &mut self.scratch);
        if let Some((last, number)) = &self.last
            && *last == self.scratch
        {
            return *number;
        }
        let number = match self.numbers.get(&self.scratch) {
            Some(number) => *number,
            None => {
                let number = self.numbers.len() as u32;
                self.numbers.insert(self.scratch.clone(), number);
                number
            }
        };
        let (last, of_last) = self.last.get_or_insert_default();
        std::mem::swap(last, &mut self.scratch);
        *of_last = number;
        number
    }

    /// The key that was numbered last.
    pub(crate) fn last_key(&self) -> &[u8] {
        self.last.as_ref().map_or(&[], |(key, _)| key)
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

    /// For each group the series given, which is the first that has a value, or its first of all.
    pub(crate) fn first_with_values(&self, first: &[Option<usize>]) -> Vec<usize> {
        self.first.iter().zip(first).map(|(any, first)| first.unwrap_or(*any)).collect()
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

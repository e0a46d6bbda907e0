//! Postings: for each name and value the series that have it, and the table that says where each list is. The table is in
//! memory when the block is used, the lists are read when they are asked for.

use kymo_model::Pulse;

use super::super::error::BlockError;
use super::super::file::BlockFile;
use super::Toc;
use crate::frame::Bytes;

/// Which lists there are.
#[derive(Debug, Default)]
pub(in super::super) struct PostingsTable {
    /// All names and values, one behind the other.
    text: String,
    /// Sorted by name.
    names: Vec<Name>,
}

#[derive(Debug)]
struct Name {
    start: u32,
    end: u32,
    /// Sorted by value.
    values: Vec<Value>,
}

#[derive(Clone, Copy, Debug)]
struct Value {
    start: u32,
    end: u32,
    offset: u64,
}

/// The values of one name, sorted, with the offsets of their lists.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Values<'a> {
    text: &'a str,
    values: &'a [Value],
}

impl PostingsTable {
    pub(in super::super) fn read(
        file: &BlockFile,
        toc: Toc,
        pulse: &mut Pulse,
    ) -> Result<PostingsTable, BlockError> {
        let body = file.section(toc.postings_table)?;
        let mut bytes = Bytes(&body);
        let Some(count) = bytes.take(4).map(|count| u32::from_be_bytes(count.try_into().unwrap_or_default()))
        else {
            return Err(file.damaged(toc.postings_table, "expected a count of postings, found the end"));
        };
        let mut table = PostingsTable::default();
        for number in 0..count {
            pulse.tick(32)?;
            let offset = toc.postings_table + 4 + (body.len() - bytes.0.len()) as u64;
            let mut entry = || {
                let keys = bytes.unsigned().filter(|keys| *keys == 2);
                keys.and_then(|_| Some((bytes.text()?, bytes.text()?, bytes.unsigned()?)))
            };
            let Some((name, value, list)) = entry() else {
                let message = format!(
                    "expected name, value and offset in entry {number} of {count}, found something else"
                );
                return Err(file.damaged(offset, message));
            };
            table.add(name, value, list);
        }
        table.sort();
        Ok(table)
    }

    fn add(&mut self, name: &str, value: &str, offset: u64) {
        let is_last =
            self.names.last().is_some_and(|last| self.text[last.start as usize..last.end as usize] == *name);
        if !is_last {
            let (start, end) = push(&mut self.text, name);
            self.names.push(Name { start, end, values: Vec::new() });
        }
        let (start, end) = push(&mut self.text, value);
        let last = self.names.last_mut().expect("BUG: a name was just added");
        last.values.push(Value { start, end, offset });
    }

    /// Writers of version 1 did not sort; a name may then be there several times.
    fn sort(&mut self) {
        let text = &self.text;
        let name = |name: &Name| &text[name.start as usize..name.end as usize];
        let value = |value: &Value| &text[value.start as usize..value.end as usize];
        if !self.names.is_sorted_by(|a, b| name(a) < name(b)) {
            self.names.sort_by(|a, b| name(a).cmp(name(b)));
            self.names.dedup_by(|later, kept| {
                let same = name(later) == name(kept);
                if same {
                    kept.values.append(&mut later.values);
                }
                same
            });
        }
        for entry in &mut self.names {
            if !entry.values.is_sorted_by(|a, b| value(a) < value(b)) {
                entry.values.sort_by(|a, b| value(a).cmp(value(b)));
            }
            entry.values.shrink_to_fit();
        }
        self.names.shrink_to_fit();
    }

    /// The names in order, without the empty one that stands for all series.
    pub(in super::super) fn names(&self) -> impl Iterator<Item = (&str, Values<'_>)> {
        self.names.iter().filter(|entry| entry.start < entry.end).map(|entry| {
            let name = &self.text[entry.start as usize..entry.end as usize];
            (name, Values { text: &self.text, values: &entry.values })
        })
    }

    /// The values of a name.
    pub(in super::super) fn values(&self, name: &str) -> Option<Values<'_>> {
        let text = |entry: &Name| &self.text[entry.start as usize..entry.end as usize];
        let index = self.names.binary_search_by(|entry| text(entry).cmp(name)).ok()?;
        Some(Values { text: &self.text, values: &self.names[index].values })
    }

    /// The list of all series.
    pub(in super::super) fn all(&self) -> Option<u64> {
        self.values("").and_then(|values| values.find(""))
    }
}

fn push(text: &mut String, part: &str) -> (u32, u32) {
    let start = text.len() as u32;
    text.push_str(part);
    (start, text.len() as u32)
}

impl<'a> Values<'a> {
    pub(in super::super) fn len(self) -> usize {
        self.values.len()
    }

    /// Values and the offsets of their lists, in order of value.
    pub(in super::super) fn iter(self) -> impl Iterator<Item = (&'a str, u64)> {
        self.values
            .iter()
            .map(move |value| (&self.text[value.start as usize..value.end as usize], value.offset))
    }

    /// The list of a value.
    pub(in super::super) fn find(self, wanted: &str) -> Option<u64> {
        let text = |value: &Value| &self.text[value.start as usize..value.end as usize];
        let index = self.values.binary_search_by(|value| text(value).cmp(wanted)).ok()?;
        Some(self.values[index].offset)
    }

    /// Only those that begin with `prefix`.
    pub(in super::super) fn with_prefix(self, prefix: &str) -> Values<'a> {
        let text = |value: &Value| &self.text[value.start as usize..value.end as usize];
        let from = self.values.partition_point(|value| text(value) < prefix);
        let length = self.values[from..].partition_point(|value| text(value).starts_with(prefix));
        Values { text: self.text, values: &self.values[from..from + length] }
    }
}

/// The list at an offset.
pub(in super::super) fn read_postings(file: &BlockFile, offset: u64) -> Result<Vec<u32>, BlockError> {
    let body = file.section(offset)?;
    let mut words = body.chunks_exact(4).map(|word| u32::from_be_bytes(word.try_into().unwrap_or_default()));
    let count = words.next().unwrap_or(0);
    let series: Vec<u32> = words.collect();
    if body.len() % 4 != 0 || series.len() as u64 != u64::from(count) {
        let message =
            format!("expected {count} series, found {} bytes of them", body.len().saturating_sub(4));
        return Err(file.damaged(offset, message));
    }
    if !series.is_sorted_by(|before, after| before < after) {
        return Err(file.damaged(offset, "expected series in order, found them out of order"));
    }
    Ok(series)
}

//! Definitions of series: id and labels. Each label says only what differs from the label at the same place of the
//! definition before it, because neighbouring series share most of theirs.
//!
//! ```text
//! definitions  count  definition...
//! definition   id:signed, minus the id before minus 1   labels:count  label...
//! label        flags:byte (1: name as before, 2: value as before)   name:text unless 1   value:text unless 2
//! ```

use kymo_model::Labels;

use crate::frame::{Bytes, put_signed, put_unsigned};
use crate::index::SeriesId;

const SAME_NAME: u8 = 1;
const SAME_VALUE: u8 = 2;

/// Appends definitions. They can be read without anything that was written before.
pub(crate) fn put_definitions<'a>(
    out: &mut Vec<u8>,
    series: impl ExactSizeIterator<Item = (SeriesId, &'a Labels)>,
) {
    put_unsigned(out, series.len() as u64);
    let mut before = LabelsBefore::default();
    let mut next_id = 0;
    for (id, labels) in series {
        put_signed(out, i64::from(id.0) - next_id);
        next_id = i64::from(id.0) + 1;
        before.put(out, labels);
    }
}

/// Reads definitions, and hands out those that are wanted; `None` when the bytes are none.
pub(crate) fn read_definitions(
    bytes: &mut Bytes<'_>,
    mut is_wanted: impl FnMut(SeriesId) -> bool,
    mut define: impl FnMut(SeriesId, Labels),
) -> Option<()> {
    let count = bytes.count()?;
    let mut before = LabelsBefore::default();
    let mut next_id = 0i64;
    let mut scratch = String::new();
    for _ in 0..count {
        let id = u32::try_from(next_id.checked_add(bytes.signed()?)?).ok()?;
        next_id = i64::from(id) + 1;
        before.take_pairs(bytes)?;
        if is_wanted(SeriesId(id)) {
            let labels = before.labels(&mut scratch).filter(|labels| !labels.is_empty())?;
            define(SeriesId(id), labels);
        }
    }
    Some(())
}

/// The labels that were written, or read, last: what those after them have in common with them is not said again.
#[derive(Debug, Default)]
pub(super) struct LabelsBefore<'a> {
    before: Vec<(&'a str, &'a str)>,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> LabelsBefore<'a> {
    /// Appends labels: their number, then each of them.
    pub(super) fn put(&mut self, out: &mut Vec<u8>, labels: &'a Labels) {
        put_unsigned(out, labels.len() as u64);
        for (place, label) in labels.iter().enumerate() {
            let (name, value) = self.before.get(place).copied().unwrap_or_default();
            let same_name = if name == label.name { SAME_NAME } else { 0 };
            let same_value = if value == label.value { SAME_VALUE } else { 0 };
            out.push(same_name | same_value);
            if same_name == 0 {
                put_unsigned(out, label.name.len() as u64);
                out.extend_from_slice(label.name.as_bytes());
            }
            if same_value == 0 {
                put_unsigned(out, label.value.len() as u64);
                out.extend_from_slice(label.value.as_bytes());
            }
        }
        self.before.clear();
        self.before.extend(labels.iter().map(|label| (label.name, label.value)));
    }

    /// Reads labels, of which there may be none; `None` when the bytes are no labels.
    pub(super) fn take(&mut self, bytes: &mut Bytes<'a>, scratch: &mut String) -> Option<Labels> {
        self.take_pairs(bytes)?;
        self.labels(scratch)
    }

    fn take_pairs(&mut self, bytes: &mut Bytes<'a>) -> Option<()> {
        self.pairs.clear();
        for place in 0..bytes.count()? {
            let flags = bytes.byte()?;
            let (name, value) = self.before.get(place).copied().unwrap_or_default();
            let name = if flags & SAME_NAME != 0 { name } else { bytes.text()? };
            let value = if flags & SAME_VALUE != 0 { value } else { bytes.text()? };
            // What labels cannot hold was not written by us.
            if name.len() > PART_BYTES_MAX || value.len() > PART_BYTES_MAX {
                return None;
            }
            self.pairs.push((name, value));
        }
        std::mem::swap(&mut self.before, &mut self.pairs);
        Some(())
    }

    /// The labels that were read last, if they are as labels should be.
    fn labels(&self, scratch: &mut String) -> Option<Labels> {
        Labels::from_sorted(self.before.iter().copied(), scratch)
    }
}

/// The longest name or value that [`Labels`] hold.
const PART_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn definitions_come_back(all in proptest::collection::vec((0u32..5000, proptest::collection::btree_map("[a-c]{1,2}", "[a-b]{1,3}", 1..5)), 0..20)) {
            let series: Vec<(SeriesId, Labels)> = all
                .iter()
                .map(|(id, labels)| (SeriesId(*id), Labels::from_pairs(labels.iter().map(|(n, v)| (n.as_str(), v.as_str())))))
                .collect();
            let mut out = Vec::new();
            put_definitions(&mut out, series.iter().map(|(id, labels)| (*id, labels)));
            let (mut bytes, mut found) = (Bytes(&out), Vec::new());
            let mut define = |id, labels| found.push((id, labels));
            prop_assert_eq!(read_definitions(&mut bytes, |_| true, &mut define), Some(()));
            prop_assert_eq!(found, series);
            prop_assert!(bytes.0.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read_definitions(&mut Bytes(&bytes), |_| true, |_, _| {});
        }
    }
}

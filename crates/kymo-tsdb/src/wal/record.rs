//! The record of a batch: definitions of new series, then the rows that were taken, in the order in which they are applied.
//!
//! ```text
//! batch  kind:byte   definitions (again, those of the record before)   definitions (new)   rows
//! rows   count   run...   codes: four bits a row, lower half of a byte first   values
//! run    id:signed, minus the id before minus 1   rows * 2 + late   t_ms:signed, minus the one of the run before
//! ```
//!
//! A run is rows of neighbouring ids at one time, as a scrape writes them. New definitions are written twice, in two
//! records, so that losing one record to a damaged byte does not cost the samples of later ones.

use kymo_model::Labels;

use super::definitions::{put_definitions, read_definitions};
use super::value::{put_value, take_value};
use crate::append::Taken;
use crate::frame::{Bytes, put_signed, put_unsigned};
use crate::index::SeriesId;

/// The first byte of every payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RecordKind {
    Batch = 1,
    Definitions = 2,
    Chunk = 3,
    Manifest = 4,
    Activity = 5,
}

impl RecordKind {
    /// Splits a payload into its kind and the rest.
    pub(crate) fn of(payload: &[u8]) -> Option<(RecordKind, Bytes<'_>)> {
        let (kind, rest) = payload.split_first()?;
        let all = [
            RecordKind::Batch,
            RecordKind::Definitions,
            RecordKind::Chunk,
            RecordKind::Manifest,
            RecordKind::Activity,
        ];
        let kind = all.into_iter().find(|known| *known as u8 == *kind)?;
        Some((kind, Bytes(rest)))
    }
}

/// What one batch puts into the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchRecord<'a> {
    /// Definitions that the record before had.
    pub(crate) repeated: &'a [(SeriesId, Labels)],
    pub(crate) new: &'a [(SeriesId, Labels)],
    pub(crate) rows: &'a [Taken],
}

impl BatchRecord<'_> {
    /// Appends the payload.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.push(RecordKind::Batch as u8);
        put_definitions(out, self.repeated.iter().map(|(id, labels)| (*id, labels)));
        put_definitions(out, self.new.iter().map(|(id, labels)| (*id, labels)));
        put_unsigned(out, self.rows.len() as u64);
        let (mut next_id, mut time) = (0, 0);
        for run in self.rows.chunk_by(|a, b| {
            u64::from(a.id.0) + 1 == u64::from(b.id.0) && a.t_ms == b.t_ms && a.late == b.late
        }) {
            let first = &run[0];
            put_signed(out, i64::from(first.id.0) - next_id);
            put_unsigned(out, (run.len() as u64) << 1 | u64::from(first.late));
            put_signed(out, first.t_ms.wrapping_sub(time));
            next_id = i64::from(first.id.0) + run.len() as i64;
            time = first.t_ms;
        }
        let codes_at = out.len();
        out.resize(codes_at + self.rows.len().div_ceil(2), 0);
        let mut before = 0;
        for (place, pair) in self.rows.chunks(2).enumerate() {
            let low = put_value(out, pair[0].value, &mut before);
            let high = pair.get(1).map_or(0, |row| put_value(out, row.value, &mut before));
            out[codes_at + place] = low | high << 4;
        }
    }
}

/// Reads what [`BatchRecord::put`] wrote after the kind: hands out the definitions and gives the rows.
pub(crate) fn read_batch<'a>(
    mut bytes: Bytes<'a>,
    mut define: impl FnMut(SeriesId, Labels),
) -> Option<BatchRows<'a>> {
    read_definitions(&mut bytes, &mut define)?;
    read_definitions(&mut bytes, &mut define)?;
    let count = bytes.unsigned()?;
    let runs = bytes;
    let mut left = count;
    while left > 0 {
        bytes.signed()?;
        let rows = bytes.unsigned()? >> 1;
        left = left.checked_sub(rows).filter(|_| rows > 0)?;
        bytes.signed()?;
    }
    let codes = bytes.take(usize::try_from(count.div_ceil(2)).ok()?)?;
    Some(BatchRows { count, runs, codes, values: bytes.0 })
}

/// What rows of neighbouring series have in common. The first of them is `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: SeriesId,
    pub(crate) t_ms: i64,
    pub(crate) late: bool,
}

/// The rows of a record, not read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchRows<'a> {
    pub(crate) count: u64,
    runs: Bytes<'a>,
    codes: &'a [u8],
    values: &'a [u8],
}

impl BatchRows<'_> {
    /// Hands out the rows in order, run by run; `None` when the bytes are no rows. `values` is memory to work in.
    pub(crate) fn read(mut self, values: &mut Vec<f64>, mut run: impl FnMut(Run, &[f64])) -> Option<()> {
        let (mut next_id, mut time, mut row, mut before) = (0i64, 0i64, 0usize, 0);
        while (row as u64) < self.count {
            let first = next_id.checked_add(self.runs.signed()?)?;
            let header = self.runs.unsigned()?;
            time = time.wrapping_add(self.runs.signed()?);
            let end = first.checked_add(i64::try_from(header >> 1).ok()?)?;
            if first < 0 || end > 1 << 32 {
                return None;
            }
            values.clear();
            for row in row..row + (end - first) as usize {
                let code = self.codes.get(row / 2)? >> (4 * (row % 2)) & 15;
                values.push(take_value(code, &mut self.values, &mut before)?);
            }
            run(Run { first: SeriesId(first as u32), t_ms: time, late: header & 1 == 1 }, values);
            row += values.len();
            next_id = end;
        }
        self.values.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn batches_come_back(rows in proptest::collection::vec((0u32..9, 0i64..3, any::<u64>(), any::<bool>()), 0..60)) {
            let rows: Vec<Taken> = rows
                .into_iter()
                .map(|(id, t_ms, bits, late)| Taken { id: SeriesId(id), t_ms, value: f64::from_bits(bits % 5), late })
                .collect();
            let new = [(SeriesId(3), Labels::from_pairs([("a", "b")]))];
            let mut out = Vec::new();
            BatchRecord { repeated: &new, new: &new, rows: &rows }.put(&mut out);
            let (kind, bytes) = RecordKind::of(&out).unwrap();
            prop_assert_eq!(kind, RecordKind::Batch);
            let (mut found, mut defined) = (Vec::new(), 0);
            let read = read_batch(bytes, |_, _| defined += 1).unwrap();
            let all = read.read(&mut Vec::new(), |run, values| {
                let ids = run.first.0..;
                found.extend(ids.zip(values).map(|(id, value)| Taken {
                    id: SeriesId(id),
                    t_ms: run.t_ms,
                    value: *value,
                    late: run.late,
                }));
            });
            prop_assert_eq!(all, Some(()));
            prop_assert_eq!(defined, 2);
            let bits = |rows: &[Taken]| rows.iter().map(|r| (r.id, r.t_ms, r.value.to_bits(), r.late)).collect::<Vec<_>>();
            prop_assert_eq!(bits(&found), bits(&rows));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Some(rows) = read_batch(Bytes(&bytes), |_, _| {}) {
                let _ = rows.read(&mut Vec::new(), |_, _| {});
            }
        }
    }

    #[test]
    fn a_scrape_costs_little_more_than_its_values() {
        let rows: Vec<Taken> = (0..1000)
            .map(|i| Taken {
                id: SeriesId(i),
                t_ms: 1_700_000_000_000,
                value: f64::from(i % 30),
                late: false,
            })
            .collect();
        let mut out = Vec::new();
        BatchRecord { repeated: &[], new: &[], rows: &rows }.put(&mut out);
        // One byte a value (none for zeros) and half a byte of code.
        assert!(out.len() < 1500, "{}", out.len());
    }
}

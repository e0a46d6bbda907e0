//! The record of a batch: definitions of new series, then the rows that were taken, in the order in which they are applied.
//!
//! ```text
//! batch   kind:byte   head   values
//! packed  kind:byte   bytes of what follows   head (Snappy block)   values
//! head    definitions (again, those of the record before)   definitions (new)   rows
//! rows    count   run...   codes: four bits a float, lower half of a byte first   length of histograms   histograms
//! run     id:signed, minus the id before minus 1   rows * 4 + histograms * 2 + late   t_ms:signed, minus the run's before
//! ```
//!
//! A run is rows of neighbouring ids and of one kind at one time, as a scrape writes them. New definitions are written twice, in two
//! records, so that losing one record to a damaged byte does not cost the samples of later ones.
//!
//! Heads repeat themselves: the instances of a fleet have the same series with values of the same kinds. Values do not, and stay as
//! they are.

use std::ops::{Range, RangeInclusive};

use kymo_model::{Labels, SampleValue};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::definitions::{put_definitions, read_definitions};
use super::histogram::{Scale, put_histogram, take_histogram};
use super::value::{put_value, take_value};
use crate::append::Taken;
use crate::frame::{Bytes, PAYLOAD_BYTES_MAX, put_signed, put_unsigned};
use crate::head::is_sound;
use crate::index::SeriesId;

/// What the header of a run says in its lowest bits.
const LATE: u64 = 1;
const HISTOGRAMS: u64 = 2;
const FLAG_BITS: u32 = 2;

/// The first byte of every payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RecordKind {
    Batch = 1,
    Definitions = 2,
    Chunk = 3,
    ManifestV1 = 4,
    Activity = 5,
    Manifest = 6,
    Segment = 7,
    Exemplars = 8,
    KeptExemplars = 9,
    Metadata = 10,
    PackedBatch = 11,
}

impl RecordKind {
    /// Splits a payload into its kind and the rest.
    pub(crate) fn of(payload: &[u8]) -> Option<(RecordKind, Bytes<'_>)> {
        let (kind, rest) = payload.split_first()?;
        let all = [
            RecordKind::Batch,
            RecordKind::Definitions,
            RecordKind::Chunk,
            RecordKind::ManifestV1,
            RecordKind::Activity,
            RecordKind::Manifest,
            RecordKind::Segment,
            RecordKind::Exemplars,
            RecordKind::KeptExemplars,
            RecordKind::Metadata,
            RecordKind::PackedBatch,
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

/// Heads of so many bytes are packed: shorter ones are not worth it, longer ones no record has.
const PACKED_BYTES: RangeInclusive<usize> = 64..=PAYLOAD_BYTES_MAX;

/// What a batch is packed with, used again and again.
#[derive(Debug)]
pub(crate) struct Packer {
    encoder: Encoder,
    head: Vec<u8>,
    packed: Vec<u8>,
    values: Vec<u8>,
}

impl Packer {
    pub(crate) fn new() -> Packer {
        Packer { encoder: Encoder::new(), head: Vec::new(), packed: Vec::new(), values: Vec::new() }
    }

    /// Packs the head; says whether that made it shorter.
    fn pack(&mut self) -> bool {
        if !PACKED_BYTES.contains(&self.head.len()) {
            return false;
        }
        self.packed.resize(max_compress_len(self.head.len()), 0);
        let Ok(length) = self.encoder.compress(&self.head, &mut self.packed) else { return false };
        self.packed.truncate(length);
        length < self.head.len()
    }
}

impl BatchRecord<'_> {
    /// Appends the payload.
    pub(crate) fn put(&self, out: &mut Vec<u8>, packer: &mut Packer) {
        packer.head.clear();
        packer.values.clear();
        self.put_parts(&mut packer.head, &mut packer.values);
        if packer.pack() {
            out.push(RecordKind::PackedBatch as u8);
            put_unsigned(out, packer.packed.len() as u64);
            out.extend_from_slice(&packer.packed);
        } else {
            out.push(RecordKind::Batch as u8);
            out.extend_from_slice(&packer.head);
        }
        out.extend_from_slice(&packer.values);
    }

    fn put_parts(&self, head: &mut Vec<u8>, values: &mut Vec<u8>) {
        put_definitions(head, self.repeated.iter().map(|(id, labels)| (*id, labels)));
        put_definitions(head, self.new.iter().map(|(id, labels)| (*id, labels)));
        put_unsigned(head, self.rows.len() as u64);
        let (mut next_id, mut time, mut floats) = (0, 0, 0);
        for run in self.rows.chunk_by(Taken::is_followed_by) {
            let first = &run[0];
            let histograms = !matches!(first.value, SampleValue::Float(_));
            floats += if histograms { 0 } else { run.len() };
            put_signed(head, i64::from(first.id.0) - next_id);
            let flags = if first.late { LATE } else { 0 } | if histograms { HISTOGRAMS } else { 0 };
            put_unsigned(head, (run.len() as u64) << FLAG_BITS | flags);
            put_signed(head, first.t_ms.wrapping_sub(time));
            next_id = i64::from(first.id.0) + run.len() as i64;
            time = first.t_ms;
        }
        let codes_at = head.len();
        head.resize(codes_at + floats.div_ceil(2), 0);
        let codes = &mut head[codes_at..];
        let (mut place, mut before) = (0, 0);
        for row in self.rows {
            if let SampleValue::Float(value) = row.value {
                let code = put_value(values, value, &mut before);
                codes[place / 2] |= code << (4 * (place % 2));
                place += 1;
            }
        }
        if floats == self.rows.len() {
            put_unsigned(head, 0);
        } else {
            let (mut histograms, mut before) = (Vec::new(), Scale::default());
            self.rows.iter().for_each(|row| put_histogram(&mut histograms, &row.value, &mut before));
            put_unsigned(head, histograms.len() as u64);
            head.extend_from_slice(&histograms);
        }
    }
}

impl Taken {
    /// Does a row go on with the run of this one?
    fn is_followed_by(&self, next: &Taken) -> bool {
        u64::from(self.id.0) + 1 == u64::from(next.id.0)
            && self.t_ms == next.t_ms
            && self.late == next.late
            && matches!(self.value, SampleValue::Float(_)) == matches!(next.value, SampleValue::Float(_))
    }
}

/// Reads what [`BatchRecord::put`] wrote after the kind: hands out the definitions that are wanted and gives the rows. `head` is
/// memory to work in.
pub(crate) fn read_batch<'a>(
    kind: RecordKind,
    mut bytes: Bytes<'a>,
    head: &'a mut Vec<u8>,
    is_wanted: impl FnMut(SeriesId) -> bool,
    define: impl FnMut(SeriesId, Labels),
) -> Option<BatchRows<'a>> {
    if kind == RecordKind::Batch {
        return read_head(&mut bytes, is_wanted, define).map(|rows| BatchRows { values: bytes.0, ..rows });
    }
    let length = usize::try_from(bytes.unsigned()?).ok()?;
    unpack(bytes.take(length)?, head)?;
    let mut rest = Bytes(head);
    let rows = read_head(&mut rest, is_wanted, define)?;
    rest.0.is_empty().then_some(BatchRows { values: bytes.0, ..rows })
}

fn unpack(packed: &[u8], head: &mut Vec<u8>) -> Option<()> {
    let length = decompress_len(packed).ok()?;
    // No element of a Snappy block gives more than 64 bytes for two.
    if length > PAYLOAD_BYTES_MAX.min(packed.len().saturating_mul(32)) {
        return None;
    }
    head.resize(length, 0);
    Decoder::new().decompress(packed, head).ok().map(drop)
}

/// Reads a head from the front of the bytes.
fn read_head<'a>(
    bytes: &mut Bytes<'a>,
    mut is_wanted: impl FnMut(SeriesId) -> bool,
    mut define: impl FnMut(SeriesId, Labels),
) -> Option<BatchRows<'a>> {
    read_definitions(bytes, &mut is_wanted, &mut define)?;
    read_definitions(bytes, &mut is_wanted, &mut define)?;
    let count = bytes.unsigned()?;
    let runs = *bytes;
    let (mut left, mut floats) = (count, count);
    while left > 0 {
        bytes.signed()?;
        let header = bytes.unsigned()?;
        let rows = header >> FLAG_BITS;
        left = left.checked_sub(rows).filter(|_| rows > 0)?;
        floats -= if header & HISTOGRAMS != 0 { rows } else { 0 };
        bytes.signed()?;
    }
    let codes = bytes.take(usize::try_from(floats.div_ceil(2)).ok()?)?;
    let length = bytes.unsigned()?;
    let histograms = Bytes(bytes.take(usize::try_from(length).ok()?)?);
    Some(BatchRows { count, runs, codes, histograms, values: &[] })
}

/// A histogram of the usual size takes about so many times the memory of a float.
const HISTOGRAM_WEIGHT: usize = 64;

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
    histograms: Bytes<'a>,
    values: &'a [u8],
}

/// The values of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RunValues<'a> {
    Floats(&'a [f64]),
    /// Each of them sound, none a float.
    Histograms(&'a [SampleValue]),
}

impl<'a> RunValues<'a> {
    pub(crate) fn len(self) -> usize {
        match self {
            RunValues::Floats(values) => values.len(),
            RunValues::Histograms(values) => values.len(),
        }
    }

    /// As how many floats one of them counts where memory is bounded.
    pub(crate) fn weight(self) -> usize {
        match self {
            RunValues::Floats(_) => 1,
            RunValues::Histograms(_) => HISTOGRAM_WEIGHT,
        }
    }

    /// Some of them.
    pub(crate) fn part(self, range: Range<usize>) -> RunValues<'a> {
        match self {
            RunValues::Floats(values) => RunValues::Floats(&values[range]),
            RunValues::Histograms(values) => RunValues::Histograms(&values[range]),
        }
    }
}

impl BatchRows<'_> {
    /// Hands out the rows in order, run by run; `None` when the bytes are no rows. `values` is memory to work in.
    pub(crate) fn read(
        mut self,
        values: &mut Vec<f64>,
        mut run: impl FnMut(Run, RunValues<'_>),
    ) -> Option<()> {
        let (mut next_id, mut time, mut rows_read, mut place, mut before) = (0i64, 0i64, 0, 0usize, 0);
        let (mut histograms, mut scale) = (Vec::new(), Scale::default());
        while rows_read < self.count {
            let first = next_id.checked_add(self.runs.signed()?)?;
            let header = self.runs.unsigned()?;
            time = time.wrapping_add(self.runs.signed()?);
            let rows = header >> FLAG_BITS;
            let end = first.checked_add(i64::try_from(rows).ok()?)?;
            if first < 0 || end > 1 << 32 {
                return None;
            }
            let of = Run { first: SeriesId(first as u32), t_ms: time, late: header & LATE != 0 };
            if header & HISTOGRAMS != 0 {
                histograms.clear();
                for _ in 0..rows {
                    let value = take_histogram(&mut self.histograms, &mut scale)?;
                    histograms.push(Some(value).filter(is_sound)?);
                }
                run(of, RunValues::Histograms(&histograms));
            } else {
                values.clear();
                for place in place..place + rows as usize {
                    let code = self.codes.get(place / 2)? >> (4 * (place % 2)) & 15;
                    values.push(take_value(code, &mut self.values, &mut before)?);
                }
                run(of, RunValues::Floats(values));
                place += rows as usize;
            }
            rows_read += rows;
            next_id = end;
        }
        (self.values.is_empty() && self.histograms.0.is_empty()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn put(record: BatchRecord<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        record.put(&mut out, &mut Packer::new());
        out
    }

    /// A float, or a histogram now and then.
    fn value(bits: u64) -> SampleValue {
        let histogram = kymo_model::Histogram { count: bits, zero_count: bits, ..Default::default() };
        match bits % 7 {
            5 => SampleValue::Histogram(histogram.into()),
            6 => SampleValue::FloatHistogram(histogram.to_float().into()),
            bits => SampleValue::Float(f64::from_bits(bits)),
        }
    }

    proptest! {
        #[test]
        fn batches_come_back(rows in proptest::collection::vec((0u32..9, 0i64..3, any::<u64>(), any::<bool>()), 0..60)) {
            let rows: Vec<Taken> = rows
                .into_iter()
                .map(|(id, t_ms, bits, late)| Taken { id: SeriesId(id), t_ms, value: value(bits), late })
                .collect();
            let new = [(SeriesId(3), Labels::from_pairs([("a", "b")]))];
            let out = put(BatchRecord { repeated: &new, new: &new, rows: &rows });
            let (kind, bytes) = RecordKind::of(&out).unwrap();
            prop_assert!(matches!(kind, RecordKind::Batch | RecordKind::PackedBatch));
            let (mut found, mut defined, mut head) = (Vec::new(), 0, Vec::new());
            let read = read_batch(kind, bytes, &mut head, |_| true, |_, _| defined += 1).unwrap();
            let all = read.read(&mut Vec::new(), |run, values| {
                let values: Vec<SampleValue> = match values {
                    RunValues::Floats(values) => values.iter().copied().map(SampleValue::Float).collect(),
                    RunValues::Histograms(values) => values.to_vec(),
                };
                found.extend((run.first.0..).zip(values).map(|(id, value)| Taken {
                    id: SeriesId(id),
                    t_ms: run.t_ms,
                    value,
                    late: run.late,
                }));
            });
            prop_assert_eq!(all, Some(()));
            prop_assert_eq!(defined, 2);
            prop_assert_eq!(found, rows);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            for kind in [RecordKind::Batch, RecordKind::PackedBatch] {
                if let Some(rows) = read_batch(kind, Bytes(&bytes), &mut Vec::new(), |_| true, |_, _| {}) {
                    let _ = rows.read(&mut Vec::new(), |_, _| {});
                }
            }
        }
    }

    #[test]
    fn a_scrape_costs_little_more_than_its_values() {
        let rows: Vec<Taken> = (0..1000)
            .map(|i| Taken {
                id: SeriesId(i),
                t_ms: 1_700_000_000_000,
                value: SampleValue::Float(f64::from(i % 30)),
                late: false,
            })
            .collect();
        // One byte a value (none for zeros) and next to nothing for the codes, which are the same again and again.
        let bytes = put(BatchRecord { repeated: &[], new: &[], rows: &rows }).len();
        assert!(bytes < 1050, "{bytes}");
    }
}

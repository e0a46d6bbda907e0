//! A write request, walked once: rows into a batch, and per series what is needed to answer for its rows later.

use kymo_model::{Batch, Metadata, MetricType, RowSeries, SampleValue, SeriesHandle, Timestamp};

use crate::cache::{Known, SeriesKey};
use crate::labels::{self, LabelBounds};
use crate::receive::FamilyMetadata;
use crate::wire::{Cursor, Wire, WireError, WireErrorKind};

/// What a walk fills, kept from request to request.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) batch: Batch,
    /// In order of their first row.
    pub(crate) series: Vec<SeriesRows>,
    /// Label fields of series that have other fields between them, joined.
    pub(crate) joined: Vec<u8>,
    /// Series found in the older generation of the cache.
    pub(crate) learn: Vec<(SeriesKey, SeriesHandle)>,
    pub(crate) text: String,
}

/// The rows of one series: from `first_row` to the next series' first.
#[derive(Clone, Copy)]
pub(crate) struct SeriesRows {
    pub(crate) first_row: usize,
    pub(crate) key: SeriesKey,
    pub(crate) raw: RawLabels,
}

/// Where the label fields of a series stand.
#[derive(Clone, Copy)]
pub(crate) enum RawLabels {
    Message(usize, usize),
    Joined(usize, usize),
}

/// What a walk found besides rows.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) samples: usize,
    pub(crate) histograms: usize,
    pub(crate) exemplars: usize,
    pub(crate) metadata: Vec<FamilyMetadata>,
    pub(crate) invalid: usize,
    pub(crate) first_invalid: Option<String>,
}

impl Rows {
    pub(crate) fn clear(&mut self) {
        self.batch.clear();
        self.series.clear();
        self.joined.clear();
        self.learn.clear();
    }

    /// Bytes that are kept between requests, roughly.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.joined.capacity() + self.series.capacity() * size_of::<SeriesRows>() + self.text.capacity()
    }

    /// The bytes that hold a series' label fields, up to their end, and their start.
    pub(crate) fn raw<'a>(&'a self, message: &'a [u8], raw: RawLabels) -> (&'a [u8], usize) {
        match raw {
            RawLabels::Message(from, to) => (&message[..to], from),
            RawLabels::Joined(from, to) => (&self.joined[..to], from),
        }
    }

    /// The series that a row belongs to.
    pub(crate) fn series_of(&self, row: usize) -> Option<&SeriesRows> {
        let after = self.series.partition_point(|series| series.first_row <= row);
        self.series.get(after.checked_sub(1)?)
    }

    /// Walks the request.
    pub(crate) fn walk(
        &mut self,
        message: &[u8],
        known: &Known<'_>,
        bounds: LabelBounds,
    ) -> Result<Found, WireError> {
        let mut found = Found::default();
        let mut request = Cursor::new(message, 0);
        while let Some((number, wire)) = request.field()? {
            match (number, wire) {
                (1, Wire::Bytes) => self.series(message, request.message()?, known, bounds, &mut found)?,
                (3, Wire::Bytes) => found.metadata.extend(metadata(request.message()?)?),
                (1 | 3, _) => return request.error(WireErrorKind::WrongWireType),
                _ => request.skip(wire)?,
            }
        }
        Ok(found)
    }

    fn series(
        &mut self,
        message: &[u8],
        mut fields: Cursor<'_>,
        known: &Known<'_>,
        bounds: LabelBounds,
        found: &mut Found,
    ) -> Result<(), WireError> {
        let raw = self.raw_labels(message, &mut fields)?;
        let (bytes, from) = self.raw(message, raw);
        let key = known.key(&bytes[from..]);
        let series = match known.get(key) {
            Some((handle, is_old)) => {
                if is_old {
                    self.learn.push((key, handle));
                }
                Some(RowSeries::Handle(handle))
            }
            None => {
                let mut text = std::mem::take(&mut self.text);
                let (bytes, from) = self.raw(message, raw);
                let read = labels::read(bytes, from, bounds, &mut text);
                self.text = text;
                match read? {
                    Ok(labels) => Some(RowSeries::Labels(labels)),
                    Err(fault) => {
                        found.first_invalid.get_or_insert_with(|| fault.to_string());
                        None
                    }
                }
            }
        };
        let first_row = self.batch.len();
        while let Some((number, wire)) = fields.field()? {
            let (timestamp_ms, value) = match (number, wire) {
                (2, Wire::Bytes) => {
                    let (timestamp_ms, value) = sample(fields.message()?)?;
                    found.samples += usize::from(series.is_some());
                    (timestamp_ms, SampleValue::Float(value))
                }
                (4, Wire::Bytes) => match crate::histogram::read(fields.message()?)? {
                    (timestamp_ms, Ok(value)) => {
                        found.histograms += usize::from(series.is_some());
                        (timestamp_ms, value)
                    }
                    (_, Err(fault)) => {
                        found
                            .first_invalid
                            .get_or_insert_with(|| format!("invalid native histogram: {fault}"));
                        found.invalid += 1;
                        continue;
                    }
                },
                (3, Wire::Bytes) => {
                    found.exemplars += 1;
                    fields.skip(wire)?;
                    continue;
                }
                (2..=4, _) => return fields.error(WireErrorKind::WrongWireType),
                _ => {
                    fields.skip(wire)?;
                    continue;
                }
            };
            match &series {
                Some(RowSeries::Handle(handle)) => {
                    self.batch.push(*handle, Timestamp::from_millis(timestamp_ms), value);
                }
                Some(series) => self.batch.push(series.clone(), Timestamp::from_millis(timestamp_ms), value),
                None => found.invalid += 1,
            }
        }
        if self.batch.len() > first_row {
            self.series.push(SeriesRows { first_row, key, raw });
        }
        Ok(())
    }

    /// Finds the label fields of a series. Senders write them first and together; where one does not, they are copied
    /// together, so that they are hashed and read as one piece. Moves `fields` past labels that stand at its start.
    fn raw_labels(&mut self, message: &[u8], fields: &mut Cursor<'_>) -> Result<RawLabels, WireError> {
        let start = *fields;
        fields.skip_run(LABEL_TAG)?;
        let mut scan = *fields;
        let mut scattered = false;
        while let Some((number, wire)) = scan.field()? {
            if number == 1 && wire != Wire::Bytes {
                return scan.error(WireErrorKind::WrongWireType);
            }
            scattered |= number == 1;
            scan.skip(wire)?;
        }
        if !scattered {
            return Ok(RawLabels::Message(start.position(), fields.position()));
        }
        let joined = self.joined.len();
        let mut scan = start;
        loop {
            let from = scan.position();
            let Some((number, wire)) = scan.field()? else { break };
            scan.skip(wire)?;
            if number == 1 {
                self.joined.extend_from_slice(&message[from..scan.position()]);
            }
        }
        Ok(RawLabels::Joined(joined, self.joined.len()))
    }
}

/// Field 1, length-delimited.
const LABEL_TAG: u8 = 0x0a;

#[inline]
fn sample(mut message: Cursor<'_>) -> Result<(i64, f64), WireError> {
    if let Some(plain) = plain_sample(message) {
        return Ok(plain);
    }
    let (mut timestamp_ms, mut value) = (0, 0.0);
    while let Some((number, wire)) = message.field()? {
        match (number, wire) {
            (1, Wire::Fixed64) => value = message.double()?,
            (2, Wire::Varint) => timestamp_ms = message.varint()? as i64,
            (1 | 2, _) => return message.error(WireErrorKind::WrongWireType),
            _ => message.skip(wire)?,
        }
    }
    Ok((timestamp_ms, value))
}

/// A sample as nearly all senders write it: value, then timestamp, nothing else. `None` for every other form.
#[inline]
fn plain_sample(mut message: Cursor<'_>) -> Option<(i64, f64)> {
    message.take_byte(VALUE_TAG)?;
    let value = message.double().ok()?;
    message.take_byte(TIMESTAMP_TAG)?;
    let timestamp_ms = message.varint().ok()? as i64;
    message.is_at_end().then_some((timestamp_ms, value))
}

/// Field 1, eight bytes.
const VALUE_TAG: u8 = 0x09;
/// Field 2, an integer.
const TIMESTAMP_TAG: u8 = 0x10;

/// `None` for metadata about no family.
fn metadata(mut message: Cursor<'_>) -> Result<Option<FamilyMetadata>, WireError> {
    let mut family = FamilyMetadata::default();
    while let Some((number, wire)) = message.field()? {
        match (number, wire) {
            (1, Wire::Varint) => family.metadata.metric_type = metric_type(message.varint()?),
            (2, Wire::Bytes) => family.name = message.text()?.to_owned(),
            (4, Wire::Bytes) => family.metadata.help = message.text()?.to_owned(),
            (5, Wire::Bytes) => family.metadata.unit = message.text()?.to_owned(),
            _ => message.skip(wire)?,
        }
    }
    Ok((!family.name.is_empty()).then_some(family))
}

fn metric_type(number: u64) -> MetricType {
    match number {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => Metadata::default().metric_type,
    }
}

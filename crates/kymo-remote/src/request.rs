//! A write request, walked once: rows into a batch, and per series what is needed to answer for its rows later.

use kymo_model::{
    Batch, Exemplar, FamilyMetadata, Metadata, MetricType, RowSeries, SampleValue, SeriesHandle, Timestamp,
};

use crate::cache::{Known, Learnt, SeriesKey};
use crate::exemplar;
use crate::labels::{self, LabelBounds};
use crate::wire::{Cursor, Wire, WireError, WireErrorKind};

/// What a walk fills, kept from request to request.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) batch: Batch,
    /// In order of their first row.
    pub(crate) series: Vec<SeriesRows>,
    /// The series of the exemplars of the batch, in step with them.
    pub(crate) exemplars: Vec<ExemplarSeries>,
    /// Label fields of series that have other fields between them, joined.
    pub(crate) joined: Vec<u8>,
    /// Series found in the older generation of the cache.
    pub(crate) learn: Vec<Learnt>,
    pub(crate) text: String,
}

/// The rows of one series: from `first_row` to the next series' first.
#[derive(Clone, Copy)]
pub(crate) struct SeriesRows {
    pub(crate) first_row: usize,
    pub(crate) key: SeriesKey,
    pub(crate) raw: RawLabels,
}

/// The series of an exemplar.
#[derive(Clone, Copy)]
pub(crate) struct ExemplarSeries {
    pub(crate) key: SeriesKey,
    pub(crate) raw: RawLabels,
}

/// Where the label fields of a series stand. A decompressed body is shorter than 4 GiB, by Snappy's own format.
#[derive(Clone, Copy)]
pub(crate) struct RawLabels {
    place: Place,
    from: u32,
    to: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Message,
    Joined,
}

impl RawLabels {
    fn new(place: Place, from: usize, to: usize) -> RawLabels {
        RawLabels { place, from: from as u32, to: to as u32 }
    }

    /// How many bytes they take.
    pub(crate) fn len(self) -> u32 {
        self.to - self.from
    }
}

/// What a walk found besides rows.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) samples: usize,
    pub(crate) histograms: usize,
    /// Exemplars whose labels, or whose series' labels, are invalid.
    pub(crate) exemplars_invalid: usize,
    pub(crate) invalid: usize,
    pub(crate) first_invalid: Option<String>,
}

impl Rows {
    pub(crate) fn clear(&mut self) {
        self.batch.clear();
        self.series.clear();
        self.exemplars.clear();
        self.joined.clear();
        self.learn.clear();
    }

    /// Bytes that are kept between requests, roughly.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.joined.capacity() + self.series.capacity() * size_of::<SeriesRows>() + self.text.capacity()
    }

    /// The bytes that hold a series' label fields, up to their end, and their start.
    pub(crate) fn raw<'a>(&'a self, message: &'a [u8], raw: RawLabels) -> (&'a [u8], usize) {
        let bytes = match raw.place {
            Place::Message => message,
            Place::Joined => &self.joined,
        };
        (&bytes[..raw.to as usize], raw.from as usize)
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
        mut known: Known<'_>,
        bounds: LabelBounds,
    ) -> Result<Found, WireError> {
        let mut found = Found::default();
        let mut request = Cursor::new(message, 0);
        while let Some((number, wire)) = request.field()? {
            match (number, wire) {
                (1, Wire::Bytes) => {
                    self.series(message, request.message()?, &mut known, bounds, &mut found)?
                }
                (3, Wire::Bytes) => {
                    if let Some(family) = metadata(request.message()?)? {
                        self.batch.push_metadata(family);
                    }
                }
                (1 | 3, _) => return request.error(WireErrorKind::WrongWireType),
                _ => request.skip(wire)?,
            }
        }
        Ok(found)
    }

    /// Senders write the labels of a series first and together. Where one does not, what was read is taken back, the labels
    /// are copied together, and the series is read again.
    fn series(
        &mut self,
        message: &[u8],
        mut fields: Cursor<'_>,
        known: &mut Known<'_>,
        bounds: LabelBounds,
        found: &mut Found,
    ) -> Result<(), WireError> {
        let start = fields;
        if let Some((key, handle, len)) = known.guess(fields.rest(), SAMPLE_TAG) {
            fields.advance(len);
            let raw = RawLabels::new(Place::Message, start.position(), fields.position());
            if self.plain_samples((raw, key), handle, fields, found)? {
                return Ok(());
            }
            let of = Identified { raw, key, series: Some(RowSeries::Handle(handle)) };
            if self.samples(message, of, bounds, fields, Counts::default(), found)? {
                return Ok(());
            }
        } else {
            fields.skip_run(LABEL_TAG)?;
            let raw = RawLabels::new(Place::Message, start.position(), fields.position());
            let (of, counts) = self.identify(message, raw, known, bounds)?;
            if self.samples(message, of, bounds, fields, counts, found)? {
                return Ok(());
            }
        }
        let raw = self.join_labels(message, start)?;
        let (of, counts) = self.identify(message, raw, known, bounds)?;
        self.samples(message, of, bounds, start, counts, found).map(drop)
    }

    /// Which series has these labels: a handle, or labels for one that is not known; `None` where they are invalid.
    fn identify(
        &mut self,
        message: &[u8],
        raw: RawLabels,
        known: &mut Known<'_>,
        bounds: LabelBounds,
    ) -> Result<(Identified, Counts), WireError> {
        let (bytes, from) = self.raw(message, raw);
        let key = known.key(&bytes[from..]);
        let mut counts = Counts::default();
        if let Some((handle, is_old)) = known.get(key) {
            if is_old {
                self.learn.push(Learnt { key, handle, raw_len: raw.len() });
            }
            return Ok((Identified { raw, key, series: Some(RowSeries::Handle(handle)) }, counts));
        }
        let mut text = std::mem::take(&mut self.text);
        let (bytes, from) = self.raw(message, raw);
        let read = labels::read(bytes, from, bounds, &mut text);
        self.text = text;
        let series = match read? {
            Ok(labels) => Some(RowSeries::Labels(labels)),
            Err(fault) => {
                counts.first_invalid = Some(fault.to_string());
                None
            }
        };
        Ok((Identified { raw, key, series }, counts))
    }

    /// What nearly all requests are made of: a known series with floats and nothing else. `false`, and nothing found, when
    /// there is something else.
    #[inline(always)]
    fn plain_samples(
        &mut self,
        (raw, key): (RawLabels, SeriesKey),
        handle: SeriesHandle,
        mut fields: Cursor<'_>,
        found: &mut Found,
    ) -> Result<bool, WireError> {
        let first_row = self.batch.len();
        while fields.take_byte(SAMPLE_TAG).is_some() {
            let (timestamp_ms, value) = sample(fields.message()?)?;
            self.batch.push_float(handle, Timestamp::from_millis(timestamp_ms), value);
        }
        if !fields.is_at_end() {
            self.batch.truncate(first_row);
            return Ok(false);
        }
        let rows = self.batch.len() - first_row;
        if rows > 0 {
            self.series.push(SeriesRows { first_row, key, raw });
        }
        found.samples += rows;
        Ok(true)
    }

    /// The samples and exemplars of a series. `false`, and nothing found, when there are labels among them that its own do not
    /// hold.
    fn samples(
        &mut self,
        message: &[u8],
        of: Identified,
        bounds: LabelBounds,
        mut fields: Cursor<'_>,
        mut counts: Counts,
        found: &mut Found,
    ) -> Result<bool, WireError> {
        let Identified { raw, key, series } = of;
        let first_row = self.batch.len();
        let mut exemplars: Vec<Exemplar> = Vec::new();
        while let Some((number, wire)) = fields.field()? {
            let (timestamp_ms, value) = match (number, wire) {
                (2, Wire::Bytes) => {
                    let (timestamp_ms, value) = sample(fields.message()?)?;
                    counts.samples += usize::from(series.is_some());
                    (timestamp_ms, SampleValue::Float(value))
                }
                (4, Wire::Bytes) => match crate::histogram::read(fields.message()?)? {
                    (timestamp_ms, Ok(value)) => {
                        counts.histograms += usize::from(series.is_some());
                        (timestamp_ms, value)
                    }
                    (_, Err(fault)) => {
                        counts
                            .first_invalid
                            .get_or_insert_with(|| format!("invalid native histogram: {fault}"));
                        counts.invalid += 1;
                        continue;
                    }
                },
                (1, Wire::Bytes) if raw.place == Place::Message => {
                    self.batch.truncate(first_row);
                    return Ok(false);
                }
                (1, Wire::Bytes) => {
                    fields.skip(wire)?;
                    continue;
                }
                (3, Wire::Bytes) => {
                    match exemplar::read(message, fields.message()?, bounds, &mut self.text)? {
                        Some(exemplar) if series.is_some() => exemplars.push(exemplar),
                        _ => counts.exemplars_invalid += 1,
                    }
                    continue;
                }
                (1..=4, _) => return fields.error(WireErrorKind::WrongWireType),
                _ => {
                    fields.skip(wire)?;
                    continue;
                }
            };
            match &series {
                Some(series) => self.batch.push(series.clone(), Timestamp::from_millis(timestamp_ms), value),
                None => counts.invalid += 1,
            }
        }
        if self.batch.len() > first_row {
            self.series.push(SeriesRows { first_row, key, raw });
        }
        if let Some(series) = &series
            && !exemplars.is_empty()
        {
            self.put_exemplars((raw, key), series, exemplars);
        }
        found.add(counts);
        Ok(true)
    }

    /// The exemplars of a native histogram come in any order.
    fn put_exemplars(
        &mut self,
        (raw, key): (RawLabels, SeriesKey),
        series: &RowSeries,
        mut exemplars: Vec<Exemplar>,
    ) {
        let time = |exemplar: &Exemplar| exemplar.timestamp.unwrap_or(Timestamp::from_millis(0));
        exemplars.sort_by(|a, b| {
            let by_time = time(a).cmp(&time(b));
            by_time.then(a.value.total_cmp(&b.value)).then_with(|| a.labels.cmp(&b.labels))
        });
        for exemplar in exemplars {
            self.batch.push_exemplar(series.clone(), Timestamp::from_millis(0), exemplar);
            self.exemplars.push(ExemplarSeries { key, raw });
        }
    }

    /// Copies the label fields of a series together, so that they are hashed and read as one piece.
    fn join_labels(&mut self, message: &[u8], mut scan: Cursor<'_>) -> Result<RawLabels, WireError> {
        let joined = self.joined.len();
        loop {
            let from = scan.position();
            let Some((number, wire)) = scan.field()? else { break };
            scan.skip(wire)?;
            if number == 1 {
                self.joined.extend_from_slice(&message[from..scan.position()]);
            }
        }
        Ok(RawLabels::new(Place::Joined, joined, self.joined.len()))
    }
}

/// A series of the request, and what to call it; nothing where its labels are invalid.
struct Identified {
    raw: RawLabels,
    key: SeriesKey,
    series: Option<RowSeries>,
}

/// What the walk of one series found.
#[derive(Default)]
struct Counts {
    samples: usize,
    histograms: usize,
    exemplars_invalid: usize,
    invalid: usize,
    first_invalid: Option<String>,
}

impl Found {
    fn add(&mut self, counts: Counts) {
        self.samples += counts.samples;
        self.histograms += counts.histograms;
        self.exemplars_invalid += counts.exemplars_invalid;
        self.invalid += counts.invalid;
        if self.first_invalid.is_none() {
            self.first_invalid = counts.first_invalid;
        }
    }
}

/// Field 1, length-delimited.
const LABEL_TAG: u8 = 0x0a;
/// Field 2, length-delimited.
const SAMPLE_TAG: u8 = 0x12;

#[inline(always)]
fn sample(message: Cursor<'_>) -> Result<(i64, f64), WireError> {
    match plain_sample(message) {
        Some(plain) => Ok(plain),
        None => any_sample(message),
    }
}

/// A sample in any form.
#[cold]
fn any_sample(mut message: Cursor<'_>) -> Result<(i64, f64), WireError> {
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
#[inline(always)]
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

//! WriteReceiver: a body in, an answer out. Everything is decoded before anything is written.

use std::sync::Mutex;

use kymo_model::{
    Append, Appended, Batch, ExemplarRefusal, Refusal, RefusedExemplar, RefusedRow, RowSeries, SeriesHandle,
    StoreError,
};

use crate::body::{BodyBounds, BodyError};
use crate::cache::{HandleCache, Learnt, SeriesKey};
use crate::error::{ReceiveError, Refused};
use crate::labels::{self, LabelBounds};
use crate::request::{Found, Rows};

/// Bounds of what a receiver takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Largest body as it arrives.
    pub compressed_bytes_max: usize,
    /// Largest body after decompression; checked against what the body declares before anything is allocated.
    pub decompressed_bytes_max: usize,
    /// Most labels of a series.
    pub labels_max: usize,
    /// Longest label name or value in bytes; never more than 1 MiB, which is what labels can hold.
    pub label_bytes_max: usize,
    /// Most series whose handles are remembered, at about 50 bytes each.
    pub cached_series_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            compressed_bytes_max: 32 << 20,
            decompressed_bytes_max: 64 << 20,
            labels_max: 256,
            label_bytes_max: 64 << 10,
            cached_series_max: 4_000_000,
        }
    }
}

/// What a request brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Float samples that were taken.
    pub samples: usize,
    /// Native histogram samples that were taken.
    pub histograms: usize,
    /// Series that were created.
    pub series_created: usize,
    /// Exemplars that were stored. None of the others makes a request fail, as in Prometheus.
    pub exemplars: usize,
    /// How many exemplars the store refused, by reason.
    pub exemplars_refused: Vec<(ExemplarRefusal, usize)>,
    /// Exemplars whose labels, or whose series' labels, are invalid.
    pub exemplars_invalid: usize,
    /// Metric families of which something new was said.
    pub metadata_changed: usize,
    /// Metric families whose metadata the store did not take.
    pub metadata_refused: usize,
}

/// Receives remote-write requests for one store: it remembers that store's handles.
///
/// May be shared between threads; requests run side by side.
#[derive(Debug)]
pub struct WriteReceiver {
    options: Options,
    cache: HandleCache,
    /// Buffers of requests that are done.
    idle: Mutex<Vec<Workspace>>,
}

/// Buffers of one request.
#[derive(Default)]
struct Workspace {
    message: Vec<u8>,
    rows: Rows,
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace").field("message_bytes", &self.message.len()).finish_non_exhaustive()
    }
}

/// The longest label name or value that [`kymo_model::Labels`] can hold.
const LABEL_BYTES_LIMIT: usize = 1 << 20;

/// How many workspaces are kept for later requests, and how large one may be.
const IDLE_WORKSPACES_MAX: usize = 8;
const IDLE_WORKSPACE_BYTES_MAX: usize = 8 << 20;

impl Default for WriteReceiver {
    fn default() -> WriteReceiver {
        WriteReceiver::new(Options::default())
    }
}

impl WriteReceiver {
    /// A receiver that remembers nothing yet.
    pub fn new(options: Options) -> WriteReceiver {
        WriteReceiver { options, cache: HandleCache::new(options.cached_series_max), idle: Mutex::default() }
    }

    /// The bounds.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How many series' handles are remembered.
    pub fn cached_series(&self) -> usize {
        self.cache.len()
    }

    /// Takes the body of one request: a Snappy block of a `prometheus.WriteRequest`.
    ///
    /// A body that does not decode writes nothing. Where the store refuses samples, or labels are invalid, the rest is
    /// written and the answer is [`ReceiveError::Refused`]. `Ok` means that everything is as durable as the store's sync
    /// mode promises.
    pub fn receive(&self, body: &[u8], store: &dyn Append) -> Result<Written, ReceiveError> {
        let len = self.body_bounds().decompressed_len(body)?;
        let mut workspace = self.lock_idle().pop().unwrap_or_default();
        let answer = self.receive_in(body, len, store, &mut workspace);
        workspace.rows.clear();
        let kept = workspace.message.capacity() + workspace.rows.kept_bytes();
        let mut idle = self.lock_idle();
        if kept <= IDLE_WORKSPACE_BYTES_MAX && idle.len() < IDLE_WORKSPACES_MAX {
            idle.push(workspace);
        }
        answer
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Vec<Workspace>> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn body_bounds(&self) -> BodyBounds {
        BodyBounds {
            compressed_bytes_max: self.options.compressed_bytes_max,
            decompressed_bytes_max: self.options.decompressed_bytes_max,
        }
    }

    fn receive_in(
        &self,
        body: &[u8],
        len: usize,
        store: &dyn Append,
        workspace: &mut Workspace,
    ) -> Result<Written, ReceiveError> {
        let Workspace { message, rows } = workspace;
        if message.len() < len {
            message.resize(len, 0);
        }
        let len = snap::raw::Decoder::new().decompress(body, &mut message[..len]).map_err(BodyError::from)?;
        let message = &message[..len];
        let bounds = LabelBounds {
            labels_max: self.options.labels_max,
            label_bytes_max: self.options.label_bytes_max.min(LABEL_BYTES_LIMIT),
        };
        let found = rows.walk(message, self.cache.read(), bounds)?;
        let outcome = self.append(message, rows, bounds, store)?;
        answer(message, rows, bounds, found, outcome)
    }

    /// Appends the rows; those whose handle the store forgot go once more, with labels.
    fn append(
        &self,
        message: &[u8],
        rows: &mut Rows,
        bounds: LabelBounds,
        store: &dyn Append,
    ) -> Result<Appended, StoreError> {
        if rows.batch.is_empty() {
            return Ok(Appended::default());
        }
        let mut outcome = store.append(&rows.batch)?;
        let mut learn = std::mem::take(&mut rows.learn);
        let key_of = |row: usize| rows.series_of(row).map(|series| series.key);
        let learnt = |row: usize, handle: SeriesHandle| {
            let series = rows.series_of(row)?;
            Some(Learnt { key: series.key, handle, raw_len: series.raw.len() })
        };
        learn.extend(outcome.handles.iter().filter_map(|(row, handle)| learnt(*row, *handle)));

        let again = forgotten(message, rows, bounds, &outcome);
        let exemplar_keys = again.exemplars.iter().map(|index| rows.exemplars[*index].key);
        let mut forget: Vec<SeriesKey> =
            again.rows.iter().filter_map(|row| key_of(*row)).chain(exemplar_keys).collect();
        forget.dedup();
        if !again.batch.is_empty() {
            // When the store fails here, what was written before stays; the sender sends all again, which repeats exactly.
            let second = store.append(&again.batch)?;
            learn.retain(|one| !forget.contains(&one.key));
            let row = |row: usize| again.rows.get(row).copied();
            learn.extend(second.handles.iter().filter_map(|(at, handle)| learnt(row(*at)?, *handle)));
            again.merge(second, &mut outcome);
        }
        self.cache.update(&forget, &learn);
        Ok(outcome)
    }
}

/// What goes to the store once more, with labels, because it does not know the handle any more.
#[derive(Default)]
struct Again {
    batch: Batch,
    /// The indices that its rows and exemplars had.
    rows: Vec<usize>,
    exemplars: Vec<usize>,
}

impl Again {
    /// Puts the second answer into the first.
    fn merge(&self, second: Appended, outcome: &mut Appended) {
        outcome.appended += second.appended;
        outcome.series_created += second.series_created;
        outcome.refused.retain(|refused| self.rows.binary_search(&refused.row).is_err());
        outcome.refused.extend(second.refused.iter().filter_map(|refused| {
            Some(RefusedRow { row: *self.rows.get(refused.row)?, reason: refused.reason })
        }));
        outcome.refused.sort_by_key(|refused| refused.row);
        outcome.exemplars += second.exemplars;
        outcome.exemplars_refused.retain(|refused| self.exemplars.binary_search(&refused.index).is_err());
        outcome.exemplars_refused.extend(second.exemplars_refused.iter().filter_map(|refused| {
            Some(RefusedExemplar { index: *self.exemplars.get(refused.index)?, reason: refused.reason })
        }));
    }
}

fn forgotten(message: &[u8], rows: &Rows, bounds: LabelBounds, outcome: &Appended) -> Again {
    let mut again = Again::default();
    let mut text = String::new();
    // These bytes gave labels before, or there would be no handle; a store that refuses labels as an unknown handle is not
    // asked twice.
    let mut labels_of = |series: &RowSeries, raw| {
        let (bytes, from) = rows.raw(message, raw);
        let RowSeries::Handle(_) = series else { return None };
        labels::read(bytes, from, bounds, &mut text).ok()?.ok()
    };
    for refused in outcome.refused.iter().filter(|refused| refused.reason == Refusal::UnknownHandle) {
        let Some(series) = rows.series_of(refused.row) else { continue };
        let row = &rows.batch.rows()[refused.row];
        if let Some(labels) = labels_of(&row.series, series.raw) {
            again.rows.push(refused.row);
            again.batch.push(labels, row.timestamp, row.value.clone());
        }
    }
    let unknown = |refused: &&RefusedExemplar| refused.reason == ExemplarRefusal::UnknownHandle;
    for refused in outcome.exemplars_refused.iter().filter(unknown) {
        let one = &rows.batch.exemplars()[refused.index];
        if let Some(labels) = labels_of(&one.series, rows.exemplars[refused.index].raw) {
            again.exemplars.push(refused.index);
            again.batch.push_exemplar(labels, one.sample_timestamp, one.exemplar.clone());
        }
    }
    again
}

fn answer(
    message: &[u8],
    rows: &Rows,
    bounds: LabelBounds,
    found: Found,
    outcome: Appended,
) -> Result<Written, ReceiveError> {
    let mut written = Written {
        samples: found.samples,
        histograms: found.histograms,
        series_created: outcome.series_created,
        exemplars: outcome.exemplars,
        exemplars_refused: Vec::new(),
        exemplars_invalid: found.exemplars_invalid,
        metadata_changed: outcome.metadata_changed,
        metadata_refused: outcome.metadata_refused,
    };
    for refused in &outcome.exemplars_refused {
        count(&mut written.exemplars_refused, refused.reason);
    }
    if outcome.refused.is_empty() && found.first_invalid.is_none() {
        return Ok(written);
    }
    let mut by_reason: Vec<(Refusal, usize)> = Vec::new();
    for refused in &outcome.refused {
        count(&mut by_reason, refused.reason);
        match rows.batch.rows()[refused.row].value {
            kymo_model::SampleValue::Float(_) => written.samples -= 1,
            _ => written.histograms -= 1,
        }
    }
    let first = match outcome.refused.first() {
        Some(refused) => {
            let row = &rows.batch.rows()[refused.row];
            let labels = rows.series_of(refused.row).map(|series| {
                let (bytes, from) = rows.raw(message, series.raw);
                labels::read(bytes, from, bounds, &mut String::new())
            });
            match labels {
                Some(Ok(Ok(labels))) => format!("{}: {labels} at {}", refused.reason, row.timestamp),
                _ => format!("{} at {}", refused.reason, row.timestamp),
            }
        }
        None => found.first_invalid.unwrap_or_default(),
    };
    Err(ReceiveError::Refused(Box::new(Refused { written, by_reason, invalid: found.invalid, first })))
}

fn count<R: Copy + PartialEq>(by_reason: &mut Vec<(R, usize)>, reason: R) {
    match by_reason.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, count)) => *count += 1,
        None => by_reason.push((reason, 1)),
    }
}

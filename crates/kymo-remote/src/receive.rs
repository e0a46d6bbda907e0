//! WriteReceiver: a body in, an answer out. Everything is decoded before anything is written.

use std::sync::Mutex;

use kymo_model::{Append, Appended, Batch, Metadata, Refusal, RowSeries, SeriesHandle, StoreError};

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
    /// Exemplars that were left out, because stores keep none.
    pub exemplars_left_out: usize,
    /// Metadata of metric families, for whoever keeps it.
    pub metadata: Vec<FamilyMetadata>,
}

/// Metadata of one metric family, as sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FamilyMetadata {
    /// The family.
    pub name: String,
    /// What is said about it.
    pub metadata: Metadata,
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

        let (again, retry) = forgotten(message, rows, bounds, &outcome);
        let mut forget: Vec<SeriesKey> = again.iter().filter_map(|row| key_of(*row)).collect();
        forget.dedup();
        if !again.is_empty() {
            outcome.refused.retain(|refused| again.binary_search(&refused.row).is_err());
            // When the store fails here, what was written before stays; the sender sends all again, which repeats exactly.
            let second = store.append(&retry)?;
            outcome.appended += second.appended;
            outcome.series_created += second.series_created;
            learn.retain(|one| !forget.contains(&one.key));
            learn
                .extend(second.handles.iter().filter_map(|(row, handle)| learnt(*again.get(*row)?, *handle)));
            outcome.refused.extend(second.refused.iter().filter_map(|refused| {
                Some(kymo_model::RefusedRow { row: *again.get(refused.row)?, reason: refused.reason })
            }));
            outcome.refused.sort_by_key(|refused| refused.row);
        }
        self.cache.update(&forget, &learn);
        Ok(outcome)
    }
}

/// The rows whose handle the store does not know any more, and the same rows with labels.
fn forgotten(message: &[u8], rows: &Rows, bounds: LabelBounds, outcome: &Appended) -> (Vec<usize>, Batch) {
    let (mut again, mut retry) = (Vec::new(), Batch::new());
    let mut text = String::new();
    for refused in outcome.refused.iter().filter(|refused| refused.reason == Refusal::UnknownHandle) {
        let Some(series) = rows.series_of(refused.row) else { continue };
        let row = &rows.batch.rows()[refused.row];
        let (bytes, from) = rows.raw(message, series.raw);
        // These bytes gave labels before, or there would be no handle; a store that refuses labels as an unknown handle
        // is not asked twice.
        if let (RowSeries::Handle(_), Ok(Ok(labels))) =
            (&row.series, labels::read(bytes, from, bounds, &mut text))
        {
            again.push(refused.row);
            retry.push(labels, row.timestamp, row.value.clone());
        }
    }
    (again, retry)
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
        exemplars_left_out: found.exemplars,
        metadata: found.metadata,
    };
    if outcome.refused.is_empty() && found.first_invalid.is_none() {
        return Ok(written);
    }
    let mut by_reason: Vec<(Refusal, usize)> = Vec::new();
    for refused in &outcome.refused {
        match by_reason.iter_mut().find(|(reason, _)| *reason == refused.reason) {
            Some((_, count)) => *count += 1,
            None => by_reason.push((refused.reason, 1)),
        }
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

//! Append: how samples enter a store. One trip in, one answer back, row by row.

use std::fmt;

use crate::{Batch, RefusedExemplar, SeriesHandle, StoreError};

/// Anything that takes samples: the database, a remote end, a test double.
pub trait Append: Send + Sync {
    /// Applies the rows of `batch` in order and says what became of each.
    ///
    /// When this returns `Ok`, the rows that were taken are as durable as the store's sync mode promises. A sample that is
    /// out of order is an outcome in [`Appended::refused`], not an error. An error means that the store cannot take
    /// writes now (disk full, read-only, closed), and that the rows of this batch are to be taken as not written.
    fn append(&self, batch: &Batch) -> Result<Appended, StoreError>;
}

impl<T: Append + ?Sized> Append for &T {
    fn append(&self, batch: &Batch) -> Result<Appended, StoreError> {
        (**self).append(batch)
    }
}

impl<T: Append + ?Sized> Append for std::sync::Arc<T> {
    fn append(&self, batch: &Batch) -> Result<Appended, StoreError> {
        (**self).append(batch)
    }
}

/// What became of the rows of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Appended {
    /// How many rows were taken. Rows that repeat a stored sample exactly count as taken.
    pub appended: usize,
    /// How many series were created.
    pub series_created: usize,
    /// The rows that were not taken, in order of `row`.
    pub refused: Vec<RefusedRow>,
    /// Handles for the rows that came with labels and were taken: `(row, handle)`, in order of row. A store may give none.
    pub handles: Vec<(usize, SeriesHandle)>,
    /// How many exemplars were stored.
    pub exemplars: usize,
    /// The exemplars that were not stored, in order of `index`.
    pub exemplars_refused: Vec<RefusedExemplar>,
    /// How many metric families the store now says something else of than before.
    pub metadata_changed: usize,
    /// How many families' metadata was not taken, because it is over a bound of the store.
    pub metadata_refused: usize,
}

/// A row that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    /// Its index in the batch.
    pub row: usize,
    /// Why.
    pub reason: Refusal,
}

/// Why a row was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// Older than the newest sample of its series, in a store without an out-of-order window.
    OutOfOrder,
    /// Older than the out-of-order window or the retention reaches back.
    TooOld,
    /// Further ahead of the wall clock than the store allows.
    TooFarAhead,
    /// The series has another value at this timestamp.
    DuplicateTimestamp,
    /// A new series, and the store is at its limit of series. Series that exist go on.
    SeriesLimit,
    /// A new series, and the store is at its limit of series that have one of its labels. Series that exist go on.
    SeriesPerLabelLimit,
    /// More labels than the store allows for a series.
    LabelCountLimit,
    /// A label name or value is longer than the store allows.
    LabelSizeLimit,
    /// No labels, or no metric name where the store asks for one.
    InvalidLabels,
    /// The handle is not, or no longer, one of this store's.
    UnknownHandle,
    /// The store does not keep values of this kind.
    UnsupportedValue,
    /// A native histogram whose parts do not go together.
    InvalidHistogram,
}

impl Refusal {
    /// Every reason, for stores that keep a counter of each.
    pub const ALL: [Refusal; 12] = [
        Refusal::OutOfOrder,
        Refusal::TooOld,
        Refusal::TooFarAhead,
        Refusal::DuplicateTimestamp,
        Refusal::SeriesLimit,
        Refusal::SeriesPerLabelLimit,
        Refusal::LabelCountLimit,
        Refusal::LabelSizeLimit,
        Refusal::InvalidLabels,
        Refusal::UnknownHandle,
        Refusal::UnsupportedValue,
        Refusal::InvalidHistogram,
    ];

    /// A short word for a label value of a counter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::OutOfOrder => "out_of_order",
            Refusal::TooOld => "too_old",
            Refusal::TooFarAhead => "too_far_ahead",
            Refusal::DuplicateTimestamp => "duplicate_timestamp",
            Refusal::SeriesLimit => "series_limit",
            Refusal::SeriesPerLabelLimit => "series_per_label_limit",
            Refusal::LabelCountLimit => "label_count_limit",
            Refusal::LabelSizeLimit => "label_size_limit",
            Refusal::InvalidLabels => "invalid_labels",
            Refusal::UnknownHandle => "unknown_handle",
            Refusal::UnsupportedValue => "unsupported_value",
            Refusal::InvalidHistogram => "invalid_histogram",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::OutOfOrder => "out of order sample",
            Refusal::TooOld => "sample is too old",
            Refusal::TooFarAhead => "sample is too far ahead of the clock",
            Refusal::DuplicateTimestamp => "duplicate sample for timestamp",
            Refusal::SeriesLimit => "limit of series reached",
            Refusal::SeriesPerLabelLimit => "limit of series with one of its labels reached",
            Refusal::LabelCountLimit => "too many labels",
            Refusal::LabelSizeLimit => "label name or value too long",
            Refusal::InvalidLabels => "labels without a metric name",
            Refusal::UnknownHandle => "unknown series handle",
            Refusal::UnsupportedValue => "values of this kind are not stored",
            Refusal::InvalidHistogram => "native histogram whose parts do not go together",
        })
    }
}

//! Exemplar: a measured value with a pointer to something outside, such as a trace. Write path beside the rows of a batch,
//! and the border trait through which exemplars come out of a store.

use std::cmp::Ordering;
use std::fmt;

use crate::{Labels, Matcher, RowSeries, StoreError, TimeRange, Timestamp};

/// An exemplar as a target writes it.
///
/// ```
/// use kymo_model::{Exemplar, Labels};
/// let exemplar = Exemplar { labels: Labels::from_pairs([("trace_id", "KOO5S4vxi0o")]), value: 0.67, timestamp: None };
/// assert_eq!(exemplar.label_chars(), 19);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// What leads to the thing outside; may be empty.
    pub labels: Labels,
    /// The value that was measured.
    pub value: f64,
    /// When, if the target says so.
    pub timestamp: Option<Timestamp>,
}

impl Exemplar {
    /// OpenMetrics' bound on the characters of all label names and values together.
    pub const LABEL_CHARS_MAX: usize = 128;

    /// How many characters the names and values of its labels have together.
    pub fn label_chars(&self) -> usize {
        self.labels.iter().map(|label| label.name.chars().count() + label.value.chars().count()).sum()
    }
}

/// An exemplar of a batch: of which series it is, and what time it has where it says none.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchExemplar {
    /// The series, which must exist or be created by a row of the same batch.
    pub series: RowSeries,
    /// The time of its sample, for an exemplar without a time of its own.
    pub sample_timestamp: Timestamp,
    /// The exemplar.
    pub exemplar: Exemplar,
}

/// An exemplar as a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredExemplar {
    /// What leads to the thing outside.
    pub labels: Labels,
    /// The value that was measured.
    pub value: f64,
    /// When: its own time, or that of its sample.
    pub timestamp: Timestamp,
}

impl StoredExemplar {
    /// The order in which a store keeps the exemplars of one series: by time, value, labels. A native histogram may have
    /// several at one time.
    pub fn order(&self, other: &StoredExemplar) -> Ordering {
        let by_time = self.timestamp.cmp(&other.timestamp);
        by_time.then(self.value.total_cmp(&other.value)).then_with(|| self.labels.cmp(&other.labels))
    }
}

/// The exemplars of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesExemplars {
    /// The labels of the series.
    pub series: Labels,
    /// Its exemplars, in order of [`StoredExemplar::order`].
    pub exemplars: Vec<StoredExemplar>,
}

/// Anything that exemplars can be asked of.
pub trait ExemplarQueryable: Send + Sync {
    /// The exemplars inside `range` (both ends included) of every series that one of the sets of matchers selects, sorted by
    /// the labels of the series. Series without any are left out.
    fn exemplars(
        &self,
        matcher_sets: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<Vec<SeriesExemplars>, StoreError>;
}

/// An exemplar that was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedExemplar {
    /// Its index among the exemplars of the batch.
    pub index: usize,
    /// Why.
    pub reason: ExemplarRefusal,
}

/// Why an exemplar was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ExemplarRefusal {
    /// The newest exemplar of its series is the same. Targets repeat their last exemplar at each scrape, so this is usual.
    Duplicate,
    /// Older than the newest exemplar of its series.
    OutOfOrder,
    /// More than [`Exemplar::LABEL_CHARS_MAX`] characters in its labels.
    LabelsTooLong,
    /// Further ahead of the wall clock than the store allows.
    TooFarAhead,
    /// There is no series of these labels.
    UnknownSeries,
    /// The handle is not, or no longer, one of this store's.
    UnknownHandle,
    /// The store keeps no exemplars.
    Disabled,
}

impl ExemplarRefusal {
    /// Every reason, for stores that keep a counter of each.
    pub const ALL: [ExemplarRefusal; 7] = [
        ExemplarRefusal::Duplicate,
        ExemplarRefusal::OutOfOrder,
        ExemplarRefusal::LabelsTooLong,
        ExemplarRefusal::TooFarAhead,
        ExemplarRefusal::UnknownSeries,
        ExemplarRefusal::UnknownHandle,
        ExemplarRefusal::Disabled,
    ];

    /// A short word for a label value of a counter.
    pub const fn as_str(self) -> &'static str {
        match self {
            ExemplarRefusal::Duplicate => "duplicate",
            ExemplarRefusal::OutOfOrder => "out_of_order",
            ExemplarRefusal::LabelsTooLong => "labels_too_long",
            ExemplarRefusal::TooFarAhead => "too_far_ahead",
            ExemplarRefusal::UnknownSeries => "unknown_series",
            ExemplarRefusal::UnknownHandle => "unknown_handle",
            ExemplarRefusal::Disabled => "disabled",
        }
    }
}

impl fmt::Display for ExemplarRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExemplarRefusal::Duplicate => "duplicate exemplar",
            ExemplarRefusal::OutOfOrder => "out of order exemplar",
            ExemplarRefusal::LabelsTooLong => {
                "label length for exemplar exceeds maximum of 128 UTF-8 characters"
            }
            ExemplarRefusal::TooFarAhead => "exemplar is too far ahead of the clock",
            ExemplarRefusal::UnknownSeries => "exemplar of a series that is not stored",
            ExemplarRefusal::UnknownHandle => "unknown series handle",
            ExemplarRefusal::Disabled => {
                "exemplar storage is disabled or max exemplars is less than or equal to 0"
            }
        })
    }
}

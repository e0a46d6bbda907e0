//! Selector: what a query wants of a store, asked once per distinct selector.

use std::sync::Arc;

use crate::{CancelToken, Labels, Matcher, Pulse, StoreError, TimeRange};

/// Which series, over which time, and what a store may leave out.
#[derive(Clone, Debug)]
pub struct Selector {
    /// All must match. A label that a series lacks matches as the empty string.
    pub matchers: Vec<Matcher>,
    /// Both ends included, already widened for range, lookback and offset: a store returns exactly the samples inside.
    pub range: TimeRange,
    /// What else is known; a store may use any of it or none.
    pub hints: Hints,
    /// Says when nobody wants the answer any more. A store looks at it while it walks over many series or label values, and
    /// then ends with an error of kind [`Canceled`](crate::StoreErrorKind::Canceled).
    pub cancel: CancelToken,
}

impl Selector {
    /// Series by matchers over a range, without hints.
    pub fn new(matchers: Vec<Matcher>, range: TimeRange) -> Selector {
        Selector { matchers, range, hints: Hints::default(), cancel: CancelToken::new() }
    }

    /// Do the labels of a series match all matchers?
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
    }

    /// The same with looks at a token; see [`Matcher::try_matches`].
    pub fn try_matches(&self, labels: &Labels, pulse: &mut Pulse) -> Result<bool, StoreError> {
        Matcher::try_all_match(&self.matchers, labels, pulse)
    }
}

/// What a store may use to do less work. Ignoring a hint never makes an answer wrong, except `series_limit`, which a store
/// either honours by an error or leaves to the caller.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// The step of the query in milliseconds, 0 for an instant query.
    pub step_ms: i64,
    /// The function directly around the selector (`rate`, `sum`, …), if any.
    pub function: Option<Arc<str>>,
    /// The range of the range selector in milliseconds, 0 for an instant selector.
    pub range_ms: i64,
    /// Which labels the query will look at.
    pub labels: LabelsNeeded,
    /// More series than this will be refused by the caller anyway; 0 for no limit.
    pub series_limit: usize,
    /// Of each series only the newest sample in the range will be looked at: a store may leave out all others, and answer
    /// [`SeriesSource::newest`](crate::SeriesSource::newest).
    pub newest_only: bool,
    /// More samples than this will be refused by the caller anyway, so an estimate need not count further; 0 for no limit.
    pub samples_limit: usize,
    /// Must the series come sorted by labels? If not, any stable order will do.
    pub ordered: bool,
}

/// Which labels of a series a query looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LabelsNeeded {
    /// All of them.
    #[default]
    All,
    /// Only these; the store may leave out the others.
    Only(Vec<Arc<str>>),
    /// All but these.
    Without(Vec<Arc<str>>),
    /// All of them, but of few series; of the others these, by [`SeriesSource::key_labels`](crate::SeriesSource::key_labels).
    AllOfFew(Vec<Arc<str>>),
}

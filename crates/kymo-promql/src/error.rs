//! QueryError: why a query has no answer, with the place in its text where there is one.

use kymo_model::{StoreError, StoreErrorKind};
use kymo_promql_syntax::ast::Span;

use crate::CancelReason;

/// What a caller can do about a [`QueryError`]; the HTTP API maps these to its error types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueryErrorKind {
    /// It took longer than allowed.
    Timeout,
    /// The caller asked to stop.
    Canceled,
    /// The store failed.
    Storage,
    /// The query cannot be evaluated at these times, whatever the data: a duration comes out as none.
    Invalid,
    /// The query cannot be evaluated on this data, or at all.
    Execution,
    /// A bound on samples, bytes or points was hit.
    Limit,
}

/// The bounds of a query that [`EngineOptions`](crate::EngineOptions) sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bound {
    /// Samples held at once.
    Samples,
    /// Samples read.
    SamplesRead,
    /// Bytes held at once.
    Bytes,
    /// Bytes held by all queries together.
    BytesAll,
    /// Series read.
    Series,
    /// Points per series.
    Points,
}

impl Bound {
    /// Each of them.
    pub const ALL: [Bound; 6] =
        [Bound::Samples, Bound::SamplesRead, Bound::Bytes, Bound::BytesAll, Bound::Series, Bound::Points];

    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Bound::Samples => "samples",
            Bound::SamplesRead => "samples_read",
            Bound::Bytes => "bytes",
            Bound::BytesAll => "bytes_all",
            Bound::Series => "series",
            Bound::Points => "points",
        }
    }
}

/// Why a query has no answer.
///
/// ```
/// use kymo_promql::{QueryError, QueryErrorKind};
/// let error = QueryError::new(QueryErrorKind::Execution, "division by cucumber");
/// assert_eq!(error.to_string(), "division by cucumber");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// What a caller can do about it.
    pub kind: QueryErrorKind,
    /// What people read; Prometheus' text where it has one.
    pub message: String,
    /// The part of the query text that the error is about.
    pub span: Option<Span>,
    /// What is behind it, where the message, being Prometheus' own, does not say: the series that are in conflict.
    pub detail: Option<Box<str>>,
    /// The bound that was hit, where it is one of the engine's.
    pub bound: Option<Bound>,
}

impl QueryError {
    /// An error without a place.
    pub fn new(kind: QueryErrorKind, message: impl Into<String>) -> QueryError {
        QueryError { kind, message: message.into(), span: None, detail: None, bound: None }
    }

    /// The message, the line of the query with carets under the place, and what is behind it. `text` is the query.
    ///
    /// ```
    /// # use kymo_model::{Append, Batch, Labels, MemoryStore, Timestamp};
    /// # let store = MemoryStore::default();
    /// # let mut batch = Batch::new();
    /// # for name in ["in_total", "out_total"] {
    /// #     for t in [0, 60_000] {
    /// #         batch.push(Labels::from_pairs([("__name__", name), ("port", "1")]), Timestamp::from_millis(t), 1.0);
    /// #     }
    /// # }
    /// # store.append(&batch).unwrap();
    /// # let (engine, at) = (kymo_promql::Engine::default(), Timestamp::from_millis(60_000));
    /// let query = "sum(rate({port=\"1\"}[5m]))";
    /// let expr = kymo_promql_syntax::parse(query).unwrap();
    /// let error = engine.instant(&store, &expr, at, &Default::default()).unwrap_err();
    /// assert_eq!(
    ///     error.render(query),
    ///     "vector cannot contain metrics with the same labelset\n\
    ///      \x20 |\n\
    ///      1 | sum(rate({port=\"1\"}[5m]))\n\
    ///      \x20 |          ^^^^^^^^^^^^^^\n\
    ///      \x20 = {__name__=\"in_total\", port=\"1\"} and {__name__=\"out_total\", port=\"1\"} both became {port=\"1\"}\n"
    /// );
    /// ```
    pub fn render(&self, text: &str) -> String {
        let place = self.span.map_or_else(String::new, |span| span.point_out(text));
        let detail = self.detail.as_ref().map_or_else(String::new, |detail| format!("  = {detail}\n"));
        format!("{}\n{place}{detail}", self.message)
    }

    /// The same error with its place in the query text, unless it has one already.
    pub fn at(mut self, span: Span) -> QueryError {
        self.span.get_or_insert(span);
        self
    }

    /// The same error, which is about one of the engine's bounds.
    pub(crate) fn over(mut self, bound: Bound) -> QueryError {
        self.bound = Some(bound);
        self
    }

    /// The same error with what is behind it.
    pub(crate) fn with_detail(mut self, detail: String) -> QueryError {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) fn execution(message: impl Into<String>) -> QueryError {
        QueryError::new(QueryErrorKind::Execution, message)
    }

    pub(crate) fn limit(message: impl Into<String>) -> QueryError {
        QueryError::new(QueryErrorKind::Limit, message)
    }

    pub(crate) fn stopped(reason: CancelReason) -> QueryError {
        match reason {
            CancelReason::Canceled => {
                QueryError::new(QueryErrorKind::Canceled, "query was canceled in query execution")
            }
            CancelReason::Timeout => {
                QueryError::new(QueryErrorKind::Timeout, "query timed out in query execution")
            }
        }
    }
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> QueryError {
        let kind = match error.kind() {
            StoreErrorKind::Limit => QueryErrorKind::Limit,
            StoreErrorKind::Canceled => QueryErrorKind::Canceled,
            _ => QueryErrorKind::Storage,
        };
        QueryError::new(kind, error.to_string())
    }
}

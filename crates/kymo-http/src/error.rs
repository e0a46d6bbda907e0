//! ApiError: the error types of the HTTP API and their status codes.
//!
//! Source: Prometheus `web/api/v1` (3.14): bad_data 400, execution 422, canceled 499, timeout 503, internal 500,
//! not_found 404, unavailable 500.

use axum::http::StatusCode;
use kymo_model::{CancelReason, CancelToken, StoreError, StoreErrorKind};
use kymo_promql::{QueryError, QueryErrorKind};

/// The `errorType` of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiErrorKind {
    /// The request is wrong.
    BadData,
    /// The query cannot be evaluated.
    Execution,
    /// The client went away.
    Canceled,
    /// The query took too long.
    Timeout,
    /// The server failed.
    Internal,
    /// There is no such thing.
    NotFound,
    /// What was asked is switched off or not ready.
    Unavailable,
}

impl ApiErrorKind {
    /// The word in `errorType`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ApiErrorKind::BadData => "bad_data",
            ApiErrorKind::Execution => "execution",
            ApiErrorKind::Canceled => "canceled",
            ApiErrorKind::Timeout => "timeout",
            ApiErrorKind::Internal => "internal",
            ApiErrorKind::NotFound => "not_found",
            ApiErrorKind::Unavailable => "unavailable",
        }
    }

    /// The status code.
    pub fn status(self) -> StatusCode {
        match self {
            ApiErrorKind::BadData => StatusCode::BAD_REQUEST,
            ApiErrorKind::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            ApiErrorKind::Canceled => StatusCode::from_u16(499).expect("BUG: 499 is a status code"),
            ApiErrorKind::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            ApiErrorKind::NotFound => StatusCode::NOT_FOUND,
            ApiErrorKind::Internal | ApiErrorKind::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Which.
    pub kind: ApiErrorKind,
    /// The text for people.
    pub message: String,
}

impl ApiError {
    /// An error of a kind.
    pub fn new(kind: ApiErrorKind, message: impl Into<String>) -> ApiError {
        ApiError { kind, message: message.into() }
    }

    /// `invalid parameter "NAME": why`, as Prometheus says it.
    pub fn bad_parameter(name: &str, why: impl std::fmt::Display) -> ApiError {
        ApiError::new(ApiErrorKind::BadData, format!("invalid parameter {name:?}: {why}"))
    }

    /// The same error; one of work that was stopped says timeout if that is why.
    pub(crate) fn or_timeout(self, cancel: &CancelToken) -> ApiError {
        match (self.kind, cancel.reason()) {
            (ApiErrorKind::Canceled, Some(CancelReason::Timeout)) => {
                ApiError { kind: ApiErrorKind::Timeout, ..self }
            }
            _ => self,
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> ApiError {
        let kind = match error.kind {
            QueryErrorKind::Timeout => ApiErrorKind::Timeout,
            QueryErrorKind::Canceled => ApiErrorKind::Canceled,
            QueryErrorKind::Storage => ApiErrorKind::Internal,
            QueryErrorKind::Invalid => return ApiError::bad_parameter("query", error),
            _ => ApiErrorKind::Execution,
        };
        let message = match &error.detail {
            Some(detail) => format!("{error}: {detail}"),
            None => error.to_string(),
        };
        ApiError::new(kind, message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        let kind = match error.kind() {
            StoreErrorKind::Canceled => ApiErrorKind::Canceled,
            StoreErrorKind::Limit => ApiErrorKind::Execution,
            StoreErrorKind::Closed => ApiErrorKind::Unavailable,
            _ => ApiErrorKind::Internal,
        };
        ApiError::new(kind, error.to_string())
    }
}

//! `/admin/tsdb/*`: deleting and copying data. Refused unless the server allows it, and until the store can do it.

use axum::extract::State;
use axum::response::Response;

use crate::api::Api;
use crate::error::{ApiError, ApiErrorKind};
use crate::json;

/// Every admin endpoint, for now: the database neither deletes series nor writes snapshots, and says so.
pub(crate) async fn unsupported(State(api): State<Api>) -> Response {
    let error = if api.admin {
        ApiError::new(ApiErrorKind::Internal, "this database does not delete series or take snapshots yet")
    } else {
        ApiError::new(ApiErrorKind::Unavailable, "admin APIs disabled")
    };
    json::respond(Err(error))
}

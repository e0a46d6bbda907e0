//! `/admin/tsdb/*`: deleting and copying data. Refused unless the server allows it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kymo_model::Timestamp;
use kymo_model::{StoreError, TimeRange};
use serde_json::json;

use crate::api::{Admin, Api, SnapshotTaken};
use crate::error::{ApiError, ApiErrorKind};
use crate::json::{self, Answer};
use crate::params::Params;

/// Runs work on a blocking thread, if the server allows it. Nothing to say is 204.
async fn allowed<F>(api: Api, work: F) -> Response
where
    F: FnOnce(&dyn Admin) -> Result<Option<Answer>, ApiError> + Send + 'static,
{
    let Some(admin) = api.admin.clone() else {
        return json::error(&ApiError::new(ApiErrorKind::Unavailable, "admin APIs disabled"));
    };
    let done = tokio::task::spawn_blocking(move || work(&*Arc::clone(&admin))).await;
    match done {
        Ok(Ok(None)) => StatusCode::NO_CONTENT.into_response(),
        Ok(Ok(Some(answer))) => json::respond(Ok(answer)),
        Ok(Err(error)) => json::error(&error),
        Err(panic) => {
            tracing::error!(error = %panic, "an admin endpoint failed");
            json::error(&ApiError::new(ApiErrorKind::Internal, "it failed; the server's log says why"))
        }
    }
}

/// Whatever the store says here is an error of the server, as upstream answers it.
fn internal(error: StoreError) -> ApiError {
    ApiError::new(ApiErrorKind::Internal, error.to_string())
}

/// `/admin/tsdb/delete_series`: `match[]`, at least one, and `start` and `end`.
pub(crate) async fn delete_series(State(api): State<Api>, params: Params) -> Response {
    allowed(api, move |admin| {
        let sets = params.matcher_sets()?;
        if sets.is_empty() {
            return Err(ApiError::new(ApiErrorKind::BadData, "no match[] parameter provided"));
        }
        let range = TimeRange {
            min: params.time("start", Timestamp::MIN)?,
            max: params.time("end", Timestamp::MAX)?,
        };
        if range.min <= range.max {
            sets.iter().try_for_each(|matchers| admin.delete_series(matchers, range)).map_err(internal)?;
        }
        Ok(None)
    })
    .await
}

/// `/admin/tsdb/clean_tombstones`.
pub(crate) async fn clean_tombstones(State(api): State<Api>) -> Response {
    allowed(api, |admin| admin.clean_tombstones().map(|()| None).map_err(internal)).await
}

/// `/admin/tsdb/snapshot`: with `skip_head` without what is not in blocks yet. Answers with the directory's name.
pub(crate) async fn snapshot(State(api): State<Api>, params: Params) -> Response {
    allowed(api, move |admin| {
        // What Go's ParseBool takes.
        let skip_head = match params.get("skip_head") {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
            Some(other) => {
                let why = format!("unable to parse boolean {other:?}");
                return Err(ApiError::bad_parameter("skip_head", why));
            }
        };
        let SnapshotTaken { name, warnings } = admin.snapshot(!skip_head).map_err(internal)?;
        Ok(Some(Answer::of(&json!({ "name": name })).with_warnings(warnings)))
    })
    .await
}

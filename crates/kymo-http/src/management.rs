//! `/-/*`: health, readiness, reload, stop.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::{Api, ControlError};

pub(crate) async fn healthy() -> &'static str {
    "Prometheus Server is Healthy.\n"
}

pub(crate) async fn ready() -> &'static str {
    "Prometheus Server is Ready.\n"
}

pub(crate) async fn reload(State(api): State<Api>) -> Response {
    let control = api.control.clone();
    let done = tokio::task::spawn_blocking(move || control.reload()).await;
    match done {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(error)) => refused(&error, "failed to reload config: "),
        Err(panic) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{panic}\n")).into_response(),
    }
}

pub(crate) async fn quit(State(api): State<Api>) -> Response {
    match api.control.quit() {
        Ok(()) => "Requesting termination... Goodbye!".into_response(),
        Err(error) => refused(&error, ""),
    }
}

/// Managing is no reading: GET is refused before anything is done.
pub(crate) async fn post_or_put() -> Response {
    let allow = [(header::ALLOW, "POST, PUT")];
    (StatusCode::METHOD_NOT_ALLOWED, allow, "Only POST or PUT requests allowed").into_response()
}

fn refused(error: &ControlError, prefix: &str) -> Response {
    match error {
        ControlError::Disabled => (StatusCode::FORBIDDEN, error.to_string()).into_response(),
        ControlError::Failed(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{prefix}{error}\n")).into_response()
        }
    }
}

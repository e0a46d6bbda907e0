//! `/write`: remote write 1.0. The body is bounded before it is read; 204 only when the store has promised.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::Api;
use crate::body;

pub(crate) async fn write(State(api): State<Api>, request: Request<Body>) -> Response {
    let Some(receiver) = api.remote_write.clone() else {
        let text = "remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    if let Some(refused) = refuse_headers(request.headers()) {
        return refused;
    }
    let Ok(turn) = api.write_slots.clone().acquire_owned().await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "server is stopping\n").into_response();
    };
    let limits = &api.limits;
    let body = match body::read(request.into_body(), limits.write_body_bytes_max, limits.body_timeout).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        receiver.write(&body)
    });
    match done.await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, error.message + "\n").into_response()
        }
        Err(panic) => {
            tracing::error!(error = %panic, "remote write failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "remote write failed; the server's log says why\n")
                .into_response()
        }
    }
}

/// Only what is called snappy-compressed protobuf of version 1 is read; absent headers mean that too.
fn refuse_headers(headers: &HeaderMap) -> Option<Response> {
    let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let refuse = |message: String| Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, message + "\n").into_response());
    if let Some(encoding) = text(header::CONTENT_ENCODING)
        && encoding != "snappy"
    {
        return refuse(format!("expected content encoding snappy, found {encoding:?}"));
    }
    let content_type = text(header::CONTENT_TYPE)?;
    let mut parts = content_type.split(';').map(str::trim);
    let message = parts.clone().find_map(|part| part.strip_prefix("proto="));
    match (parts.next(), message) {
        (Some("application/x-protobuf"), None | Some("prometheus.WriteRequest")) => None,
        _ => refuse(format!(
            "expected content type application/x-protobuf of prometheus.WriteRequest, found {content_type:?}"
        )),
    }
}

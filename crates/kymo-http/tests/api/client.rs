//! The client: requests in, status, headers and JSON out, over a small store in memory.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use kymo_http::{Api, router};
use kymo_model::{Append, Batch, Labels, MemoryStore, Timestamp};
use kymo_promql::Engine;
use serde_json::{Value, json};
use tower::ServiceExt;

fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    for (job, value) in [("api", 1.0), ("web", 0.0)] {
        for minute in 0..10 {
            let labels = Labels::from_pairs([("__name__", "up"), ("job", job)]);
            batch.push(labels, Timestamp::from_millis(minute * 60_000), value);
        }
    }
    store.append(&batch).expect("a store in memory takes everything");
    Arc::new(store)
}

pub(crate) fn api() -> Api {
    Api::new(store(), Engine::default())
}

pub(crate) async fn send(api: Api, request: Request<Body>) -> (StatusCode, Vec<u8>) {
    let response = router(api).oneshot(request).await.expect("the router never fails");
    let status = response.status();
    let body = response.into_body().collect().await.expect("the body is in memory").to_bytes();
    (status, body.to_vec())
}

/// One request, and what it is answered with.
pub(crate) async fn ask(app: Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let response = app.oneshot(request).await.expect("the router never fails");
    let (parts, body) = response.into_parts();
    let text = |value: &HeaderValue| value.to_str().expect("ASCII").to_owned();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: body.collect().await.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()),
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Result<String, axum::Error>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        self.body.as_deref().unwrap_or_default()
    }
}

pub(crate) async fn get_from(api: Api, path: &str) -> (StatusCode, Value) {
    let (status, body) = send(api, Request::get(path).body(Body::empty()).expect("a request")).await;
    let value =
        serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into());
    (status, value)
}

/// One GET and the `data` it must answer with.
pub(crate) async fn check(path: &str, expected: Value) {
    let (status, answer) = get_from(api(), path).await;
    assert_eq!((status, &answer["status"]), (StatusCode::OK, &json!("success")), "{path}: {answer}");
    assert_eq!(answer["data"], expected, "{path}");
}

/// One GET and the error it must answer with.
pub(crate) async fn check_error(path: &str, status: u16, kind: &str, part: &str) {
    let (found, answer) = get_from(api(), path).await;
    assert_eq!((found.as_u16(), &answer["errorType"]), (status, &json!(kind)), "{path}: {answer}");
    let text = answer["error"].as_str().unwrap_or_default();
    assert!(text.contains(part), "{path}: expected {part:?} in {text:?}");
}

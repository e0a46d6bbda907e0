//! `/api/v1/query_explain` as a client sees it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use kymo_http::{Api, router};
use kymo_model::{Append, Batch, Labels, MemoryStore, Timestamp};
use kymo_promql::Engine;
use serde_json::Value;
use tower::ServiceExt;

async fn get(path: &str) -> (StatusCode, Value) {
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    for minute in 0..10 {
        let labels = Labels::from_pairs([("__name__", "requests_total"), ("job", "api")]);
        batch.push(labels, Timestamp::from_millis(minute * 60_000), minute as f64);
    }
    store.append(&batch).expect("a store in memory takes everything");
    let api = Api::new(Arc::new(store), Engine::default());
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = router(api).oneshot(request).await.expect("the router never fails");
    let status = response.status();
    let body = response.into_body().collect().await.expect("the body is in memory").to_bytes();
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn plans() {
    let (status, answer) = get("/api/v1/query_explain?query=sum(rate(requests_total[5m]))&time=600").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let data = &answer["data"];
    assert_eq!(data["root"]["operator"], "sum");
    assert_eq!(data["root"]["children"][0]["operator"], "rate");
    assert_eq!(data["root"]["cost"], Value::Null);
    assert_eq!(data["selections"][0]["range_ms"], 300_000);
    assert!(data["text"].as_str().is_some_and(|text| text.contains("└─ rate #0 over 5m")), "{data}");
}

#[tokio::test]
async fn costs() {
    let path = "/api/v1/query_explain?query=rate(requests_total[5m])&start=300&end=540&step=60&analyze=true";
    let (status, answer) = get(path).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let data = &answer["data"];
    assert_eq!(data["steps"], 5);
    assert_eq!(data["root"]["cost"]["points"], 5);
    assert_eq!(data["selections"][0]["cost"]["series"], 1);
    assert_eq!(data["stats"]["samples_read"], 9);
}

#[tokio::test]
async fn refused() {
    for path in [
        "/api/v1/query_explain?query=rate(requests_total)",
        "/api/v1/query_explain?query=up&start=1&end=2",
        "/api/v1/query_explain?query=up&analyze=maybe",
    ] {
        let (status, answer) = get(path).await;
        assert_eq!(
            (status, &answer["errorType"]),
            (StatusCode::BAD_REQUEST, &Value::from("bad_data")),
            "{path}"
        );
    }
}

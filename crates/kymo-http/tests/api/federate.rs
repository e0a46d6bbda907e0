//! `/federate`: the newest values, native histograms among them.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use kymo_http::Api;
use kymo_model::{Append, Batch, FloatHistogram, Labels, MemoryStore, SampleValue, Span, Timestamp};
use kymo_promql::Engine;
use serde_json::json;

use crate::client::{get_from, send};
use crate::status::SomeStatus;

#[tokio::test]
async fn federation_gives_the_newest_values() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    let at = Timestamp::from_millis(now.as_millis() as i64 - 1000);
    batch.push(Labels::from_pairs([("__name__", "up"), ("job", "a\"b")]), at, 1.0);
    batch.push(Labels::from_pairs([("__name__", "gone")]), at, kymo_model::STALE_NAN);
    store.append(&batch).expect("a store in memory takes everything");
    let request = Request::get("/federate?match[]=%7B__name__%3D~%22.%2B%22%7D")
        .body(Body::empty())
        .expect("a request");
    let (status, body) = send(Api::new(Arc::new(store), Engine::default()), request).await;
    let expected = format!("# TYPE up untyped\nup{{job=\"a\\\"b\",instance=\"\"}} 1 {}\n", at.millis());
    assert_eq!((status, String::from_utf8_lossy(&body).into_owned()), (StatusCode::OK, expected));
}

/// In the text format a native histogram has no buckets.
#[tokio::test]
async fn federation_of_native_histograms() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let at = Timestamp::from_millis(now.as_millis() as i64 - 1000);
    let histogram = FloatHistogram {
        schema: 0,
        zero_threshold: 0.5,
        zero_count: 1.0,
        count: 5.0,
        sum: 7.5,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        positive_buckets: vec![2.0, 0.0],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![2.0],
        ..FloatHistogram::default()
    };
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    let labels = Labels::from_pairs([("__name__", "h"), ("job", "a")]);
    batch.push(labels, at, SampleValue::FloatHistogram(Arc::new(histogram)));
    store.append(&batch).expect("a store in memory takes everything");
    let store = Arc::new(store);
    let api = || Api::new(store.clone(), Engine::default()).status(Arc::new(SomeStatus));
    let (_, answer) = get_from(api(), "/federate?match[]=h").await;
    let ms = at.millis();
    let labels = "job=\"a\",dc=\"x\",instance=\"\"";
    let expected = format!(
        "# TYPE h histogram\nh_bucket{{{labels},le=\"+Inf\"}} 5 {ms}\nh_sum{{{labels}}} 7.5 {ms}\nh_count{{{labels}}} 5 {ms}\n"
    );
    assert_eq!(answer, json!(expected));
}

//! `/query_exemplars`: every selector of the query once.

use std::sync::Arc;

use axum::http::StatusCode;
use kymo_model::{
    ExemplarQueryable, Labels, Matcher, SeriesExemplars, StoreError, StoreErrorKind, StoredExemplar,
    TimeRange,
};
use serde_json::json;

use crate::client::{api, get_from};

/// Says what it was asked, as exemplars.
struct Asked;

impl ExemplarQueryable for Asked {
    fn exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<SeriesExemplars>, StoreError> {
        if range.min == range.max {
            return Err(StoreError::new(StoreErrorKind::Io, "told to fail"));
        }
        let of = |set: &Vec<Matcher>| SeriesExemplars {
            series: Labels::from_pairs([("set", format!("{set:?}").as_str())]),
            exemplars: [(range.min, 0.5), (range.max, f64::INFINITY)]
                .map(|(timestamp, value)| StoredExemplar {
                    labels: Labels::from_pairs([("trace_id", "a\"b")]),
                    value,
                    timestamp,
                })
                .to_vec(),
        };
        Ok(sets.iter().map(of).collect())
    }
}

#[tokio::test]
async fn exemplars_of_every_selector() {
    let get = |path: &'static str| get_from(api().exemplars(Arc::new(Asked)), path);
    let path = "/api/v1/query_exemplars?start=1.5&end=2&query=\
                histogram_quantile(0.9,rate(a_bucket[5m]))%2Bsum(up%7Bjob!%3D%22x%22%7D%20offset%201h)%2Brate(a_bucket[1m])";
    let (status, answer) = get(path).await;
    let exemplars = json!([
        {"labels": {"trace_id": "a\"b"}, "value": "0.5", "timestamp": 1.5},
        {"labels": {"trace_id": "a\"b"}, "value": "+Inf", "timestamp": 2},
    ]);
    // A selector that comes twice is asked for once.
    let expected = json!([
        {"seriesLabels": {"set": "[__name__=\"a_bucket\"]"}, "exemplars": exemplars},
        {"seriesLabels": {"set": "[__name__=\"up\", job!=\"x\"]"}, "exemplars": exemplars},
    ]);
    assert_eq!((status, &answer["data"]), (StatusCode::OK, &expected));
    assert_eq!(get("/api/v1/query_exemplars?query=1").await.0, StatusCode::NO_CONTENT);
    let (status, answer) = get("/api/v1/query_exemplars?query=up&start=1&end=1").await;
    assert_eq!((status.as_u16(), &answer["errorType"]), (500, &json!("internal")));
}

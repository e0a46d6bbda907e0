//! `/query` and `/query_range`: shapes of results, forms, the language, timings.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use kymo_promql_syntax::{ParseOptions, Parser};
use serde_json::{Value, json};

use crate::client::{api, check, get_from, send};

#[tokio::test]
async fn instant_queries() {
    check("/api/v1/query?query=1%2B1&time=4", json!({"resultType": "scalar", "result": [4, "2"]})).await;
    // Prometheus writes large and small values of series with an exponent, scalars never.
    check(
        "/api/v1/query?query=1e21&time=4",
        json!({"resultType": "scalar", "result": [4, "1000000000000000000000"]}),
    )
    .await;
    check(
        "/api/v1/query?query=vector(1e21)&time=4",
        json!({"resultType": "vector", "result": [{"metric": {}, "value": [4, "1e+21"]}]}),
    )
    .await;
    check(
        "/api/v1/query?query=up%7Bjob%3D%22api%22%7D&time=61.5",
        json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "job": "api"}, "value": [61.5, "1"]}]}),
    )
    .await;
    check("/api/v1/query?query=%22x%22&time=1", json!({"resultType": "string", "result": [1, "x"]})).await;
    check(
        "/api/v1/query?query=up%7Bjob%3D%22api%22%7D%5B2m%5D&time=120",
        json!({"resultType": "matrix", "result": [
            {"metric": {"__name__": "up", "job": "api"}, "values": [[60, "1"], [120, "1"]]}]}),
    )
    .await;
}

#[tokio::test]
async fn range_queries() {
    check(
        "/api/v1/query_range?query=sum(up)&start=0&end=120&step=1m",
        json!({"resultType": "matrix", "result": [
            {"metric": {}, "values": [[0, "1"], [60, "1"], [120, "1"]]}]}),
    )
    .await;
    let (_, answer) = get_from(api(), "/api/v1/query_range?query=up&start=0&end=60&step=60&limit=1").await;
    assert_eq!(answer["data"]["result"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn forms_are_read_like_query_strings() {
    let request = Request::post("/api/v1/query")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("query=vector(3)&time=5"))
        .expect("a request");
    let (status, body) = send(api(), request).await;
    assert_eq!(status, StatusCode::OK);
    let answer: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(answer["data"]["result"], json!([{"metric": {}, "value": [5, "3"]}]));
}

#[tokio::test]
async fn more_of_the_language_when_it_is_allowed() {
    let (status, answer) = get_from(
        api().parser(Parser::new(ParseOptions::everything())),
        "/api/v1/query?query=limitk(1,up)&time=60",
    )
    .await;
    assert_eq!((status, answer["data"]["result"].as_array().map(Vec::len)), (StatusCode::OK, Some(1)));
}

#[tokio::test]
async fn the_time_of_a_query_is_told_where_it_is_asked_for() {
    let path = "/api/v1/query_range?query=up&start=0&end=60&step=30&stats=all";
    let (_, answer) = get_from(api(), path).await;
    let stats = &answer["data"]["stats"];
    for name in [
        "evalTotalTime",
        "resultSortTime",
        "queryPreparationTime",
        "innerEvalTime",
        "execQueueTime",
        "execTotalTime",
    ] {
        assert!(stats["timings"][name].is_number(), "{name}: {answer}");
    }
    for name in ["totalQueryableSamples", "peakSamples"] {
        assert!(stats["samples"][name].is_u64(), "{name}: {answer}");
    }
    let (_, answer) = get_from(api(), "/api/v1/query?query=up&time=0").await;
    assert_eq!(answer["data"].get("stats"), None);
}

//! Errors: Prometheus' types, status codes and texts.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use crate::client::{api, check_error, get_from, send};

#[tokio::test]
async fn errors_have_prometheus_types() {
    check_error("/api/v1/query", 400, "bad_data", "invalid parameter \"query\"").await;
    check_error("/api/v1/query?query=sum(", 400, "bad_data", "parse error").await;
    check_error("/api/v1/query?query=up&time=yesterday", 400, "bad_data", "valid timestamp").await;
    check_error("/api/v1/query?query=up&timeout=soon", 400, "bad_data", "valid duration").await;
    check_error("/api/v1/query?query=up&limit=-1", 400, "bad_data", "limit").await;
    check_error("/api/v1/query_range?query=up&start=2&end=1&step=1", 400, "bad_data", "must not be before")
        .await;
    check_error("/api/v1/query_range?query=up&start=0&end=1&step=0", 400, "bad_data", "zero or negative")
        .await;
    check_error("/api/v1/query_range?query=up&start=0&end=1", 400, "bad_data", "step").await;
    check_error("/api/v1/query_range?query=up&start=0&end=99999&step=1", 400, "bad_data", "11,000 points")
        .await;
    check_error("/api/v1/query_range?query=up&start=-1e15&end=1e15&step=1", 400, "bad_data", "11,000 points")
        .await;
    check_error(
        "/api/v1/query_range?query=up[5m]&start=0&end=1&step=1",
        400,
        "bad_data",
        "\"range vector\" for range query",
    )
    .await;
    check_error(
        "/api/v1/query_range?query=%22up%22&start=0&end=1&step=1",
        400,
        "bad_data",
        "\"string\" for range query",
    )
    .await;
    let none = "invalid parameter \"query\": duration must be greater than 0";
    check_error("/api/v1/query?query=up[step()-1]&time=1", 400, "bad_data", none).await;
    check_error("/api/v1/query?query=up%2Bon()up&time=1", 422, "execution", "many-to-many").await;
    check_error("/api/v1/label/%FF/values", 400, "bad_data", "invalid label name").await;
    check_error("/api/v1/series", 400, "bad_data", "no match[] parameter provided").await;
    check_error("/api/v1/series?match[]=%7Bjob%3D~%22.*%22%7D", 400, "bad_data", "non-empty matcher").await;
    check_error("/api/v1/labels?match[]=sum(up)", 400, "bad_data", "selector").await;
    check_error("/api/v1/query?query=up&time=1&timeout=0", 503, "timeout", "query timed out").await;
    check_error("/api/v1/query?query=up%FF", 400, "bad_data", "0xff").await;
    check_error("/api/v1/query?query=%zz", 400, "bad_data", "invalid URL escape").await;
    check_error("/api/v1/query?query=limitk(1,up)", 400, "bad_data", "limitk").await;
    check_error("/api/v1/query_exemplars?query=sum(", 400, "bad_data", "parse error").await;
    check_error("/api/v1/query_exemplars?query=up&start=2&end=1", 400, "bad_data", "must not be before")
        .await;
    check_error("/api/v1/query_exemplars?query=up&start=x", 400, "bad_data", "start").await;
    let (status, _) = get_from(api(), "/api/v1/nothing").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) =
        send(api(), Request::put("/api/v1/query").body(Body::empty()).expect("a request")).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

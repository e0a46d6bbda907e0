//! `/series`, `/labels`, `/label/NAME/values`, and what is said of a query's text.

use serde_json::json;

use crate::client::{check, check_error};

#[tokio::test]
async fn series_and_labels() {
    check("/api/v1/labels", json!(["__name__", "job"])).await;
    check("/api/v1/label/job/values", json!(["api", "web"])).await;
    check("/api/v1/label/job/values?match[]=up%7Bjob!%3D%22api%22%7D", json!(["web"])).await;
    check("/api/v1/label/job/values?start=100000", json!([])).await;
    check("/api/v1/series?match[]=up%7Bjob%3D%22web%22%7D", json!([{"__name__": "up", "job": "web"}])).await;
    check("/api/v1/format_query?query=sum(up)by(job)", json!("sum by (job) (up)")).await;
    let number = |value: &str| json!({"type": "numberLiteral", "val": value});
    let unary = json!({"type": "unaryExpr", "op": "-", "expr": {"type": "parenExpr", "expr": number("1")}});
    check("/api/v1/parse_query?query=-(1)", unary).await;
    check_error("/api/v1/parse_query?query=sum(", 400, "bad_data", "parse error").await;
}

//! `/status/*`, `/features`, the gate, and parts that are absent.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use kymo_http::{BuildInfo, CardinalityStats, FeatureGroup, Gate, RuntimeInfo, Status, WalReplay, router};
use kymo_model::{Labels, Timestamp};
use serde_json::json;
use tower::ServiceExt;

use crate::client::{api, check, get_from, send};

/// A process that says little of itself.
pub(crate) struct SomeStatus;

impl Status for SomeStatus {
    fn config_yaml(&self) -> String {
        String::new()
    }
    fn flags(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    fn runtime(&self) -> RuntimeInfo {
        RuntimeInfo {
            start: Timestamp::from_millis(0),
            cwd: "/".to_owned(),
            hostname: "host".to_owned(),
            reload_config_success: true,
            last_config: Timestamp::from_millis(0),
            corruption_count: 0,
            threads: 1,
            storage_retention: "15d".to_owned(),
        }
    }
    fn build(&self) -> BuildInfo {
        let none = String::new;
        BuildInfo {
            version: "3.14.0".to_owned(),
            revision: none(),
            branch: none(),
            build_user: none(),
            build_date: none(),
            runtime_version: none(),
        }
    }
    fn cardinality(&self, _: usize) -> CardinalityStats {
        CardinalityStats::default()
    }
    fn metrics_text(&self) -> String {
        String::new()
    }
    fn external_labels(&self) -> Labels {
        Labels::from_pairs([("dc", "x"), ("job", "outer")])
    }
    fn wal_replay(&self) -> WalReplay {
        WalReplay { min: 3, max: 5, current: 5 }
    }
    fn features(&self) -> Vec<FeatureGroup> {
        vec![FeatureGroup { name: "tsdb", features: vec![("isolation", true)] }]
    }
}

#[tokio::test]
async fn small_endpoints() {
    let get = |path: &'static str| get_from(api().status(Arc::new(SomeStatus)), path);
    for (path, data) in [
        ("/api/v1/query_exemplars?query=rate(up[5m])&start=0&end=1", json!([])),
        ("/api/v1/status/walreplay", json!({"min": 3, "max": 5, "current": 5})),
        ("/api/v1/status/tsdb/blocks", json!({"blocks": []})),
        ("/api/v1/alertmanagers", json!({"activeAlertmanagers": [], "droppedAlertmanagers": []})),
        ("/api/v1/notifications", json!([])),
    ] {
        let (status, answer) = get(path).await;
        assert_eq!(
            (status, &answer["status"], &answer["data"]),
            (StatusCode::OK, &json!("success"), &data),
            "{path}"
        );
    }
    assert_eq!(get("/api/v1/query_exemplars?query=1").await.0, StatusCode::NO_CONTENT);
    let (_, features) = get("/api/v1/features").await;
    let features = &features["data"];
    assert_eq!(features["tsdb"]["isolation"], true);
    assert_eq!(
        (&features["promql_functions"]["rate"], &features["promql_functions"]["info"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&features["api"]["admin"], &features["promql_operators"]["limitk"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(get("/api/v1/status/runtimeinfo").await.1["data"]["hostname"], "host");
}

#[tokio::test]
async fn absent_parts_answer_as_an_empty_server() {
    let none = json!({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}});
    check("/api/v1/targets", none).await;
    check("/api/v1/rules", json!({"groups": []})).await;
    check("/api/v1/alerts", json!({"alerts": []})).await;
    check("/api/v1/metadata", json!({})).await;
    let (status, _) = send(api(), Request::post("/-/reload").body(Body::empty()).expect("a request")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_closed_gate_is_healthy_and_not_ready() {
    let gate = Gate::new();
    let ask = |path: &'static str| {
        let router = gate.router();
        async move {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            router.oneshot(request).await.expect("the gate never fails").status()
        }
    };
    assert_eq!(ask("/-/healthy").await, StatusCode::OK);
    assert_eq!(ask("/-/ready").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask("/api/v1/query?query=1").await, StatusCode::SERVICE_UNAVAILABLE);
    gate.open(router(api()));
    assert_eq!(ask("/-/ready").await, StatusCode::OK);
    assert_eq!(ask("/api/v1/query?query=1").await, StatusCode::OK);
}

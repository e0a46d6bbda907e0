//! The API as a client sees it: requests in, status, headers and JSON out, over a store in memory.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use kymo_http::{
    AlertView, Api, ApiLimits, Gate, RemoteWrite, RemoteWriteError, RuleGroupView, RuleKindView, RuleView,
    Rules, router,
};
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

fn api() -> Api {
    Api::new(store(), Engine::default())
}

async fn send(api: Api, request: Request<Body>) -> (StatusCode, Vec<u8>) {
    let response = router(api).oneshot(request).await.expect("the router never fails");
    let status = response.status();
    let body = response.into_body().collect().await.expect("the body is in memory").to_bytes();
    (status, body.to_vec())
}

async fn get_from(api: Api, path: &str) -> (StatusCode, Value) {
    let (status, body) = send(api, Request::get(path).body(Body::empty()).expect("a request")).await;
    let value =
        serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into());
    (status, value)
}

/// One GET and the `data` it must answer with.
async fn check(path: &str, expected: Value) {
    let (status, answer) = get_from(api(), path).await;
    assert_eq!((status, &answer["status"]), (StatusCode::OK, &json!("success")), "{path}: {answer}");
    assert_eq!(answer["data"], expected, "{path}");
}

/// One GET and the error it must answer with.
async fn check_error(path: &str, status: u16, kind: &str, part: &str) {
    let (found, answer) = get_from(api(), path).await;
    assert_eq!((found.as_u16(), &answer["errorType"]), (status, &json!(kind)), "{path}: {answer}");
    let text = answer["error"].as_str().unwrap_or_default();
    assert!(text.contains(part), "{path}: expected {part:?} in {text:?}");
}

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
    check_error("/api/v1/query?query=up%2Bon()up&time=1", 422, "execution", "many-to-many").await;
    check_error("/api/v1/label/%FF/values", 400, "bad_data", "invalid label name").await;
    check_error("/api/v1/series", 400, "bad_data", "no match[] parameter provided").await;
    check_error("/api/v1/series?match[]=%7Bjob%3D~%22.*%22%7D", 400, "bad_data", "non-empty matcher").await;
    check_error("/api/v1/labels?match[]=sum(up)", 400, "bad_data", "selector").await;
    let (status, _) = get_from(api(), "/api/v1/nothing").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) =
        send(api(), Request::put("/api/v1/query").body(Body::empty()).expect("a request")).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn series_and_labels() {
    check("/api/v1/labels", json!(["__name__", "job"])).await;
    check("/api/v1/label/job/values", json!(["api", "web"])).await;
    check("/api/v1/label/job/values?match[]=up%7Bjob!%3D%22api%22%7D", json!(["web"])).await;
    check("/api/v1/label/job/values?start=100000", json!([])).await;
    check("/api/v1/series?match[]=up%7Bjob%3D%22web%22%7D", json!([{"__name__": "up", "job": "web"}])).await;
    check("/api/v1/format_query?query=sum(up)by(job)", json!("sum by (job) (up)")).await;
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

struct SomeRules;

impl Rules for SomeRules {
    fn groups(&self) -> Vec<RuleGroupView> {
        let alert = AlertView {
            labels: Labels::from_pairs([("alertname", "Down"), ("job", "web")]),
            annotations: vec![("summary".to_owned(), "web is down".to_owned())],
            state: "firing".to_owned(),
            active_at: Timestamp::from_millis(1500),
            keep_firing_since: None,
            value: 0.0,
        };
        let rule = |name: &str, kind| RuleView {
            name: name.to_owned(),
            query: "up == 0".to_owned(),
            labels: vec![("severity".to_owned(), "page".to_owned())],
            health: "ok".to_owned(),
            last_error: String::new(),
            evaluation_seconds: 0.25,
            last_evaluation: Some(Timestamp::from_millis(0)),
            kind,
        };
        let alerting = RuleKindView::Alerting {
            state: "firing".to_owned(),
            hold_seconds: 60.0,
            keep_firing_seconds: 0.0,
            annotations: Vec::new(),
            alerts: vec![alert],
        };
        let group = |name: &str, rules| RuleGroupView {
            name: name.to_owned(),
            file: "rules.yml".to_owned(),
            interval_seconds: 60.0,
            limit: 0,
            evaluation_seconds: 0.5,
            last_evaluation: None,
            rules,
        };
        vec![
            group("a", vec![rule("Down", alerting)]),
            group("b", vec![rule("job:up", RuleKindView::Recording)]),
        ]
    }
}

#[tokio::test]
async fn rules_filters_and_pages() {
    let ask = |path: &'static str| get_from(api().rules(Arc::new(SomeRules)), path);
    let names = |answer: &Value| -> Vec<String> {
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().map(|group| group["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let (_, all) = ask("/api/v1/rules").await;
    assert_eq!(names(&all), ["a", "b"]);
    let alert = &all["data"]["groups"][0]["rules"][0]["alerts"][0];
    assert_eq!((&alert["value"], &alert["activeAt"]), (&json!("0e+00"), &json!("1970-01-01T00:00:01.5Z")));
    // Numbers as Go writes them: whole ones without a fraction.
    let numbers = |value: &Value, names: [&str; 2]| names.map(|name| value[name].to_string());
    assert_eq!(numbers(&all["data"]["groups"][0], ["interval", "limit"]), ["60", "0"]);
    assert_eq!(numbers(&all["data"]["groups"][0]["rules"][0], ["duration", "keepFiringFor"]), ["60", "0"]);
    assert_eq!(all["data"]["groups"][1]["lastEvaluation"], "0001-01-01T00:00:00Z");
    assert_eq!(names(&ask("/api/v1/rules?type=record").await.1), ["b"]);
    assert_eq!(names(&ask("/api/v1/rules?rule_name[]=Down").await.1), ["a"]);
    assert_eq!(names(&ask("/api/v1/rules?rule_group[]=b").await.1), ["b"]);
    assert_eq!(names(&ask("/api/v1/rules?file[]=other.yml").await.1), Vec::<String>::new());
    assert_eq!(
        names(&ask("/api/v1/rules?match[]=%7Bseverity%3D%22mail%22%7D").await.1),
        Vec::<String>::new()
    );
    let (_, silent) = ask("/api/v1/rules?exclude_alerts=true").await;
    assert_eq!(silent["data"]["groups"][0]["rules"][0]["alerts"], json!([]));
    let (_, first) = ask("/api/v1/rules?group_limit=1").await;
    assert_eq!(names(&first), ["a"]);
    let token = first["data"]["groupNextToken"].as_str().expect("there is a second page");
    let next = format!("/api/v1/rules?group_limit=1&group_next_token={token}");
    let (_, second) = get_from(api().rules(Arc::new(SomeRules)), &next).await;
    assert_eq!((names(&second), second["data"].get("groupNextToken")), (vec!["b".to_owned()], None));
    assert_eq!(ask("/api/v1/rules?group_next_token=x").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(ask("/api/v1/rules?type=other").await.0, StatusCode::BAD_REQUEST);
    let (_, alerts) = ask("/api/v1/alerts").await;
    assert_eq!(alerts["data"]["alerts"][0]["labels"]["alertname"], "Down");
}

struct Refuses;

impl RemoteWrite for Refuses {
    fn write(&self, body: &[u8]) -> Result<(), RemoteWriteError> {
        match body {
            b"good" => Ok(()),
            _ => Err(RemoteWriteError { status: 400, message: "out of order sample".to_owned() }),
        }
    }
}

#[tokio::test]
async fn remote_write_is_bounded_and_typed() {
    let write = |encoding: &'static str, content_type: &'static str, body: &'static str| {
        let request = Request::post("/api/v1/write")
            .header(header::CONTENT_ENCODING, encoding)
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(body))
            .expect("a request");
        let limits = ApiLimits { write_body_bytes_max: 16, ..ApiLimits::default() };
        send(api().limits(limits).remote_write(Arc::new(Refuses)), request)
    };
    let protobuf = "application/x-protobuf";
    assert_eq!(write("snappy", protobuf, "good").await.0, StatusCode::NO_CONTENT);
    let one = "application/x-protobuf;proto=prometheus.WriteRequest";
    assert_eq!(write("snappy", one, "good").await.0, StatusCode::NO_CONTENT);
    let two = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    assert_eq!(write("snappy", two, "good").await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(write("gzip", protobuf, "good").await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(write("snappy", "text/plain", "good").await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(write("snappy", protobuf, "bad").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(write("snappy", protobuf, "more than sixteen").await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let off = Request::post("/api/v1/write").body(Body::from("good")).expect("a request");
    assert_eq!(send(api(), off).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_admin_api_is_off_and_honest() {
    let ask = |api: Api| {
        let request = Request::post("/api/v1/admin/tsdb/snapshot").body(Body::empty()).expect("a request");
        async move {
            let (status, body) = send(api, request).await;
            let answer: Value = serde_json::from_slice(&body).expect("JSON");
            (status.as_u16(), answer["errorType"].as_str().unwrap_or_default().to_owned())
        }
    };
    assert_eq!(ask(api()).await, (500, "unavailable".to_owned()));
    assert_eq!(ask(api().admin(true)).await, (500, "internal".to_owned()));
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

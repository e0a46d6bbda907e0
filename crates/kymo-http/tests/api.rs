//! The API as a client sees it: requests in, status, headers and JSON out, over a store in memory.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt;
use kymo_http::{
    Admin, AlertView, Api, ApiLimits, BuildInfo, CardinalityStats, FeatureGroup, Gate, Notifications,
    RemoteRead, RemoteReadAnswer, RemoteReadError, RemoteWrite, RemoteWriteError, RuleGroupView,
    RuleKindView, RuleView, Rules, RuntimeInfo, Status, WalReplay, WebOptions, mount, router,
};
use kymo_model::{
    Append, Batch, ExemplarQueryable, FamilyMetadata, FloatHistogram, Labels, Matcher, MemoryStore, Metadata,
    MetadataQueryable, MetricType, Regex, SampleValue, SeriesExemplars, Span, StoreError, StoreErrorKind,
    StoredExemplar, TimeRange, Timestamp,
};
use kymo_promql::Engine;
use kymo_promql_syntax::{ParseOptions, Parser};
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

/// One request, and what it is answered with.
async fn ask(app: Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
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

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Result<String, axum::Error>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> &str {
        self.body.as_deref().unwrap_or_default()
    }
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

/// Writes down what it is asked to do; snapshots of the head fail.
#[derive(Default)]
struct Noted(std::sync::Mutex<Vec<String>>);

impl Noted {
    fn note(&self, what: String) {
        self.0.lock().expect("no panic").push(what);
    }
}

impl Admin for Noted {
    fn delete_series(&self, matchers: &[Matcher], range: TimeRange) -> Result<(), StoreError> {
        let names: Vec<String> = matchers.iter().map(|m| format!("{}={:?}", m.name(), m.value())).collect();
        self.note(format!("{} {} {}", names.join(","), range.min.millis(), range.max.millis()));
        Ok(())
    }

    fn clean_tombstones(&self) -> Result<(), StoreError> {
        self.note("clean".to_owned());
        Ok(())
    }

    fn snapshot(&self, with_head: bool) -> Result<String, StoreError> {
        let full = StoreError::new(StoreErrorKind::Full, "no room");
        if with_head { Err(full) } else { Ok("20200101T000000Z-1".to_owned()) }
    }
}

#[tokio::test]
async fn the_admin_api() {
    let noted = Arc::new(Noted::default());
    let check = |allowed: bool, path: &'static str, status: u16, part: &'static str| {
        let app = router(if allowed { api().admin(noted.clone()) } else { api() });
        async move {
            for method in ["POST", "PUT"] {
                let answer = ask(app.clone(), method, &format!("/api/v1/admin/tsdb/{path}"), &[]).await;
                let body = answer.body.expect("a body");
                assert_eq!(answer.status, status, "{path}: {body}");
                assert!(body.contains(part) && (status != 204 || body.is_empty()), "{path}: {body}");
            }
        }
    };
    for path in ["snapshot", "clean_tombstones", "delete_series?match[]=up"] {
        check(false, path, 500, r#""error":"admin APIs disabled","errorType":"unavailable""#).await;
    }
    check(true, "delete_series", 400, "no match[] parameter provided").await;
    check(true, "delete_series?match[]=up%7B", 400, "bad_data").await;
    check(true, "delete_series?match[]=up&start=soon", 400, "bad_data").await;
    check(true, "snapshot?skip_head=maybe", 400, "skip_head").await;
    check(true, "snapshot", 500, "no room").await;
    check(true, "snapshot?skip_head=true", 200, r#""data":{"name":"20200101T000000Z-1"}"#).await;
    assert!(noted.0.lock().expect("no panic").is_empty());
    check(true, "clean_tombstones", 204, "").await;
    check(true, "delete_series?match[]=up&match[]=%7Bjob=%22x%22%7D&start=1&end=2.5", 204, "").await;
    let wanted = ["clean", "clean", "__name__=\"up\" 1000 2500", "job=\"x\" 1000 2500"];
    assert_eq!(noted.0.lock().expect("no panic")[..4], wanted);
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

/// A process that says little of itself.
struct SomeStatus;

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

/// Knows what two families are.
struct Told;

impl MetadataQueryable for Told {
    fn metadata(&self, metric: Option<&str>) -> Result<Vec<FamilyMetadata>, StoreError> {
        let family = |name: &str| FamilyMetadata {
            name: name.to_owned(),
            metadata: Metadata { metric_type: MetricType::Gauge, unit: "s".into(), help: "stored".into() },
        };
        let all = ["gone_seconds", "here_seconds"].map(family);
        Ok(all.into_iter().filter(|family| metric.is_none_or(|name| name == family.name)).collect())
    }
}

/// A target that knows what one of them is.
struct OneTarget;

impl kymo_http::Targets for OneTarget {
    fn active(&self) -> Vec<kymo_http::ActiveTarget> {
        Vec::new()
    }
    fn dropped(&self) -> Vec<kymo_http::DroppedTarget> {
        Vec::new()
    }
    fn dropped_counts(&self) -> Vec<(String, usize)> {
        Vec::new()
    }
    fn pools(&self) -> Vec<String> {
        Vec::new()
    }
    fn metadata(&self, metric: Option<&str>) -> Vec<kymo_http::MetadataEntry> {
        let entry = kymo_http::MetadataEntry {
            target: Labels::from_pairs([("job", "x")]),
            metric: "here_seconds".to_owned(),
            metadata: Metadata { metric_type: MetricType::Counter, unit: "s".into(), help: "scraped".into() },
        };
        Some(entry).into_iter().filter(|entry| metric.is_none_or(|name| name == entry.metric)).collect()
    }
}

#[tokio::test]
async fn metadata_of_targets_comes_first() {
    let here = json!([{"type": "counter", "unit": "s", "help": "scraped"}]);
    let gone = json!([{"type": "gauge", "unit": "s", "help": "stored"}]);
    for (query, expected) in [
        ("", json!({"gone_seconds": gone, "here_seconds": here})),
        ("?metric=gone_seconds", json!({"gone_seconds": gone})),
        ("?metric=here_seconds", json!({"here_seconds": here})),
        ("?limit=1", json!({"here_seconds": here})),
        ("?limit=0", json!({})),
        ("?metric=none", json!({})),
    ] {
        let api = api().targets(Arc::new(OneTarget)).metadata(Arc::new(Told));
        let (status, answer) = get_from(api, &format!("/api/v1/metadata{query}")).await;
        assert_eq!((status, &answer["data"]), (StatusCode::OK, &expected), "{query}");
    }
    let api = api().targets(Arc::new(OneTarget)).metadata(Arc::new(Told));
    let (_, answer) = get_from(api, "/api/v1/targets/metadata?metric=gone_seconds").await;
    assert_eq!(answer["data"], json!([]));
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

#[tokio::test]
async fn browsers_of_other_origins() {
    let only = |pattern: &str| {
        let cors_origin = Regex::new(pattern).expect("a pattern");
        router(api().web(WebOptions { cors_origin, ..WebOptions::default() }))
    };
    let origin = [("origin", "http://a.com")];
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").map(str::to_owned);
    // Any path below the API, also one that is not there.
    for path in ["/api/v1/query", "/api/v1/nothing"] {
        let answer = ask(only(".*"), "OPTIONS", path, &origin).await;
        assert_eq!(
            (answer.status, answer.text(), allowed(&answer)),
            (204, "", Some("*".to_owned())),
            "{path}"
        );
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"));
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("Accept, Authorization, Content-Type, Origin")
        );
        assert_eq!(answer.header("access-control-expose-headers"), Some("Date"));
    }
    let pattern = "https?://(a|b)\\.com";
    for (path, found) in [
        ("/api/v1/query?query=1", Some("http://a.com")),
        ("/api/v1/query?query=sum(", Some("http://a.com")),
        ("/federate?match[]=up", None),
    ] {
        assert_eq!(allowed(&ask(only(pattern), "GET", path, &origin).await).as_deref(), found, "{path}");
    }
    let other = ask(only(pattern), "GET", "/api/v1/labels", &[("origin", "http://c.com")]).await;
    assert_eq!((allowed(&other), other.header("access-control-expose-headers")), (None, Some("Date")));
    let none = ask(only(pattern), "GET", "/api/v1/labels", &[]).await;
    assert_eq!((none.header("access-control-expose-headers"), none.header("vary")), (None, Some("Origin")));
}

#[tokio::test]
async fn pages_and_other_paths() {
    let external = || {
        let web = WebOptions {
            external_path: "/p".to_owned(),
            page_title: "<T>".to_owned(),
            ..WebOptions::default()
        };
        router(api().web(web))
    };
    for (method, path, status, location) in [
        ("GET", "/", 302, Some("/p/query")),
        ("GET", "/graph?g0.expr=up", 302, Some("/p/query?g0.expr=up")),
        ("GET", "/query", 200, None),
        ("GET", "/targets", 200, None),
        ("GET", "/nothing", 404, None),
        ("GET", "/api/v1/nothing", 404, None),
        ("HEAD", "/-/healthy", 200, None),
        ("HEAD", "/-/ready", 200, None),
        ("GET", "/-/reload", 405, None),
        ("GET", "/-/quit", 405, None),
        ("DELETE", "/-/ready", 405, None),
        ("POST", "/-/quit", 403, None),
        ("GET", "/api/v1/write", 405, None),
        ("GET", "/api/v1/admin/tsdb/snapshot", 405, None),
    ] {
        let answer = ask(external(), method, path, &[]).await;
        assert_eq!((answer.status, answer.header("location")), (status, location), "{method} {path}");
    }
    let page = ask(external(), "GET", "/query", &[]).await;
    assert!(
        page.text().contains("<title>&lt;T&gt;</title>") && page.text().contains("/p/api/v1"),
        "{}",
        page.text()
    );
}

#[tokio::test]
async fn a_router_below_a_prefix() {
    for (path, status, location) in [
        ("/", 302, Some("/pfx")),
        ("/pfx", 301, Some("/pfx/")),
        ("/pfx/", 302, Some("/query")),
        ("/pfx/-/ready", 200, None),
        ("/pfx/api/v1/query?query=1", 200, None),
        ("/-/ready", 404, None),
        ("/pfxx/-/ready", 404, None),
        ("/api/v1/query?query=1", 404, None),
    ] {
        let answer = ask(mount(router(api()), "/pfx"), "GET", path, &[]).await;
        assert_eq!((answer.status, answer.header("location")), (status, location), "{path}");
    }
    assert_eq!(ask(mount(router(api()), "/"), "GET", "/-/ready", &[]).await.status, 200);
}

#[tokio::test]
async fn notifications_are_listed_and_streamed() {
    let notifications = Notifications::new(1);
    notifications.begin("first");
    let app = || router(api().notifications(notifications.clone()));
    let listed = ask(app(), "GET", "/api/v1/notifications", &[]).await;
    let listed: Value = serde_json::from_str(listed.text()).expect("JSON");
    assert_eq!((&listed["data"][0]["text"], &listed["data"][0]["active"]), (&json!("first"), &json!(true)));

    let request = Request::get("/api/v1/notifications/live").body(Body::empty()).expect("a request");
    let stream = app().oneshot(request).await.expect("the router never fails");
    assert_eq!(stream.headers()[header::CONTENT_TYPE], "text/event-stream");
    // There is room for one.
    assert_eq!(ask(app(), "GET", "/api/v1/notifications/live", &[]).await.status, 204);
    notifications.begin("second");
    notifications.end("first");
    notifications.end("never begun");
    notifications.close();
    let body = stream.into_body().collect().await.expect("the stream ends").to_bytes();
    let events: Vec<Value> = String::from_utf8_lossy(&body)
        .split_terminator("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").expect("an event")).expect("JSON"))
        .collect();
    let seen: Vec<(&str, bool)> = events
        .iter()
        .map(|event| (event["text"].as_str().expect("text"), event["active"].as_bool().expect("active")))
        .collect();
    assert_eq!(seen, [("first", true), ("second", true), ("first", false)]);
    assert_eq!(notifications.texts(), ["second"]);
}

/// Answers with as many pieces as the body has bytes; breaks off at `!`, refuses `x`.
struct Pieces;

impl RemoteRead for Pieces {
    fn read(&self, body: &[u8]) -> Result<RemoteReadAnswer, RemoteReadError> {
        let wrong = |status, message: &str| RemoteReadError { status, message: message.to_owned() };
        if body == b"x" {
            return Err(wrong(400, "no such question"));
        }
        let piece = move |byte: u8| match byte {
            b'!' => Err(wrong(422, "broken off")),
            byte => Ok(vec![byte]),
        };
        let pieces = Box::new(Vec::from(body).into_iter().map(piece));
        Ok(RemoteReadAnswer {
            content_type: "application/x-pieces",
            content_encoding: Some("snappy"),
            pieces,
        })
    }
}

#[tokio::test]
async fn remote_read_is_sent_in_pieces() {
    let limits = ApiLimits { read_body_bytes_max: 8, ..ApiLimits::default() };
    let app = router(api().limits(limits).remote_read(Arc::new(Pieces)));
    let read = |body: &'static str| {
        let request = Request::post("/api/v1/read").body(Body::from(body)).expect("a request");
        let app = app.clone();
        async move {
            let (parts, body) = app.oneshot(request).await.expect("the router never fails").into_parts();
            let body =
                body.collect().await.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
            let header =
                |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            (parts.status.as_u16(), header("content-type"), header("content-encoding"), body.ok())
        }
    };
    let found = |status, body: Option<&str>| {
        (status, Some("application/x-pieces".to_owned()), Some("snappy".to_owned()), body.map(str::to_owned))
    };
    assert_eq!(read("abcdef").await, found(200, Some("abcdef")));
    assert_eq!(read("").await, found(200, Some("")));
    // Too late for another status: the client sees that the answer is not whole.
    assert_eq!(read("abc!").await, found(200, None));
    assert_eq!(read("!abc").await.0, 422);
    assert_eq!(read("x").await.0, 400);
    assert_eq!(read("123456789").await.0, 413);
    let off = Request::post("/api/v1/read").body(Body::empty()).expect("a request");
    assert_eq!(send(api(), off).await.0, StatusCode::NOT_FOUND);
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

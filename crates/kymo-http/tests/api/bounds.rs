//! Bounds of queries over real connections: deadlines, clients that go away, turns, and answers that are sent while they are
//! printed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use kymo_http::{Api, ApiLimits, ServeOptions, router, serve};
use kymo_model::{
    Append, Batch, CancelReason, CancelToken, Labels, Matcher, MemoryStore, Queryable, Selector, SeriesSet,
    StoreError, TimeRange, Timestamp,
};
use kymo_promql::Engine;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower::{Layer, ServiceExt};
use tower_http::decompression::DecompressionLayer;

/// A store that looks for series until nobody wants them any more, or until it may go on.
#[derive(Default)]
struct Slow {
    asked: AtomicUsize,
    canceled: AtomicUsize,
    timed_out: AtomicUsize,
    may_go_on: AtomicUsize,
}

impl Slow {
    fn look(&self, cancel: &CancelToken) -> Result<(), StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        loop {
            if let Err(error) = cancel.check() {
                match cancel.reason() {
                    Some(CancelReason::Timeout) => self.timed_out.fetch_add(1, Ordering::SeqCst),
                    _ => self.canceled.fetch_add(1, Ordering::SeqCst),
                };
                return Err(error);
            }
            if self.may_go_on.load(Ordering::SeqCst) > 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Queryable for Slow {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        self.look(&wanted.cancel).map(|()| SeriesSet::empty())
    }

    fn label_names(
        &self,
        _: &[Matcher],
        _: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.look(cancel).map(|()| Vec::new())
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Matcher],
        _: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.look(cancel).map(|()| Vec::new())
    }
}

/// Waits until a counter is there; the test hangs, and fails by the runner's clock, if it never is.
async fn reaches(counter: &AtomicUsize, count: usize) {
    while counter.load(Ordering::SeqCst) < count {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn served(app: Router) -> (u16, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(serve(vec![listener], app, ServeOptions::default(), async {
        // Also when the test is over.
        let _ = stopped.await;
    }));
    (port, stop)
}

async fn ask(port: u16, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    stream
}

async fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer in UTF-8");
    answer
}

fn one_at_a_time(store: &Arc<Slow>) -> Router {
    let limits = ApiLimits { queries_concurrent_max: 1, ..ApiLimits::default() };
    router(Api::new(store.clone(), Engine::default()).limits(limits))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_ends_its_query() {
    let store = Arc::new(Slow::default());
    let (port, _stop) = served(one_at_a_time(&store)).await;
    let paths = [
        "/api/v1/query?query=up",
        "/api/v1/query_range?query=up&start=0&end=9&step=1",
        "/api/v1/series?match[]=up",
        "/api/v1/labels",
        "/api/v1/label/job/values?match[]=up",
        "/federate?match[]=up",
    ];
    for (round, path) in (1..).zip(paths) {
        let stream = ask(port, path).await;
        reaches(&store.asked, round).await;
        drop(stream);
        // The store has seen it, and the turn is free for the next round.
        reaches(&store.canceled, round).await;
    }
    assert_eq!(store.timed_out.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_runs_out_in_the_store_and_in_the_queue() {
    let store = Arc::new(Slow::default());
    let (port, _stop) = served(one_at_a_time(&store)).await;
    let late = answer(ask(port, "/api/v1/query?query=up&timeout=20ms").await).await;
    assert!(late.starts_with("HTTP/1.1 503 "), "{late}");
    assert!(late.contains(r#""errorType":"timeout""#), "{late}");
    assert!(late.contains("query timed out in query execution"), "{late}");
    assert_eq!(store.timed_out.load(Ordering::SeqCst), 1);
    let running = ask(port, "/api/v1/query?query=up").await;
    reaches(&store.asked, 2).await;
    let waiting = answer(ask(port, "/api/v1/query?query=up&timeout=20ms").await).await;
    assert!(
        waiting.starts_with("HTTP/1.1 503 ") && waiting.contains("query timed out in query queue"),
        "{waiting}"
    );
    // The time in the queue is told.
    let queued = ask(port, "/api/v1/query?query=up&stats=true").await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(store.asked.load(Ordering::SeqCst), 2);
    store.may_go_on.store(1, Ordering::SeqCst);
    assert!(answer(running).await.starts_with("HTTP/1.1 200 "));
    let queued = answer(queued).await;
    let (_, body) = queued.split_once("\r\n\r\n").expect("a head and a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let waited = body["data"]["stats"]["timings"]["execQueueTime"].as_f64();
    assert!(waited.is_some_and(|seconds| seconds > 0.0), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_walks_the_index_has_the_time_of_a_query() {
    let store = Arc::new(Slow::default());
    let limits = ApiLimits { query_timeout: Duration::from_millis(20), ..ApiLimits::default() };
    let (port, _stop) = served(router(Api::new(store.clone(), Engine::default()).limits(limits))).await;
    let paths =
        ["/api/v1/series?match[]=up", "/api/v1/labels", "/api/v1/label/job/values", "/federate?match[]=up"];
    for (round, path) in (1..).zip(paths) {
        let late = answer(ask(port, path).await).await;
        assert!(late.starts_with("HTTP/1.1 503 ") && late.contains("timed out"), "{path}: {late}");
        assert_eq!(late.contains(r#""errorType":"timeout""#), path.starts_with("/api/"), "{path}: {late}");
        assert_eq!(store.timed_out.load(Ordering::SeqCst), round);
    }
    assert_eq!(store.canceled.load(Ordering::SeqCst), 0);
}

/// Two series at so many steps that their text is several pieces.
fn large() -> Router {
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    for job in ["api", "web"] {
        for step in 0..5_000 {
            let labels = Labels::from_pairs([("__name__", "noise"), ("job", job)]);
            batch.push(labels, Timestamp::from_millis(step * 1000), (step as f64).sqrt());
        }
    }
    store.append(&batch).expect("a store in memory takes everything");
    router(Api::new(Arc::new(store), Engine::default()))
}

const LARGE: &str = "/api/v1/query_range?query=noise&start=0&end=4999&step=1&stats=true";

fn check_large(body: &[u8]) {
    let answer: Value = serde_json::from_slice(body).expect("JSON");
    let result = answer["data"]["result"].as_array().expect("series");
    assert_eq!((answer["status"].as_str(), result.len()), (Some("success"), 2));
    for series in result {
        let values = series["values"].as_array().expect("points");
        assert_eq!(values.len(), 5_000);
        for (step, point) in values.iter().enumerate() {
            let expected = serde_json::json!([step, kymo_model::format_float((step as f64).sqrt())]);
            assert_eq!(point, &expected);
        }
    }
    assert!(answer["data"]["stats"]["samples"]["peakSamples"].is_u64());
}

#[tokio::test]
async fn large_answers_come_in_pieces() {
    let request = |encoding: &str| {
        let request = Request::get(LARGE).header("accept-encoding", encoding);
        request.body(Body::empty()).expect("a request")
    };
    let response = large().oneshot(request("identity")).await.expect("the router never fails");
    assert_eq!((response.status(), response.headers().get("content-length")), (StatusCode::OK, None));
    let mut body = response.into_body();
    let (mut whole, mut pieces) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        whole.extend_from_slice(&frame.expect("printing does not fail").into_data().expect("data"));
        pieces += 1;
    }
    assert!(pieces > 3, "{pieces} pieces");
    check_large(&whole);
    let response = large().oneshot(request("gzip")).await.expect("the router never fails");
    assert_eq!(response.headers().get("content-encoding").map(|value| value.as_bytes()), Some(&b"gzip"[..]));
    let zipped = response.into_body().collect().await.expect("a body").to_bytes();
    assert!(zipped.len() < whole.len() / 2, "{} of {} bytes", zipped.len(), whole.len());
    let app = DecompressionLayer::new().layer(large());
    let response = app.oneshot(request("gzip")).await.expect("the router never fails");
    check_large(&response.into_body().collect().await.expect("a gzip stream").to_bytes());
}

/// Over a connection, read slowly, and given up in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_over_a_connection() {
    let (port, _stop) = served(large()).await;
    let whole = answer(ask(port, LARGE).await).await;
    let (head, body) = whole.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
    let (mut rest, mut data) = (body, String::new());
    loop {
        let (size, tail) = rest.split_once("\r\n").expect("a chunk");
        let size = usize::from_str_radix(size, 16).expect("its size");
        if size == 0 {
            break;
        }
        data.push_str(&tail[..size]);
        rest = &tail[size + 2..];
    }
    check_large(data.as_bytes());
    let mut given_up = ask(port, LARGE).await;
    let mut some = [0; 1000];
    given_up.read_exact(&mut some).await.expect("the answer begins");
    drop(given_up);
    assert!(answer(ask(port, "/api/v1/query?query=1").await).await.starts_with("HTTP/1.1 200 "));
}

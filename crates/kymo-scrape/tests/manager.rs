//! The edge: a manager against small HTTP servers on loopback.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kymo_model::{
    Append, Appended, Batch, MatchOp, Matcher, MemoryStore, Queryable, Samples, Selector, StoreError,
    StoreErrorKind, TimeRange, is_stale,
};
use kymo_scrape::config::Config;
use kymo_scrape::{ActiveTarget, Health, ManagerOptions, ScrapeManager};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

type Handler = Arc<dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync>;

/// A server that answers each request head with bytes, or never.
struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(handler: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (handler, log): (Handler, _) = (Arc::new(handler), heads.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (handler, log) = (handler.clone(), log.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while let Ok(byte) = stream.read_u8().await {
                        head.push(byte);
                        if head.ends_with(b"\r\n\r\n") {
                            let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
                            let answer = handler(&text);
                            log.lock().unwrap().push(text);
                            match answer {
                                Some(bytes) => stream.write_all(&bytes).await.unwrap(),
                                None => std::future::pending().await,
                            }
                        }
                    }
                });
            }
        });
        Server { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut out =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    out.extend_from_slice(body);
    Some(out)
}

fn metrics(body: &str) -> Option<Vec<u8>> {
    answer("200 OK", "content-type: text/plain\r\n", body.as_bytes())
}

struct Bench {
    store: Arc<MemoryStore>,
    manager: ScrapeManager,
}

impl Bench {
    fn new() -> Bench {
        let store = Arc::new(MemoryStore::default());
        let options = ManagerOptions { file_poll_ms: 20, ..ManagerOptions::default() };
        Bench { manager: ScrapeManager::new(store.clone(), options), store }
    }

    fn apply(&self, jobs: &str) {
        let text =
            format!("global: {{scrape_interval: 50ms, scrape_timeout: 50ms}}\nscrape_configs:\n{jobs}");
        self.manager.apply(&Config::parse(&text, "p.yml").unwrap_or_else(|e| panic!("{e}")));
    }

    fn target(&self, job: &str) -> Option<ActiveTarget> {
        self.manager.targets().active.into_iter().find(|target| target.scrape_pool == job)
    }

    /// Every value of the series of a name and job, oldest first.
    fn values(&self, name: &str, job: &str) -> Vec<f64> {
        let matcher = |label: &str, value: &str| Matcher::new(MatchOp::Equal, label, value).unwrap();
        let wanted = Selector::new(vec![matcher("__name__", name), matcher("job", job)], TimeRange::ALL);
        let mut all = Vec::new();
        for series in self.store.select(&wanted).unwrap().iter() {
            let (mut reader, mut samples) = (series.reader(), Samples::new());
            while reader.read(&mut samples).unwrap() {
                all.extend_from_slice(samples.floats().unwrap());
            }
        }
        all
    }

    /// Waits for something that must come; how long it takes is of no interest.
    async fn until(&self, what: &str, happened: impl Fn(&Bench) -> bool) {
        for _ in 0..3000 {
            if happened(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}; targets {:#?}", self.manager.targets());
    }

    async fn until_scraped(&self, job: &str) -> ActiveTarget {
        let scraped =
            |bench: &Bench| bench.target(job).is_some_and(|target| target.health != Health::Unknown);
        self.until("a scrape", scraped).await;
        self.target(job).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_and_its_request() {
    let server = Server::start(|_| metrics("# TYPE a counter\na 1\n")).await;
    let bench = Bench::new();
    bench.apply(&format!(
        "- job_name: j\n  metrics_path: /m\n  params: {{q: [x y]}}\n  basic_auth: {{username: u, password: p}}\n  http_headers: {{X-Own: {{values: [v]}}}}\n  static_configs: [{{targets: ['{}'], labels: {{zone: z}}}}]\n",
        server.address
    ));
    bench.until("two samples", |bench| bench.values("a", "j").len() >= 2).await;
    let target = bench.target("j").unwrap();
    assert_eq!(target.scrape_url, format!("http://{}/m?q=x+y", server.address));
    assert_eq!((target.health, target.last_error.as_str()), (Health::Up, ""));
    assert_eq!(
        target.labels.to_string(),
        format!("{{instance=\"{}\", job=\"j\", zone=\"z\"}}", server.address)
    );
    assert_eq!(target.discovered_labels.get("__metrics_path__"), Some("/m"));
    assert_eq!(bench.values("up", "j")[0], 1.0);
    assert_eq!(bench.values("scrape_samples_scraped", "j")[0], 1.0);
    let metadata = bench.manager.metadata();
    assert_eq!(metadata[0].entries[0].metric, "a");
    let head = server.heads()[0].to_ascii_lowercase();
    for wanted in [
        "get /m?q=x+y http/1.1\r\n",
        "accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,",
        "accept-encoding: gzip\r\n",
        "x-prometheus-scrape-timeout-seconds: 0.05\r\n",
        "authorization: basic dtpw\r\n",
        "x-own: v\r\n",
        "user-agent: kymo/",
        &format!("host: {}\r\n", server.address),
    ] {
        assert!(head.contains(wanted), "{wanted} in {head}");
    }
    bench.manager.shutdown().await;
    assert!(!bench.values("up", "j").iter().any(|value| is_stale(*value)), "a stop ends no series");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_say_why() {
    let not_found = Server::start(|_| answer("404 Not Found", "", b"no")).await;
    let html = Server::start(|_| answer("200 OK", "content-type: text/html\r\n", b"<html>")).await;
    let broken = Server::start(|_| metrics("a 1\nb two\n")).await;
    let silent = Server::start(|_| None).await;
    let large = Server::start(|_| metrics(&"a 1\n".repeat(1000))).await;
    let bomb = Server::start(|_| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b'#'; 1 << 20]).unwrap();
        let body = encoder.finish().unwrap();
        answer("200 OK", "content-type: text/plain\r\ncontent-encoding: gzip\r\n", &body)
    })
    .await;
    let round = Server::start(|_| answer("302 Found", "location: /metrics\r\n", b"")).await;
    let cut = Server::start(|_| {
        Some(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\na 1\n".to_vec())
    })
    .await;
    // A port that was just free.
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = |address: SocketAddr| format!("Get \"http://{address}/metrics\": ");
    let cases = [
        (not_found.address, "server returned HTTP status 404 Not Found".to_owned()),
        (html.address, "text/html".to_owned()),
        (broken.address, "line 2".to_owned()),
        (silent.address, format!("{}context deadline exceeded", url(silent.address))),
        (large.address, "body size limit exceeded".to_owned()),
        (bomb.address, "body size limit exceeded".to_owned()),
        (round.address, format!("{}stopped after 10 redirects", url(round.address))),
        (cut.address, "context deadline exceeded".to_owned()),
        (refused, format!("{}dial tcp {refused}: connect: connection refused", url(refused))),
    ];
    let bench = Bench::new();
    let jobs: String = cases
        .iter()
        .enumerate()
        .map(|(at, (address, _))| {
            format!("- job_name: j{at}\n  body_size_limit: 1KB\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs: [{{targets: ['{address}']}}]\n")
        })
        .collect();
    bench.apply(&jobs);
    for (at, (_, want)) in cases.iter().enumerate() {
        let job = format!("j{at}");
        let target = bench.until_scraped(&job).await;
        assert_eq!(target.health, Health::Down, "{want}");
        assert!(target.last_error.contains(want), "expected {want:?} in {:?}", target.last_error);
        assert_eq!(bench.values("up", &job)[0], 0.0);
    }
    bench.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_carry_no_credentials_elsewhere() {
    let other = Server::start(|_| metrics("a 1\n")).await;
    let location = format!("location: http://{}/there\r\n", other.address);
    let first = Server::start(move |_| answer("302 Found", &location, b"")).await;
    let bench = Bench::new();
    bench.apply(&format!(
        "- job_name: j\n  authorization: {{credentials: hidden}}\n  scrape_interval: 1s\n  static_configs: [{{targets: ['{}']}}]\n",
        first.address
    ));
    let target = bench.until_scraped("j").await;
    assert_eq!(target.last_error, "");
    assert!(first.heads()[0].to_ascii_lowercase().contains("authorization: bearer hidden"));
    assert!(other.heads()[0].starts_with("GET /there"));
    assert!(!other.heads()[0].to_ascii_lowercase().contains("authorization"));
    bench.apply(&format!(
        "- job_name: j\n  follow_redirects: false\n  static_configs: [{{targets: ['{}']}}]\n",
        first.address
    ));
    bench.until("no redirect", |bench| bench.target("j").unwrap().last_error.contains("302 Found")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_ends_what_is_gone_and_leaves_the_rest() {
    let server = Server::start(|_| metrics("a 1\n")).await;
    let bench = Bench::new();
    let job = |name: &str, extra: &str| {
        format!("- job_name: {name}\n{extra}  static_configs: [{{targets: ['{}']}}]\n", server.address)
    };
    bench.apply(&(job("stays", "") + &job("goes", "")));
    bench.until("samples", |b| !b.values("a", "goes").is_empty() && !b.values("a", "stays").is_empty()).await;
    let rules = "  metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: a}]\n";
    bench.apply(&job("stays", rules));
    let ended = |b: &Bench, name: &str, job: &str| b.values(name, job).last().is_some_and(|v| is_stale(*v));
    bench.until("markers of the job", |b| ended(b, "a", "goes") && ended(b, "up", "goes")).await;
    bench.until("a marker for what the rule drops", |b| ended(b, "a", "stays")).await;
    assert!(!ended(&bench, "up", "stays"));
    let snapshot = bench.manager.targets();
    assert_eq!(snapshot.pools, ["stays"]);
    bench.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_invalid_and_too_many_targets() {
    let server = Server::start(|_| metrics("a 1\n")).await;
    let bench = Bench::new();
    bench.apply(&format!(
        "- job_name: rules\n  static_configs: [{{targets: ['{0}', 'x:1', 'y:2', '{0}']}}]\n  relabel_configs:\n  - {{action: drop, source_labels: [__address__], regex: 'x:1'}}\n  - {{source_labels: [__address__], regex: 'y:2', target_label: __scheme__, replacement: ftp}}\n- job_name: many\n  target_limit: 1\n  static_configs: [{{targets: ['{0}', '{0}'], labels: {{n: a}}}}, {{targets: ['{0}'], labels: {{n: b}}}}]\n",
        server.address
    ));
    let snapshot = bench.manager.targets();
    assert_eq!(
        snapshot.active.iter().filter(|t| t.scrape_pool == "rules").count(),
        1,
        "the same target once"
    );
    assert_eq!(snapshot.dropped_counts["rules"], 2);
    let errors: Vec<Option<&str>> = snapshot.dropped.iter().map(|d| d.error.as_deref()).collect();
    assert_eq!(errors, [None, Some("invalid scheme: \"ftp\"")]);
    let target = bench.until_scraped("many").await;
    assert_eq!(target.last_error, "target_limit exceeded (number of targets: 2, limit: 1)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_target_holds_up_no_other() {
    let slow = Server::start(|_| None).await;
    let fast = Server::start(|_| metrics("a 1\n")).await;
    let bench = Bench::new();
    let many: Vec<String> =
        (0..50).map(|n| format!("{{targets: ['{}'], labels: {{n: '{n}'}}}}", slow.address)).collect();
    bench.apply(&format!(
        "- job_name: slow\n  scrape_interval: 1h\n  scrape_timeout: 1h\n  static_configs: [{}]\n- job_name: fast\n  static_configs: [{{targets: ['{}']}}]\n",
        many.join(", "),
        fast.address
    ));
    bench.until("five samples", |bench| bench.values("a", "fast").len() >= 5).await;
    bench.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_targets() {
    let server = Server::start(|_| metrics("a 1\n")).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("targets.json");
    std::fs::write(&file, format!(r#"[{{"targets": ["{}"], "labels": {{"zone": "z"}}}}]"#, server.address))
        .unwrap();
    let bench = Bench::new();
    bench.apply(&format!(
        "- job_name: j\n  file_sd_configs: [{{files: ['{}/*.json']}}]\n",
        dir.path().display()
    ));
    bench.until("a sample", |bench| !bench.values("a", "j").is_empty()).await;
    let target = bench.target("j").unwrap();
    assert_eq!(target.discovered_labels.get("__meta_filepath"), file.to_str());
    assert_eq!(target.labels.get("zone"), Some("z"));
    std::fs::write(&file, "[]").unwrap();
    bench.until("no target", |bench| bench.manager.targets().active.is_empty()).await;
    bench.until("a marker", |bench| bench.values("a", "j").last().is_some_and(|v| is_stale(*v))).await;
}

/// A store that is full while a flag is set.
struct Full {
    store: Arc<MemoryStore>,
    full: AtomicBool,
}

impl Append for Full {
    fn append(&self, batch: &Batch) -> Result<Appended, StoreError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(StoreError::new(StoreErrorKind::Full, "no space left"));
        }
        self.store.append(batch)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_is_told_and_heals() {
    let server = Server::start(|_| metrics("a 1\n")).await;
    let memory = Arc::new(MemoryStore::default());
    let full = Arc::new(Full { store: memory.clone(), full: AtomicBool::new(true) });
    let manager = ScrapeManager::new(full.clone(), ManagerOptions::default());
    let bench = Bench { store: memory, manager };
    bench.apply(&format!("- job_name: j\n  static_configs: [{{targets: ['{}']}}]\n", server.address));
    bench.until("the error", |b| b.target("j").unwrap().last_error == "store: no space left").await;
    full.full.store(false, Ordering::Relaxed);
    bench.until("samples", |b| !b.values("a", "j").is_empty()).await;
    assert!(bench.manager.stats().store_errors > 0);
}

//! `kymo serve` as a stranger runs it: no configuration, reloads, bad input, a damaged log, signals.

mod peers;

use std::fs;

use kymo_model::{Histogram, Labels, Span};
use kymo_remote::RequestEncoder;
use peers::*;
use serde_json::json;

#[test]
fn without_a_configuration_it_scrapes_itself() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = kymo(dir.path(), free_port(), &[]);
    let up = eventually("up", || vector(server.port, "up"), |up| up.len() == 1);
    assert_eq!((up[0].0["job"].as_str(), up[0].1), (Some("kymo"), 1.0));
    eventually(
        "own metrics",
        // Of the first scrape: a figure that grows by being scraped would take another interval.
        || vector(server.port, "prometheus_tsdb_head_series >= 0"),
        |found| found.len() == 1,
    );
    for path in ["buildinfo", "config", "flags", "runtimeinfo", "tsdb"] {
        assert!(data(server.port, &format!("/api/v1/status/{path}")).is_object(), "{path}");
    }
    assert_eq!(data(server.port, "/api/v1/status/flags")["query.lookback-delta"], "5m");
    let tsdb = data(server.port, "/api/v1/status/tsdb?limit=3");
    assert_eq!(tsdb["seriesCountByMetricName"].as_array().map(Vec::len), Some(3));
    assert_eq!(post(server.port, "/-/reload", &[], b"").expect("an answer").status, 403);
    assert_eq!(get(server.port, "/-/reload").expect("an answer").status, 405);
    assert_eq!(post(server.port, "/api/v1/write", &[], b"").expect("an answer").status, 404);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_port_alone_is_every_address() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (config, port) = (dir.path().join("prometheus.yml"), free_port());
    fs::write(&config, "scrape_configs: []\n").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kymo"));
    command
        .args(["serve", "--config.file"])
        .arg(config)
        .arg(format!("--web.listen-address=:{port}"))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
    let mut server = Program::start("kymo", port, dir.path(), &mut command);
    server.wait_for("/-/ready");
    assert_eq!(server.stop(), Some(0));
}

/// A command line of Prometheus, and what each part of it does.
#[test]
fn a_command_line_of_prometheus() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (file, port, second) = (dir.path().join("prometheus.yml"), free_port(), free_port());
    let target = |port: u16| format!("'localhost:{port}'");
    let config = format!(
        "global: {{external_labels: {{dc: x}}}}
scrape_configs:
- {{job_name: j, metrics_path: /out/metrics, scrape_interval: 1s, static_configs: [{{targets: [{}, {}]}}]}}
",
        target(port),
        target(1)
    );
    fs::write(&file, &config).unwrap();
    let flags = [
        &*format!("--config.file={}", file.display()),
        &format!("--web.listen-address=127.0.0.1:{second}"),
        "--web.external-url=https://prom.example/out/",
        "--web.enable-lifecycle",
        "--web.page-title=Mine",
        "--web.cors.origin=https?://a[.]com",
        "--web.console.templates=/etc/prometheus/consoles",
        "--web.read-timeout=30s",
        "--storage.tsdb.min-block-duration=3h",
        "--storage.tsdb.retention=3d",
        "--no-storage.tsdb.wal-compression",
        "--enable-feature=promql-experimental-functions,remote-write-receiver",
        "--enable-feature=auto-reload-config,nonsense",
        "--config.auto-reload-interval=200ms",
        "--log.format=json",
        "--log.level=debug",
    ];
    let mut server = kymo_unready(dir.path(), port, &flags);
    server.wait_for("/out/-/ready");
    // Both addresses, below the path of the external URL only.
    for port in [port, second] {
        assert_eq!(get(port, "/out/-/ready").expect("an answer").status, 200);
        assert_eq!(get(port, "/-/ready").expect("an answer").status, 404);
        assert_eq!(get(port, "/").expect("an answer").status, 302);
    }
    assert!(get(port, "/out/query").expect("an answer").text().contains("<h1>Mine</h1>"));
    let query = format!("/out/api/v1/query?query={}", encode("limitk(1, vector(1))"));
    assert_eq!(data(port, &query)["result"].as_array().map(Vec::len), Some(1));

    let shown = data(port, "/out/api/v1/status/flags");
    for (flag, value) in [
        ("storage.tsdb.min-block-duration", "3h"),
        ("storage.tsdb.max-block-duration", "7h12m"),
        ("storage.tsdb.wal-compression", "false"),
        ("web.enable-lifecycle", "true"),
        ("web.read-timeout", "30s"),
        ("log.format", "json"),
    ] {
        assert_eq!(shown[flag], value, "{flag}");
    }
    assert_eq!(data(port, "/out/api/v1/status/runtimeinfo")["storageRetention"], "3d");
    let features = data(port, "/out/api/v1/features");
    assert_eq!(
        (&features["api"]["remote_write_receiver"], &features["ui"]["ui_v3"]),
        (&true.into(), &false.into())
    );

    // The target that is this server is seen at the external URL, the other at its host.
    let targets = eventually(
        "targets",
        || data(port, "/out/api/v1/targets")["activeTargets"].clone(),
        |targets| targets.as_array().is_some_and(|all| all.iter().any(|one| one["health"] == "up")),
    );
    let mut urls: Vec<&str> =
        targets.as_array().into_iter().flatten().filter_map(|one| one["globalUrl"].as_str()).collect();
    urls.sort_unstable();
    assert_eq!(urls, ["http://prom.example:1/out/metrics", "https://prom.example/out/metrics"]);
    let federated = get(port, &format!("/out/federate?match[]={}", encode("up == up"))).expect("an answer");
    assert_eq!(federated.status, 400);
    let federated = get(port, &format!("/out/federate?match[]={}", encode("up"))).expect("an answer").text();
    assert!(federated.contains("job=\"j\",dc=\"x\""), "{federated}");

    // A changed file is read again; a bad one is told where operators look.
    let notifications = || data(port, "/out/api/v1/notifications").to_string();
    fs::write(&file, "nonsense: 1\n").unwrap();
    eventually("a notification", notifications, |text| text.contains("Configuration reload has failed."));
    fs::write(&file, config.replace("job_name: j", "job_name: k")).unwrap();
    eventually("no notification", notifications, |text| text == "[]");
    assert_eq!(data(port, "/out/api/v1/scrape_pools")["scrapePools"][0], "k");

    server.signal("TERM");
    assert_eq!(server.child.wait().expect("the process is ours").code(), Some(0));
    let log = server.log();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert!(log.starts_with("{\"time\":\""), "{log}");
    for part in [
        "--storage.tsdb.min-block-duration=3h is taken as 4h",
        "--storage.tsdb.wal-compression has no effect",
        "--web.console.templates has no effect",
        "--storage.tsdb.retention is deprecated",
        "Unknown option for --enable-feature: nonsense",
        "--enable-feature=remote-write-receiver is deprecated",
    ] {
        let warned = |line: &serde_json::Value| {
            line["level"] == "WARN" && line["msg"].as_str().is_some_and(|text| text.contains(part))
        };
        assert_eq!(lines.iter().filter(|line| warned(line)).count(), 1, "{part} in {log}");
    }
}

#[test]
fn flags_that_cannot_be_had_are_refused() {
    let check = |flags: &[&str], code: i32, part: &str| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut server = kymo_unready(dir.path(), free_port(), flags);
        assert_eq!(server.child.wait().expect("the process is ours").code(), Some(code), "{flags:?}");
        assert!(server.log().contains(part), "expected {part:?} in {}", server.log());
    };
    check(&["--web.config.file=web.yml"], 1, "TLS");
    check(&["--agent"], 1, "agent mode");
    check(&["--enable-feature=agent"], 1, "agent mode");
    check(&["--storage.agent.path=x"], 1, "agent mode");
    check(&["--web.enable-otlp-receiver"], 1, "OTLP");
    check(&["--web.external-url=nonsense"], 1, "external URL");
    check(
        &["--web.remote-write-receiver.accepted-protobuf-messages=io.prometheus.write.v2.Request"],
        1,
        "prometheus.WriteRequest",
    );
    check(&["--web.cors.origin=("], 2, "--web.cors.origin");
    check(&["--log.format=xml"], 2, "logfmt");
    check(&["--storage.tsdb.max-block-duration=x"], 2, "not a valid duration");
    check(&["--query.timeout=1m", "--query.timeout=2m"], 2, "multiple times");
    check(&["--nonsense"], 2, "--nonsense");
}

#[test]
fn reload_takes_a_good_configuration_and_refuses_a_bad_one() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("prometheus.yml");
    let config =
        |interval: &str| format!("global: {{evaluation_interval: {interval}}}\nscrape_configs: []\n");
    fs::write(&file, config("7s")).unwrap();
    let flag = format!("--config.file={}", file.display());
    let server = kymo(dir.path(), free_port(), &[&flag, "--web.enable-lifecycle"]);
    let shown = || data(server.port, "/api/v1/status/config")["yaml"].as_str().unwrap_or_default().to_owned();
    assert!(shown().contains("evaluation_interval: 7s"), "{}", shown());
    fs::write(&file, config("8s")).unwrap();
    assert_eq!(post(server.port, "/-/reload", &[], b"").expect("an answer").status, 200);
    assert!(shown().contains("evaluation_interval: 8s"), "{}", shown());

    fs::write(&file, "global:\n  evaluation_intervall: 9s\n").unwrap();
    let refused = post(server.port, "/-/reload", &[], b"").expect("an answer");
    assert_eq!(refused.status, 500);
    let text = refused.text();
    assert!(text.contains("prometheus.yml:2:3") && text.contains('^'), "expected place and caret in {text}");
    assert!(shown().contains("evaluation_interval: 8s"));
    assert_eq!(data(server.port, "/api/v1/status/runtimeinfo")["reloadConfigSuccess"], false);

    fs::write(&file, config("10s")).unwrap();
    server.signal("HUP");
    eventually("SIGHUP", shown, |yaml| yaml.contains("evaluation_interval: 10s"));
    assert_eq!(post(server.port, "/-/quit", &[], b"").expect("an answer").status, 200);
    let mut server = server;
    assert_eq!(server.child.wait().expect("the process is ours").code(), Some(0));
}

#[test]
fn bad_input_is_refused_and_nothing_else_suffers() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = kymo(dir.path(), free_port(), &["--web.enable-remote-write-receiver"]);
    let port = server.port;
    let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")];
    let write = |body: &[u8]| post(port, "/api/v1/write", &headers, body).expect("an answer");
    assert_eq!(write(b"not snappy").status, 400);
    // Declares 4 GiB: refused by its header, before anything is allocated.
    assert_eq!(write(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]).status, 400);
    let mut huge = RequestEncoder::new();
    let long = "x".repeat(400_000);
    huge.series(&Labels::from_pairs([("__name__", "long"), ("l", &long)]), &[(now_ms(), 1.0)]);
    let refused = push(port, &huge).expect("an answer");
    assert_eq!(refused.status, 400, "{}", refused.text());

    let mut good = RequestEncoder::new();
    let labels = Labels::from_pairs([("__name__", "fine")]);
    let now = now_ms();
    good.series(&labels, &[(now - 1000, 1.0), (now, 2.0)]);
    assert_eq!(push(port, &good).expect("an answer").status, 204);
    assert_eq!(push(port, &good).expect("an answer").status, 204, "the same again is no error");
    let mut other = RequestEncoder::new();
    other.series(&labels, &[(now, 3.0)]);
    let refused = push(port, &other).expect("an answer");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("duplicate sample"), "{}", refused.text());
    assert_eq!(vector(port, "fine").first().map(|found| found.1), Some(2.0));

    for (query, status) in [("sum(", 400), ("up[5m", 400), ("rate(up)", 400), (&*"(".repeat(100_000), 400)] {
        let path = format!("query={}", encode(query));
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = post(port, "/api/v1/query", &form, path.as_bytes()).expect("an answer");
        assert_eq!(answer.status, status, "{query:.40}: {}", answer.text());
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn native_histograms_from_remote_write_to_answers() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = kymo(dir.path(), free_port(), &["--web.enable-remote-write-receiver"]);
    let now = now_ms() / 1000 * 1000;
    let histogram = |count: u64| Histogram {
        schema: 0,
        zero_threshold: 0.5,
        zero_count: count,
        count: 4 * count,
        sum: 4.0 * count as f64,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        positive_buckets: vec![count as i64, count as i64],
        ..Histogram::default()
    };
    let mut request = RequestEncoder::new();
    let labels = Labels::from_pairs([("__name__", "h"), ("job", "a")]);
    request.histograms(&labels, &[(now - 60_000, histogram(1)), (now - 1000, histogram(2))]);
    let unsound = Histogram { count: 7, ..histogram(1) };
    assert_eq!(push(server.port, &request).expect("an answer").status, 204);
    let mut bad = RequestEncoder::new();
    bad.histograms(&labels, &[(now, unsound)]);
    assert_eq!(push(server.port, &bad).expect("an answer").status, 400);

    let path = |query: &str| format!("/api/v1/query?time={}&query={}", now / 1000, encode(query));
    let shown = data(server.port, &path("h"))["result"][0]["histogram"].clone();
    let expected = json!([now / 1000, {
        "count": "8", "sum": "8",
        "buckets": [[3, "-0.5", "0.5", "2"], [0, "1", "2", "2"], [0, "2", "4", "4"]],
    }]);
    assert_eq!(shown, expected);
    let range = data(server.port, &path("h[5m]"))["result"][0]["histograms"].clone();
    assert_eq!(range.as_array().map(Vec::len), Some(2), "{range}");
    assert_eq!(range[1][1], shown[1]);
    assert_eq!(data(server.port, &path("histogram_count(h)"))["result"][0]["value"][1], "8");
    let federated = get(server.port, "/federate?match[]=h").expect("an answer").text();
    for part in ["# TYPE h histogram", "h_count{job=\"a\",instance=\"\"} 8 ", "le=\"+Inf\"} 8 ", "h_sum{"] {
        assert!(federated.contains(part), "expected {part} in {federated}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_faulty_configuration_is_all_listed_with_carets() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("prometheus.yml");
    fs::write(&file, "global:\n  scrape_interval: 15x\nscrape_config: []\nrule_files: 7\n").unwrap();
    let mut server = kymo_unready(dir.path(), free_port(), &[&format!("--config.file={}", file.display())]);
    assert_eq!(server.child.wait().expect("the process is ours").code(), Some(1));
    let log = server.log();
    for place in ["prometheus.yml:2:", "prometheus.yml:3:", "prometheus.yml:4:"] {
        assert!(log.contains(place), "expected {place} in {log}");
    }
    assert!(log.contains('^'), "{log}");
}

#[test]
fn one_damaged_byte_in_the_log_costs_one_record() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let flags = ["--web.enable-remote-write-receiver"];
    let mut server = kymo(dir.path(), free_port(), &flags);
    let now = now_ms();
    const WRITES: i64 = 200;
    for index in 0..WRITES {
        let mut request = RequestEncoder::new();
        let name = format!("series_{index}");
        request.series(
            &Labels::from_pairs([("__name__", &*name), ("x", "y")]),
            &[(now - 60_000 + index, index as f64)],
        );
        assert_eq!(push(server.port, &request).expect("an answer").status, 204);
    }
    server.kill();
    let mut segments: Vec<_> = walk(&dir.path().join("data/head/wal"));
    segments.sort();
    let segment = segments.iter().max_by_key(|file| fs::metadata(file).map(|m| m.len()).unwrap_or(0));
    let segment = segment.expect("a segment of the log");
    let mut bytes = fs::read(segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(segment, bytes).unwrap();

    let server = kymo(dir.path(), free_port(), &flags);
    let found = vector(server.port, "count({x=\"y\"})");
    assert!(found[0].1 >= (WRITES - 1) as f64, "one byte cost {} records", WRITES as f64 - found[0].1);
    let log = server.log();
    let file = segment.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    assert!(log.contains(file) && log.contains("offset"), "expected file and offset in {log}");
    assert_eq!(server.stop(), Some(0));
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(dir).expect("the log's directory").map(|entry| entry.expect("entry").path()).collect()
}

/// Each bound has a flag, says what it expected and found, and is counted; steps are counted where that is switched on.
#[test]
fn bounds_of_queries() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let flags = [
        "--web.enable-remote-write-receiver",
        "--query.max-series=2",
        "--query.max-bytes=100KB",
        "--query.max-samples-read=7000",
        "--enable-feature=promql-per-step-stats",
    ];
    let server = kymo(dir.path(), free_port(), &flags);
    let now = now_ms();
    let mut request = RequestEncoder::new();
    for number in ["1", "2", "3"] {
        let labels = Labels::from_pairs([("__name__", "pushed"), ("number", number)]);
        let samples: Vec<(i64, f64)> = (0..5_000).map(|at| (now - 60_000 + at * 10, at as f64)).collect();
        request.series(&labels, &samples);
    }
    assert_eq!(push(server.port, &request).expect("an answer").status, 204);
    let refused = |query: &str| {
        let answer = get(server.port, &format!("/api/v1/query?query={}", encode(query))).expect("an answer");
        let json = answer.json();
        assert_eq!((answer.status, json["errorType"].as_str()), (422, Some("execution")), "{json}");
        json["error"].as_str().unwrap_or_default().to_owned()
    };
    let error = refused("count(pushed)");
    assert!(error.contains("expected at most 2") && error.contains("found 3"), "{error}");
    let error = refused("pushed{number!=\"3\"}[1h]");
    assert!(error.contains("expected at most 102400") && error.contains("__name__=\"pushed\""), "{error}");
    let error = refused("count(rate(pushed{number!=\"3\"}[1h]))");
    assert!(error.contains("10000 samples or more, expected at most 7000"), "{error}");
    let metrics = get(server.port, "/metrics").expect("an answer").text();
    for line in [
        "kymo_queries_refused_total{bound=\"series\"} 1",
        "kymo_queries_refused_total{bound=\"samples_read\"} 1",
        "kymo_queries_refused_total{bound=\"bytes\"} 1",
        "kymo_queries_refused_total{bound=\"samples\"} 0",
        "prometheus_engine_queries_concurrent_max 20",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
    assert_eq!(data(server.port, "/api/v1/status/flags")["query.max-bytes"], "100KiB");
    let second = now / 1000;
    let range = format!("start={}&end={second}&step=10", second - 20);
    let path =
        format!("/api/v1/query_range?query=pushed{{number=\"1\"}}&{range}&stats=all").replace('"', "%22");
    let samples = &data(server.port, &path.replace('{', "%7B").replace('}', "%7D"))["stats"]["samples"];
    let per_step = json!([[second - 20, 1], [second - 10, 1], [second, 1]]);
    assert_eq!(
        (&samples["totalQueryableSamplesPerStep"], &samples["totalQueryableSamples"]),
        (&per_step, &json!(3))
    );
    assert_eq!(server.stop(), Some(0));
}

//! Real exporters and client libraries, scraped over loopback by `kymo serve` with a normal prometheus.yml.

mod peers;

use std::process::Command;

use peers::*;

const APPS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apps");

#[test]
fn scrapes_node_exporter_pushgateway_flask_and_express() {
    let (Some(python), Some(express)) = (variable("KYMO_FLASK_PYTHON"), variable("KYMO_EXPRESS_DIR")) else {
        return;
    };
    if !installed("prometheus-node-exporter") || !installed("prometheus-pushgateway") || !installed("node") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path();

    let port = free_port();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let mut node = Program::start("node", port, dir, Command::new("prometheus-node-exporter").arg(&listen));
    let port = free_port();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let mut gateway =
        Program::start("gateway", port, dir, Command::new("prometheus-pushgateway").arg(&listen));
    let port = free_port();
    let mut flask = Command::new(python);
    let mut flask = Program::start(
        "flask",
        port,
        dir,
        flask.arg(format!("{APPS}/flask/app.py")).env("PORT", port.to_string()),
    );
    let port = free_port();
    let mut web = Command::new("node");
    web.arg("app.js").current_dir(express).env("PORT", port.to_string());
    let mut express = Program::start("express", port, dir, &mut web);
    for program in [&mut node, &mut gateway, &mut flask, &mut express] {
        program.wait_for("/metrics");
    }

    // Something happens in each of them.
    for (path, times) in [("/order?amount=10.25&took=0.3", 4), ("/order?status=failed", 1)] {
        for _ in 0..times {
            assert_eq!(post(flask.port, path, &[], b"").expect("flask answers").status, 200);
        }
    }
    for _ in 0..3 {
        assert_eq!(get(express.port, "/work").expect("express answers").status, 200);
    }
    let pushed = post(gateway.port, "/metrics/job/backup/instance/db1", &[], b"backup_bytes 4096\n");
    assert_eq!(pushed.expect("the gateway answers").status, 200);

    std::fs::write(dir.join("targets.json"), format!(r#"[{{"targets": ["127.0.0.1:{}"]}}]"#, express.port))
        .unwrap();
    let config = format!(
        r#"
global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
  external_labels: {{cluster: interop}}
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:{}"]}}]
  - job_name: pushgateway
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{}"]}}]
  - job_name: shop
    static_configs: [{{targets: ["127.0.0.1:{}"], labels: {{team: 결제}}}}]
    metric_relabel_configs:
      - {{source_labels: [__name__], regex: python_gc_.*, action: drop}}
  - job_name: web
    file_sd_configs: [{{files: ["{}"]}}]
  - job_name: gone
    static_configs: [{{targets: ["127.0.0.1:{}"]}}]
"#,
        node.port,
        gateway.port,
        flask.port,
        dir.join("targets.json").display(),
        free_port(),
    );
    std::fs::write(dir.join("prometheus.yml"), config).unwrap();
    let config_flag = format!("--config.file={}", dir.join("prometheus.yml").display());
    let server = kymo(dir, free_port(), &[&config_flag]);
    let port = server.port;

    for job in ["node", "pushgateway", "shop", "web"] {
        eventually(job, || vector(port, &format!("up{{job={job:?}}}")), |up| up.len() == 1 && up[0].1 == 1.0);
    }
    eventually("gone", || vector(port, "up{job=\"gone\"}"), |up| up.len() == 1 && up[0].1 == 0.0);

    // What the applications counted is what is stored.
    let value = |query: &str| vector(port, query).first().map(|(_, value)| *value);
    for (query, expected) in [
        ("orders_total{status=\"success\"}", 4.0),
        ("orders_total{status=\"failed\"}", 1.0),
        ("payment_amount_total", 41.0),
        ("avg(active_users)", 42.0),
        ("inventory_stock{product=\"키보드\", team=\"결제\"}", 49.0),
        ("api_response_time_seconds_count{endpoint=\"/order\"}", 5.0),
        ("http_requests_total{handler=\"/work\", status=\"200\"}", 3.0),
        ("backup_bytes{job=\"backup\", instance=\"db1\"}", 4096.0),
        ("count(node_cpu_seconds_total) > bool 0", 1.0),
        ("count({__name__=~\"python_gc_.*\"}) or vector(0)", 0.0),
        ("count(scrape_duration_seconds)", 5.0),
        ("scrape_samples_scraped{job=\"shop\"} > bool scrape_samples_post_metric_relabeling", 1.0),
    ] {
        assert_eq!(value(query), Some(expected), "{query}");
    }
    let node_says = get(node.port, "/metrics").expect("node answers").text();
    let lines = node_says.lines().filter(|line| !line.starts_with('#')).count() as f64;
    let scraped = value("scrape_samples_scraped{job=\"node\"}").unwrap_or_default();
    assert!((scraped - lines).abs() <= 8.0, "node exporter writes {lines} samples, {scraped} were scraped");

    // The API shows the targets as they are.
    let targets = data(port, "/api/v1/targets");
    let health = |job: &str| {
        let active = targets["activeTargets"].as_array().cloned().unwrap_or_default();
        active.iter().find(|t| t["scrapePool"] == job).map(|t| (t["health"].clone(), t["lastError"].clone()))
    };
    assert_eq!(health("node"), Some(("up".into(), "".into())));
    let (state, error) = health("gone").expect("the target is there");
    assert_eq!(state, "down");
    assert!(error.as_str().is_some_and(|text| text.contains("connection refused")), "{error}");
    let metadata = data(port, "/api/v1/metadata?metric=orders_total");
    let metadata = if metadata["orders_total"].is_null() {
        data(port, "/api/v1/metadata?metric=orders")
    } else {
        metadata
    };
    assert!(metadata.to_string().contains("처리된 주문 수"), "{metadata}");

    // Every expression of the seeds is answered.
    if let Some(corpora) = std::env::var_os("KYMO_CORPORA") {
        let seeds =
            std::fs::read_to_string(std::path::Path::new(&corpora).join("seeds/promql.txt")).expect("seeds");
        let expressions: Vec<&str> = seeds.lines().filter_map(|line| Some(line.split_once('|')?.1)).collect();
        assert_eq!(expressions.len(), 46);
        for expression in expressions {
            data(port, &format!("/api/v1/query?query={}", encode(expression)));
        }
    } else {
        println!("skipped: KYMO_CORPORA is not set, the seeds are not asked");
    }

    // A target that stops: down at once, its series end with markers instead of lingering for five minutes.
    assert!(!vector(port, "http_requests_total{job=\"web\"}").is_empty());
    express.kill();
    eventually("web is down", || vector(port, "up{job=\"web\"}"), |up| up.len() == 1 && up[0].1 == 0.0);
    eventually("series of web end", || vector(port, "http_requests_total{job=\"web\"}"), Vec::is_empty);
    // A target that is removed: its series end too, `up` included.
    std::fs::write(dir.join("targets.json"), "[]").unwrap();
    eventually("web is gone", || vector(port, "up{job=\"web\"}"), Vec::is_empty);
    assert_eq!(server.stop(), Some(0));
}

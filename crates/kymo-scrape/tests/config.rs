//! prometheus.yml: what is read, what is refused and where, what is shown.

use kymo_scrape::config::{Config, ScrapeProtocol};

fn parse(text: &str) -> Config {
    parse_with(text).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

fn parse_with(text: &str) -> Result<Config, kymo_scrape::config::ConfigError> {
    Config::parse_with(text, "dir/p.yml", &|name| (name == "ZONE").then(|| "eu".to_owned()))
}

/// Every fault, as `line:column path: message` begins.
#[track_caller]
fn check_faults(text: &str, want: &[&str]) {
    let error = parse_with(text).expect_err(text);
    let got: Vec<String> =
        error.faults().iter().map(|f| format!("{}:{} {}: {}", f.line, f.column, f.path, f.message)).collect();
    assert_eq!(got.len(), want.len(), "{text}\n{got:#?}");
    for (got, want) in got.iter().zip(want) {
        assert!(got.starts_with(want), "{text}\nexpected {want}\nfound    {got}");
    }
}

#[test]
fn the_usual_file() {
    let config = parse(
        "global:
  scrape_interval: 15s
  evaluation_interval: 30s
  external_labels: {zone: '${ZONE}', cost: '5$$'}
rule_files: ['rules/*.yml', /abs.yml]
scrape_configs:
- job_name: prometheus
  static_configs:
  - targets: ['localhost:9090']
- job_name: node
  scrape_interval: 5s
  honor_labels: yes
  params: {b: [x], a: [y, z]}
  sample_limit: 1e3
  body_size_limit: 10MB
  basic_auth: {username: u, password_file: pw}
  tls_config: {ca_file: ca.pem, insecure_skip_verify: true}
  file_sd_configs: [{files: [t/*.json], refresh_interval: 1m}]
  relabel_configs: [{source_labels: [__address__], target_label: host}]
",
    );
    assert_eq!(config.global.external_labels.to_string(), r#"{cost="5$", zone="eu"}"#);
    assert_eq!(config.global.evaluation_interval_ms, 30_000);
    let rules: Vec<String> = config.rule_files.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(rules, ["dir/rules/*.yml", "/abs.yml"]);
    let jobs: Vec<_> = config.jobs().collect();
    assert_eq!((jobs[0].scrape_interval_ms, jobs[0].scrape_timeout_ms), (15_000, 10_000));
    assert_eq!((jobs[1].scrape_interval_ms, jobs[1].scrape_timeout_ms), (5_000, 5_000));
    assert!(jobs[1].honor_labels && jobs[1].honor_timestamps && !jobs[0].honor_labels);
    assert_eq!(jobs[1].params[0], ("a".to_owned(), vec!["y".to_owned(), "z".to_owned()]));
    assert_eq!((jobs[1].limits.samples, jobs[1].limits.body_bytes), (1000, 10 << 20));
    assert_eq!(jobs[1].scrape_protocols, ScrapeProtocol::DEFAULT);
    let auth = jobs[1].http.basic_auth.as_ref().unwrap();
    assert_eq!(auth.password_file.as_deref().unwrap().to_str(), Some("dir/pw"));
    assert_eq!(jobs[1].discovery.file_sd_configs[0].files[0].to_str(), Some("dir/t/*.json"));
    assert!(config.warnings().is_empty());
    for empty in ["", "# nothing\n", "global:\n", "{}", "scrape_configs:\n", "---\nglobal: {}\n"] {
        assert_eq!(parse(empty).global.scrape_interval_ms, 60_000, "{empty}");
    }
}

#[test]
fn every_fault_is_listed_at_its_place() {
    check_faults(
        "global:
  scrape_interval: 15x
  scrape_timeot: 5s
scrape_configs:
- job_name: a
  scrape_timeout: 2h
  sample_limit: -1
- job_name: a
  honor_labels: maybe
  static_configs:
  - targets: ['http://x/y', ok]
    label: {}
- scheme: gopher
  relabel_configs:
  - {action: rename}
  - {regex: '(', target_label: x}
  - {action: hashmod, target_label: y}
",
        &[
            "2:20 global.scrape_interval: not a valid duration string: \"15x\"",
            "3:3 global.scrape_timeot: unknown key `scrape_timeot`, did you mean `scrape_timeout`?",
            "6:19 scrape_configs[0].scrape_timeout: scrape timeout greater than scrape interval for scrape config with job name \"a\"",
            "7:17 scrape_configs[0].sample_limit: expected a whole number of at least 0, found \"-1\"",
            "8:13 scrape_configs[1].job_name: found multiple scrape configs with job name \"a\"",
            "9:17 scrape_configs[1].honor_labels: expected true or false, found \"maybe\"",
            "11:15 scrape_configs[1].static_configs[0].targets[0]: \"http://x/y\" is not a valid hostname",
            "12:5 scrape_configs[1].static_configs[0].label: unknown key `label`",
            "13:3 scrape_configs[2]: job_name is empty",
            "13:11 scrape_configs[2].scheme: expected http or https, found \"gopher\"",
            "15:14 scrape_configs[2].relabel_configs[0].action: unknown relabel action \"rename\"",
            "16:13 scrape_configs[2].relabel_configs[1].regex: ",
            "17:5 scrape_configs[2].relabel_configs[2]: relabel configuration for hashmod requires non-zero modulus",
        ],
    );
}

#[test]
fn shapes_and_syntax() {
    for (text, want) in [
        ("global: [a]", "1:9 global: expected a mapping, found a list"),
        ("scrape_configs: {a: b}", "1:17 scrape_configs: expected a list, found a mapping"),
        ("scrape_configs: [3]", "1:18 scrape_configs[0]: expected a mapping, found \"3\""),
        ("scrape_configs: [~]", "1:18 scrape_configs[0]: empty or null scrape config section"),
        ("global: {a: [}", "1:"),
        ("global: *x", "1:"),
        ("global: {}\nglobal: {}", "2:1 : key \"global\" is already set in this mapping"),
        ("rule_files: ['a/*/b.yml']", "1:14 rule_files[0]: invalid file path"),
        ("- a", "1:1 : expected a mapping, found a list"),
    ] {
        check_faults(text, &[want]);
    }
    let deep = "[".repeat(5000);
    assert!(parse_with(&deep).is_err());
    let wide = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n";
    let error = parse_with(wide).unwrap_err();
    assert!(error.faults()[0].message.contains("more than 4000000 values"), "{error}");
    let many = "scrape_configs: [".to_owned() + &"{a: 1},".repeat(500) + "]";
    let error = parse_with(&many).unwrap_err();
    assert_eq!((error.faults().len(), error.omitted()), (200, 800));
}

#[test]
fn what_would_be_wrong_to_leave_out_is_refused() {
    let job = |key: &str| format!("scrape_configs:\n- job_name: a\n  {key}\n");
    for (text, want) in [
        (
            job("kubernetes_sd_configs: [{role: pod}]"),
            "3:3 scrape_configs[0].kubernetes_sd_configs: kubernetes_sd_configs is not supported",
        ),
        (job("oauth2: {client_id: x}"), "3:3 scrape_configs[0].oauth2: oauth2: OAuth 2.0 is not supported"),
        (
            job("scrape_protocols: [PrometheusProto]"),
            "3:21 scrape_configs[0].scrape_protocols: PrometheusProto alone is not supported",
        ),
        (
            job("scrape_protocols: [Text]"),
            "3:22 scrape_configs[0].scrape_protocols[0]: unknown scrape protocol Text",
        ),
        (
            job("authorization: {type: Basic, credentials: x}"),
            "3:25 scrape_configs[0].authorization.type: authorization type cannot be set to \"basic\"",
        ),
        (
            job("http_headers: {Host: {values: [x]}}"),
            "3:18 scrape_configs[0].http_headers.Host: setting header \"Host\" is not allowed",
        ),
        (
            job("no_proxy: x"),
            "3:13 scrape_configs[0].no_proxy: if no_proxy is configured, proxy_url must also be configured",
        ),
        (
            job("file_sd_configs: [{files: [a.txt]}]"),
            "3:30 scrape_configs[0].file_sd_configs[0].files[0]: path name \"a.txt\" is not valid",
        ),
        (
            "remote_write: [{url: 'http://a/', sigv4: {}}]".to_owned(),
            "1:35 remote_write[0].sigv4: sigv4: signing requests is not supported",
        ),
        ("remote_write: [{}]".to_owned(), "1:16 remote_write[0]: url for remote_write is empty"),
    ] {
        check_faults(&text, &[want]);
    }
    check_faults(
        &job("bearer_token: x\n  basic_auth: {username: y}"),
        &["4:15 scrape_configs[0].basic_auth: at most one of basic_auth"],
    );
}

#[test]
fn what_is_only_recognised_is_told() {
    let config = parse(
        "alerting:
  alertmanagers:
  - static_configs: [{targets: ['a:9093']}]
remote_write:
- url: http://user:hunter2@host/api
  authorization: {credentials: hunter2}
storage: {tsdb: {out_of_order_time_window: 30m, retention: {time: 15d, size: 10GB}}}
scrape_configs:
- job_name: a
  scrape_native_histograms: true
",
    );
    let told: Vec<String> = config.warnings().iter().map(|f| format!("{} {}", f.line, f.message)).collect();
    assert_eq!(
        told,
        [
            "1 alerting: alerts are not sent yet",
            "4 remote_write: samples are not sent to remote stores yet",
            "10 scrape_native_histograms: native histograms are not scraped, classic ones are kept as they are",
        ]
    );
    assert_eq!(config.storage.out_of_order_time_window_ms, Some(1_800_000));
    assert_eq!(config.storage.retention_bytes, Some(10 << 30));
    let shown = config.to_yaml();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("http://user:<secret>@host/api"), "{shown}");
    assert!(!format!("{:?}", config.alerting).contains("hunter2"));
}

#[test]
fn how_many_exemplars() {
    for (storage, max) in [
        ("{}", None),
        ("{exemplars: {max_exemplars: 1e5}}", Some(100_000)),
        ("{exemplars: {max_exemplars: -1}}", Some(0)),
        ("{exemplars: {max_exemplars: 0}}", Some(0)),
        // As in Prometheus, whose default is for files without the block.
        ("{exemplars: {}}", Some(0)),
    ] {
        let config = parse(&format!("storage: {storage}\nscrape_configs: []\n"));
        assert_eq!((config.storage.max_exemplars, config.warnings().len()), (max, 0), "{storage}");
    }
    for bad in ["x", "1.5", "-x"] {
        let error = parse_with(&format!("storage: {{exemplars: {{max_exemplars: {bad}}}}}\n")).unwrap_err();
        assert!(error.to_string().contains("expected a whole number"), "{error}");
    }
}

#[test]
fn a_caret_points_at_the_fault() {
    let error = parse_with("global:\n  scrape_interval: 15x # slow\n").unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].starts_with("dir/p.yml:2:20: global.scrape_interval: not a valid duration string"));
    assert_eq!(lines[1], " 2 |   scrape_interval: 15x # slow");
    assert_eq!(lines[2], "   |                    ^^^");
}

#[test]
fn shown_as_prometheus_shows_it_and_read_again() {
    let text = "scrape_configs:
- job_name: a
  basic_auth: {username: u, password: hunter2}
  static_configs: [{targets: ['localhost:9090'], labels: {zone: '1'}}]
  relabel_configs: [{source_labels: [a, b], regex: 'x(.*)', target_label: t}]
";
    let shown = parse(text).to_yaml();
    assert_eq!(
        shown,
        "global:
  scrape_interval: 1m
  scrape_timeout: 10s
  evaluation_interval: 1m
  metric_name_validation_scheme: utf8
scrape_configs:
- job_name: a
  honor_timestamps: true
  track_timestamps_staleness: false
  scrape_interval: 1m
  scrape_timeout: 10s
  scrape_protocols:
  - OpenMetricsText1.0.0
  - OpenMetricsText0.0.1
  - PrometheusText1.0.0
  - PrometheusText0.0.4
  scrape_native_histograms: false
  always_scrape_classic_histograms: false
  convert_classic_histograms_to_nhcb: false
  metrics_path: /metrics
  scheme: http
  enable_compression: true
  metric_name_validation_scheme: utf8
  metric_name_escaping_scheme: allow-utf-8
  extra_scrape_metrics: false
  basic_auth:
    username: u
    password: <secret>
  follow_redirects: true
  enable_http2: true
  relabel_configs:
  - source_labels: [a, b]
    separator: ;
    regex: x(.*)
    target_label: t
    replacement: $1
    action: replace
  static_configs:
  - targets:
    - localhost:9090
    labels:
      zone: \"1\"
"
    );
    assert_eq!(parse(&shown).to_yaml(), shown);
}

#[test]
fn aliases_and_merges() {
    let config = parse(
        "scrape_configs:\n- &base {job_name: a, honor_labels: true, metrics_path: /x}\n- {<<: *base, job_name: b, metrics_path: /y}\n",
    );
    let jobs: Vec<_> =
        config.jobs().map(|job| (job.job_name.clone(), job.honor_labels, job.metrics_path.clone())).collect();
    assert_eq!(jobs[1], ("b".to_owned(), true, "/y".to_owned()));
}

#[test]
fn files_with_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("p.yml");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "p.yml",
        "scrape_config_files: ['jobs_*.yml']\nrule_files: [none.yml]\nscrape_configs: [{job_name: a}]\n",
    );
    write("jobs_1.yml", "scrape_configs: [{job_name: b, bearer_token_file: token}]\n");
    let config = Config::load(&main).unwrap();
    let names: Vec<&str> = config.jobs().map(|job| job.job_name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let token = config.included_scrape_configs[0].http.authorization.clone().unwrap().credentials_file;
    assert_eq!(token.unwrap(), dir.path().join("token"));
    assert!(config.warnings()[0].message.starts_with("rule_files: no file matches"));

    write("jobs_2.yml", "scrape_configs: [{job_name: b}, {job_name: a}]\nglobal: {}\n");
    let error = Config::load(&main).unwrap_err();
    let heads: Vec<String> =
        error.faults().iter().map(|f| format!("{}:{} {}", f.line, f.column, f.message)).collect();
    assert!(
        heads[0].starts_with("1:29 found multiple scrape configs with job name \"b\", first found in "),
        "{heads:?}"
    );
    assert_eq!(
        heads[1],
        "1:44 found multiple scrape configs with job name \"a\", first found in main config file"
    );
    assert_eq!(heads[2], "2:1 unknown key `global`");
    assert!(Config::load(&dir.path().join("missing.yml")).is_err());
}

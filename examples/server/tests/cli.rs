//! The commands of the binary besides `serve`: what they print where, and their exit codes. Small files of its own; with
//! KYMO_CORPORA set, the corpora too. Long because all commands stand in one test binary: each of these is linked whole.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kymo_model::{Append, Batch, Labels, Timestamp};
use serde_json::Value;

/// What a run of the binary gave.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    fn last_line(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

fn kymo(dir: &Path, args: &[&str], input: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kymo"))
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input has closed the pipe already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A directory with files, and one run after the other in it.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new(files: &[(&str, &str)]) -> Dir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Dir(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs; expects an exit code and parts of what is printed.
    fn check(&self, args: &[&str], code: i32, out: &[&str], err: &[&str]) -> Run {
        self.check_with(args, "", code, out, err)
    }

    fn check_with(&self, args: &[&str], input: &str, code: i32, out: &[&str], err: &[&str]) -> Run {
        let run = kymo(self.0.path(), args, input);
        let shown = format!("kymo {}\n{}\n{}", args.join(" "), run.out, run.err);
        assert_eq!(run.code, code, "{shown}");
        for part in out {
            assert!(run.out.contains(part), "stdout has {part:?}\n{shown}");
        }
        for part in err {
            assert!(run.err.contains(part), "stderr has {part:?}\n{shown}");
        }
        run
    }
}

fn corpora() -> Option<PathBuf> {
    let found = std::env::var_os("KYMO_CORPORA").map(PathBuf::from);
    if found.is_none() {
        println!("skipped: KYMO_CORPORA is not set");
    }
    found
}

#[test]
fn usage() {
    let dir = Dir::new(&[]);
    dir.check(&["--help"], 0, &["serve", "query", "check", "test", "tsdb"], &[]);
    dir.check(&["--version"], 0, &["kymo "], &[]);
    for wrong in [
        &["check"][..],
        &["nothing"],
        &["check", "promql"],
        &["check", "metrics", "--format", "xml", "-"],
        &["query", "instant", "localhost:9090", "up"],
        &["query", "instant", "https://localhost", "up"],
        &["query", "instant", "--time", "noon", "http://localhost", "up"],
        &["query", "range", "--step", "0", "http://localhost", "up"],
    ] {
        dir.check(wrong, 2, &[], &["--help"]);
    }
}

#[test]
fn check_promql() {
    let dir = Dir::new(&[]);
    let run = dir.check(&["check", "promql", "up", "-up", "sum(rate(up[5m]))"], 0, &[], &[]);
    assert_eq!((run.last_line(), run.err.as_str()), ("3 valid, 0 invalid", ""));

    let run = dir.check(
        &["check", "promql", "sum(", "up", "rate(up)"],
        1,
        &[],
        &[
            "expression 1: 1:5: parse error: unclosed left parenthesis",
            "1 | sum(",
            "expression 3: 1:6: parse error",
        ],
    );
    assert_eq!(run.last_line(), "1 valid, 2 invalid");

    let run = dir.check_with(
        &["check", "promql", "-"],
        "up\r\n\n  \nup{\nvector(1)",
        1,
        &[],
        &["line 4: 1:4: parse error"],
    );
    assert_eq!(run.last_line(), "2 valid, 1 invalid");
    let run = dir.check_with(&["check", "promql", "-"], "", 0, &[], &[]);
    assert_eq!(run.last_line(), "0 valid, 0 invalid");

    dir.check(&["check", "promql", "limitk(2, up)"], 1, &["0 valid, 1 invalid"], &["limitk"]);
    dir.check(
        &["check", "promql", "--enable-feature=promql-experimental-functions", "limitk(2, up)"],
        0,
        &[],
        &[],
    );

    let found = dir.check(&["check", "promql", "--json", "1", "sum("], 1, &[], &[]).json();
    assert_eq!((&found["valid"], &found["invalid"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(found["expressions"][0]["type"], "scalar");
    assert_eq!(found["expressions"][1]["column"], 5);
}

const RULES: &str = "groups:
- name: a
  rules:
  - record: job:up:sum
    expr: sum by (job) (up)
  - alert: Down
    expr: up == 0
    for: 1m
    labels: {severity: page}
    annotations: {summary: '{{ $labels.job }} is down'}
";
const BAD_RULES: &str = "groups:
- name: a
  rules:
  - record: x
    expr: sum(
  - alert: y
    exprs: 1
";
const TWICE: &str = "groups: [{name: a, rules: [{record: x, expr: 1}, {record: x, expr: 2}]}]";
const MANIFESTS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: one}
spec: {groups: [{name: a, rules: [{record: x, expr: 1}]}]}
---
apiVersion: v1
kind: List
items:
- apiVersion: monitoring.coreos.com/v1
  kind: PrometheusRule
  metadata: {name: two}
  spec: {groups: [{name: a, rules: [{record: y, expr: 1}, {record: z, expr: 1}]}]}
";

#[test]
fn check_rules() {
    let dir =
        Dir::new(&[("a.yml", RULES), ("bad.yml", BAD_RULES), ("twice.yml", TWICE), ("m.yml", MANIFESTS)]);
    dir.check(&["check", "rules", "a.yml"], 0, &["Checking a.yml\n  SUCCESS: 2 rules found\n"], &[]);
    dir.check_with(&["check", "rules"], RULES, 0, &["SUCCESS: 2 rules found"], &[]);
    dir.check(&["check", "rules", "m.yml"], 0, &["SUCCESS: 3 rules found"], &["ConfigMap/other"]);
    // All faults of all files, and the good one all the same.
    dir.check(
        &["check", "rules", "bad.yml", "none.yml", "a.yml"],
        1,
        &["SUCCESS: 2 rules found"],
        &["FAILED", "bad.yml:5:", "expr: sum(", "^", "bad.yml:7:5: ", "none.yml: cannot be read"],
    );
    dir.check(&["check", "rules", "--ignore-unknown-fields", "bad.yml"], 1, &[], &["'expr' must be set"]);
    dir.check(&["check", "rules", "twice.yml"], 0, &[], &["1 duplicate rule(s) found", "Metric: x"]);
    dir.check(&["check", "rules", "--lint-fatal", "twice.yml"], 3, &[], &["1 duplicate rule(s) found"]);
    dir.check(&["check", "rules", "--lint=none", "--lint-fatal", "twice.yml"], 0, &["2 rules found"], &[]);

    let found = dir.check(&["check", "rules", "--json", "a.yml", "bad.yml"], 1, &[], &[]).json();
    assert_eq!((&found["valid"], &found["invalid"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(found["files"][0]["rules"], 2);
    assert!(found["files"][1]["faults"].as_array().unwrap().len() >= 2, "{found}");
    assert_eq!(found["files"][1]["faults"][0]["line"], 5);
}

/// What Prometheus hides behind flags is hidden in rules too, wherever they are read.
#[test]
fn rules_in_experimental_language() {
    let rules = "groups: [{name: g, rules: [{record: r, expr: 'limitk(1, up)'}]}]";
    let tests = "rule_files: [r.yml]
tests:
- input_series: [{series: up, values: '1x5'}]
  promql_expr_test: [{expr: 'limitk(1, r)', eval_time: 2m, exp_samples: [{labels: r, value: 1}]}]
";
    let dir = Dir::new(&[("r.yml", rules), ("p.yml", "rule_files: [r.yml]"), ("r.test.yml", tests)]);
    for (command, file) in
        [(["check", "rules"], "r.yml"), (["check", "config"], "p.yml"), (["test", "rules"], "r.test.yml")]
    {
        dir.check(&[command[0], command[1], file], 1, &[], &["limitk"]);
        let flag = "--enable-feature=promql-experimental-functions";
        dir.check(&[command[0], command[1], flag, file], 0, &["SUCCESS"], &[]);
    }
}

#[test]
fn check_config() {
    let config = "global: {scrape_interval: 15s}
rule_files: [a.yml]
scrape_configs:
- job_name: node
  static_configs: [{targets: ['127.0.0.1:9100']}]
  file_sd_configs: [{files: [sd.json, gone.yml]}]
";
    let dir = Dir::new(&[
        ("p.yml", config),
        ("a.yml", RULES),
        ("sd.json", "[{\"targets\": [\"a:1\", \"b:2\"]}]"),
        ("bad.yml", "global: {scrape_interval: 15x}\nrulefiles: []\n"),
        ("rules.yml", "rule_files: [bad-rules.yml, none.yml]\n"),
        ("bad-rules.yml", BAD_RULES),
        ("sd.yml", "scrape_configs: [{job_name: a, file_sd_configs: [{files: [wrong.yml]}]}]"),
        ("wrong.yml", "- targets: [a]\n- tragets: [b]\n"),
        ("secret.yml", "scrape_configs: [{job_name: a, bearer_token_file: nothing}]"),
    ]);
    dir.check(
        &["check", "config", "p.yml"],
        0,
        &[
            "Checking p.yml\n  SUCCESS: 1 rule files found\n SUCCESS: p.yml is valid prometheus config file syntax\n",
            "a.yml\n  SUCCESS: 2 rules found\n",
            "sd.json\n  SUCCESS: 2 targets found\n",
        ],
        &["WARNING: file \"gone.yml\" for file_sd in scrape job \"node\" does not exist"],
    );
    let faults = &["bad.yml:1:27: ", "15x", "^", "bad.yml:2:1: ", "did you mean `rule_files`?"];
    dir.check(&["check", "config", "bad.yml", "p.yml"], 1, &["p.yml is valid"], faults);
    dir.check(
        &["check", "config", "rules.yml"],
        1,
        &[],
        &["\"none.yml\" does not point to an existing file", "bad-rules.yml:5:"],
    );
    dir.check(&["check", "config", "--syntax-only", "rules.yml"], 0, &["rules.yml is valid"], &[]);
    dir.check(&["check", "config", "sd.yml"], 1, &[], &["wrong.yml:2:3: ", "tragets"]);
    dir.check(&["check", "config", "secret.yml"], 1, &[], &["\"nothing\""]);
    dir.check(&["check", "config", "none.yml"], 1, &[], &["none.yml"]);

    let found = dir.check(&["check", "config", "--json", "p.yml", "bad.yml"], 1, &[], &[]).json();
    assert_eq!((&found["valid"], &found["invalid"]), (&Value::from(3), &Value::from(1)));
    let kinds: Vec<&str> =
        found["files"].as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["config", "targets", "rules", "config"]);
}

#[test]
fn check_metrics() {
    let dir = Dir::new(&[("a.txt", "# TYPE up gauge\nup{job=\"a\"} 1\nup{job=\"b\"} 0\n")]);
    let text = &["check", "metrics", "--format", "text"][..];
    let open = &["check", "metrics", "--format", "openmetrics"][..];
    let with = |args: &[&'static str], more: &[&'static str]| [args, more].concat();
    dir.check(&with(text, &["a.txt"]), 0, &["Checking a.txt\n  SUCCESS: 2 samples found\n"], &[]);
    dir.check(&with(text, &["--strict", "a.txt"]), 0, &["SUCCESS: 2 samples found"], &[]);
    dir.check(&with(text, &["none.txt"]), 1, &[], &["none.txt: cannot be read"]);
    // Every fault, each at its place; lines without fault count.
    dir.check_with(
        &with(text, &["-"]),
        "a 1\nb x\nc{d=1} 1\ne 2\n",
        1,
        &["Checking standard input"],
        &["standard input:2:3: expected a number, found `x`\n  |\n2 | b x\n  |   ^", "standard input:3:5: "],
    );
    // A scrape lets it pass, the specification does not.
    dir.check_with(&with(text, &["-"]), "a 1\na 2\n", 0, &["2 samples"], &[]);
    dir.check_with(
        &with(text, &["--strict", "-"]),
        "a 1\na 2\n",
        1,
        &[],
        &["standard input:2:1: expected each series once"],
    );
    let negative = "# TYPE a counter\na_total -1\n# EOF\n";
    dir.check_with(&with(open, &["-"]), negative, 0, &["1 samples"], &[]);
    dir.check_with(
        &with(open, &["--strict", "-"]),
        negative,
        1,
        &[],
        &["standard input:2:1: counter-like value"],
    );
    dir.check_with(&with(open, &["--strict", "-"]), "# EOF\n", 0, &["0 samples"], &[]);
    dir.check_with(&with(open, &["-"]), "a 1\n", 1, &[], &["`# EOF`"]);

    // As promtool is called, names are linted too.
    let linted = dir.check(&["check", "metrics", "a.txt"], 3, &[], &["up no help text"]);
    assert!(!linted.out.contains("SUCCESS"), "{}", linted.out);
    dir.check_with(&["check", "metrics"], "# HELP up b\n# TYPE up gauge\nup 1\n", 0, &["1 samples"], &[]);
    dir.check(&["check", "metrics", "--lint=none", "a.txt"], 0, &["2 samples"], &[]);

    let found = dir.check_with(&with(text, &["--json", "-"]), "a 1\nb x\n", 1, &[], &[]).json();
    assert_eq!(found["files"][0]["faults"][0]["line"], 2);
    assert_eq!(found["files"][0]["samples"], 1);
}

#[test]
fn test_rules() {
    let good = "rule_files: [a.yml]
tests:
- interval: 1m
  input_series: [{series: 'up{job=\"x\"}', values: '0x5'}]
  alert_rule_test:
  - eval_time: 2m
    alertname: Down
    exp_alerts: [{exp_labels: {job: x, severity: page}, exp_annotations: {summary: x is down}}]
  promql_expr_test:
  - {expr: 'job:up:sum', eval_time: 2m, exp_samples: [{labels: 'job:up:sum{job=\"x\"}', value: 0}]}
";
    let failing = good.replace("severity: page", "severity: ticket");
    let dir = Dir::new(&[
        ("a.yml", RULES),
        ("a.test.yml", good),
        ("fails.test.yml", &failing),
        ("bad.test.yml", "rule_files: [bad.yml]\ntests: []\n"),
        ("bad.yml", BAD_RULES),
    ]);
    dir.check(&["test", "rules", "a.test.yml"], 0, &["Unit Testing:  a.test.yml\n  SUCCESS\n"], &[]);
    dir.check(
        &["test", "rules", "fails.test.yml", "a.test.yml"],
        1,
        &["Unit Testing:  fails.test.yml", "Unit Testing:  a.test.yml\n  SUCCESS\n"],
        &["  FAILED:\n    alertname: Down, time: 2m, ", "severity=\"ticket\"", "severity=\"page\""],
    );
    dir.check(&["test", "rules", "bad.test.yml"], 1, &[], &["FAILED", "bad.yml:5:"]);
    dir.check(&["test", "rules", "none.test.yml"], 1, &[], &["FAILED", "none.test.yml: cannot be read"]);
    let found = dir.check(&["test", "rules", "--json", "a.test.yml", "fails.test.yml"], 1, &[], &[]).json();
    assert_eq!((&found["passed"], &found["failed"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(found["files"][1]["groups"][0]["failures"][0]["subject"], "Down");
}

#[test]
fn test_promql() {
    let good = "load 5m\n  up{job=\"a\"} 1 0 1\n\neval instant at 10m up\n  up{job=\"a\"} 1\n\neval instant at 5m sum(up)\n  {} 0\n";
    let dir = Dir::new(&[("a.test", good), ("notes.txt", "not a script")]);
    std::fs::create_dir(dir.path("deep")).unwrap();
    std::fs::create_dir(dir.path("empty")).unwrap();
    std::fs::write(dir.path("deep/b.test"), "eval instant at 1m 1\n  2\n").unwrap();
    let run = dir.check(&["test", "promql", "a.test"], 0, &[], &[]);
    assert_eq!(run.last_line(), "2 passed, 0 failed");
    let run = dir.check(&["test", "promql", "."], 1, &[], &["deep/b.test:1: "]);
    assert_eq!(run.last_line(), "2 passed, 1 failed");
    dir.check(&["test", "promql", "none.test"], 1, &["0 passed, 1 failed"], &["none.test: cannot be read"]);
    dir.check(&["test", "promql", "empty"], 1, &["0 passed, 1 failed"], &["found none"]);
    let found = dir.check(&["test", "promql", "--json", "."], 1, &[], &[]).json();
    assert_eq!((&found["passed"], &found["failed"]), (&Value::from(2), &Value::from(1)));
}

#[test]
fn tsdb_stats() {
    let dir = Dir::new(&[("file", "")]);
    std::fs::create_dir(dir.path("other")).unwrap();
    dir.check(&["tsdb", "stats", "none"], 1, &[], &["none: expected a data directory, found nothing"]);
    dir.check(&["tsdb", "stats", "file"], 1, &[], &["found a file"]);
    dir.check(&["tsdb", "stats", "other"], 1, &[], &["found a directory without a database"]);

    let db = kymo_tsdb::Db::open(dir.path("data"), kymo_tsdb::Options::default()).unwrap();
    // Longer ago than the default retention: looking must not drop anything.
    for (at, value) in [(0, 1.0), (1_000, 2.0), (30 * 86_400_000, 3.0)] {
        let mut batch = Batch::new();
        for job in ["a", "b"] {
            batch.push(
                Labels::from_pairs([("__name__", "up"), ("job", job)]),
                Timestamp::from_millis(at),
                value,
            );
        }
        assert_eq!(db.append(&batch).unwrap().appended, 2);
    }
    // While this process has it open, and afterwards.
    for open in [true, false] {
        if !open {
            db.close().unwrap();
        }
        let found = dir.check(&["tsdb", "stats", "--json", "data"], 0, &[], &[]).json();
        assert_eq!((&found["series"], &found["samples"]), (&Value::from(2), &Value::from(6)));
        assert_eq!(
            (&found["min_time_ms"], &found["max_time_ms"]),
            (&Value::from(0), &Value::from(2_592_000_000u64))
        );
        assert_eq!(found["series_by_metric_name"][0], serde_json::json!({"name": "up", "count": 2}));
        assert!(found["bytes"]["total"].as_u64().unwrap() > 0);
    }
    dir.check(
        &["tsdb", "stats", "data"],
        0,
        &[
            "Series             2\n",
            "Samples            6\n",
            "1970-01-31T00:00:00Z",
            "Series by label pair:\n2 __name__=up\n1 job=a\n",
        ],
        &[],
    );
    let found = dir.check(&["tsdb", "stats", "--limit=1", "--json", "data"], 0, &[], &[]).json();
    assert_eq!(found["series_by_label_pair"].as_array().unwrap().len(), 1);
}

/// Answers one request after the other with the same words, and gives the requests.
/// Between two samples there may be any time; nobody waits for each two hours of it.
#[test]
fn tsdb_export_over_ages() {
    let text = "# TYPE a gauge\na 1 -9000000000000000\na 2 1\na 3 1700000000\na 4 9000000000000000\n# EOF\n";
    let dir = Dir::new(&[("text", text)]);
    dir.check(&["tsdb", "import", "openmetrics", "text", "data"], 0, &[], &[]);
    let exported =
        dir.check(&["tsdb", "export", "data", "out"], 0, &["1700000000000  1ms  1 series, 1 samples"], &[]);
    assert_eq!(exported.out.lines().count(), 4, "{}", exported.out);
    let dump = |name: &str| dir.check(&["tsdb", "dump", name], 0, &["} 4 9000000000000000000"], &[]).out;
    assert_eq!(dump("out"), dump("data"));
}

fn server(answer: &'static str, requests: usize) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut seen = Vec::new();
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !is_whole(&request) {
                let count = stream.read(&mut buffer).unwrap();
                assert!(count > 0, "the client went away");
                request.extend_from_slice(&buffer[..count]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            seen.push(String::from_utf8(request).unwrap());
        }
        seen
    });
    (url, served)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

macro_rules! answer {
    ($status:literal, $body:literal) => {
        concat!("HTTP/1.1 ", $status, "\r\nConnection: close\r\n\r\n", $body)
    };
}

#[test]
fn query() {
    let dir = Dir::new(&[]);
    let check = |answer: &'static str, args: &[&str], code: i32, out: &str, err: &[&str]| -> Vec<String> {
        let requests = if answer.contains(" 405 ") { 2 } else { 1 };
        let (url, served) = server(answer, requests);
        let args: Vec<&str> = args.iter().map(|arg| if *arg == "URL" { url.as_str() } else { arg }).collect();
        let run = dir.check(&args, code, &[], err);
        assert_eq!(run.out, out);
        served.join().unwrap()
    };
    let vector = answer!(
        "200 OK",
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[1.5,"1"]}]},"warnings":["odd"]}"#
    );
    let args = ["query", "instant", "--time=1970-01-01T00:00:01.5Z", "--header=X-Scope=a b", "URL", "up + 1"];
    let seen = check(vector, &args, 0, "up{job=\"a\"} => 1 @[1.5]\n", &["warning: odd"]);
    assert!(seen[0].starts_with("POST /api/v1/query HTTP/1.1\r\n"), "{}", seen[0]);
    assert!(seen[0].ends_with("query=up+%2B+1&time=1.5"), "{}", seen[0]);
    assert!(seen[0].contains("x-scope: a b\r\n"), "{}", seen[0]);
    let json = "[{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"value\":[1.5,\"1\"]}]\n";
    check(vector, &["query", "instant", "-o", "json", "URL", "up"], 0, json, &[]);
    check(vector, &["query", "instant", "--json", "URL", "-up"], 0, json, &[]);

    let matrix = answer!(
        "200 OK",
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[10,"1"],[20,"2"]]}]}}"#
    );
    let args = ["query", "range", "--start=10", "--end=20.5", "--step=10s", "URL", "up"];
    let seen = check(matrix, &args, 0, "{} =>\n1 @[10]\n2 @[20]\n", &[]);
    assert!(seen[0].ends_with("query=up&start=10&end=20.5&step=10"), "{}", seen[0]);

    let plan = r#"up
at 1 ms

select #0
"#;
    let explained = answer!(
        "200 OK",
        r#"{"status":"success","data":{"text":"up\nat 1 ms\n\nselect #0\n","root":{"operator":"select"}}}"#
    );
    let args = ["query", "explain", "--analyze", "--start=10", "--end=20", "--step=5s", "URL", "up"];
    let seen = check(explained, &args, 0, plan, &[]);
    assert!(seen[0].starts_with("POST /api/v1/query_explain "), "{}", seen[0]);
    assert!(seen[0].ends_with("query=up&start=10&end=20&step=5&analyze=true"), "{}", seen[0]);

    let refused = answer!("400 Bad Request", r#"{"status":"error","errorType":"bad_data","error":"no"}"#);
    check(refused, &["query", "instant", "URL", "sum("], 1, "", &["query error: bad_data: no"]);
    let absent = answer!("404 Not Found", "404 page not found");
    check(
        absent,
        &["query", "instant", "URL", "1"],
        1,
        "",
        &["client_error: client error: 404 (detail: 404 page not found)"],
    );
    // A proxy that takes no POST is asked again with GET.
    let seen =
        check(answer!("405 Method Not Allowed", ""), &["query", "instant", "URL", "1"], 1, "", &["405"]);
    assert!(seen[1].starts_with("GET /api/v1/query?query=1 "), "{}", seen[1]);

    let series = answer!("200 OK", r#"{"status":"success","data":[{"__name__":"up","job":"a"}]}"#);
    let args = ["query", "series", "--match=up", "--match=down", "URL"];
    let seen = check(series, &args, 0, "{__name__=\"up\", job=\"a\"}\n", &[]);
    assert!(seen[0].ends_with("match%5B%5D=up&match%5B%5D=down"), "{}", seen[0]);
    let labels = answer!("200 OK", r#"{"status":"success","data":["a","b"]}"#);
    let seen = check(labels, &["query", "labels", "URL", "job"], 0, "a\nb\n", &[]);
    assert!(seen[0].starts_with("GET /api/v1/label/job/values "), "{}", seen[0]);

    let args = ["query", "range", "--start=2", "--end=1", "http://127.0.0.1:9", "up"];
    dir.check(&args, 1, &[], &["start time is not before end time"]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    dir.check(
        &["query", "instant", &format!("http://{closed}"), "1"],
        1,
        &[],
        &["query error: cannot connect to"],
    );
}

#[test]
fn every_seed_expression_is_valid() {
    let Some(corpora) = corpora() else { return };
    let text = std::fs::read_to_string(corpora.join("seeds/promql.txt")).unwrap();
    let expressions: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('|')?.1)).collect();
    assert!(!expressions.is_empty());
    let run = Dir::new(&[]).check_with(&["check", "promql", "-"], &expressions.join("\n"), 0, &[], &[]);
    assert_eq!(run.last_line(), format!("{} valid, 0 invalid", expressions.len()));
}

#[test]
fn rules_of_the_corpora() {
    let Some(corpora) = corpora() else { return };
    let manifests: Vec<String> = std::fs::read_dir(corpora.join("kube-prometheus"))
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| path.contains("prometheusRule"))
        .collect();
    let mut args = vec!["check", "rules", "--json"];
    args.extend(manifests.iter().map(String::as_str));
    let found = Dir::new(&[]).check(&args, 0, &[], &[]).json();
    let rules: u64 =
        found["files"].as_array().unwrap().iter().map(|file| file["rules"].as_u64().unwrap()).sum();
    assert_eq!((manifests.len(), rules), (8, 234));

    let seeds = Dir(tempfile::tempdir().unwrap());
    for name in ["rules.yml", "rules.test.yml"] {
        std::fs::copy(corpora.join("seeds").join(name), seeds.path(name)).unwrap();
    }
    seeds.check(&["check", "rules", "rules.yml"], 0, &["SUCCESS: 7 rules found"], &[]);
    seeds.check(&["test", "rules", "rules.test.yml"], 0, &["SUCCESS"], &[]);
}

#[test]
fn openmetrics_of_the_corpora() {
    let Some(corpora) = corpora() else { return };
    let dir = Dir::new(&[]);
    let mut judged = 0;
    for entry in std::fs::read_dir(corpora.join("openmetrics")).unwrap() {
        let case = entry.unwrap().path();
        let test: Value = serde_json::from_slice(&std::fs::read(case.join("test.json")).unwrap()).unwrap();
        let body = case.join(test["file"].as_str().unwrap()).display().to_string();
        let code = if test["shouldParse"].as_bool().unwrap() { 0 } else { 1 };
        dir.check(&["check", "metrics", "--format", "openmetrics", "--strict", &body], code, &[], &[]);
        judged += 1;
    }
    assert!(judged > 0);
    let exposition = corpora.join("exposition/node_exporter.txt").display().to_string();
    dir.check(&["check", "metrics", "--format", "text", &exposition], 0, &["SUCCESS"], &[]);
}

#[test]
fn the_scheme_of_names_holds_for_rule_files_too() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(
        dir.path().join("r.yml"),
        "groups: [{name: g, rules: [{record: http.requests, expr: 1}]}]",
    )
    .unwrap();
    for (scheme, code) in [("utf8", 0), ("legacy", 1)] {
        let config = dir.path().join(format!("{scheme}.yml"));
        std::fs::write(
            &config,
            format!("global: {{metric_name_validation_scheme: {scheme}}}\nrule_files: [r.yml]\n"),
        )
        .unwrap();
        let checked = std::process::Command::new(env!("CARGO_BIN_EXE_kymo"))
            .args(["check", "config"])
            .arg(&config)
            .output()
            .expect("kymo runs");
        assert_eq!(
            checked.status.code(),
            Some(code),
            "{scheme}: {}",
            String::from_utf8_lossy(&checked.stdout)
        );
    }
}

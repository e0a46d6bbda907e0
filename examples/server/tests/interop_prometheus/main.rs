//! The same samples in Debian's Prometheus and in `kymo serve`, the same questions to both, the answers value for value.
//!
//! Result type, label sets, timestamps and HTTP outcome are compared exactly. Values are compared as text, except where
//! Prometheus itself promises no order of additions, adds with another compensation in another version, or takes
//! another mathematics library: see [`compare::tolerance`]. Wording of errors is not compared, their kind is.

#[path = "../peers/mod.rs"]
mod peers;

mod compare;
mod dataset;

use std::fs;
use std::path::Path;
use std::process::Command;

use compare::Comparison;
use peers::*;

/// Debian's Prometheus, empty, with remote write.
fn prometheus(dir: &Path, config: &Path) -> Program {
    let port = free_port();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--storage.tsdb.path={}", dir.join("peer").display()))
        .args(["--web.enable-remote-write-receiver", "--log.level=warn"])
        .current_dir(dir);
    let mut program = Program::start("prometheus", port, dir, &mut command);
    program.wait_for("/-/ready");
    program
}

/// Seconds after the first sample, always half a second past a full one: never a sample's time, never a subquery's step.
fn at(seconds: i64) -> String {
    format!("{}.5", dataset::BEGIN_MS / 1000 + seconds)
}

/// Instants: within the hole and before the markers, between a marker and the return, after the second marker, near the end.
const INSTANTS: [i64; 4] = [30 * 60 + 7, 45 * 60 + 20, 76 * 60 + 3, 94 * 60];
/// Ranges as start, end, step.
const RANGES: [(i64, i64, i64); 2] = [(18 * 60, 97 * 60, 97), (36 * 60, 40 * 60, 10)];

struct Cases {
    seeds: Vec<String>,
    answered: Vec<String>,
    refused: Vec<String>,
}

fn cases() -> Cases {
    let text = include_str!("expressions.promql");
    let (answered, refused) = text.split_once("# refused\n").expect("the mark that opens the refused part");
    let lines = |part: &str| -> Vec<String> {
        part.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
    };
    let seeds = match std::env::var_os("KYMO_CORPORA") {
        None => {
            println!("skipped: KYMO_CORPORA is not set, the seeds are not asked");
            Vec::new()
        }
        Some(corpora) => {
            let seeds = fs::read_to_string(Path::new(&corpora).join("seeds/promql.txt")).expect("the seeds");
            seeds.lines().filter_map(|line| Some(line.split_once('|')?.1.to_owned())).collect()
        }
    };
    Cases { seeds, answered: lines(answered), refused: lines(refused) }
}

#[test]
fn answers_equal_those_of_prometheus() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("prometheus.yml");
    fs::write(&config, "scrape_configs: []\n").unwrap();
    let theirs = prometheus(dir.path(), &config);
    let config_flag = format!("--config.file={}", config.display());
    let ours = kymo(dir.path(), free_port(), &[&config_flag, "--web.enable-remote-write-receiver"]);

    let series = dataset::series();
    for request in dataset::requests_in_order(&series) {
        for port in [theirs.port, ours.port] {
            let answer = push(port, &request).expect("an answer");
            assert_eq!(answer.status, 204, "{}", answer.text());
        }
    }

    let mut comparison = Comparison::new(theirs.port, ours.port);
    let Cases { seeds, answered, refused } = cases();
    let mut empty = Vec::new();
    for expression in seeds.iter().chain(&answered) {
        let mut values = 0;
        for instant in INSTANTS {
            values +=
                comparison.query(expression, &format!("/api/v1/query?time={}", at(instant)), Some(true));
        }
        for (start, end, step) in RANGES {
            let path = format!("/api/v1/query_range?start={}&end={}&step={step}", at(start), at(end));
            values += comparison.query(expression, &path, None);
        }
        if values == 0 {
            empty.push(expression);
        }
    }
    for expression in &refused {
        for instant in INSTANTS {
            comparison.query(expression, &format!("/api/v1/query?time={}", at(instant)), Some(false));
        }
        let path = format!("/api/v1/query_range?start={}&end={}&step=97", at(1800), at(5000));
        comparison.query(expression, &path, Some(false));
    }
    lists(&mut comparison);

    println!("{comparison}");
    println!("no data for {} of {} expressions: {empty:#?}", empty.len(), seeds.len() + answered.len());
    comparison.assert_equal();
    // The test must not pass by comparing nothing.
    let answered_seeds = seeds.iter().filter(|seed| !empty.contains(seed)).count();
    assert_eq!(answered_seeds, seeds.len(), "every seed has data here");
    assert!(empty.len() <= 12, "{} expressions have no data", empty.len());
    let floor = if seeds.is_empty() { 55_000 } else { 75_000 };
    assert!(comparison.values() > floor, "only {} values were compared", comparison.values());
    assert_eq!(ours.stop(), Some(0));
    assert!(theirs.stop().is_some());
}

/// Label names, label values and series: everything, with matchers, in a time range, and what both must refuse.
fn lists(comparison: &mut Comparison) {
    let within = format!("start={}&end={}", at(0), at(95 * 60));
    let early = format!("start={}&end={}", at(-7200), at(-3600));
    let selector = |text: &str| format!("match[]={}", encode(text));
    for path in [
        "/api/v1/labels".to_owned(),
        format!("/api/v1/labels?{within}"),
        format!("/api/v1/labels?{within}&{}", selector("http_requests_total")),
        format!("/api/v1/labels?{within}&{}&{}", selector("up"), selector("{path=~\".+\"}")),
        format!("/api/v1/labels?{within}&{}", selector("nothing")),
        "/api/v1/label/__name__/values".to_owned(),
        format!("/api/v1/label/job/values?{within}"),
        format!("/api/v1/label/product/values?{within}"),
        format!("/api/v1/label/path/values?{within}"),
        format!("/api/v1/label/le/values?{within}&{}", selector("{job=\"api\"}")),
        format!("/api/v1/label/no_such_label/values?{within}"),
        format!("/api/v1/series?{within}&{}", selector("{__name__=~\".+\"}")),
        format!("/api/v1/series?{within}&{}", selector("http_requests_total{status!~\"2..\"}")),
        format!("/api/v1/series?{within}&{}&{}", selector("up"), selector("strange_labels")),
        format!("/api/v1/series?{within}&{}&{}", selector("up"), selector("{job=\"node\"}")),
        format!("/api/v1/series?{early}&{}", selector("up")),
    ] {
        comparison.list(&path, true);
    }
    for path in [
        format!("/api/v1/series?{within}"),
        format!("/api/v1/series?{within}&{}", selector("{}")),
        format!("/api/v1/series?{within}&{}", selector("up{")),
        format!("/api/v1/series?start=tomorrow&{}", selector("up")),
        format!("/api/v1/labels?{}", selector("sum(up)")),
        "/api/v1/label/%FF/values".to_owned(),
        "/api/v1/query".to_owned(),
        "/api/v1/query?query=up&time=noon".to_owned(),
        "/api/v1/query?query=up&timeout=soon".to_owned(),
        "/api/v1/query_range?query=up&start=0&end=1".to_owned(),
        "/api/v1/query_range?query=up&start=10&end=1&step=1".to_owned(),
        "/api/v1/query_range?query=up&start=0&end=1&step=0".to_owned(),
        "/api/v1/query_range?query=up&start=0&end=100000&step=1".to_owned(),
    ] {
        comparison.list(&path, false);
    }
}

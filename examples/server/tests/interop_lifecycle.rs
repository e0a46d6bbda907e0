//! A kymo directory after cuts, opened by Debian's Prometheus, and a Prometheus directory served by kymo. Rows are compared.

mod peers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use kymo_model::{Histogram, Labels, Span};
use kymo_remote::RequestEncoder;
use kymo_tsdb::OsVfs;
use kymo_tsdb::block::{Block, verify_block};
use peers::*;

/// The beginning of a block.
const START_S: i64 = 1_600_000_000 / 7200 * 7200;
const STEP_S: i64 = 30;
const SAMPLES: i64 = 7 * 3600 / STEP_S;

fn prometheus(dir: &Path, data: &Path) -> Program {
    let port = free_port();
    let config = dir.join("prometheus.yml");
    fs::write(&config, "scrape_configs: []\n").unwrap();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--storage.tsdb.retention.time=100y")
        .arg("--web.enable-remote-write-receiver")
        .arg("--enable-feature=native-histograms");
    let mut server = Program::start("prometheus", port, dir, &mut command);
    server.wait_for("/-/ready");
    server
}

fn serve(dir: &Path) -> Program {
    let config = dir.join("kymo.yml");
    fs::write(&config, "scrape_configs: []\n").unwrap();
    let config = format!("--config.file={}", config.display());
    kymo(dir, free_port(), &[&config, "--web.enable-remote-write-receiver", "--web.enable-admin-api"])
}

fn kymo_tsdb(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_kymo")).arg("tsdb").args(arguments).output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// Range queries over everything, row by row.
fn rows(server: &Program, until_s: i64) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    // Nothing that newer versions compute in another way.
    for query in ["m", "max by (pod) (m)", "histogram_sum(h)", "histogram_count(h)"] {
        let path =
            format!("/api/v1/query_range?query={}&start={START_S}&end={until_s}&step=61", encode(query));
        let answer = data(server.port, &path);
        for series in answer["result"].as_array().expect("a matrix") {
            let mut values = String::new();
            series["values"].as_array().expect("points").iter().for_each(|point| {
                let _infallible = write!(values, "{point} ");
            });
            rows.insert(format!("{query} {}", series["metric"]), values);
        }
    }
    rows
}

fn histogram(number: i64) -> Histogram {
    let number = number as u64;
    Histogram {
        schema: 1,
        count: 9 * number + 3,
        sum: number as f64 * 2.5,
        zero_threshold: 0.001,
        zero_count: number,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![3 * number as i64 + 3, 2 * number as i64 - 3],
        ..Histogram::default()
    }
}

/// Seven hours of floats and of native histograms.
fn fill(server: &Program) {
    for number in 0..SAMPLES {
        let t_ms = (START_S + number * STEP_S) * 1000;
        let mut request = RequestEncoder::new();
        for pod in ["a", "b \"\u{1f4c8}\"", "gone"] {
            let labels = Labels::from_pairs([("__name__", "m"), ("pod", pod)]);
            request.series(&labels, &[(t_ms, number as f64 / 7.0)]);
        }
        request.histograms(&Labels::from_pairs([("__name__", "h")]), &[(t_ms, histogram(number))]);
        let answer = push(server.port, &request).expect("an answer");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
}

fn blocks(server: &Program) -> Vec<serde_json::Value> {
    let answer = data(server.port, "/api/v1/status/tsdb/blocks");
    answer["blocks"].as_array().expect("blocks").clone()
}

#[test]
fn a_kymo_directory_is_read_by_prometheus() {
    if !installed("prometheus") || !installed("promtool") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let server = serve(dir.path());
    fill(&server);
    // Three ranges are over; the newest samples wait for what comes late.
    let end_ms =
        |blocks: &Vec<serde_json::Value>| blocks.iter().filter_map(|block| block["maxTime"].as_i64()).max();
    let cut = eventually(
        "three blocks",
        || blocks(&server),
        |blocks| end_ms(blocks) == Some((START_S + 3 * 7200) * 1000),
    );
    let samples: i64 = cut.iter().filter_map(|block| block["stats"]["numSamples"].as_i64()).sum();
    assert_eq!(samples, 3 * 7200 / STEP_S * 4, "{cut:?}");
    let (cut_s, end_s) = (START_S + 3 * 7200 - 1, START_S + 7 * 3600);
    let before = (rows(&server, cut_s), rows(&server, end_s));
    assert_eq!(before.1.len(), 3 + 3 + 1 + 1, "{:?}", before.1.keys());

    // A part of a series is deleted from blocks and from the head.
    let matchers = encode("m{pod=\"gone\"}");
    let from_s = START_S + 3600;
    let path = format!("/api/v1/admin/tsdb/delete_series?match[]={matchers}&start={from_s}");
    let answer = post(server.port, &path, &[], b"").expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{}", answer.text());
    let deleted = rows(&server, end_s);
    assert_ne!(deleted, before.1);
    let others = |rows: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        rows.clone().into_iter().filter(|(key, _)| !key.contains("gone")).collect()
    };
    assert_eq!(others(&deleted), others(&before.1));
    let answer = post(server.port, "/api/v1/admin/tsdb/clean_tombstones", &[], b"").expect("an answer");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(rows(&server, end_s), deleted);
    let answer = post(server.port, "/api/v1/admin/tsdb/snapshot", &[], b"").expect("an answer");
    let snapshot =
        answer.json()["data"]["name"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
    let of_blocks = rows(&server, cut_s);
    assert_eq!(server.stop(), Some(0));

    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let name = text(&data_dir);
    assert!(kymo_tsdb(&["verify", &name]).lines().all(|line| line.contains(": sound, ")));
    assert!(kymo_tsdb(&["stats", &name]).contains("Blocks"));
    let dump = kymo_tsdb(&["dump", &name]);
    for block in Block::open_all(&OsVfs, &data_dir).unwrap().blocks {
        assert!(verify_block(&block).unwrap().is_sound());
    }
    // The whole of it from the snapshot.
    let snapshot = data_dir.join("snapshots").join(snapshot);
    assert_eq!(kymo_tsdb(&["dump", &text(&snapshot)]), dump);
    let theirs = prometheus(dir.path(), &snapshot);
    assert_eq!(rows(&theirs, end_s), deleted, "{}", theirs.log());
    drop(theirs);
    // Another one by the command, while nobody has the directory.
    let another = dir.path().join("another");
    kymo_tsdb(&["snapshot", &name, &text(&another)]);
    assert_eq!(kymo_tsdb(&["dump", &text(&another)]), dump);
    kymo_tsdb(&["snapshot", "--skip-head", &name, &text(&dir.path().join("older"))]);
    assert!(kymo_tsdb(&["dump", &text(&dir.path().join("older"))]).lines().count() < dump.lines().count());
    // What is in blocks, from the directory itself.
    let theirs = prometheus(dir.path(), &data_dir);
    assert_eq!(rows(&theirs, cut_s), of_blocks, "{}", theirs.log());
    drop(theirs);
    // And kymo goes on with what Prometheus may have made of it.
    let server = serve(dir.path());
    assert_eq!(rows(&server, end_s), deleted);
    assert_eq!(server.stop(), Some(0));
    kymo_tsdb(&["delete", "--match", "h", &name]);
    let left = kymo_tsdb(&["dump", &name]);
    assert_eq!(
        left.lines().count(),
        dump.lines().filter(|line| !line.starts_with("{__name__=\"h\"}")).count()
    );
}

/// A Prometheus takes nothing from before the end of its last block. So what is copied or imported while its two hours are not over
/// ends with the last sample, and Prometheus goes on at once.
#[test]
fn prometheus_goes_on_where_kymo_stopped() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let labels = Labels::from_pairs([("__name__", "m")]);
    let put = |server: &Program, value: f64| {
        let mut request = RequestEncoder::new();
        request.series(&labels, &[(now_ms(), value)]);
        let answer = push(server.port, &request).expect("an answer");
        assert_eq!(answer.status, 204, "{}: {}", answer.text(), server.log());
    };
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let server = serve(dir.path());
    put(&server, 1.0);
    let [exported, snapshot, imported] =
        ["exported", "snapshot", "imported"].map(|name| dir.path().join(name));
    kymo_tsdb(&["export", &text(&dir.path().join("data")), &text(&exported)]);
    assert_eq!(server.stop(), Some(0));
    kymo_tsdb(&["snapshot", &text(&dir.path().join("data")), &text(&snapshot)]);
    let mut theirs = prometheus(dir.path(), &imported);
    put(&theirs, 1.0);
    theirs.kill();
    kymo_tsdb(&["import", "prometheus", &text(&imported)]);
    for directory in [exported, snapshot, imported] {
        let theirs = prometheus(dir.path(), &directory);
        put(&theirs, 2.0);
        let values = vector(theirs.port, "count_over_time(m[5m])");
        assert_eq!(values.first().map(|(_, count)| *count), Some(2.0), "{}", directory.display());
    }
}

#[test]
fn a_prometheus_directory_is_served_by_kymo() {
    if !installed("prometheus") || !installed("promtool") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (text, data_dir) = (dir.path().join("samples.txt"), dir.path().join("data"));
    let mut samples = String::new();
    for pod in 0..50 {
        for number in 0..SAMPLES / 4 {
            let value = (number * (pod + 3)) as f64 / 9.0;
            writeln!(samples, "m{{pod=\"{pod}\"}} {value} {}", START_S + number * STEP_S * 4).unwrap();
        }
    }
    samples.push_str("# EOF\n");
    fs::write(&text, samples).unwrap();
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&text, &data_dir])
        .output()
        .expect("it starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let end_s = START_S + 7 * 3600;
    let theirs = prometheus(dir.path(), &data_dir);
    let expected = rows(&theirs, end_s);
    let names = data(theirs.port, "/api/v1/label/pod/values");
    drop(theirs);
    let server = serve(dir.path());
    assert!(blocks(&server).len() >= 3);
    assert_eq!(rows(&server, end_s), expected, "{}", server.log());
    assert_eq!(data(server.port, "/api/v1/label/pod/values"), names);
}

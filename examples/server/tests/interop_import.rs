//! The log and head of a real Prometheus, killed in the middle of its work: every row that it answered is in the blocks that kymo
//! makes of them. Then the same with a bit flipped in its log, beside what Prometheus itself makes of that.

mod peers;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use kymo_model::{Histogram, Labels, Queryable, Samples, Selector, Span, TimeRange, Values};
use kymo_remote::RequestEncoder;
use kymo_tsdb::OsVfs;
use kymo_tsdb::block::{BlockStore, BlockStoreOptions};
use peers::*;
use serde_json::Value;

/// How much there is before the scrapes.
const HOURS: i64 = 5;

/// Samples by series, as text: the bits of a float, count and sum of a histogram.
type Rows = BTreeMap<String, BTreeMap<i64, String>>;

fn float(value: f64) -> String {
    if value.is_nan() { "NaN".to_owned() } else { format!("{:x}", value.to_bits()) }
}

/// What blocks give, without staleness markers, which nobody is given.
fn rows_of_blocks(dir: &Path) -> Rows {
    let store = BlockStore::open(Arc::new(OsVfs), dir, BlockStoreOptions::default()).unwrap();
    assert!(store.refused().is_empty());
    let (mut rows, mut samples) = (Rows::new(), Samples::new());
    for series in store.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap().iter() {
        let row = rows.entry(series.labels().to_string()).or_default();
        let mut reader = series.reader();
        while reader.read(&mut samples).unwrap() {
            for (at, t_ms) in samples.timestamps_ms.iter().enumerate() {
                let value = match &samples.values {
                    Values::Floats(values) if kymo_model::is_stale(values[at]) => continue,
                    Values::Floats(values) => float(values[at]),
                    Values::Histograms(values) if values[at].is_stale() => continue,
                    Values::Histograms(values) => format!("{} {}", values[at].count, values[at].sum),
                };
                assert_eq!(row.insert(*t_ms, value), None, "twice at {t_ms}");
            }
        }
    }
    rows.retain(|_, row| !row.is_empty());
    rows
}

/// What a running Prometheus answers, all of it.
fn rows_of_server(port: u16) -> Rows {
    let query = encode("{__name__=~\".+\"}[8h]");
    let answer = data(port, &format!("/api/v1/query?query={query}&time={}", now_ms() / 1000 + 5));
    let t_ms = |point: &Value| (point[0].as_f64().unwrap() * 1000.0).round() as i64;
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let mut rows = Rows::new();
    for series in answer["result"].as_array().unwrap() {
        let labels = series["metric"].as_object().unwrap();
        let labels =
            Labels::from_pairs(labels.iter().map(|(name, value)| (&**name, value.as_str().unwrap())));
        let row = rows.entry(labels.to_string()).or_default();
        for point in series["values"].as_array().into_iter().flatten() {
            row.insert(t_ms(point), float(number(&point[1])));
        }
        for point in series["histograms"].as_array().into_iter().flatten() {
            row.insert(t_ms(point), format!("{} {}", number(&point[1]["count"]), number(&point[1]["sum"])));
        }
    }
    rows
}

fn configure(dir: &Path, port: Option<u16>) -> PathBuf {
    let path = dir.join("prometheus.yml");
    let scrape = port.map_or_else(
        || "scrape_configs: []\n".to_owned(),
        |port| {
            format!(
                "scrape_configs:\n- job_name: self\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['127.0.0.1:{port}']\n"
            )
        },
    );
    fs::write(&path, format!("storage:\n  tsdb:\n    out_of_order_time_window: 1h\n{scrape}")).unwrap();
    path
}

fn prometheus(dir: &Path, data: &Path) -> Program {
    let port = free_port();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", configure(dir, None).display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(["--storage.tsdb.retention.time=1y", "--storage.tsdb.wal-compression"])
        .args(["--enable-feature=native-histograms", "--web.enable-remote-write-receiver"])
        .args(["--web.enable-lifecycle", "--web.enable-admin-api"]);
    let mut server = Program::start("prometheus", port, dir, &mut command);
    server.wait_for("/-/ready");
    server
}

fn histogram(number: u64) -> Histogram {
    let n = number + 1;
    Histogram {
        schema: 3,
        zero_threshold: 2f64.powi(-128),
        zero_count: n,
        count: 3 * n,
        sum: n as f64 * 1.25,
        positive_spans: vec![Span { offset: -2, length: 2 }],
        positive_buckets: vec![n as i64, 0],
        ..Histogram::default()
    }
}

/// Five hours by remote write, some of it late, some of it deleted again, then scrapes of itself.
fn work(dir: &Path, server: &Program) {
    let labels = |name: &str, pod: i64| {
        Labels::from_pairs([("__name__", name), ("pod", pod.to_string().as_str()), ("zone", "ö \"x\"")])
    };
    let start_ms = now_ms() - HOURS * 3_600_000;
    let steps = HOURS * 3600 / 30;
    for step in 0..steps {
        let t_ms = start_ms + step * 30_000;
        let mut request = RequestEncoder::new();
        for pod in 0..30 {
            let value = if pod % 3 == 0 { step as f64 } else { ((step * 31 + pod) as f64).sin() };
            request.series(&labels("written", pod), &[(t_ms, value)]);
        }
        request.histograms(&labels("native", 1), &[(t_ms, histogram(step as u64))]);
        request.float_histograms(&labels("native_float", 1), &[(t_ms, histogram(step as u64).to_float())]);
        let answer = push(server.port, &request).expect("an answer");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    // Late by up to half an hour.
    for n in 0..20i64 {
        let mut request = RequestEncoder::new();
        let t_ms = start_ms + steps * 30_000 - 1_800_000 + n * 60_000 + 7;
        request.series(&labels("written", 3), &[(t_ms, n as f64 / 3.0)]);
        request.series(&labels("late_only", 1), &[(t_ms, n as f64 / 3.0)]);
        assert_eq!(push(server.port, &request).expect("an answer").status, 204);
    }
    let (from, to) = (now_ms() / 1000 - 1200, now_ms() / 1000 - 600);
    let path = format!(
        "/api/v1/admin/tsdb/delete_series?match[]={}&start={from}&end={to}",
        encode("written{pod=~\"4|5\"}")
    );
    assert_eq!(post(server.port, &path, &[], b"").expect("an answer").status, 204);
    configure(dir, Some(server.port));
    assert_eq!(post(server.port, "/-/reload", &[], b"").expect("an answer").status, 200);
    let scraped = || vector(server.port, "count_over_time(up{job=\"self\"}[1m])");
    eventually("scrapes", scraped, |found| found.first().is_some_and(|(_, count)| *count >= 3.0));
    // Without scrapes, so that it does not change any more.
    configure(dir, None);
    assert_eq!(post(server.port, "/-/reload", &[], b"").expect("an answer").status, 200);
    let count = || vector(server.port, "count_over_time(up{job=\"self\"}[10m])");
    let twice = || {
        let before = count();
        std::thread::sleep(std::time::Duration::from_secs(3));
        (before, count())
    };
    eventually("no more scrapes", twice, |(before, after)| before == after);
}

fn import(data: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kymo"))
        .args(["tsdb", "import", "prometheus"])
        .arg(data)
        .output()
        .expect("kymo runs");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn compare(what: &str, found: &Rows, wanted: &Rows) {
    for (labels, rows) in wanted {
        let none = BTreeMap::new();
        let found = found.get(labels).unwrap_or(&none);
        let differs = rows.iter().find(|(t_ms, value)| found.get(t_ms) != Some(value));
        assert_eq!(differs, None, "{what}: {labels}: {} rows, {} wanted", found.len(), rows.len());
        assert_eq!(found.len(), rows.len(), "{what}: {labels}");
    }
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{what}");
}

#[test]
fn what_prometheus_answered_is_there() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let mut server = prometheus(dir.path(), &data);
    work(dir.path(), &server);
    let wanted = rows_of_server(server.port);
    server.kill();
    let count = |rows: &Rows| rows.values().map(BTreeMap::len).sum::<usize>();
    assert!(wanted.len() > 200 && count(&wanted) > 15_000, "{} rows", count(&wanted));

    let files = |name: &str| fs::read_dir(data.join(name)).map_or(0, Iterator::count);
    report(format_args!(
        "a killed Prometheus left {} names in wal, {} in wbl, {} in chunks_head",
        files("wal"),
        files("wbl"),
        files("chunks_head")
    ));
    assert!(files("wbl") > 0, "no log of samples out of order");
    let (killed, flipped, theirs) =
        (dir.path().join("killed"), dir.path().join("flipped"), dir.path().join("theirs"));
    copy_directory(&data, &killed);
    let (code, said) = import(&killed);
    assert_eq!(code, Some(0), "{said}");
    compare("killed", &rows_of_blocks(&killed), &wanted);
    assert!(killed.join("imported/00000001/wal").is_dir() && !killed.join("wal").exists());
    let (code, said) = import(&killed);
    assert!(code == Some(1) && said.contains("found neither"), "{said}");

    // A bit in the middle of the largest segment.
    copy_directory(&data, &flipped);
    let segments = fs::read_dir(flipped.join("wal")).unwrap().map(|entry| entry.unwrap().path());
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let segment = segments.filter(|path| path.is_file()).max_by_key(size).expect("a segment");
    let mut bytes = fs::read(&segment).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[written / 2] ^= 1;
    fs::write(&segment, bytes).unwrap();
    // Without the chunks of the head: what is lost of the log is lost.
    fs::remove_dir_all(flipped.join("chunks_head")).unwrap();
    copy_directory(&flipped, &theirs);
    let (code, said) = import(&flipped);
    assert!(code == Some(1) && said.contains("damaged: "), "{said}");
    let ours = rows_of_blocks(&flipped);
    let server = prometheus(dir.path(), &theirs);
    let theirs = rows_of_server(server.port);
    let kept = |rows: &Rows| count(rows) as f64 * 100.0 / count(&wanted) as f64;
    report(format_args!(
        "one bit of the log of Prometheus flipped: Prometheus keeps {:.2} % of {} rows, the import {:.2} %",
        kept(&theirs),
        count(&wanted),
        kept(&ours)
    ));
    assert!(kept(&ours) > 90.0 && kept(&ours) >= kept(&theirs), "{} {}", kept(&ours), kept(&theirs));
    for (labels, rows) in &ours {
        assert!(rows.iter().all(|(t_ms, value)| wanted[labels].get(t_ms) == Some(value)), "{labels}");
    }
}

/// Stopped in order, its chunks are in files; a server that is started on the directory makes blocks of it by itself.
#[test]
fn a_server_starts_on_what_prometheus_left() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let server = prometheus(dir.path(), &data);
    work(dir.path(), &server);
    let wanted = rows_of_server(server.port);
    assert_eq!(server.stop(), Some(0));
    let server = kymo(
        dir.path(),
        free_port(),
        &[&format!("--config.file={}", {
            let config = dir.path().join("kymo.yml");
            fs::write(&config, "scrape_configs: []\n").unwrap();
            config.display().to_string()
        })],
    );
    assert!(server.log().contains("what a Prometheus left was imported"), "{}", server.log());
    drop(server);
    let chunks = fs::read_dir(data.join("imported/00000001/chunks_head")).unwrap();
    assert!(chunks.flatten().any(|file| file.metadata().is_ok_and(|metadata| metadata.len() > 1000)));
    compare("stopped", &rows_of_blocks(&data), &wanted);
}

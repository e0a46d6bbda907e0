//! Debian's Prometheus, empty, reads everything from `kymo serve`: its answers to queries must be ours.

mod peers;

use std::fs;
use std::process::Command;

use kymo_model::Labels;
use kymo_remote::RequestEncoder;
use peers::*;

/// How many samples of each series, 15 s apart: several chunks.
const SAMPLES: i64 = 500;

#[test]
fn prometheus_reads_from_kymo() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let ours_config = dir.path().join("ours.yml");
    fs::write(&ours_config, "global: {external_labels: {dc: x}}\nscrape_configs: []\n").unwrap();
    let flags = [
        &*format!("--config.file={}", ours_config.display()),
        "--web.enable-remote-write-receiver",
        // Many frames.
        "--storage.remote.read-max-bytes-in-frame=200",
    ];
    let ours = kymo(dir.path(), free_port(), &flags);
    let end_s = now_ms() / 1000 - 60;
    let mut request = RequestEncoder::new();
    for (job, factor) in [("a", 1.0), ("b", 0.1), ("c", -3e200)] {
        let labels = Labels::from_pairs([("__name__", "m"), ("job", job)]);
        let samples: Vec<(i64, f64)> = (0..SAMPLES)
            .map(|index| ((end_s - (SAMPLES - index) * 15) * 1000, index as f64 * factor))
            .collect();
        request.series(&labels, &samples);
    }
    assert_eq!(push(ours.port, &request).expect("an answer").status, 204);

    let config = dir.path().join("theirs.yml");
    let text = format!(
        "global: {{external_labels: {{dc: x}}}}\nremote_read: [{{url: 'http://127.0.0.1:{}/api/v1/read', read_recent: true}}]\n",
        ours.port
    );
    fs::write(&config, text).unwrap();
    let port = free_port();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("peer").display()))
        .arg("--log.level=warn")
        .current_dir(dir.path());
    let mut theirs = Program::start("prometheus", port, dir.path(), &mut command);
    theirs.wait_for("/-/ready");
    for query in [
        "m",
        "sum by (job) (rate(m[5m]))",
        "count_over_time(m[3h])",
        "m{job=~\"a|c\"}",
        "m{job!=\"a\"} offset 1h",
        "nothing",
    ] {
        let path = format!(
            "/api/v1/query_range?query={}&start={}.5&end={end_s}&step=97",
            encode(query),
            end_s - SAMPLES * 15 - 600
        );
        let (of_ours, of_theirs) = (data(ours.port, &path), data(port, &path));
        let empty = of_ours["result"].as_array().is_some_and(Vec::is_empty);
        assert_eq!(empty, query == "nothing", "{of_ours}");
        // Half a second past a sample, so that it does not matter which end of a range belongs to it: versions differ.
        let (of_ours, of_theirs) = (of_ours.to_string(), of_theirs.to_string());
        assert!(
            of_theirs == of_ours,
            "{query}: {of_theirs:.300} instead of {of_ours:.300}\n{}",
            theirs.log()
        );
    }
    assert_eq!(theirs.log(), "", "Prometheus has something to say");
    assert_eq!(ours.stop(), Some(0));
}

//! promtool as a client of `kymo serve`: what it asks is answered in its shapes, and it finds no fault with our metrics.

mod peers;

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use kymo_model::Labels;
use kymo_remote::RequestEncoder;
use peers::*;

fn promtool(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    child.stdin.take().expect("it was asked for").write_all(input).expect("promtool reads");
    child.wait_with_output().expect("promtool ends")
}

#[test]
fn promtool_asks_and_understands() {
    if !installed("promtool") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("prometheus.yml");
    fs::write(&config, "scrape_configs: []\n").unwrap();
    let flag = format!("--config.file={}", config.display());
    let server = kymo(dir.path(), free_port(), &[&flag, "--web.enable-remote-write-receiver"]);
    let mut request = RequestEncoder::new();
    for (pod, value) in [("a", 1.5), ("b", 1e21), ("씨", f64::NAN)] {
        let labels = Labels::from_pairs([("__name__", "m"), ("pod", pod)]);
        request.series(&labels, &[(1_700_000_000_000, value), (1_700_000_030_000, value)]);
    }
    assert_eq!(push(server.port, &request).expect("an answer").status, 204);

    let url = format!("http://127.0.0.1:{}", server.port);
    let check = |arguments: &[&str], expected: &str| {
        let arguments: Vec<&str> = ["query"]
            .iter()
            .chain(arguments)
            .map(|word| if *word == "URL" { url.as_str() } else { word })
            .collect();
        let output = promtool(&arguments, b"");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.trim_end(), expected, "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.success(), !expected.is_empty(), "{arguments:?}");
    };
    check(
        &["instant", "--time=2023-11-14T22:13:40Z", "URL", "m"],
        "m{pod=\"a\"} => 1.5 @[1700000020]\nm{pod=\"b\"} => 1000000000000000000000 @[1700000020]\nm{pod=\"씨\"} => NaN @[1700000020]",
    );
    check(
        &["instant", "--time=2023-11-14T22:13:40Z", "URL", "1e21"],
        "scalar: 1000000000000000000000 @[1700000020]",
    );
    check(
        &["range", "--start=1700000000", "--end=1700000060", "--step=30s", "URL", "m{pod=\"a\"} * 2"],
        "{pod=\"a\"} =>\n3 @[1700000000]\n3 @[1700000030]\n3 @[1700000060]",
    );
    let times = ["--start=1699999000", "--end=1700000100"];
    check(
        &["series", "--match=m{pod!=\"a\"}", times[0], times[1], "URL"],
        "{__name__=\"m\", pod=\"b\"}\n{__name__=\"m\", pod=\"씨\"}",
    );
    check(&["labels", times[0], times[1], "URL", "pod"], "a\nb\n씨");
    check(&["instant", "URL", "sum("], "");

    let metrics = get(server.port, "/metrics").expect("an answer");
    let found = promtool(&["check", "metrics"], &metrics.body);
    let faults = String::from_utf8_lossy(&found.stderr).into_owned();
    assert_eq!((found.status.code(), faults.as_str()), (Some(0), ""));
    assert_eq!(server.stop(), Some(0));
}

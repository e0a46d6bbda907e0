//! Exemplars and metadata beside Debian's Prometheus: both scrape one target and answer the same; Prometheus sends what it has
//! by remote write; and a server that is killed has it all again.

mod peers;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use peers::*;
use serde_json::{Value, json};

/// A target whose page can be changed.
struct Target {
    port: u16,
    page: Arc<Mutex<String>>,
}

impl Target {
    fn start() -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let page = Arc::new(Mutex::new("# EOF\n".to_owned()));
        let shown = Arc::clone(&page);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let shown = Arc::clone(&shown);
                // A scraper that has gone away is no concern of the target's.
                std::thread::spawn(move || answer(stream, &shown));
            }
        });
        Target { port, page }
    }

    /// A configuration that scrapes it every second.
    fn scraped(&self) -> String {
        format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: app\n  static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
            self.port
        )
    }

    fn show(&self, page: String) {
        *self.page.lock().expect("no panic while it is held") = page;
    }
}

fn answer(mut stream: TcpStream, page: &Mutex<String>) -> std::io::Result<()> {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            read => head.extend_from_slice(&buffer[..read]),
        }
    }
    let page = page.lock().expect("no panic while it is held").clone();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let length = page.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
    )
}

/// Times in seconds, some of them of samples, some of exemplars. They are ahead of the clock, because Prometheus sends no samples
/// that are older than itself.
fn page(now_s: i64, round: i64) -> String {
    let t = now_s + 60 + round * 10;
    let long = "é".repeat(130);
    let older = t - 50 * round;
    format!(
        "# HELP request_seconds How long it took.\n# TYPE request_seconds histogram\n# UNIT request_seconds seconds\n\
         request_seconds_bucket{{le=\"0.5\"}} {round} {t} # {{trace_id=\"a{round}\"}} 0.31 {t}.125\n\
         request_seconds_bucket{{le=\"1.0\"}} {round} {t} # {{trace_id=\"b{round}\",span=\"é\"}} 0.75\n\
         request_seconds_bucket{{le=\"+Inf\"}} {round} {t} # {{}} 7e20 {older}\n\
         request_seconds_count {round} {t}\nrequest_seconds_sum 1.5 {t}\n\
         # TYPE served counter\n\
         served_total{{path=\"/x\"}} {round} {t} # {{long=\"{long}\"}} 1 {t}\n\
         served_total{{path=\"/y\"}} {round} {t} # {{trace_id=\"always the same\"}} 1\n\
         # EOF\n"
    )
}

/// What a server has between two times.
fn exemplars(port: u16, query: &str, range: (i64, i64)) -> Value {
    let (start, end) = range;
    data(port, &format!("/api/v1/query_exemplars?query={}&start={start}&end={end}", encode(query)))
}

fn count(found: &Value) -> usize {
    let series = found.as_array().map(Vec::as_slice).unwrap_or_default();
    series.iter().filter_map(|of| of["exemplars"].as_array()).map(Vec::len).sum()
}

/// Waits until a server has this many.
fn wait_for(server: &Program, range: (i64, i64), wanted: usize) -> Value {
    let ask = || {
        let target = &data(server.port, "/api/v1/targets")["activeTargets"][0];
        (exemplars(server.port, ALL, range), target["lastError"].clone(), server.log())
    };
    eventually(&format!("{wanted} exemplars"), ask, |(found, ..)| count(found) == wanted).0
}

const ALL: &str = "{__name__=~\"request_seconds_.*|served.*\"}";

fn prometheus(dir: &Path, config: &str) -> Program {
    let (port, file) = (free_port(), dir.join("theirs.yml"));
    fs::write(&file, config).expect("a file in our own directory");
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--storage.tsdb.path={}", dir.join("peer").display()))
        .args(["--enable-feature=exemplar-storage", "--log.level=warn"])
        .current_dir(dir);
    let mut program = Program::start("prometheus", port, dir, &mut command);
    program.wait_for("/-/ready");
    program
}

#[test]
fn scraped_sent_and_kept_as_by_prometheus() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let target = Target::start();
    let scrape = target.scraped();
    let own = |name: &str| {
        let own = dir.path().join(name);
        fs::create_dir(&own).expect("a new directory");
        own
    };
    let (scraping, receiving) = (own("scraping"), own("receiving"));
    let config = scraping.join("ours.yml");
    fs::write(&config, &scrape).expect("a file in our own directory");
    let config_flag = format!("--config.file={}", config.display());
    let flags = [&*config_flag, "--enable-feature=exemplar-storage", "--web.enable-lifecycle"];
    let mut ours = kymo(&scraping, free_port(), &flags);
    let nothing = receiving.join("nothing.yml");
    fs::write(&nothing, "scrape_configs: []\n").expect("a file in our own directory");
    let nothing_flag = format!("--config.file={}", nothing.display());
    let sent_flags = [&*nothing_flag, "--web.enable-remote-write-receiver"];
    let mut sent = kymo(&receiving, free_port(), &sent_flags);
    let theirs = prometheus(
        dir.path(),
        &format!(
            "{scrape}remote_write:\n- url: http://127.0.0.1:{}/api/v1/write\n  send_exemplars: true\n  queue_config: {{batch_send_deadline: 200ms}}\n  metadata_config: {{send_interval: 1s}}\n",
            sent.port
        ),
    );

    let now_s = now_ms() / 1000;
    let range = (now_s - 1000, now_s + 1000);
    // In the first round nothing is older than what there was; later the third bucket's is.
    let mut wanted = 0;
    for round in 0..3 {
        target.show(page(now_s, round));
        wanted += if round == 0 { 4 } else { 2 };
        let expected = wait_for(&theirs, range, wanted);
        for (name, server) in [("scraping", &ours), ("receiving", &sent)] {
            assert_eq!(wait_for(server, range, wanted), expected, "{name}, round {round}");
        }
    }
    let compare = |ours: &Program| {
        for (query, range) in [
            (ALL, range),
            ("histogram_quantile(0.9, sum by (le) (rate(request_seconds_bucket[5m])))", range),
            ("rate(request_seconds_bucket{le=\"0.5\"}[1m]) + sum(served_total offset 1h)", range),
            ("request_seconds_bucket", (now_s + 70, now_s + 75)),
            ("request_seconds_bucket{le!=\"+Inf\"}", (now_s + 60, now_s + 60)),
            ("nothing_like_it", range),
        ] {
            let (of_ours, of_theirs) =
                (exemplars(ours.port, query, range), exemplars(theirs.port, query, range));
            assert_eq!(of_ours, of_theirs, "{query}");
        }
    };
    compare(&ours);
    compare(&sent);
    for query in ["1", "vector(1)"] {
        let path = format!("/api/v1/query_exemplars?query={}", encode(query));
        for port in [ours.port, theirs.port] {
            assert_eq!(get(port, &path).expect("an answer").status, 204, "{query}");
        }
    }
    for path in ["query=sum(", "query=x&start=y", "query=x&start=2&end=1"] {
        let ask = |port| {
            let answer = get(port, &format!("/api/v1/query_exemplars?{path}")).expect("an answer");
            (answer.status, answer.json()["errorType"].clone())
        };
        assert_eq!(ask(ours.port), ask(theirs.port), "{path}");
    }

    // Metadata: of the target, by remote write, and of a target that is gone.
    let families = |port| {
        let all = data(port, "/api/v1/metadata");
        [all["request_seconds"].clone(), all["served"].clone()]
    };
    let expected = families(theirs.port);
    assert_eq!(expected[0][0]["type"], json!("histogram"));
    assert_eq!(families(ours.port), expected);
    eventually("metadata by remote write", || families(sent.port), |found| *found == expected);
    fs::write(&config, "scrape_configs: []\n").expect("a file in our own directory");
    assert_eq!(post(ours.port, "/-/reload", &[], b"").expect("an answer").status, 200);
    assert_eq!(data(ours.port, "/api/v1/targets/metadata"), json!([]));
    assert_eq!(families(ours.port), expected);

    // Killed, and there again.
    for (server, dir, flags) in [(&mut ours, &scraping, &flags[..]), (&mut sent, &receiving, &sent_flags[..])]
    {
        server.kill();
        *server = kymo(dir, free_port(), flags);
        compare(server);
        assert_eq!(families(server.port), expected);
    }

    // The bound follows the configuration.
    let bounded = "storage: {exemplars: {max_exemplars: 3}}\nscrape_configs: []\n";
    fs::write(&config, bounded).expect("a file in our own directory");
    assert_eq!(post(ours.port, "/-/reload", &[], b"").expect("an answer").status, 200);
    assert_eq!(count(&exemplars(ours.port, ALL, range)), 3);
    let metrics = get(ours.port, "/metrics").expect("an answer").text();
    assert!(metrics.contains("\nprometheus_tsdb_exemplar_max_exemplars 3\n"), "{metrics}");
    assert_eq!(ours.stop(), Some(0));
    let ours = kymo(&scraping, free_port(), &flags);
    assert_eq!(count(&exemplars(ours.port, ALL, range)), 3);
    assert_eq!(ours.stop(), Some(0));
    assert_eq!(sent.stop(), Some(0));
    assert_eq!(theirs.stop(), Some(0));
}

/// The log of a Prometheus that scraped exemplars and was killed: what it answered is there when the log was imported by the command,
/// and when a server is started on the directory.
#[test]
fn imported_from_a_log_of_prometheus() {
    if !installed("prometheus") {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let target = Target::start();
    let scrape = target.scraped();
    let mut theirs = prometheus(dir.path(), &scrape);
    let now_s = now_ms() / 1000;
    let range = (now_s - 1000, now_s + 1000);
    let mut wanted = 0;
    for round in 0..3 {
        target.show(page(now_s, round));
        wanted += if round == 0 { 4 } else { 2 };
        wait_for(&theirs, range, wanted);
    }
    let expected = exemplars(theirs.port, ALL, range);
    assert_eq!(count(&expected), 8);
    theirs.kill();

    let nothing = dir.path().join("nothing.yml");
    fs::write(&nothing, "scrape_configs: []\n").expect("a file in our own directory");
    let nothing_flag = format!("--config.file={}", nothing.display());
    for by_command in [true, false] {
        let own = dir.path().join(format!("by-command-{by_command}"));
        let data = own.join("data");
        copy_directory(&dir.path().join("peer"), &data);
        if by_command {
            let output = Command::new(env!("CARGO_BIN_EXE_kymo"))
                .args(["tsdb", "import", "prometheus"])
                .arg(&data)
                .output()
                .expect("kymo runs");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("8 exemplars"), "{said}");
        }
        let mut ours = kymo(&own, free_port(), &[&nothing_flag]);
        for _start in 0..2 {
            for (query, range) in [
                (ALL, range),
                ("request_seconds_bucket{le=\"0.5\"}", (now_s + 60, now_s + 65)),
                ("served_total", range),
            ] {
                let found = exemplars(ours.port, query, range);
                let of_theirs = expected.as_array().expect("a list").iter();
                let of_ours = found.as_array().expect("a list");
                if query == ALL {
                    assert_eq!(found, expected, "by command: {by_command}");
                } else {
                    assert!(!of_ours.is_empty() && of_ours.len() < of_theirs.len(), "{query}: {found}");
                }
            }
            // And after a kill.
            ours.kill();
            ours = kymo(&own, free_port(), &[&nothing_flag]);
        }
        assert_eq!(ours.stop(), Some(0));
    }
}

//! kill -9 during a scrape storm: what was acknowledged is there after the restart, round after round, and the start is clean.
//!
//! `KYMO_CRASH_ROUNDS` says how many rounds (3 by default, 50 in CI, 200 in the nightly run).

mod peers;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kymo_model::Labels;
use kymo_remote::RequestEncoder;
use peers::*;

/// A target with 1,000 counters that rise by one with each scrape.
fn target(stop: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let scrapes = Arc::new(AtomicU64::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let Ok(mut stream) = stream else { continue };
            let scrapes = Arc::clone(&scrapes);
            std::thread::spawn(move || {
                let mut head = [0u8; 4096];
                while stream.read(&mut head).is_ok_and(|read| read > 0) {
                    let scrape = scrapes.fetch_add(1, Ordering::Relaxed);
                    let body: String =
                        (0..1000).map(|i| format!("storm_total{{i=\"{i}\"}} {scrape}\n")).collect();
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n";
                    let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn acknowledged_samples_survive_kill_9() {
    let rounds: u64 = std::env::var("KYMO_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let stop = Arc::new(AtomicBool::new(false));
    let targets: Vec<String> =
        (0..4).map(|_| format!("\"127.0.0.1:{}\"", target(Arc::clone(&stop)))).collect();
    let config = format!(
        "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\nscrape_configs: [{{job_name: storm, static_configs: [{{targets: [{}]}}]}}]\n",
        targets.join(", ")
    );
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let config_flag = format!("--config.file={}", file.display());
    let flags = [config_flag.as_str(), "--web.enable-remote-write-receiver"];

    let began_ms = now_ms();
    let (mut acknowledged, mut seen_scraped) = (0u64, 0.0);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut ready_after_ms = Vec::new();
    for round in 0..=rounds {
        let started = Instant::now();
        let mut server = kymo(dir.path(), free_port(), &flags);
        ready_after_ms.push(started.elapsed().as_millis());
        assert!(!server.log().contains("write-ahead log:"), "round {round}: {}", server.log());
        // Everything that was acknowledged in any round is there, once, with its value.
        let window = (now_ms() - began_ms) / 1000 + 60;
        let value = |query: &str| vector(server.port, query).first().map_or(0.0, |found| found.1);
        let kept = value(&format!("count_over_time(pushed[{window}s])"));
        assert!(kept >= acknowledged as f64, "round {round}: {acknowledged} acknowledged, {kept} present");
        let sum = value(&format!("sum_over_time(pushed[{window}s])"));
        assert_eq!(sum, kept * (kept - 1.0) / 2.0, "round {round}: values of {kept} samples");
        let scraped = value(&format!("sum(count_over_time(storm_total[{window}s]))"));
        assert!(
            scraped >= seen_scraped,
            "round {round}: {seen_scraped} scraped samples were seen, {scraped} are there"
        );
        if round == rounds {
            ready_after_ms.sort_unstable();
            let part = |hundredths: usize| ready_after_ms[(ready_after_ms.len() - 1) * hundredths / 100];
            report(format_args!(
                "kill -9, {rounds} rounds: {acknowledged} pushed samples acknowledged, {kept} present, none with another \
                 value; {scraped} scraped samples; ready again after {} ms (p50), {} ms (p99)",
                part(50),
                part(99)
            ));
            break;
        }
        // The samples that were stored and not acknowledged count on.
        let mut next = kept as u64;
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let life = Duration::from_millis(150 + (random >> 33) % 700);
        let until = Instant::now() + life;
        let killer = {
            let pid = server.child.id().to_string();
            std::thread::spawn(move || {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                std::process::Command::new("kill").args(["-9", &pid]).status()
            })
        };
        let mut looked = false;
        loop {
            let mut request = RequestEncoder::new();
            request.series(&Labels::from_pairs([("__name__", "pushed")]), &[(now_ms(), next as f64)]);
            match push(server.port, &request) {
                Ok(answer) if answer.status == 204 => {
                    next += 1;
                    acknowledged = acknowledged.max(next);
                }
                Ok(answer) => panic!("round {round}: {} {}", answer.status, answer.text()),
                Err(_) => break,
            }
            if !looked && next % 8 == 7 {
                looked = true;
                let path = format!(
                    "/api/v1/query?query={}",
                    encode(&format!("sum(count_over_time(storm_total[{window}s]))"))
                );
                if let Ok(answer) = get(server.port, &path) {
                    let text =
                        answer.json()["data"]["result"][0]["value"][1].as_str().unwrap_or("0").to_owned();
                    seen_scraped = text.parse().unwrap_or(seen_scraped);
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        killer.join().expect("the killer ends").expect("kill runs");
        server.child.wait().expect("the process is ours");
    }
    stop.store(true, Ordering::Relaxed);
}

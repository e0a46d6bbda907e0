//! A real small disk that fills up under scrapes and remote write: clear errors, no crash, nothing acknowledged lost, also
//! over a restart while it is full, and writes again as soon as there is space.
//!
//! Needs the right to mount a tmpfs; says that it skips where that is missing.

mod peers;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use kymo_model::Labels;
use kymo_remote::RequestEncoder;
use peers::*;

const SERIES: usize = 50;
const SAMPLES_PER_REQUEST: i64 = 40;

/// Pushes requests whose values do not compress.
struct Pusher {
    next_ms: i64,
    random: u64,
    acknowledged: i64,
}

impl Pusher {
    /// One request: acknowledged, or status and text of the refusal.
    fn push(&mut self, port: u16) -> Result<(), (u16, String)> {
        let mut request = RequestEncoder::new();
        for series in 0..SERIES {
            let samples: Vec<(i64, f64)> = (0..SAMPLES_PER_REQUEST)
                .map(|index| {
                    self.random = self
                        .random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (self.next_ms + index, f64::from_bits(self.random >> 2 | 1 << 60))
                })
                .collect();
            request
                .series(&Labels::from_pairs([("__name__", "pushed"), ("s", &series.to_string())]), &samples);
        }
        let answer = push(port, &request).expect("an answer");
        if answer.status != 204 {
            return Err((answer.status, answer.text()));
        }
        self.next_ms += SAMPLES_PER_REQUEST;
        self.acknowledged += SAMPLES_PER_REQUEST * SERIES as i64;
        Ok(())
    }
}

fn present(port: u16) -> f64 {
    vector(port, "sum(count_over_time(pushed[1h]))").first().map_or(0.0, |found| found.1)
}

fn server(dir: &Path, disk: &SmallDisk) -> Program {
    let port = free_port();
    let config = dir.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nscrape_configs: [{{job_name: own, static_configs: [{{targets: [\"127.0.0.1:{port}\"]}}]}}]\n"
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kymo"));
    command
        .arg("serve")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--storage.tsdb.path={}", disk.path.join("data").display()))
        .arg("--web.enable-remote-write-receiver");
    let mut server = Program::start("kymo", port, dir, &mut command);
    server.wait_for("/-/ready");
    server
}

#[test]
fn a_full_disk_stops_writes_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(disk) = SmallDisk::mount(dir.path().join("disk"), "6m") else {
        return;
    };
    let ballast = disk.path.join("ballast");
    fs::write(&ballast, vec![1u8; 3 << 20]).unwrap();
    let mut first = server(dir.path(), &disk);
    let mut pusher = Pusher { next_ms: now_ms() - 600_000, random: 1, acknowledged: 0 };

    let (status, text) = loop {
        if let Err(refusal) = pusher.push(first.port) {
            break refusal;
        }
        assert!(pusher.acknowledged < 10_000_000, "3 MiB hold more than should fit");
    };
    assert!(pusher.acknowledged > 50_000, "only {} samples fit into 3 MiB", pusher.acknowledged);
    // A status at which a sender keeps the samples and tries again, and a text that names the cause and the file.
    assert_eq!(status, 503, "{text}");
    assert!(text.to_lowercase().contains("no space left") && text.contains("wal"), "{text}");
    // Less than a request may still fit; the scrapes take that.
    eventually("scrapes notice", || first.log(), |log| log.to_lowercase().contains("no space left"));

    // It goes on answering, and has what it acknowledged and nothing of what it refused.
    assert_eq!(get(first.port, "/-/healthy").expect("an answer").status, 200);
    assert_eq!(present(first.port), pusher.acknowledged as f64);
    first.kill();
    drop(first);
    let second = server(dir.path(), &disk);
    assert_eq!(present(second.port), pusher.acknowledged as f64, "after a kill on a full disk");
    assert!(!second.log().contains("write-ahead log:"), "{}", second.log());
    // Sealed chunks that no checkpoint named were cut off, which made some room. When that is full, it refuses again.
    let refused = loop {
        if let Err((status, _)) = pusher.push(second.port) {
            break status;
        }
        assert!(pusher.acknowledged < 10_000_000, "3 MiB hold more than should fit");
    };
    assert_eq!(refused, 503);

    // Space returns, and with it the writes; no restart.
    fs::remove_file(&ballast).unwrap();
    let freed = Instant::now();
    let healed = eventually("writes work again", || pusher.push(second.port), Result::is_ok);
    assert_eq!(healed, Ok(()));
    let healed_after = freed.elapsed();
    eventually(
        "scrapes too",
        || vector(second.port, &format!("up{{instance=\"127.0.0.1:{}\"}}", second.port)),
        |up| up.len() == 1 && up[0].1 == 1.0,
    );
    for _ in 0..5 {
        pusher.push(second.port).expect("there is space");
    }
    let mut second = second;
    second.kill();
    let third = server(dir.path(), &disk);
    assert_eq!(present(third.port), pusher.acknowledged as f64, "after a kill with space again");
    report(format_args!(
        "full disk of 6 MB, killed while full, freed, killed again: {} samples acknowledged, {} present; writes again {} ms \
         after there was space",
        pusher.acknowledged,
        present(third.port),
        healed_after.as_millis()
    ));
    assert_eq!(third.stop(), Some(0));
}

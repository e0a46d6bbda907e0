//! Ten samples a second by remote write and one by a scrape; after five seconds the disk of 6 MB is full for fifteen, then there
//! is space for twenty, then kill -9. A pushed sample must be there if it was acknowledged, a scraped one if a query showed it
//! before the end.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use kymo_model::Labels;
use kymo_remote::RequestEncoder;

use crate::peers::*;
use crate::system::System;

const PUSH_EVERY: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const HEALTHY: Duration = Duration::from_secs(5);
const FULL: Duration = Duration::from_secs(15);
const HEALTHY_AGAIN: Duration = Duration::from_secs(20);

/// Pushes sample after sample, each with a value of its own.
struct Pusher {
    next: u64,
    acknowledged: BTreeSet<u64>,
    refused: u64,
    unanswered: u64,
}

impl Pusher {
    /// Gives the time until the first acknowledgement.
    fn push_for(&mut self, port: u16, span: Duration) -> Option<Duration> {
        let (began, mut first) = (Instant::now(), None);
        while began.elapsed() < span {
            let mut request = RequestEncoder::new();
            let labels = Labels::from_pairs([("__name__", "pushed"), ("s", "0")]);
            request.series(&labels, &[(now_ms(), self.next as f64)]);
            match push_within(port, &request, ANSWER_WITHIN) {
                Ok(answer) if answer.status / 100 == 2 => {
                    self.acknowledged.insert(self.next);
                    first.get_or_insert(began.elapsed());
                }
                Ok(_) => self.refused += 1,
                Err(_) => self.unanswered += 1,
            }
            self.next += 1;
            std::thread::sleep(PUSH_EVERY);
        }
        first
    }
}

/// Fills what is left of a disk.
fn fill(ballast: &Path) {
    let mut file = OpenOptions::new().create(true).append(true).open(ballast).expect("a new file");
    for bytes in [1 << 16, 512, 1] {
        while file.write_all(&vec![1u8; bytes]).is_ok() {}
    }
}

/// A target with one metric that says how often it was scraped. It ends with the test.
fn target() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for (scrape, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { continue };
            let body = format!("scraped{{s=\"0\"}} {scrape}\n");
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
            // Who scrapes may be gone already.
            let _ = stream.read(&mut [0u8; 4096]);
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    port
}

pub(crate) fn run(system: System) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(disk) = SmallDisk::mount(dir.path().join("disk"), "6m") else { return };
    let data = disk.path.join("data");
    let target = Some(target());
    let start = || {
        let mut server = system.start(dir.path(), &data, target);
        assert!(system.comes_up(&mut server), "{system}: {}", server.log());
        server
    };
    let values = |port: u16, name: &str| -> BTreeSet<u64> {
        let rows = system.rows(port, name, now_ms() + 1000).unwrap_or_default();
        rows.values().map(|value| *value as u64).collect()
    };
    let mut server = start();
    let mut pusher = Pusher { next: 0, acknowledged: BTreeSet::new(), refused: 0, unanswered: 0 };
    pusher.push_for(server.port, HEALTHY);
    let ballast = disk.path.join("ballast");
    fill(&ballast);
    let before = (pusher.acknowledged.len(), pusher.refused, pusher.unanswered);
    pusher.push_for(server.port, FULL);
    let acked = pusher.acknowledged.len() - before.0;
    let (refused, unanswered) = (pusher.refused - before.1, pusher.unanswered - before.2);
    let lived = server.child.try_wait().is_ok_and(|status| status.is_none());
    std::fs::remove_file(&ballast).expect("the ballast is there");
    if !lived {
        server = start();
    }
    let resumed = pusher.push_for(server.port, HEALTHY_AGAIN);
    let shown = values(server.port, "scraped");
    server.kill();
    let again = start();
    let lost = pusher.acknowledged.difference(&values(again.port, "pushed")).count();
    let scraped_lost = shown.difference(&values(again.port, "scraped")).count();
    report(format_args!(
        "{system}, disk full for 15 s: {acked} acknowledged while full, {refused} refused, {unanswered} without an answer, {}; \
         writes again after {}; after kill -9 {lost} of {} acknowledged samples lost, {scraped_lost} of {} scraped ones",
        if lived { "goes on" } else { "ends by itself, started again" },
        resumed.map_or("never".to_owned(), |after| format!("{} ms", after.as_millis())),
        pusher.acknowledged.len(),
        shown.len(),
    ));
}

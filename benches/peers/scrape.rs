//! Scraping: what taking known series from a target costs each server.
//!
//! A target on loopback serves 10,000 series (`KYMO_PEERS_SCRAPE_SERIES`) as an exporter of a node writes them, with `# HELP` and
//! `# TYPE`, counters that grow, gauges of few decimals and constants. It is scraped ten times a second; once the series are known, the
//! CPU that the server takes is divided by the samples that it has fetched.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::server::{Kind, Server};

const INTERVAL_MS: u64 = 100;
/// Until all series are known, and how long it is measured after that.
const WARM: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(20);

/// What a target says the `scrape`-th time.
fn exposition(series: usize, scrape: u64) -> String {
    let mut text = String::with_capacity(series * 100);
    let families = [
        ("node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode."),
        ("node_disk_read_bytes_total", "counter", "The total number of bytes read successfully."),
        ("node_filesystem_avail_bytes", "gauge", "Filesystem space available to non-root users in bytes."),
        ("node_hwmon_temp_celsius", "gauge", "Hardware monitor for temperature (input)."),
        ("node_systemd_unit_state", "gauge", "Systemd unit."),
    ];
    let each = series / families.len();
    for (family, (name, kind, help)) in families.into_iter().enumerate() {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for number in 0..each {
            let place = number as u64 * 2_654_435_761 % 100_000;
            let moved = (place + scrape * 7919) % 1000;
            let _ = match family {
                0 => writeln!(
                    text,
                    "{name}{{cpu=\"{}\",mode=\"{}\"}} {}.{:02}",
                    number / 8,
                    ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"][number % 8],
                    place + scrape,
                    moved % 100
                ),
                1 => writeln!(
                    text,
                    "{name}{{device=\"nvme{number}n1\"}} {}",
                    place * 4096 + scrape * (place % 77)
                ),
                2 => writeln!(
                    text,
                    "{name}{{device=\"/dev/mapper/vg-{number}\",fstype=\"ext4\",mountpoint=\"/srv/{number}\"}} {:e}",
                    (place * 1_048_576 - moved * 4096 * u64::from(number % 5 == 0)) as f64
                ),
                3 => writeln!(
                    text,
                    "{name}{{chip=\"platform_coretemp_{number}\",sensor=\"temp1\"}} {}",
                    moved / 10
                ),
                _ => writeln!(
                    text,
                    "{name}{{name=\"unit-{number}.service\",state=\"active\",type=\"simple\"}} 1"
                ),
            };
        }
    }
    text
}

/// How often the target was asked since it was made.
struct Target {
    port: u16,
    scrapes: Arc<AtomicU64>,
}

fn target(series: usize) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let scrapes = Arc::new(AtomicU64::new(0));
    let counted = scrapes.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counted = counted.clone();
            std::thread::spawn(move || serve(&stream, series, &counted));
        }
    });
    Target { port, scrapes }
}

/// Answers until the connection ends.
fn serve(mut stream: &TcpStream, series: usize, scrapes: &AtomicU64) -> std::io::Result<()> {
    let mut requests = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if requests.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            let body = exposition(series, scrapes.load(Relaxed));
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes())?;
            stream.write_all(body.as_bytes())?;
            scrapes.fetch_add(1, Relaxed);
        }
    }
}

/// Prints what scraping cost each server.
pub(crate) fn run(kymo: &Kind, peers: &[Kind]) {
    let series =
        std::env::var("KYMO_PEERS_SCRAPE_SERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000) / 5 * 5;
    println!("a target of {series} series in {} bytes, every {INTERVAL_MS} ms", exposition(series, 0).len());
    for kind in [kymo].into_iter().chain(peers) {
        let target = target(series);
        let config = format!(
            "global: {{scrape_interval: {INTERVAL_MS}ms, scrape_timeout: {INTERVAL_MS}ms}}\n\
             scrape_configs: [{{job_name: node, static_configs: [{{targets: ['127.0.0.1:{}']}}]}}]\n",
            target.port
        );
        let server = Server::start_with(kind, &config);
        let from = Instant::now();
        while target.scrapes.load(Relaxed) == 0 {
            assert!(from.elapsed() < Duration::from_secs(60), "{} does not scrape", kind.name());
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(WARM);
        let (scrapes, cpu) = (target.scrapes.load(Relaxed), server.cpu_seconds());
        std::thread::sleep(MEASURED);
        let (scrapes, cpu) = (target.scrapes.load(Relaxed) - scrapes, server.cpu_seconds() - cpu);
        let samples = scrapes as f64 * series as f64;
        println!(
            "{:<10} {scrapes} scrapes  {:.3} CPU s per million samples",
            kind.name(),
            cpu / samples * 1e6
        );
        assert!(scrapes > 0, "{} has stopped scraping", kind.name());
    }
}

//! System: one of the servers that are compared: how it is started, written to and asked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::peers::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Kymo,
    Prometheus,
    VictoriaMetrics,
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

/// Samples by series (its label `s`) and time in milliseconds.
pub(crate) type Rows = BTreeMap<(String, i64), f64>;

impl System {
    pub(crate) const ALL: [System; 3] = [System::Kymo, System::Prometheus, System::VictoriaMetrics];

    fn program(self) -> &'static str {
        match self {
            System::Kymo => "kymo",
            System::Prometheus => "prometheus",
            System::VictoriaMetrics => "victoria-metrics",
        }
    }

    pub(crate) fn is_installed(self) -> bool {
        self == System::Kymo || installed(self.program())
    }

    /// Starts it on a data directory; its log goes to `dir`. It scrapes a target each second, if there is one.
    pub(crate) fn start(self, dir: &Path, data: &Path, target: Option<u16>) -> Program {
        let (port, data) = (free_port(), data.display());
        let config = dir.join("prometheus.yml");
        let job = |port| format!("{{job_name: t, static_configs: [{{targets: [\"127.0.0.1:{port}\"]}}]}}");
        let text = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs: [{}]\n",
            target.map(job).unwrap_or_default()
        );
        std::fs::write(&config, text).expect("a file in a temporary directory");
        let config = config.display();
        let words = match self {
            System::Kymo => format!(
                "serve --config.file={config} --web.listen-address=127.0.0.1:{port} --storage.tsdb.path={data} \
                 --web.enable-remote-write-receiver --log.level=warn"
            ),
            System::Prometheus => format!(
                "--config.file={config} --web.listen-address=127.0.0.1:{port} --storage.tsdb.path={data} \
                 --web.enable-remote-write-receiver --log.level=warn"
            ),
            System::VictoriaMetrics => format!(
                "-httpListenAddr=127.0.0.1:{port} -storageDataPath={data} -retentionPeriod=1y -loggerLevel=WARN \
                 -search.latencyOffset=0s -storage.minFreeDiskSpaceBytes=1 -promscrape.config={config}"
            ),
        };
        let mut command = match self {
            System::Kymo => Command::new(env!("CARGO_BIN_EXE_kymo")),
            _ => Command::new(self.program()),
        };
        command.args(words.split_whitespace()).current_dir(dir);
        Program::start(self.program(), port, dir, &mut command)
    }

    /// Waits until it answers; `false` when it ends instead.
    pub(crate) fn comes_up(self, server: &mut Program) -> bool {
        let path = if self == System::VictoriaMetrics { "/health" } else { "/-/ready" };
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            if get(server.port, path).is_ok_and(|answer| answer.status == 200) {
                return true;
            }
            if let Ok(Some(_)) = server.child.try_wait() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// All samples of a selector in the hour before `end_ms`; `None` when the query fails.
    pub(crate) fn rows(self, port: u16, selector: &str, end_ms: i64) -> Option<Rows> {
        let query = encode(&format!("{selector}[1h]"));
        let path = format!("/api/v1/query?query={query}&time={}", end_ms as f64 / 1000.0);
        let answer = get(port, &path).ok().filter(|answer| answer.status == 200)?;
        let mut rows = Rows::new();
        let json: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        for series in json["data"]["result"].as_array()? {
            let name = series["metric"]["s"].as_str().unwrap_or_default();
            for point in series["values"].as_array()? {
                let t_ms = (point[0].as_f64()? * 1000.0).round() as i64;
                let value = point[1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
                rows.insert((name.to_owned(), t_ms), value);
            }
        }
        Some(rows)
    }
}

/// How many lines of a log complain of something.
pub(crate) fn complaints(log: &str) -> usize {
    const WORDS: [&str; 8] = ["warn", "error", "corrupt", "checksum", "panic", "fatal", "damaged", "cannot"];
    let lines = log.lines().map(str::to_ascii_lowercase);
    lines.filter(|line| WORDS.iter().any(|word| line.contains(word))).count()
}

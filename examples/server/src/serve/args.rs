//! Flags of `kymo serve`: Prometheus' words, and the few of our own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kymo_model::{format_duration, parse_duration};

/// Flags of `kymo serve`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// Prometheus configuration file. Without one, the server scrapes itself every 15 s.
    #[arg(long = "config.file", value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,

    /// Directory of the database.
    #[arg(long = "storage.tsdb.path", value_name = "DIR", default_value = "data/")]
    pub(crate) storage_path: PathBuf,

    /// How long samples are kept, counted back from the newest one of their series; once nobody has written to a series for
    /// an hour, from the newest one of all.
    #[arg(long = "storage.tsdb.retention.time", value_name = "DURATION", default_value = "15d", value_parser = duration)]
    pub(crate) retention_time: DurationMs,

    /// How many bytes all files may take together (512MB, 10GB; units of 1024); 0 for no limit.
    #[arg(long = "storage.tsdb.retention.size", value_name = "BYTES", default_value = "0", value_parser = bytes)]
    pub(crate) retention_size: Bytes,

    /// When a write is safe against power loss. Against the end of the process it always is.
    #[arg(long = "storage.tsdb.sync", value_enum, default_value_t = Sync::Interval)]
    pub(crate) sync: Sync,

    /// How much older than the newest sample of its series a sample may be; a configuration file's
    /// storage.tsdb.out_of_order_time_window comes first.
    #[arg(long = "storage.tsdb.out-of-order-time-window", value_name = "DURATION", default_value = "30m", value_parser = duration)]
    pub(crate) out_of_order_window: DurationMs,

    /// How many series there may be; series that exist go on.
    #[arg(long = "storage.tsdb.max-series", value_name = "N", default_value_t = 5_000_000)]
    pub(crate) series_max: usize,

    /// Address to listen on.
    #[arg(long = "web.listen-address", value_name = "HOST:PORT", default_value = "127.0.0.1:9090")]
    pub(crate) listen_address: String,

    /// The URL under which others reach this server; for links in alerts.
    #[arg(long = "web.external-url", value_name = "URL", default_value = "")]
    pub(crate) external_url: String,

    /// How many connections are served at once.
    #[arg(long = "web.max-connections", value_name = "N", default_value_t = 512)]
    pub(crate) max_connections: usize,

    /// Accepted so that command lines carry over: consoles are not served, and a warning says so.
    #[arg(long = "web.console.templates", value_name = "DIR")]
    pub(crate) console_templates: Option<PathBuf>,

    /// Accepted so that command lines carry over: consoles are not served, and a warning says so.
    #[arg(long = "web.console.libraries", value_name = "DIR")]
    pub(crate) console_libraries: Option<PathBuf>,

    /// Take remote write at /api/v1/write.
    #[arg(long = "web.enable-remote-write-receiver")]
    pub(crate) enable_remote_write_receiver: bool,

    /// Allow the admin API (the database does not delete series or take snapshots yet, and answers so).
    #[arg(long = "web.enable-admin-api")]
    pub(crate) enable_admin_api: bool,

    /// Allow /-/reload and /-/quit.
    #[arg(long = "web.enable-lifecycle")]
    pub(crate) enable_lifecycle: bool,

    /// How long a sample stands for its series after its time.
    #[arg(long = "query.lookback-delta", value_name = "DURATION", default_value = "5m", value_parser = positive_duration)]
    pub(crate) lookback_delta: DurationMs,

    /// How long a query may run.
    #[arg(long = "query.timeout", value_name = "DURATION", default_value = "2m", value_parser = positive_duration)]
    pub(crate) query_timeout: DurationMs,

    /// How many samples a query may hold in memory.
    #[arg(long = "query.max-samples", value_name = "N", default_value_t = 50_000_000)]
    pub(crate) max_samples: usize,

    /// How many queries run at once.
    #[arg(long = "query.max-concurrency", value_name = "N", default_value_t = 20)]
    pub(crate) max_concurrency: usize,

    /// Only log messages of this severity and above.
    #[arg(long = "log.level", value_enum, default_value_t = LogLevel::Info)]
    pub(crate) log_level: LogLevel,
}

/// When written data is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sync {
    /// Before a write is acknowledged.
    Always,
    /// Within one second.
    Interval,
    /// When the operating system likes.
    Never,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DurationMs(pub(crate) i64);

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

fn duration(text: &str) -> Result<DurationMs, String> {
    parse_duration(text).map(DurationMs).map_err(|error| error.to_string())
}

fn positive_duration(text: &str) -> Result<DurationMs, String> {
    match duration(text)? {
        DurationMs(ms) if ms > 0 => Ok(DurationMs(ms)),
        _ => Err("expected a duration above zero".to_owned()),
    }
}

/// Prometheus' units: powers of 1024, with or without an `i`.
fn bytes(text: &str) -> Result<Bytes, String> {
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text.split_at(digits);
    let number: f64 =
        number.parse().map_err(|_| format!("expected a number of bytes such as 10GB, found {text:?}"))?;
    let power = match unit.to_ascii_uppercase().replace("IB", "B").as_str() {
        "" | "B" => 0,
        "KB" => 1,
        "MB" => 2,
        "GB" => 3,
        "TB" => 4,
        "PB" => 5,
        "EB" => 6,
        _ => return Err(format!("expected a unit of B, KB, MB, GB, TB, PB, EB, found {unit:?}")),
    };
    let bytes = number * 1024f64.powi(power);
    if bytes >= u64::MAX as f64 { Err(format!("{text:?} is too large")) } else { Ok(Bytes(bytes as u64)) }
}

impl ServeArgs {
    /// Retention in Prometheus' words.
    pub(crate) fn retention_text(&self) -> String {
        let time = format_duration(self.retention_time.0);
        match self.retention_size.0 {
            0 => time,
            size => format!("{time} or {size}B"),
        }
    }

    /// Every flag with its value, for /api/v1/status/flags.
    pub(crate) fn flags(&self) -> BTreeMap<&'static str, String> {
        let word = |value: &dyn std::fmt::Debug| format!("{value:?}").to_ascii_lowercase();
        let path = |path: &PathBuf| path.display().to_string();
        BTreeMap::from([
            ("config.file", self.config_file.as_ref().map_or_else(String::new, path)),
            ("storage.tsdb.path", path(&self.storage_path)),
            ("storage.tsdb.retention.time", format_duration(self.retention_time.0)),
            ("storage.tsdb.retention.size", format!("{}B", self.retention_size.0)),
            ("storage.tsdb.sync", word(&self.sync)),
            ("storage.tsdb.out-of-order-time-window", format_duration(self.out_of_order_window.0)),
            ("storage.tsdb.max-series", self.series_max.to_string()),
            ("web.listen-address", self.listen_address.clone()),
            ("web.external-url", self.external_url.clone()),
            ("web.max-connections", self.max_connections.to_string()),
            ("web.console.templates", self.console_templates.as_ref().map_or_else(String::new, path)),
            ("web.console.libraries", self.console_libraries.as_ref().map_or_else(String::new, path)),
            ("web.enable-remote-write-receiver", self.enable_remote_write_receiver.to_string()),
            ("web.enable-admin-api", self.enable_admin_api.to_string()),
            ("web.enable-lifecycle", self.enable_lifecycle.to_string()),
            ("query.lookback-delta", format_duration(self.lookback_delta.0)),
            ("query.timeout", format_duration(self.query_timeout.0)),
            ("query.max-samples", self.max_samples.to_string()),
            ("query.max-concurrency", self.max_concurrency.to_string()),
            ("log.level", word(&self.log_level)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [("0", 0), ("512MB", 512 << 20), ("10GiB", 10 << 30), ("1.5KB", 1536), ("7B", 7)]
        {
            assert_eq!(bytes(text), Ok(Bytes(size)), "{text}");
        }
        for bad in ["", "GB", "10XB", "-1B", "99999EB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}

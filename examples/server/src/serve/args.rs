//! Flags of `kymo serve`: Prometheus' words, and the few of our own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use kymo_model::{Regex, format_duration, parse_duration};
use kymo_tsdb::LabelBound;

use super::carried::CarriedFlags;
use super::logging::{LogFormat, LogLevel};

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
    /// an hour, from the newest one of all. 15d unless this or a size is given.
    #[arg(long = "storage.tsdb.retention.time", value_name = "DURATION", value_parser = duration)]
    retention_time: Option<DurationMs>,

    /// The same by its old name.
    #[arg(long = "storage.tsdb.retention", value_name = "DURATION", value_parser = duration, hide = true)]
    retention_by_old_name: Option<DurationMs>,

    /// How many bytes all files may take together (512MB, 10GB; units of 1024); 0 for no limit.
    #[arg(long = "storage.tsdb.retention.size", value_name = "BYTES", default_value = "0", value_parser = bytes)]
    pub(crate) retention_size: Bytes,

    /// How long the blocks are that the newest samples are cut into; multiples of 2h.
    #[arg(long = "storage.tsdb.min-block-duration", value_name = "DURATION", default_value = "2h", value_parser = positive_duration)]
    pub(crate) block_duration_min: DurationMs,

    /// How long blocks may grow by compaction; a tenth of the retention, at most 31d, unless given.
    #[arg(long = "storage.tsdb.max-block-duration", value_name = "DURATION", value_parser = positive_duration)]
    pub(crate) block_duration_max: Option<DurationMs>,

    /// Blocks whose newest sample is this much older than the newest of all become cold: a fourth of the bytes, which only kymo
    /// reads; snapshots are Prometheus' blocks all the same. Never, unless given.
    #[arg(long = "storage.tsdb.cold-after", value_name = "DURATION", value_parser = positive_duration)]
    pub(crate) cold_after: Option<DurationMs>,

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

    /// How many series of one metric name there may be, so that one metric cannot use up the others' room; 0 for no limit.
    #[arg(long = "storage.tsdb.max-series-per-name", value_name = "N", default_value_t = 0)]
    pub(crate) series_per_name_max: usize,

    /// How many series may have one value of a label (`job=10000`): of each job, each tenant. Can be repeated.
    #[arg(long = "storage.tsdb.max-series-per-label", value_name = "LABEL=N", value_parser = label_bound)]
    pub(crate) series_per_label_max: Vec<LabelBound>,

    /// So many bytes stay free on the disk (512MB, 10GB); samples that would leave less are refused. 0 for none.
    #[arg(long = "storage.tsdb.disk-reserve", value_name = "BYTES", default_value = "0", value_parser = bytes)]
    pub(crate) disk_reserve: Bytes,

    /// Whether to make blocks of the log and head that a Prometheus left in the data directory, before there is a database.
    #[arg(long = "storage.tsdb.prometheus-import", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub(crate) prometheus_import: bool,

    /// Address to listen on. Can be repeated.
    #[arg(long = "web.listen-address", value_name = "HOST:PORT", default_value = "127.0.0.1:9090")]
    pub(crate) listen_addresses: Vec<String>,

    /// The URL under which others reach this server: for links in alerts, and its path is where the routes are.
    #[arg(long = "web.external-url", value_name = "URL", default_value = "")]
    pub(crate) external_url: String,

    /// Where the routes are instead.
    #[arg(long = "web.route-prefix", value_name = "PATH")]
    pub(crate) route_prefix: Option<String>,

    /// How long a client may take to send a request, and a connection may be idle.
    #[arg(long = "web.read-timeout", value_name = "DURATION", default_value = "5m", value_parser = positive_duration)]
    pub(crate) read_timeout: DurationMs,

    /// Origins whose pages browsers may let read answers: an anchored regex.
    #[arg(long = "web.cors.origin", value_name = "REGEX", default_value = ".*", value_parser = regex)]
    pub(crate) cors_origin: Regex,

    /// Title of the page at /query.
    #[arg(
        long = "web.page-title",
        value_name = "TEXT",
        default_value = "Prometheus Time Series Collection and Processing Server"
    )]
    pub(crate) page_title: String,

    /// How many clients may listen to notifications at once.
    #[arg(long = "web.max-notifications-subscribers", value_name = "N", default_value_t = 16)]
    pub(crate) notification_subscribers: usize,

    /// How many connections are served at once.
    #[arg(long = "web.max-connections", value_name = "N", default_value_t = 512)]
    pub(crate) max_connections: usize,

    /// Take remote write at /api/v1/write.
    #[arg(long = "web.enable-remote-write-receiver")]
    pub(crate) enable_remote_write_receiver: bool,

    /// Which messages of remote write are taken: prometheus.WriteRequest.
    #[arg(
        long = "web.remote-write-receiver.accepted-protobuf-messages",
        value_name = "MESSAGE",
        default_value = WRITE_REQUEST,
        value_parser = write_message
    )]
    accepted_messages: Vec<String>,

    /// How many samples remote read gives in one answer that is not streamed; 0 for any number.
    #[arg(long = "storage.remote.read-sample-limit", value_name = "N", default_value = "5e7", value_parser = whole_number)]
    pub(crate) read_sample_limit: usize,

    /// How many remote reads are answered at once; 0 for any number.
    #[arg(long = "storage.remote.read-concurrent-limit", value_name = "N", default_value_t = 10)]
    pub(crate) read_concurrent_limit: usize,

    /// How large a frame of a streamed remote read is.
    #[arg(
        long = "storage.remote.read-max-bytes-in-frame",
        value_name = "BYTES",
        default_value_t = 1_048_576
    )]
    pub(crate) read_frame_bytes: usize,

    /// The longest outage after which the state of alerts is restored.
    #[arg(long = "rules.alert.for-outage-tolerance", value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub(crate) for_outage_tolerance: DurationMs,

    /// The least time between a restart and an alert that was pending before it.
    #[arg(long = "rules.alert.for-grace-period", value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub(crate) for_grace_period: DurationMs,

    /// Allow the admin API: deleting series, cleaning up after that, taking snapshots.
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

    /// How many samples a query may read, all its selectors together; 0 for any number.
    #[arg(long = "query.max-samples-read", value_name = "N", default_value_t = 5_000_000_000)]
    pub(crate) query_max_samples_read: u64,

    /// How many series a query may read, all its selectors together; 0 for any number.
    #[arg(long = "query.max-series", value_name = "N", default_value_t = 5_000_000)]
    pub(crate) query_max_series: usize,

    /// How many bytes of columns a query may hold in memory.
    #[arg(long = "query.max-bytes", value_name = "BYTES", default_value = "2GB", value_parser = bytes)]
    pub(crate) query_max_bytes: Bytes,

    /// How many bytes all queries that run may hold together, those of rules among them; 0 for any number. A query that would
    /// hold more is refused.
    #[arg(long = "query.max-bytes-all", value_name = "BYTES", default_value = "3GB", value_parser = bytes)]
    pub(crate) query_max_bytes_all: Bytes,

    /// How many queries run at once.
    #[arg(long = "query.max-concurrency", value_name = "N", default_value_t = 20)]
    pub(crate) max_concurrency: usize,

    /// How many threads work on a large query (kymo's own flag); 0 for as many as there are processors.
    #[arg(long = "query.threads", value_name = "N", default_value_t = 0)]
    pub(crate) query_threads: usize,

    /// Features to switch on, by Prometheus' names, with commas between them. Can be repeated.
    #[arg(long = "enable-feature", value_name = "NAMES")]
    pub(crate) features: Vec<String>,

    /// How often the configuration's files are looked at, with --enable-feature=auto-reload-config.
    #[arg(long = "config.auto-reload-interval", value_name = "DURATION", default_value = "30s", value_parser = positive_duration)]
    pub(crate) auto_reload_interval: DurationMs,

    #[command(flatten)]
    pub(crate) carried: CarriedFlags,

    /// Only log messages of this severity and above.
    #[arg(long = "log.level", value_enum, default_value_t = LogLevel::Info)]
    pub(crate) log_level: LogLevel,

    /// How log messages are written.
    #[arg(long = "log.format", value_enum, default_value_t = LogFormat::Logfmt)]
    pub(crate) log_format: LogFormat,
}

/// The message of remote write 1.0.
const WRITE_REQUEST: &str = "prometheus.WriteRequest";

/// Blocks are as long as this or a multiple of it.
const BLOCK_DURATION_STEP_MS: i64 = 2 * 3_600_000;

/// How long samples are kept where neither a time nor a size is given.
const RETENTION_DEFAULT_MS: i64 = 15 * 86_400_000;

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

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DurationMs(pub(crate) i64);

impl Bytes {
    /// In memory.
    pub(crate) fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl DurationMs {
    /// The same for the standard library; never below zero.
    pub(crate) fn duration(self) -> Duration {
        Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

fn duration(text: &str) -> Result<DurationMs, String> {
    parse_duration(text).map(DurationMs).map_err(|error| error.to_string())
}

fn label_bound(text: &str) -> Result<LabelBound, String> {
    let bound = text.split_once('=').filter(|(name, _)| !name.is_empty()).and_then(|(name, number)| {
        Some(LabelBound { name: name.to_owned(), series_max: number.parse().ok()? })
    });
    bound.ok_or_else(|| format!("expected a label and a number of series such as job=10000, found {text:?}"))
}

fn positive_duration(text: &str) -> Result<DurationMs, String> {
    match duration(text)? {
        DurationMs(ms) if ms > 0 => Ok(DurationMs(ms)),
        _ => Err("expected a duration above zero".to_owned()),
    }
}

fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| error.to_string())
}

/// A whole number, also as Prometheus writes its own default: `5e7`.
fn whole_number(text: &str) -> Result<usize, String> {
    match text.parse::<f64>() {
        Ok(number) if number >= 0.0 && number.fract() == 0.0 && number < 9e15 => Ok(number as usize),
        _ => Err("expected a whole number from 0".to_owned()),
    }
}

fn write_message(text: &str) -> Result<String, String> {
    match text {
        WRITE_REQUEST | "io.prometheus.write.v2.Request" => Ok(text.to_owned()),
        _ => Err(format!("expected {WRITE_REQUEST}")),
    }
}

/// Prometheus' units: powers of 1024, with or without an `i`.
pub(crate) fn bytes(text: &str) -> Result<Bytes, String> {
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

/// Bytes in the largest units that say them exactly, as Go's: `512MiB`, `1GiB512MiB`.
pub(crate) fn format_bytes(bytes: u64) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    for (power, unit) in [(6, "EiB"), (5, "PiB"), (4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB"), (0, "B")] {
        let size = 1024u64.pow(power);
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() { "0B".to_owned() } else { text }
}

/// Retention in Prometheus' words: `15d`, `15d or 10GiB`.
pub(crate) fn retention_text(time_ms: i64, size_bytes: u64) -> String {
    match (time_ms, size_bytes) {
        (0, size) => format_bytes(size),
        (time, 0) => format_duration(time),
        (time, size) => format!("{} or {}", format_duration(time), format_bytes(size)),
    }
}

impl ServeArgs {
    /// How long samples are kept, as the flags say it; 0 for as long as there is room.
    pub(crate) fn retention_time_ms(&self) -> i64 {
        let given = self.retention_time.or(self.retention_by_old_name).map_or(0, |time| time.0);
        if given == 0 && self.retention_size.0 == 0 { RETENTION_DEFAULT_MS } else { given }
    }

    /// How long blocks may grow, as the flags say it.
    fn block_duration_max_ms(&self) -> i64 {
        const LONGEST_MS: i64 = 31 * 86_400_000;
        let of_retention = match self.retention_time_ms() {
            0 => LONGEST_MS,
            time_ms => (time_ms / 10).min(LONGEST_MS),
        };
        self.block_duration_max.map_or(of_retention, |max| max.0)
    }

    /// What should be known of flags that do not do what they say; the error is why the server does not start.
    pub(crate) fn judge(&self) -> Result<Vec<String>, String> {
        let mut warnings = self.carried.judge()?;
        if self.retention_by_old_name.is_some() {
            warnings
                .push("--storage.tsdb.retention is deprecated, use --storage.tsdb.retention.time".to_owned());
        }
        let (min, max) = (self.block_duration_min.0, self.block_duration_max);
        if max.is_some_and(|max| max.0 < min) {
            return Err(
                "--storage.tsdb.max-block-duration must not be below --storage.tsdb.min-block-duration"
                    .to_owned(),
            );
        }
        if min % BLOCK_DURATION_STEP_MS != 0 {
            let taken = (min / BLOCK_DURATION_STEP_MS + 1).saturating_mul(BLOCK_DURATION_STEP_MS);
            warnings.push(format!(
                "--storage.tsdb.min-block-duration={} is taken as {}: blocks are multiples of 2h long",
                format_duration(min),
                format_duration(taken)
            ));
        }
        if !self.accepted_messages.iter().any(|message| message == WRITE_REQUEST) {
            let flag = "--web.remote-write-receiver.accepted-protobuf-messages";
            return Err(format!(
                "{flag}: this server takes {WRITE_REQUEST} (remote write 1.0) and nothing else"
            ));
        }
        if self.accepted_messages.len() > 1 {
            warnings.push(format!(
                "remote write is taken as {WRITE_REQUEST} (1.0) only; senders fall back to it"
            ));
        }
        Ok(warnings)
    }

    /// Every flag with its value, for /api/v1/status/flags.
    pub(crate) fn flags(&self) -> BTreeMap<&'static str, String> {
        let word = |value: &dyn std::fmt::Debug| format!("{value:?}").to_ascii_lowercase();
        let path = |path: &PathBuf| path.display().to_string();
        let own = [
            ("config.file", self.config_file.as_ref().map_or_else(String::new, path)),
            ("storage.tsdb.path", path(&self.storage_path)),
            ("storage.tsdb.retention.time", format_duration(self.retention_time.map_or(0, |time| time.0))),
            ("storage.tsdb.retention.size", format_bytes(self.retention_size.0)),
            ("storage.tsdb.min-block-duration", format_duration(self.block_duration_min.0)),
            ("storage.tsdb.max-block-duration", format_duration(self.block_duration_max_ms())),
            ("storage.tsdb.cold-after", format_duration(self.cold_after.map_or(0, |after| after.0))),
            ("storage.tsdb.sync", word(&self.sync)),
            ("storage.tsdb.out-of-order-time-window", format_duration(self.out_of_order_window.0)),
            ("storage.tsdb.max-series", self.series_max.to_string()),
            ("storage.tsdb.max-series-per-name", self.series_per_name_max.to_string()),
            (
                "storage.tsdb.max-series-per-label",
                self.series_per_label_max
                    .iter()
                    .map(|bound| format!("{}={}", bound.name, bound.series_max))
                    .collect::<Vec<_>>()
                    .join(","),
            ),
            ("storage.tsdb.disk-reserve", format_bytes(self.disk_reserve.0)),
            ("storage.tsdb.prometheus-import", self.prometheus_import.to_string()),
            ("web.listen-address", self.listen_addresses.join(",")),
            ("web.external-url", self.external_url.clone()),
            ("web.route-prefix", self.route_prefix.clone().unwrap_or_default()),
            ("web.read-timeout", format_duration(self.read_timeout.0)),
            ("web.cors.origin", self.cors_origin.pattern().to_owned()),
            ("web.page-title", self.page_title.clone()),
            ("web.max-notifications-subscribers", self.notification_subscribers.to_string()),
            ("web.remote-write-receiver.accepted-protobuf-messages", self.accepted_messages.join(",")),
            ("storage.remote.read-sample-limit", self.read_sample_limit.to_string()),
            ("storage.remote.read-concurrent-limit", self.read_concurrent_limit.to_string()),
            ("storage.remote.read-max-bytes-in-frame", self.read_frame_bytes.to_string()),
            ("rules.alert.for-outage-tolerance", format_duration(self.for_outage_tolerance.0)),
            ("rules.alert.for-grace-period", format_duration(self.for_grace_period.0)),
            ("enable-feature", self.features.join(",")),
            ("config.auto-reload-interval", format_duration(self.auto_reload_interval.0)),
            ("log.format", word(&self.log_format)),
            ("web.max-connections", self.max_connections.to_string()),
            ("web.enable-remote-write-receiver", self.enable_remote_write_receiver.to_string()),
            ("web.enable-admin-api", self.enable_admin_api.to_string()),
            ("web.enable-lifecycle", self.enable_lifecycle.to_string()),
            ("query.lookback-delta", format_duration(self.lookback_delta.0)),
            ("query.timeout", format_duration(self.query_timeout.0)),
            ("query.max-samples", self.max_samples.to_string()),
            ("query.max-samples-read", self.query_max_samples_read.to_string()),
            ("query.max-series", self.query_max_series.to_string()),
            ("query.max-bytes", format_bytes(self.query_max_bytes.0)),
            ("query.max-bytes-all", format_bytes(self.query_max_bytes_all.0)),
            ("query.max-concurrency", self.max_concurrency.to_string()),
            ("query.threads", self.query_threads.to_string()),
            ("log.level", word(&self.log_level)),
        ];
        own.into_iter().chain(self.carried.values()).collect()
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
        for (size, text) in [(0, "0B"), (512 << 20, "512MiB"), (1536, "1KiB512B"), (10 << 30, "10GiB")] {
            assert_eq!(format_bytes(size), text);
        }
    }

    #[test]
    fn retention() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: ServeArgs,
        }
        let read = |flags: &[&str]| {
            let flags = ["kymo"].iter().chain(flags);
            <Cli as clap::Parser>::try_parse_from(flags).map(|cli| cli.args).expect("good flags")
        };
        const DAY: i64 = 86_400_000;
        for (flags, time_ms, text) in [
            (&[][..], 15 * DAY, "15d"),
            (&["--storage.tsdb.retention.time=0s"], 15 * DAY, "15d"),
            (&["--storage.tsdb.retention.time=1d"], DAY, "1d"),
            (&["--storage.tsdb.retention=2d"], 2 * DAY, "2d"),
            (&["--storage.tsdb.retention=2d", "--storage.tsdb.retention.time=1d"], DAY, "1d"),
            (&["--storage.tsdb.retention.size=10GB"], 0, "10GiB"),
            (&["--storage.tsdb.retention.size=1GB", "--storage.tsdb.retention.time=1d"], DAY, "1d or 1GiB"),
        ] {
            let args = read(flags);
            assert_eq!(args.retention_time_ms(), time_ms, "{flags:?}");
            assert_eq!(retention_text(args.retention_time_ms(), args.retention_size.0), text, "{flags:?}");
        }
    }
}

//! Views: what the status endpoints show, as plain structs that any program can fill.

use kymo_model::{Labels, Metadata, Timestamp};

/// Is a target well?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetHealth {
    /// The last scrape succeeded.
    Up,
    /// The last scrape failed.
    Down,
    /// Not scraped yet.
    Unknown,
}

impl TargetHealth {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            TargetHealth::Up => "up",
            TargetHealth::Down => "down",
            TargetHealth::Unknown => "unknown",
        }
    }
}

/// A target that is scraped.
#[derive(Clone, Debug)]
pub struct ActiveTarget {
    /// Labels before relabelling.
    pub discovered_labels: Labels,
    /// Labels after relabelling, as its series carry them.
    pub labels: Labels,
    /// The scrape configuration it comes from.
    pub scrape_pool: String,
    /// What is fetched.
    pub scrape_url: String,
    /// The same as others see it.
    pub global_url: String,
    /// Why the last scrape failed; empty when it did not.
    pub last_error: String,
    /// When the last scrape began; `None` before the first.
    pub last_scrape: Option<Timestamp>,
    /// How long it took, in seconds.
    pub last_scrape_duration_seconds: f64,
    /// Is it well?
    pub health: TargetHealth,
    /// Its interval in milliseconds.
    pub scrape_interval_ms: i64,
    /// Its timeout in milliseconds.
    pub scrape_timeout_ms: i64,
}

/// A target that relabelling dropped.
#[derive(Clone, Debug)]
pub struct DroppedTarget {
    /// Labels before relabelling.
    pub discovered_labels: Labels,
    /// The scrape configuration it comes from.
    pub scrape_pool: String,
}

/// What one target says about one metric family.
#[derive(Clone, Debug)]
pub struct MetadataEntry {
    /// The labels of the target.
    pub target: Labels,
    /// The family.
    pub metric: String,
    /// What it says.
    pub metadata: Metadata,
}

/// A rule group.
#[derive(Clone, Debug)]
pub struct RuleGroupView {
    /// Its name, distinct within its file.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Its interval in seconds.
    pub interval_seconds: f64,
    /// The largest number of alerts or series a rule of it may give; 0 for no limit.
    pub limit: usize,
    /// How long the last evaluation took, in seconds.
    pub evaluation_seconds: f64,
    /// When it was last evaluated.
    pub last_evaluation: Option<Timestamp>,
    /// Its rules in order.
    pub rules: Vec<RuleView>,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct RuleView {
    /// The name of the alert or of the recorded metric.
    pub name: String,
    /// The expression.
    pub query: String,
    /// Its labels: templates for alerts.
    pub labels: Vec<(String, String)>,
    /// `ok`, `err` or `unknown`.
    pub health: String,
    /// Why the last evaluation failed; empty when it did not.
    pub last_error: String,
    /// How long the last evaluation took, in seconds.
    pub evaluation_seconds: f64,
    /// When it was last evaluated.
    pub last_evaluation: Option<Timestamp>,
    /// Recording or alerting.
    pub kind: RuleKindView,
}

impl RuleView {
    /// The alerts of an alerting rule.
    pub fn alerts(&self) -> &[AlertView] {
        match &self.kind {
            RuleKindView::Recording => &[],
            RuleKindView::Alerting { alerts, .. } => alerts,
        }
    }
}

/// What only one kind of rule has.
#[derive(Clone, Debug)]
pub enum RuleKindView {
    /// Records a metric.
    Recording,
    /// Raises alerts.
    Alerting {
        /// `inactive`, `pending` or `firing`.
        state: String,
        /// `for`, in seconds.
        hold_seconds: f64,
        /// `keep_firing_for`, in seconds.
        keep_firing_seconds: f64,
        /// Its annotations: templates.
        annotations: Vec<(String, String)>,
        /// Its active alerts.
        alerts: Vec<AlertView>,
    },
}

/// An active alert.
#[derive(Clone, Debug)]
pub struct AlertView {
    /// Its labels, expanded.
    pub labels: Labels,
    /// Its annotations, expanded.
    pub annotations: Vec<(String, String)>,
    /// `pending` or `firing`.
    pub state: String,
    /// Since when its expression holds.
    pub active_at: Timestamp,
    /// Since when it is only kept firing.
    pub keep_firing_since: Option<Timestamp>,
    /// The value of its expression.
    pub value: f64,
}

/// What was built.
#[derive(Clone, Debug)]
pub struct BuildInfo {
    /// The version clients should judge abilities by.
    pub version: String,
    /// The commit.
    pub revision: String,
    /// The branch.
    pub branch: String,
    /// Who built it.
    pub build_user: String,
    /// When.
    pub build_date: String,
    /// What it was built with.
    pub runtime_version: String,
}

/// The state of the process.
#[derive(Clone, Debug)]
pub struct RuntimeInfo {
    /// When it started.
    pub start: Timestamp,
    /// Where it was started.
    pub cwd: String,
    /// The name of the machine.
    pub hostname: String,
    /// Did the last reload succeed?
    pub reload_config_success: bool,
    /// When the last successful reload was.
    pub last_config: Timestamp,
    /// Damaged records met while the data was opened.
    pub corruption_count: u64,
    /// Threads that run queries.
    pub threads: usize,
    /// Retention in Prometheus' words: `15d`, `15d or 10GiB`.
    pub storage_retention: String,
}

/// How far the write-ahead log is read, in numbers of its segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalReplay {
    /// The first segment.
    pub min: u64,
    /// The last segment.
    pub max: u64,
    /// The segment that is read.
    pub current: u64,
}

/// What a part of the server can do, by Prometheus' names.
#[derive(Clone, Debug)]
pub struct FeatureGroup {
    /// The part: `tsdb`, `rules`.
    pub name: &'static str,
    /// Its features; `false` is known and not on, or not there.
    pub features: Vec<(&'static str, bool)>,
}

/// A name and a number.
#[derive(Clone, Debug)]
pub struct NameCount {
    /// The name.
    pub name: String,
    /// The number.
    pub value: u64,
}

/// Where the series of the head come from.
#[derive(Clone, Debug, Default)]
pub struct CardinalityStats {
    /// Series in the head.
    pub series: u64,
    /// Distinct label pairs.
    pub label_pairs: u64,
    /// Chunks in the head.
    pub chunks: u64,
    /// Earliest sample of the head, in milliseconds.
    pub min_time_ms: i64,
    /// Latest sample of the head, in milliseconds.
    pub max_time_ms: i64,
    /// Metric names with the most series.
    pub series_by_metric: Vec<NameCount>,
    /// Labels with the most values.
    pub values_by_label: Vec<NameCount>,
    /// Labels whose values take the most bytes.
    pub bytes_by_label: Vec<NameCount>,
    /// Label pairs (`name=value`) with the most series.
    pub series_by_pair: Vec<NameCount>,
}

//! Api: what stands behind the endpoints. Parts that are absent answer as an empty Prometheus would.

use std::sync::Arc;
use std::time::Duration;

use kymo_model::{
    ExemplarQueryable, Labels, Matcher, MetadataQueryable, Queryable, Regex, StoreError, TimeRange,
};
use kymo_promql::Engine;
use kymo_promql_syntax::Parser;
use tokio::sync::Semaphore;

use crate::notifications::Notifications;
use crate::views::{
    ActiveTarget, AlertView, BuildInfo, CardinalityStats, DroppedTarget, FeatureGroup, MetadataEntry,
    RuleGroupView, RuntimeInfo, WalReplay,
};

/// Bounds of the API.
#[derive(Clone, Debug)]
pub struct ApiLimits {
    /// How long a query may run; a request may ask for less.
    pub query_timeout: Duration,
    /// How many queries run at once; the others wait their turn, within their timeout.
    pub queries_concurrent_max: usize,
    /// Do queries with `stats=all` tell what each of their steps looked at? Prometheus' `promql-per-step-stats`.
    pub per_step_stats: bool,
    /// Largest number of points per series of a range query. Prometheus: 11,000.
    pub points_per_series_max: i64,
    /// Largest remote-write body in bytes, compressed. Larger ones are refused with 413.
    pub write_body_bytes_max: usize,
    /// How many remote-write requests are held at once; the others wait with their bodies unread.
    pub writes_concurrent_max: usize,
    /// Largest remote-read request in bytes, compressed. Larger ones are refused with 413.
    pub read_body_bytes_max: usize,
    /// How many remote reads are answered at once; the others wait. Prometheus: 10.
    pub reads_concurrent_max: usize,
    /// How long a body may take to arrive. Prometheus: 5 minutes.
    pub body_timeout: Duration,
}

/// What browsers, links and pages are told.
#[derive(Clone, Debug)]
pub struct WebOptions {
    /// The path of the URL under which others reach this server, without a slash at its end: links begin with it.
    pub external_path: String,
    /// The origins whose pages browsers may let read answers. Anchored, as in relabelling rules.
    pub cors_origin: Regex,
    /// The title of the page at `/query`.
    pub page_title: String,
}

impl Default for WebOptions {
    fn default() -> WebOptions {
        WebOptions {
            external_path: String::new(),
            cors_origin: Regex::new(".*").expect("BUG: the default pattern is good"),
            page_title: "Prometheus Time Series Collection and Processing Server".to_owned(),
        }
    }
}

impl Default for ApiLimits {
    fn default() -> ApiLimits {
        ApiLimits {
            query_timeout: Duration::from_secs(120),
            queries_concurrent_max: 20,
            per_step_stats: false,
            points_per_series_max: 11_000,
            write_body_bytes_max: 32 << 20,
            writes_concurrent_max: 16,
            read_body_bytes_max: 32 << 20,
            reads_concurrent_max: 10,
            body_timeout: Duration::from_secs(300),
        }
    }
}

/// Who knows the scrape targets.
pub trait Targets: Send + Sync {
    /// The targets that are scraped.
    fn active(&self) -> Vec<ActiveTarget>;
    /// The targets that relabelling dropped.
    fn dropped(&self) -> Vec<DroppedTarget>;
    /// How many were dropped, by scrape pool; also those that `dropped` no longer lists.
    fn dropped_counts(&self) -> Vec<(String, usize)>;
    /// The names of all scrape pools.
    fn pools(&self) -> Vec<String>;
    /// What the targets say about their metrics; `metric` asks for one family only.
    fn metadata(&self, metric: Option<&str>) -> Vec<MetadataEntry>;
}

/// Who knows the rules.
pub trait Rules: Send + Sync {
    /// All groups, in order of file and name.
    fn groups(&self) -> Vec<RuleGroupView>;
    /// All active alerts.
    fn alerts(&self) -> Vec<AlertView> {
        let mut alerts = Vec::new();
        for group in self.groups() {
            for rule in group.rules {
                alerts.extend(rule.alerts().iter().cloned());
            }
        }
        alerts
    }
}

/// Who knows the state of the process.
pub trait Status: Send + Sync {
    /// The configuration as YAML, secrets masked.
    fn config_yaml(&self) -> String;
    /// Flags and their values.
    fn flags(&self) -> Vec<(String, String)>;
    /// The state of the process.
    fn runtime(&self) -> RuntimeInfo;
    /// What was built.
    fn build(&self) -> BuildInfo;
    /// Where the series of the head come from; the `limit` largest of each kind.
    fn cardinality(&self, limit: usize) -> CardinalityStats;
    /// The descriptions of the store's blocks, as their meta.json has them.
    fn blocks(&self) -> Vec<serde_json::Value> {
        Vec::new()
    }
    /// The process' own metrics in the Prometheus text format.
    fn metrics_text(&self) -> String;
    /// Labels that series get on their way to other servers: by federation and remote read.
    fn external_labels(&self) -> Labels {
        Labels::empty()
    }
    /// How far the write-ahead log was read when the store was opened.
    fn wal_replay(&self) -> WalReplay {
        WalReplay::default()
    }
    /// What this server can do besides answering queries, for `/features`.
    fn features(&self) -> Vec<FeatureGroup> {
        Vec::new()
    }
}

/// Who deletes and copies what is stored. All of it blocks.
pub trait Admin: Send + Sync {
    /// Deletes the samples in a range of all series that match.
    fn delete_series(&self, matchers: &[Matcher], range: TimeRange) -> Result<(), StoreError>;
    /// Gives back the room of what was deleted.
    fn clean_tombstones(&self) -> Result<(), StoreError>;
    /// Copies everything, the newest samples only if `with_head`.
    fn snapshot(&self, with_head: bool) -> Result<SnapshotTaken, StoreError>;
}

/// A copy of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotTaken {
    /// The name of the directory that it is in.
    pub name: String,
    /// What is not in it because it cannot be read.
    pub warnings: Vec<String>,
}

/// Who takes remote write.
pub trait RemoteWrite: Send + Sync {
    /// Takes one snappy-compressed `WriteRequest`; returns when it is as durable as the store promises. Blocking.
    fn write(&self, body: &[u8]) -> Result<(), RemoteWriteError>;
}

/// Why a remote write was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RemoteWriteError {
    /// The status code: 4xx is final, 5xx asks the sender to try again.
    pub status: u16,
    /// The text for people.
    pub message: String,
}

/// Who answers remote read.
pub trait RemoteRead: Send + Sync {
    /// Understands one snappy-compressed `ReadRequest`. Blocking.
    fn read(&self, body: &[u8]) -> Result<RemoteReadAnswer, RemoteReadError>;
}

/// The answer to a remote read.
pub struct RemoteReadAnswer {
    /// Its content type.
    pub content_type: &'static str,
    /// Its content encoding, if it has one.
    pub content_encoding: Option<&'static str>,
    /// Its bytes, piece by piece, each made when it is asked for. An error as the first piece is answered with its status;
    /// a later one breaks the answer off.
    pub pieces: Box<dyn Iterator<Item = Result<Vec<u8>, RemoteReadError>> + Send>,
}

/// Why a remote read was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RemoteReadError {
    /// The status code.
    pub status: u16,
    /// The text for people.
    pub message: String,
}

/// What the management endpoints do.
pub trait Control: Send + Sync {
    /// Reads the configuration again; the error is shown to the caller.
    fn reload(&self) -> Result<(), ControlError>;
    /// Begins a clean stop.
    fn quit(&self) -> Result<(), ControlError>;
}

/// Why a management endpoint refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Switched off: 403.
    #[error("Lifecycle API is not enabled.")]
    Disabled,
    /// It was tried and failed: 500.
    #[error("{0}")]
    Failed(String),
}

/// A process that cannot be managed over HTTP.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoControl;

impl Control for NoControl {
    fn reload(&self) -> Result<(), ControlError> {
        Err(ControlError::Disabled)
    }
    fn quit(&self) -> Result<(), ControlError> {
        Err(ControlError::Disabled)
    }
}

/// What stands behind the endpoints.
#[derive(Clone)]
pub struct Api {
    pub(crate) store: Arc<dyn Queryable>,
    pub(crate) engine: Engine,
    pub(crate) limits: ApiLimits,
    pub(crate) exemplars: Option<Arc<dyn ExemplarQueryable>>,
    pub(crate) metadata: Option<Arc<dyn MetadataQueryable>>,
    pub(crate) targets: Option<Arc<dyn Targets>>,
    pub(crate) rules: Option<Arc<dyn Rules>>,
    pub(crate) status: Option<Arc<dyn Status>>,
    pub(crate) remote_write: Option<Arc<dyn RemoteWrite>>,
    pub(crate) remote_read: Option<Arc<dyn RemoteRead>>,
    pub(crate) parser: Parser,
    pub(crate) web: Arc<WebOptions>,
    pub(crate) notifications: Notifications,
    pub(crate) lifecycle: bool,
    pub(crate) control: Arc<dyn Control>,
    pub(crate) admin: Option<Arc<dyn Admin>>,
    pub(crate) query_slots: Arc<Semaphore>,
    pub(crate) write_slots: Arc<Semaphore>,
    pub(crate) read_slots: Arc<Semaphore>,
}

impl Api {
    /// Queries over a store; everything else absent.
    pub fn new(store: Arc<dyn Queryable>, engine: Engine) -> Api {
        let limits = ApiLimits::default();
        Api {
            store,
            engine,
            exemplars: None,
            metadata: None,
            targets: None,
            rules: None,
            status: None,
            remote_write: None,
            remote_read: None,
            parser: Parser::default(),
            web: Arc::default(),
            notifications: Notifications::default(),
            lifecycle: false,
            control: Arc::new(NoControl),
            admin: None,
            query_slots: Arc::new(Semaphore::new(limits.queries_concurrent_max)),
            write_slots: Arc::new(Semaphore::new(limits.writes_concurrent_max)),
            read_slots: Arc::new(Semaphore::new(limits.reads_concurrent_max)),
            limits,
        }
    }

    /// With other bounds.
    pub fn limits(mut self, limits: ApiLimits) -> Api {
        self.query_slots = Arc::new(Semaphore::new(limits.queries_concurrent_max.max(1)));
        self.write_slots = Arc::new(Semaphore::new(limits.writes_concurrent_max.max(1)));
        self.read_slots = Arc::new(Semaphore::new(limits.reads_concurrent_max.max(1)));
        self.limits = limits;
        self
    }

    /// With exemplars.
    pub fn exemplars(mut self, exemplars: Arc<dyn ExemplarQueryable>) -> Api {
        self.exemplars = Some(exemplars);
        self
    }

    /// With metadata of metric families that no target says anything about (any more).
    pub fn metadata(mut self, metadata: Arc<dyn MetadataQueryable>) -> Api {
        self.metadata = Some(metadata);
        self
    }

    /// With targets and their metadata.
    pub fn targets(mut self, targets: Arc<dyn Targets>) -> Api {
        self.targets = Some(targets);
        self
    }

    /// With rules and alerts.
    pub fn rules(mut self, rules: Arc<dyn Rules>) -> Api {
        self.rules = Some(rules);
        self
    }

    /// With the state of the process.
    pub fn status(mut self, status: Arc<dyn Status>) -> Api {
        self.status = Some(status);
        self
    }

    /// With a receiver of remote write; without one, writing answers 404.
    pub fn remote_write(mut self, receiver: Arc<dyn RemoteWrite>) -> Api {
        self.remote_write = Some(receiver);
        self
    }

    /// With an answerer of remote read; without one, reading answers 404.
    pub fn remote_read(mut self, reader: Arc<dyn RemoteRead>) -> Api {
        self.remote_read = Some(reader);
        self
    }

    /// With a parser that allows more of the language, or less.
    pub fn parser(mut self, parser: Parser) -> Api {
        self.parser = parser;
        self
    }

    /// With other words for browsers.
    pub fn web(mut self, options: WebOptions) -> Api {
        self.web = Arc::new(options);
        self
    }

    /// With notifications that another part of the program begins and ends.
    pub fn notifications(mut self, notifications: Notifications) -> Api {
        self.notifications = notifications;
        self
    }

    /// With management endpoints.
    pub fn control(mut self, control: Arc<dyn Control>) -> Api {
        self.control = control;
        self.lifecycle = true;
        self
    }

    /// With the admin endpoints allowed.
    pub fn admin(mut self, admin: Arc<dyn Admin>) -> Api {
        self.admin = Some(admin);
        self
    }
}

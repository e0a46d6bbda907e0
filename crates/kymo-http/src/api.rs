//! Api: what stands behind the endpoints. Parts that are absent answer as an empty Prometheus would.

use std::sync::Arc;
use std::time::Duration;

use kymo_model::Queryable;
use kymo_promql::Engine;
use tokio::sync::Semaphore;

use crate::views::{
    ActiveTarget, AlertView, BuildInfo, CardinalityStats, DroppedTarget, MetadataEntry, RuleGroupView,
    RuntimeInfo,
};

/// Bounds of the API.
#[derive(Clone, Debug)]
pub struct ApiLimits {
    /// How long a query may run; a request may ask for less.
    pub query_timeout: Duration,
    /// How many queries run at once; the others wait their turn, within their timeout.
    pub queries_concurrent_max: usize,
    /// Largest number of points per series of a range query. Prometheus: 11,000.
    pub points_per_series_max: i64,
    /// Largest remote-write body in bytes, compressed. Larger ones are refused with 413.
    pub write_body_bytes_max: usize,
    /// How many remote-write requests are held at once; the others wait with their bodies unread.
    pub writes_concurrent_max: usize,
}

impl Default for ApiLimits {
    fn default() -> ApiLimits {
        ApiLimits {
            query_timeout: Duration::from_secs(120),
            queries_concurrent_max: 20,
            points_per_series_max: 11_000,
            write_body_bytes_max: 32 << 20,
            writes_concurrent_max: 16,
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
    /// The process' own metrics in the Prometheus text format.
    fn metrics_text(&self) -> String;
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
    pub(crate) targets: Option<Arc<dyn Targets>>,
    pub(crate) rules: Option<Arc<dyn Rules>>,
    pub(crate) status: Option<Arc<dyn Status>>,
    pub(crate) remote_write: Option<Arc<dyn RemoteWrite>>,
    pub(crate) control: Arc<dyn Control>,
    pub(crate) admin: bool,
    pub(crate) query_slots: Arc<Semaphore>,
    pub(crate) write_slots: Arc<Semaphore>,
}

impl Api {
    /// Queries over a store; everything else absent.
    pub fn new(store: Arc<dyn Queryable>, engine: Engine) -> Api {
        let limits = ApiLimits::default();
        Api {
            store,
            engine,
            targets: None,
            rules: None,
            status: None,
            remote_write: None,
            control: Arc::new(NoControl),
            admin: false,
            query_slots: Arc::new(Semaphore::new(limits.queries_concurrent_max)),
            write_slots: Arc::new(Semaphore::new(limits.writes_concurrent_max)),
            limits,
        }
    }

    /// With other bounds.
    pub fn limits(mut self, limits: ApiLimits) -> Api {
        self.query_slots = Arc::new(Semaphore::new(limits.queries_concurrent_max.max(1)));
        self.write_slots = Arc::new(Semaphore::new(limits.writes_concurrent_max.max(1)));
        self.limits = limits;
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

    /// With management endpoints.
    pub fn control(mut self, control: Arc<dyn Control>) -> Api {
        self.control = control;
        self
    }

    /// With the admin endpoints allowed.
    pub fn admin(mut self, allowed: bool) -> Api {
        self.admin = allowed;
        self
    }
}

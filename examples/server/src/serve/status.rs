//! What the API shows of this process: build, flags, configuration, head, targets.

use std::sync::{Arc, RwLock};

use kymo_http::{
    BuildInfo, CardinalityStats, ControlError, FeatureGroup, NameCount, RemoteReadAnswer, RemoteReadError,
    RemoteWriteError, RuntimeInfo, WalReplay,
};
use kymo_model::{Labels, Timestamp};
use kymo_promql::Engine;
use kymo_remote::{ReadError, ReadOptions, ReadRequest, WriteReceiver};
use kymo_tsdb::block::StoredBlock;
use kymo_tsdb::{Counted, Db};
use tokio::sync::mpsc;

use super::args::{ServeArgs, retention_text};
use super::external_url::hostname;
use super::features::Features;
use super::metrics::{self, Figures};
use super::rules::RuleManager;

/// The version clients judge abilities by: Prometheus' whose API this is, with our own behind the plus sign.
pub(crate) const API_VERSION: &str = concat!("3.14.0+kymo.", env!("CARGO_PKG_VERSION"));

/// The state of the process, for the status endpoints and /metrics.
pub(crate) struct ServerStatus {
    pub(crate) args: ServeArgs,
    pub(crate) start: Timestamp,
    pub(crate) engine: Engine,
    pub(crate) db: Arc<Db>,
    pub(crate) rules: Arc<RuleManager>,
    pub(crate) scrape: Arc<super::targets::ScrapeView>,
    pub(crate) features: Features,
    pub(crate) config: RwLock<ConfigState>,
}

/// How much is kept, by the flags and the configuration the server started with; 0 for no bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retention {
    pub(crate) time_ms: i64,
    pub(crate) bytes: u64,
}

/// The configuration as it was last read.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigState {
    pub(crate) yaml: String,
    pub(crate) external_labels: Labels,
    pub(crate) retention: Retention,
    pub(crate) success: bool,
    pub(crate) read_at: Timestamp,
}

impl ServerStatus {
    pub(crate) fn config_state(&self) -> ConfigState {
        self.config.read().expect("BUG: no panic while the configuration is swapped").clone()
    }

    pub(crate) fn set_config_state(&self, change: impl FnOnce(&mut ConfigState)) {
        change(&mut self.config.write().expect("BUG: no panic while the configuration is swapped"));
    }
}

impl kymo_http::Status for ServerStatus {
    fn config_yaml(&self) -> String {
        self.config_state().yaml
    }

    fn flags(&self) -> Vec<(String, String)> {
        self.args.flags().into_iter().map(|(flag, value)| (flag.to_owned(), value)).collect()
    }

    fn runtime(&self) -> RuntimeInfo {
        let config = self.config_state();
        RuntimeInfo {
            start: self.start,
            hostname: hostname(),
            cwd: std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default(),
            reload_config_success: config.success,
            last_config: config.read_at,
            corruption_count: self.db.stats().replay.damaged_total,
            threads: super::process::ProcessFigures::read().threads.unwrap_or(0.0) as usize,
            storage_retention: retention_text(config.retention.time_ms, config.retention.bytes),
        }
    }

    fn build(&self) -> BuildInfo {
        BuildInfo {
            version: API_VERSION.to_owned(),
            revision: option_env!("KYMO_REVISION").unwrap_or("unknown").to_owned(),
            branch: option_env!("KYMO_BRANCH").unwrap_or("unknown").to_owned(),
            build_user: String::new(),
            build_date: String::new(),
            runtime_version: "rust".to_owned(),
        }
    }

    fn cardinality(&self, limit: usize) -> CardinalityStats {
        let (stats, found) = (self.db.stats(), self.db.cardinality(limit));
        let list = |counts: &[Counted]| -> Vec<NameCount> {
            counts.iter().map(|one| NameCount { name: one.name.clone(), value: one.count }).collect()
        };
        CardinalityStats {
            series: stats.series,
            label_pairs: stats.label_pairs,
            chunks: stats.chunks,
            min_time_ms: stats.min_time.map_or(0, Timestamp::millis),
            max_time_ms: stats.max_time.map_or(0, Timestamp::millis),
            series_by_metric: list(&found.series_by_metric_name),
            values_by_label: list(&found.values_by_label_name),
            bytes_by_label: list(&found.bytes_by_label_name),
            series_by_pair: list(&found.series_by_label_pair),
        }
    }

    fn blocks(&self) -> Vec<serde_json::Value> {
        let blocks = self.db.blocks();
        let told = |block: &StoredBlock| {
            let meta = serde_json::to_value(block.meta());
            let mut meta = meta.expect("BUG: a description is always JSON");
            if block.is_cold() {
                meta["cold"] = true.into();
            }
            meta
        };
        blocks.iter().map(told).collect()
    }

    fn external_labels(&self) -> Labels {
        self.config_state().external_labels
    }

    fn wal_replay(&self) -> WalReplay {
        // Answered only when the log was read to its end.
        let last = self.db.stats().replay.segments.saturating_sub(1);
        WalReplay { min: 0, max: last, current: last }
    }

    fn features(&self) -> Vec<FeatureGroup> {
        self.features.groups()
    }

    fn metrics_text(&self) -> String {
        let config = self.config_state();
        metrics::text(&Figures {
            version: API_VERSION,
            start: self.start,
            stats: &self.db.stats(),
            engine: &self.engine,
            queries_concurrent_max: self.args.max_concurrency,
            rules: self.rules.counters(),
            reload_success: config.success,
            last_config: config.read_at,
            scrape: self.scrape.stats(),
        })
    }
}

/// Remote write into the database.
pub(crate) struct Receiver {
    pub(crate) receiver: WriteReceiver,
    pub(crate) db: Arc<Db>,
}

impl kymo_http::RemoteWrite for Receiver {
    fn write(&self, body: &[u8]) -> Result<(), RemoteWriteError> {
        match self.receiver.receive(body, &self.db) {
            Ok(_) => Ok(()),
            Err(error) => Err(RemoteWriteError { status: error.http_status(), message: error.to_string() }),
        }
    }
}

/// Remote read from the database.
pub(crate) struct Reader {
    pub(crate) db: Arc<Db>,
    pub(crate) status: Arc<ServerStatus>,
    pub(crate) options: ReadOptions,
}

impl kymo_http::RemoteRead for Reader {
    fn read(&self, body: &[u8]) -> Result<RemoteReadAnswer, RemoteReadError> {
        let refused =
            |error: ReadError| RemoteReadError { status: error.http_status(), message: error.to_string() };
        let external = self.status.config_state().external_labels;
        let answer = ReadRequest::from_snappy(body, &self.options)
            .and_then(|request| request.answer(self.db.clone(), external, self.options))
            .map_err(refused)?;
        Ok(RemoteReadAnswer {
            content_type: answer.content_type(),
            content_encoding: answer.content_encoding(),
            pieces: Box::new(answer.map(move |piece| piece.map_err(refused))),
        })
    }
}

/// What the server's main loop is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Read the configuration again; the answer says how it went.
    Reload(std::sync::mpsc::SyncSender<Result<(), String>>),
    /// Stop.
    Quit,
}

/// The management endpoints, when they are enabled.
pub(crate) struct Lifecycle {
    pub(crate) orders: mpsc::UnboundedSender<Order>,
}

impl kymo_http::Control for Lifecycle {
    fn reload(&self) -> Result<(), ControlError> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let gone = || ControlError::Failed("the server is stopping".to_owned());
        self.orders.send(Order::Reload(answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?.map_err(ControlError::Failed)
    }

    fn quit(&self) -> Result<(), ControlError> {
        self.orders.send(Order::Quit).map_err(|_| ControlError::Failed("the server is stopping".to_owned()))
    }
}

//! Config: prometheus.yml, read whole. Every fault is listed with its place; every default is filled in.
//!
//! ```
//! use kymo_scrape::config::Config;
//!
//! let config = Config::parse("scrape_configs: [{job_name: node, static_configs: [{targets: ['127.0.0.1:9100']}]}]", "p.yml")
//!     .unwrap();
//! assert_eq!(config.jobs().next().unwrap().scrape_interval_ms, 60_000);
//!
//! let wrong = Config::parse("global: {scrape_interval: 15x}\nrulefiles: []\n", "p.yml").unwrap_err();
//! let lines: Vec<String> = wrong.faults().iter().map(|fault| fault.headline()).collect();
//! assert!(lines[0].starts_with("p.yml:1:27: global.scrape_interval: not a valid duration string: \"15x\""));
//! assert_eq!(lines[1], "p.yml:2:1: rulefiles: unknown key `rulefiles`, did you mean `rule_files`?");
//! ```

mod discovery;
mod fault;
mod global;
mod http_client;
mod limits;
mod load;
mod names;
mod protocol;
mod reader;
mod recognised;
mod relabel;
mod render;
mod scrape_config;
mod secret;
mod size;

use std::path::PathBuf;
use std::sync::Arc;

use crate::yaml::Node;

pub use discovery::{Discovery, FileSdConfig, TargetGroup};
pub(crate) use discovery::{check_address, read_group};
pub use fault::{ConfigError, FAULTS_MAX, Fault};
pub use global::Global;
pub use http_client::{Authorization, BasicAuth, HttpClientConfig, HttpHeader, TlsConfig, TlsVersion};
pub use limits::Limits;
pub use names::Escaping;
pub use protocol::ScrapeProtocol;
pub(crate) use reader::Reader;
pub use recognised::{Alerting, Alertmanager, Storage};
pub use scrape_config::ScrapeConfig;
pub use secret::{SECRET_MASK, Secret};

/// A prometheus.yml, checked.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `global`
    pub global: Global,
    /// `rule_files`: patterns, relative to the directory of the file they stand in made whole.
    pub rule_files: Vec<PathBuf>,
    /// `scrape_config_files`: patterns.
    pub scrape_config_files: Vec<PathBuf>,
    /// `scrape_configs` of the file itself.
    pub scrape_configs: Vec<Arc<ScrapeConfig>>,
    /// Jobs of the files that `scrape_config_files` names.
    pub included_scrape_configs: Vec<Arc<ScrapeConfig>>,
    /// `alerting`
    pub alerting: Alerting,
    /// `storage`
    pub storage: Storage,
    /// Blocks that are only shown, as written: `remote_write`, `remote_read`, `tracing`, `otlp`, `runtime`.
    shown: Vec<(&'static str, Node)>,
    warnings: Vec<Fault>,
}

impl Config {
    /// Every job, in order of the files.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<ScrapeConfig>> {
        self.scrape_configs.iter().chain(&self.included_scrape_configs)
    }

    /// What should be known though nothing is wrong: blocks that are not acted upon, empty variables, files not found.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// The files that `rule_files` names, sorted within each pattern, each once.
    pub fn rule_paths(&self) -> Vec<PathBuf> {
        matching(&self.rule_files)
    }

    /// The files that `scrape_config_files` names, in the same order.
    pub fn scrape_config_paths(&self) -> Vec<PathBuf> {
        matching(&self.scrape_config_files)
    }
}

fn matching(patterns: &[PathBuf]) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in patterns.iter().flat_map(|pattern| crate::glob::glob(pattern)) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

//! The configuration in force: read from its file, or the one that scrapes this server itself.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kymo_rules::{FileOptions, RuleFile, RuleGroup};
use kymo_scrape::config::Config;

use super::features::Features;

/// A configuration that was read whole: with its rules.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) groups: Vec<RuleGroup>,
}

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) file: Option<PathBuf>,
    /// Where this server listens, and the path its routes are below.
    pub(crate) address: SocketAddr,
    pub(crate) route_prefix: String,
}

impl Source {
    /// Without a configuration file there is one target: this server.
    fn own_config(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        let target = if ip.is_unspecified() { format!("localhost:{port}") } else { self.address.to_string() };
        let target = serde_json::Value::from(target);
        let path = serde_json::Value::from(format!("{}/metrics", self.route_prefix.trim_end_matches('/')));
        format!(
            "global: {{scrape_interval: 15s}}\nscrape_configs:\n  - job_name: kymo\n    metrics_path: {path}\n    \
             static_configs:\n      - targets: [{target}]\n"
        )
    }
}

/// Reads the configuration and every rule file it names. The error lists all faults of all files.
pub(crate) fn load(source: &Source, features: &Features) -> Result<Loaded, String> {
    let mut config = match &source.file {
        Some(path) => Config::load(path).map_err(|error| error.to_string())?,
        None => Config::parse(&source.own_config(), "the built-in configuration")
            .map_err(|error| error.to_string())?,
    };
    if features.extra_scrape_metrics {
        config.global.extra_scrape_metrics = true;
        for job in config.scrape_configs.iter_mut().chain(&mut config.included_scrape_configs) {
            Arc::make_mut(job).extra_scrape_metrics = true;
        }
    }
    // The scheme of names holds for the rule files too.
    let options =
        FileOptions { names: config.global.name_scheme, parser: features.parser(), ..FileOptions::default() };
    let mut groups = Vec::new();
    let mut faults = Vec::new();
    for path in config.rule_paths() {
        let name = path.display().to_string();
        match fs::read_to_string(&path) {
            Err(error) => faults.push(format!("{name}: cannot read the rule file: {error}")),
            Ok(text) => match RuleFile::parse_with(&text, &name, options) {
                Ok(rules) => groups.extend(rules.groups),
                Err(found) => faults.extend(found.iter().map(|fault| fault.render())),
            },
        }
    }
    if faults.is_empty() { Ok(Loaded { config, groups }) } else { Err(faults.join("\n")) }
}

//! The configuration in force: read from its file, or the one that scrapes this server itself.

use std::fs;
use std::path::Path;

use kymo_rules::{FileOptions, RuleFile, RuleGroup};
use kymo_scrape::config::Config;

/// A configuration that was read whole: with its rules.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) groups: Vec<RuleGroup>,
}

/// Reads the configuration and every rule file it names. The error lists all faults of all files.
pub(crate) fn load(file: Option<&Path>, listen_address: &str) -> Result<Loaded, String> {
    let config = match file {
        Some(path) => Config::load(path).map_err(|error| error.to_string())?,
        None => Config::parse(&own_config(listen_address), "the built-in configuration")
            .map_err(|error| error.to_string())?,
    };
    // The scheme of names holds for the rule files too.
    let options = FileOptions { names: config.global.name_scheme, ..FileOptions::default() };
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

/// Without a configuration file there is one target: this server.
fn own_config(listen_address: &str) -> String {
    let target = serde_json::Value::from(listen_address);
    format!(
        "global: {{scrape_interval: 15s}}\nscrape_configs:\n  - job_name: kymo\n    static_configs:\n      - targets: [{target}]\n"
    )
}

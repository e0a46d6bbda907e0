//! Load: from text or from a file to a [`Config`], with the files it includes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use super::discovery::is_glob;
use super::fault::{ConfigError, FAULTS_MAX, Fault};
use super::global::{Environment, Global};
use super::http_client::path_in;
use super::reader::{Fields, Reader};
use super::recognised::{self, Alerting, Storage};
use super::scrape_config::ScrapeConfig;
use crate::yaml::Node;

/// Largest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

impl Config {
    /// Reads a configuration from text. `file` names it in faults, and its directory is where relative paths start.
    ///
    /// Variables in `external_labels` come from the environment of the process. Files that the text names are not opened.
    pub fn parse(text: &str, file: &str) -> Result<Config, ConfigError> {
        Config::parse_with(text, file, &|name| std::env::var(name).ok())
    }

    /// As [`parse`](Config::parse), with an environment of the caller's.
    pub fn parse_with(
        text: &str,
        file: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let mut names = HashMap::new();
        let (config, faults, omitted) = read_main(text, file, environment, &mut names);
        if faults.is_empty() { Ok(config) } else { Err(ConfigError::new(faults, omitted)) }
    }

    /// Reads a configuration file and the files of `scrape_config_files`.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let file = path.display().to_string();
        let text =
            read_text(path).map_err(|message| ConfigError::new(vec![Fault::of_file(&file, message)], 0))?;
        let mut names = HashMap::new();
        let environment = |name: &str| std::env::var(name).ok();
        let (mut config, mut faults, mut omitted) = read_main(&text, &file, &environment, &mut names);
        for pattern in config.scrape_config_files.clone() {
            let paths = crate::glob::glob(&pattern);
            config.warn_if_none("scrape_config_files", &file, &pattern, &paths);
            for path in paths {
                omitted += config.include(&path, &mut names, &mut faults);
            }
        }
        for pattern in config.rule_files.clone() {
            let paths = crate::glob::glob(&pattern);
            config.warn_if_none("rule_files", &file, &pattern, &paths);
        }
        if faults.is_empty() { Ok(config) } else { Err(ConfigError::new(faults, omitted)) }
    }

    fn warn_if_none(&mut self, key: &str, file: &str, pattern: &Path, found: &[PathBuf]) {
        if found.is_empty() {
            let message = format!("{key}: no file matches {}", pattern.display());
            self.warnings.push(Fault::of_file(file, message));
        }
    }

    /// Reads a file with only `scrape_configs`. Gives how many faults were left out.
    fn include(
        &mut self,
        path: &Path,
        names: &mut HashMap<String, String>,
        faults: &mut Vec<Fault>,
    ) -> usize {
        let file = path.display().to_string();
        let text = match read_text(path) {
            Ok(text) => text,
            Err(message) => {
                faults.push(Fault::of_file(&file, message));
                return 0;
            }
        };
        let mut reader = Reader::new(&file, &text);
        if let Some(root) = reader.parse() {
            let mut fields = Fields::open(&mut reader, &root, "");
            let dir = path.parent().unwrap_or(Path::new(""));
            let node = fields.take("scrape_configs");
            let jobs = read_jobs(&mut reader, node, &self.global, dir, names, &format!("{file:?}"));
            self.included_scrape_configs.extend(jobs);
            fields.finish(&mut reader);
        }
        let (own, omitted, warnings) = reader.finish();
        self.warnings.extend(warnings);
        let room = FAULTS_MAX.saturating_sub(faults.len());
        let over = own.len().saturating_sub(room);
        faults.extend(own.into_iter().take(room));
        omitted + over
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("expected at most {FILE_BYTES_MAX} bytes, found {size}"));
    }
    std::fs::read_to_string(path).map_err(|e| e.to_string())
}

fn read_main(
    text: &str,
    file: &str,
    environment: Environment<'_>,
    names: &mut HashMap<String, String>,
) -> (Config, Vec<Fault>, usize) {
    let mut reader = Reader::new(file, text);
    let mut config = Config::default();
    if let Some(root) = reader.parse() {
        let dir = Path::new(file).parent().unwrap_or(Path::new(""));
        let mut fields = Fields::open(&mut reader, &root, "");
        let global = fields.take("global");
        config.global = Global::read(&mut reader, global, dir, environment);
        config.rule_files = read_patterns(&mut reader, &mut fields, "rule_files", dir);
        config.scrape_config_files = read_patterns(&mut reader, &mut fields, "scrape_config_files", dir);
        let node = fields.take("scrape_configs");
        config.scrape_configs = read_jobs(&mut reader, node, &config.global, dir, names, "main config file");
        config.read_recognised(&mut reader, &mut fields, dir);
        fields.finish(&mut reader);
    }
    let (faults, omitted, warnings) = reader.finish();
    config.warnings = warnings;
    (config, faults, omitted)
}

impl Config {
    /// Blocks that are known and not acted upon: read for their faults, with a warning each.
    fn read_recognised(&mut self, reader: &mut Reader, fields: &mut Fields<'_>, dir: &Path) {
        let scheme = self.global.name_scheme;
        let mut notices: Vec<(&'static str, &'static str)> = Vec::new();
        self.alerting = Alerting::read(reader, fields.take("alerting"), dir, scheme);
        if !self.alerting.alertmanagers.is_empty() {
            notices.push(("alerting", "alerts are not sent yet"));
        }
        self.storage = Storage::read(reader, fields.take("storage"));
        let write = fields.take("remote_write");
        if recognised::read_remote_write(reader, write, dir, scheme) > 0 {
            notices.push(("remote_write", "samples are not sent to remote stores yet"));
        }
        let read = fields.take("remote_read");
        if recognised::read_remote_read(reader, read, dir) > 0 {
            notices.push(("remote_read", "queries do not read from remote stores yet"));
        }
        let tracing = fields.take("tracing");
        if let Some(node) = tracing {
            recognised::read_tracing(reader, node, dir);
            notices.push(("tracing", "traces are not sent"));
        }
        let otlp = fields.take("otlp");
        if let Some(node) = otlp {
            recognised::read_otlp(reader, node);
            notices.push(("otlp", "OTLP is not received yet"));
        }
        let runtime = fields.take("runtime");
        if let Some(node) = runtime {
            recognised::read_runtime(reader, node);
            notices.push(("runtime", "tunes Go's garbage collector, which is not here"));
        }
        for (key, message) in notices {
            if let Some(place) = fields.key_place(key) {
                reader.warn(place, "", format!("{key}: {message}"));
            }
        }
        let shown = [
            ("runtime", runtime),
            ("tracing", tracing),
            ("remote_write", write),
            ("remote_read", read),
            ("otlp", otlp),
        ];
        self.shown = shown.into_iter().filter_map(|(key, node)| Some((key, Node::clone(node?)))).collect();
    }
}

fn read_patterns(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    key: &'static str,
    dir: &Path,
) -> Vec<PathBuf> {
    let Some(node) = fields.take(key) else { return Vec::new() };
    let path = fields.path_of(key);
    let mut patterns = Vec::new();
    for (item, path) in reader.items(node, &path) {
        let Some(text) = reader.text(item, &path) else { continue };
        if text.is_empty() || !is_glob(&text) {
            let message =
                format!("invalid file path {text:?}, expected at most one * and that in the last part");
            reader.fault(item.place, &path, message);
        }
        patterns.push(path_in(dir, &text));
    }
    patterns
}

fn read_jobs(
    reader: &mut Reader,
    node: Option<&Node>,
    global: &Global,
    dir: &Path,
    names: &mut HashMap<String, String>,
    here: &str,
) -> Vec<Arc<ScrapeConfig>> {
    let Some(node) = node else { return Vec::new() };
    let items = reader.items(node, "scrape_configs");
    let mut jobs = Vec::new();
    for (item, path) in items {
        let Some((job, name_place)) = ScrapeConfig::read(reader, item, &path, global, dir) else { continue };
        if !job.job_name.is_empty()
            && let Some(first) = names.insert(job.job_name.clone(), here.to_owned())
        {
            let found = if first == here { String::new() } else { format!(", first found in {first}") };
            let message = format!("found multiple scrape configs with job name {:?}{found}", job.job_name);
            reader.fault(name_place, &format!("{path}.job_name"), message);
        }
        jobs.push(Arc::new(job));
    }
    jobs
}

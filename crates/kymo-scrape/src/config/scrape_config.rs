//! ScrapeConfig: one job, with every default filled in.

use std::path::{Path, PathBuf};

use kymo_model::NameScheme;
use kymo_relabel::RelabelConfig;

use super::discovery::Discovery;
use super::global::{
    Global, read_log_file, read_native_histogram_switches, read_protocols, unknown_protocol,
};
use super::http_client::HttpClientConfig;
use super::limits::Limits;
use super::names::{Escaping, read_escaping, read_scheme};
use super::protocol::ScrapeProtocol;
use super::reader::{Fields, Reader};
use super::relabel::read_rules;
use crate::yaml::{Node, Place, Value};

/// One entry of `scrape_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeConfig {
    /// `job_name`, not empty, distinct from those of other jobs.
    pub job_name: String,
    /// `honor_labels`: labels of the target's own win over those of the target.
    pub honor_labels: bool,
    /// `honor_timestamps`, true by default.
    pub honor_timestamps: bool,
    /// `track_timestamps_staleness`
    pub track_timestamps_staleness: bool,
    /// `params`, in order of name.
    pub params: Vec<(String, Vec<String>)>,
    /// `scrape_interval`
    pub scrape_interval_ms: i64,
    /// `scrape_timeout`
    pub scrape_timeout_ms: i64,
    /// `scrape_protocols`, most wanted first.
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// `fallback_scrape_protocol`: for targets that do not say what they send.
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// `metrics_path`
    pub metrics_path: String,
    /// `scheme`: `http` or `https`.
    pub scheme: String,
    /// `enable_compression`
    pub enable_compression: bool,
    /// What a scrape may bring.
    pub limits: Limits,
    /// `metric_name_validation_scheme`
    pub name_scheme: NameScheme,
    /// `metric_name_escaping_scheme`
    pub escaping: Escaping,
    /// `scrape_failure_log_file`: kept for printing.
    pub scrape_failure_log_file: Option<PathBuf>,
    /// `extra_scrape_metrics`
    pub extra_scrape_metrics: bool,
    /// How to reach the targets.
    pub http: HttpClientConfig,
    /// Where the targets come from.
    pub discovery: Discovery,
    /// `relabel_configs`: over targets.
    pub relabel_configs: Vec<RelabelConfig>,
    /// `metric_relabel_configs`: over samples.
    pub metric_relabel_configs: Vec<RelabelConfig>,
}

impl ScrapeConfig {
    /// A job with the defaults of Prometheus and nothing to scrape.
    ///
    /// ```
    /// use kymo_scrape::config::ScrapeConfig;
    /// let job = ScrapeConfig::new("node");
    /// assert_eq!(job.metrics_path, "/metrics");
    /// assert_eq!(job.scrape_interval_ms, 60_000);
    /// ```
    pub fn new(job_name: impl Into<String>) -> ScrapeConfig {
        let global = Global::default();
        ScrapeConfig {
            job_name: job_name.into(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            params: Vec::new(),
            scrape_interval_ms: global.scrape_interval_ms,
            scrape_timeout_ms: global.scrape_timeout_ms,
            scrape_protocols: ScrapeProtocol::DEFAULT.to_vec(),
            fallback_scrape_protocol: None,
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            enable_compression: true,
            limits: Limits::default(),
            name_scheme: NameScheme::Utf8,
            escaping: Escaping::AllowUtf8,
            scrape_failure_log_file: None,
            extra_scrape_metrics: false,
            http: HttpClientConfig::default(),
            discovery: Discovery::default(),
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
        }
    }

    /// Reads one job. Also gives the place of its name, for the fault of a name that comes twice.
    pub(crate) fn read(
        reader: &mut Reader,
        node: &Node,
        path: &str,
        global: &Global,
        dir: &Path,
    ) -> Option<(ScrapeConfig, Place)> {
        if matches!(node.value, Value::Null) {
            reader.fault(node.place, path, "empty or null scrape config section");
            return None;
        }
        let mut fields = Fields::open(reader, node, path);
        let f = &mut fields;
        let name_node = f.take("job_name");
        let name_place = name_node.map_or(node.place, |node| node.place);
        let mut job = ScrapeConfig::new(f.text(reader, "job_name").unwrap_or_default());
        if job.job_name.is_empty() && matches!(node.value, Value::Map(_)) {
            f.fault_at(reader, "job_name", "job_name is empty");
        }
        let flag =
            |reader: &mut Reader, f: &mut Fields<'_>, key, default| f.boolean(reader, key).unwrap_or(default);
        job.honor_labels = flag(reader, f, "honor_labels", false);
        job.honor_timestamps = flag(reader, f, "honor_timestamps", true);
        job.track_timestamps_staleness = flag(reader, f, "track_timestamps_staleness", false);
        job.enable_compression = flag(reader, f, "enable_compression", true);
        job.extra_scrape_metrics = flag(reader, f, "extra_scrape_metrics", global.extra_scrape_metrics);
        job.read_timing(reader, f, global);
        job.read_request(reader, f, global);
        job.read_names(reader, f, global);
        job.limits = Limits::read(reader, f).or(global.limits);
        job.scrape_failure_log_file = read_log_file(reader, f, "scrape_failure_log_file", dir)
            .or_else(|| global.scrape_failure_log_file.clone());
        read_native_histogram_switches(reader, f);
        for key in ["native_histogram_bucket_limit", "native_histogram_min_bucket_factor"] {
            // Bounds on what is never scraped hold by themselves.
            f.float(reader, key);
        }
        job.http = HttpClientConfig::read(reader, f, dir);
        let path = f.path_of("relabel_configs");
        let rules = f.take("relabel_configs");
        job.relabel_configs = read_rules(reader, rules, &path, job.name_scheme);
        let path = f.path_of("metric_relabel_configs");
        let metric_rules = f.take("metric_relabel_configs");
        job.metric_relabel_configs = read_rules(reader, metric_rules, &path, job.name_scheme);
        let has_rules =
            rules.is_some_and(|node| matches!(&node.value, Value::Seq(items) if !items.is_empty()));
        job.discovery = Discovery::read(reader, f, dir, !has_rules);
        fields.finish(reader);
        Some((job, name_place))
    }

    fn read_timing(&mut self, reader: &mut Reader, fields: &mut Fields<'_>, global: &Global) {
        let interval = fields.duration(reader, "scrape_interval").unwrap_or(global.scrape_interval_ms);
        let timeout = fields.duration(reader, "scrape_timeout");
        if timeout.is_some_and(|timeout| timeout > interval) {
            let message = format!(
                "scrape timeout greater than scrape interval for scrape config with job name {:?}",
                self.job_name
            );
            fields.fault_at(reader, "scrape_timeout", message);
        }
        self.scrape_interval_ms = interval;
        self.scrape_timeout_ms = timeout.unwrap_or(global.scrape_timeout_ms.min(interval));
    }

    fn read_request(&mut self, reader: &mut Reader, fields: &mut Fields<'_>, global: &Global) {
        if let Some(path) = fields.text(reader, "metrics_path").filter(|path| !path.is_empty()) {
            self.metrics_path = path;
        }
        if let Some(scheme) = fields.text(reader, "scheme").filter(|scheme| !scheme.is_empty()) {
            if scheme != "http" && scheme != "https" {
                fields.fault_at(reader, "scheme", format!("expected http or https, found {scheme:?}"));
            }
            self.scheme = scheme;
        }
        if let Some(node) = fields.take("params") {
            let path = fields.path_of("params");
            let params = Fields::open(reader, node, &path);
            for entry in params.all() {
                let values = reader.texts(&entry.node, &params.path_of(&entry.key));
                self.params.push((entry.key.clone(), values));
            }
            self.params.sort();
        }
        self.scrape_protocols = read_protocols(reader, fields)
            .or_else(|| global.scrape_protocols.clone())
            .unwrap_or_else(|| ScrapeProtocol::DEFAULT.to_vec());
        if let Some(name) = fields.text(reader, "fallback_scrape_protocol").filter(|name| !name.is_empty()) {
            let protocol = ScrapeProtocol::parse(&name);
            match protocol {
                None => {
                    let message = format!("invalid fallback_scrape_protocol: {}", unknown_protocol(&name));
                    fields.fault_at(reader, "fallback_scrape_protocol", message);
                }
                Some(ScrapeProtocol::PrometheusProto) => {
                    let message = "PrometheusProto is not supported, expected a text format";
                    fields.fault_at(reader, "fallback_scrape_protocol", message);
                }
                Some(_) => {}
            }
            self.fallback_scrape_protocol = protocol;
        }
    }

    fn read_names(&mut self, reader: &mut Reader, fields: &mut Fields<'_>, global: &Global) {
        let own = read_scheme(reader, fields);
        self.name_scheme = own.unwrap_or(global.name_scheme);
        self.escaping = match (read_escaping(reader, fields), own) {
            (Some(escaping), _) => escaping,
            (None, Some(own)) => Escaping::of(own),
            (None, None) => global.escaping.unwrap_or(Escaping::of(global.name_scheme)),
        };
        if self.escaping == Escaping::AllowUtf8 && self.name_scheme == NameScheme::Legacy {
            let message = "utf8 metric names requested but validation scheme is not set to UTF8";
            fields.fault_at(reader, "metric_name_escaping_scheme", message);
        }
    }
}

//! Render: the configuration in force, as `/api/v1/status/config` shows it: defaults filled in, secrets masked.

use std::path::Path;

use kymo_model::format_duration;
use kymo_relabel::RelabelConfig;

use super::discovery::{Discovery, TargetGroup};
use super::http_client::{HttpClientConfig, TlsConfig};
use super::limits::Limits;
use super::names::scheme_word;
use super::recognised::{Alerting, Alertmanager, Storage};
use super::secret::{SECRET_MASK, Secret};
use super::size::format_size;
use super::{Config, Global, ScrapeConfig, ScrapeProtocol};
use crate::yaml::{Doc, Node, Value, print};

/// Keys whose values are masked in blocks that are shown as written.
const SECRET_KEYS: [&str; 12] = [
    "password",
    "credentials",
    "bearer_token",
    "client_secret",
    "secret_key",
    "access_key",
    "key",
    "secrets",
    "token",
    "headers",
    "proxy_connect_header",
    "secret",
];

impl Config {
    /// The configuration in force as YAML, with `<secret>` in the place of every secret.
    ///
    /// ```
    /// use kymo_scrape::config::Config;
    /// let text = "scrape_configs: [{job_name: a, basic_auth: {username: u, password: hunter2}}]";
    /// let yaml = Config::parse(text, "p.yml").unwrap().to_yaml();
    /// assert!(yaml.contains("password: <secret>") && !yaml.contains("hunter2"));
    /// ```
    pub fn to_yaml(&self) -> String {
        let mut fields = Map::default();
        fields.put("global", self.global.doc());
        self.put_shown(&mut fields, "runtime");
        if self.alerting != Alerting::default() {
            fields.put("alerting", alerting_doc(&self.alerting));
        }
        fields.paths("rule_files", &self.rule_files);
        fields.paths("scrape_config_files", &self.scrape_config_files);
        fields.list("scrape_configs", self.scrape_configs.iter().map(|job| job.doc()).collect());
        if let Some(storage) = storage_doc(&self.storage) {
            fields.put("storage", storage);
        }
        for key in ["tracing", "remote_write", "remote_read", "otlp"] {
            self.put_shown(&mut fields, key);
        }
        print(&fields.doc())
    }

    fn put_shown(&self, fields: &mut Map, key: &str) {
        if let Some((key, node)) = self.shown.iter().find(|(name, _)| *name == key) {
            fields.put(key, as_written(node));
        }
    }
}

impl ScrapeConfig {
    /// One job as YAML, with secrets masked.
    pub fn to_yaml(&self) -> String {
        print(&self.doc())
    }

    fn doc(&self) -> Doc {
        let mut fields = Map::default();
        fields.put("job_name", Doc::text(&self.job_name));
        fields.flag("honor_labels", self.honor_labels);
        fields.put("honor_timestamps", Doc::bare(self.honor_timestamps));
        fields.put("track_timestamps_staleness", Doc::bare(self.track_timestamps_staleness));
        let params = self.params.iter().map(|(name, values)| (name.clone(), Doc::texts(values))).collect();
        fields.map("params", params);
        fields.put("scrape_interval", duration(self.scrape_interval_ms));
        fields.put("scrape_timeout", duration(self.scrape_timeout_ms));
        fields.put("scrape_protocols", protocols(&self.scrape_protocols));
        if let Some(protocol) = self.fallback_scrape_protocol {
            fields.put("fallback_scrape_protocol", Doc::text(protocol.as_str()));
        }
        fields.put("scrape_native_histograms", Doc::bare(false));
        fields.put("always_scrape_classic_histograms", Doc::bare(false));
        fields.put("convert_classic_histograms_to_nhcb", Doc::bare(false));
        if let Some(path) = &self.scrape_failure_log_file {
            fields.put("scrape_failure_log_file", path_doc(path));
        }
        fields.put("metrics_path", Doc::text(&self.metrics_path));
        fields.put("scheme", Doc::text(&self.scheme));
        fields.put("enable_compression", Doc::bare(self.enable_compression));
        fields.limits(self.limits);
        fields.put("metric_name_validation_scheme", Doc::text(scheme_word(self.name_scheme)));
        fields.put("metric_name_escaping_scheme", Doc::text(self.escaping.as_str()));
        fields.put("extra_scrape_metrics", Doc::bare(self.extra_scrape_metrics));
        fields.http(&self.http);
        fields.list("relabel_configs", self.relabel_configs.iter().map(rule).collect());
        fields.list("metric_relabel_configs", self.metric_relabel_configs.iter().map(rule).collect());
        fields.discovery(&self.discovery);
        fields.doc()
    }
}

impl Global {
    fn doc(&self) -> Doc {
        let mut fields = Map::default();
        fields.put("scrape_interval", duration(self.scrape_interval_ms));
        fields.put("scrape_timeout", duration(self.scrape_timeout_ms));
        if let Some(wanted) = &self.scrape_protocols {
            fields.put("scrape_protocols", protocols(wanted));
        }
        fields.put("evaluation_interval", duration(self.evaluation_interval_ms));
        if self.rule_query_offset_ms != 0 {
            fields.put("rule_query_offset", duration(self.rule_query_offset_ms));
        }
        for (key, path) in [
            ("query_log_file", &self.query_log_file),
            ("scrape_failure_log_file", &self.scrape_failure_log_file),
        ] {
            if let Some(path) = path {
                fields.put(key, path_doc(path));
            }
        }
        let labels = self.external_labels.iter();
        fields.map("external_labels", labels.map(|l| (l.name.to_owned(), Doc::text(l.value))).collect());
        fields.limits(self.limits);
        fields.put("metric_name_validation_scheme", Doc::text(scheme_word(self.name_scheme)));
        if let Some(escaping) = self.escaping {
            fields.put("metric_name_escaping_scheme", Doc::text(escaping.as_str()));
        }
        fields.flag("extra_scrape_metrics", self.extra_scrape_metrics);
        fields.doc()
    }
}

/// Fields in order; empty ones are left out.
#[derive(Default)]
struct Map {
    fields: Vec<(String, Doc)>,
}

impl Map {
    fn put(&mut self, key: &str, doc: Doc) {
        self.fields.push((key.to_owned(), doc));
    }

    fn doc(self) -> Doc {
        Doc::Map(self.fields)
    }

    fn flag(&mut self, key: &str, on: bool) {
        if on {
            self.put(key, Doc::bare(true));
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.put(key, Doc::text(text));
        }
    }

    fn path(&mut self, key: &str, path: Option<&Path>) {
        if let Some(path) = path {
            self.put(key, path_doc(path));
        }
    }

    fn paths(&mut self, key: &str, paths: &[std::path::PathBuf]) {
        self.list(key, paths.iter().map(|path| path_doc(path)).collect());
    }

    fn secret(&mut self, key: &str, secret: Option<&Secret>) {
        if secret.is_some() {
            self.put(key, mask());
        }
    }

    fn list(&mut self, key: &str, items: Vec<Doc>) {
        if !items.is_empty() {
            self.put(key, Doc::Seq(items));
        }
    }

    fn map(&mut self, key: &str, fields: Vec<(String, Doc)>) {
        if !fields.is_empty() {
            self.put(key, Doc::Map(fields));
        }
    }

    fn limits(&mut self, limits: Limits) {
        if limits.body_bytes > 0 {
            self.put("body_size_limit", Doc::text(format_size(limits.body_bytes)));
        }
        for (key, limit) in [
            ("sample_limit", limits.samples),
            ("target_limit", limits.targets),
            ("label_limit", limits.labels),
            ("label_name_length_limit", limits.label_name_bytes),
            ("label_value_length_limit", limits.label_value_bytes),
            ("keep_dropped_targets", limits.keep_dropped_targets),
        ] {
            if limit > 0 {
                self.put(key, Doc::bare(limit));
            }
        }
    }

    fn http(&mut self, http: &HttpClientConfig) {
        if let Some(auth) = &http.basic_auth {
            let mut inner = Map::default();
            inner.text("username", &auth.username);
            inner.path("username_file", auth.username_file.as_deref());
            inner.secret("password", auth.password.as_ref());
            inner.path("password_file", auth.password_file.as_deref());
            self.put("basic_auth", inner.doc());
        }
        if let Some(auth) = &http.authorization {
            let mut inner = Map::default();
            inner.text("type", &auth.scheme);
            inner.secret("credentials", auth.credentials.as_ref());
            inner.path("credentials_file", auth.credentials_file.as_deref());
            self.put("authorization", inner.doc());
        }
        if http.tls != TlsConfig::default() {
            self.put("tls_config", tls_doc(&http.tls));
        }
        self.put("follow_redirects", Doc::bare(http.follow_redirects));
        self.put("enable_http2", Doc::bare(http.enable_http2));
        if let Some(url) = &http.proxy_url {
            self.put("proxy_url", Doc::text(without_password(url.expose())));
        }
        self.text("no_proxy", &http.no_proxy);
        self.flag("proxy_from_environment", http.proxy_from_environment);
        let masked = |values: &[Secret]| Doc::Seq(values.iter().map(|_| mask()).collect());
        let headers = http.proxy_connect_header.iter();
        self.map("proxy_connect_header", headers.map(|(name, v)| (name.clone(), masked(v))).collect());
        let headers = http.http_headers.iter().map(|(name, header)| {
            let mut inner = Map::default();
            inner.list("values", header.values.iter().map(Doc::text).collect());
            inner.list("secrets", header.secrets.iter().map(|_| mask()).collect());
            inner.paths("files", &header.files);
            (name.clone(), inner.doc())
        });
        self.map("http_headers", headers.collect());
    }

    fn discovery(&mut self, discovery: &Discovery) {
        self.list("static_configs", discovery.static_configs.iter().map(group).collect());
        let files = discovery.file_sd_configs.iter().map(|config| {
            let mut inner = Map::default();
            inner.paths("files", &config.files);
            inner.put("refresh_interval", duration(config.refresh_interval_ms));
            inner.doc()
        });
        self.list("file_sd_configs", files.collect());
    }
}

fn group(group: &TargetGroup) -> Doc {
    let mut fields = Map::default();
    fields.put("targets", Doc::texts(&group.targets));
    let labels = group.labels.iter().map(|(name, value)| (name.clone(), Doc::text(value)));
    fields.map("labels", labels.collect());
    fields.doc()
}

fn tls_doc(tls: &TlsConfig) -> Doc {
    let mut fields = Map::default();
    fields.text("ca", tls.ca.as_deref().unwrap_or(""));
    fields.text("cert", tls.cert.as_deref().unwrap_or(""));
    fields.secret("key", tls.key.as_ref());
    fields.path("ca_file", tls.ca_file.as_deref());
    fields.path("cert_file", tls.cert_file.as_deref());
    fields.path("key_file", tls.key_file.as_deref());
    fields.text("server_name", &tls.server_name);
    fields.put("insecure_skip_verify", Doc::bare(tls.insecure_skip_verify));
    fields.text("min_version", tls.min_version.map_or("", |version| version.as_str()));
    fields.text("max_version", tls.max_version.map_or("", |version| version.as_str()));
    fields.doc()
}

fn rule(rule: &RelabelConfig) -> Doc {
    let mut fields = Map::default();
    if !rule.source_labels().is_empty() {
        fields.put("source_labels", Doc::Flow(rule.source_labels().to_vec()));
    }
    fields.text("separator", rule.separator());
    if !rule.regex().is_empty() {
        fields.put("regex", Doc::text(rule.regex()));
    }
    if rule.modulus() > 0 {
        fields.put("modulus", Doc::bare(rule.modulus()));
    }
    fields.text("target_label", rule.target_label());
    if !rule.replacement().is_empty() || rule.spec().replacement.is_some() {
        fields.put("replacement", Doc::text(rule.replacement()));
    }
    fields.put("action", Doc::text(rule.action().as_str()));
    fields.doc()
}

fn alerting_doc(alerting: &Alerting) -> Doc {
    let mut fields = Map::default();
    fields.list("alert_relabel_configs", alerting.alert_relabel_configs.iter().map(rule).collect());
    fields.list("alertmanagers", alerting.alertmanagers.iter().map(alertmanager_doc).collect());
    fields.doc()
}

fn alertmanager_doc(alertmanager: &Alertmanager) -> Doc {
    let mut fields = Map::default();
    fields.http(&alertmanager.http);
    fields.put("scheme", Doc::text(&alertmanager.scheme));
    fields.text("path_prefix", &alertmanager.path_prefix);
    fields.put("timeout", duration(alertmanager.timeout_ms));
    fields.put("api_version", Doc::text("v2"));
    fields.list("relabel_configs", alertmanager.relabel_configs.iter().map(rule).collect());
    fields.list("alert_relabel_configs", alertmanager.alert_relabel_configs.iter().map(rule).collect());
    fields.discovery(&alertmanager.discovery);
    fields.doc()
}

fn storage_doc(storage: &Storage) -> Option<Doc> {
    let mut retention = Map::default();
    if let Some(time) = storage.retention_time_ms {
        retention.put("time", duration(time));
    }
    if let Some(bytes) = storage.retention_bytes {
        retention.put("size", Doc::text(format_size(bytes)));
    }
    let mut tsdb = Map::default();
    if let Some(window) = storage.out_of_order_time_window_ms {
        tsdb.put("out_of_order_time_window", duration(window));
    }
    tsdb.map("retention", retention.fields);
    let mut fields = Map::default();
    fields.map("tsdb", tsdb.fields);
    if let Some(max) = storage.max_exemplars {
        fields.put("exemplars", Doc::Map(vec![("max_exemplars".to_owned(), Doc::bare(max))]));
    }
    (!fields.fields.is_empty()).then(|| fields.doc())
}

/// A block as it stands in the file. Anything below a key that may hold a secret is masked, whatever its shape.
fn as_written(node: &Node) -> Doc {
    match &node.value {
        Value::Null => Doc::bare("null"),
        Value::Scalar { text, plain: true } => Doc::Bare(text.clone()),
        Value::Scalar { text, plain: false } => Doc::text(text),
        Value::Seq(items) => Doc::Seq(items.iter().map(as_written).collect()),
        Value::Map(entries) => Doc::Map(
            entries
                .iter()
                .map(|entry| {
                    let doc = match &entry.node.value {
                        _ if SECRET_KEYS.contains(&entry.key.as_str()) => mask(),
                        Value::Scalar { text, .. } if entry.key.ends_with("url") => {
                            Doc::text(without_password(text))
                        }
                        _ => as_written(&entry.node),
                    };
                    (entry.key.clone(), doc)
                })
                .collect(),
        ),
    }
}

/// A URL with its password masked.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{scheme}://{name}:{SECRET_MASK}@{host}{path}"),
            None => url.to_owned(),
        },
        None => url.to_owned(),
    }
}

fn mask() -> Doc {
    Doc::text(SECRET_MASK)
}

fn path_doc(path: &Path) -> Doc {
    Doc::text(path.display().to_string())
}

fn duration(ms: i64) -> Doc {
    Doc::text(format_duration(ms))
}

fn protocols(protocols: &[ScrapeProtocol]) -> Doc {
    Doc::texts(protocols.iter().map(|protocol| protocol.as_str()))
}

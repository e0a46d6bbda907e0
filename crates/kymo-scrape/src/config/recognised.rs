//! Recognised: blocks that are read for their shape, shown, and not acted upon yet. Each says so in a warning.

use std::path::Path;

use kymo_model::NameScheme;
use kymo_relabel::RelabelConfig;

use super::discovery::Discovery;
use super::http_client::{HttpClientConfig, read_tls, refuse};
use super::reader::{Fields, Reader};
use super::relabel::read_rules;
use crate::yaml::{Node, Value};

/// `alerting`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alerting {
    /// `alert_relabel_configs`: over alerts before they are sent.
    pub alert_relabel_configs: Vec<RelabelConfig>,
    /// `alertmanagers`
    pub alertmanagers: Vec<Alertmanager>,
}

/// One entry of `alertmanagers`.
#[derive(Clone, Debug, PartialEq)]
pub struct Alertmanager {
    /// Where they are.
    pub discovery: Discovery,
    /// How to reach them.
    pub http: HttpClientConfig,
    /// `scheme`
    pub scheme: String,
    /// `path_prefix`
    pub path_prefix: String,
    /// `timeout`, 10 seconds by default.
    pub timeout_ms: i64,
    /// `relabel_configs`: over the Alertmanagers.
    pub relabel_configs: Vec<RelabelConfig>,
    /// `alert_relabel_configs`: over alerts for these Alertmanagers.
    pub alert_relabel_configs: Vec<RelabelConfig>,
}

impl Alerting {
    pub(crate) fn read(reader: &mut Reader, node: Option<&Node>, dir: &Path, scheme: NameScheme) -> Alerting {
        let Some(node) = node else { return Alerting::default() };
        let mut fields = Fields::open(reader, node, "alerting");
        let path = fields.path_of("alert_relabel_configs");
        let alert_relabel_configs = read_rules(reader, fields.take("alert_relabel_configs"), &path, scheme);
        let mut alertmanagers = Vec::new();
        if let Some(node) = fields.take("alertmanagers") {
            let path = fields.path_of("alertmanagers");
            for (item, path) in reader.items(node, &path) {
                alertmanagers.push(Alertmanager::read(reader, item, &path, dir, scheme));
            }
        }
        fields.finish(reader);
        Alerting { alert_relabel_configs, alertmanagers }
    }
}

impl Alertmanager {
    fn read(reader: &mut Reader, node: &Node, path: &str, dir: &Path, scheme: NameScheme) -> Alertmanager {
        let mut fields = Fields::open(reader, node, path);
        let f = &mut fields;
        refuse(reader, f, "sigv4", "signing requests is not supported");
        if let Some(version) = f.text(reader, "api_version").filter(|version| version != "v2") {
            let message = format!("expected Alertmanager api version to be one of [v2] but got {version}");
            f.fault_at(reader, "api_version", message);
        }
        let path = f.path_of("relabel_configs");
        let rules = f.take("relabel_configs");
        let relabel_configs = read_rules(reader, rules, &path, scheme);
        let path = f.path_of("alert_relabel_configs");
        let alert_relabel_configs = read_rules(reader, f.take("alert_relabel_configs"), &path, scheme);
        let has_rules =
            rules.is_some_and(|node| matches!(&node.value, Value::Seq(items) if !items.is_empty()));
        let alertmanager = Alertmanager {
            discovery: Discovery::read(reader, f, dir, !has_rules),
            http: HttpClientConfig::read(reader, f, dir),
            scheme: f
                .text(reader, "scheme")
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| "http".to_owned()),
            path_prefix: f.text(reader, "path_prefix").unwrap_or_default(),
            timeout_ms: f.duration(reader, "timeout").unwrap_or(10_000),
            relabel_configs,
            alert_relabel_configs,
        };
        fields.finish(reader);
        alertmanager
    }
}

/// `storage`: what of it can be said in the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Storage {
    /// `tsdb.out_of_order_time_window`, in milliseconds.
    pub out_of_order_time_window_ms: Option<i64>,
    /// `tsdb.retention.time`, in milliseconds.
    pub retention_time_ms: Option<i64>,
    /// `tsdb.retention.size`, in bytes.
    pub retention_bytes: Option<u64>,
    /// `exemplars.max_exemplars`; 0 for none.
    pub max_exemplars: Option<u64>,
}

impl Storage {
    pub(crate) fn read(reader: &mut Reader, node: Option<&Node>) -> Storage {
        let Some(node) = node else { return Storage::default() };
        let mut storage = Storage::default();
        let mut fields = Fields::open(reader, node, "storage");
        if let Some(node) = fields.take("tsdb") {
            let mut tsdb = Fields::open(reader, node, "storage.tsdb");
            if tsdb.key_place("out_of_order_time_window").is_some() {
                let window = tsdb.duration(reader, "out_of_order_time_window").unwrap_or(0);
                storage.out_of_order_time_window_ms = Some(window);
            }
            if let Some(node) = tsdb.take("retention") {
                let mut retention = Fields::open(reader, node, "storage.tsdb.retention");
                storage.retention_time_ms = retention.duration(reader, "time");
                if let Some(text) = retention.text(reader, "size").filter(|text| !text.is_empty()) {
                    storage.retention_bytes = super::size::parse_size(&text).filter(|bytes| *bytes > 0);
                    if super::size::parse_size(&text).is_none() {
                        retention.fault_at(reader, "size", format!("not a valid size: {text:?}"));
                    }
                }
                refuse(
                    reader,
                    &mut retention,
                    "percentage",
                    "retention by a part of the disk is not supported",
                );
                retention.finish(reader);
            }
            tsdb.finish(reader);
        }
        if let Some(node) = fields.take("exemplars") {
            let mut exemplars = Fields::open(reader, node, "storage.exemplars");
            let path = exemplars.path_of("max_exemplars");
            let bound = exemplars.take("max_exemplars").map(|node| reader.bound(node, &path));
            // As in Prometheus a block that does not say how many switches exemplars off.
            storage.max_exemplars = bound.unwrap_or(Some(0));
            exemplars.finish(reader);
        }
        fields.finish(reader);
        storage
    }
}

/// Checks the entries of `remote_write`. Gives how many there are.
pub(crate) fn read_remote_write(
    reader: &mut Reader,
    node: Option<&Node>,
    dir: &Path,
    scheme: NameScheme,
) -> usize {
    let Some(node) = node else { return 0 };
    let items = reader.items(node, "remote_write");
    for (item, path) in &items {
        let mut fields = Fields::open(reader, item, path);
        let f = &mut fields;
        read_remote_common(reader, f, "url for remote_write is empty");
        let rules_path = f.path_of("write_relabel_configs");
        read_rules(reader, f.take("write_relabel_configs"), &rules_path, scheme);
        for key in ["sigv4", "azuread", "google_iam"] {
            refuse(reader, f, key, "signing requests is not supported");
        }
        for key in ["send_exemplars", "send_native_histograms", "round_robin_dns"] {
            f.boolean(reader, key);
        }
        if let Some(message) = f.text(reader, "protobuf_message")
            && !matches!(message.as_str(), "" | "prometheus.WriteRequest" | "io.prometheus.write.v2.Request")
        {
            f.fault_at(
                reader,
                "protobuf_message",
                format!("unknown type for remote write protobuf message {message}"),
            );
        }
        if let Some(node) = f.take("queue_config") {
            let mut queue = Fields::open(reader, node, &f.path_of("queue_config"));
            for key in ["capacity", "max_shards", "min_shards", "max_samples_per_send"] {
                queue.unsigned(reader, key);
            }
            for key in ["batch_send_deadline", "min_backoff", "max_backoff", "sample_age_limit"] {
                queue.duration(reader, key);
            }
            queue.boolean(reader, "retry_on_http_429");
            queue.finish(reader);
        }
        if let Some(node) = f.take("metadata_config") {
            let mut metadata = Fields::open(reader, node, &f.path_of("metadata_config"));
            metadata.boolean(reader, "send");
            metadata.duration(reader, "send_interval");
            metadata.unsigned(reader, "max_samples_per_send");
            metadata.finish(reader);
        }
        HttpClientConfig::read(reader, f, dir);
        fields.finish(reader);
    }
    items.len()
}

/// Checks the entries of `remote_read`. Gives how many there are.
pub(crate) fn read_remote_read(reader: &mut Reader, node: Option<&Node>, dir: &Path) -> usize {
    let Some(node) = node else { return 0 };
    let items = reader.items(node, "remote_read");
    for (item, path) in &items {
        let mut fields = Fields::open(reader, item, path);
        let f = &mut fields;
        read_remote_common(reader, f, "url for remote_read is empty");
        f.unsigned(reader, "chunked_read_limit");
        for key in ["read_recent", "filter_external_labels"] {
            f.boolean(reader, key);
        }
        if let Some(node) = f.take("required_matchers") {
            reader.text_map(node, &f.path_of("required_matchers"));
        }
        HttpClientConfig::read(reader, f, dir);
        fields.finish(reader);
    }
    items.len()
}

fn read_remote_common(reader: &mut Reader, fields: &mut Fields<'_>, url_missing: &str) {
    match fields.text(reader, "url").filter(|url| !url.is_empty()) {
        None => fields.fault_at(reader, "url", url_missing),
        Some(url) => {
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
                fields.fault_at(reader, "url", "expected a URL of the form http://host/path");
            }
        }
    }
    fields.duration(reader, "remote_timeout");
    fields.text(reader, "name");
    if let Some(node) = fields.take("headers") {
        reader.text_map(node, &fields.path_of("headers"));
    }
}

/// Checks `tracing`.
pub(crate) fn read_tracing(reader: &mut Reader, node: &Node, dir: &Path) {
    let mut fields = Fields::open(reader, node, "tracing");
    for key in ["client_type", "endpoint", "compression"] {
        fields.text(reader, key);
    }
    fields.float(reader, "sampling_fraction");
    fields.boolean(reader, "insecure");
    fields.duration(reader, "timeout");
    if let Some(node) = fields.take("headers") {
        reader.text_map(node, "tracing.headers");
    }
    read_tls(reader, &mut fields, dir);
    fields.finish(reader);
}

/// Checks `otlp`.
pub(crate) fn read_otlp(reader: &mut Reader, node: &Node) {
    let mut fields = Fields::open(reader, node, "otlp");
    for key in [
        "promote_all_resource_attributes",
        "keep_identifying_resource_attributes",
        "convert_histograms_to_nhcb",
        "promote_scope_metadata",
        "label_name_underscore_sanitization",
        "label_name_preserve_multiple_underscores",
    ] {
        fields.boolean(reader, key);
    }
    for key in ["promote_resource_attributes", "ignore_resource_attributes"] {
        fields.texts(reader, key);
    }
    fields.text(reader, "translation_strategy");
    fields.finish(reader);
}

/// Checks `runtime`. Its one key tunes Go's garbage collector.
pub(crate) fn read_runtime(reader: &mut Reader, node: &Node) {
    let mut fields = Fields::open(reader, node, "runtime");
    fields.float(reader, "gogc");
    fields.finish(reader);
}

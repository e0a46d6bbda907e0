//! Service discovery of a scrape job: static targets and files. Other kinds are known by name and refused.

use std::path::{Path, PathBuf};

use super::http_client::path_in;
use super::reader::{Fields, Reader};
use crate::yaml::{Node, Value};

/// Where the targets of a job come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// `static_configs`
    pub static_configs: Vec<TargetGroup>,
    /// `file_sd_configs`
    pub file_sd_configs: Vec<FileSdConfig>,
}

/// Targets that share labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// The addresses.
    pub targets: Vec<String>,
    /// Labels of each of them, in order of name.
    pub labels: Vec<(String, String)>,
}

/// `file_sd_configs`: targets in JSON or YAML files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSdConfig {
    /// Paths; the last part of each may hold one `*`.
    pub files: Vec<PathBuf>,
    /// How often the files are read again at the latest, in milliseconds; 5 minutes by default.
    pub refresh_interval_ms: i64,
}

const REFRESH_INTERVAL_DEFAULT_MS: i64 = 300_000;

/// Kinds of discovery that Prometheus has and that are refused here, because leaving them out would lose targets.
const OTHER_KINDS: [&str; 28] = [
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "dns_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "http_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "openstack_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
];

impl Discovery {
    /// Takes the discovery keys out of the mapping they are mixed into. `check_addresses`: no rule can mend an address.
    pub(crate) fn read(
        reader: &mut Reader,
        fields: &mut Fields<'_>,
        dir: &Path,
        check_addresses: bool,
    ) -> Discovery {
        for key in OTHER_KINDS {
            let is_empty = match fields.take(key).map(|node| &node.value) {
                None | Some(Value::Null) => true,
                Some(Value::Seq(items)) => items.is_empty(),
                Some(_) => false,
            };
            if let (false, Some(place)) = (is_empty, fields.key_place(key)) {
                let path = fields.path_of(key);
                reader.fault(
                    place,
                    &path,
                    format!("{key} is not supported, expected static_configs or file_sd_configs"),
                );
            }
        }
        Discovery {
            static_configs: read_static(reader, fields, check_addresses),
            file_sd_configs: read_files(reader, fields, dir),
        }
    }
}

fn read_static(reader: &mut Reader, fields: &mut Fields<'_>, check_addresses: bool) -> Vec<TargetGroup> {
    let Some(node) = fields.take("static_configs") else { return Vec::new() };
    let path = fields.path_of("static_configs");
    let items = reader.items(node, &path);
    let mut groups = Vec::new();
    for (item, path) in items {
        if let Some(group) = read_group(reader, item, &path, check_addresses) {
            groups.push(group);
        }
    }
    groups
}

/// One `{targets: […], labels: {…}}`, of a configuration or of a file of targets.
pub(crate) fn read_group(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    check_addresses: bool,
) -> Option<TargetGroup> {
    if matches!(node.value, Value::Null) {
        reader.fault(node.place, path, "empty section in static_configs");
        return None;
    }
    let mut fields = Fields::open(reader, node, path);
    let mut group = TargetGroup::default();
    if let Some(node) = fields.take("targets") {
        let path = fields.path_of("targets");
        for (item, path) in reader.items(node, &path) {
            let Some(address) = reader.text(item, &path) else { continue };
            if check_addresses && let Err(message) = check_address(&address) {
                reader.fault(item.place, &path, message);
            }
            group.targets.push(address);
        }
    }
    if let Some(node) = fields.take("labels") {
        let path = fields.path_of("labels");
        for (name, value, place) in reader.text_map(node, &path) {
            if name.is_empty() {
                reader.fault(place, &path, format!("{name:?} is not a valid label name"));
            }
            group.labels.push((name, value));
        }
        group.labels.sort();
    }
    fields.finish(reader);
    Some(group)
}

/// Is this a host with or without a port? Prometheus only looks for a `/`, which a URL has.
pub(crate) fn check_address(address: &str) -> Result<(), String> {
    if address.contains('/') {
        return Err(format!("{address:?} is not a valid hostname"));
    }
    Ok(())
}

fn read_files(reader: &mut Reader, fields: &mut Fields<'_>, dir: &Path) -> Vec<FileSdConfig> {
    let Some(node) = fields.take("file_sd_configs") else { return Vec::new() };
    let path = fields.path_of("file_sd_configs");
    let items = reader.items(node, &path);
    let mut configs = Vec::new();
    for (item, path) in items {
        let mut inner = Fields::open(reader, item, &path);
        let mut files = Vec::new();
        if let Some(node) = inner.take("files") {
            let path = inner.path_of("files");
            for (item, path) in reader.items(node, &path) {
                let Some(text) = reader.text(item, &path) else { continue };
                if !is_file_pattern(&text) {
                    let message = format!(
                        "path name {text:?} is not valid for file discovery, expected it to end in .json, .yml or .yaml, with at most one * and that in the last part"
                    );
                    reader.fault(item.place, &path, message);
                }
                files.push(path_in(dir, &text));
            }
        }
        if files.is_empty() {
            inner.fault_at(
                reader,
                "files",
                "file service discovery config must contain at least one path name",
            );
        }
        let refresh_interval_ms =
            inner.duration(reader, "refresh_interval").unwrap_or(REFRESH_INTERVAL_DEFAULT_MS);
        inner.finish(reader);
        configs.push(FileSdConfig { files, refresh_interval_ms });
    }
    configs
}

/// `[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)`
fn is_file_pattern(text: &str) -> bool {
    let stem = ["json", "yml", "yaml", "JSON", "YML", "YAML"]
        .into_iter()
        .find_map(|ending| text.strip_suffix(ending)?.strip_suffix('.'));
    stem.is_some_and(is_glob)
}

/// At most the last part of the path varies: `[^*]*(\*[^/]*)?`.
pub(crate) fn is_glob(text: &str) -> bool {
    match text.split_once('*') {
        Some((_, tail)) => !tail.contains('/'),
        None => true,
    }
}

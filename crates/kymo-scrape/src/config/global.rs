//! Global: the block that the jobs take their defaults from.

use std::path::{Path, PathBuf};

use kymo_model::{Labels, NameScheme};

use super::http_client::path_in;
use super::limits::Limits;
use super::names::{Escaping, read_escaping, read_scheme};
use super::protocol::ScrapeProtocol;
use super::reader::{Fields, Reader};
use crate::yaml::Node;

/// `global`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// `scrape_interval`, 1 minute by default.
    pub scrape_interval_ms: i64,
    /// `scrape_timeout`, 10 seconds by default, never longer than the interval.
    pub scrape_timeout_ms: i64,
    /// `scrape_protocols`; `None` when not said.
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
    /// `evaluation_interval` of rules, 1 minute by default.
    pub evaluation_interval_ms: i64,
    /// `rule_query_offset`
    pub rule_query_offset_ms: i64,
    /// `external_labels`, with `${NAME}` replaced by variables of the environment.
    pub external_labels: Labels,
    /// Limits of jobs that have none of their own.
    pub limits: Limits,
    /// `metric_name_validation_scheme`
    pub name_scheme: NameScheme,
    /// `metric_name_escaping_scheme`
    pub escaping: Option<Escaping>,
    /// `query_log_file`: kept for printing.
    pub query_log_file: Option<PathBuf>,
    /// `scrape_failure_log_file`: kept for printing.
    pub scrape_failure_log_file: Option<PathBuf>,
    /// `extra_scrape_metrics`
    pub extra_scrape_metrics: bool,
}

impl Default for Global {
    fn default() -> Global {
        Global {
            scrape_interval_ms: 60_000,
            scrape_timeout_ms: 10_000,
            scrape_protocols: None,
            evaluation_interval_ms: 60_000,
            rule_query_offset_ms: 0,
            external_labels: Labels::empty(),
            limits: Limits::default(),
            name_scheme: NameScheme::Utf8,
            escaping: None,
            query_log_file: None,
            scrape_failure_log_file: None,
            extra_scrape_metrics: false,
        }
    }
}

/// Looks up a variable of the environment.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Global {
    pub(crate) fn read(
        reader: &mut Reader,
        node: Option<&Node>,
        dir: &Path,
        environment: Environment<'_>,
    ) -> Global {
        let defaults = Global::default();
        let Some(node) = node else { return defaults };
        let mut fields = Fields::open(reader, node, "global");
        let interval = fields.duration(reader, "scrape_interval").unwrap_or(defaults.scrape_interval_ms);
        let timeout = fields.duration(reader, "scrape_timeout");
        if timeout.is_some_and(|timeout| timeout > interval) {
            let message = "global scrape timeout greater than scrape interval";
            fields.fault_at(reader, "scrape_timeout", message);
        }
        let name_scheme = read_scheme(reader, &mut fields).unwrap_or_default();
        let global = Global {
            scrape_interval_ms: interval,
            scrape_timeout_ms: timeout.unwrap_or(defaults.scrape_timeout_ms.min(interval)),
            scrape_protocols: read_protocols(reader, &mut fields),
            evaluation_interval_ms: fields
                .duration(reader, "evaluation_interval")
                .unwrap_or(defaults.evaluation_interval_ms),
            rule_query_offset_ms: fields.duration(reader, "rule_query_offset").unwrap_or(0),
            external_labels: read_external_labels(reader, &mut fields, name_scheme, environment),
            limits: Limits::read(reader, &mut fields),
            name_scheme,
            escaping: read_escaping(reader, &mut fields),
            query_log_file: read_log_file(reader, &mut fields, "query_log_file", dir),
            scrape_failure_log_file: read_log_file(reader, &mut fields, "scrape_failure_log_file", dir),
            extra_scrape_metrics: fields.boolean(reader, "extra_scrape_metrics").unwrap_or(false),
        };
        read_native_histogram_switches(reader, &mut fields);
        fields.finish(reader);
        global
    }
}

/// A file that Prometheus would write and that is only remembered.
pub(crate) fn read_log_file(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    key: &'static str,
    dir: &Path,
) -> Option<PathBuf> {
    let text = fields.text(reader, key).filter(|text| !text.is_empty())?;
    if let Some(place) = fields.key_place(key) {
        reader.warn(place, &fields.path_of(key), format!("{key}: this log is not written"));
    }
    Some(path_in(dir, &text))
}

/// Keys about native histograms: known; asking for them is answered with a warning, because the text formats have none.
pub(crate) fn read_native_histogram_switches(reader: &mut Reader, fields: &mut Fields<'_>) {
    for key in
        ["scrape_native_histograms", "convert_classic_histograms_to_nhcb", "always_scrape_classic_histograms"]
    {
        let wanted = fields.boolean(reader, key).unwrap_or(false);
        // Classic histograms are always scraped as such, so the third switch is always on.
        if wanted
            && key != "always_scrape_classic_histograms"
            && let Some(place) = fields.key_place(key)
        {
            let message =
                format!("{key}: native histograms are not scraped, classic ones are kept as they are");
            reader.warn(place, &fields.path_of(key), message);
        }
    }
}

pub(crate) fn read_protocols(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Vec<ScrapeProtocol>> {
    let key = "scrape_protocols";
    let node = fields.take(key)?;
    let path = fields.path_of(key);
    let items = reader.items(node, &path);
    let mut protocols = Vec::new();
    for (item, path) in &items {
        let Some(name) = reader.text(item, path) else { continue };
        match ScrapeProtocol::parse(&name) {
            None => reader.fault(item.place, path, unknown_protocol(&name)),
            Some(protocol) if protocols.contains(&protocol) => {
                reader.fault(item.place, path, format!("duplicated protocol in scrape_protocols: {name}"));
            }
            Some(protocol) => protocols.push(protocol),
        }
    }
    if items.is_empty() {
        fields.fault_at(reader, key, "scrape_protocols cannot be empty");
    } else if protocols.contains(&ScrapeProtocol::PrometheusProto) {
        if protocols.len() == 1 {
            fields.fault_at(
                reader,
                key,
                "PrometheusProto alone is not supported, expected a text format too",
            );
        } else {
            reader.warn(node.place, &path, "PrometheusProto is not asked for, only the text formats are");
        }
    }
    Some(protocols)
}

pub(crate) fn unknown_protocol(name: &str) -> String {
    let known: Vec<&str> = ScrapeProtocol::ALL.iter().map(|protocol| protocol.as_str()).collect();
    format!("unknown scrape protocol {name}, supported: {}", known.join(", "))
}

fn read_external_labels(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    scheme: NameScheme,
    environment: Environment<'_>,
) -> Labels {
    let Some(node) = fields.take("external_labels") else { return Labels::empty() };
    let path = fields.path_of("external_labels");
    let mut pairs = Vec::new();
    for (name, value, place) in reader.text_map(node, &path) {
        if !scheme.is_label_name(&name) {
            reader.fault(place, &path, format!("{name:?} is not a valid label name"));
            continue;
        }
        let value = expand(&value, |variable| {
            let found = environment(variable).filter(|text| !text.is_empty());
            if found.is_none() {
                reader.warn(place, &path, format!("the environment variable {variable:?} is empty"));
            }
            found.unwrap_or_default()
        });
        pairs.push((name, value));
    }
    Labels::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// Go's `os.Expand`: `$NAME`, `${NAME}`, `$$` for a dollar; a lone `$` stays out, and so does `${` without an end.
fn expand(text: &str, mut lookup: impl FnMut(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let (name, after) = match tail.strip_prefix('{') {
            Some(inner) => match inner.find('}') {
                Some(end) => (&inner[..end], &inner[end + 1..]),
                None => ("", inner),
            },
            None if tail.starts_with(|c: char| "*#$@!?-0123456789".contains(c)) => tail.split_at(1),
            None => {
                let end = tail.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
                tail.split_at(end)
            }
        };
        match name {
            "" if tail.is_empty() || !tail.starts_with('{') => out.push('$'),
            "" => {}
            "$" => out.push('$'),
            name => out.push_str(&lookup(name)),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn variables_as_in_go() {
        for (text, want) in [
            ("a", "a"),
            ("$A", "<A>"),
            ("${A}b", "<A>b"),
            ("x${A_1}$B.y", "x<A_1><B>.y"),
            ("$$A", "$A"),
            ("${", ""),
            ("100$", "100$"),
            ("$.", "$."),
            ("é$Aé", "é<A>é"),
        ] {
            assert_eq!(expand(text, |name| format!("<{name}>")), want, "{text}");
        }
    }
}

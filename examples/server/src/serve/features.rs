//! `--enable-feature`: Prometheus' names, what each does here, and what is said of those that do nothing.
//!
//! Source: Prometheus' docs/feature_flags.md, versions 2.42 to 3.14. A name that nobody knows is a warning, as there.

use kymo_http::FeatureGroup;
use kymo_promql_syntax::Parser;

use crate::language::{self, Feature};

/// What is switched on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Features {
    language: Vec<Feature>,
    pub(crate) delayed_name_removal: bool,
    pub(crate) use_start_timestamps: bool,
    pub(crate) per_step_stats: bool,
    pub(crate) extra_scrape_metrics: bool,
    pub(crate) remote_write_receiver: bool,
    pub(crate) auto_reload_config: bool,
    /// What should be known of names that do nothing.
    pub(crate) warnings: Vec<String>,
}

/// Names that Prometheus has had for what always holds, there and here.
const ALWAYS: [&str; 10] = [
    "exemplar-storage",
    "expand-external-labels",
    "new-service-discovery-manager",
    "no-default-scrape-port",
    "promql-at-modifier",
    "promql-duration-expr",
    "promql-negative-offset",
    "utf8-names",
    "auto-gomaxprocs",
    "auto-gomemlimit",
];

/// Names that change nothing here, and why.
const WITHOUT_EFFECT: [(&str, &str); 17] = [
    ("memory-snapshot-on-shutdown", "what is in memory is always written down when the server stops"),
    ("native-histograms", "they are stored as they come by remote write; text formats of targets have none"),
    ("created-timestamp-zero-ingestion", "created timestamps are not stored"),
    ("st-storage", "start timestamps are not stored"),
    ("metadata-wal-records", "metadata is always written down when it changes"),
    ("concurrent-rule-eval", "groups are evaluated at the same time, the rules of one in order"),
    ("delayed-compaction", "compactions take their turn in maintenance, one at a time"),
    ("fast-startup", "the write-ahead log is read as a whole"),
    ("use-uncached-io", "files are written through the page cache"),
    ("xor2-encoding", "chunks are written in the encoding of version 1"),
    ("type-and-unit-labels", "types and units are metadata"),
    ("old-ui", "there is no web UI yet"),
    ("search-api", "there is no search API"),
    ("otlp-write-receiver", "OTLP is not received"),
    ("otlp-deltatocumulative", "OTLP is not received"),
    ("otlp-native-delta-ingestion", "OTLP is not received"),
    ("otlp-delta-conversion", "OTLP is not received"),
];

impl Features {
    /// Reads the names. The error says which one cannot be had.
    pub(crate) fn read(names: &[String]) -> Result<Features, String> {
        let mut features = Features::default();
        for name in names.iter().flat_map(|names| names.split(',')) {
            match name {
                "" => {}
                "promql-experimental-functions" => features.language.push(Feature::ExperimentalFunctions),
                "promql-extended-range-selectors" => features.language.push(Feature::ExtendedRangeSelectors),
                "promql-binop-fill-modifiers" => features.language.push(Feature::BinopFillModifiers),
                "promql-delayed-name-removal" => features.delayed_name_removal = true,
                "promql-per-step-stats" => features.per_step_stats = true,
                "use-start-timestamps" => features.use_start_timestamps = true,
                "extra-scrape-metrics" => features.extra_scrape_metrics = true,
                "auto-reload-config" => features.auto_reload_config = true,
                "remote-write-receiver" => {
                    features.remote_write_receiver = true;
                    features.warn(name, "is deprecated, use --web.enable-remote-write-receiver");
                }
                "agent" => return Err("--enable-feature=agent: this server has no agent mode".to_owned()),
                name if ALWAYS.contains(&name) => features.warn(name, "is always on"),
                name => match WITHOUT_EFFECT.iter().find(|(known, _)| *known == name) {
                    Some((_, why)) => features.warn(name, &format!("has no effect: {why}")),
                    None => features.warnings.push(format!("Unknown option for --enable-feature: {name}")),
                },
            }
        }
        Ok(features)
    }

    fn warn(&mut self, name: &str, what: &str) {
        self.warnings.push(format!("--enable-feature={name} {what}"));
    }

    /// A parser of the language that is switched on.
    pub(crate) fn parser(&self) -> Parser {
        language::parser(&self.language)
    }

    /// For `/api/v1/features`: the parts that the API does not know itself.
    pub(crate) fn groups(&self) -> Vec<FeatureGroup> {
        let on = |names: &[&'static str]| names.iter().map(|name| (*name, true)).collect();
        let group = |name, features| FeatureGroup { name, features };
        vec![
            group("otlp_receiver", vec![("delta_conversion", false), ("native_delta_ingestion", false)]),
            group(
                "prometheus",
                vec![
                    ("agent_mode", false),
                    ("auto_reload_config", self.auto_reload_config),
                    ("server_mode", true),
                ],
            ),
            group(
                "rules",
                vec![("concurrent_rule_eval", false), ("keep_firing_for", true), ("query_offset", true)],
            ),
            group(
                "scrape",
                vec![
                    ("extra_scrape_metrics", true),
                    ("start_timestamp_zero_ingestion", false),
                    ("type_and_unit_labels", false),
                ],
            ),
            group("service_discovery_providers", on(&["file", "static"])),
            group("templating_functions", on(&TEMPLATE_FUNCTIONS)),
            group(
                "tsdb",
                vec![
                    ("delayed_compaction", false),
                    ("exemplar_storage", true),
                    ("isolation", true),
                    ("native_histograms", true),
                    ("use_uncached_io", false),
                ],
            ),
            group("ui", vec![("ui_v2", false), ("ui_v3", false)]),
        ]
    }
}

/// What Prometheus adds to Go's templates.
const TEMPLATE_FUNCTIONS: [&str; 29] = [
    "args",
    "externalURL",
    "first",
    "graphLink",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "label",
    "match",
    "now",
    "parseDuration",
    "pathPrefix",
    "query",
    "reReplaceAll",
    "safeHtml",
    "sortByLabel",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "toDuration",
    "toLower",
    "toTime",
    "toUpper",
    "urlQueryEscape",
    "value",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let read =
            |names: &[&str]| Features::read(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        let features =
            read(&["promql-experimental-functions,", "foo,promql-at-modifier"]).expect("good names");
        assert!(features.parser().options().experimental_functions && !features.delayed_name_removal);
        assert_eq!(
            features.warnings,
            ["Unknown option for --enable-feature: foo", "--enable-feature=promql-at-modifier is always on"]
        );
        assert!(read(&["agent"]).is_err());
    }

    #[test]
    fn template_functions_are_there() {
        for name in TEMPLATE_FUNCTIONS {
            let file = |name: &str| {
                format!(
                    "groups: [{{name: g, rules: [{{alert: a, expr: up, annotations: {{x: '{{{{ {name} }}}}'}}}}]}}]"
                )
            };
            assert!(kymo_rules::RuleFile::parse(&file(name), "r.yml").is_ok(), "{name}");
            assert!(kymo_rules::RuleFile::parse(&file("noSuchFunction"), "r.yml").is_err());
        }
    }
}

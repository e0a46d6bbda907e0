//! The unit-test file, read and checked: like rule files, with all faults and their places.

use std::collections::BTreeMap;

use kymo_model::{Labels, parse_float};
use kymo_promql_syntax::series::{SequenceValue, parse_labels, parse_series_description};

use super::expected::{ExpectedAlert, ExpectedSample, ExpectedValue};
use crate::fault::FaultKind;
use crate::parse::FileReader;
use crate::rule_file::Query;
use crate::yaml::{Node, NodeKind};
use crate::{FileOptions, RuleFileError};

pub(super) struct TestFile {
    /// Patterns, with their places for messages.
    pub(super) rule_files: Vec<String>,
    pub(super) evaluation_interval_ms: i64,
    pub(super) group_eval_order: Vec<String>,
    pub(super) fuzzy_compare: bool,
    pub(super) tests: Vec<Test>,
}

pub(super) struct Test {
    pub(super) name: String,
    pub(super) interval_ms: i64,
    pub(super) start_ms: i64,
    pub(super) input: BTreeMap<Labels, Vec<SequenceValue>>,
    pub(super) alerts: Vec<AlertTest>,
    pub(super) exprs: Vec<ExprTest>,
    pub(super) external_labels: Labels,
    pub(super) external_url: String,
}

pub(super) struct AlertTest {
    pub(super) eval_ms: i64,
    pub(super) alert: String,
    pub(super) expected: Vec<ExpectedAlert>,
}

pub(super) struct ExprTest {
    pub(super) eval_ms: i64,
    pub(super) expr: Query,
    pub(super) expected: Vec<ExpectedSample>,
}

const DEFAULT_INTERVAL_MS: i64 = 60_000;

impl TestFile {
    pub(super) fn parse(
        text: &str,
        path: &str,
        options: FileOptions,
    ) -> Result<TestFile, Vec<RuleFileError>> {
        let mut reader = FileReader::new(text, path, options);
        let documents = reader.documents().unwrap_or_default();
        let mut file = TestFile {
            rule_files: Vec::new(),
            evaluation_interval_ms: DEFAULT_INTERVAL_MS,
            group_eval_order: Vec::new(),
            fuzzy_compare: false,
            tests: Vec::new(),
        };
        if let Some(root) = documents.first() {
            root_of(&mut reader, root, &mut file);
        }
        let faults = reader.into_faults();
        if faults.is_empty() { Ok(file) } else { Err(faults) }
    }
}

fn root_of(reader: &mut FileReader<'_>, root: &Node, file: &mut TestFile) {
    if !matches!(root.kind, NodeKind::Mapping(_)) {
        let message = format!("expected a mapping with the key tests, found {}", root.describe());
        reader.faults.at(root.start, FaultKind::Type, message);
        return;
    }
    let known = ["rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare"];
    reader.unknown_keys(root, &known, "a rule unit-test file");
    file.rule_files = strings(reader, root.get("rule_files"), "rule_files");
    if let Some(ms) = reader.duration(root.get("evaluation_interval"), "evaluation_interval")
        && ms > 0
    {
        file.evaluation_interval_ms = ms;
    }
    file.group_eval_order = strings(reader, root.get("group_eval_order"), "group_eval_order");
    let mut seen = std::collections::HashSet::new();
    for name in &file.group_eval_order {
        if !seen.insert(name) {
            let at = root.get("group_eval_order").unwrap_or(root).start;
            let message = format!("group name repeated in evaluation order: {name}");
            reader.faults.at(at, FaultKind::Invalid, message);
        }
    }
    file.fuzzy_compare = boolean(reader, root.get("fuzzy_compare"), "fuzzy_compare");
    for node in reader.sequence(root.get("tests"), "tests") {
        if let Some(test) = test_of(reader, node, file.evaluation_interval_ms) {
            file.tests.push(test);
        }
    }
}

fn strings(reader: &mut FileReader<'_>, node: Option<&Node>, key: &str) -> Vec<String> {
    let items = reader.sequence(node, key);
    items.iter().filter_map(|item| reader.string(Some(item), key)).collect()
}

fn boolean(reader: &mut FileReader<'_>, node: Option<&Node>, key: &str) -> bool {
    match node.filter(|node| !node.is_null()) {
        None => false,
        Some(node) => match node.text() {
            Some("true" | "True" | "TRUE") => true,
            Some("false" | "False" | "FALSE") => false,
            _ => {
                let message = format!("{key}: expected true or false, found {}", node.describe());
                reader.faults.at(node.start, FaultKind::Type, message);
                false
            }
        },
    }
}

/// A mapping, its keys checked.
fn mapping(reader: &mut FileReader<'_>, node: &Node, known: &[&str], what: &str) -> bool {
    if !matches!(node.kind, NodeKind::Mapping(_)) {
        reader.faults.at(node.start, FaultKind::Type, format!("expected {what}, found {}", node.describe()));
        return false;
    }
    reader.unknown_keys(node, known, what);
    true
}

fn test_of(reader: &mut FileReader<'_>, node: &Node, default_interval_ms: i64) -> Option<Test> {
    let known = [
        "interval",
        "input_series",
        "alert_rule_test",
        "promql_expr_test",
        "external_labels",
        "external_url",
        "name",
        "start_timestamp",
    ];
    if !mapping(reader, node, &known, "a test group") {
        return None;
    }
    let interval_ms = reader.duration(node.get("interval"), "interval").filter(|ms| *ms > 0);
    let mut input = BTreeMap::new();
    for series in reader.sequence(node.get("input_series"), "input_series") {
        if let Some((labels, values)) = series_of(reader, series) {
            input.insert(labels, values);
        }
    }
    let mut alerts = Vec::new();
    for case in reader.sequence(node.get("alert_rule_test"), "alert_rule_test") {
        alerts.extend(alert_test(reader, case));
    }
    let mut exprs = Vec::new();
    for case in reader.sequence(node.get("promql_expr_test"), "promql_expr_test") {
        exprs.extend(expr_test(reader, case));
    }
    let external = text_map(reader, node.get("external_labels"), "external_labels");
    let pairs = external.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Some(Test {
        name: reader.string(node.get("name"), "name").unwrap_or_default(),
        interval_ms: interval_ms.unwrap_or(default_interval_ms),
        start_ms: start_of(reader, node.get("start_timestamp")),
        input,
        alerts,
        exprs,
        external_labels: Labels::from_pairs(pairs),
        external_url: reader.string(node.get("external_url"), "external_url").unwrap_or_default(),
    })
}

fn text_map(reader: &mut FileReader<'_>, node: Option<&Node>, key: &str) -> BTreeMap<String, String> {
    let entries = reader.string_map(node, key);
    let text = |node: &Node| node.text().unwrap_or("").to_owned();
    entries.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

/// Seconds since the epoch, or a time of RFC 3339.
fn start_of(reader: &mut FileReader<'_>, node: Option<&Node>) -> i64 {
    let Some(text) = reader.string(node, "start_timestamp") else { return 0 };
    let seconds = parse_float(&text).ok().filter(|seconds| seconds.abs() < 9e12);
    let ms = seconds.map(|seconds| (seconds * 1000.0).round() as i64);
    match ms.or_else(|| super::expected::parse_rfc3339_ms(&text)) {
        Some(ms) => ms,
        None => {
            let at = node.map_or(0, |node| node.start);
            let message = format!("start_timestamp: expected seconds or a time of RFC 3339, found {text:?}");
            reader.faults.at(at, FaultKind::Type, message);
            0
        }
    }
}

fn series_of(reader: &mut FileReader<'_>, node: &Node) -> Option<(Labels, Vec<SequenceValue>)> {
    if !mapping(reader, node, &["series", "values"], "an input series") {
        return None;
    }
    let series = reader.string(node.get("series"), "series").unwrap_or_default();
    let values = reader.string(node.get("values"), "values").unwrap_or_default();
    if series.is_empty() {
        reader.faults.at(node.start, FaultKind::Missing, "series: expected a series, found nothing");
        return None;
    }
    // The labels first, so that what is wrong with them is not said of the values.
    let description =
        parse_labels(&series).and_then(|_| parse_series_description(&format!("{series} {values}")));
    match description {
        Ok(description) => Some(description),
        Err(error) => {
            let at = error.span.start as usize;
            let (key, within) =
                if at <= series.len() { ("series", at) } else { ("values", at - series.len() - 1) };
            let place = node.get(key).filter(|node| node.text().is_some()).unwrap_or(node);
            let message = format!("{key}: cannot parse series description: {}", error.message);
            reader.fault_in(place, within, FaultKind::Invalid, message);
            None
        }
    }
}

fn alert_test(reader: &mut FileReader<'_>, node: &Node) -> Option<AlertTest> {
    if !mapping(reader, node, &["eval_time", "alertname", "exp_alerts"], "an alert test") {
        return None;
    }
    let eval_ms = reader.duration(node.get("eval_time"), "eval_time").unwrap_or(0);
    let alert = reader.string(node.get("alertname"), "alertname").unwrap_or_default();
    if alert.is_empty() {
        let at = kymo_model::format_duration(eval_ms);
        let message =
            format!("an item under alert_rule_test misses required attribute alertname at eval_time {at}");
        reader.faults.at(node.start, FaultKind::Missing, message);
        return None;
    }
    let mut expected = Vec::new();
    for item in reader.sequence(node.get("exp_alerts"), "exp_alerts") {
        if !mapping(reader, item, &["exp_labels", "exp_annotations"], "an expected alert") {
            continue;
        }
        let mut labels = text_map(reader, item.get("exp_labels"), "exp_labels");
        // Whoever writes the test gives the labels of the rule; this one is set by the evaluation.
        labels.insert(crate::ALERT_NAME.to_owned(), alert.clone());
        let annotations = text_map(reader, item.get("exp_annotations"), "exp_annotations");
        let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        expected.push(ExpectedAlert { labels: Labels::from_pairs(pairs), annotations });
    }
    Some(AlertTest { eval_ms, alert, expected })
}

fn expr_test(reader: &mut FileReader<'_>, node: &Node) -> Option<ExprTest> {
    if !mapping(reader, node, &["expr", "eval_time", "exp_samples"], "an expression test") {
        return None;
    }
    let eval_ms = reader.duration(node.get("eval_time"), "eval_time").unwrap_or(0);
    let text = reader.string(node.get("expr"), "expr").unwrap_or_default();
    let expr = match reader.options.parser.parse(&text) {
        Ok(ast) => Some(Query { text: text.into(), ast: std::sync::Arc::new(ast) }),
        Err(error) => {
            let place = node.get("expr").filter(|node| node.text().is_some()).unwrap_or(node);
            let message = format!("could not parse expression: {error}");
            reader.fault_in(place, error.span.start as usize, FaultKind::Expression, message);
            None
        }
    };
    let mut expected = Vec::new();
    for item in reader.sequence(node.get("exp_samples"), "exp_samples") {
        expected.extend(sample_of(reader, item));
    }
    Some(ExprTest { eval_ms, expr: expr?, expected })
}

fn sample_of(reader: &mut FileReader<'_>, node: &Node) -> Option<ExpectedSample> {
    if !mapping(reader, node, &["labels", "value", "histogram"], "an expected sample") {
        return None;
    }
    let text = reader.string(node.get("labels"), "labels").unwrap_or_default();
    let labels = match parse_labels(&text) {
        Ok(labels) => Some(labels),
        // A sample without any labels may be written as nothing, as in Prometheus.
        Err(_) if text.trim().is_empty() => Some(Labels::empty()),
        Err(error) => {
            let place = node.get("labels").filter(|node| node.text().is_some()).unwrap_or(node);
            let message = format!("labels {text:?}: {error}");
            reader.fault_in(place, error.span.start as usize, FaultKind::Invalid, message);
            None
        }
    };
    let histogram = reader.string(node.get("histogram"), "histogram").filter(|text| !text.is_empty());
    let value = match histogram {
        Some(text) => histogram_of(reader, node, &text)?,
        None => ExpectedValue::Float(number_of(reader, node.get("value"))?),
    };
    Some(ExpectedSample { labels: labels?, value })
}

fn histogram_of(reader: &mut FileReader<'_>, node: &Node, text: &str) -> Option<ExpectedValue> {
    let place = node.get("histogram").unwrap_or(node);
    match parse_series_description(&format!("{{}} {text}")) {
        Ok((_, values)) => match values.as_slice() {
            [SequenceValue::Histogram { histogram, .. }] => {
                Some(ExpectedValue::Histogram(std::sync::Arc::clone(histogram)))
            }
            values => {
                let message = format!("histogram: expected one histogram, found {} values", values.len());
                reader.faults.at(place.start, FaultKind::Invalid, message);
                None
            }
        },
        Err(error) => {
            let message = format!("histogram: {}", error.message);
            let within = (error.span.start as usize).saturating_sub(3);
            reader.fault_in(place, within, FaultKind::Invalid, message);
            None
        }
    }
}

/// A float of YAML.
fn number_of(reader: &mut FileReader<'_>, node: Option<&Node>) -> Option<f64> {
    let Some(node) = node.filter(|node| !node.is_null()) else { return Some(0.0) };
    let text = node.text().unwrap_or("");
    let value = match text.to_ascii_lowercase().as_str() {
        ".inf" | "+.inf" => Some(f64::INFINITY),
        "-.inf" => Some(f64::NEG_INFINITY),
        ".nan" => Some(f64::NAN),
        _ => parse_float(&text.replace('_', "")).ok(),
    };
    if value.is_none() {
        let message = format!("value: expected a number, found {}", node.describe());
        reader.faults.at(node.start, FaultKind::Type, message);
    }
    value
}

//! Parsing rule files: from the YAML tree to [`RuleFile`], with every check that Prometheus' rulefmt makes. All faults are
//! collected; a rule with a fault is left out of the result, which is then not given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kymo_model::{METRIC_NAME, NameScheme, parse_duration};
use kymo_promql_syntax::Parser;

use crate::fault::{FaultKind, Faults};
use crate::rule_file::{AlertingRule, Query, RecordingRule, Rule, RuleFile, RuleGroup, TextTemplate};
use crate::template::Template;
use crate::yaml::{self, Node, NodeKind};
use crate::{FileLimits, RuleFileError};

/// How rule files are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileOptions {
    /// Bounds on the file.
    pub limits: FileLimits,
    /// Which names are good.
    pub names: NameScheme,
    /// Reads the expressions.
    pub parser: Parser,
    /// Pass over keys that have no meaning instead of refusing the file (`--ignore-unknown-fields`).
    pub ignore_unknown_keys: bool,
}

impl RuleFile {
    /// Reads a rule file, or a stream of PrometheusRule manifests, with the default options.
    pub fn parse(text: &str, path: &str) -> Result<RuleFile, Vec<RuleFileError>> {
        RuleFile::parse_with(text, path, FileOptions::default())
    }

    /// Reads a rule file, or a stream of PrometheusRule manifests. All faults are given, in order of place.
    pub fn parse_with(text: &str, path: &str, options: FileOptions) -> Result<RuleFile, Vec<RuleFileError>> {
        let mut reader = FileReader::new(text, path, options);
        let mut file = RuleFile { path: path.to_owned(), groups: Vec::new(), skipped: Vec::new() };
        let documents = reader.documents().unwrap_or_default();
        let mut held_rules = documents.is_empty();
        for document in &documents {
            held_rules |= reader.document(document, &mut file);
        }
        if !held_rules && reader.faults.len() == 0 {
            let found = file.skipped.join(", ");
            let message = format!("expected groups or a PrometheusRule manifest, found only {found}");
            reader.faults.at(documents[0].start, FaultKind::Manifest, message);
        }
        let faults = reader.faults.into_sorted();
        if faults.is_empty() { Ok(file) } else { Err(faults) }
    }
}

/// The apiVersion of PrometheusRule.
const MANIFEST_API: &str = "monitoring.coreos.com/v1";

pub(crate) struct FileReader<'a> {
    text: &'a str,
    path: &'a str,
    pub(crate) options: FileOptions,
    pub(crate) faults: Faults<'a>,
}

impl<'a> FileReader<'a> {
    pub(crate) fn new(text: &'a str, path: &'a str, options: FileOptions) -> FileReader<'a> {
        FileReader { text, path, options, faults: Faults::new(path, text, options.limits.faults_max) }
    }

    /// The documents of the file; see [`yaml::parse`].
    pub(crate) fn documents(&mut self) -> Option<Vec<Node>> {
        yaml::parse(self.text, self.options.limits, &mut self.faults)
    }

    /// A fault at byte `within` of the text of a scalar.
    pub(crate) fn fault_in(
        &mut self,
        node: &Node,
        within: usize,
        kind: FaultKind,
        message: impl Into<String>,
    ) {
        let at = node.offset_in_file(self.text, within);
        self.faults.at(at, kind, message);
    }

    pub(crate) fn into_faults(self) -> Vec<RuleFileError> {
        self.faults.into_sorted()
    }

    /// One document of a stream; says whether it was one that holds rules.
    fn document(&mut self, node: &Node, file: &mut RuleFile) -> bool {
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            let message = format!("expected a mapping with the key groups, found {}", node.describe());
            self.faults.at(node.start, FaultKind::Type, message);
            return true;
        }
        if node.get("kind").is_none() && node.get("apiVersion").is_none() {
            self.unknown_keys(node, &["groups"], "a rule file");
            self.groups(node.get("groups"), self.path.to_owned(), false, file);
            return true;
        }
        match node.get("kind").and_then(Node::text) {
            Some("PrometheusRule") => {
                self.manifest(node, file);
                true
            }
            // A list in a list would be refused by Kubernetes; here it counts as a manifest without rules.
            Some("List" | "PrometheusRuleList") => {
                let mut held_rules = false;
                for item in self.sequence(node.get("items"), "items") {
                    let is_list = item.get("kind").and_then(Node::text) == Some("List");
                    if is_list { skip(item, file) } else { held_rules |= self.document(item, file) }
                }
                held_rules
            }
            _ => {
                skip(node, file);
                false
            }
        }
    }

    fn manifest(&mut self, node: &Node, file: &mut RuleFile) {
        let api = node.get("apiVersion").and_then(Node::text);
        if api != Some(MANIFEST_API) {
            let found = node.get("apiVersion").map_or("none".to_owned(), Node::describe);
            let at = node.get("apiVersion").unwrap_or(node).start;
            self.faults.at(
                at,
                FaultKind::Manifest,
                format!("expected apiVersion {MANIFEST_API:?}, found {found}"),
            );
        }
        let Some(spec) = node.get("spec").filter(|spec| !spec.is_null()) else {
            self.faults.at(
                node.start,
                FaultKind::Missing,
                "expected the key spec in a PrometheusRule, found none",
            );
            return;
        };
        if !matches!(spec.kind, NodeKind::Mapping(_)) {
            let message = format!("expected a mapping with the key groups, found {}", spec.describe());
            self.faults.at(spec.start, FaultKind::Type, message);
            return;
        }
        self.unknown_keys(spec, &["groups"], "the spec of a PrometheusRule");
        let metadata = node.get("metadata");
        let named = |key| metadata.and_then(|m| m.get(key)).and_then(Node::text).unwrap_or("");
        let source = match (named("namespace"), named("name")) {
            ("", "") => self.path.to_owned(),
            ("", name) => format!("{}#{name}", self.path),
            (namespace, name) => format!("{}#{namespace}/{name}", self.path),
        };
        self.groups(spec.get("groups"), source, true, file);
    }

    fn groups(&mut self, node: Option<&Node>, source: String, manifest: bool, file: &mut RuleFile) {
        let mut names = BTreeSet::new();
        for group in self.sequence(node, "groups") {
            if let Some(group) = self.group(group, &source, manifest, &mut names) {
                file.groups.push(group);
            }
        }
    }

    fn group(
        &mut self,
        node: &Node,
        source: &str,
        manifest: bool,
        names: &mut BTreeSet<String>,
    ) -> Option<RuleGroup> {
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            self.faults.at(
                node.start,
                FaultKind::Type,
                format!("expected a group, found {}", node.describe()),
            );
            return None;
        }
        let keys =
            ["name", "interval", "query_offset", "limit", "labels", "rules", "partial_response_strategy"];
        self.unknown_keys(node, &keys[..if manifest { 7 } else { 6 }], "a group");
        let name = self.string(node.get("name"), "name").unwrap_or_default();
        if name.is_empty() {
            self.faults.at(node.start, FaultKind::Missing, "Groupname must not be empty");
        } else if !names.insert(name.clone()) {
            let at = node.get("name").unwrap_or(node).start;
            let message = format!("groupname: {name:?} is repeated in the same file");
            self.faults.at(at, FaultKind::DuplicateGroup, message);
        }
        let interval_ms = self.duration(node.get("interval"), "interval");
        let query_offset_ms = self.duration(node.get("query_offset"), "query_offset");
        let limit = self.limit(node.get("limit"));
        let label_nodes = self.string_map(node.get("labels"), "labels");
        for (key, _) in &label_nodes {
            if !self.good_label_name(key.text().unwrap_or("")) {
                let message = format!("group {name:?}: invalid label name: {}", key.text().unwrap_or(""));
                self.faults.at(key.start, FaultKind::Invalid, message);
            }
        }
        let mut rules = Vec::new();
        for (index, rule) in self.sequence(node.get("rules"), "rules").iter().enumerate() {
            let reader = RuleReader { file: self, group: &name, index, group_labels: &label_nodes };
            rules.extend(reader.rule(rule));
        }
        let labels = label_nodes.iter().map(|(k, v)| (text_of(k), text_of(v))).collect();
        Some(RuleGroup {
            name,
            source: source.to_owned(),
            interval_ms: interval_ms.filter(|ms| *ms > 0),
            query_offset_ms,
            limit,
            labels,
            rules,
        })
    }

    fn limit(&mut self, node: Option<&Node>) -> usize {
        let Some(node) = node.filter(|node| !node.is_null()) else { return 0 };
        match &node.kind {
            // A negative limit is no limit, as in Prometheus.
            NodeKind::Scalar { text, is_text: false } if text.parse::<i64>().is_ok() => {
                text.parse::<usize>().unwrap_or(0)
            }
            _ => {
                let message = format!("limit: expected a whole number, found {}", node.describe());
                self.faults.at(node.start, FaultKind::Type, message);
                0
            }
        }
    }

    fn good_label_name(&self, name: &str) -> bool {
        name != METRIC_NAME && self.options.names.is_label_name(name)
    }

    /// Keys that are not among `known`.
    pub(crate) fn unknown_keys(&mut self, node: &Node, known: &[&str], what: &str) {
        let NodeKind::Mapping(entries) = &node.kind else { return };
        if self.options.ignore_unknown_keys {
            return;
        }
        for (key, _) in entries {
            match key.text() {
                Some(name) if known.contains(&name) => {}
                _ => {
                    let found = key.describe();
                    let message =
                        format!("field {found} not found in {what}, expected one of: {}", known.join(", "));
                    self.faults.at(key.start, FaultKind::UnknownKey, message);
                }
            }
        }
    }

    /// The items of a list; none when absent.
    pub(crate) fn sequence<'n>(&mut self, node: Option<&'n Node>, key: &str) -> &'n [Node] {
        match node.map(|node| (&node.kind, node)) {
            None | Some((NodeKind::Null, _)) => &[],
            Some((NodeKind::Sequence(items), _)) => items,
            Some((_, node)) => {
                let message = format!("{key}: expected a list, found {}", node.describe());
                self.faults.at(node.start, FaultKind::Type, message);
                &[]
            }
        }
    }

    /// The text of a scalar; numbers and booleans as they are written, as Go's YAML does.
    pub(crate) fn string(&mut self, node: Option<&Node>, key: &str) -> Option<String> {
        let node = node.filter(|node| !node.is_null())?;
        match node.text() {
            Some(text) => Some(text.to_owned()),
            None => {
                let message = format!("{key}: expected text, found {}", node.describe());
                self.faults.at(node.start, FaultKind::Type, message);
                None
            }
        }
    }

    /// The milliseconds of a duration.
    pub(crate) fn duration(&mut self, node: Option<&Node>, key: &str) -> Option<i64> {
        let text = self.string(node, key)?;
        match parse_duration(&text) {
            Ok(ms) => Some(ms),
            Err(error) => {
                let at = node.map_or(0, |node| node.start);
                self.faults.at(at, FaultKind::Duration, format!("{key}: {error}"));
                None
            }
        }
    }

    /// The entries of a mapping from text to text; entries of other types are faults.
    pub(crate) fn string_map<'n>(&mut self, node: Option<&'n Node>, key: &str) -> Vec<(&'n Node, &'n Node)> {
        let entries = match node.map(|node| (&node.kind, node)) {
            None | Some((NodeKind::Null, _)) => return Vec::new(),
            Some((NodeKind::Mapping(entries), _)) => entries,
            Some((_, node)) => {
                let message = format!("{key}: expected a mapping, found {}", node.describe());
                self.faults.at(node.start, FaultKind::Type, message);
                return Vec::new();
            }
        };
        let mut good = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            if name.text().is_none() {
                let message = format!("{key}: expected text as a key, found {}", name.describe());
                self.faults.at(name.start, FaultKind::Type, message);
            } else if value.text().is_none() && !value.is_null() {
                let message = format!("{key}: expected text, found {}", value.describe());
                self.faults.at(value.start, FaultKind::Type, message);
            } else {
                good.push((name, value));
            }
        }
        good
    }
}

fn skip(node: &Node, file: &mut RuleFile) {
    let kind = node.get("kind").and_then(Node::text).unwrap_or("unknown kind");
    let name = node.get("metadata").and_then(|m| m.get("name")).and_then(Node::text).unwrap_or("");
    file.skipped.push(format!("{kind}/{name}"));
}

fn text_of(node: &Node) -> String {
    node.text().unwrap_or("").to_owned()
}

/// Reads one rule; messages start with its group, number and name.
struct RuleReader<'r, 'a, 'n> {
    file: &'r mut FileReader<'a>,
    group: &'r str,
    index: usize,
    group_labels: &'r [(&'n Node, &'n Node)],
}

const RULE_KEYS: [&str; 7] = ["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"];

impl<'n> RuleReader<'_, '_, 'n> {
    fn rule(mut self, node: &'n Node) -> Option<Rule> {
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            let message = format!("expected a rule, found {}", node.describe());
            self.file.faults.at(node.start, FaultKind::Type, message);
            return None;
        }
        let faults_before = self.file.faults.len();
        self.file.unknown_keys(node, &RULE_KEYS, "a rule");
        let record = self.file.string(node.get("record"), "record").unwrap_or_default();
        let alert = self.file.string(node.get("alert"), "alert").unwrap_or_default();
        let name = if record.is_empty() { alert.clone() } else { record.clone() };
        let names_at = |key: &str| node.get(key).unwrap_or(node).start;
        match (record.is_empty(), alert.is_empty()) {
            (false, false) => {
                let message = "only one of 'record' and 'alert' must be set";
                self.fault(names_at("record"), FaultKind::Invalid, &name, message);
            }
            (true, true) => {
                self.fault(node.start, FaultKind::Missing, &name, "one of 'record' or 'alert' must be set");
            }
            _ => {}
        }
        let expr = self.expr(node, &name);
        let for_ms = self.file.duration(node.get("for"), "for").unwrap_or(0);
        let keep_firing_for_ms =
            self.file.duration(node.get("keep_firing_for"), "keep_firing_for").unwrap_or(0);
        let own_labels = self.file.string_map(node.get("labels"), "labels");
        let annotations = self.file.string_map(node.get("annotations"), "annotations");
        for (key, _) in &own_labels {
            let label = key.text().unwrap_or("");
            if !self.file.good_label_name(label) {
                self.fault(key.start, FaultKind::Invalid, &name, &format!("invalid label name: {label}"));
            }
        }
        for (key, _) in &annotations {
            let label = key.text().unwrap_or("");
            if label != METRIC_NAME && !self.file.good_label_name(label) {
                self.fault(
                    key.start,
                    FaultKind::Invalid,
                    &name,
                    &format!("invalid annotation name: {label}"),
                );
            }
        }
        let labels = self.merged(own_labels);
        let line = self.file.faults.line_of(node.start);
        let rule = if record.is_empty() {
            let labels = self.templates(labels, "label", &name);
            let annotations = self.templates(annotations, "annotation", &name);
            expr.map(|expr| {
                Rule::Alerting(AlertingRule {
                    name,
                    expr,
                    for_ms,
                    keep_firing_for_ms,
                    labels,
                    annotations,
                    line,
                })
            })
        } else {
            self.recording_only(node, &name, for_ms, keep_firing_for_ms, !annotations.is_empty());
            let labels = labels.into_iter().map(|(k, v)| (text_of(k), text_of(v))).collect();
            expr.map(|expr| Rule::Recording(RecordingRule { name, expr, labels, line }))
        };
        rule.filter(|_| self.file.faults.len() == faults_before)
    }

    fn fault(&mut self, at: usize, kind: FaultKind, name: &str, message: &str) {
        let message = format!("group {:?}, rule {}, {name:?}: {message}", self.group, self.index + 1);
        self.file.faults.at(at, kind, message);
    }

    fn expr(&mut self, node: &Node, name: &str) -> Option<Query> {
        let expr_node = node.get("expr");
        let text = self.file.string(expr_node, "expr").unwrap_or_default();
        let Some(expr_node) = expr_node.filter(|_| !text.is_empty()) else {
            let at = expr_node.unwrap_or(node).start;
            self.fault(at, FaultKind::Missing, name, "field 'expr' must be set in rule");
            return None;
        };
        match self.file.options.parser.parse(&text) {
            Ok(ast) => Some(Query { text: text.into(), ast: Arc::new(ast) }),
            Err(error) => {
                let at = expr_node.offset_in_file(self.file.text, error.span.start as usize);
                self.fault(at, FaultKind::Expression, name, &format!("could not parse expression: {error}"));
                None
            }
        }
    }

    fn recording_only(&mut self, node: &Node, name: &str, for_ms: i64, keep_ms: i64, annotated: bool) {
        let mut refuse = |present: bool, key: &str| {
            if present {
                let at = node.get(key).unwrap_or(node).start;
                self.fault(at, FaultKind::Invalid, name, &format!("invalid field '{key}' in recording rule"));
            }
        };
        refuse(annotated, "annotations");
        refuse(for_ms != 0, "for");
        refuse(keep_ms != 0, "keep_firing_for");
        // Braces are nearly always an expression in the wrong place; Prometheus 3 refuses them too.
        let good = self.file.options.names.is_metric_name(name) && !name.contains(['{', '}']);
        if !good {
            let at = node.get("record").unwrap_or(node).start;
            self.fault(at, FaultKind::Invalid, name, &format!("invalid recording rule name: {name}"));
        }
    }

    /// The labels of the group with those of the rule over them.
    fn merged(&self, own: Vec<(&'n Node, &'n Node)>) -> Vec<(&'n Node, &'n Node)> {
        let mut all: BTreeMap<&str, (&Node, &Node)> = BTreeMap::new();
        for (key, value) in self.group_labels.iter().copied().chain(own) {
            all.insert(key.text().unwrap_or(""), (key, value));
        }
        all.into_values().collect()
    }

    fn templates(
        &mut self,
        entries: Vec<(&Node, &Node)>,
        what: &str,
        rule: &str,
    ) -> BTreeMap<String, TextTemplate> {
        let mut parsed = BTreeMap::new();
        for (key, value) in entries {
            let (name, text) = (text_of(key), text_of(value));
            match Template::parse(&format!("__alert_{rule}"), &text) {
                Ok(template) => {
                    let template = TextTemplate { text: text.into(), template: Arc::new(template) };
                    parsed.insert(name, template);
                }
                Err(error) => {
                    let at = value.offset_in_file(self.file.text, error.offset);
                    self.fault(at, FaultKind::Template, rule, &format!("{what} {name:?}: {error}"));
                }
            }
        }
        parsed
    }
}

//! RuleFile: what a rule file says, checked. Expressions and templates in it have parsed; names and durations are good.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kymo_promql_syntax::ast::Expr;

use crate::template::Template;

/// A rule file, or a stream of PrometheusRule manifests, with every rule checked.
///
/// ```
/// use kymo_rules::RuleFile;
/// let file = RuleFile::parse("groups: [{name: g, rules: [{record: one, expr: 1}]}]", "rules.yml").unwrap();
/// assert_eq!(file.rule_count(), 1);
///
/// let faults = RuleFile::parse("groups: [{name: g, rules: [{record: one, exp: 1}]}]", "rules.yml").unwrap_err();
/// assert_eq!(faults[0].to_string(), "rules.yml:1:28: group \"g\", rule 1, \"one\": field 'expr' must be set in rule");
/// ```
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// The file as the caller named it.
    pub path: String,
    /// All groups, in order; those of a stream one after the other.
    pub groups: Vec<RuleGroup>,
    /// The manifests of a stream that hold no rules, as `Kind/name`.
    pub skipped: Vec<String>,
}

/// A group: rules that are evaluated together and in order.
#[derive(Clone, Debug)]
pub struct RuleGroup {
    /// Unique in its source.
    pub name: String,
    /// The path of the file, followed by `#namespace/name` for a manifest: with `name` it identifies the group.
    pub source: String,
    /// How often; the caller's default when absent.
    pub interval_ms: Option<i64>,
    /// How far back of the evaluation time the expressions look; the caller's default when absent.
    pub query_offset_ms: Option<i64>,
    /// The most series or alerts that one rule may give; 0 for no limit.
    pub limit: usize,
    /// Labels that every rule gets unless it sets them itself.
    pub labels: BTreeMap<String, String>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Writes the result of its expression as new series.
    Recording(RecordingRule),
    /// Raises an alert for each series of its result.
    Alerting(AlertingRule),
}

/// `record: …`
#[derive(Clone, Debug)]
pub struct RecordingRule {
    /// The name of the new series.
    pub name: String,
    /// What is evaluated.
    pub expr: Query,
    /// Labels to set; those of the group included.
    pub labels: BTreeMap<String, String>,
    /// The line of the file in which it starts.
    pub line: u32,
}

/// `alert: …`
#[derive(Clone, Debug)]
pub struct AlertingRule {
    /// The `alertname`.
    pub name: String,
    /// What is evaluated.
    pub expr: Query,
    /// How long a series must be there before its alert fires.
    pub for_ms: i64,
    /// How long an alert goes on firing when its series is gone.
    pub keep_firing_for_ms: i64,
    /// Labels to set; those of the group included. The values are templates.
    pub labels: BTreeMap<String, TextTemplate>,
    /// What people read. The values are templates.
    pub annotations: BTreeMap<String, TextTemplate>,
    /// The line of the file in which it starts.
    pub line: u32,
}

/// An expression as written and as understood.
#[derive(Clone)]
pub struct Query {
    /// As it stands in the file.
    pub text: Arc<str>,
    /// Parsed and checked.
    pub ast: Arc<Expr>,
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// A template as written and as parsed.
#[derive(Clone)]
pub struct TextTemplate {
    /// As it stands in the file.
    pub text: Arc<str>,
    /// Parsed.
    pub template: Arc<Template>,
}

impl fmt::Debug for TextTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl Rule {
    /// The name of the series, or of the alert.
    pub fn name(&self) -> &str {
        match self {
            Rule::Recording(rule) => &rule.name,
            Rule::Alerting(rule) => &rule.name,
        }
    }

    /// What is evaluated.
    pub fn expr(&self) -> &Query {
        match self {
            Rule::Recording(rule) => &rule.expr,
            Rule::Alerting(rule) => &rule.expr,
        }
    }

    /// The labels it sets, templates as written.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let (recording, alerting) = match self {
            Rule::Recording(rule) => (Some(&rule.labels), None),
            Rule::Alerting(rule) => (None, Some(&rule.labels)),
        };
        let recording = recording.into_iter().flatten().map(|(k, v)| (k.as_str(), v.as_str()));
        recording.chain(alerting.into_iter().flatten().map(|(k, v)| (k.as_str(), &*v.text)))
    }
}

/// Rules of one name and the same labels: they write the same series, and one overwrites the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DuplicateRule {
    /// The name of the series or the alert.
    pub name: String,
    /// The labels the rules set.
    pub labels: Vec<(String, String)>,
}

impl RuleFile {
    /// How many rules, in all groups.
    pub fn rule_count(&self) -> usize {
        self.groups.iter().map(|group| group.rules.len()).sum()
    }

    /// What promtool's `duplicate-rules` lint finds: one entry for each repetition, sorted.
    pub fn duplicates(&self) -> Vec<DuplicateRule> {
        let mut all: Vec<DuplicateRule> = self
            .groups
            .iter()
            .flat_map(|group| &group.rules)
            .map(|rule| DuplicateRule {
                name: rule.name().to_owned(),
                labels: rule.labels().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            })
            .collect();
        all.sort();
        all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[1].clone()).collect()
    }
}

impl fmt::Display for DuplicateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metric: {}\nLabel(s):", self.name)?;
        for (name, value) in &self.labels {
            write!(f, "\n\t{name}: {value}")?;
        }
        Ok(())
    }
}

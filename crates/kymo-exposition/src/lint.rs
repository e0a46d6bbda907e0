//! Lint: what is legal in the text format but unwise, with the checks and the words of `promtool check metrics`.

use std::collections::BTreeMap;
use std::fmt;

use kymo_model::{Labels, MetricType};

use crate::{Entry, Format, LabelScratch, ParseError, Parser};

/// Advice on one metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The metric.
    pub metric: String,
    /// What could be better.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.metric, self.text)
    }
}

/// Units and the base units to use instead.
const UNITS: [(&str, &str); 24] = [
    ("amperes", "amperes"),
    ("bytes", "bytes"),
    ("celsius", "celsius"),
    ("grams", "grams"),
    ("joules", "joules"),
    ("kelvin", "kelvin"),
    ("meters", "meters"),
    ("metres", "metres"),
    ("seconds", "seconds"),
    ("volts", "volts"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("kelvins", "kelvin"),
    ("fahrenheit", "celsius"),
    ("rankine", "celsius"),
    ("inches", "meters"),
    ("yards", "meters"),
    ("miles", "meters"),
    ("bits", "bytes"),
    ("calories", "joules"),
    ("pounds", "grams"),
    ("ounces", "grams"),
];

const PREFIXES: [&str; 18] = [
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi",
    "giga", "gibi", "tera", "tebi", "peta", "pebi",
];

const ABBREVIATIONS: [&str; 14] =
    ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];

const TYPES: [&str; 4] = ["counter", "gauge", "histogram", "summary"];

#[derive(Default)]
struct Family {
    metric_type: Option<MetricType>,
    has_help: bool,
    labels: Vec<String>,
}

/// Parses a body of the text format and gives advice on its metrics, sorted by metric.
///
/// ```
/// use kymo_exposition::lint::lint_text;
/// let problems = lint_text(b"# HELP http_requests Requests.\n# TYPE http_requests counter\nhttp_requests 3\n").unwrap();
/// assert_eq!(problems[0].to_string(), "http_requests counter metrics should have \"_total\" suffix");
/// ```
pub fn lint_text(body: &[u8]) -> Result<Vec<Problem>, ParseError> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut scratch = LabelScratch::default();
    for entry in Parser::new(Format::Text, body) {
        match entry? {
            Entry::Help(help) => {
                families.entry(help.name.unescape().into_owned()).or_default().has_help = true
            }
            Entry::Type(entry) => {
                let family = families.entry(entry.name.unescape().into_owned()).or_default();
                family.metric_type = Some(entry.metric_type);
            }
            Entry::Sample(sample) => note(&mut families, &sample.labels(&mut scratch)?),
            Entry::Unit(_) | Entry::Comment(_) | Entry::Eof => {}
        }
    }
    let mut problems = Vec::new();
    for (name, family) in &families {
        judge(name, family, &mut |text| problems.push(Problem { metric: name.clone(), text }));
    }
    Ok(problems)
}

/// Adds a sample's labels to its family, which is the one before the suffix for histograms and summaries.
fn note(families: &mut BTreeMap<String, Family>, labels: &Labels) {
    let name = labels.metric_name().unwrap_or("");
    let stem = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
    let parts = |name: &str| match families.get(name)?.metric_type? {
        MetricType::Histogram => Some("le"),
        MetricType::Summary => Some("quantile"),
        _ => None,
    };
    let (family, own) = match stem.and_then(|stem| Some((stem, parts(stem)?))) {
        Some((stem, own)) => (stem, Some(own)),
        None => (name, parts(name)),
    };
    let family = families.entry(family.to_owned()).or_default();
    for label in labels {
        if Some(label.name) != own
            && label.name != kymo_model::METRIC_NAME
            && !family.labels.iter().any(|l| l == label.name)
        {
            family.labels.push(label.name.to_owned());
        }
    }
}

fn judge(name: &str, family: &Family, problem: &mut dyn FnMut(String)) {
    if !family.has_help {
        problem("no help text".to_owned());
    }
    if let Some((unit, base)) = unit_of(name)
        && unit != base
    {
        problem(format!("use base unit {base:?} instead of {unit:?}"));
    }
    let metric_type = family.metric_type.unwrap_or_default();
    let typed = metric_type != MetricType::Unknown;
    let is_counter = metric_type == MetricType::Counter;
    let is_histogram = metric_type == MetricType::Histogram;
    let is_summary = metric_type == MetricType::Summary;
    let not = |wrong: bool, text: &str, problem: &mut dyn FnMut(String)| {
        if wrong {
            problem(text.to_owned());
        }
    };
    let has_total = name.ends_with("_total");
    not(is_counter && !has_total, "counter metrics should have \"_total\" suffix", problem);
    not(typed && !is_counter && has_total, "non-counter metrics should not have \"_total\" suffix", problem);
    if typed {
        let has = |label: &str| family.labels.iter().any(|l| l == label);
        let other = !is_histogram && !is_summary;
        let bucket = !is_histogram && name.ends_with("_bucket");
        not(bucket, "non-histogram metrics should not have \"_bucket\" suffix", problem);
        let count = other && name.ends_with("_count");
        not(count, "non-histogram and non-summary metrics should not have \"_count\" suffix", problem);
        let sum = other && name.ends_with("_sum");
        not(sum, "non-histogram and non-summary metrics should not have \"_sum\" suffix", problem);
        not(!is_histogram && has("le"), "non-histogram metrics should not have \"le\" label", problem);
        not(
            !is_summary && has("quantile"),
            "non-summary metrics should not have \"quantile\" label",
            problem,
        );
    }
    let lower = name.to_ascii_lowercase();
    let has_part = |part: &str| lower.ends_with(&format!("_{part}")) || lower.contains(&format!("_{part}_"));
    for word in TYPES {
        not(has_part(word), &format!("metric name should not include type '{word}'"), problem);
    }
    not(name.contains(':'), "metric names should not contain ':'", problem);
    not(is_camel(name), "metric names should be written in 'snake_case' not 'camelCase'", problem);
    for label in &family.labels {
        not(is_camel(label), "label names should be written in 'snake_case' not 'camelCase'", problem);
    }
    let abbreviated = ABBREVIATIONS.iter().any(|part| has_part(part));
    not(abbreviated, "metric names should not contain abbreviated units", problem);
}

fn is_camel(name: &str) -> bool {
    name.as_bytes().windows(2).any(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase())
}

/// The first part of a name that is a unit, and the base unit for it.
fn unit_of(name: &str) -> Option<(&str, &'static str)> {
    let base = |word: &str| UNITS.iter().find(|(unit, _)| *unit == word).map(|(_, base)| *base);
    name.split('_').find_map(|part| {
        if let Some(base) = base(part) {
            return Some((part, base));
        }
        let stem = PREFIXES.iter().find_map(|prefix| part.strip_prefix(prefix).and_then(base))?;
        Some((part, stem))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &[&str]) {
        let found: Vec<String> = lint_text(body.as_bytes()).unwrap().iter().map(Problem::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn advice() {
        check("# HELP a_total x\n# TYPE a_total counter\na_total 1\n", &[]);
        check("a 1\n", &["a no help text"]);
        check(
            "# HELP a_milliseconds x\n# TYPE a_milliseconds gauge\na_milliseconds{le=\"1\"} 1\n",
            &[
                "a_milliseconds use base unit \"seconds\" instead of \"milliseconds\"",
                "a_milliseconds non-histogram metrics should not have \"le\" label",
            ],
        );
        check("# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n", &[]);
        check(
            "# HELP aB_gauge_ms x\n# TYPE aB_gauge_ms gauge\naB_gauge_ms{cD=\"1\"} 1\n",
            &[
                "aB_gauge_ms metric name should not include type 'gauge'",
                "aB_gauge_ms metric names should be written in 'snake_case' not 'camelCase'",
                "aB_gauge_ms label names should be written in 'snake_case' not 'camelCase'",
                "aB_gauge_ms metric names should not contain abbreviated units",
            ],
        );
        check(
            "# HELP b_count x\n# TYPE b_count gauge\nb_count 1\n# HELP c_total x\n# TYPE c_total gauge\nc_total 1\n",
            &[
                "b_count non-histogram and non-summary metrics should not have \"_count\" suffix",
                "c_total non-counter metrics should not have \"_total\" suffix",
            ],
        );
        assert!(lint_text(b"a x\n").is_err());
    }
}

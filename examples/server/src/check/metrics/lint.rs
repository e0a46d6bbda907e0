//! Lint: what good metric names look like, in the words of promtool's linter.

use std::collections::BTreeMap;

use kymo_exposition::{Entry, Format};
use kymo_model::MetricType;

use super::read;

/// Base units, each with its other words.
const UNITS: [(&str, &[&str]); 10] = [
    ("amperes", &[]),
    ("bytes", &["bits"]),
    ("celsius", &["fahrenheit", "rankine"]),
    ("grams", &["pounds", "ounces"]),
    ("joules", &["calories"]),
    ("kelvin", &["kelvins"]),
    ("meters", &["inches", "yards", "miles"]),
    ("metres", &[]),
    ("seconds", &["minutes", "hours", "days", "weeks"]),
    ("volts", &[]),
];
const PREFIXES: [&str; 18] = [
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi",
    "giga", "gibi", "tera", "tebi", "peta", "pebi",
];
const ABBREVIATIONS: [&str; 14] =
    ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];
const TYPE_WORDS: [&str; 4] = ["counter", "gauge", "histogram", "summary"];

#[derive(Default)]
struct Family {
    metric_type: Option<MetricType>,
    has_help: bool,
    label_names: std::collections::BTreeSet<String>,
}

/// What could be better about the names of a body without faults: `name text`, sorted.
pub(super) fn lint(format: Format, body: &[u8]) -> Vec<String> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    read(format, body, |read| match (&read.entry, &read.labels) {
        (Entry::Help(help), _) => {
            families.entry(help.name.unescape().into_owned()).or_default().has_help |=
                !help.text.raw().is_empty();
        }
        (Entry::Type(entry), _) => {
            families.entry(entry.name.unescape().into_owned()).or_default().metric_type =
                Some(entry.metric_type);
        }
        (Entry::Sample(_), Some(labels)) => {
            let name = labels.metric_name().unwrap_or_default();
            let family = families.entry(family_of(&families, name, format).to_owned()).or_default();
            family
                .label_names
                .extend(labels.iter().map(|l| l.name).filter(|n| *n != "__name__").map(str::to_owned));
        }
        _ => {}
    });
    let mut problems = Vec::new();
    for (name, family) in &families {
        let mut texts = Vec::new();
        judge(name, family, format, &mut texts);
        texts.sort();
        problems.extend(texts.into_iter().map(|text| format!("{name} {text}")));
    }
    problems
}

/// The family that a sample's name belongs to, by the types known so far.
fn family_of<'a>(families: &BTreeMap<String, Family>, name: &'a str, format: Format) -> &'a str {
    let type_of = |name: &str| families.get(name).and_then(|family| family.metric_type);
    if type_of(name).is_some() {
        return name;
    }
    for (suffix, types) in [
        ("_bucket", &[MetricType::Histogram][..]),
        ("_sum", &[MetricType::Histogram, MetricType::Summary]),
        ("_count", &[MetricType::Histogram, MetricType::Summary]),
        ("_total", &[MetricType::Counter]),
        ("_created", &[MetricType::Counter, MetricType::Histogram, MetricType::Summary]),
        ("_info", &[MetricType::Info]),
    ] {
        let own_suffix = format == Format::OpenMetrics || matches!(suffix, "_bucket" | "_sum" | "_count");
        if let (true, Some(base)) = (own_suffix, name.strip_suffix(suffix))
            && type_of(base).is_some_and(|metric_type| types.contains(&metric_type))
        {
            return base;
        }
    }
    name
}

fn judge(name: &str, family: &Family, format: Format, texts: &mut Vec<String>) {
    let metric_type = family.metric_type.unwrap_or_default();
    if !family.has_help {
        texts.push("no help text".to_owned());
    }
    if let Some(base) = base_unit_wanted(name) {
        texts.push(base);
    }
    // OpenMetrics puts `_total` behind the name of the family itself.
    let has_total = name.ends_with("_total");
    match metric_type {
        MetricType::Counter if !has_total && format == Format::Text => {
            texts.push("counter metrics should have \"_total\" suffix".to_owned());
        }
        MetricType::Counter | MetricType::Unknown => {}
        _ if has_total => texts.push("non-counter metrics should not have \"_total\" suffix".to_owned()),
        _ => {}
    }
    if !matches!(metric_type, MetricType::Unknown | MetricType::Histogram) {
        if name.ends_with("_bucket") {
            texts.push("non-histogram metrics should not have \"_bucket\" suffix".to_owned());
        }
        if family.label_names.contains("le") {
            texts.push("non-histogram metrics should not have \"le\" label".to_owned());
        }
    }
    if !matches!(metric_type, MetricType::Unknown | MetricType::Histogram | MetricType::Summary) {
        for suffix in ["_count", "_sum"] {
            if name.ends_with(suffix) {
                texts.push(format!(
                    "non-histogram and non-summary metrics should not have \"{suffix}\" suffix"
                ));
            }
        }
    }
    if !matches!(metric_type, MetricType::Unknown | MetricType::Summary)
        && family.label_names.contains("quantile")
    {
        texts.push("non-summary metrics should not have \"quantile\" label".to_owned());
    }
    let words: Vec<String> = name.split('_').map(str::to_lowercase).collect();
    for own in TYPE_WORDS.iter().filter(|own| words.iter().skip(1).any(|word| word == *own)) {
        texts.push(format!("metric name should not include type '{own}'"));
    }
    if name.contains(':') {
        texts.push("metric names should not contain ':'".to_owned());
    }
    if is_camel_case(name) {
        texts.push("metric names should be written in 'snake_case' not 'camelCase'".to_owned());
    }
    if family.label_names.iter().any(|name| is_camel_case(name)) {
        texts.push("label names should be written in 'snake_case' not 'camelCase'".to_owned());
    }
    if words.iter().skip(1).any(|word| ABBREVIATIONS.contains(&word.as_str())) {
        texts.push("metric names should not contain abbreviated units".to_owned());
    }
}

/// `use base unit "seconds" instead of "milliseconds"`, if a word of the name is a unit that is not a base unit.
fn base_unit_wanted(name: &str) -> Option<String> {
    for word in name.split('_') {
        for (base, others) in UNITS {
            let is_other = others.contains(&word);
            let is_scaled = word
                .strip_suffix(base)
                .or_else(|| others.iter().find_map(|other| word.strip_suffix(other)))
                .is_some_and(|prefix| PREFIXES.contains(&prefix));
            if is_other || is_scaled {
                return Some(format!("use base unit {base:?} instead of {word:?}"));
            }
        }
    }
    None
}

/// A capital letter right behind a small one.
fn is_camel_case(name: &str) -> bool {
    name.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &[&str]) {
        assert_eq!(lint(Format::Text, body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn in_the_words_of_promtool() {
        check("# HELP a_seconds_total x\n# TYPE a_seconds_total counter\na_seconds_total 1\n", &[]);
        check("a 1\n", &["a no help text"]);
        check(
            "# TYPE a_ms counter\na_ms 1\n",
            &[
                "a_ms counter metrics should have \"_total\" suffix",
                "a_ms metric names should not contain abbreviated units",
                "a_ms no help text",
            ],
        );
        let one =
            |name: &str, labels: &str| format!("# HELP {name} x\n# TYPE {name} gauge\n{name}{labels} 1\n");
        check(
            &one("a_milliseconds", ""),
            &["a_milliseconds use base unit \"seconds\" instead of \"milliseconds\""],
        );
        check(&one("a_bits", ""), &["a_bits use base unit \"bytes\" instead of \"bits\""]);
        check(&one("a_histogram", ""), &["a_histogram metric name should not include type 'histogram'"]);
        check(&one("a_total", ""), &["a_total non-counter metrics should not have \"_total\" suffix"]);
        check(&one("a", "{le=\"1\"}"), &["a non-histogram metrics should not have \"le\" label"]);
        check(&one("a:b", ""), &["a:b metric names should not contain ':'"]);
        check(&one("aB", ""), &["aB metric names should be written in 'snake_case' not 'camelCase'"]);
    }
}

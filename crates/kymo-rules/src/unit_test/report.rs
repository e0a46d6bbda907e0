//! The report of a unit-test file, printed as promtool prints it.

use std::collections::BTreeMap;
use std::fmt;

use kymo_model::{Labels, format_duration};

use super::expected::{ExpectedAlert, ExpectedSample, ExpectedValue};
use crate::RuleFileError;
use crate::template::{format_duration_ns, quote};

/// What became of the tests of one file. `Display` is promtool's output.
#[derive(Clone, Debug, Default)]
pub struct TestReport {
    /// The file as the caller named it.
    pub path: String,
    /// Faults of the file itself or of its rule files; then no test ran.
    pub faults: Vec<RuleFileError>,
    /// Things to know that are no failures.
    pub warnings: Vec<String>,
    /// The test groups that ran, in order.
    pub groups: Vec<TestGroupReport>,
}

/// What became of one test group.
#[derive(Clone, Debug)]
pub struct TestGroupReport {
    /// Its name; `unnamed#0` when the file gives none.
    pub name: String,
    /// What was not as expected.
    pub failures: Vec<TestFailure>,
}

/// Something that was not as expected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TestFailure {
    /// A rule could not be evaluated; the group ended there.
    Rule {
        /// The rule.
        rule: String,
        /// When, since the start of the test.
        at_ms: i64,
        /// Why.
        error: String,
    },
    /// Other alerts than expected.
    Alerts {
        /// The name of the test group, if it has one.
        test: String,
        /// The alert.
        alert: String,
        /// When.
        eval_ms: i64,
        /// What the test says, sorted.
        expected: Vec<AlertText>,
        /// What fires, sorted.
        got: Vec<AlertText>,
    },
    /// An expression without an answer.
    ExprError {
        /// The expression.
        expr: String,
        /// When.
        eval_ms: i64,
        /// Why.
        error: String,
    },
    /// An expression with another answer than expected.
    Samples {
        /// The expression.
        expr: String,
        /// When.
        eval_ms: i64,
        /// What the test says, sorted.
        expected: Vec<SampleText>,
        /// What came, sorted.
        got: Vec<SampleText>,
    },
    /// More than [`RunOptions`](super::RunOptions) allow.
    Limit {
        /// What was expected at most, and what was found.
        message: String,
    },
}

/// An alert in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertText {
    /// Its labels, `alertname` included.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A sample in a report: series and value as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleText {
    /// The series.
    pub labels: Labels,
    /// The value.
    pub value: String,
}

impl TestReport {
    /// Did everything pass?
    pub fn passed(&self) -> bool {
        self.faults.is_empty() && self.groups.iter().all(|group| group.failures.is_empty())
    }

    /// How many failures, faults of files included.
    pub fn failure_count(&self) -> usize {
        self.faults.len() + self.groups.iter().map(|group| group.failures.len()).sum::<usize>()
    }
}

impl From<&ExpectedAlert> for AlertText {
    fn from(alert: &ExpectedAlert) -> AlertText {
        AlertText { labels: alert.labels.clone(), annotations: alert.annotations.clone() }
    }
}

impl From<&ExpectedSample> for SampleText {
    fn from(sample: &ExpectedSample) -> SampleText {
        let value = match &sample.value {
            ExpectedValue::Float(value) => exponential(*value),
            ExpectedValue::Histogram(h) => {
                format!("{{{{schema:{} count:{} sum:{}}}}}", h.schema, h.count, h.sum)
            }
        };
        SampleText { labels: sample.labels.clone(), value }
    }
}

/// Go's `strconv.FormatFloat(value, 'E', -1, 64)`.
fn exponential(value: f64) -> String {
    if !value.is_finite() {
        return kymo_model::format_float(value);
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}E{sign}{digits:0>2}")
        }
        None => text,
    }
}

/// `{__name__="up", job="a"}`, as Go's Prometheus prints labels.
fn braces<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let parts: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", quote(value))).collect();
    format!("{{{}}}", parts.join(", "))
}

impl fmt::Display for SampleText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", braces(self.labels.iter().map(|l| (l.name, l.value))), self.value)
    }
}

struct SampleList<'a>(&'a [SampleText]);

impl fmt::Display for SampleList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nil");
        }
        for (index, sample) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{sample}")?;
        }
        Ok(())
    }
}

struct AlertList<'a>(&'a [AlertText]);

impl fmt::Display for AlertList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("[]");
        }
        f.write_str("[")?;
        for (index, alert) in self.0.iter().enumerate() {
            let labels = braces(alert.labels.iter().map(|l| (l.name, l.value)));
            let annotations = braces(alert.annotations.iter().map(|(k, v)| (k.as_str(), v.as_str())));
            let comma = if index > 0 { "," } else { "" };
            let indent = "            ";
            write!(
                f,
                "{comma}\n{indent}{index}:\n{indent}  Labels:{labels}\n{indent}  Annotations:{annotations}"
            )?;
        }
        f.write_str("\n            ]")
    }
}

impl fmt::Display for TestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TestFailure::Rule { rule, at_ms, error } => {
                let time = format_duration_ns(at_ms.saturating_mul(1_000_000));
                write!(f, "    rule: {rule}, time: {time}, err: {error}")
            }
            TestFailure::Alerts { test, alert, eval_ms, expected, got } => {
                if !test.is_empty() {
                    writeln!(f, "    name: {test},")?;
                }
                let time = format_duration(*eval_ms);
                write!(f, "    alertname: {alert}, time: {time}, \n        exp:{}, ", AlertList(expected))?;
                write!(f, "\n        got:{}", AlertList(got))
            }
            TestFailure::ExprError { expr, eval_ms, error } => {
                write!(f, "    expr: {}, time: {}, err: {error}", quote(expr), format_duration(*eval_ms))
            }
            TestFailure::Samples { expr, eval_ms, expected, got } => {
                writeln!(f, "    expr: {}, time: {},", quote(expr), format_duration(*eval_ms))?;
                write!(f, "        exp: {}\n        got: {}", SampleList(expected), SampleList(got))
            }
            TestFailure::Limit { message } => write!(f, "    {message}"),
        }
    }
}

impl fmt::Display for TestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Unit Testing:  {}", self.path)?;
        for warning in &self.warnings {
            writeln!(f, "  WARNING: {warning}")?;
        }
        if self.passed() {
            return writeln!(f, "  SUCCESS");
        }
        writeln!(f, "  FAILED:")?;
        for fault in &self.faults {
            writeln!(f, "{}", fault.render())?;
        }
        for failure in self.groups.iter().flat_map(|group| &group.failures) {
            writeln!(f, "{failure}\n")?;
        }
        Ok(())
    }
}

//! The values of templates: what Go would see by reflection, as one enum.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use kymo_model::{FloatHistogram, Labels, format_float_g};
use kymo_promql::{PointValue, VectorSample};

use super::time::{format_duration_ns, format_time};

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// `nil`, and what a missing key of `args` gives.
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Arc<str>),
    /// `map[string]string`; a missing key is the empty string.
    Labels(Labels),
    /// What `args` makes.
    Args(Arc<Args>),
    Samples(Arc<Vec<Value>>),
    Sample(Arc<Sample>),
    Histogram(Arc<FloatHistogram>),
    /// Nanoseconds since the Unix epoch.
    Time(i64),
    /// Nanoseconds.
    Duration(i64),
    /// What the template as a whole is given.
    Root(Arc<Root>),
}

/// A sample of a query's result.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) labels: Labels,
    pub(super) value: Value,
}

/// What `args` makes: the only value that holds others of any kind, so it knows how deep and how large it is. Values are
/// shared, and what is shared twice prints twice.
#[derive(Debug)]
pub(super) struct Args {
    pub(super) map: BTreeMap<String, Value>,
    pub(super) depth: usize,
    pub(super) printed_bytes: usize,
}

impl Args {
    pub(super) fn new(values: &[Value]) -> Args {
        let named = values.iter().enumerate().map(|(i, value)| (format!("arg{i}"), value.clone()));
        let inner = values.iter().map(|value| if let Value::Args(args) = value { args.depth } else { 0 });
        let bytes = values.iter().map(|value| value.printed_bytes().saturating_add(16));
        Args {
            map: named.collect(),
            depth: inner.max().unwrap_or(0) + 1,
            printed_bytes: bytes.fold(8, usize::saturating_add),
        }
    }
}

/// `.Labels`, `.ExternalLabels`, `.ExternalURL`, `.Value`.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) labels: Labels,
    pub(super) external_labels: Labels,
    pub(super) external_url: Arc<str>,
    pub(super) value: Value,
}

impl From<&PointValue> for Value {
    fn from(value: &PointValue) -> Value {
        match value {
            PointValue::Float(value) => Value::Float(*value),
            PointValue::Histogram(histogram) => Value::Histogram(Arc::clone(histogram)),
        }
    }
}

impl From<VectorSample> for Value {
    fn from(sample: VectorSample) -> Value {
        // As in Prometheus, a histogram counts as 0 in the results of `query`.
        let value = Value::Float(sample.value.float().unwrap_or(0.0));
        Value::Sample(Arc::new(Sample { labels: sample.labels, value }))
    }
}

impl Value {
    pub(super) fn text(text: impl Into<Arc<str>>) -> Value {
        Value::Str(text.into())
    }

    /// The name of the Go type, for messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Str(_) => "string",
            Value::Labels(_) => "map[string]string",
            Value::Args(_) => "map[string]interface {}",
            Value::Samples(_) => "template.queryResult",
            Value::Sample(_) => "*template.sample",
            Value::Histogram(_) => "*histogram.FloatHistogram",
            Value::Time(_) => "*time.Time",
            Value::Duration(_) => "*time.Duration",
            Value::Root(_) => {
                "struct { Labels map[string]string; ExternalLabels map[string]string; \
                 ExternalURL string; Value float64 }"
            }
        }
    }

    /// What `if` and `with` ask.
    pub(super) fn truth(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::Labels(labels) => !labels.is_empty(),
            Value::Args(args) => !args.map.is_empty(),
            Value::Samples(samples) => !samples.is_empty(),
            Value::Sample(_) | Value::Histogram(_) | Value::Time(_) | Value::Duration(_) | Value::Root(_) => {
                true
            }
        }
    }

    /// At most so many bytes are printed: asked before printing, so that the budget is.
    pub(super) fn printed_bytes(&self) -> usize {
        const NUMBER: usize = 64;
        match self {
            Value::Str(text) => text.len(),
            Value::Labels(labels) => labels.heap_bytes() + 2 * labels.len() + NUMBER,
            Value::Args(args) => args.printed_bytes,
            Value::Samples(samples) => {
                samples.iter().map(Value::printed_bytes).fold(2, usize::saturating_add)
            }
            Value::Sample(sample) => sample.labels.heap_bytes() + 2 * sample.labels.len() + 2 * NUMBER,
            Value::Root(root) => {
                let labels = root.labels.heap_bytes() + 2 * root.labels.len();
                let external = root.external_labels.heap_bytes() + 2 * root.external_labels.len();
                labels + external + root.external_url.len() + 4 * NUMBER
            }
            _ => NUMBER,
        }
    }

    /// How Go prints it with `%v`. Values nest a few deep, those of `args` at most as deep as `args` allows.
    pub(super) fn write_to(&self, out: &mut String) {
        match self {
            Value::Nil => out.push_str("<nil>"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Int(value) => push_display(out, value),
            Value::Float(value) => out.push_str(&format_float_g(*value)),
            Value::Str(text) => out.push_str(text),
            Value::Labels(labels) => {
                out.push_str("map[");
                for (index, label) in labels.iter().enumerate() {
                    let space = if index > 0 { " " } else { "" };
                    push_display(out, format_args!("{space}{}:{}", label.name, label.value));
                }
                out.push(']');
            }
            Value::Args(args) => {
                out.push_str("map[");
                for (index, (name, value)) in args.map.iter().enumerate() {
                    let space = if index > 0 { " " } else { "" };
                    push_display(out, format_args!("{space}{name}:"));
                    value.write_to(out);
                }
                out.push(']');
            }
            Value::Samples(samples) => {
                out.push('[');
                for (index, sample) in samples.iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    sample.write_to(out);
                }
                out.push(']');
            }
            Value::Sample(sample) => {
                out.push('{');
                Value::Labels(sample.labels.clone()).write_to(out);
                out.push(' ');
                sample.value.write_to(out);
                out.push('}');
            }
            Value::Histogram(histogram) => {
                let (count, sum) = (format_float_g(histogram.count), format_float_g(histogram.sum));
                push_display(out, format_args!("{{count:{count}, sum:{sum}}}"));
            }
            Value::Time(ns) => out.push_str(&format_time(*ns)),
            Value::Duration(ns) => out.push_str(&format_duration_ns(*ns)),
            Value::Root(root) => {
                out.push('{');
                Value::Labels(root.labels.clone()).write_to(out);
                out.push(' ');
                Value::Labels(root.external_labels.clone()).write_to(out);
                push_display(out, format_args!(" {} ", root.external_url));
                root.value.write_to(out);
                out.push('}');
            }
        }
    }

    pub(super) fn printed(&self) -> String {
        let mut out = String::new();
        self.write_to(&mut out);
        out
    }
}

fn push_display(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

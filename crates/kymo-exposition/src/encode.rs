//! Encoder: families and samples to exposition text; what it writes, the parser of the same format reads back unchanged.

use kymo_model::{
    Labels, METRIC_NAME, MetricType, Timestamp, format_float_g, format_openmetrics_float,
    is_legacy_label_name, is_legacy_metric_name,
};

use crate::Format;
use crate::escape::{Escapes, escape_into};

/// What is said about a metric family before its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Family<'a> {
    /// The name as OpenMetrics has it: without `_total` for a counter, without `_info` for an info.
    pub name: &'a str,
    /// The type.
    pub metric_type: MetricType,
    /// The unit, empty when not known; must be the last part of the name.
    pub unit: &'a str,
    /// The help text, empty when there is none.
    pub help: &'a str,
}

/// An exemplar that is written.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    /// Names and values.
    pub labels: &'a [(&'a str, &'a str)],
    /// The value.
    pub value: f64,
    /// The timestamp, if there is one.
    pub timestamp: Option<Timestamp>,
}

/// Writes an exposition.
///
/// ```
/// use kymo_exposition::{Encoder, Family, Format};
/// use kymo_model::MetricType;
///
/// let mut encoder = Encoder::new(Format::OpenMetrics);
/// let family = Family { name: "requests", metric_type: MetricType::Counter, help: "Requests so far.", unit: "" };
/// encoder.family(&family);
/// encoder.sample("requests_total", [("code", "200")], 3.0, None);
/// assert_eq!(
///     encoder.finish(),
///     "# TYPE requests counter\n# HELP requests Requests so far.\nrequests_total{code=\"200\"} 3.0\n# EOF\n"
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Encoder {
    format: Format,
    out: String,
}

impl Encoder {
    /// An encoder of one body.
    pub fn new(format: Format) -> Encoder {
        Encoder { format, out: String::new() }
    }

    /// Starts a family. In the text format its name and type are those the format has: a counter's name ends in `_total`,
    /// an info is a gauge, and so on.
    pub fn family(&mut self, family: &Family<'_>) -> &mut Encoder {
        let (suffix, word) = match self.format {
            Format::OpenMetrics => ("", family.metric_type.as_str()),
            Format::Text => text_family(family.metric_type),
        };
        if self.format == Format::Text && !family.help.is_empty() {
            self.metadata("HELP", family.name, suffix);
            escape_into(family.help, Escapes::Help, &mut self.out);
            self.out.push('\n');
        }
        self.metadata("TYPE", family.name, suffix);
        self.out.push_str(word);
        self.out.push('\n');
        if self.format == Format::OpenMetrics && !family.unit.is_empty() {
            self.metadata("UNIT", family.name, "");
            self.out.push_str(family.unit);
            self.out.push('\n');
        }
        if self.format == Format::OpenMetrics && !family.help.is_empty() {
            self.metadata("HELP", family.name, "");
            escape_into(family.help, Escapes::Quoted, &mut self.out);
            self.out.push('\n');
        }
        self
    }

    fn metadata(&mut self, keyword: &str, name: &str, suffix: &str) {
        self.out.push_str("# ");
        self.out.push_str(keyword);
        self.out.push(' ');
        if is_legacy_metric_name(name) {
            self.out.push_str(name);
            self.out.push_str(suffix);
        } else {
            self.out.push('"');
            escape_into(name, Escapes::Quoted, &mut self.out);
            self.out.push_str(suffix);
            self.out.push('"');
        }
        self.out.push(' ');
    }

    /// A sample by its full name and its other labels.
    pub fn sample<'a>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: f64,
        timestamp: Option<Timestamp>,
    ) -> &mut Encoder {
        self.sample_with(name, labels, value, timestamp, None)
    }

    /// A sample with an exemplar, which the text format leaves out because it has none.
    pub fn sample_with<'a>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: f64,
        timestamp: Option<Timestamp>,
        exemplar: Option<&Exemplar<'_>>,
    ) -> &mut Encoder {
        let bare = is_legacy_metric_name(name);
        if bare {
            self.out.push_str(name);
        }
        let mut open = bare.then_some('{');
        if !bare {
            self.out.push_str("{\"");
            escape_into(name, Escapes::Quoted, &mut self.out);
            self.out.push('"');
            open = Some(',');
        }
        let mut any = !bare;
        for (name, value) in labels {
            self.out.push(open.unwrap_or(','));
            open = None;
            any = true;
            self.label(name, value);
        }
        if any {
            self.out.push('}');
        }
        self.out.push(' ');
        self.number(value);
        if let Some(timestamp) = timestamp {
            self.timestamp(timestamp);
        }
        if let (Some(exemplar), Format::OpenMetrics) = (exemplar, self.format) {
            self.out.push_str(" # {");
            for (i, (name, value)) in exemplar.labels.iter().enumerate() {
                if i > 0 {
                    self.out.push(',');
                }
                self.label(name, value);
            }
            self.out.push_str("} ");
            self.number(exemplar.value);
            if let Some(timestamp) = exemplar.timestamp {
                self.timestamp(timestamp);
            }
        }
        self.out.push('\n');
        self
    }

    /// A sample of a series. A series without a metric name cannot be written and is left out; returns whether it was written.
    pub fn series(&mut self, labels: &Labels, value: f64, timestamp: Option<Timestamp>) -> bool {
        let Some(name) = labels.metric_name() else { return false };
        let others = labels.iter().filter(|l| l.name != METRIC_NAME).map(|l| (l.name, l.value));
        self.sample(name, others, value, timestamp);
        true
    }

    /// The body, ended as its format asks.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn label(&mut self, name: &str, value: &str) {
        if is_legacy_label_name(name) {
            self.out.push_str(name);
        } else {
            self.out.push('"');
            escape_into(name, Escapes::Quoted, &mut self.out);
            self.out.push('"');
        }
        self.out.push_str("=\"");
        escape_into(value, Escapes::Quoted, &mut self.out);
        self.out.push('"');
    }

    fn number(&mut self, value: f64) {
        match self.format {
            Format::Text => self.out.push_str(&format_float_g(value)),
            Format::OpenMetrics if value == 0.0 && value.is_sign_negative() => self.out.push_str("-0.0"),
            Format::OpenMetrics => self.out.push_str(&format_openmetrics_float(value)),
        }
    }

    fn timestamp(&mut self, timestamp: Timestamp) {
        self.out.push(' ');
        let ms = timestamp.millis();
        match self.format {
            Format::Text => self.out.push_str(&ms.to_string()),
            Format::OpenMetrics => {
                let sign = if ms < 0 { "-" } else { "" };
                let ms = ms.unsigned_abs();
                self.out.push_str(&format!("{sign}{}.{:03}", ms / 1000, ms % 1000));
            }
        }
    }
}

/// What a family of OpenMetrics is in the text format: the rest of its name, and its type.
fn text_family(metric_type: MetricType) -> (&'static str, &'static str) {
    match metric_type {
        MetricType::Counter => ("_total", "counter"),
        MetricType::Gauge | MetricType::StateSet => ("", "gauge"),
        MetricType::Info => ("_info", "gauge"),
        MetricType::Histogram => ("", "histogram"),
        MetricType::Summary => ("", "summary"),
        MetricType::GaugeHistogram | MetricType::Unknown => ("", "untyped"),
    }
}

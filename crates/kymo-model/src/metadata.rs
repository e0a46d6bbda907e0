//! Metadata of a metric family: type, unit, help; and the border trait through which it comes out of a store.

use std::fmt;

use crate::StoreError;

/// What kind of metric a family is; OpenMetrics 1.0 names, which include those of the Prometheus text format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetricType {
    /// Nothing was said, or `untyped`.
    #[default]
    Unknown,
    /// Only rises, or restarts at zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Classic or native histogram.
    Histogram,
    /// A histogram whose buckets go up and down.
    GaugeHistogram,
    /// Quantiles computed by the client.
    Summary,
    /// Text carried in labels, value 1.
    Info,
    /// A set of booleans.
    StateSet,
}

impl MetricType {
    /// The word of the OpenMetrics text format and of the HTTP API.
    pub const fn as_str(self) -> &'static str {
        match self {
            MetricType::Unknown => "unknown",
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::GaugeHistogram => "gaugehistogram",
            MetricType::Summary => "summary",
            MetricType::Info => "info",
            MetricType::StateSet => "stateset",
        }
    }

    /// From the word of a `# TYPE` line; `untyped` is Prometheus' word for `unknown`.
    ///
    /// ```
    /// use kymo_model::MetricType;
    /// assert_eq!(MetricType::parse("untyped"), Some(MetricType::Unknown));
    /// assert_eq!(MetricType::parse("meter"), None);
    /// ```
    pub fn parse(word: &str) -> Option<MetricType> {
        Some(match word {
            "unknown" | "untyped" => MetricType::Unknown,
            "counter" => MetricType::Counter,
            "gauge" => MetricType::Gauge,
            "histogram" => MetricType::Histogram,
            "gaugehistogram" => MetricType::GaugeHistogram,
            "summary" => MetricType::Summary,
            "info" => MetricType::Info,
            "stateset" => MetricType::StateSet,
            _ => return None,
        })
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a target says about one of its metric families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The type.
    pub metric_type: MetricType,
    /// The unit, empty when not said.
    pub unit: String,
    /// The help text, unescaped, empty when not said.
    pub help: String,
}

/// A metric family and what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FamilyMetadata {
    /// The family.
    pub name: String,
    /// What is said about it.
    pub metadata: Metadata,
}

/// Anything that keeps metadata of metric families.
pub trait MetadataQueryable: Send + Sync {
    /// What was last said about each family, in order of name; `metric` asks for one family only.
    fn metadata(&self, metric: Option<&str>) -> Result<Vec<FamilyMetadata>, StoreError>;
}

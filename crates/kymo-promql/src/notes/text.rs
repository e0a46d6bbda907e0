//! The texts of notes, in Prometheus' words.

use kymo_model::format_float_g;

use super::{Merged, Note, quoted};
use crate::native::{Finding, Operation};

impl Note {
    pub(super) fn is_info(&self) -> bool {
        matches!(
            self,
            Note::PossibleNonCounter(_)
                | Note::PossibleNonCounterType(..)
                | Note::ForcedMonotonicity(_)
                | Note::IncompatibleTypes(..)
                | Note::IgnoredInAggregation(_)
                | Note::IgnoredInRange(_)
                | Note::QuantileIsNan(_)
                | Note::QuantileIsSkewed(_)
                | Note::FractionOfNans(_)
                | Note::BoundsReconciled(_)
        )
    }

    /// Does its text say how often it was noted?
    pub(super) fn is_counted(&self) -> bool {
        matches!(self, Note::ForcedMonotonicity(_) | Note::StartOverlap(_))
    }

    pub(super) fn text(&self, merged: &Merged) -> String {
        let named = |text: &str, metric: &str| format!("{text} {}", quoted(metric.as_bytes()));
        match self {
            Note::Store(text) => text.clone(),
            Note::InvalidQuantile(q) => format!("quantile value should be between 0 and 1, got {}", q.0),
            Note::InvalidRatio(ratio, to) => {
                format!("ratio value should be between -1 and 1, got {}, capping to {}", ratio.0, to.0)
            }
            Note::BadBucketLabel(metric, le) => format!(
                "bucket label \"le\" is missing or has a malformed value of {}{}",
                quoted(le.as_bytes()),
                for_metric(metric)
            ),
            Note::MixedRange(metric) => {
                named("encountered a mix of histograms and floats for metric name", metric)
            }
            Note::MixedGroup => "encountered a mix of histograms and floats for aggregation".to_owned(),
            Note::ClassicAndNative(metric) => {
                format!("vector contains a mix of classic and native histograms{}", for_metric(metric))
            }
            Note::NotCounter(metric) => named("this native histogram metric is not a counter:", metric),
            Note::NotGauge(metric) => named("this native histogram metric is not a gauge:", metric),
            Note::MixedBuckets(metric) => named(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name",
                metric,
            ),
            Note::MixedBucketsIn(op) => {
                format!("incompatible bucket layout encountered for binary operator {op}")
            }
            Note::ResetsCollide(operation) => {
                format!("conflicting counter resets during histogram {operation}")
            }
            Note::StartOverlap(metric) => {
                let text = "sample has start time that overlaps with previous sample timestamp for metric";
                let times = match merged.counts.values().sum::<u64>() {
                    0 | 1 => String::new(),
                    count => format!(" ({count} occurrences)"),
                };
                named(text, metric) + &times
            }
            Note::SortInRangeQuery => {
                "sort is ineffective for range queries since results are always ordered by labels".to_owned()
            }
            Note::PossibleNonCounter(metric) => named(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:",
                metric,
            ),
            Note::PossibleNonCounterType(found, metric) => format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {}: {}",
                quoted(found.as_bytes()),
                quoted(metric.as_bytes())
            ),
            Note::ForcedMonotonicity(metric) => {
                let mut text = format!(
                    "input to histogram_quantile needed to be fixed for monotonicity (see \
                     https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}",
                    for_metric(metric)
                );
                if let Some(repair) = merged.repairs.all {
                    text.push_str(&format!(
                        ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                        format_float_g(repair.bucket_min),
                        format_float_g(repair.bucket_max),
                        two_digits(repair.diff_max),
                        merged.repairs.samples(),
                        rfc3339(repair.from_ms),
                        rfc3339(repair.to_ms)
                    ));
                }
                text
            }
            Note::IncompatibleTypes(left, op, right) => format!(
                "incompatible sample types encountered for binary operator \"{op}\": {left} {op} {right}"
            ),
            Note::IgnoredInAggregation(name) => format!("ignored histogram in {name} aggregation"),
            Note::IgnoredInRange(metric) => named(
                "ignored histograms in a range containing both floats and histograms for metric name",
                metric,
            ),
            Note::QuantileIsNan(metric) => format!(
                "input to histogram_quantile has NaN observations, result is NaN{}",
                for_metric(metric)
            ),
            Note::QuantileIsSkewed(metric) => format!(
                "input to histogram_quantile has NaN observations, result is skewed higher{}",
                for_metric(metric)
            ),
            Note::FractionOfNans(metric) => format!(
                "input to histogram_fraction has NaN observations, which are excluded from all fractions{}",
                for_metric(metric)
            ),
            Note::BoundsReconciled(operation) => {
                format!("mismatched custom buckets were reconciled during {operation}")
            }
        }
    }

    /// What was found in native histograms of a metric.
    pub(crate) fn of_finding(finding: Finding, metric: &str) -> Note {
        let metric = || metric.to_owned();
        match finding {
            Finding::NotCounter => Note::NotCounter(metric()),
            Finding::NotGauge => Note::NotGauge(metric()),
            Finding::MixedBuckets => Note::MixedBuckets(metric()),
            Finding::StartOverlap => Note::StartOverlap(metric()),
            Finding::ResetsCollide(operation) => Note::ResetsCollide(operation_name(operation)),
            Finding::BoundsReconciled(operation) => Note::BoundsReconciled(operation_name(operation)),
        }
    }
}

fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Addition => "addition",
        Operation::Subtraction => "subtraction",
        Operation::Aggregation => "aggregation",
    }
}

fn for_metric(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" for metric name {}", quoted(name.as_bytes())) }
}

/// Go's `%.2g`.
fn two_digits(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return format_float_g(value);
    }
    let scientific = format!("{value:.1e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    if (-4..2).contains(&exponent) {
        let rounded: f64 = scientific.parse().unwrap_or(value);
        return kymo_model::format_float(rounded);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// Seconds only, UTC, as Go's `time.RFC3339`.
fn rfc3339(ms: i64) -> String {
    let civil = crate::date::Civil::from_unix(ms.div_euclid(1000));
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_formats() {
        for (value, text) in [
            (10.0, "10"),
            (5.5, "5.5"),
            (0.014, "0.014"),
            (123.0, "1.2e+02"),
            (1e-5, "1e-05"),
            (99.9, "1e+02"),
        ] {
            assert_eq!(two_digits(value), text);
        }
        assert_eq!(quoted(b"a\xc5z\n\""), r#""a\xc5z\n\"""#);
    }
}

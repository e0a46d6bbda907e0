//! `load_with_nhcb`: classic histograms loaded a second time as native histograms with custom buckets.

use std::collections::BTreeMap;
use std::sync::Arc;

use kymo_model::{FloatHistogram, Labels, METRIC_NAME, Span, Timestamp, parse_float};

use crate::answer::{LoadedSample, LoadedSeries, Value};

/// The schema of histograms with custom bounds.
const CUSTOM_SCHEMA: i32 = -53;

/// What is known of a histogram at one time.
#[derive(Default)]
struct Classic {
    /// Upper bound and cumulative count, sorted by bound.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// The histograms that the `_bucket`, `_count` and `_sum` series of a load make up, under their base names.
pub(crate) fn convert(series: &[LoadedSeries]) -> Result<Vec<LoadedSeries>, String> {
    let mut found: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for series in series {
        let Some((base, part)) = part_of(&series.labels) else { continue };
        let by_time = found.entry(base).or_default();
        for sample in &series.samples {
            let Value::Float(value) = sample.value else { continue };
            let classic = by_time.entry(sample.timestamp.millis()).or_default();
            match part {
                Part::Bucket(bound) => classic.set_bucket(bound, value),
                Part::Count => classic.count = Some(value),
                Part::Sum => classic.sum = value,
            }
        }
    }
    let mut converted = Vec::new();
    for (labels, by_time) in found {
        let mut samples = Vec::new();
        for (t, classic) in by_time {
            let histogram = classic.native().map_err(|e| format!("{labels} at {t} ms: {e}"))?;
            samples.push(LoadedSample {
                timestamp: Timestamp::from_millis(t),
                value: Value::Histogram(Arc::new(histogram)),
                start_timestamp_ms: None,
            });
        }
        converted.push(LoadedSeries { labels, samples });
    }
    Ok(converted)
}

#[derive(Clone, Copy)]
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

/// Which part of which histogram a series is.
fn part_of(labels: &Labels) -> Option<(Labels, Part)> {
    let name = labels.metric_name()?;
    let (base, part) = if let Some(base) = name.strip_suffix("_bucket") {
        let bound = parse_float(labels.get("le")?).ok().filter(|bound| !bound.is_nan())?;
        (base, Part::Bucket(bound))
    } else if let Some(base) = name.strip_suffix("_count") {
        (base, Part::Count)
    } else {
        (name.strip_suffix("_sum")?, Part::Sum)
    };
    let mut builder = labels.to_builder();
    builder.remove("le").set(METRIC_NAME, base);
    Some((builder.build(), part))
}

impl Classic {
    fn set_bucket(&mut self, bound: f64, count: f64) {
        match self.buckets.binary_search_by(|(other, _)| other.total_cmp(&bound)) {
            Ok(at) => self.buckets[at].1 = count,
            Err(at) => self.buckets.insert(at, (bound, count)),
        }
    }

    /// The same counts in buckets with custom bounds; those of the last, unbounded one follow from the total count.
    fn native(mut self) -> Result<FloatHistogram, String> {
        let count = self.count.or(self.buckets.last().map(|(_, count)| *count)).unwrap_or(0.0);
        if self.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let last = self.buckets.last().map_or(0.0, |(_, count)| *count);
        if last != count {
            return Err(format!("expected count {count} in the last bucket, found {last}"));
        }
        let mut before = 0.0;
        let mut counts = Vec::with_capacity(self.buckets.len());
        for (bound, cumulative) in &self.buckets {
            if cumulative.is_nan() || *cumulative < before {
                return Err(format!("expected at least {before} in bucket {bound}, found {cumulative}"));
            }
            counts.push(cumulative - before);
            before = *cumulative;
        }
        Ok(FloatHistogram {
            schema: CUSTOM_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length: counts.len() as u32 }],
            positive_buckets: counts,
            custom_values: self.buckets[..self.buckets.len() - 1].iter().map(|(bound, _)| *bound).collect(),
            ..FloatHistogram::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(text: &str) -> LoadedSeries {
        let (labels, values) = kymo_promql_syntax::series::parse_series_description(text).unwrap();
        let samples = values.iter().filter_map(crate::script::loaded).enumerate();
        let samples = samples.map(|(t, value)| LoadedSample {
            timestamp: Timestamp::from_millis(t as i64),
            value,
            start_timestamp_ms: None,
        });
        LoadedSeries { labels, samples: samples.collect() }
    }

    #[test]
    fn classic_to_native() {
        let parts = [
            "h_bucket{le=\"1\",a=\"x\"} 2 3",
            "h_bucket{le=\"+Inf\",a=\"x\"} 5 9",
            "h_sum{a=\"x\"} 7 8",
            "other 1",
        ];
        let converted = convert(&parts.map(series)).unwrap();
        assert_eq!(converted.len(), 1);
        assert_eq!(converted[0].labels.to_string(), "h{a=\"x\"}");
        let Value::Histogram(h) = &converted[0].samples[1].value else { panic!() };
        assert_eq!((h.schema, h.count, h.sum), (-53, 9.0, 8.0));
        assert_eq!(
            (h.positive_buckets.as_slice(), h.custom_values.as_slice()),
            ([3.0, 6.0].as_slice(), [1.0].as_slice())
        );
        assert!(convert(&["h_bucket{le=\"1\"} 2", "h_bucket{le=\"+Inf\"} 1"].map(series)).is_err());
    }
}

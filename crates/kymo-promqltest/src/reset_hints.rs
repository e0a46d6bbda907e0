//! Counter reset hints as Prometheus' storage gives them back: not those that were written, but what its chunks know.
//!
//! A chunk of counter histograms ends where a counter reset, a schema or a kind changes. Its first histogram has no hint, since
//! the chunk before may be missing; those after it are known not to be resets. Gauges are in chunks of their own.

use std::sync::Arc;

use kymo_model::{CounterResetHint, FloatHistogram};

use crate::answer::{LoadedSample, Value};

/// The chunk that is being written.
enum Chunk {
    /// None of counter histograms.
    Other,
    /// Its last histogram.
    Counters(Arc<FloatHistogram>),
}

/// Sets the hints of a series, whose samples come in order of time.
pub(crate) fn set<'s>(samples: impl Iterator<Item = &'s mut LoadedSample>) {
    let mut chunk = Chunk::Other;
    for sample in samples {
        let Value::Histogram(histogram) = &mut sample.value else {
            chunk = Chunk::Other;
            continue;
        };
        if histogram.counter_reset_hint == CounterResetHint::Gauge {
            chunk = Chunk::Other;
            continue;
        }
        let hint = match &chunk {
            Chunk::Counters(last) if continues(last, histogram) => CounterResetHint::NotReset,
            _ => CounterResetHint::Unknown,
        };
        chunk = Chunk::Counters(histogram.clone());
        if histogram.counter_reset_hint != hint {
            Arc::make_mut(histogram).counter_reset_hint = hint;
        }
    }
}

/// Does a histogram go into the chunk of the one before it?
fn continues(last: &FloatHistogram, next: &FloatHistogram) -> bool {
    if next.counter_reset_hint == CounterResetHint::Reset {
        return false;
    }
    if next.is_stale() || last.is_stale() {
        return next.is_stale();
    }
    let same_layout = next.schema == last.schema
        && next.zero_threshold == last.zero_threshold
        && next.custom_values == last.custom_values;
    same_layout && {
        let next = FloatHistogram { counter_reset_hint: CounterResetHint::Unknown, ..next.clone() };
        !next.detect_reset(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kymo_model::Timestamp;
    use kymo_promql_syntax::series::parse_series_description;

    #[test]
    fn hints_are_those_of_chunks() {
        let check = |text: &str, expected: &str| {
            let (_, values) = parse_series_description(text).unwrap();
            let mut samples: Vec<LoadedSample> = values
                .iter()
                .filter_map(crate::script::loaded)
                .map(|value| LoadedSample {
                    timestamp: Timestamp::from_millis(0),
                    value,
                    start_timestamp_ms: None,
                })
                .collect();
            set(samples.iter_mut());
            let hints = samples.iter().map(|sample| match &sample.value {
                Value::Float(_) => '.',
                Value::Histogram(h) => match h.counter_reset_hint {
                    CounterResetHint::Unknown => 'u',
                    CounterResetHint::Reset => 'r',
                    CounterResetHint::NotReset => 'n',
                    CounterResetHint::Gauge => 'g',
                },
            });
            assert_eq!(hints.collect::<String>(), expected, "{text}");
        };
        check("h {{schema:0 count:1 buckets:[1]}}+{{schema:0 count:1 buckets:[1]}}x2", "unn");
        check("h {{schema:0 count:2 buckets:[2]}}x1 {{schema:0 count:1 buckets:[1]}}x1", "unun");
        check("h {{schema:0 count:2 buckets:[2]}} {{schema:0 count:2 buckets:[0 2]}}", "uu");
        check("h {{schema:1 count:2 buckets:[2]}} {{schema:0 count:2 buckets:[2]}}x1", "uun");
        check("h {{count:1 counter_reset_hint:not_reset}} 1 {{count:2}} {{count:3}}", "u.un");
        check("h {{count:1}} {{count:2 counter_reset_hint:reset}}x1", "uuu");
        check("h {{count:1 counter_reset_hint:gauge}}x1 {{count:2}} {{count:3}}", "ggun");
        check("h {{count:1}} stale {{count:1}}", "u.u");
    }
}

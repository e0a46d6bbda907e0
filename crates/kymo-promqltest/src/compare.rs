//! Comparing what came with what was expected: values within one part in a million, labels and times exactly.

use std::sync::Arc;

use kymo_model::{FloatHistogram, Labels, Span, is_stale};
use kymo_promql_syntax::series::SequenceValue;

use crate::answer::{Answer, Outcome, Series, Value};
use crate::expect::{Annotations, Expectations};
use crate::runner::Checked;

/// Relative error allowed for values.
const EPSILON: f64 = 0.000_001;

/// The smallest float with full precision.
const NORMAL_MIN: f64 = f64::MIN_POSITIVE;

/// Nearly the same. Zero is only zero, the staleness marker only itself, other NaNs are alike.
pub(crate) fn nearly_equal(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < NORMAL_MIN {
        return difference < EPSILON * NORMAL_MIN;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

pub(crate) fn check_annotations(expected: &Expectations, answer: &Answer) -> Checked {
    check_texts("warning", &expected.warn, &answer.warnings)?;
    check_texts("info", &expected.info, &answer.infos)
}

fn check_texts(what: &str, expected: &Annotations, found: &[String]) -> Checked {
    if expected.none && !found.is_empty() {
        return Err(format!("expected no {what}, found {found:?}"));
    }
    if expected.any && found.is_empty() {
        return Err(format!("expected a {what}, found none"));
    }
    if expected.wanted.is_empty() {
        return Ok(());
    }
    if let Some(wanted) = expected.wanted.iter().find(|wanted| !found.iter().any(|text| wanted.matches(text)))
    {
        return Err(format!("expected a {what} with {wanted}, found {found:?}"));
    }
    match found.iter().find(|text| !expected.wanted.iter().any(|wanted| wanted.matches(text))) {
        Some(text) => Err(format!("unexpected {what} {text:?}")),
        None => Ok(()),
    }
}

pub(crate) fn check_outcome(expected: &Expectations, outcome: &Outcome) -> Checked {
    match outcome {
        Outcome::Scalar(found) => match expected.scalar {
            Some(wanted) if nearly_equal(wanted, *found) => Ok(()),
            Some(wanted) => Err(format!("expected scalar {wanted}, found {found}")),
            None => Err(format!("expected a vector or matrix, found scalar {found}")),
        },
        Outcome::String(found) => match expected.string.as_deref().unwrap_or_default() {
            wanted if wanted == found => Ok(()),
            wanted => Err(format!("expected string {}, found {}", text(wanted), text(found))),
        },
        _ if expected.scalar.is_some() => Err("expected a scalar, found series".to_owned()),
        Outcome::Vector(found) => check_vector(expected, found),
        Outcome::Matrix(_) if expected.ordered => {
            Err("expected an ordered result, found a matrix".to_owned())
        }
        Outcome::Matrix(found) => check_matrix(expected, found),
    }
}

fn text(bytes: &[u8]) -> String {
    kymo_promql_syntax::quote_string(bytes)
}

/// The expected values of a series; of a series that is named twice the last line counts.
fn expected_of<'e>(expected: &'e Expectations, labels: &Labels) -> Option<(usize, &'e [SequenceValue])> {
    let found = expected.series.iter().rposition(|(wanted, _)| wanted == labels)?;
    Some((found, &expected.series[found].1))
}

fn check_all_found(expected: &Expectations, found: impl Fn(&Labels) -> bool) -> Checked {
    match expected.series.iter().find(|(labels, _)| !found(labels)) {
        Some((labels, values)) => Err(format!("expected series {labels} with {}, not found", shown(values))),
        None => Ok(()),
    }
}

fn check_vector(expected: &Expectations, found: &[(Labels, Value)]) -> Checked {
    for (position, (labels, value)) in found.iter().enumerate() {
        let Some((wanted_position, wanted)) = expected_of(expected, labels) else {
            return Err(format!("unexpected series {labels} with {}", shown_value(value)));
        };
        if expected.ordered && wanted_position != position {
            return Err(format!(
                "expected series {labels} at position {}, found at {}",
                wanted_position + 1,
                position + 1
            ));
        }
        let same = match (&wanted[0], value) {
            (SequenceValue::Float(wanted), Value::Float(value)) => nearly_equal(*wanted, *value),
            (SequenceValue::Omitted, Value::Float(value)) => *value == 0.0,
            (SequenceValue::Histogram { histogram, hint_set }, Value::Histogram(value)) => {
                same_histogram(histogram, value, *hint_set)
            }
            _ => false,
        };
        if !same {
            return Err(format!("expected {} for {labels}, found {}", shown(wanted), shown_value(value)));
        }
    }
    check_all_found(expected, |labels| found.iter().any(|(found, _)| found == labels))
}

fn check_matrix(expected: &Expectations, found: &[Series]) -> Checked {
    check_sorted(found)?;
    let times = expected.times;
    for series in found {
        let labels = &series.labels;
        let Some((_, wanted)) = expected_of(expected, labels) else {
            return Err(format!("unexpected series {labels} with {}", shown_series(series)));
        };
        let last = times.start.saturating_add_ms(times.step_ms.saturating_mul(wanted.len() as i64 - 1));
        if last > times.end {
            return Err(format!("expected {} points for {labels}, more than the range has", wanted.len()));
        }
        let at = |index: usize| times.start.saturating_add_ms(times.step_ms * index as i64).millis();
        let mut floats = series.floats.iter();
        let mut histograms = series.histograms.iter();
        let same = wanted.iter().enumerate().all(|(index, wanted)| match wanted {
            SequenceValue::Omitted => true,
            SequenceValue::Float(wanted) => {
                floats.next().is_some_and(|(t, value)| *t == at(index) && nearly_equal(*wanted, *value))
            }
            SequenceValue::Histogram { histogram, hint_set } => histograms
                .next()
                .is_some_and(|(t, value)| *t == at(index) && same_histogram(histogram, value, *hint_set)),
        });
        if !same || floats.next().is_some() || histograms.next().is_some() {
            return Err(format!("expected {} for {labels}, found {}", shown(wanted), shown_series(series)));
        }
    }
    check_all_found(expected, |labels| found.iter().any(|series| series.labels == *labels))
}

/// Matrices come sorted by labels.
pub(crate) fn check_sorted(found: &[Series]) -> Checked {
    match found.windows(2).find(|pair| pair[0].labels > pair[1].labels) {
        Some(pair) => Err(format!(
            "expected series sorted by labels, found {} before {}",
            pair[0].labels, pair[1].labels
        )),
        None => Ok(()),
    }
}

/// The same but for rounding, whatever the spans; empty buckets do not count, the hint only where it was written.
fn same_histogram(wanted: &FloatHistogram, found: &FloatHistogram, hint_set: bool) -> bool {
    wanted.schema == found.schema
        && nearly_equal(wanted.count, found.count)
        && nearly_equal(wanted.sum, found.sum)
        && wanted.zero_threshold == found.zero_threshold
        && nearly_equal(wanted.zero_count, found.zero_count)
        && (!wanted.has_custom_buckets() || wanted.custom_values == found.custom_values)
        && same_buckets(buckets(wanted, false), buckets(found, false))
        && same_buckets(buckets(wanted, true), buckets(found, true))
        && (!hint_set || wanted.counter_reset_hint == found.counter_reset_hint)
}

fn same_buckets(wanted: Vec<(i64, f64)>, found: Vec<(i64, f64)>) -> bool {
    wanted.len() == found.len()
        && wanted.iter().zip(&found).all(|(a, b)| a.0 == b.0 && nearly_equal(a.1, b.1))
}

/// Index and count of the buckets that are not empty.
fn buckets(histogram: &FloatHistogram, negative: bool) -> Vec<(i64, f64)> {
    let (spans, counts): (&[Span], &[f64]) = if negative {
        (&histogram.negative_spans, &histogram.negative_buckets)
    } else {
        (&histogram.positive_spans, &histogram.positive_buckets)
    };
    let mut next = 0i64;
    let mut counts = counts.iter();
    let mut found = Vec::new();
    for span in spans {
        next += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if *count != 0.0 {
                found.push((next, *count));
            }
            next += 1;
        }
    }
    found
}

// What failures show, in the notation of scripts.

fn shown(values: &[SequenceValue]) -> String {
    let one = |value: &SequenceValue| match value {
        SequenceValue::Omitted => "_".to_owned(),
        SequenceValue::Float(value) => shown_float(*value),
        SequenceValue::Histogram { histogram, .. } => shown_histogram(histogram),
    };
    values.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn shown_value(value: &Value) -> String {
    match value {
        Value::Float(value) => shown_float(*value),
        Value::Histogram(histogram) => shown_histogram(histogram),
    }
}

fn shown_float(value: f64) -> String {
    if is_stale(value) { "stale".to_owned() } else { kymo_model::format_float_g(value) }
}

fn shown_series(series: &Series) -> String {
    let floats = series.floats.iter().map(|(t, v)| (*t, shown_float(*v)));
    let histograms =
        series.histograms.iter().map(|(t, h): &(i64, Arc<FloatHistogram>)| (*t, shown_histogram(h)));
    let mut points: Vec<(i64, String)> = floats.chain(histograms).collect();
    points.sort_by_key(|(t, _)| *t);
    points.iter().map(|(t, value)| format!("{value} @{}s", *t as f64 / 1000.0)).collect::<Vec<_>>().join(", ")
}

fn shown_histogram(h: &FloatHistogram) -> String {
    let mut out = format!("{{{{schema:{} count:{} sum:{}", h.schema, h.count, h.sum);
    if h.zero_count != 0.0 || h.zero_threshold != 0.0 {
        out.push_str(&format!(" z_bucket:{} z_bucket_w:{}", h.zero_count, h.zero_threshold));
    }
    for (name, negative) in [("buckets", false), ("n_buckets", true)] {
        let found = buckets(h, negative);
        if !found.is_empty() {
            let listed: Vec<String> = found.iter().map(|(index, count)| format!("{index}={count}")).collect();
            out.push_str(&format!(" {name}:[{}]", listed.join(" ")));
        }
    }
    if !h.custom_values.is_empty() {
        let listed: Vec<String> = h.custom_values.iter().map(f64::to_string).collect();
        out.push_str(&format!(" custom_values:[{}]", listed.join(" ")));
    }
    out.push_str(&format!(" counter_reset_hint:{:?}}}}}", h.counter_reset_hint));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerance() {
        for (a, b, same) in [
            (1.0, 1.0, true),
            (1.0, 1.000001, true),
            (1.0, 1.00001, false),
            (0.0, 1e-300, false),
            (0.0, -0.0, true),
            (f64::NAN, -f64::NAN, true),
            (f64::NAN, kymo_model::STALE_NAN, false),
            (f64::INFINITY, f64::MAX, false),
            (f64::INFINITY, f64::INFINITY, true),
        ] {
            assert_eq!(nearly_equal(a, b), same, "{a} {b}");
            assert_eq!(nearly_equal(b, a), same, "{b} {a}");
        }
    }
}

//! What a unit test expects, and how that compares with what came.

use std::collections::BTreeMap;
use std::sync::Arc;

use kymo_model::{FloatHistogram, Labels, Span};
use kymo_promql::PointValue;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ExpectedAlert {
    pub(super) labels: Labels,
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub(super) struct ExpectedSample {
    pub(super) labels: Labels,
    pub(super) value: ExpectedValue,
}

#[derive(Clone, Debug)]
pub(super) enum ExpectedValue {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl From<&PointValue> for ExpectedValue {
    fn from(value: &PointValue) -> ExpectedValue {
        match value {
            PointValue::Float(value) => ExpectedValue::Float(*value),
            PointValue::Histogram(histogram) => ExpectedValue::Histogram(Arc::clone(histogram)),
        }
    }
}

impl ExpectedSample {
    /// Equal labels and values; with `fuzzy`, floats may be neighbours.
    pub(super) fn matches(&self, other: &ExpectedSample, fuzzy: bool) -> bool {
        self.labels == other.labels
            && match (&self.value, &other.value) {
                (ExpectedValue::Float(a), ExpectedValue::Float(b)) => same_float(*a, *b, fuzzy),
                (ExpectedValue::Histogram(a), ExpectedValue::Histogram(b)) => same_histogram(a, b),
                _ => false,
            }
    }
}

fn same_float(a: f64, b: f64, fuzzy: bool) -> bool {
    a == b || a.is_nan() && b.is_nan() || fuzzy && (a.next_up() == b || a.next_down() == b)
}

/// Spans may be cut differently and empty buckets may be there or not.
fn same_histogram(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    a.schema == b.schema
        && a.zero_threshold == b.zero_threshold
        && a.zero_count == b.zero_count
        && a.count == b.count
        && (a.sum == b.sum || a.sum.is_nan() && b.sum.is_nan())
        && a.custom_values == b.custom_values
        && buckets(&a.positive_spans, &a.positive_buckets) == buckets(&b.positive_spans, &b.positive_buckets)
        && buckets(&a.negative_spans, &a.negative_buckets) == buckets(&b.negative_spans, &b.negative_buckets)
}

/// Filled buckets by index.
fn buckets(spans: &[Span], counts: &[f64]) -> BTreeMap<i64, u64> {
    let mut filled = BTreeMap::new();
    let mut counts = counts.iter();
    let mut index: i64 = 0;
    for span in spans {
        index += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if *count != 0.0 {
                filled.insert(index, count.to_bits());
            }
            index += 1;
        }
    }
    filled
}

/// Milliseconds of `2024-01-02T03:04:05.678Z` or with `+01:00`.
pub(super) fn parse_rfc3339_ms(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 20 {
        return None;
    }
    let number = |from: usize, len: usize| {
        let digits = &text[from..from + len];
        if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse::<i64>().ok() } else { None }
    };
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| bytes[*at] != *mark) || !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = &text[19..];
    let mut ms = 0;
    if let Some(tail) = rest.strip_prefix('.') {
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        let thousandths: String = tail[..digits].chars().chain("000".chars()).take(3).collect();
        ms = thousandths.parse::<i64>().ok().filter(|_| digits > 0)?;
        rest = &tail[digits..];
    }
    let offset_min = match rest.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (rest[1..3].parse::<i64>().ok()?, rest[4..6].parse::<i64>().ok()?);
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let days = crate::template::days_of(year, month as u32, day as u32);
    Some(((days * 24 + hour) * 60 + minute - offset_min) * 60_000 + second * 1000 + ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_neighbours() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:00:00.5+01:00", Some(1_709_204_400_500)),
            ("2024-02-29", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-01-01T00:00:00", None),
        ] {
            assert_eq!(parse_rfc3339_ms(text), expected, "{text}");
        }
        assert!(same_float(0.1 + 0.2, 0.3, true));
        assert!(!same_float(0.1 + 0.2, 0.3, false));
    }
}

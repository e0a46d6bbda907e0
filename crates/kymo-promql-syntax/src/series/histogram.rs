//! `{{schema:1 count:3 buckets:[1 2]}}`: native histograms in series descriptions, and adding one to another for `+{{…}}x3`.

use std::collections::BTreeMap;

use kymo_model::{CounterResetHint, FloatHistogram, Span};

use super::{Read, Reader};
use crate::quote::quoted;

/// The schema of histograms with custom bounds.
const CUSTOM_SCHEMA: i32 = -53;

impl Reader<'_> {
    /// A histogram in double braces, and whether its counter reset hint was written.
    pub(super) fn histogram(&mut self) -> Read<(FloatHistogram, bool)> {
        if !self.take("{{") {
            return Err(self.unexpected("histogram description", "\"{{\""));
        }
        let mut histogram = FloatHistogram::default();
        let (mut offset, mut n_offset) = (0, 0);
        let mut seen: Vec<&str> = Vec::new();
        loop {
            self.blanks()?;
            if self.take("}}") {
                break;
            }
            let start = self.at;
            let key = self.take_while(|b| b.is_ascii_alphabetic() || b == b'_');
            if key.is_empty() {
                return Err(self.unexpected(
                    "histogram description",
                    "histogram description key, e.g. buckets:[5 10 7]",
                ));
            }
            if seen.contains(&key) {
                return Err(self.fault_at(start, format!("duplicate key \"{key}\" in histogram")));
            }
            seen.push(key);
            if !KEYS.contains(&key) {
                let found = quoted(key.as_bytes());
                return Err(self.fault_at(start, format!("bad histogram descriptor found: {found}")));
            }
            if !self.take(":") {
                return Err(self.fault("missing `:` for histogram descriptor"));
            }
            match key {
                "schema" => histogram.schema = self.integer()?,
                "sum" => histogram.sum = self.signed_number("histogram description")?,
                "count" => histogram.count = self.signed_number("histogram description")?,
                "z_bucket" => histogram.zero_count = self.signed_number("histogram description")?,
                "z_bucket_w" => histogram.zero_threshold = self.signed_number("histogram description")?,
                "offset" => offset = self.integer()?,
                "n_offset" => n_offset = self.integer()?,
                "buckets" => histogram.positive_buckets = self.list()?,
                "n_buckets" => histogram.negative_buckets = self.list()?,
                "custom_values" => histogram.custom_values = self.list()?,
                _ => histogram.counter_reset_hint = self.hint()?,
            }
        }
        histogram.positive_spans = spans(offset, histogram.positive_buckets.len());
        histogram.negative_spans = spans(n_offset, histogram.negative_buckets.len());
        Ok((histogram, seen.contains(&"counter_reset_hint")))
    }

    fn integer(&mut self) -> Read<i32> {
        let start = self.at;
        self.take("-");
        self.take_while(|b| b.is_ascii_digit());
        let digits = &self.text[start..self.at];
        digits.parse().map_err(|_| {
            self.fault_at(start, format!("expected an integer, found {}", quoted(digits.as_bytes())))
        })
    }

    fn list(&mut self) -> Read<Vec<f64>> {
        if !self.take("[") {
            return Err(self.unexpected("histogram description", "\"[\""));
        }
        let mut values = Vec::new();
        loop {
            self.blanks()?;
            if self.take("]") {
                return Ok(values);
            }
            values.push(self.signed_number("histogram description")?);
        }
    }

    fn hint(&mut self) -> Read<CounterResetHint> {
        let start = self.at;
        let word = self.take_while(|b| b.is_ascii_alphabetic() || b == b'_');
        Ok(match word {
            "unknown" => CounterResetHint::Unknown,
            "reset" => CounterResetHint::Reset,
            "not_reset" => CounterResetHint::NotReset,
            "gauge" => CounterResetHint::Gauge,
            _ => {
                let found = quoted(word.as_bytes());
                let message = format!(
                    "expected a counter reset hint (unknown, reset, not_reset, gauge), found {found}"
                );
                return Err(self.fault_at(start, message));
            }
        })
    }
}

const KEYS: [&str; 11] = [
    "schema",
    "sum",
    "count",
    "z_bucket",
    "z_bucket_w",
    "offset",
    "n_offset",
    "buckets",
    "n_buckets",
    "custom_values",
    "counter_reset_hint",
];

fn spans(offset: i32, buckets: usize) -> Vec<Span> {
    if buckets == 0 { Vec::new() } else { vec![Span { offset, length: buckets as u32 }] }
}

/// `a + b`, or `a - b`: at the schema of `a`, which must not be finer than that of `b`.
pub(super) fn combined(
    a: &FloatHistogram,
    b: &FloatHistogram,
    negative: bool,
) -> Result<FloatHistogram, String> {
    if a.schema > b.schema {
        return Err(format!(
            "error combining histograms: cannot merge from schema {} to {}",
            b.schema, a.schema
        ));
    }
    if (a.schema == CUSTOM_SCHEMA) != (b.schema == CUSTOM_SCHEMA) || a.custom_values != b.custom_values {
        return Err("error combining histograms: their custom bounds differ".to_owned());
    }
    if a.zero_threshold != b.zero_threshold {
        return Err("error combining histograms: their zero bucket widths differ".to_owned());
    }
    let add = |x: f64, y: f64| if negative { x - y } else { x + y };
    let mut sum = a.clone();
    sum.counter_reset_hint = combined_hint(a.counter_reset_hint, b.counter_reset_hint);
    sum.count = add(a.count, b.count);
    sum.sum = add(a.sum, b.sum);
    sum.zero_count = add(a.zero_count, b.zero_count);
    let shift = if a.schema == CUSTOM_SCHEMA { 0 } else { (b.schema - a.schema).clamp(0, 31) };
    for (spans, buckets, other_spans, other) in [
        (&mut sum.positive_spans, &mut sum.positive_buckets, &b.positive_spans, &b.positive_buckets),
        (&mut sum.negative_spans, &mut sum.negative_buckets, &b.negative_spans, &b.negative_buckets),
    ] {
        let mut by_index: BTreeMap<i64, f64> = indexed(spans, buckets).collect();
        for (index, count) in indexed(other_spans, other) {
            let index = if shift == 0 { index } else { ((index - 1) >> shift) + 1 };
            let slot = by_index.entry(index).or_insert(0.0);
            *slot = add(*slot, count);
        }
        (*spans, *buckets) = spans_of(by_index);
    }
    Ok(sum)
}

fn indexed<'h>(spans: &'h [Span], buckets: &'h [f64]) -> impl Iterator<Item = (i64, f64)> + use<'h> {
    let mut next = 0i64;
    let indices = spans.iter().flat_map(move |span| {
        let first = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        first..next
    });
    indices.zip(buckets.iter().copied())
}

fn spans_of(by_index: BTreeMap<i64, f64>) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut end = 0i64;
    for index in by_index.keys() {
        match spans.last_mut() {
            Some(span) if *index == end => span.length += 1,
            _ => spans.push(Span { offset: (*index - end) as i32, length: 1 }),
        }
        end = index + 1;
    }
    (spans, by_index.into_values().collect())
}

/// A gauge makes the sum a gauge; otherwise two hints that differ leave nothing known.
fn combined_hint(a: CounterResetHint, b: CounterResetHint) -> CounterResetHint {
    match (a, b) {
        (a, b) if a == b => a,
        (CounterResetHint::Gauge, _) | (_, CounterResetHint::Gauge) => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

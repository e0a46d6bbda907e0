//! `{{schema:1 count:3 buckets:[1 2]}}`: native histograms in series descriptions, and adding one to another for `+{{…}}x3`.

use kymo_model::{CounterResetHint, FloatHistogram, Span};

use super::{Read, Reader};
use crate::quote::quoted;

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
                "sum" => histogram.sum = self.number()?,
                "count" => histogram.count = self.number()?,
                "z_bucket" => histogram.zero_count = self.number()?,
                "z_bucket_w" => histogram.zero_threshold = self.number()?,
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

    /// A number without a plus, which histograms do not have.
    fn number(&mut self) -> Read<f64> {
        match self.peek() {
            Some(b'+') => Err(self.fault("histogram description incomplete unexpected: '+'")),
            _ => self.signed_number("histogram description"),
        }
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
            values.push(self.number()?);
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

/// `a + b`, or `a - b`, as PromQL computes them; the schema of `a` must not be finer than that of `b`.
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
    let mut sum = a.clone();
    match if negative { sum.sub(b) } else { sum.add(b) } {
        Ok(_) => Ok(sum),
        Err(error) => Err(format!("error combining histograms: {error}")),
    }
}

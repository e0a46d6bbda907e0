//! Series descriptions: `metric{a="b"} 0+4x60 _ stale`, the notation of promqltest scripts and rule unit tests.
//!
//! A language of its own with a parser of its own: no tokens in common with queries, blanks count.

mod histogram;

use std::sync::Arc;

use kymo_model::{FloatHistogram, Labels, LabelsBuilder, METRIC_NAME, STALE_NAN};

use crate::ast::Span;
use crate::error::{Fault, ParseError, ParseErrorKind};
use crate::literal::{number_value, unquote};
use crate::quote::quoted;

/// More values than this in one description are refused.
pub const SEQUENCE_VALUES_MAX: usize = 1_000_000;

/// One value of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum SequenceValue {
    /// `_`: no sample at this step.
    Omitted,
    /// A number; `stale` is the staleness marker.
    Float(f64),
    /// `{{…}}`.
    Histogram {
        /// The histogram, with one span per side.
        histogram: Arc<FloatHistogram>,
        /// Was the counter reset hint written? A test compares it only then.
        hint_set: bool,
    },
}

/// Parses labels and the values that follow them.
///
/// `5` is one value, `_` none, `_x3` three times none, `1x3` four times 1, `1+2x3` is 1 3 5 7, `stale` the staleness marker,
/// `{{schema:0 sum:5 count:4 buckets:[1 2 1]}}` a native histogram, which takes `x3` and `+{{…}}x3` too.
///
/// ```
/// use kymo_promql_syntax::series::{SequenceValue, parse_series_description};
/// let (labels, values) = parse_series_description(r#"up{job="a"} 1+1x2 _"#).unwrap();
/// assert_eq!(labels.to_string(), r#"up{job="a"}"#);
/// assert_eq!(values.len(), 4);
/// assert_eq!(values[2], SequenceValue::Float(3.0));
/// assert_eq!(values[3], SequenceValue::Omitted);
/// ```
pub fn parse_series_description(text: &str) -> Result<(Labels, Vec<SequenceValue>), ParseError> {
    let mut reader = Reader { text, at: 0 };
    reader.description().map_err(|fault| fault.into_error(text))
}

/// Parses labels alone: `metric{a="b"}`.
///
/// ```
/// let labels = kymo_promql_syntax::series::parse_labels(r#"{"http.requests", code="200"}"#).unwrap();
/// assert_eq!(labels.metric_name(), Some("http.requests"));
/// ```
pub fn parse_labels(text: &str) -> Result<Labels, ParseError> {
    let mut reader = Reader { text, at: 0 };
    let labels = reader.blanks().and_then(|()| reader.labels());
    let ended = labels.and_then(|labels| {
        reader.blanks()?;
        if reader.rest().is_empty() { Ok(labels) } else { Err(reader.unexpected("label set", "")) }
    });
    ended.map_err(|fault| fault.into_error(text))
}

type Read<T> = Result<T, Box<Fault>>;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let len = self.rest().bytes().take_while(|b| wanted(*b)).count();
        let taken = &self.rest()[..len];
        self.at += len;
        taken
    }

    fn fault(&self, message: impl Into<String>) -> Box<Fault> {
        self.fault_at(self.at, message)
    }

    fn fault_at(&self, start: usize, message: impl Into<String>) -> Box<Fault> {
        let end = self.text[start..].find([' ', '\t']).map_or(self.text.len(), |len| start + len.max(1));
        Fault::new(ParseErrorKind::Syntax, Span { start: start as u32, end: end as u32 }, message)
    }

    /// "Expected, found, where" for whatever comes next.
    fn unexpected(&self, context: &str, expected: &str) -> Box<Fault> {
        let word = self.rest().bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let found = match self.rest().chars().next() {
            None => "end of input".to_owned(),
            Some(c) if c.is_ascii_digit() => format!("number {}", quoted(&self.rest().as_bytes()[..word])),
            Some(_) if word > 0 => format!("identifier {}", quoted(&self.rest().as_bytes()[..word])),
            Some(c) => quoted(c.encode_utf8(&mut [0; 4]).as_bytes()),
        };
        let expected = if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
        self.fault(format!("unexpected {found} in {context}{expected}"))
    }

    fn blanks(&mut self) -> Read<()> {
        self.take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
        Ok(())
    }

    fn description(&mut self) -> Read<(Labels, Vec<SequenceValue>)> {
        if u32::try_from(self.text.len()).is_err() {
            return Err(Fault::new(
                ParseErrorKind::Limit,
                Span::default(),
                "series description is over 4 GiB long",
            ));
        }
        self.blanks()?;
        let labels = self.labels()?;
        let mut values = Vec::new();
        loop {
            let before = self.at;
            self.blanks()?;
            if self.rest().is_empty() {
                return Ok((labels, values));
            }
            if before == self.at {
                return Err(self.unexpected("series values", "a blank between values"));
            }
            self.item(&mut values)?;
        }
    }

    // Labels.

    fn labels(&mut self) -> Read<Labels> {
        if self.rest().is_empty() {
            return Ok(Labels::empty());
        }
        let name = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
        if name.starts_with(|c: char| c.is_ascii_digit()) || (name.is_empty() && self.peek() != Some(b'{')) {
            self.at -= name.len();
            return Err(self.unexpected("series description", "metric name or \"{\""));
        }
        let mut labels = LabelsBuilder::new();
        // Only a brace that touches the name opens its labels; another one starts the first value, a histogram.
        let mut ahead = Reader { text: self.text, at: self.at };
        ahead.blanks()?;
        if ahead.peek() == Some(b'{') && !ahead.rest().starts_with("{{") {
            self.at = ahead.at + 1;
            self.label_set(&mut labels)?;
        }
        if !name.is_empty() {
            labels.set(METRIC_NAME, name);
        }
        Ok(labels.build())
    }

    /// Everything behind the opening brace, with the closing one.
    fn label_set(&mut self, labels: &mut LabelsBuilder) -> Read<()> {
        loop {
            self.blanks()?;
            if self.take("}") {
                return Ok(());
            }
            let in_quotes = matches!(self.peek(), Some(b'"' | b'\'' | b'`'));
            let name = if in_quotes {
                self.string("label set")?
            } else {
                let start = self.at;
                let name = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_');
                if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
                    self.at = start;
                    return Err(self.unexpected("label set", "identifier or \"}\""));
                }
                name.to_owned()
            };
            self.blanks()?;
            if self.take("=") {
                self.blanks()?;
                let value = self.string("label set")?;
                labels.set(&name, &value);
            } else if in_quotes {
                labels.set(METRIC_NAME, &name);
            } else {
                return Err(self.unexpected("label set", "\"=\""));
            }
            self.blanks()?;
            if !self.take(",") && self.peek() != Some(b'}') {
                return Err(self.unexpected("label set", "\",\" or \"}\""));
            }
        }
    }

    fn string(&mut self, context: &str) -> Read<String> {
        let start = self.at;
        let quote = match self.peek() {
            Some(quote @ (b'"' | b'\'' | b'`')) => quote,
            _ => return Err(self.unexpected(context, "string")),
        };
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                None | Some(b'\n') => return Err(self.fault_at(start, "unterminated quoted string")),
                Some(b'\\') if quote != b'`' => end += 2,
                Some(b) if *b == quote => break,
                Some(_) => end += 1,
            }
        }
        self.at = end + 1;
        let value = unquote(&self.text[start..self.at]).map_err(|bad| self.fault_at(start, bad.0))?;
        String::from_utf8(value)
            .map_err(|e| self.fault_at(start, format!("label is not valid UTF-8: {}", quoted(e.as_bytes()))))
    }

    // Values.

    fn item(&mut self, values: &mut Vec<SequenceValue>) -> Read<()> {
        if self.rest().starts_with("{{") {
            return self.histogram_item(values);
        }
        if self.take("_") {
            let times = if self.take("x") { self.count()? } else { 1 };
            return self.repeat(values, times, SequenceValue::Omitted);
        }
        if self.take("stale") {
            return self.repeat(values, 1, SequenceValue::Float(STALE_NAN));
        }
        let mut value = self.signed_number("series values")?;
        let step = match self.peek() {
            Some(b'+' | b'-') => Some(self.signed_number("series values")?),
            _ => None,
        };
        if !self.take("x") {
            return match step {
                None => self.repeat(values, 1, SequenceValue::Float(value)),
                Some(_) => Err(self.unexpected("series values", "\"x\"")),
            };
        }
        let times = self.count()?;
        self.repeat(values, 0, SequenceValue::Omitted)?;
        self.room(values.len(), times + 1)?;
        for _ in 0..=times {
            values.push(SequenceValue::Float(value));
            value += step.unwrap_or(0.0);
        }
        Ok(())
    }

    fn room(&self, taken: usize, more: usize) -> Read<()> {
        if more > SEQUENCE_VALUES_MAX - taken {
            return Err(Fault::new(
                ParseErrorKind::Limit,
                Span { start: 0, end: self.at as u32 },
                format!("series description has more than {SEQUENCE_VALUES_MAX} values"),
            ));
        }
        Ok(())
    }

    fn repeat(&self, values: &mut Vec<SequenceValue>, times: usize, value: SequenceValue) -> Read<()> {
        self.room(values.len(), times)?;
        values.extend(std::iter::repeat_n(value, times));
        Ok(())
    }

    /// The number behind `x`.
    fn count(&mut self) -> Read<usize> {
        let start = self.at;
        let digits = self.take_while(|b| b.is_ascii_digit());
        if digits.is_empty() {
            return Err(self.unexpected("series values", "number of repetitions"));
        }
        let count = digits.parse::<usize>().ok().filter(|count| *count < SEQUENCE_VALUES_MAX);
        count.ok_or_else(|| {
            self.fault_at(
                start,
                format!("invalid repetition in series values: {digits} is not below {SEQUENCE_VALUES_MAX}"),
            )
        })
    }

    /// A number with or without signs: decimal, `Inf` or `NaN` in any case.
    fn signed_number(&mut self, context: &str) -> Read<f64> {
        let negative = self.take("-");
        if !negative {
            self.take("+");
        }
        let start = self.at;
        let word = self.take_while(|b| b.is_ascii_alphabetic());
        let value = if word.is_empty() {
            let len = number_len(self.rest().as_bytes());
            if len == 0 {
                return Err(self.unexpected(context, "number or \"stale\""));
            }
            self.at += len;
            let literal = &self.text[start..self.at];
            number_value(literal).map_err(|message| self.fault_at(start, message))?
        } else {
            // A repetition cannot follow directly: `NaNx3` is one word.
            let word = match self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_').len() {
                0 => word,
                _ => &self.text[start..self.at],
            };
            match word.to_ascii_lowercase().as_str() {
                "inf" => f64::INFINITY,
                "nan" => f64::from_bits(kymo_model::NORMAL_NAN_BITS),
                _ => {
                    let found = quoted(word.as_bytes());
                    return Err(self.fault_at(
                        start,
                        format!("unexpected identifier {found} in {context}, expected number or \"stale\""),
                    ));
                }
            }
        };
        Ok(if negative { -value } else { value })
    }

    fn histogram_item(&mut self, values: &mut Vec<SequenceValue>) -> Read<()> {
        let start = self.at;
        let (first, mut hint_set) = self.histogram()?;
        let step = match self.peek() {
            Some(sign @ (b'+' | b'-')) if self.rest()[1..].starts_with("{{") => {
                self.at += 1;
                let (step, set) = self.histogram()?;
                hint_set = set;
                Some((sign == b'-', step))
            }
            _ => None,
        };
        let one =
            |histogram: FloatHistogram| SequenceValue::Histogram { histogram: Arc::new(histogram), hint_set };
        if !self.take("x") {
            return match step {
                None => self.repeat(values, 1, one(first)),
                Some(_) => Err(self.unexpected("series values", "\"x\"")),
            };
        }
        let times = self.count()?;
        self.room(values.len(), times + 1)?;
        let Some((negative, step)) = step else {
            return self.repeat(values, times + 1, one(first));
        };
        let mut current = first;
        for _ in 0..times {
            let next = histogram::combined(&current, &step, negative).map_err(|e| self.fault_at(start, e))?;
            values.push(one(std::mem::replace(&mut current, next)));
        }
        values.push(one(current));
        Ok(())
    }
}

/// The length of the decimal number at the front, up to an `x`, a sign or a blank; 0 for none.
fn number_len(text: &[u8]) -> usize {
    let mut at = 0;
    let mut exponent = false;
    while let Some(byte) = text.get(at) {
        match byte {
            b'0'..=b'9' | b'.' | b'_' => {}
            b'e' | b'E' if at > 0 && !exponent => {
                exponent = true;
                at += usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
            }
            _ => break,
        }
        at += 1;
    }
    at.min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(text: &str) -> Vec<Option<f64>> {
        let (_, values) = parse_series_description(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let float = |value: SequenceValue| match value {
            SequenceValue::Omitted => None,
            SequenceValue::Float(value) => Some(value),
            SequenceValue::Histogram { .. } => panic!("{text}: unexpected histogram"),
        };
        values.into_iter().map(float).collect()
    }

    #[test]
    fn sequences_of_floats() {
        for (text, wanted) in [
            ("m 1 2 3", vec![Some(1.0), Some(2.0), Some(3.0)]),
            ("m", vec![]),
            ("m _ _x2 4", vec![None, None, None, Some(4.0)]),
            ("m 1x2", vec![Some(1.0); 3]),
            ("m 1+2x2", vec![Some(1.0), Some(3.0), Some(5.0)]),
            ("m -1-2x1", vec![Some(-1.0), Some(-3.0)]),
            ("m 1e2+1e-1x1 -Inf", vec![Some(100.0), Some(100.1), Some(f64::NEG_INFINITY)]),
            ("m{a=\"x y\", b='2',}\t1  2 ", vec![Some(1.0), Some(2.0)]),
            ("{\"a b\"} 0", vec![Some(0.0)]),
            ("m Inf +inf", vec![Some(f64::INFINITY); 2]),
        ] {
            assert_eq!(floats(text), wanted, "{text}");
        }
        // No number, but a word.
        assert!(parse_series_description("m Infx1").is_err());
        assert!(floats("m NaN stale").iter().flatten().all(|v| v.is_nan()));
        let stale = parse_series_description("m stale").unwrap().1;
        assert!(matches!(stale[..], [SequenceValue::Float(v)] if kymo_model::is_stale(v)));
    }

    #[test]
    fn histograms() {
        let text = "m {{schema:1 sum:-0.3 count:3.1 z_bucket:7.1 z_bucket_w:0.05 buckets:[5.1 10 7] offset:-3 \
                    n_buckets:[4.1 5] n_offset:-5 counter_reset_hint:gauge}} {{}}x2 {{count:1}}+{{count:2 sum:1}}x2";
        let (_, values) = parse_series_description(text).unwrap();
        assert_eq!(values.len(), 7);
        let SequenceValue::Histogram { histogram, hint_set } = &values[0] else { panic!() };
        assert!(hint_set);
        assert_eq!((histogram.schema, histogram.sum, histogram.zero_count), (1, -0.3, 7.1));
        assert_eq!(histogram.positive_buckets, [5.1, 10.0, 7.0]);
        assert_eq!(histogram.positive_spans, [kymo_model::Span { offset: -3, length: 3 }]);
        assert_eq!(histogram.negative_spans, [kymo_model::Span { offset: -5, length: 2 }]);
        let SequenceValue::Histogram { histogram, .. } = &values[6] else { panic!() };
        assert_eq!((histogram.count, histogram.sum), (5.0, 2.0));
    }

    #[test]
    fn faults_have_places() {
        for (text, message) in [
            (
                "m 1 foo",
                "1:5: parse error: unexpected identifier \"foo\" in series values, expected number or \"stale\"",
            ),
            (
                "m 1x",
                "1:5: parse error: unexpected end of input in series values, expected number of repetitions",
            ),
            ("m 1+2", "1:6: parse error: unexpected end of input in series values, expected \"x\""),
            ("m{a} 1", "1:4: parse error: unexpected \"}\" in label set, expected \"=\""),
            ("m{a=\"b} 1", "1:5: parse error: unterminated quoted string"),
            (
                "m 1x99999999",
                "1:5: parse error: invalid repetition in series values: 99999999 is not below 1000000",
            ),
            ("m {{foo:1}}", "1:5: parse error: bad histogram descriptor found: \"foo\""),
            (
                "5",
                "1:1: parse error: unexpected number \"5\" in series description, expected metric name or \"{\"",
            ),
            (
                "{\"a\"x} 1",
                "1:5: parse error: unexpected identifier \"x\" in label set, expected \",\" or \"}\"",
            ),
            ("{\"a\"=,} 1", "1:6: parse error: unexpected \",\" in label set, expected string"),
            (
                "m -3 3+3x4-4",
                "1:11: parse error: unexpected \"-\" in series values, expected a blank between values",
            ),
            (
                "m 1 _a4",
                "1:6: parse error: unexpected identifier \"a4\" in series values, expected a blank between values",
            ),
        ] {
            assert_eq!(parse_series_description(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}

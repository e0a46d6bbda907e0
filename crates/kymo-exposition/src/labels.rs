//! Labels of a series, from the bytes that the parser delimited: the second, checking step, taken once per new series.

use kymo_model::{Labels, METRIC_NAME, MetricType, format_openmetrics_float};

use crate::escape::{Escapes, unescape_into};
use crate::scan::{find_closing_quote, skip_blanks};
use crate::{Expected, Format, ParseError, float};

/// The longest name or value in bytes: what [`Labels`] can hold. Stores and scrapes have smaller limits of their own.
const LABEL_BYTES_MAX: usize = 1 << 20;

/// Memory that [`Sample::labels`](crate::Sample::labels) reuses from series to series.
#[derive(Debug, Default)]
pub struct LabelScratch {
    pairs: Vec<Pair>,
    /// Names and values whose escapes were resolved.
    resolved: String,
    text: String,
}

/// Some bytes of a body; errors are told in lines and columns of the whole.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    name: Part,
    value: Part,
    offset: usize,
}

/// A name or value: a piece of the body, of the resolved text, or the label that carries the metric name.
#[derive(Clone, Copy, Debug)]
enum Part {
    Body(usize, usize),
    Resolved(usize, usize),
    MetricName,
}

/// What is known about the two kinds of label sets.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Series,
    Exemplar,
}

pub(crate) fn read_series(
    place: Place<'_>,
    format: Format,
    bounds_of: MetricType,
    scratch: &mut LabelScratch,
) -> Result<Labels, ParseError> {
    scratch.clear();
    let mut reader = Reader { place, format, kind: Kind::Series, at: place.start, scratch };
    reader.series()?;
    let bounds = match bounds_of {
        MetricType::Histogram => Some("le"),
        MetricType::Summary => Some("quantile"),
        _ => None,
    };
    build(place, bounds, scratch)
}

pub(crate) fn read_exemplar(place: Place<'_>, scratch: &mut LabelScratch) -> Result<Labels, ParseError> {
    scratch.clear();
    let mut reader =
        Reader { place, format: Format::OpenMetrics, kind: Kind::Exemplar, at: place.start + 1, scratch };
    reader.label_list()?;
    build(place, None, scratch)
}

impl LabelScratch {
    fn clear(&mut self) {
        self.pairs.clear();
        self.resolved.clear();
    }
}

fn build(place: Place<'_>, bounds: Option<&str>, scratch: &mut LabelScratch) -> Result<Labels, ParseError> {
    let LabelScratch { pairs, resolved, text } = scratch;
    let written = std::str::from_utf8(&place.body[place.start..place.end]).map_err(|e| {
        let at = place.start + e.valid_up_to();
        ParseError::spanning(place.body, at, e.error_len().unwrap_or(1), Expected::Utf8)
    })?;
    if let Some(bounds) = bounds {
        canonical_bounds(bounds, place.start, written, pairs, resolved);
    }
    let get = |part: Part| match part {
        Part::Body(from, to) => &written[from - place.start..to - place.start],
        Part::Resolved(from, to) => &resolved[from..to],
        Part::MetricName => METRIC_NAME,
    };
    if let Some(long) = pairs.iter().find(|p| get(p.name).len().max(get(p.value).len()) > LABEL_BYTES_MAX) {
        return Err(ParseError::at(place.body, long.offset, Expected::ShortLabel));
    }
    pairs.sort_by(|a, b| get(a.name).cmp(get(b.name)));
    if let Some(twice) = pairs.windows(2).find(|w| get(w[0].name) == get(w[1].name)) {
        let later = twice[0].offset.max(twice[1].offset);
        return Err(ParseError::spanning(
            place.body,
            later,
            get(twice[1].name).len(),
            Expected::DistinctLabel,
        ));
    }
    let pairs =
        pairs.iter().map(|pair| (get(pair.name), get(pair.value))).filter(|(_, value)| !value.is_empty());
    // Sorted and distinct by now, so the fallback is never taken; it keeps this function total.
    Ok(Labels::from_sorted(pairs.clone(), text).unwrap_or_else(|| Labels::from_pairs(pairs)))
}

/// Rewrites the value of the label `bounds` as OpenMetrics writes floats, if it is one.
fn canonical_bounds(bounds: &str, start: usize, written: &str, pairs: &mut [Pair], resolved: &mut String) {
    for pair in pairs {
        let (Part::Body(name_from, name_to), Part::Body(from, to)) = (pair.name, pair.value) else {
            continue;
        };
        if &written[name_from - start..name_to - start] != bounds {
            continue;
        }
        let Some(value) = float::parse(&written.as_bytes()[from - start..to - start]) else { continue };
        let at = resolved.len();
        resolved.push_str(&format_openmetrics_float(value));
        pair.value = Part::Resolved(at, resolved.len());
    }
}

struct Reader<'a, 's> {
    place: Place<'a>,
    format: Format,
    kind: Kind,
    at: usize,
    scratch: &'s mut LabelScratch,
}

impl Reader<'_, '_> {
    fn peek(&self) -> Option<u8> {
        if self.at < self.place.end { Some(self.place.body[self.at]) } else { None }
    }

    fn error<T>(&self, expected: Expected) -> Result<T, ParseError> {
        Err(ParseError::at(self.place.body, self.at, expected))
    }

    /// Blanks between tokens are a liberty of the text format.
    fn skip_blanks(&mut self) {
        if self.format == Format::Text {
            self.at = skip_blanks(self.place.body, self.at).min(self.place.end);
        }
    }

    fn series(&mut self) -> Result<(), ParseError> {
        let from = self.at;
        if self.peek() != Some(b'{') {
            let to = self.legacy_name(true)?;
            let name = Part::Body(from, to);
            self.scratch.pairs.push(Pair { name: Part::MetricName, value: name, offset: from });
        }
        self.skip_blanks();
        match self.peek() {
            None => Ok(()),
            Some(b'{') => {
                self.at += 1;
                self.label_list()?;
                let named = self.scratch.pairs.iter().filter(|p| matches!(p.name, Part::MetricName)).count();
                if named == 1 {
                    return Ok(());
                }
                self.at = from;
                self.error(Expected::OneMetricName)
            }
            Some(_) => self.error(Expected::MetricName),
        }
    }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`, with colons in metric names; returns its end.
    fn legacy_name(&mut self, colons: bool) -> Result<usize, ParseError> {
        let from = self.at;
        while let Some(b) = self.peek() {
            let word = b.is_ascii_alphabetic() || b == b'_' || (colons && b == b':');
            let in_name = word || (b.is_ascii_digit() && self.at > from);
            if !in_name {
                break;
            }
            self.at += 1;
        }
        if self.at == from {
            return self.error(if colons { Expected::MetricName } else { Expected::LabelName });
        }
        Ok(self.at)
    }

    /// A string in quotes, the cursor on the opening one.
    fn quoted(&mut self) -> Result<Part, ParseError> {
        let from = self.at + 1;
        let to = find_closing_quote(self.place.body, from);
        if to >= self.place.end {
            return self.error(Expected::ClosingQuote);
        }
        self.at = to + 1;
        let raw = &self.place.body[from..to];
        if !raw.contains(&b'\\') {
            return Ok(Part::Body(from, to));
        }
        if let Some(broken) = raw.windows(2).position(|w| w == b"\\\n") {
            self.at = from + broken;
            return self.error(Expected::ClosingQuote);
        }
        let raw = std::str::from_utf8(raw)
            .map_err(|e| ParseError::spanning(self.place.body, from + e.valid_up_to(), 1, Expected::Utf8))?;
        let start = self.scratch.resolved.len();
        unescape_into(raw, Escapes::Quoted, &mut self.scratch.resolved);
        Ok(Part::Resolved(start, self.scratch.resolved.len()))
    }

    /// From behind the opening brace to behind the closing one.
    fn label_list(&mut self) -> Result<(), ParseError> {
        self.skip_blanks();
        loop {
            let offset = self.at;
            let (name, is_string) = match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'"') => (self.quoted()?, true),
                None => return self.error(Expected::ClosingBrace),
                Some(_) => {
                    let from = self.at;
                    (Part::Body(from, self.legacy_name(false)?), false)
                }
            };
            if is_empty(name) {
                self.at = offset;
                return self.error(Expected::LabelName);
            }
            self.skip_blanks();
            // A string alone is the metric's name.
            let alone = matches!(self.peek(), Some(b',' | b'}'));
            let pair = if is_string && alone && self.kind == Kind::Series {
                if self.scratch.pairs.iter().any(|p| matches!(p.name, Part::MetricName)) {
                    self.at = offset;
                    return self.error(Expected::OneMetricName);
                }
                Pair { name: Part::MetricName, value: name, offset }
            } else {
                if self.peek() != Some(b'=') {
                    return self.error(Expected::Equals);
                }
                self.at += 1;
                self.skip_blanks();
                Pair { name, value: self.label_value()?, offset }
            };
            self.scratch.pairs.push(pair);
            self.skip_blanks();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.skip_blanks();
                }
                Some(b'}') => {}
                // The text parser of Prometheus takes labels without a comma between them.
                Some(_) if self.format == Format::Text && !(is_string && alone) => {}
                _ => return self.error(Expected::CommaOrBrace),
            }
        }
    }

    fn label_value(&mut self) -> Result<Part, ParseError> {
        if self.peek() != Some(b'"') {
            return self.error(Expected::LabelValue);
        }
        let from = self.at + 1;
        let value = self.quoted()?;
        let raw = &self.place.body[from..self.at - 1];
        // Label values may span lines in the text format only.
        match raw.iter().position(|&b| b == b'\n') {
            Some(at) if self.format == Format::OpenMetrics => {
                self.at = from + at;
                self.error(Expected::ClosingQuote)
            }
            _ => Ok(value),
        }
    }
}

fn is_empty(part: Part) -> bool {
    match part {
        Part::Body(from, to) | Part::Resolved(from, to) => from == to,
        Part::MetricName => false,
    }
}

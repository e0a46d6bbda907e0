//! Lines of the OpenMetrics text format, as leniently as Prometheus reads them: single spaces between tokens, trailing
//! commas allowed, families in any order. What the specification forbids beyond that is the business of `strict`.

use kymo_model::{MetricType, Timestamp};

use super::Parser;
use crate::escape::Escapes;
use crate::scan::{find_closing_brace, find_name_end};
use crate::{
    Entry, EscapedText, Exemplar, Expected, Format, Help, ParseError, Sample, TypeEntry, Unit, float,
};

impl<'a> Parser<'a> {
    pub(super) fn next_openmetrics(&mut self) -> Result<Entry<'a>, ParseError> {
        match self.body.get(self.at) {
            None => self.error(self.at, Expected::Eof),
            Some(b'#') => self.descriptor(self.at),
            Some(_) => self.openmetrics_sample(self.at),
        }
    }

    fn descriptor(&mut self, start: usize) -> Result<Entry<'a>, ParseError> {
        let body = self.body;
        if body.get(start + 1) != Some(&b' ') {
            return self.error(start + 1, Expected::Space);
        }
        let word = start + 2;
        if body[word..].starts_with(b"EOF") {
            let end = word + 3;
            let end = if body.get(end) == Some(&b'\n') { end + 1 } else { end };
            if end < body.len() {
                return self.error(end, Expected::NothingAfterEof);
            }
            self.at = end;
            return Ok(Entry::Eof);
        }
        let keyword = match body.get(word..word + 5) {
            Some(keyword @ (b"HELP " | b"TYPE " | b"UNIT ")) => keyword,
            _ => return self.error(word, Expected::Descriptor),
        };
        let (name, name_end) = self.metadata_name(word + 5)?;
        if body.get(name_end) != Some(&b' ') {
            return self.error(name_end, Expected::Space);
        }
        let from = name_end + 1;
        let end = self.line_end(from);
        if end == body.len() {
            return self.error(end, Expected::Eof);
        }
        let text = self.utf8(from, end)?;
        self.at = end + 1;
        match keyword {
            b"HELP " => Ok(Entry::Help(Help { name, text: EscapedText::new(text, Escapes::Quoted) })),
            b"TYPE " => {
                // `untyped` is the word of the text format only.
                let Some(metric_type) = MetricType::parse(text).filter(|_| text != "untyped") else {
                    return Err(ParseError::spanning(body, from, text.len(), Expected::MetricType));
                };
                self.family_type = metric_type;
                Ok(Entry::Type(TypeEntry { name, metric_type }))
            }
            _ => {
                if !text.is_empty()
                    && !name.raw().strip_suffix(text).is_some_and(|front| front.ends_with('_'))
                {
                    return Err(ParseError::spanning(body, from, text.len(), Expected::UnitSuffix));
                }
                Ok(Entry::Unit(Unit { name, unit: text }))
            }
        }
    }

    fn openmetrics_sample(&mut self, start: usize) -> Result<Entry<'a>, ParseError> {
        let body = self.body;
        let mut series_end = find_name_end(body, start);
        if body.get(series_end) == Some(&b'{') {
            let close = find_closing_brace(body, series_end + 1);
            if close >= body.len() {
                return self.unclosed(start);
            }
            series_end = close + 1;
        } else if series_end == start {
            return self.error(start, Expected::LineStart);
        }
        self.openmetrics_value(start, series_end).map(Entry::Sample)
    }

    /// What follows the series of a line: a value, a timestamp, an exemplar.
    pub(super) fn openmetrics_value(
        &mut self,
        start: usize,
        series_end: usize,
    ) -> Result<Sample<'a>, ParseError> {
        let body = self.body;
        let (value, value_end) = self.number(series_end)?;
        let mut at = value_end;
        let mut timestamp = None;
        if body.get(at) == Some(&b' ') && !body[at..].starts_with(b" # {") {
            let (seconds, end) = self.seconds(at)?;
            timestamp = Some(seconds);
            at = end;
        }
        let mut exemplar = None;
        if body[at..].starts_with(b" # {") {
            let (found, end) = self.exemplar(at + 3)?;
            exemplar = Some(found);
            at = end;
        }
        match body.get(at) {
            Some(b'\n') => {}
            None => return self.error(at, Expected::Eof),
            Some(_) => {
                return self.error(at, if exemplar.is_some() { Expected::LineEnd } else { Expected::Suffix });
            }
        }
        self.at = at + 1;
        Ok(Sample {
            body,
            series_start: start,
            series_end,
            format: Format::OpenMetrics,
            bounds_of: self.bounds_of(),
            value,
            timestamp,
            exemplar,
        })
    }

    /// A space and a number.
    fn number(&self, at: usize) -> Result<(f64, usize), ParseError> {
        if self.body.get(at) != Some(&b' ') {
            return self.error(at, Expected::Space);
        }
        match float::scan(self.body, at + 1) {
            (Some(value), end) => Ok((value, end)),
            (None, _) => self.error(at + 1, Expected::Number),
        }
    }

    /// A space and a time in seconds.
    fn seconds(&self, at: usize) -> Result<(Timestamp, usize), ParseError> {
        match self.number(at) {
            Ok((seconds, end)) if seconds.is_finite() => Ok((Timestamp::from_millis(millis(seconds)), end)),
            _ => self.error(at + 1, Expected::TimestampS),
        }
    }

    /// `{labels} value [timestamp]`, the cursor on the brace.
    fn exemplar(&self, at: usize) -> Result<(Exemplar<'a>, usize), ParseError> {
        let body = self.body;
        let close = find_closing_brace(body, at + 1);
        if close >= body.len() {
            return self.error(at, Expected::ClosingBrace);
        }
        let (value, mut end) = self.number(close + 1)?;
        let mut timestamp = None;
        if body.get(end) == Some(&b' ') {
            let (seconds, after) = self.seconds(end)?;
            timestamp = Some(seconds);
            end = after;
        }
        Ok((Exemplar { body, labels_start: at, labels_end: close + 1, value, timestamp }, end))
    }
}

/// Fractions of a millisecond are cut off, as Prometheus does; but a whole number of milliseconds stays one, where
/// multiplying and cutting off would lose one in some (1.001 s is 1001 ms, not 1000).
fn millis(seconds: f64) -> i64 {
    let ms = seconds * 1000.0;
    let whole = ms.round();
    let is_whole = (ms - whole).abs() <= ms.abs() * (2.0 * f64::EPSILON);
    if is_whole { whole as i64 } else { ms as i64 }
}

//! Lines of the Prometheus text format. Blanks between tokens are free; label values may span lines.

use kymo_model::{MetricType, Timestamp};

use super::Parser;
use crate::escape::Escapes;
use crate::scan::{find_closing_brace, find_name_end, skip_blanks};
use crate::{Entry, EscapedText, Expected, Format, Help, ParseError, Sample, TypeEntry, float};

impl<'a> Parser<'a> {
    pub(super) fn next_text(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        loop {
            let start = skip_blanks(self.body, self.at);
            match self.body.get(start) {
                None => return Ok(None),
                Some(b'\n') => self.at = start + 1,
                Some(b'#') => return self.text_comment(start).map(Some),
                Some(_) => return self.text_sample(start).map(Some),
            }
        }
    }

    /// `# HELP name text`, `# TYPE name type`, or a comment.
    fn text_comment(&mut self, start: usize) -> Result<Entry<'a>, ParseError> {
        let body = self.body;
        let word = skip_blanks(body, start + 1);
        let name = skip_blanks(body, word + 4);
        let is_metadata = word > start + 1 && name > word + 4;
        match body.get(word..word + 4) {
            Some(b"HELP") if is_metadata => {
                let (name, text) = self.metadata_name(name)?;
                let end = self.line_end(text);
                // One byte sets the text apart from the name; further blanks belong to the text.
                let text = self.utf8((text + 1).min(end), end)?;
                self.at = end + 1;
                Ok(Entry::Help(Help { name, text: EscapedText::new(text, Escapes::Help) }))
            }
            Some(b"TYPE") if is_metadata => {
                let (name, rest) = self.metadata_name(name)?;
                let end = self.line_end(rest);
                let from = (rest + 1).min(end);
                let metric_type = match &body[from..end] {
                    b"counter" => MetricType::Counter,
                    b"gauge" => MetricType::Gauge,
                    b"histogram" => MetricType::Histogram,
                    b"summary" => MetricType::Summary,
                    b"untyped" => MetricType::Unknown,
                    other => return Err(ParseError::spanning(body, from, other.len(), Expected::MetricType)),
                };
                self.family_type = metric_type;
                self.at = end + 1;
                Ok(Entry::Type(TypeEntry { name, metric_type }))
            }
            _ => {
                let end = self.line_end(start);
                self.at = end + 1;
                Ok(Entry::Comment(&body[start..end]))
            }
        }
    }

    fn text_sample(&mut self, start: usize) -> Result<Entry<'a>, ParseError> {
        let body = self.body;
        let mut series_end = find_name_end(body, start);
        let mut at = skip_blanks(body, series_end);
        if body.get(at) == Some(&b'{') {
            let close = find_closing_brace(body, at + 1);
            if close >= body.len() {
                return self.unclosed(start);
            }
            series_end = close + 1;
            at = skip_blanks(body, series_end);
        } else if series_end == start {
            return self.error(start, Expected::LineStart);
        }
        self.text_value(start, series_end, at).map(Entry::Sample)
    }

    /// What follows the series of a line: a value, which is at `at`, and a timestamp.
    pub(super) fn text_value(
        &mut self,
        start: usize,
        series_end: usize,
        at: usize,
    ) -> Result<Sample<'a>, ParseError> {
        let body = self.body;
        let (value, value_end) = float::scan(body, at);
        let Some(value) = value else {
            return self.error(at, Expected::Number);
        };
        let mut end = skip_blanks(body, value_end);
        let mut timestamp = None;
        if let Some(b'-' | b'0'..=b'9') = body.get(end) {
            let (ms, after) = self.timestamp_ms(end)?;
            timestamp = Some(Timestamp::from_millis(ms));
            end = skip_blanks(body, after);
        }
        match body.get(end) {
            None | Some(b'\n') => {}
            Some(_) if timestamp.is_some() => return self.error(end, Expected::LineEnd),
            Some(_) => return self.error(end, Expected::TimestampMs),
        }
        self.at = end + 1;
        Ok(Sample {
            body,
            series_start: start,
            series_end,
            format: Format::Text,
            bounds_of: self.bounds_of(),
            value,
            timestamp,
            exemplar: None,
        })
    }

    fn timestamp_ms(&self, at: usize) -> Result<(i64, usize), ParseError> {
        let negative = self.body[at] == b'-';
        let from = at + usize::from(negative);
        let mut i = from;
        let mut ms: i64 = 0;
        while let Some(digit) = self.body.get(i).filter(|b| b.is_ascii_digit()).map(|b| i64::from(b - b'0')) {
            // Downwards, because the smallest i64 has no positive counterpart.
            ms = match ms.checked_mul(10).and_then(|ms| ms.checked_sub(digit)) {
                Some(ms) => ms,
                None => return self.error(at, Expected::TimestampMs),
            };
            i += 1;
        }
        let ms = if negative { Some(ms) } else { ms.checked_neg() };
        match ms {
            Some(ms) if i > from => Ok((ms, i)),
            _ => self.error(at, Expected::TimestampMs),
        }
    }

    /// The error of labels without a closing brace: what is wrong inside them, if anything is.
    pub(super) fn unclosed<T>(&self, start: usize) -> Result<T, ParseError> {
        let place = crate::labels::Place { body: self.body, start, end: self.body.len() };
        let mut scratch = crate::LabelScratch::default();
        match crate::labels::read_series(place, self.format, MetricType::Unknown, &mut scratch) {
            Err(error) => Err(error),
            Ok(_) => self.error(self.body.len(), Expected::ClosingBrace),
        }
    }
}

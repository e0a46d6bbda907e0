//! Parser: one entry per call, no allocation, no recursion; each byte is looked at once or twice. Read path, first step.

mod openmetrics;
mod text;

use kymo_model::MetricType;

use crate::escape::Escapes;
use crate::scan::{find_closing_quote, find_line_end, skip_blanks};
use crate::{Entry, EscapedText, Expected, Format, ParseError, Sample};

/// How a parser differs from what Prometheus 3 does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Leave `le` of histograms and `quantile` of summaries as they are written. Prometheus 3 rewrites `1` to `1.0`, so
    /// that both formats give the same series; Prometheus 2 did not.
    pub keep_bounds: bool,
}

/// Reads a body entry by entry. After an error it is at its end: a body with an error is to be refused as a whole.
///
/// Accepts what Prometheus' scrape parsers accept, with these exceptions: a NUL between tokens is an error (there it
/// silently ends the body), a value must be set apart from a name without labels, and timestamps of the text format may
/// be negative.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    body: &'a [u8],
    at: usize,
    format: Format,
    options: Options,
    family_type: MetricType,
    done: bool,
}

impl<'a> Parser<'a> {
    /// A parser at the start of a body.
    pub fn new(format: Format, body: &'a [u8]) -> Parser<'a> {
        Parser::with_options(format, body, Options::default())
    }

    /// The same with options.
    pub fn with_options(format: Format, body: &'a [u8], options: Options) -> Parser<'a> {
        Parser { body, at: 0, format, options, family_type: MetricType::Unknown, done: false }
    }

    /// The type of the family whose TYPE line was last seen.
    pub fn family_type(&self) -> MetricType {
        self.family_type
    }

    /// Reads the next line, if it begins with this series; otherwise nothing changes, and the iterator goes on from here.
    ///
    /// Who reads a target again and again knows what comes next: comparing is several times faster than looking for where a series
    /// ends. `series` is what [`Sample::series`] gave in a body of the same format. Only one with braces is found, as a name alone does
    /// not say where it ends.
    ///
    /// ```
    /// use kymo_exposition::{Format, Parser};
    /// let mut parser = Parser::new(Format::Text, b"a{b=\"c\"} 1\nd{} 2\n");
    /// assert!(parser.sample_of(b"d{}").is_none());
    /// assert_eq!(parser.sample_of(b"a{b=\"c\"}").unwrap()?.value, 1.0);
    /// assert_eq!(parser.sample_of(b"d{}").unwrap()?.value, 2.0);
    /// # Ok::<(), kymo_exposition::ParseError>(())
    /// ```
    pub fn sample_of(&mut self, series: &[u8]) -> Option<Result<Sample<'a>, ParseError>> {
        let start = match self.format {
            Format::Text => skip_blanks(self.body, self.at),
            Format::OpenMetrics => self.at,
        };
        if self.done || !series.ends_with(b"}") || !self.body.get(start..)?.starts_with(series) {
            return None;
        }
        let series_end = start + series.len();
        let sample = match self.format {
            Format::Text => self.text_value(start, series_end, skip_blanks(self.body, series_end)),
            Format::OpenMetrics => self.openmetrics_value(start, series_end),
        };
        self.done = sample.is_err();
        Some(sample)
    }

    fn error<T>(&self, at: usize, expected: Expected) -> Result<T, ParseError> {
        Err(ParseError::at(self.body, at, expected))
    }

    fn bounds_of(&self) -> MetricType {
        if self.options.keep_bounds { MetricType::Unknown } else { self.family_type }
    }

    /// The metric name of a metadata line at `at`, quoted or not, and where it ends.
    fn metadata_name(&self, at: usize) -> Result<(EscapedText<'a>, usize), ParseError> {
        let body = self.body;
        if body.get(at) == Some(&b'"') {
            let close = find_closing_quote(body, at + 1);
            if close >= body.len() {
                return self.error(at, Expected::ClosingQuote);
            }
            if close == at + 1 {
                return self.error(at, Expected::MetricName);
            }
            return Ok((EscapedText::new(self.utf8(at + 1, close)?, Escapes::Quoted), close + 1));
        }
        let end = crate::scan::find_word_end(body, at);
        if end == at || body[at].is_ascii_digit() {
            return self.error(at, Expected::MetricName);
        }
        Ok((EscapedText::new(self.utf8(at, end)?, Escapes::Quoted), end))
    }

    fn utf8(&self, from: usize, to: usize) -> Result<&'a str, ParseError> {
        std::str::from_utf8(&self.body[from..to])
            .map_err(|e| ParseError::spanning(self.body, from + e.valid_up_to(), 1, Expected::Utf8))
    }

    fn line_end(&self, at: usize) -> usize {
        find_line_end(self.body, at)
    }
}

impl<'a> Iterator for Parser<'a> {
    type Item = Result<Entry<'a>, ParseError>;

    fn next(&mut self) -> Option<Result<Entry<'a>, ParseError>> {
        if self.done {
            return None;
        }
        let entry = match self.format {
            Format::Text => self.next_text(),
            Format::OpenMetrics => self.next_openmetrics().map(Some),
        };
        match entry {
            Ok(Some(entry)) => {
                self.done = matches!(entry, Entry::Eof);
                Some(Ok(entry))
            }
            Ok(None) => {
                self.done = true;
                None
            }
            Err(error) => {
                self.done = true;
                Some(Err(error))
            }
        }
    }
}

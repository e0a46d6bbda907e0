//! Lines by the specification's ABNF: single spaces, names without quotes, no comma too many, no carriage return.

use std::borrow::Cow;

use kymo_model::MetricType;

use super::number::{Time, number};
use crate::escape::{Escapes, unescape};

pub(super) enum Line<'a> {
    Metadata(Metadata<'a>),
    Sample(Sample<'a>),
    Eof,
}

pub(super) struct Metadata<'a> {
    pub(super) name: &'a str,
    pub(super) kind: MetadataKind<'a>,
}

pub(super) enum MetadataKind<'a> {
    Help,
    Type(MetricType),
    Unit(&'a str),
}

pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    pub(super) labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) value: f64,
    pub(super) time: Option<Time>,
    pub(super) exemplar: Option<Exemplar<'a>>,
}

pub(super) struct Exemplar<'a> {
    pub(super) labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) value: f64,
}

pub(super) struct LineError {
    at: usize,
    pub(super) text: &'static str,
}

impl LineError {
    /// Counted from 1, in characters.
    pub(super) fn column(&self, line: &[u8]) -> usize {
        line[..self.at.min(line.len())].iter().filter(|&&b| b & 0xC0 != 0x80).count() + 1
    }
}

fn fail<T>(at: usize, text: &'static str) -> Result<T, LineError> {
    Err(LineError { at, text })
}

/// Reads a line without its line feed.
pub(super) fn read(line: &[u8], has_line_feed: bool) -> Result<Line<'_>, LineError> {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(e) => return fail(e.valid_up_to(), "expected valid UTF-8"),
    };
    if text == "# EOF" {
        return Ok(Line::Eof);
    }
    if text.ends_with('\r') {
        return fail(
            text.len() - 1,
            "expected a line feed alone at the end of the line, found a carriage return",
        );
    }
    if !has_line_feed {
        return fail(0, "expected `# EOF` as the last line");
    }
    let mut reader = Reader { text, at: 0 };
    match line.first() {
        None => fail(0, "expected a metric name or `# `, found an empty line"),
        Some(b'#') => reader.metadata().map(Line::Metadata),
        Some(_) => reader.sample().map(Line::Sample),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), LineError> {
        if self.peek() != Some(byte) {
            return fail(self.at, expected);
        }
        self.at += 1;
        Ok(())
    }

    /// Up to the next space or the line's end.
    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(' ').unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn name(&mut self, colons: bool, expected: &'static str) -> Result<&'a str, LineError> {
        let rest = &self.text[self.at..];
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || (colons && b == b':');
        let len = rest.bytes().take_while(|&b| word(b)).count();
        if len == 0 || rest.as_bytes()[0].is_ascii_digit() {
            return fail(self.at, expected);
        }
        self.at += len;
        Ok(&rest[..len])
    }

    fn metadata(&mut self) -> Result<Metadata<'a>, LineError> {
        self.at = 1;
        self.take(b' ', "expected a space after `#`")?;
        let keyword_at = self.at;
        let keyword = self.word();
        if !matches!(keyword, "HELP" | "TYPE" | "UNIT") {
            return fail(
                keyword_at,
                "expected `HELP`, `TYPE`, `UNIT` or `EOF` (there are no other comments)",
            );
        }
        self.take(b' ', "expected a space and a metric name")?;
        let name = self.name(true, "expected a metric name")?;
        self.take(b' ', "expected a space after the metric name")?;
        let rest = &self.text[self.at..];
        let kind = match keyword {
            "TYPE" => match MetricType::parse(rest).filter(|_| rest != "untyped") {
                Some(metric_type) => MetadataKind::Type(metric_type),
                None => return fail(self.at, "expected a metric type"),
            },
            "UNIT" => {
                let stray =
                    rest.bytes().position(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'_' | b':'));
                if let Some(stray) = stray {
                    return fail(self.at + stray, "expected a unit of letters, digits, `_` and `:`");
                }
                MetadataKind::Unit(rest)
            }
            _ => {
                // An odd number of backslashes at the end would escape the line feed.
                let backslashes = rest.bytes().rev().take_while(|&b| b == b'\\').count();
                if backslashes % 2 == 1 {
                    return fail(self.text.len() - 1, "expected a character after `\\`");
                }
                MetadataKind::Help
            }
        };
        Ok(Metadata { name, kind })
    }

    fn sample(&mut self) -> Result<Sample<'a>, LineError> {
        let name = self.name(true, "expected a metric name")?;
        let labels = if self.peek() == Some(b'{') { self.labels()? } else { Vec::new() };
        let value = self.number()?;
        let mut time = None;
        if self.peek() == Some(b' ') && !self.text[self.at..].starts_with(" # ") {
            time = Some(self.time()?);
        }
        let mut exemplar = None;
        if self.peek() == Some(b' ') {
            self.at += 1;
            self.take(b'#', "expected the end of the line or ` # {`")?;
            self.take(b' ', "expected a space after `#`")?;
            let labels = self.labels()?;
            let value = self.number()?;
            if self.peek() == Some(b' ') {
                self.time()?;
            }
            exemplar = Some(Exemplar { labels, value });
        }
        if self.at < self.text.len() {
            return fail(self.at, "expected the end of the line");
        }
        Ok(Sample { name, labels, value, time, exemplar })
    }

    fn number(&mut self) -> Result<f64, LineError> {
        self.take(b' ', "expected a space and a number")?;
        let at = self.at;
        match number(self.word().as_bytes()) {
            Some(value) => Ok(value),
            None => fail(at, "expected a number"),
        }
    }

    fn time(&mut self) -> Result<Time, LineError> {
        self.take(b' ', "expected a space and a timestamp")?;
        let at = self.at;
        match Time::parse(self.word().as_bytes()) {
            Some(time) => Ok(time),
            None => fail(at, "expected a timestamp in seconds"),
        }
    }

    fn labels(&mut self) -> Result<Vec<(&'a str, Cow<'a, str>)>, LineError> {
        self.take(b'{', "expected `{`")?;
        let mut labels = Vec::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(labels);
        }
        loop {
            let name = self.name(false, "expected a label name")?;
            self.take(b'=', "expected `=` after label name")?;
            self.take(b'"', "expected a label value in double quotes")?;
            let rest = &self.text.as_bytes()[self.at..];
            let len = crate::scan::find_closing_quote(rest, 0);
            if len >= rest.len() {
                return fail(self.at - 1, "expected `\"` closing the label value");
            }
            labels.push((name, unescape(&self.text[self.at..self.at + len], Escapes::Quoted)));
            self.at += len + 1;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(labels);
                }
                _ => return fail(self.at, "expected `,` or `}` after label value"),
            }
        }
    }
}

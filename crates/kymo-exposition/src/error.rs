//! ParseError: what was expected, what was found, and where. Line and column are counted only when there is an error.

use std::fmt;

/// Why a body does not parse.
///
/// ```
/// use kymo_exposition::{Format, Parser};
/// let error = Parser::new(Format::Text, b"up 1\nup{job=\"a\"} x\n").find_map(Result::err).unwrap();
/// assert_eq!(error.to_string(), "expected a number, found `x` (line 2, column 13)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found} (line {line}, column {column})")]
pub struct ParseError {
    /// What should have stood there.
    pub expected: Expected,
    /// What stands there, quoted and shortened.
    pub found: Box<str>,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// In bytes from the start of the body.
    pub offset: usize,
}

macro_rules! expected {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// What a parser expected at the place of an error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Expected {
            $($(#[doc = $doc])* $name,)*
        }

        impl fmt::Display for Expected {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Expected::$name => $text,)* })
            }
        }
    };
}

expected! {
    /// A line's start: a metric name, `{` or `#`.
    LineStart = "a metric name, `{` or `#`",
    /// A metric name.
    MetricName = "a metric name",
    /// Exactly one metric name per series.
    OneMetricName = "one metric name",
    /// A label name.
    LabelName = "a label name",
    /// A label name that did not come before.
    DistinctLabel = "a label name that was not used before",
    /// `=` after a label name.
    Equals = "`=` after label name",
    /// A label value in double quotes.
    LabelValue = "a label value in double quotes",
    /// The quote that closes a string.
    ClosingQuote = "`\"` closing the string",
    /// `,` or `}` after a label value.
    CommaOrBrace = "`,` or `}` after label value",
    /// The brace that closes labels.
    ClosingBrace = "`}` closing the labels",
    /// A label name or value that labels can hold.
    ShortLabel = "a label name or value of at most 1048576 bytes",
    /// Valid UTF-8.
    Utf8 = "valid UTF-8",
    /// One space.
    Space = "a single space",
    /// A sample's value.
    Number = "a number",
    /// A number that a float can hold.
    FiniteNumber = "a number within the range of a 64-bit float",
    /// A whole number of milliseconds.
    TimestampMs = "a timestamp in whole milliseconds",
    /// Seconds, finite.
    TimestampS = "a timestamp in seconds",
    /// The line's end.
    LineEnd = "the end of the line",
    /// A timestamp, an exemplar or the line's end.
    Suffix = "a timestamp, ` # {` or the end of the line",
    /// HELP, TYPE, UNIT or EOF after `# `.
    Descriptor = "`HELP`, `TYPE`, `UNIT` or `EOF`",
    /// A metric type.
    MetricType = "a metric type",
    /// A unit that ends the metric's name.
    UnitSuffix = "a unit that is the last part of the metric name",
    /// `# EOF` as the last line.
    Eof = "`# EOF` as the last line",
    /// Nothing after `# EOF`.
    NothingAfterEof = "nothing after `# EOF`",
}

impl ParseError {
    /// An error at `offset` of `body`; what was found is the word that stands there.
    pub(crate) fn at(body: &[u8], offset: usize, expected: Expected) -> ParseError {
        let rest = body.get(offset..).unwrap_or(&[]);
        let word = rest.iter().position(|b| matches!(b, b' ' | b'\n' | b'\t')).unwrap_or(rest.len());
        ParseError::spanning(body, offset, word, expected)
    }

    /// An error about `len` bytes at `offset` of `body`.
    pub(crate) fn spanning(body: &[u8], offset: usize, len: usize, expected: Expected) -> ParseError {
        let offset = offset.min(body.len());
        let rest = &body[offset..];
        let found = match rest.first() {
            None => "the end of the input".to_owned(),
            Some(b'\n') if len == 0 => "the end of the line".to_owned(),
            Some(b' ') if len == 0 => "a space".to_owned(),
            Some(b'\t') if len == 0 => "a tab".to_owned(),
            Some(_) => quoted(&rest[..len.clamp(1, rest.len())]),
        };
        let before = &body[..offset];
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        // Characters, counted as bytes that do not continue one.
        let column = before[line_start..].iter().filter(|&&b| b & 0xC0 != 0x80).count() + 1;
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        ParseError { expected, found: found.into(), line, column, offset }
    }
}

/// The longest excerpt of a body in an error, in bytes.
const EXCERPT_BYTES_MAX: usize = 40;

fn quoted(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(EXCERPT_BYTES_MAX)];
    let more = if cut.len() < bytes.len() { "…" } else { "" };
    let text: String = String::from_utf8_lossy(cut).chars().flat_map(visible).collect();
    format!("`{text}{more}`")
}

fn visible(c: char) -> Box<dyn Iterator<Item = char>> {
    if c.is_control() { Box::new(c.escape_default()) } else { Box::new(std::iter::once(c)) }
}

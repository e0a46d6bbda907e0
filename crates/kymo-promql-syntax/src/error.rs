//! What is wrong with a query: Prometheus' message, the place, what was expected instead, and a caret under the place.

use std::fmt;

use crate::ast::Span;

/// Why a query was refused.
///
/// `Display` is exactly Prometheus' text; [`render`](ParseError::render) adds the line and a caret.
///
/// ```
/// let query = "sum(rtae(up[5m]))";
/// let error = kymo_promql_syntax::parse(query).unwrap_err();
/// assert_eq!(error.to_string(), r#"1:5: parse error: unknown function with name "rtae""#);
/// assert_eq!(
///     error.render(query),
///     "1:5: parse error: unknown function with name \"rtae\"\n\
///      \x20 |\n\
///      1 | sum(rtae(up[5m]))\n\
///      \x20 |     ^^^^\n\
///      \x20 = did you mean `rate`?\n"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What sort of fault it is.
    pub kind: ParseErrorKind,
    /// Prometheus' message, without the place.
    pub message: String,
    /// Where in the query.
    pub span: Span,
    /// Line of the start of `span`, from 1; 0 when the query is empty.
    pub line: u32,
    /// Column in bytes of the start of `span`, from 1; 0 when the query is empty.
    pub column: u32,
    /// What could have stood there, as written in a query. Empty where that is not the question.
    pub expected: Vec<String>,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

/// The sorts of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Characters that are no token.
    Lexical,
    /// Tokens in an order that is no expression.
    Syntax,
    /// A function that does not exist.
    UnknownFunction,
    /// An operand or argument of the wrong type, or the wrong number of them.
    Type,
    /// Well formed, but without a meaning.
    Semantic,
    /// Something that [`ParseOptions`](crate::ParseOptions) does not allow.
    Disabled,
    /// Larger than [`Limits`](crate::Limits) allow.
    Limit,
}

/// The error as it travels through the parser: small, and without line and column until it leaves.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: ParseErrorKind,
    pub(crate) message: String,
    pub(crate) span: Span,
    pub(crate) expected: Vec<String>,
    pub(crate) suggestion: Option<String>,
}

impl Fault {
    pub(crate) fn new(kind: ParseErrorKind, span: Span, message: impl Into<String>) -> Box<Fault> {
        Box::new(Fault { kind, message: message.into(), span, expected: Vec::new(), suggestion: None })
    }

    pub(crate) fn suggest(mut self: Box<Fault>, suggestion: Option<&str>) -> Box<Fault> {
        self.suggestion = suggestion.map(str::to_owned);
        self
    }

    pub(crate) fn into_error(self, text: &str) -> ParseError {
        let (line, column) = place(text, self.span.start as usize);
        ParseError {
            kind: self.kind,
            message: self.message,
            span: self.span,
            line,
            column,
            expected: self.expected,
            suggestion: self.suggestion,
        }
    }
}

fn place(text: &str, at: usize) -> (u32, u32) {
    if text.is_empty() {
        return (0, 0);
    }
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count();
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    (line as u32 + 1, (before.len() - line_start) as u32 + 1)
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "unknown position: parse error: {}", self.message);
        }
        write!(f, "{}:{}: parse error: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

impl ParseError {
    /// The message, the line of the query with carets under the fault, and what was expected there. `text` is the query
    /// that was parsed.
    pub fn render(&self, text: &str) -> String {
        let mut out = format!("{self}\n");
        let start = (self.span.start as usize).min(text.len());
        let line_start = text.as_bytes()[..start].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let line = text[line_start..].lines().next().unwrap_or("");
        let number = self.line.max(1).to_string();
        let margin = " ".repeat(number.len());
        // Tabs stay tabs, so that the carets stand right whatever their width.
        let before = text.get(line_start..start).unwrap_or("");
        let indent: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let end = (self.span.end as usize).clamp(start, line_start + line.len().max(start - line_start));
        let width = text.get(start..end).map_or(1, |part| part.chars().count()).max(1);
        out.push_str(&format!("{margin} |\n{number} | {line}\n{margin} | {indent}{}\n", "^".repeat(width)));
        if let Some(suggestion) = &self.suggestion {
            out.push_str(&format!("{margin} = did you mean `{suggestion}`?\n"));
        }
        if !self.expected.is_empty() {
            out.push_str(&format!("{margin} = expected {}\n", list(&self.expected)));
        }
        out
    }
}

/// `a`, `a or b`, `a, b or c`.
fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

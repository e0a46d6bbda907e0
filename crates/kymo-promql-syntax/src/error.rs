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
#[non_exhaustive]
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
    /// A second place that has to do with it: the bracket that was never closed.
    pub note: Option<Box<Note>>,
    /// How such a query is usually meant and written.
    pub help: Option<Box<str>>,
}

/// A second place of an error, with its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where in the query.
    pub span: Span,
    /// What is there.
    pub message: String,
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
    /// The text ended inside brackets; whoever has the text finds out which.
    pub(crate) unclosed: bool,
    pub(crate) note: Option<Note>,
    pub(crate) help: Option<String>,
}

/// Faults that do not keep the parser from going on, in the order in which they were found.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "faults are boxed where they arise, since results carry them")]
pub(crate) struct Faults(Vec<Box<Fault>>);

/// A text that is no query at all is not worth more.
pub(crate) const FAULTS_MAX: usize = 20;

impl Faults {
    pub(crate) fn push(&mut self, fault: Box<Fault>) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(fault);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_errors(self, text: &str) -> Vec<ParseError> {
        self.0.into_iter().map(|fault| fault.into_error(text)).collect()
    }
}

impl Fault {
    pub(crate) fn new(kind: ParseErrorKind, span: Span, message: impl Into<String>) -> Box<Fault> {
        Box::new(Fault {
            kind,
            message: message.into(),
            span,
            expected: Vec::new(),
            suggestion: None,
            unclosed: false,
            note: None,
            help: None,
        })
    }

    pub(crate) fn help(mut self: Box<Fault>, help: impl Into<String>) -> Box<Fault> {
        self.help = Some(help.into());
        self
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
            note: self.note.map(Box::new),
            help: self.help.map(String::into_boxed_str),
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
    /// The message, the line of the query with carets under the fault, what was expected there, and where the bracket stands
    /// that was never closed. `text` is the query that was parsed.
    ///
    /// ```
    /// let query = "sum(\n  rate(up[5m]";
    /// let error = kymo_promql_syntax::parse(query).unwrap_err();
    /// assert_eq!(
    ///     error.render(query),
    ///     "2:14: parse error: unclosed left parenthesis\n\
    ///      \x20 |\n\
    ///      2 |   rate(up[5m]\n\
    ///      \x20 |              ^\n\
    ///      2 |   rate(up[5m]\n\
    ///      \x20 |       - opened here\n"
    /// );
    /// ```
    pub fn render(&self, text: &str) -> String {
        let note = self.note.as_ref().map(|note| (note, place(text, note.span.start as usize).0));
        let last = note.map_or(self.line, |(_, line)| line.max(self.line)).max(1);
        let width = last.to_string().len();
        let margin = " ".repeat(width);
        let mut out = format!("{self}\n{margin} |\n");
        push_line(&mut out, text, self.span, self.line.max(1), width, '^', "");
        if let Some((note, line)) = note {
            push_line(&mut out, text, note.span, line, width, '-', &note.message);
        }
        if let Some(suggestion) = &self.suggestion {
            out.push_str(&format!("{margin} = did you mean `{suggestion}`?\n"));
        }
        if !self.expected.is_empty() {
            out.push_str(&format!("{margin} = expected {}\n", list(&self.expected)));
        }
        if let Some(help) = &self.help {
            out.push_str(&format!("{margin} = help: {help}\n"));
        }
        out
    }
}

impl Span {
    /// The line of `text` in which the span starts, with carets under it: for errors that are found after parsing.
    ///
    /// ```
    /// let query = "1 +\n  nothing";
    /// let expr = kymo_promql_syntax::parse(query).unwrap();
    /// let kymo_promql_syntax::ast::ExprKind::Binary(sum) = &expr.kind else { panic!("a sum") };
    /// assert_eq!(sum.rhs.span.point_out(query), "  |\n2 |   nothing\n  |   ^^^^^^^\n");
    /// ```
    pub fn point_out(self, text: &str) -> String {
        let line = place(text, self.start as usize).0.max(1);
        let width = line.to_string().len();
        let mut out = format!("{:width$} |\n", "");
        push_line(&mut out, text, self, line, width, '^', "");
        out
    }
}

/// The line of `text` in which `span` starts, and marks under the part of it that `span` covers.
fn push_line(out: &mut String, text: &str, span: Span, number: u32, width: usize, mark: char, words: &str) {
    let start = (span.start as usize).min(text.len());
    let line_start = text.as_bytes()[..start].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or("");
    // Tabs stay tabs, so that the marks stand right whatever their width.
    let before = text.get(line_start..start).unwrap_or("");
    let indent: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let end = (span.end as usize).clamp(start, line_start + line.len().max(start - line_start));
    let marks = text.get(start..end).map_or(1, |part| part.chars().count()).max(1);
    let marks = mark.to_string().repeat(marks);
    let words = if words.is_empty() { String::new() } else { format!(" {words}") };
    out.push_str(&format!("{number:>width$} | {line}\n{:width$} | {indent}{marks}{words}\n", ""));
}

/// `a`, `a or b`, `a, b or c`.
fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

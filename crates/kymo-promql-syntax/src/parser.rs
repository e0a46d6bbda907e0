//! The way in: text → limits → tokens → tree → type check.

use kymo_model::Matcher;

use crate::ast::{Expr, ExprKind, Span};
use crate::builder::Builder;
use crate::check;
use crate::diagnose::syntax_faults;
use crate::error::{Fault, Faults, ParseError, ParseErrorKind};
use crate::grammar::QueryParser;
use crate::lexer::Lexer;
use crate::options::ParseOptions;

/// Parses and checks a query with the default limits and no experimental parts.
///
/// ```
/// let expr = kymo_promql_syntax::parse("1 - avg(up) by (job)").unwrap();
/// assert_eq!(expr.to_string(), "1 - avg by (job) (up)");
/// ```
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    Parser::default().parse(text)
}

/// Parses with options. Cheap to make and to copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parser {
    options: ParseOptions,
}

impl Parser {
    /// A parser that allows what `options` say.
    pub const fn new(options: ParseOptions) -> Parser {
        Parser { options }
    }

    /// The options.
    pub const fn options(&self) -> &ParseOptions {
        &self.options
    }

    /// Parses and checks a query.
    pub fn parse(&self, text: &str) -> Result<Expr, ParseError> {
        self.checked(text).map_err(|faults| first(faults, text))
    }

    /// Parses and checks a query, and gives all that is wrong with it: faults of meaning up to the first fault of syntax, or
    /// all faults of types. The list of errors is never empty; the first one is that of [`parse`](Parser::parse).
    ///
    /// ```
    /// let parser = kymo_promql_syntax::Parser::default();
    /// let errors = parser.parse_all("summ(up) / rtae(up[5m])").unwrap_err();
    /// let names: Vec<_> = errors.iter().filter_map(|e| e.suggestion.as_deref()).collect();
    /// assert_eq!(names, ["sum", "rate"]);
    /// ```
    pub fn parse_all(&self, text: &str) -> Result<Expr, Vec<ParseError>> {
        self.checked(text).map_err(|faults| faults.into_errors(text))
    }

    /// Parses and checks a query of which nobody has seen yet whether it is text.
    ///
    /// ```
    /// let error = kymo_promql_syntax::Parser::default().parse_bytes(b"up{a=\"\xff\"}").unwrap_err();
    /// assert_eq!(error.to_string(), "1:7: parse error: invalid UTF-8 rune");
    /// ```
    pub fn parse_bytes(&self, text: &[u8]) -> Result<Expr, ParseError> {
        match std::str::from_utf8(text) {
            Ok(text) => self.parse(text),
            Err(e) => {
                let span = Span { start: e.valid_up_to() as u32, end: text.len() as u32 };
                let fault = Fault::new(ParseErrorKind::Lexical, span, "invalid UTF-8 rune");
                Err(fault.into_error(&String::from_utf8_lossy(text)))
            }
        }
    }

    /// Parses a series selector as `match[]` and metadata queries take it: `up`, `{job="x"}`, without modifiers. It may
    /// match everything; whoever cannot serve that refuses it.
    ///
    /// ```
    /// use kymo_promql_syntax::Parser;
    /// let matchers = Parser::default().parse_selector(r#"up{job!=""}"#).unwrap();
    /// assert_eq!(matchers.len(), 2);
    /// assert!(Parser::default().parse_selector("up offset 5m").is_err());
    /// ```
    pub fn parse_selector(&self, text: &str) -> Result<Vec<Matcher>, ParseError> {
        let expr = self.unchecked(text).map_err(|faults| first(faults, text))?;
        let span = expr.span;
        match expr.kind {
            ExprKind::Selector(s) if s.time == Default::default() && s.edges == Default::default() => {
                Ok(s.matchers)
            }
            _ => Err(Fault::new(
                ParseErrorKind::Type,
                span,
                "expected a series selector such as up{job=\"x\"}, found another expression",
            )
            .into_error(text)),
        }
    }

    /// Checks a tree that was built or [rewritten](Expr::rewrite) by hand: within the limits, of the right types, its operations
    /// matching as they can. The places in the errors are those that the nodes carry.
    ///
    /// ```
    /// use kymo_promql_syntax::{Parser, ast::ExprKind, parse};
    /// let mut expr = parse("rate(up[5m])").unwrap();
    /// if let ExprKind::Call(call) = &mut expr.kind {
    ///     call.args = vec![parse("up").unwrap()];
    /// }
    /// let errors = Parser::default().verify(&mut expr).unwrap_err();
    /// assert_eq!(errors[0].message, "expected type range vector in call to function \"rate\", got instant vector");
    /// ```
    pub fn verify(&self, expr: &mut Expr) -> Result<(), Vec<ParseError>> {
        let limits = &self.options.limits;
        let mut faults = Faults::default();
        let (nodes, height) = expr.size(limits.nodes_max, limits.height_max);
        let mut above = |found: usize, max: usize, what: &str| {
            if found > max {
                let message = format!("query {what} {max}");
                faults.push(Fault::new(ParseErrorKind::Limit, expr.span, message));
            }
        };
        above(nodes, limits.nodes_max, "has more parts than");
        above(height, limits.height_max, "is higher than");
        if faults.is_empty() {
            check::check(expr, &mut faults);
        }
        // Where there is no text, there are no lines either.
        if faults.is_empty() { Ok(()) } else { Err(faults.into_errors("")) }
    }

    fn checked(&self, text: &str) -> Result<Expr, Faults> {
        let mut expr = self.unchecked(text)?;
        let mut faults = Faults::default();
        check::check(&mut expr, &mut faults);
        if faults.is_empty() { Ok(expr) } else { Err(faults) }
    }

    fn unchecked(&self, text: &str) -> Result<Expr, Faults> {
        let max = self.options.limits.text_bytes_max.min(u32::MAX as usize);
        let mut builder = Builder::new(text, &self.options);
        if text.len() > max {
            let message = format!("query is {} bytes long, expected at most {max}", text.len());
            builder.faults.push(Fault::new(ParseErrorKind::Limit, Span::default(), message));
            return Err(builder.faults);
        }
        if let Err(error) = QueryParser::new().parse(&mut builder, Lexer::new(text)) {
            if let lalrpop_util::ParseError::User { error } = &error
                && error.kind == ParseErrorKind::Lexical
                && builder.faults.is_empty()
            {
                builder.faults = self.faults_before(text, error.span.start as usize);
            }
            syntax_faults(text, error, &mut builder.faults);
        }
        if builder.faults.is_empty() { Ok(builder.finish()) } else { Err(builder.faults) }
    }
}

impl Parser {
    /// What Prometheus has found by the time its lexer stops at a byte. It looks at no token behind a complete part, while our
    /// parser stops with the part still open.
    fn faults_before(&self, text: &str, end: usize) -> Faults {
        let before = &text[..end];
        let mut builder = Builder::new(before, &self.options);
        // That the text ends here is no fault.
        let _ = QueryParser::new().parse(&mut builder, Lexer::new(before));
        builder.faults
    }
}

fn first(faults: Faults, text: &str) -> ParseError {
    faults.into_errors(text).swap_remove(0)
}

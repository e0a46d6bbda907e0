//! The way in: text → limits → tokens → tree → type check.

use kymo_model::Matcher;

use crate::ast::{Expr, ExprKind, Span};
use crate::builder::Builder;
use crate::check;
use crate::diagnose::syntax_fault;
use crate::error::{Fault, ParseError, ParseErrorKind};
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
        self.checked(text).map_err(|fault| fault.into_error(text))
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
        let expr = self.unchecked(text).map_err(|fault| fault.into_error(text))?;
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

    fn checked(&self, text: &str) -> Result<Expr, Box<Fault>> {
        let mut expr = self.unchecked(text)?;
        check::check(&mut expr)?;
        Ok(expr)
    }

    fn unchecked(&self, text: &str) -> Result<Expr, Box<Fault>> {
        let max = self.options.limits.text_bytes_max.min(u32::MAX as usize);
        if text.len() > max {
            let message = format!("query is {} bytes long, expected at most {max}", text.len());
            return Err(Fault::new(ParseErrorKind::Limit, Span::default(), message));
        }
        let mut builder = Builder::new(text, &self.options);
        QueryParser::new().parse(&mut builder, Lexer::new(text)).map_err(|e| syntax_fault(text, e))?;
        Ok(builder.finish())
    }
}

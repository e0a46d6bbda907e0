//! PromQL text to a checked syntax tree and back: lexer, grammar, type check, printer, caret errors.
//!
//! The complete language of Prometheus 3.15.1. The lexer is logos with one mode each for braces and brackets, the grammar is
//! lalrpop without a conflict, its parser committed. Whatever the text, parsing takes time linear in its length and ends in
//! a tree within [`Limits`] or in a [`ParseError`] with a place.
//!
//! ```
//! use kymo_promql_syntax::{ast::ExprKind, parse};
//!
//! let expr = parse("sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m]))").unwrap();
//! assert!(matches!(expr.kind, ExprKind::Aggregate(_)));
//! assert_eq!(expr.to_string(), "sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m]))");
//!
//! let error = parse("sum(rate(http_requests_total))").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "1:10: parse error: expected type range vector in call to function \"rate\", got instant vector"
//! );
//! ```

#![forbid(unsafe_code)]

pub mod ast;
mod functions;
mod options;
mod parser;
pub mod series;

mod binding;
mod builder;
mod lexer;
mod literal;
mod token;
#[rustfmt::skip]
#[allow(clippy::all, clippy::pedantic, unused, missing_docs, unreachable_pub)]
mod grammar;
mod check;

mod advice;
mod diagnose;
mod error;
mod pretty;
mod print;
mod quote;
#[cfg(feature = "serde")]
mod serialize;
mod suggest;
mod walk;

mod completion;

pub use completion::{Completion, Completions, completion};
pub use error::{Note, ParseError, ParseErrorKind};
pub use functions::{Function, Signature};
pub use options::{Limits, ParseOptions};
pub use parser::{Parser, parse};
pub use print::quote_string;

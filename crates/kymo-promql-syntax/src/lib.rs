//! PromQL text to a checked syntax tree and back: lexer, grammar, type check, printer, caret errors.

pub mod ast;
mod functions;

pub use functions::Function;

/// Bounds on a query, enforced before parsing.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nesting of parentheses, brackets and unary operators.
    pub depth_max: usize,
}

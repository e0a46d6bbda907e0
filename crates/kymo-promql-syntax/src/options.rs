//! What a parser allows: the bounds on a query, and the parts of the language that Prometheus hides behind flags.

/// Bounds on a query, held while parsing, so that nothing larger is ever built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Length of the text. Dashboards paste hundreds of host names into one regex, so there is room.
    pub text_bytes_max: usize,
    /// Nesting of parentheses, calls, subqueries and signs.
    pub depth_max: usize,
    /// Height of the tree: like the nesting, but every operator of a chain such as `a + b + c` adds one too. Walking and
    /// dropping a tree recurse this deep.
    pub height_max: usize,
    /// Expressions, label matchers and parts of duration arithmetic altogether.
    pub nodes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { text_bytes_max: 128 * 1024, depth_max: 128, height_max: 512, nodes_max: 4096 }
    }
}

/// What a [`Parser`](crate::Parser) allows. The default is what Prometheus allows without flags.
///
/// ```
/// use kymo_promql_syntax::{ParseOptions, Parser};
/// let query = "limitk(2, up)";
/// assert!(kymo_promql_syntax::parse(query).is_err());
/// assert!(Parser::new(ParseOptions::everything()).parse(query).is_ok());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// Bounds.
    pub limits: Limits,
    /// The 17 experimental functions, `limitk` and `limit_ratio` (`promql-experimental-functions`).
    pub experimental_functions: bool,
    /// `anchored` and `smoothed` (`promql-extended-range-selectors`).
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left`, `fill_right` (`promql-binop-fill-modifiers`).
    pub fill_modifiers: bool,
}

impl ParseOptions {
    /// The whole language.
    pub fn everything() -> ParseOptions {
        ParseOptions {
            limits: Limits::default(),
            experimental_functions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
        }
    }
}

//! RegexError: what is wrong with a pattern, in Go's words, because clients of the HTTP API know those.

use std::fmt;

/// How much of a pattern an error quotes; a longer fragment ends in `…`.
const FRAGMENT_BYTES_MAX: usize = 500;

/// A pattern that is not one of Go's regular expressions, or is larger than this crate compiles.
///
/// ```
/// let error = kymo_model::Regex::new("a(b").unwrap_err();
/// assert_eq!(error.to_string(), "error parsing regexp: missing closing ): `a(b`");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {kind}: `{fragment}`")]
pub struct RegexError {
    pub(super) kind: RegexErrorKind,
    pub(super) fragment: String,
}

impl RegexError {
    pub(super) fn new(kind: RegexErrorKind, fragment: &str) -> RegexError {
        if fragment.len() <= FRAGMENT_BYTES_MAX {
            return RegexError { kind, fragment: fragment.to_owned() };
        }
        let end = (0..=FRAGMENT_BYTES_MAX).rev().find(|&end| fragment.is_char_boundary(end)).unwrap_or(0);
        RegexError { kind, fragment: format!("{}…", &fragment[..end]) }
    }

    /// What kind of fault it is.
    pub fn kind(&self) -> RegexErrorKind {
        self.kind
    }

    /// The part of the pattern that is at fault; the whole pattern where no part can be named.
    pub fn fragment(&self) -> &str {
        &self.fragment
    }
}

/// The kinds of fault, as Go's `regexp/syntax` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RegexErrorKind {
    /// `[b-a]`, `[[:word]]`, `\p{Klingon}`
    InvalidCharRange,
    /// `\8`, `\y`
    InvalidEscape,
    /// `(?P<a b>c)`
    InvalidNamedCapture,
    /// `(?=a)`
    InvalidPerlOp,
    /// `a**`
    InvalidRepeatOp,
    /// `a{1001}`, `(a{100}){100}`
    InvalidRepeatSize,
    /// `[a`
    MissingBracket,
    /// `(a`
    MissingParen,
    /// `*`
    MissingRepeatArgument,
    /// `a\`
    TrailingBackslash,
    /// `a)`
    UnexpectedParen,
    /// More than a thousand levels.
    NestingDepth,
    /// Over the limit of the pattern's length or of the automaton's size.
    Large,
}

impl fmt::Display for RegexErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RegexErrorKind::InvalidCharRange => "invalid character class range",
            RegexErrorKind::InvalidEscape => "invalid escape sequence",
            RegexErrorKind::InvalidNamedCapture => "invalid named capture",
            RegexErrorKind::InvalidPerlOp => "invalid or unsupported Perl syntax",
            RegexErrorKind::InvalidRepeatOp => "invalid nested repetition operator",
            RegexErrorKind::InvalidRepeatSize => "invalid repeat count",
            RegexErrorKind::MissingBracket => "missing closing ]",
            RegexErrorKind::MissingParen => "missing closing )",
            RegexErrorKind::MissingRepeatArgument => "missing argument to repetition operator",
            RegexErrorKind::TrailingBackslash => "trailing backslash at end of expression",
            RegexErrorKind::UnexpectedParen => "unexpected )",
            RegexErrorKind::NestingDepth => "expression nests too deeply",
            RegexErrorKind::Large => "expression too large",
        })
    }
}

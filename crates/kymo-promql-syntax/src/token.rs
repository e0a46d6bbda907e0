//! The alphabet: what logos recognises in each of the three modes of PromQL, and the one token type the grammar reads.
//!
//! Inside `{}` every word is a name; inside `[]` a colon separates and words are functions of durations; elsewhere words
//! may be keywords and colons belong to names. Place: text → these tokens → [`lexer`](crate::lexer) → grammar.

use logos::Logos;

use crate::ast::AggregateOp;
use crate::literal::{NumberScan, TextScan, scan_number, scan_text};

/// A token of the grammar: one byte. Whoever needs its text or value slices the query by the token's span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name without colon.
    Word,
    /// A name with a colon.
    MetricWord,
    Number,
    Duration,
    /// A string with its quotes, known to be well formed.
    Text,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    At,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    EqualEqual,
    NotEqual,
    Less,
    Greater,
    LessEqual,
    GreaterEqual,
    TrimUpper,
    TrimLower,
    Equal,
    RegexMatch,
    RegexNotMatch,
    And,
    Or,
    Unless,
    Atan2,
    Aggregate,
    Bool,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    /// `group_left (`: one token, so that the parenthesis is never taken for that of the right operand.
    GroupLeftParen,
    GroupRight,
    GroupRightParen,
    Fill,
    FillLeft,
    FillRight,
    Offset,
    Smoothed,
    Anchored,
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
    /// Arithmetic that continues the duration after `offset (…)`.
    OffsetAdd,
    OffsetSub,
    OffsetMul,
    OffsetDiv,
    OffsetMod,
    OffsetPow,
    /// Where the user is writing. No rule of the grammar has it, so that the parser stops there and says what may follow.
    Cursor,
}

/// Outside of braces and brackets.
#[derive(Logos, Clone, Copy, Debug, PartialEq)]
#[logos(skip r"[ \t\r\n]+")]
#[logos(skip(r"#[^\r\n]*", allow_greedy = true))]
pub(crate) enum Outside {
    #[regex(r"[a-zA-Z_][a-zA-Z0-9_]*")]
    Word,
    #[regex(r"([a-zA-Z_][a-zA-Z0-9_]*)?:[a-zA-Z0-9_:]*")]
    MetricWord,
    #[regex(r"\.?[0-9]", scan_number)]
    Number(NumberScan),
    #[regex("[\"'`]", scan_text)]
    Text(TextScan),
    #[token("(")]
    LeftParen,
    #[token(")")]
    RightParen,
    #[token("{")]
    LeftBrace,
    #[token("[")]
    LeftBracket,
    #[token("]")]
    RightBracket,
    #[token(",")]
    Comma,
    #[token("@")]
    At,
    #[token("+")]
    Add,
    #[token("-")]
    Sub,
    #[token("*")]
    Mul,
    #[token("/")]
    Div,
    #[token("%")]
    Mod,
    #[token("^")]
    Pow,
    #[token("==")]
    EqualEqual,
    #[token("!=")]
    NotEqual,
    #[token("<")]
    Less,
    #[token(">")]
    Greater,
    #[token("<=")]
    LessEqual,
    #[token(">=")]
    GreaterEqual,
    #[token("</")]
    TrimUpper,
    #[token(">/")]
    TrimLower,
    #[token("=")]
    Equal,
    #[token("=~")]
    EqualTilde,
}

/// Between `{` and `}`.
#[derive(Logos, Clone, Copy, Debug, PartialEq)]
#[logos(skip r"[ \t\r\n]+")]
#[logos(skip(r"#[^\r\n]*", allow_greedy = true))]
pub(crate) enum InBraces {
    #[regex(r"[a-zA-Z_][a-zA-Z0-9_]*")]
    Word,
    #[regex("[\"'`]", scan_text)]
    Text(TextScan),
    #[token("}")]
    RightBrace,
    #[token("{")]
    LeftBrace,
    #[token(",")]
    Comma,
    #[token("=")]
    Equal,
    #[token("!=")]
    NotEqual,
    #[token("=~")]
    RegexMatch,
    #[token("!~")]
    RegexNotMatch,
}

/// Between `[` and `]`.
#[derive(Logos, Clone, Copy, Debug, PartialEq)]
#[logos(skip r"[ \t\r\n]+")]
pub(crate) enum InBrackets {
    #[regex(r"[a-zA-Z_]+")]
    Word,
    #[regex(r"\.?[0-9]", scan_number)]
    Number(NumberScan),
    #[token("(")]
    LeftParen,
    #[token(")")]
    RightParen,
    #[token("[")]
    LeftBracket,
    #[token("]")]
    RightBracket,
    #[token(",")]
    Comma,
    #[token(":")]
    Colon,
    #[token("+")]
    Add,
    #[token("-")]
    Sub,
    #[token("*")]
    Mul,
    #[token("/")]
    Div,
    #[token("%")]
    Mod,
    #[token("^")]
    Pow,
    #[regex(r"#[^\r\n]*", allow_greedy = true)]
    Comment,
}

const LONGEST_KEYWORD: usize = 12;

/// The token of a word outside of braces. Keywords are recognised in any case.
pub(crate) fn keyword(word: &str) -> Option<Token> {
    let mut lower = [0u8; LONGEST_KEYWORD];
    let lower = lower.get_mut(..word.len())?;
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"and" => Token::And,
        b"or" => Token::Or,
        b"unless" => Token::Unless,
        b"atan2" => Token::Atan2,
        b"sum" | b"avg" | b"count" | b"min" | b"max" | b"group" | b"stddev" | b"stdvar" | b"topk"
        | b"bottomk" | b"count_values" | b"quantile" | b"limitk" | b"limit_ratio" => Token::Aggregate,
        b"offset" => Token::Offset,
        b"smoothed" => Token::Smoothed,
        b"anchored" => Token::Anchored,
        b"by" => Token::By,
        b"without" => Token::Without,
        b"on" => Token::On,
        b"ignoring" => Token::Ignoring,
        b"group_left" => Token::GroupLeft,
        b"group_right" => Token::GroupRight,
        b"fill" => Token::Fill,
        b"fill_left" => Token::FillLeft,
        b"fill_right" => Token::FillRight,
        b"bool" => Token::Bool,
        b"start" => Token::Start,
        b"end" => Token::End,
        b"step" => Token::Step,
        b"range" => Token::Range,
        b"max_of" => Token::MaxOf,
        b"min_of" => Token::MinOf,
        b"inf" | b"nan" => Token::Number,
        _ => return None,
    })
}

/// The aggregation operator that a word names, in any case.
pub(crate) fn aggregate(word: &str) -> Option<AggregateOp> {
    AGGREGATES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, op)| *op)
}

/// The words that mean something by themselves, for "did you mean".
pub(crate) const KEYWORDS: &[&str] = &[
    "and",
    "or",
    "unless",
    "atan2",
    "offset",
    "smoothed",
    "anchored",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "fill",
    "fill_left",
    "fill_right",
    "bool",
    "start",
    "end",
    "step",
    "range",
    "max_of",
    "min_of",
];

/// The aggregation operators by name, in the order of the enum, for "did you mean" and for printing.
pub(crate) const AGGREGATES: &[(&str, AggregateOp)] = &[
    ("sum", AggregateOp::Sum),
    ("avg", AggregateOp::Avg),
    ("count", AggregateOp::Count),
    ("min", AggregateOp::Min),
    ("max", AggregateOp::Max),
    ("group", AggregateOp::Group),
    ("stddev", AggregateOp::Stddev),
    ("stdvar", AggregateOp::Stdvar),
    ("topk", AggregateOp::Topk),
    ("bottomk", AggregateOp::Bottomk),
    ("quantile", AggregateOp::Quantile),
    ("count_values", AggregateOp::CountValues),
    ("limitk", AggregateOp::Limitk),
    ("limit_ratio", AggregateOp::LimitRatio),
];

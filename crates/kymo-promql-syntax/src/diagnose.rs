//! The words for a syntax error. Only runs when a parse has failed: reads the tokens up to the unexpected one again, and
//! tells from them what Prometheus' grammar says at that place.

use lalrpop_util::ParseError;

use crate::advice::advice;
use crate::ast::Span;
use crate::error::{Fault, Faults, Note, ParseErrorKind};
use crate::functions::Function;
use crate::lexer::Lexer;
use crate::quote::quoted;
use crate::suggest;
use crate::token::Token;

/// At most so many alternatives are listed as expected; more say nothing.
const EXPECTED_MAX: usize = 12;

/// A token with its place.
pub(crate) type Placed = (u32, Token, u32);

/// What a failed parse tells the user: one fault, or two where a misspelt function stands right before the unexpected token.
pub(crate) fn syntax_faults(text: &str, error: ParseError<u32, Token, Box<Fault>>, faults: &mut Faults) {
    let (found, expected) = match error {
        ParseError::User { mut error } => {
            find_opener(text, &mut error);
            if error.kind == ParseErrorKind::Lexical {
                let before = tokens_before(text, error.span.start);
                error.help = advice(text, &before, &error).map(str::to_owned);
            }
            return faults.push(error);
        }
        ParseError::UnrecognizedToken { token, expected } => (Some(token), expected),
        ParseError::ExtraToken { token } => (Some(token), Vec::new()),
        ParseError::UnrecognizedEof { expected, .. } => (None, expected),
        ParseError::InvalidToken { .. } => (None, Vec::new()),
    };
    let end = text.len() as u32;
    let place = found.map_or(Span { start: end, end }, |(start, _, end)| Span { start, end });
    let before = tokens_before(text, place.start);
    if before.is_empty() && found.is_none() {
        let message = "no expression found in input";
        return faults.push(Fault::new(ParseErrorKind::Syntax, Span::default(), message));
    }
    if matches!(before.last(), Some((_, Token::Comma, _))) && in_call(&before) {
        let (start, _, end) = before[before.len() - 1];
        let message = "trailing commas not allowed in function call args";
        return faults.push(Fault::new(ParseErrorKind::Syntax, Span { start, end }, message));
    }
    unknown_before(text, &before).into_iter().for_each(|fault| faults.push(fault));
    let mut fault = Fault::new(ParseErrorKind::Syntax, place, unexpected(text, &before, found));
    fault.expected = readable(&expected);
    let suggestion = match found {
        Some((_, Token::Word, _)) => {
            let may_stand = |word: &str| expected.iter().any(|terminal| bare(terminal) == word);
            suggest::keyword(place.slice(text), may_stand)
        }
        _ => misspelt_before(text, &before, found),
    };
    if suggestion.is_none() {
        fault.help = advice(text, &before, &fault).map(str::to_owned);
    }
    faults.push(fault.suggest(suggestion));
}

/// Prometheus' words for a token where its grammar has none.
fn unexpected(text: &str, before: &[Placed], found: Option<Placed>) -> String {
    let mut message = match found {
        Some((start, token, end)) => {
            format!("unexpected {}", describe(token, Span { start, end }.slice(text)))
        }
        None => "unexpected end of input".to_owned(),
    };
    if let Some((context, expected)) = context(before) {
        message.push_str(&format!(" in {context}"));
        if !expected.is_empty() {
            message.push_str(&format!(", expected {expected}"));
        }
    }
    message
}

/// `a * onn (x) b`: that `onn` is no function has not been found yet when the parser stops at `b`, but it is the cause.
fn unknown_before(text: &str, before: &[Placed]) -> Option<Box<Fault>> {
    let (_, Token::RightParen, _) = before.last()? else {
        return None;
    };
    let (open, _) = innermost(&before[..before.len() - 1])?;
    let (start, Token::Word, end) = *before.get(open.checked_sub(1)?)? else {
        return None;
    };
    let at = Span { start, end };
    let name = at.slice(text);
    if Function::from_name(name).is_some() {
        return None;
    }
    let message = format!("unknown function with name {}", quoted(name.as_bytes()));
    Some(Fault::new(ParseErrorKind::UnknownFunction, at, message).suggest(suggest::called(name)))
}

/// `summ by (a) (x)`: the word before the keyword is the misspelt one.
fn misspelt_before(text: &str, before: &[Placed], found: Option<Placed>) -> Option<&'static str> {
    match (before.last()?, found?) {
        ((start, Token::Word, end), (_, Token::By | Token::Without, _)) => {
            suggest::callable(Span { start: *start, end: *end }.slice(text))
        }
        _ => None,
    }
}

/// Where the text has ended inside brackets: names the innermost of them.
fn find_opener(text: &str, fault: &mut Fault) {
    if !fault.unclosed {
        return;
    }
    let tokens = tokens_before(text, text.len() as u32);
    if let Some((at, _)) = innermost(&tokens) {
        // `group_left (` is one token; its parenthesis is its last byte.
        let end = tokens[at].2;
        let span = Span { start: end - 1, end };
        fault.note = Some(Note { span, message: "opened here".to_owned() });
    }
}

fn tokens_before(text: &str, at: u32) -> Vec<Placed> {
    Lexer::new(text).map_while(Result::ok).take_while(|(start, _, _)| *start < at).collect()
}

/// The token that opened the innermost bracket that is still open, and its index.
pub(crate) fn innermost(before: &[Placed]) -> Option<(usize, Token)> {
    let mut open = Vec::new();
    for (index, (_, token, _)) in before.iter().enumerate() {
        match token {
            Token::LeftParen
            | Token::LeftBrace
            | Token::LeftBracket
            | Token::GroupLeftParen
            | Token::GroupRightParen => open.push((index, *token)),
            Token::RightParen | Token::RightBrace | Token::RightBracket => drop(open.pop()),
            _ => {}
        }
    }
    open.pop()
}

fn in_call(before: &[Placed]) -> bool {
    matches!(innermost(before), Some((at, Token::LeftParen)) if at > 0 && !is_label_list(before, at))
}

/// Does the parenthesis at this index open a list of labels?
pub(crate) fn is_label_list(before: &[Placed], at: usize) -> bool {
    match before.get(at).map(|(_, token, _)| *token) {
        Some(Token::GroupLeftParen | Token::GroupRightParen) => true,
        Some(Token::LeftParen) => at > 0 && opens_labels(before, at - 1),
        _ => false,
    }
}

/// Is the word at this index `by`, `without`, `on` or `ignoring` where those are keywords and no metric names?
fn opens_labels(before: &[Placed], at: usize) -> bool {
    let previous = at.checked_sub(1).map(|at| before[at].1);
    match before[at].1 {
        Token::By | Token::Without => matches!(previous, Some(Token::Aggregate | Token::RightParen)),
        Token::On | Token::Ignoring => true,
        _ => false,
    }
}

/// In which construct the unexpected token stands, and what Prometheus says is expected there.
fn context(before: &[Placed]) -> Option<(&'static str, &'static str)> {
    let (last_at, last) = (before.len().checked_sub(1)?, before.last()?.1);
    if let Some(open) =
        before.iter().rposition(|(_, t, _)| matches!(t, Token::LeftBracket | Token::RightBracket))
        && before[open].1 == Token::LeftBracket
    {
        return Some(bracket_context(&before[open..]));
    }
    match innermost(before) {
        Some((_, Token::LeftBrace)) => {
            let expected = match last {
                Token::LeftBrace | Token::Comma => "identifier or \"}\"",
                Token::Word => "label matching operator",
                Token::Equal | Token::NotEqual | Token::RegexMatch | Token::RegexNotMatch => "string",
                _ => "\",\" or \"}\"",
            };
            return Some(("label matching", expected));
        }
        Some((open, _)) if is_label_list(before, open) => {
            let expected = if open == last_at || last == Token::Comma { "label" } else { "\",\" or \")\"" };
            return Some(("grouping opts", expected));
        }
        _ => {}
    }
    if in_offset(before) {
        return Some(("offset", "number, duration, step(), or range()"));
    }
    // Signs do not yet say what time it is.
    let behind_signs = before.iter().rposition(|(_, token, _)| !is_sign(*token));
    if behind_signs.is_some_and(|at| before[at].1 == Token::At) {
        return Some(("@", "timestamp"));
    }
    match last {
        _ if at_boundary(before) => Some(("@", "timestamp")),
        _ if opens_labels(before, last_at) => Some(("grouping opts", "\"(\"")),
        _ if in_aggregation(before) => Some(("aggregation", "")),
        _ => None,
    }
}

fn is_sign(token: Token) -> bool {
    matches!(token, Token::Add | Token::Sub)
}

/// Is the duration behind `offset` begun and not complete?
fn in_offset(before: &[Placed]) -> bool {
    let Some(at) = before.iter().rposition(|(_, token, _)| *token == Token::Offset) else {
        return false;
    };
    if at == 0 || !ends_operand(before[at - 1].1) {
        return false;
    }
    let (mut open, mut complete) = (0usize, false);
    for (_, token, _) in &before[at + 1..] {
        match token {
            Token::LeftParen => open += 1,
            Token::RightParen if open == 0 => return false,
            Token::RightParen => open -= 1,
            _ if open > 0 => continue,
            Token::Number | Token::Duration => complete = true,
            Token::OffsetAdd
            | Token::OffsetSub
            | Token::OffsetMul
            | Token::OffsetDiv
            | Token::OffsetMod
            | Token::OffsetPow => complete = false,
            token if complete || !begins_duration(*token) => return false,
            _ => continue,
        }
        complete |= *token == Token::RightParen && open == 0;
    }
    !complete
}

/// May this stand before the operand of a duration is complete?
fn begins_duration(token: Token) -> bool {
    is_sign(token) || matches!(token, Token::Step | Token::Range | Token::MaxOf | Token::MinOf)
}

/// Can a modifier stand behind this token?
pub(crate) fn ends_operand(token: Token) -> bool {
    matches!(
        token,
        Token::Word
            | Token::MetricWord
            | Token::RightParen
            | Token::RightBrace
            | Token::RightBracket
            | Token::Number
            | Token::Duration
            | Token::Anchored
            | Token::Smoothed
    )
}

/// Is this the start of `@ start()`?
fn at_boundary(before: &[Placed]) -> bool {
    let tokens = before.iter().rev().map(|(_, token, _)| *token);
    let mut tokens = tokens.skip_while(|token| *token == Token::LeftParen);
    matches!(tokens.next(), Some(Token::Start | Token::End)) && tokens.next() == Some(Token::At)
}

/// Is an aggregation open: inside its parentheses, or behind its grouping?
fn in_aggregation(before: &[Placed]) -> bool {
    let mut open: Vec<(usize, bool)> = Vec::new();
    // Where the parentheses opened that closed last.
    let mut closed = None;
    for (index, (_, token, _)) in before.iter().enumerate() {
        match token {
            Token::LeftParen | Token::GroupLeftParen | Token::GroupRightParen => {
                let directly = index > 0 && before[index - 1].1 == Token::Aggregate;
                open.push((index, directly || closes_grouping(before, index, closed)));
            }
            Token::RightParen => closed = open.pop().map(|(at, _)| at),
            _ => {}
        }
    }
    open.iter().any(|(_, of_aggregation)| *of_aggregation) || closes_grouping(before, before.len(), closed)
}

/// Does `sum by (…)` stand right before this index, its parentheses opened at `opened`?
fn closes_grouping(before: &[Placed], at: usize, opened: Option<usize>) -> bool {
    let Some(opened) = opened.filter(|opened| *opened > 1 && before[at - 1].1 == Token::RightParen) else {
        return false;
    };
    is_label_list(before, opened) && before[opened - 2].1 == Token::Aggregate
}

/// Between brackets, told by whether a whole duration stands before the unexpected token.
fn bracket_context(inside: &[Placed]) -> (&'static str, &'static str) {
    let complete = innermost(inside).is_some_and(|(at, _)| at == 0)
        && matches!(inside.last(), Some((_, Token::Number | Token::Duration | Token::RightParen, _)));
    let colon = inside.iter().any(|(_, token, _)| *token == Token::Colon);
    match (colon, complete) {
        (false, false) => ("subquery or range selector", "number, duration, step(), or range()"),
        (false, true) => ("subquery or range", "\":\" or \"]\""),
        (true, false) => ("subquery selector", "number, duration, step(), range(), or \"]\""),
        (true, true) => ("subquery selector", "\"]\""),
    }
}

/// A token as Prometheus' messages show it.
fn describe(token: Token, text: &str) -> String {
    match token {
        Token::Word => format!("identifier {}", quoted(text.as_bytes())),
        Token::MetricWord => format!("metric identifier {}", quoted(text.as_bytes())),
        Token::Number => format!("number {}", shortened(text)),
        Token::Duration => format!("duration {}", shortened(text)),
        Token::Text => format!("string {}", shortened(text)),
        Token::Aggregate => format!("<aggr:{text}>"),
        Token::Bool
        | Token::By
        | Token::Without
        | Token::On
        | Token::Ignoring
        | Token::GroupLeft
        | Token::GroupRight
        | Token::Fill
        | Token::FillLeft
        | Token::FillRight
        | Token::Offset
        | Token::Smoothed
        | Token::Anchored => format!("<{text}>"),
        Token::GroupLeftParen | Token::GroupRightParen => {
            format!("<{}>", text.trim_end_matches('(').trim_end())
        }
        Token::LeftParen
        | Token::RightParen
        | Token::LeftBrace
        | Token::RightBrace
        | Token::LeftBracket
        | Token::RightBracket
        | Token::Comma
        | Token::Colon
        | Token::Equal
        | Token::Start
        | Token::End
        | Token::Step
        | Token::Range
        | Token::MaxOf
        | Token::MinOf => quoted(text.as_bytes()),
        _ => format!("<op:{text}>"),
    }
}

/// In quotes, and cut after ten characters.
fn shortened(text: &str) -> String {
    if text.len() > 10 {
        let start: String = text.chars().take(10).collect();
        format!("{}...", quoted(start.as_bytes()))
    } else {
        quoted(text.as_bytes())
    }
}

/// A terminal of the grammar as it is written in a query.
pub(crate) fn bare(terminal: &str) -> &str {
    terminal.trim_matches('"').trim_end_matches(" (")
}

/// Groups of terminals that are one thing to a person: its name, the terminals that tell it, and all that belong to it.
/// The first group that is there takes its terminals away from those behind it.
const GROUPS: &[(&str, &[&str], &[&str])] = &[
    (
        "an expression",
        &["{", "string"],
        &[
            "identifier",
            "metric identifier",
            "number",
            "duration",
            "string",
            "(",
            "{",
            "+",
            "-",
            "aggregation",
            "by",
            "without",
            "and",
            "or",
            "unless",
            "offset",
            "start",
            "end",
            "step",
            "range",
            "max_of",
            "min_of",
            "anchored",
            "smoothed",
        ],
    ),
    (
        "an operator",
        &["*", "=="],
        &[
            "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", ">", "<=", ">=", "</", ">/", "and", "or",
            "unless",
        ],
    ),
    (
        "a label name",
        &["ignoring", "aggregation"],
        &[
            "identifier",
            "metric identifier",
            "string",
            "aggregation",
            "bool",
            "by",
            "group_left",
            "group_right",
            "fill",
            "fill_left",
            "fill_right",
            "ignoring",
            "and",
            "or",
            "unless",
            "offset",
            "on",
            "start",
            "end",
            "atan2",
            "step",
            "range",
            "anchored",
            "smoothed",
            "max_of",
            "min_of",
        ],
    ),
    (
        "a duration",
        &["duration", "step"],
        &["number", "duration", "step", "range", "max_of", "min_of", "(", "+", "-"],
    ),
];

/// lalrpop's list of terminals as a person would write it.
fn readable(expected: &[String]) -> Vec<String> {
    let mut rest: Vec<&str> =
        expected.iter().map(|t| bare(t)).filter(|t| !t.starts_with("offset ")).collect();
    let mut out = Vec::new();
    for (name, tell, members) in GROUPS {
        if tell.iter().all(|terminal| rest.contains(terminal)) {
            out.push((*name).to_owned());
            rest.retain(|terminal| !members.contains(terminal));
        }
    }
    for terminal in rest {
        out.push(match terminal {
            "identifier" | "metric identifier" | "number" | "duration" | "string" | "aggregation" => {
                terminal.to_owned()
            }
            literal => format!("`{literal}`"),
        });
    }
    out.dedup();
    if out.len() > EXPECTED_MAX { Vec::new() } else { out }
}

//! The words for a syntax error. Only runs when a parse has failed: reads the tokens up to the unexpected one again, and
//! tells from them what Prometheus' grammar says at that place.

use lalrpop_util::ParseError;

use crate::ast::Span;
use crate::error::{Fault, ParseErrorKind};
use crate::lexer::Lexer;
use crate::quote::quoted;
use crate::suggest;
use crate::token::Token;

/// At most so many alternatives are listed as expected; more say nothing.
const EXPECTED_MAX: usize = 12;

/// What a failed parse tells the user.
pub(crate) fn syntax_fault(text: &str, error: ParseError<u32, Token, Box<Fault>>) -> Box<Fault> {
    let (found, expected) = match error {
        ParseError::User { error } => return error,
        ParseError::UnrecognizedToken { token, expected } => (Some(token), expected),
        ParseError::ExtraToken { token } => (Some(token), Vec::new()),
        ParseError::UnrecognizedEof { expected, .. } => (None, expected),
        ParseError::InvalidToken { .. } => (None, Vec::new()),
    };
    let end = text.len() as u32;
    let place = found.map_or(Span { start: end, end }, |(start, _, end)| Span { start, end });
    let before = tokens_before(text, place.start);
    if before.is_empty() && found.is_none() {
        return Fault::new(ParseErrorKind::Syntax, Span::default(), "no expression found in input");
    }
    let what =
        found.map_or_else(|| "end of input".to_owned(), |(_, token, _)| describe(token, place.slice(text)));
    if matches!(before.last(), Some((_, Token::Comma, _)))
        && found.is_some_and(|(_, token, _)| token == Token::RightParen)
        && in_call(&before)
    {
        let (start, _, end) = before[before.len() - 1];
        let message = "trailing commas not allowed in function call args";
        return Fault::new(ParseErrorKind::Syntax, Span { start, end }, message);
    }
    let mut message = format!("unexpected {what}");
    if let Some((context, expected)) = context(&before) {
        message.push_str(&format!(" in {context}"));
        if !expected.is_empty() {
            message.push_str(&format!(", expected {expected}"));
        }
    }
    let mut fault = Fault::new(ParseErrorKind::Syntax, place, message);
    fault.expected = readable(&expected);
    let suggestion = match found {
        Some((_, Token::Word, _)) => suggest::keyword(place.slice(text)),
        Some((_, Token::LeftParen | Token::Text, _)) | None => None,
        Some(_) => None,
    };
    let suggestion = suggestion.or_else(|| misspelt_before(text, &before, found));
    fault.suggest(suggestion)
}

/// `summ by (a) (x)`: the word before the keyword is the misspelt one.
fn misspelt_before(
    text: &str,
    before: &[(u32, Token, u32)],
    found: Option<(u32, Token, u32)>,
) -> Option<&'static str> {
    match (before.last()?, found?) {
        ((start, Token::Word, end), (_, Token::By | Token::Without, _)) => {
            suggest::callable(Span { start: *start, end: *end }.slice(text))
        }
        _ => None,
    }
}

fn tokens_before(text: &str, at: u32) -> Vec<(u32, Token, u32)> {
    Lexer::new(text).map_while(Result::ok).take_while(|(start, _, _)| *start < at).collect()
}

/// The token that opened the innermost bracket that is still open, and its index.
fn innermost(before: &[(u32, Token, u32)]) -> Option<(usize, Token)> {
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

fn in_call(before: &[(u32, Token, u32)]) -> bool {
    matches!(innermost(before), Some((at, Token::LeftParen)) if at > 0 && !is_label_list(before, at))
}

/// Does the parenthesis at this index open a list of labels?
fn is_label_list(before: &[(u32, Token, u32)], at: usize) -> bool {
    match before.get(at).map(|(_, token, _)| *token) {
        Some(Token::GroupLeftParen | Token::GroupRightParen) => true,
        Some(Token::LeftParen) => at > 0 && opens_labels(before, at - 1),
        _ => false,
    }
}

/// Is the word at this index `by`, `without`, `on` or `ignoring` where those are keywords and no metric names?
fn opens_labels(before: &[(u32, Token, u32)], at: usize) -> bool {
    let previous = at.checked_sub(1).map(|at| before[at].1);
    match before[at].1 {
        Token::By | Token::Without => matches!(previous, Some(Token::Aggregate | Token::RightParen)),
        Token::On | Token::Ignoring => true,
        _ => false,
    }
}

/// In which construct the unexpected token stands, and what Prometheus says is expected there.
fn context(before: &[(u32, Token, u32)]) -> Option<(&'static str, &'static str)> {
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
    match last {
        Token::Offset if last_at > 0 => Some(("offset", "number, duration, step(), or range()")),
        Token::At => Some(("@", "timestamp")),
        _ if opens_labels(before, last_at) => Some(("grouping opts", "\"(\"")),
        _ => None,
    }
}

/// Between brackets, told by whether a whole duration stands before the unexpected token.
fn bracket_context(inside: &[(u32, Token, u32)]) -> (&'static str, &'static str) {
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

/// lalrpop's list of terminals as a person would write it.
fn readable(expected: &[String]) -> Vec<String> {
    if expected.len() > EXPECTED_MAX {
        return Vec::new();
    }
    let bare =
        expected.iter().map(|terminal| terminal.trim_matches('"')).filter(|t| !t.starts_with("offset "));
    bare.map(|terminal| match terminal {
        "identifier" | "metric identifier" | "number" | "duration" | "string" | "aggregation" => {
            terminal.to_owned()
        }
        literal => format!("`{literal}`"),
    })
    .collect()
}

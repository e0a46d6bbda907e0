//! How a query is written that was written as in another language: help for faults of the lexer and of syntax.

use crate::diagnose::{Placed, ends_operand, innermost};
use crate::error::Fault;
use crate::token::Token;

const COMPARISONS: &str = "values are compared by `==`, `!=`, `<`, `<=`, `>` and `>=`";
const LABELS: &str = "labels are compared by `=`, `!=`, `=~` and `!~`";

/// What helps with a fault behind these tokens.
pub(crate) fn advice(text: &str, before: &[Placed], fault: &Fault) -> Option<&'static str> {
    let rest = &text[fault.span.start as usize..];
    if fault.message.starts_with("bad number or duration syntax") {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_unit = unit.starts_with(|c: char| c.is_ascii_alphabetic() && !"xXeE".contains(c));
        return is_unit.then_some("durations have the units `ms`, `s`, `m`, `h`, `d`, `w` and `y`");
    }
    if rest.starts_with('$') {
        return Some("variables of a dashboard are filled in before a query is sent");
    }
    match innermost(before) {
        Some((_, Token::LeftBrace)) => in_braces(text, rest, before),
        Some((_, Token::LeftBracket)) => None,
        _ => outside(text, rest, before),
    }
}

fn in_braces(text: &str, rest: &str, before: &[Placed]) -> Option<&'static str> {
    let last = before.last()?.1;
    let compares = matches!(last, Token::Equal | Token::NotEqual | Token::RegexMatch | Token::RegexNotMatch);
    let word = rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if compares && word {
        return Some("values of labels stand in quotes: `job=\"api\"`");
    }
    if last == Token::Text && (rest.starts_with("or ") || rest.starts_with('|')) {
        return Some("one label takes several values by a pattern: `job=~\"a|b\"`");
    }
    let compared = compares || ends_with_word(text, before);
    (compared && rest.starts_with(['=', '~', ':', '<', '>', '!'])).then_some(LABELS)
}

fn outside(text: &str, rest: &str, before: &[Placed]) -> Option<&'static str> {
    let (start, last, end) = *before.last()?;
    let operand = ends_operand(last);
    let word = rest.split(|c: char| !c.is_ascii_alphabetic() && c != '_').next().unwrap_or("");
    match word.to_ascii_lowercase().as_str() {
        "by" | "without" if operand => return Some("only aggregations have groups: `sum by (job) (…)`"),
        "on" | "ignoring" if operand => {
            return Some("what is matched stands behind the operator: `a * on (job) b`");
        }
        "group_left" | "group_right" => {
            return Some("`group_left` and `group_right` stand behind `on (…)` or `ignoring (…)`");
        }
        "" => {}
        _ if last == Token::Word && text[start as usize..end as usize].eq_ignore_ascii_case("not") => {
            return Some("`unless` leaves out the series that have a partner on its right side");
        }
        _ => return None,
    }
    let touches = text.len() - rest.len() == end as usize;
    match rest.as_bytes() {
        [b'&', ..] | [b'|', ..] => Some("`and`, `or` and `unless` are words"),
        [b'.', ..] if touches && ends_with_word(text, before) => {
            Some("a name with dots stands in quotes and braces: `{\"http.requests\", job=\"api\"}`")
        }
        [b'*', ..] if last == Token::Mul => Some("`^` is the power"),
        [b'=' | b'!', ..] if operand || is_comparison(last) => Some(COMPARISONS),
        [b'>', ..] if last == Token::Less => Some(COMPARISONS),
        _ => None,
    }
}

fn ends_with_word(text: &str, before: &[Placed]) -> bool {
    before.last().is_some_and(|(start, _, _)| {
        text[*start as usize..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"')
    })
}

fn is_comparison(token: Token) -> bool {
    matches!(token, Token::EqualEqual | Token::NotEqual | Token::Less | Token::Greater)
}

//! The tokens around the cursor: which word is being written, and what is known from the tokens before and behind it.

use kymo_model::{METRIC_NAME, MatchOp, Matcher};

use crate::ast::Span;
use crate::diagnose::{Placed, innermost, is_label_list};
use crate::lexer::Lexer;
use crate::literal::unquote;
use crate::token::Token;

/// At most so many selectors are told; a store is not asked more.
const SELECTORS_MAX: usize = 16;

/// What stands before the cursor.
pub(super) struct Scan {
    /// The tokens before the word.
    pub(super) before: Vec<Placed>,
    /// The word under the cursor, or the inside of the string.
    pub(super) word: Span,
    /// The quote of the string around the cursor.
    pub(super) quote: Option<char>,
    /// The tokens of the whole text, as far as they can be told.
    all: Vec<Placed>,
}

/// In what the cursor stands.
pub(super) enum Surroundings {
    /// In the braces of a selector; behind `label` and an operator, or not.
    Braces {
        label: Option<String>,
        selector: Vec<Matcher>,
        used: Vec<String>,
    },
    /// In the parentheses of `by`, `on` and so on.
    Labels {
        selectors: Vec<Vec<Matcher>>,
        used: Vec<String>,
    },
    /// In a string that names a label.
    LabelString {
        selectors: Vec<Vec<Matcher>>,
    },
    /// In any other string.
    OtherString,
    Elsewhere,
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}

impl Scan {
    /// `None` in a comment, and behind characters that are no token.
    pub(super) fn new(text: &str, cursor: usize) -> Option<Scan> {
        let all: Vec<Placed> = Lexer::new(text).map_while(Result::ok).collect();
        let mut before = Vec::new();
        let mut stopped = None;
        for token in Lexer::new(&text[..cursor]) {
            match token {
                Ok(token) => before.push(token),
                Err(fault) => stopped = Some(fault.span.start as usize),
            }
        }
        let bytes = text.as_bytes();
        let string = stopped.filter(|at| matches!(bytes.get(*at), Some(b'"' | b'\'' | b'`')));
        if let Some(start) = string.filter(|start| *start < cursor) {
            let quote = bytes[start];
            let end = bytes[cursor..]
                .iter()
                .position(|b| *b == quote || *b == b'\n')
                .map_or(text.len(), |n| cursor + n);
            let word = Span { start: start as u32 + 1, end: end as u32 };
            return Some(Scan { before, word, quote: Some(quote as char), all });
        }
        let mut start = cursor;
        while start > 0 && is_word_byte(bytes[start - 1]) {
            start -= 1;
        }
        // Whatever was lexed of the word itself is not before it.
        while before.last().is_some_and(|(_, _, end)| *end as usize > start) {
            before.pop();
        }
        let reached = before.last().map_or(0, |(_, _, end)| *end as usize);
        // Characters that are no token stand before the word.
        if stopped.is_some_and(|at| at < start) {
            return None;
        }
        let gap = &text[reached.min(start)..start];
        if gap.rfind('#').is_some_and(|at| !gap[at..].contains(['\n', '\r'])) {
            return None;
        }
        let len = bytes[cursor..].iter().take_while(|b| is_word_byte(**b)).count();
        let word = Span { start: start as u32, end: (cursor + len) as u32 };
        Some(Scan { before, word, quote: None, all })
    }

    pub(super) fn surroundings(&self, text: &str) -> Surroundings {
        let opened = innermost(&self.before);
        match opened {
            Some((open, Token::LeftBrace)) => self.braces(text, open),
            Some((open, _)) if is_label_list(&self.before, open) => self.labels(text, open),
            Some((open, Token::LeftParen)) if self.quote.is_some() => self.argument(text, open),
            _ if self.quote.is_some() => Surroundings::OtherString,
            _ => Surroundings::Elsewhere,
        }
    }

    /// The tokens to look at: of the whole text if they reach the cursor, else those before it.
    fn tokens(&self) -> &[Placed] {
        let reached = self.all.last().map_or(0, |(_, _, end)| *end);
        if reached > self.word.start { &self.all } else { &self.before }
    }

    fn holds_cursor(&self, token: &Placed) -> bool {
        token.0 <= self.word.start && self.word.start <= token.2 && token.1 != Token::Comma
    }

    fn braces(&self, text: &str, open: usize) -> Surroundings {
        let label = match &self.before[open + 1..] {
            [.., name, (_, Token::Equal | Token::NotEqual | Token::RegexMatch | Token::RegexNotMatch, _)] => {
                name_of(text, name)
            }
            _ => None,
        };
        let tokens = self.tokens();
        let mut selector = Vec::new();
        selector.extend(open.checked_sub(1).and_then(|at| metric(text, &tokens[at])));
        let end = tokens[open..]
            .iter()
            .position(|(_, t, _)| *t == Token::RightBrace)
            .map_or(tokens.len(), |n| open + n);
        let mut used = Vec::new();
        for condition in tokens[open + 1..end].split(|(_, token, _)| *token == Token::Comma) {
            if condition.iter().any(|token| self.holds_cursor(token)) {
                continue;
            }
            if let Some(matcher) = matcher(text, condition) {
                used.push(matcher.name().to_owned());
                selector.push(matcher);
            }
        }
        Surroundings::Braces { label, selector, used }
    }

    fn labels(&self, text: &str, open: usize) -> Surroundings {
        let tokens = self.tokens();
        let end = closing(tokens, open).unwrap_or(tokens.len());
        let list = &tokens[open + 1..end];
        let used = list
            .iter()
            .filter(|token| token.1 != Token::Comma && !self.holds_cursor(token))
            .filter_map(|token| name_of(text, token))
            .collect();
        // Those of the aggregation's operand, before or behind; those of both sides of an operation.
        let grouping = open > 0 && matches!(tokens[open - 1].1, Token::By | Token::Without);
        let operand = match open.checked_sub(2).map(|at| tokens[at].1) {
            Some(Token::RightParen) if grouping => {
                innermost(&tokens[..open - 2]).map_or(&[][..], |(at, _)| &tokens[at..open - 1])
            }
            _ if grouping => {
                let start = (end + 1).min(tokens.len());
                &tokens[start..closing(tokens, start).unwrap_or(tokens.len())]
            }
            _ => tokens,
        };
        Surroundings::Labels { selectors: selectors(text, operand), used }
    }

    /// In a string inside the parentheses of a call: some functions take the names of labels.
    fn argument(&self, text: &str, open: usize) -> Surroundings {
        let mut depth = 0;
        let mut index = 0;
        for (_, token, _) in &self.before[open + 1..] {
            match token {
                Token::LeftParen | Token::GroupLeftParen | Token::GroupRightParen => depth += 1,
                Token::RightParen => depth -= 1,
                Token::Comma if depth == 0 => index += 1,
                _ => {}
            }
        }
        let name = open.checked_sub(1).map_or("", |at| slice(text, &self.before[at]));
        let is_label = match name {
            "label_replace" => index == 1 || index == 3,
            "label_join" => index == 1 || index > 2,
            "sort_by_label" | "sort_by_label_desc" => index > 0,
            _ => false,
        };
        if is_label {
            return Surroundings::LabelString { selectors: selectors(text, &self.before[open..]) };
        }
        Surroundings::OtherString
    }
}

fn slice<'t>(text: &'t str, token: &Placed) -> &'t str {
    Span { start: token.0, end: token.2 }.slice(text)
}

/// The name that a word or a string says.
fn name_of(text: &str, token: &Placed) -> Option<String> {
    let written = slice(text, token);
    match token.1 {
        Token::Text => String::from_utf8(unquote(written).ok()?).ok(),
        _ if written.as_bytes().first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_') => {
            Some(written.to_owned())
        }
        _ => None,
    }
}

/// The condition that a metric's name before braces is.
fn metric(text: &str, token: &Placed) -> Option<Matcher> {
    let is_name = matches!(token.1, Token::Word | Token::MetricWord) || is_name_keyword(token.1);
    is_name.then(|| Matcher::equal(METRIC_NAME, slice(text, token)))
}

fn is_name_keyword(token: Token) -> bool {
    matches!(
        token,
        Token::Aggregate
            | Token::Start
            | Token::End
            | Token::Step
            | Token::Range
            | Token::MaxOf
            | Token::MinOf
    )
}

/// `label op "value"`, or a metric's name in quotes.
fn matcher(text: &str, condition: &[Placed]) -> Option<Matcher> {
    match condition {
        [name @ (_, Token::Text, _)] => Some(Matcher::equal(METRIC_NAME, &name_of(text, name)?)),
        [name, (_, op, _), value @ (_, Token::Text, _)] => {
            let op = match op {
                Token::Equal => MatchOp::Equal,
                Token::NotEqual => MatchOp::NotEqual,
                Token::RegexMatch => MatchOp::Regex,
                Token::RegexNotMatch => MatchOp::NotRegex,
                _ => return None,
            };
            Matcher::new(op, &name_of(text, name)?, &name_of(text, value)?).ok()
        }
        _ => None,
    }
}

/// Where the parenthesis closes that opens at `open`.
fn closing(tokens: &[Placed], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (index, (_, token, _)) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::LeftParen | Token::GroupLeftParen | Token::GroupRightParen => depth += 1,
            Token::RightParen => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// The selectors among these tokens.
fn selectors(text: &str, tokens: &[Placed]) -> Vec<Vec<Matcher>> {
    let mut out: Vec<Vec<Matcher>> = Vec::new();
    let mut at = 0;
    while at < tokens.len() && out.len() < SELECTORS_MAX {
        let next = tokens.get(at + 1).map(|(_, token, _)| *token);
        match tokens[at].1 {
            Token::LeftParen | Token::GroupLeftParen | Token::GroupRightParen
                if is_label_list(tokens, at) =>
            {
                at = closing(tokens, at).unwrap_or(tokens.len());
            }
            Token::LeftBrace => {
                let end = tokens[at..].iter().position(|(_, t, _)| *t == Token::RightBrace);
                let end = end.map_or(tokens.len(), |n| at + n);
                let mut selector: Vec<Matcher> = Vec::new();
                selector.extend(at.checked_sub(1).and_then(|before| metric(text, &tokens[before])));
                let conditions = tokens[at + 1..end].split(|(_, token, _)| *token == Token::Comma);
                selector.extend(conditions.filter_map(|condition| matcher(text, condition)));
                out.push(selector);
                at = end;
            }
            Token::Word | Token::MetricWord if !matches!(next, Some(Token::LeftParen | Token::LeftBrace)) => {
                out.push(vec![Matcher::equal(METRIC_NAME, slice(text, &tokens[at]))]);
            }
            _ => {}
        }
        at += 1;
    }
    out.retain(|selector| !selector.is_empty());
    out
}

//! The token stream of a query: switches logos between its three modes, recognises keywords, and merges what one token of
//! lookahead could not tell apart.
//!
//! Every token lies inside the text, after the token before it. Errors are those of Prometheus' lexer, at its positions.

use logos::Logos;

use crate::ast::Span;
use crate::error::{Fault, ParseErrorKind};
use crate::literal::{NumberScan, TextScan, escapes, unquote};
use crate::quote::{quoted, quoted_char};
use crate::token::{InBraces, InBrackets, Outside, Token, keyword};

/// A token and its place, as lalrpop wants it.
pub(crate) type Lexed = Result<(u32, Token, u32), Box<Fault>>;

pub(crate) struct Lexer<'a> {
    text: &'a str,
    mode: Mode<'a>,
    open_parens: u32,
    /// A number was seen since `[`: from there on a comment may stand inside the brackets.
    number_in_brackets: bool,
    /// What was seen since `[`: nothing, a duration, a colon.
    bracket: Bracket,
    offset: OffsetState,
    /// The error token was given out.
    ended: bool,
}

enum Mode<'a> {
    Outside(logos::Lexer<'a, Outside>),
    Braces(logos::Lexer<'a, InBraces>),
    Brackets(logos::Lexer<'a, InBrackets>),
}

/// How far the stream is into `[…]`.
#[derive(Clone, Copy, PartialEq)]
enum Bracket {
    Opened,
    Range,
    Step,
}

/// How far the stream is into `offset (…)` or `offset --…`, behind which arithmetic continues the duration.
#[derive(Clone, Copy, PartialEq)]
enum OffsetState {
    None,
    /// `offset` was just seen.
    Word,
    /// One sign was seen behind it. A second one begins arithmetic.
    Sign,
    /// Inside the parentheses that were opened at this depth.
    Inside(u32),
    /// Behind the closing parenthesis or behind a further operand.
    Operand,
    /// Behind an operator of the continued duration.
    Operator,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Lexer<'a> {
        Lexer {
            text,
            mode: Mode::Outside(Outside::lexer(text)),
            open_parens: 0,
            number_in_brackets: false,
            bracket: Bracket::Opened,
            offset: OffsetState::None,
            ended: false,
        }
    }

    fn error<T>(&self, start: usize, message: impl Into<String>) -> Result<T, Box<Fault>> {
        Err(self.fault(start, message))
    }

    /// The text ends inside brackets.
    fn unclosed<T>(&self, message: &str) -> Result<T, Box<Fault>> {
        let mut fault = self.fault(self.text.len(), message);
        fault.unclosed = true;
        Err(fault)
    }

    /// An error at `start`. As in Prometheus it reaches to the end of the text.
    fn fault(&self, start: usize, message: impl Into<String>) -> Box<Fault> {
        let span = Span { start: start as u32, end: self.text.len() as u32 };
        Fault::new(ParseErrorKind::Lexical, span, message)
    }

    fn next_token(&mut self) -> Option<Result<(usize, Token, usize), Box<Fault>>> {
        match &mut self.mode {
            Mode::Outside(lexer) => match lexer.next() {
                Some(found) => {
                    let span = lexer.span();
                    Some(self.outside(found, span.start, span.end))
                }
                None if self.open_parens > 0 => Some(self.unclosed("unclosed left parenthesis")),
                None => None,
            },
            Mode::Braces(lexer) => match lexer.next() {
                Some(found) => {
                    let span = lexer.span();
                    Some(self.in_braces(found, span.start, span.end))
                }
                None => Some(self.unclosed("unexpected end of input inside braces")),
            },
            Mode::Brackets(lexer) => match lexer.next() {
                Some(Ok(InBrackets::Comment)) if self.number_in_brackets => self.next_token(),
                Some(found) => {
                    let span = lexer.span();
                    Some(self.in_brackets(found, span.start, span.end))
                }
                None => Some(self.unclosed(match (self.number_in_brackets, self.open_parens > 0) {
                    (false, _) => "unexpected end of input in duration expression",
                    (true, true) => "unclosed left parenthesis",
                    (true, false) => "unclosed left bracket",
                })),
            },
        }
    }

    fn outside(
        &mut self,
        found: Result<Outside, ()>,
        start: usize,
        end: usize,
    ) -> Result<(usize, Token, usize), Box<Fault>> {
        let Ok(found) = found else {
            let mut chars = self.text[start..].chars();
            return match (chars.next(), chars.next()) {
                (Some('!'), after) => {
                    self.error(start, format!("unexpected character after '!': {}", quoted_char(after)))
                }
                (first, _) => self.error(start, format!("unexpected character: {}", quoted_char(first))),
            };
        };
        let token = match found {
            Outside::Word => return self.word(start, end),
            Outside::MetricWord => Token::MetricWord,
            Outside::Number(scan) => self.number(scan, start, end)?,
            Outside::Text(scan) => self.string(scan, start, end)?,
            Outside::LeftParen => {
                self.open_parens += 1;
                Token::LeftParen
            }
            Outside::RightParen => self.right_paren(end)?,
            Outside::LeftBrace => {
                self.switch();
                Token::LeftBrace
            }
            Outside::LeftBracket => {
                if let Mode::Outside(lexer) = &self.mode {
                    self.mode = Mode::Brackets(lexer.clone().morph());
                }
                self.number_in_brackets = false;
                self.bracket = Bracket::Opened;
                Token::LeftBracket
            }
            Outside::RightBracket => return self.error(start, "unexpected right bracket ']'"),
            Outside::EqualTilde => return self.error(start, "unexpected character after '=': '~'"),
            Outside::Comma => Token::Comma,
            Outside::At => Token::At,
            Outside::Add => Token::Add,
            Outside::Sub => Token::Sub,
            Outside::Mul => Token::Mul,
            Outside::Div => Token::Div,
            Outside::Mod => Token::Mod,
            Outside::Pow => Token::Pow,
            Outside::EqualEqual => Token::EqualEqual,
            Outside::NotEqual => Token::NotEqual,
            Outside::Less => Token::Less,
            Outside::Greater => Token::Greater,
            Outside::LessEqual => Token::LessEqual,
            Outside::GreaterEqual => Token::GreaterEqual,
            Outside::TrimUpper => Token::TrimUpper,
            Outside::TrimLower => Token::TrimLower,
            Outside::Equal => Token::Equal,
        };
        Ok((start, token, end))
    }

    /// From outside into braces and back.
    fn switch(&mut self) {
        self.mode = match &self.mode {
            Mode::Outside(lexer) => Mode::Braces(lexer.clone().morph()),
            Mode::Braces(lexer) => Mode::Outside(lexer.clone().morph()),
            Mode::Brackets(lexer) => Mode::Outside(lexer.clone().morph()),
        };
    }

    fn right_paren(&mut self, end: usize) -> Result<Token, Box<Fault>> {
        match self.open_parens.checked_sub(1) {
            Some(open) => self.open_parens = open,
            None => return self.error(end, "unexpected right parenthesis ')'"),
        }
        Ok(Token::RightParen)
    }

    fn word(&mut self, start: usize, end: usize) -> Result<(usize, Token, usize), Box<Fault>> {
        let word = &self.text[start..end];
        let Some(token) = keyword(word) else {
            return Ok((start, Token::Word, end));
        };
        let merged = match token {
            Token::GroupLeft => Token::GroupLeftParen,
            Token::GroupRight => Token::GroupRightParen,
            // Not keywords unless a parenthesis follows, so that metrics of these names stay usable.
            Token::Fill | Token::FillLeft | Token::FillRight => {
                let opens = self.text[end..].trim_start_matches([' ', '\t', '\r', '\n']).starts_with('(');
                return Ok((start, if opens { token } else { Token::Word }, end));
            }
            _ => return Ok((start, token, end)),
        };
        let Some(paren) = next_paren(&self.text[end..]) else {
            return Ok((start, token, end));
        };
        if let Mode::Outside(lexer) = &mut self.mode {
            lexer.bump(paren);
        }
        self.open_parens += 1;
        Ok((start, merged, end + paren))
    }

    fn number(&self, scan: NumberScan, start: usize, end: usize) -> Result<Token, Box<Fault>> {
        match scan {
            NumberScan::Number => Ok(Token::Number),
            NumberScan::Duration => Ok(Token::Duration),
            NumberScan::Bad => {
                let literal = &self.text.as_bytes()[start..end];
                self.error(start, format!("bad number or duration syntax: {}", quoted(literal)))
            }
        }
    }

    fn string(&self, scan: TextScan, start: usize, end: usize) -> Result<Token, Box<Fault>> {
        let raw = self.text.as_bytes()[start] == b'`';
        match scan {
            TextScan::Plain => Ok(Token::Text),
            TextScan::Escaped => match unquote(&self.text[start..end]) {
                Ok(_) => Ok(Token::Text),
                Err(bad) => self.error(start, bad.0),
            },
            TextScan::Unterminated if raw => self.error(start, "unterminated raw string"),
            // A bad escape stands before the missing quote.
            TextScan::Unterminated => match escapes(&self.text[start..], self.text.as_bytes()[start]) {
                Err(bad) => self.error(start, bad.0),
                Ok(()) => self.error(start, "unterminated quoted string"),
            },
        }
    }

    fn in_braces(
        &mut self,
        found: Result<InBraces, ()>,
        start: usize,
        end: usize,
    ) -> Result<(usize, Token, usize), Box<Fault>> {
        let Ok(found) = found else {
            let mut chars = self.text[start..].chars();
            return match (chars.next(), chars.next()) {
                (Some('!'), after) => self.error(
                    start,
                    format!("unexpected character after '!' inside braces: {}", quoted_char(after)),
                ),
                (first, _) => {
                    self.error(start, format!("unexpected character inside braces: {}", quoted_char(first)))
                }
            };
        };
        let token = match found {
            InBraces::Word => Token::Word,
            InBraces::Text(scan) => self.string(scan, start, end)?,
            InBraces::RightBrace => {
                self.switch();
                Token::RightBrace
            }
            InBraces::LeftBrace => return self.error(start, "unexpected left brace '{'"),
            InBraces::Comma => Token::Comma,
            InBraces::Equal => Token::Equal,
            InBraces::NotEqual => Token::NotEqual,
            InBraces::RegexMatch => Token::RegexMatch,
            InBraces::RegexNotMatch => Token::RegexNotMatch,
        };
        Ok((start, token, end))
    }

    fn in_brackets(
        &mut self,
        found: Result<InBrackets, ()>,
        start: usize,
        end: usize,
    ) -> Result<(usize, Token, usize), Box<Fault>> {
        let token = match found {
            Ok(InBrackets::Word) => match keyword(&self.text[start..end]) {
                Some(token @ (Token::Step | Token::Range | Token::MaxOf | Token::MinOf)) => token,
                _ => return Err(self.stray_in_brackets(start)),
            },
            Ok(InBrackets::Number(scan)) => {
                self.number_in_brackets = true;
                self.number(scan, start, end)?
            }
            Ok(InBrackets::LeftParen) => {
                self.open_parens += 1;
                Token::LeftParen
            }
            Ok(InBrackets::RightParen) => self.right_paren(end)?,
            Ok(InBrackets::RightBracket) => {
                self.switch();
                Token::RightBracket
            }
            Ok(InBrackets::LeftBracket) if self.number_in_brackets => {
                return self.error(start, "unexpected left bracket '['");
            }
            Ok(InBrackets::Comma) => Token::Comma,
            Ok(InBrackets::Colon) => {
                self.colon(start, end)?;
                return Ok((start, Token::Colon, end));
            }
            Ok(InBrackets::Add) => Token::Add,
            Ok(InBrackets::Sub) => Token::Sub,
            Ok(InBrackets::Mul) => Token::Mul,
            Ok(InBrackets::Div) => Token::Div,
            Ok(InBrackets::Mod) => Token::Mod,
            Ok(InBrackets::Pow) => Token::Pow,
            Ok(InBrackets::LeftBracket | InBrackets::Comment) | Err(()) => {
                return Err(self.stray_in_brackets(start));
            }
        };
        if self.bracket == Bracket::Opened {
            self.bracket = Bracket::Range;
        }
        Ok((start, token, end))
    }

    /// One colon stands in brackets, behind the range.
    fn colon(&mut self, start: usize, end: usize) -> Result<(), Box<Fault>> {
        match self.bracket {
            Bracket::Opened => self.error(end, "unexpected colon before duration in duration expression"),
            Bracket::Step => self.error(start, "unexpected colon ':'"),
            Bracket::Range => {
                self.bracket = Bracket::Step;
                Ok(())
            }
        }
    }

    fn stray_in_brackets(&self, start: usize) -> Box<Fault> {
        let first = quoted_char(self.text[start..].chars().next());
        if !self.number_in_brackets {
            return self.fault(start, format!("unexpected character in duration expression: {first}"));
        }
        if self.text.as_bytes()[start].is_ascii_alphabetic() || self.text.as_bytes()[start] == b'_' {
            return self.fault(start, format!("unexpected character: {first}, expected ':'"));
        }
        self.fault(start, format!("unexpected character: {first}"))
    }

    /// Marks arithmetic behind `offset (…)` as part of the duration, as Prometheus' grammar resolves it.
    fn mark_offset(&mut self, token: Token) -> Token {
        use OffsetState::{Inside, Operand, Operator, Sign, Word};
        match (self.offset, token) {
            (OffsetState::None, Token::Offset) => self.offset = Word,
            (OffsetState::None, _) => {}
            (Word, Token::LeftParen) => self.offset = Inside(self.open_parens - 1),
            (Word, Token::Add | Token::Sub) => self.offset = Sign,
            (Sign, Token::Add | Token::Sub) => self.offset = Operator,
            (Inside(depth), Token::RightParen) if self.open_parens == depth => self.offset = Operand,
            (Inside(_), _) => {}
            (Operand, operator) => {
                let marked = match operator {
                    Token::Add => Token::OffsetAdd,
                    Token::Sub => Token::OffsetSub,
                    Token::Mul => Token::OffsetMul,
                    Token::Div => Token::OffsetDiv,
                    Token::Mod => Token::OffsetMod,
                    Token::Pow => Token::OffsetPow,
                    Token::Offset => {
                        self.offset = Word;
                        return token;
                    }
                    _ => {
                        self.offset = OffsetState::None;
                        return token;
                    }
                };
                self.offset = Operator;
                return marked;
            }
            (Operator, Token::Number | Token::Duration) => self.offset = Operand,
            (Operator, Token::Add | Token::Sub) => {}
            (Operator, Token::LeftParen | Token::Step | Token::Range | Token::MaxOf | Token::MinOf) => {
                let opened = u32::from(token == Token::LeftParen);
                self.offset = Inside(self.open_parens - opened);
            }
            (Word | Sign | Operator, _) => self.offset = OffsetState::None,
        }
        token
    }
}

impl Iterator for Lexer<'_> {
    type Item = Lexed;

    fn next(&mut self) -> Option<Lexed> {
        if self.ended {
            return None;
        }
        let found = self.next_token()?;
        self.ended = found.is_err();
        Some(found.map(|(start, token, end)| (start as u32, self.mark_offset(token), end as u32)))
    }
}

/// The length of the blanks and comments up to and with the parenthesis that comes next, if one does.
fn next_paren(text: &str) -> Option<usize> {
    let mut at = 0;
    let bytes = text.as_bytes();
    loop {
        match bytes.get(at)? {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'#' => at += text[at..].find(['\r', '\n'])?,
            b'(' => return Some(at + 1),
            _ => return None,
        }
    }
}

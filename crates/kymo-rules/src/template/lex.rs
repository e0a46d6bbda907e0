//! Lexer: template text to tokens. Text outside of `{{ }}` is one token, trimmed where the delimiters ask for it.

use super::ast::Span;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Text(String),
    LeftDelim,
    RightDelim,
    /// Between words of an action.
    Space,
    LeftParen,
    RightParen,
    Pipe,
    Comma,
    Assign,
    Declare,
    Dot,
    /// `.name`
    Field(String),
    /// `$` or `$name`
    Variable(String),
    Identifier(String),
    /// As written.
    Number(String),
    /// A character constant, by its code.
    Char(i64),
    Str(String),
}

#[derive(Clone, Debug)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) span: Span,
}

/// What the lexer stumbled over, and at which byte.
pub(super) struct LexError {
    pub(super) message: String,
    pub(super) offset: usize,
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";

pub(super) fn lex(text: &str) -> Result<Vec<Lexeme>, LexError> {
    let mut lexer = Lexer { text, at: 0, out: Vec::new() };
    lexer.run()?;
    Ok(lexer.out)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    out: Vec<Lexeme>,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), LexError> {
        let mut trim_left = false;
        loop {
            let rest = &self.text[self.at..];
            let Some(open) = rest.find(LEFT) else {
                self.push_text(rest.len(), trim_left, false);
                return Ok(());
            };
            let after = &rest[open + LEFT.len()..];
            let trim_right = after.starts_with('-') && after[1..].starts_with(is_space);
            self.push_text(open, trim_left, trim_right);
            let start = self.at;
            self.at += LEFT.len() + if trim_right { 2 } else { 0 };
            let body = &self.text[self.at..];
            trim_left = if body.starts_with("/*") { self.comment()? } else { self.action(start)? };
        }
    }

    fn push_text(&mut self, len: usize, trim_left: bool, trim_right: bool) {
        let mut text = &self.text[self.at..self.at + len];
        let start = self.at;
        self.at += len;
        if trim_left {
            text = text.trim_start_matches(is_space);
        }
        if trim_right {
            text = text.trim_end_matches(is_space);
        }
        if !text.is_empty() {
            let span = Span { start, end: self.at };
            self.out.push(Lexeme { token: Token::Text(text.to_owned()), span });
        }
    }

    fn error(&self, offset: usize, message: impl Into<String>) -> LexError {
        LexError { message: message.into(), offset }
    }

    fn comment(&mut self) -> Result<bool, LexError> {
        let Some(len) = self.text[self.at..].find("*/") else {
            return Err(self.error(self.at, "unclosed comment"));
        };
        let end = self.at + len + 2;
        let rest = &self.text[end..];
        let trimmed = rest.starts_with(is_space) && rest[1..].starts_with("-}}");
        let close = if trimmed { 2 } else { 0 };
        if !rest[close..].starts_with(RIGHT) {
            return Err(self.error(end, "comment ends before closing delimiter"));
        }
        self.at = end + close + RIGHT.len();
        Ok(trimmed)
    }

    /// The tokens up to the closing delimiter; says whether that trims.
    fn action(&mut self, start: usize) -> Result<bool, LexError> {
        self.out.push(Lexeme { token: Token::LeftDelim, span: Span { start, end: self.at } });
        let mut depth = 0_usize;
        loop {
            let begin = self.at;
            let rest = &self.text[self.at..];
            let trimmed = rest.starts_with(is_space) && rest[1..].starts_with("-}}");
            if trimmed || rest.starts_with(RIGHT) {
                if depth > 0 {
                    return Err(self.error(begin, "unclosed left paren"));
                }
                self.at += if trimmed { 4 } else { 2 };
                self.push(Token::RightDelim, begin);
                return Ok(trimmed);
            }
            let Some(c) = rest.chars().next() else {
                return Err(self.error(start, "unclosed action"));
            };
            match c {
                _ if is_space(c) => {
                    // Stop before a space that belongs to a trimming delimiter.
                    let spaces = rest.bytes().take_while(|b| is_space(*b as char)).count();
                    let keep = usize::from(rest[spaces..].starts_with("-}}"));
                    self.at += (spaces - keep).max(usize::from(spaces == 1 && keep == 0));
                    self.push(Token::Space, begin);
                }
                '"' => self.quoted(begin)?,
                '`' => self.raw(begin)?,
                '\'' => self.char_constant(begin)?,
                '(' => {
                    depth += 1;
                    self.single(Token::LeftParen);
                }
                ')' => {
                    let Some(less) = depth.checked_sub(1) else {
                        return Err(self.error(begin, "unexpected right paren"));
                    };
                    depth = less;
                    self.single(Token::RightParen);
                }
                '|' => self.single(Token::Pipe),
                ',' => self.single(Token::Comma),
                '=' => self.single(Token::Assign),
                ':' if rest.starts_with(":=") => {
                    self.at += 2;
                    self.push(Token::Declare, begin);
                }
                ':' => return Err(self.error(begin, "expected :=")),
                '$' => {
                    self.at += 1;
                    let name = self.word();
                    self.terminated(begin)?;
                    self.push(Token::Variable(format!("${name}")), begin);
                }
                '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    self.at += 1;
                    let name = self.word();
                    if !name.is_empty() {
                        self.terminated(begin)?;
                        self.push(Token::Field(name), begin);
                    } else {
                        self.push(Token::Dot, begin);
                    }
                }
                '+' | '-' | '.' | '0'..='9' => self.number(begin)?,
                c if is_word(c) => {
                    let word = self.word();
                    self.terminated(begin)?;
                    self.push(Token::Identifier(word), begin);
                }
                c => {
                    let message = if c.is_ascii_graphic() {
                        format!("unexpected {:?} in command", c.to_string())
                    } else {
                        format!("unrecognized character in action: {}", describe(c))
                    };
                    return Err(self.error(begin, message));
                }
            }
        }
    }

    fn push(&mut self, token: Token, start: usize) {
        self.out.push(Lexeme { token, span: Span { start, end: self.at } });
    }

    fn single(&mut self, token: Token) {
        let start = self.at;
        self.at += 1;
        self.push(token, start);
    }

    fn word(&mut self) -> String {
        let rest = &self.text[self.at..];
        let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        self.at += len;
        rest[..len].to_owned()
    }

    /// A word must be followed by something that cannot continue it.
    fn terminated(&self, start: usize) -> Result<(), LexError> {
        let rest = &self.text[self.at..];
        let good = rest.starts_with(|c: char| is_space(c) || ".,|:)(=".contains(c))
            || rest.is_empty()
            || rest.starts_with(RIGHT);
        if good {
            return Ok(());
        }
        let c = rest.chars().next().map_or_else(String::new, describe);
        Err(self.error(start, format!("bad character {c}")))
    }

    fn number(&mut self, start: usize) -> Result<(), LexError> {
        let rest = &self.text[start..];
        let sign = usize::from(rest.starts_with(['+', '-']));
        let mut len = sign;
        let bytes = rest.as_bytes();
        let hex = rest[sign..].starts_with("0x") || rest[sign..].starts_with("0X");
        while let Some(b) = bytes.get(len) {
            let exponent = if hex { b"pP" } else { b"eE" };
            let after_exponent = len > sign && exponent.contains(&bytes[len - 1]);
            if !(b.is_ascii_alphanumeric()
                || matches!(b, b'.' | b'_')
                || matches!(b, b'+' | b'-') && after_exponent)
            {
                break;
            }
            len += 1;
        }
        let written = &rest[..len];
        if len == sign || rest[len..].starts_with(is_word) {
            return Err(self.error(start, format!("bad number syntax: {written:?}")));
        }
        self.at = start + len;
        self.push(Token::Number(written.to_owned()), start);
        Ok(())
    }

    fn raw(&mut self, start: usize) -> Result<(), LexError> {
        let Some(len) = self.text[start + 1..].find('`') else {
            return Err(self.error(start, "unterminated raw quoted string"));
        };
        let text = self.text[start + 1..start + 1 + len].to_owned();
        self.at = start + len + 2;
        self.push(Token::Str(text), start);
        Ok(())
    }

    fn quoted(&mut self, start: usize) -> Result<(), LexError> {
        let mut out = Vec::new();
        let mut at = start + 1;
        loop {
            let rest = &self.text[at..];
            match rest.chars().next() {
                None | Some('\n') => return Err(self.error(start, "unterminated quoted string")),
                Some('"') => break,
                Some('\\') => {
                    let Some((value, len)) = unescape(rest, '"') else {
                        return Err(self.error(at, "invalid syntax"));
                    };
                    value.push_to(&mut out);
                    at += len;
                }
                Some(c) => {
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    at += c.len_utf8();
                }
            }
        }
        self.at = at + 1;
        // Go's strings are bytes; here, bytes that are no UTF-8 become the replacement character.
        self.push(Token::Str(String::from_utf8_lossy(&out).into_owned()), start);
        Ok(())
    }

    fn char_constant(&mut self, start: usize) -> Result<(), LexError> {
        let rest = &self.text[start + 1..];
        let malformed = || self.error(start, "malformed character constant");
        let (code, len) = match rest.chars().next() {
            None | Some('\n') => return Err(self.error(start, "unterminated character constant")),
            Some('\\') => {
                let (value, len) = unescape(rest, '\'').ok_or_else(malformed)?;
                (value.code(), len)
            }
            Some(c) => (i64::from(u32::from(c)), c.len_utf8()),
        };
        if !rest[len..].starts_with('\'') {
            return Err(malformed());
        }
        self.at = start + 1 + len + 1;
        self.push(Token::Char(code), start);
        Ok(())
    }
}

enum Escaped {
    Char(char),
    Byte(u8),
}

impl Escaped {
    fn push_to(&self, out: &mut Vec<u8>) {
        match self {
            Escaped::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Escaped::Byte(b) => out.push(*b),
        }
    }

    fn code(&self) -> i64 {
        match self {
            Escaped::Char(c) => i64::from(u32::from(*c)),
            Escaped::Byte(b) => i64::from(*b),
        }
    }
}

/// One escape of a Go string at the start of `rest`, and its length.
fn unescape(rest: &str, quote: char) -> Option<(Escaped, usize)> {
    let c = rest[1..].chars().next()?;
    let hex = |digits: usize| {
        let text = rest.get(2..2 + digits)?;
        if text.bytes().all(|b| b.is_ascii_hexdigit()) { u32::from_str_radix(text, 16).ok() } else { None }
    };
    let simple = |c: char| Some((Escaped::Char(c), 2));
    match c {
        'a' => simple('\u{7}'),
        'b' => simple('\u{8}'),
        'f' => simple('\u{c}'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\u{b}'),
        '\\' => simple('\\'),
        c if c == quote => simple(c),
        'x' => Some((Escaped::Byte(hex(2)? as u8), 4)),
        'u' => Some((Escaped::Char(char::from_u32(hex(4)?)?), 6)),
        'U' => Some((Escaped::Char(char::from_u32(hex(8)?)?), 10)),
        '0'..='7' => {
            let text = rest.get(1..4)?;
            let code = if text.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
                u32::from_str_radix(text, 8).ok()?
            } else {
                return None;
            };
            Some((Escaped::Byte(u8::try_from(code).ok()?), 4))
        }
        _ => None,
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// A character as Go's `%#U` prints it.
fn describe(c: char) -> String {
    format!("U+{:04X} '{c}'", u32::from(c))
}

//! Scan: a position in a pattern, and the small pieces of syntax that are read from it character by character.

use super::error::{RegexError, RegexErrorKind as Kind};
use super::parse::Flags;

/// Above every count that is allowed; what a longer number reads as.
const COUNT_TOO_LARGE: u32 = u32::MAX;

pub(super) struct Scan<'p> {
    pattern: &'p str,
    at: usize,
}

impl<'p> Scan<'p> {
    pub(super) fn new(pattern: &'p str) -> Scan<'p> {
        Scan { pattern, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'p str {
        &self.pattern[self.at..]
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<char> {
        match self.pattern.as_bytes().get(self.at) {
            Some(&b) if b < 0x80 => Some(b as char),
            _ => self.rest().chars().next(),
        }
    }

    /// Moves past the next character, if there is one.
    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// An error whose fragment goes from `start` to here.
    pub(super) fn error(&self, kind: Kind, start: usize) -> RegexError {
        RegexError::new(kind, &self.pattern[start..self.at])
    }

    /// An error whose fragment goes from `start` to the end.
    pub(super) fn error_to_end(&self, kind: Kind, start: usize) -> RegexError {
        RegexError::new(kind, &self.pattern[start..])
    }

    pub(super) fn error_whole(&self, kind: Kind) -> RegexError {
        RegexError::new(kind, self.pattern)
    }

    /// `{2}`, `{2,}`, `{2,3}`: least and greatest count. Anything else is no repetition, nothing is read, and `{` stands for
    /// itself.
    pub(super) fn counts(&mut self) -> Option<(u32, Option<u32>)> {
        let inner = self.rest().strip_prefix('{')?;
        let (min, rest) = count(inner)?;
        let (max, rest) = match rest.strip_prefix(',') {
            None => (Some(min), rest),
            Some(rest) if rest.starts_with('}') => (None, rest),
            Some(rest) => {
                let (max, rest) = count(rest)?;
                (Some(max), rest)
            }
        };
        let rest = rest.strip_prefix('}')?;
        self.at = self.pattern.len() - rest.len();
        Some((min, max))
    }

    /// `(?P<name>` or `(?<name>`; `None` when this is another kind of group, and then nothing is read.
    pub(super) fn group_name(&mut self) -> Result<Option<String>, RegexError> {
        let rest = self.rest();
        let Some(after) = rest.strip_prefix("(?P<").or_else(|| rest.strip_prefix("(?<")) else {
            return Ok(None);
        };
        // Without anything behind it Go takes it for flags.
        if after.is_empty() {
            return Ok(None);
        }
        let start = self.at;
        let Some(end) = after.find('>') else {
            return Err(self.error_to_end(Kind::InvalidNamedCapture, start));
        };
        let name = &after[..end];
        self.at += rest.len() - after.len() + end + 1;
        if name.is_empty() || !name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
            return Err(self.error(Kind::InvalidNamedCapture, start));
        }
        Ok(Some(name.to_owned()))
    }

    /// `(?flags)` or `(?flags:`; says whether it opens a group.
    pub(super) fn flags(&mut self, flags: &mut Flags) -> Result<bool, RegexError> {
        let start = self.at;
        self.skip(2);
        let mut new = *flags;
        let mut set = true;
        let mut seen = false;
        while let Some(c) = self.bump() {
            match c {
                'i' => new.fold = set,
                'm' => new.multi_line = set,
                's' => new.dot_newline = set,
                'U' => new.ungreedy = set,
                '-' if set => {
                    set = false;
                    seen = false;
                    continue;
                }
                ':' | ')' if set || seen => {
                    *flags = new;
                    return Ok(c == ':');
                }
                _ => break,
            }
            seen = true;
        }
        Err(self.error(Kind::InvalidPerlOp, start))
    }

    /// `\n`, `\x{263a}`, `\123`, `\.`: the code point of an escape for one character, which may be a surrogate.
    pub(super) fn escaped_char(&mut self) -> Result<u32, RegexError> {
        let start = self.at;
        self.skip(1);
        let Some(c) = self.bump() else {
            return Err(RegexError::new(Kind::TrailingBackslash, ""));
        };
        let code = match c {
            '0'..='7' => self.octal(c),
            'x' => self.hexadecimal(),
            'a' => Some(0x07),
            'f' => Some(0x0C),
            'n' => Some(0x0A),
            'r' => Some(0x0D),
            't' => Some(0x09),
            'v' => Some(0x0B),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        code.ok_or_else(|| self.error(Kind::InvalidEscape, start))
    }

    /// Up to three digits; a single one that is not 0 would be a backreference.
    fn octal(&mut self, first: char) -> Option<u32> {
        let digit = |scan: &Scan<'_>| scan.peek().and_then(|c| c.to_digit(8));
        if first != '0' && digit(self).is_none() {
            return None;
        }
        let mut code = first.to_digit(8)?;
        for _ in 0..2 {
            let Some(value) = digit(self) else { break };
            code = code * 8 + value;
            self.bump();
        }
        Some(code)
    }

    /// `7F` or `{10FFFF}` after `\x`.
    fn hexadecimal(&mut self) -> Option<u32> {
        let first = self.bump()?;
        if first != '{' {
            let second = self.bump()?;
            return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
        }
        let mut code = None;
        loop {
            let c = self.bump()?;
            if c == '}' {
                return code;
            }
            let value = code.unwrap_or(0) * 16 + c.to_digit(16)?;
            if value > 0x10_FFFF {
                return None;
            }
            code = Some(value);
        }
    }
}

/// A decimal number without leading zeros at the front of `text`.
fn count(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    if digits == 0 || (digits > 1 && number.starts_with('0')) {
        return None;
    }
    Some((number.parse().unwrap_or(COUNT_TOO_LARGE), rest))
}

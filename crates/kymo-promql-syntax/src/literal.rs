//! Literals: where a number, a duration or a string ends, and what it stands for.
//!
//! Scanning is linear and never fails beyond the literal itself; values follow Go's rules, because Prometheus hands its
//! literals to Go's `strconv`.

use logos::Logos;

/// What a scan from the first digit found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NumberScan {
    Number,
    Duration,
    Bad,
}

/// What a scan from the opening quote found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TextScan {
    /// No backslash inside.
    Plain,
    /// With backslashes, not checked yet.
    Escaped,
    Unterminated,
}

/// Callback of logos: moves the lexer to the end of the number or duration whose first character it has seen.
pub(crate) fn scan_number<'s, T: Logos<'s, Source = str>>(lexer: &mut logos::Lexer<'s, T>) -> NumberScan {
    let start = lexer.span().start;
    let (scan, len) = number_end(&lexer.source().as_bytes()[start..]);
    lexer.bump(len.max(lexer.slice().len()) - lexer.slice().len());
    scan
}

/// Callback of logos: moves the lexer past the closing quote.
pub(crate) fn scan_text<'s, T: Logos<'s, Source = str>>(lexer: &mut logos::Lexer<'s, T>) -> TextScan {
    let quote = lexer.slice().as_bytes()[0];
    let rest = lexer.remainder().as_bytes();
    let mut escaped = false;
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        if byte == quote {
            lexer.bump(at + 1);
            return if escaped { TextScan::Escaped } else { TextScan::Plain };
        }
        if quote != b'`' {
            match byte {
                b'\n' => break,
                // The character after a backslash may be longer than a byte; its other bytes are no quotes.
                b'\\' => {
                    escaped = true;
                    at += 1;
                }
                _ => {}
            }
        }
        at += 1;
    }
    lexer.bump(rest.len());
    TextScan::Unterminated
}

fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// The kind and the length of the literal at the front of `text`, which starts with a digit or with a point and a digit.
/// For a bad literal the length is that of the part that Prometheus quotes in its message.
fn number_end(text: &[u8]) -> (NumberScan, usize) {
    let mut at = 0;
    if number(text, &mut at) && !is_word(text.get(at)) {
        return (NumberScan::Number, at);
    }
    if duration_rest(text, &mut at) {
        return (NumberScan::Duration, at);
    }
    (NumberScan::Bad, at.min(text.len()))
}

/// Moves `at` over digits, one point, one exponent and single underscores; `false` where one of them is misplaced.
fn number(text: &[u8], at: &mut usize) -> bool {
    let peek = |at: usize| text.get(at).copied().unwrap_or(0);
    if peek(0) == b'0' && matches!(peek(1), b'x' | b'X') {
        *at = 2;
        while peek(*at).is_ascii_hexdigit() || peek(*at) == b'_' {
            let doubled = peek(*at) == b'_' && peek(*at + 1) == b'_';
            *at += 1 + usize::from(doubled);
            if doubled {
                return false;
            }
        }
        let fraction = peek(*at) == b'.';
        *at += usize::from(fraction);
        return !fraction;
    }
    let (mut point, mut exponent) = (false, false);
    loop {
        let byte = peek(*at);
        *at += 1;
        let repeated = match byte {
            b'0'..=b'9' => continue,
            b'.' => std::mem::replace(&mut point, true),
            b'e' | b'E' => std::mem::replace(&mut exponent, true),
            b'_' => false,
            _ => {
                *at -= 1;
                return true;
            }
        };
        if repeated {
            return false;
        }
        if matches!(byte, b'e' | b'E') && matches!(peek(*at), b'+' | b'-') {
            *at += 1;
        }
        let misplaced = match peek(*at) {
            b'_' | b'.' => true,
            b'e' | b'E' => byte != b'.',
            _ => false,
        };
        if misplaced {
            *at += 1;
            return false;
        }
        if byte != b'.' && *at >= text.len() {
            return false;
        }
    }
}

/// Moves `at` over the unit that follows a number, and over further numbers with units.
fn duration_rest(text: &[u8], at: &mut usize) -> bool {
    let unit = |at: &mut usize, units: &[u8]| {
        let found = text.get(*at).is_some_and(|b| units.contains(b));
        if found {
            *at += 1;
            *at += usize::from(text.get(*at) == Some(&b's'));
        }
        found
    };
    if !unit(at, b"smhdwy") {
        return false;
    }
    while text.get(*at).is_some_and(u8::is_ascii_digit) {
        while text.get(*at).is_some_and(u8::is_ascii_digit) {
            *at += 1;
        }
        if !unit(at, b"smhdw") {
            return false;
        }
    }
    if is_word(text.get(*at)) {
        *at += 1;
        return false;
    }
    true
}

/// The value of a number literal: integers of any base first, then floats, underscores between digits.
pub(crate) fn number_value(text: &str) -> Result<f64, String> {
    // Nearly all numbers of real queries.
    if !text.starts_with('0')
        && let Ok(plain) = text.parse::<u32>()
    {
        return Ok(f64::from(plain));
    }
    let error = |what: &str| {
        Err(format!(
            "error parsing number: strconv.ParseFloat: parsing {}: {what}",
            crate::quote::quoted(text.as_bytes())
        ))
    };
    if !underscores_separate_digits(text) {
        return error("invalid syntax");
    }
    let digits = text.replace('_', "");
    if let Some(integer) = integer_value(&digits) {
        return Ok(integer);
    }
    match kymo_model::parse_float(&digits) {
        Ok(value) if value.is_infinite() && digits.as_bytes()[0].is_ascii_digit() => {
            error("value out of range")
        }
        Ok(value) => Ok(value),
        Err(_) => error("invalid syntax"),
    }
}

/// An integer as Go's `ParseInt` with base 0 reads it: `0x` hexadecimal, a leading zero octal, within 64 bits.
fn integer_value(digits: &str) -> Option<f64> {
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let value = match (hex, digits.strip_prefix('0')) {
        (Some(hex), _) => i64::from_str_radix(hex, 16),
        (None, Some(octal)) if !octal.is_empty() => i64::from_str_radix(octal, 8),
        _ => digits.parse(),
    };
    value.ok().map(|v| v as f64)
}

fn underscores_separate_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = matches!(bytes, [b'0', b'x' | b'X', ..]);
    let digit =
        |b: Option<&u8>| b.is_some_and(|b| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() });
    bytes.iter().enumerate().filter(|(_, b)| **b == b'_').all(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        (digit(before) || (hex && at == 2)) && digit(bytes.get(at + 1))
    })
}

/// The milliseconds of a duration literal.
pub(crate) fn duration_value(literal: &str) -> Result<i64, String> {
    kymo_model::parse_duration(literal).map_err(|e| match e {
        kymo_model::DurationError::Overflow(_) => "duration out of range".to_owned(),
        _ => bad_duration(literal),
    })
}

/// Why a duration of the right shape is none: a unit that does not exist, or units out of order.
fn bad_duration(literal: &str) -> String {
    let shown = crate::quote::quoted(literal.as_bytes());
    let mut units = literal.split(|c: char| !c.is_ascii_alphabetic()).filter(|unit| !unit.is_empty());
    match units.find(|unit| !["y", "w", "d", "h", "m", "s", "ms"].contains(unit)) {
        Some(unit) => format!("unknown unit {} in duration {shown}", crate::quote::quoted(unit.as_bytes())),
        None => format!("not a valid duration string: {shown}"),
    }
}

/// Why a string is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BadEscape(pub(crate) String);

/// The bytes that a string literal stands for; `literal` includes its quotes. Go's escapes.
pub(crate) fn unquote(literal: &str) -> Result<Vec<u8>, BadEscape> {
    let quote = literal.as_bytes()[0];
    let inner = &literal[1..literal.len() - 1];
    if quote == b'`' || !inner.contains('\\') {
        return Ok(inner.as_bytes().to_vec());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = escape(&rest[at + 1..], quote, &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// Are the escapes of a string that may never end good? Looks as far as the end of its line.
pub(crate) fn escapes(text: &str, quote: u8) -> Result<(), BadEscape> {
    let mut rest = text;
    let mut out = Vec::new();
    while let Some(at) = rest.find(['\\', '\n']).filter(|at| rest.as_bytes()[*at] == b'\\') {
        rest = escape(&rest[at + 1..], quote, &mut out)?;
        out.clear();
    }
    Ok(())
}

/// Takes one escape sequence, behind its backslash, off the front.
fn escape<'a>(text: &'a str, quote: u8, out: &mut Vec<u8>) -> Result<&'a str, BadEscape> {
    let not_terminated = || BadEscape("escape sequence not terminated".to_owned());
    let mut chars = text.chars();
    let first = chars.next().ok_or_else(not_terminated)?;
    let (digits, base, bytes) = match first {
        '0'..='7' => (3, 8, true),
        'x' => (2, 16, true),
        'u' => (4, 16, false),
        'U' => (8, 16, false),
        _ => {
            out.push(match first {
                'a' => 0x07,
                'b' => 0x08,
                'f' => 0x0c,
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'v' => 0x0b,
                '\\' => b'\\',
                c if c == quote as char => quote,
                c => {
                    return Err(BadEscape(format!(
                        "unknown escape sequence {}",
                        crate::quote::code_point(c)
                    )));
                }
            });
            return Ok(chars.as_str());
        }
    };
    let mut code = 0u32;
    let mut chars = if base == 8 { text.chars() } else { chars };
    for _ in 0..digits {
        let c = chars.next().ok_or_else(not_terminated)?;
        let digit = c.to_digit(base).ok_or_else(|| {
            BadEscape(format!("illegal character {} in escape sequence", crate::quote::code_point(c)))
        })?;
        code = code.wrapping_mul(base).wrapping_add(digit);
    }
    let invalid = || BadEscape("escape sequence is an invalid Unicode code point".to_owned());
    if bytes {
        out.push(u8::try_from(code).map_err(|_| invalid())?);
    } else {
        let c = char::from_u32(code).ok_or_else(invalid)?;
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_they_should() {
        for (text, scan, len) in [
            ("1", NumberScan::Number, 1),
            ("1.5e+3 ", NumberScan::Number, 6),
            (".5", NumberScan::Number, 2),
            ("5.", NumberScan::Number, 2),
            ("0xcafe)", NumberScan::Number, 6),
            ("0xee", NumberScan::Number, 4),
            ("1_000", NumberScan::Number, 5),
            ("5m", NumberScan::Duration, 2),
            ("1h30m]", NumberScan::Duration, 5),
            ("2.5.", NumberScan::Bad, 4),
            ("100..4", NumberScan::Bad, 5),
            ("0deadbeef", NumberScan::Bad, 3),
            ("1e", NumberScan::Bad, 2),
            ("12x", NumberScan::Bad, 2),
            ("1__0", NumberScan::Bad, 3),
            ("0x1__0", NumberScan::Bad, 5),
        ] {
            assert_eq!(number_end(text.as_bytes()), (scan, len), "{text}");
        }
    }

    #[test]
    fn values() {
        for (text, value) in [
            ("0", 0.0),
            ("10", 10.0),
            ("0755", 493.0),
            ("08", 8.0),
            ("0xc", 12.0),
            ("0x_1F", 31.0),
            ("1_000.5", 1000.5),
            ("5e-3", 0.005),
            ("9223372036854775808", 9223372036854775808.0),
        ] {
            assert_eq!(number_value(text), Ok(value), "{text}");
        }
        assert!(number_value("1_").is_err());
        assert!(number_value(&"9".repeat(400)).unwrap_err().ends_with("value out of range"));
    }

    #[test]
    fn escapes() {
        for (literal, bytes) in [
            (r#""a\nb""#, b"a\nb".as_slice()),
            (r"'it\'s'", b"it's"),
            (r"`raw\n`", b"raw\\n"),
            (r#""\xff\101\u00e9\U0001F600""#, "\u{0}A\u{e9}\u{1F600}".as_bytes()),
        ] {
            let mut wanted = bytes.to_vec();
            if wanted.first() == Some(&0) {
                wanted[0] = 0xff;
            }
            assert_eq!(unquote(literal).unwrap(), wanted, "{literal}");
        }
        for (literal, message) in [
            (r#""\'""#, r"unknown escape sequence U+0027 '''"),
            (r#""\xg0""#, "illegal character U+0067 'g' in escape sequence"),
            (r#""\ud800""#, "escape sequence is an invalid Unicode code point"),
            (r#""\x1""#, "escape sequence not terminated"),
        ] {
            assert_eq!(unquote(literal).unwrap_err().0, message, "{literal}");
        }
    }
}

//! Quote: text in double quotes as Go's `strconv.Quote` writes it, which is how Prometheus prints label values and names.

use std::fmt::{self, Write};
use std::sync::OnceLock;

/// Displays text in double quotes with Go's escapes.
///
/// ```
/// use kymo_model::Quoted;
/// assert_eq!(Quoted("a\"b\n\u{a0}é").to_string(), r#""a\"b\n\u00a0é""#);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut plain = self.0;
        while let Some(at) = plain.find(|c: char| !matches!(c, ' ' | '!' | '#'..='[' | ']'..='~')) {
            f.write_str(&plain[..at])?;
            let mut rest = plain[at..].chars();
            if let Some(c) = rest.next() {
                write_escaped(f, c)?;
            }
            plain = rest.as_str();
        }
        f.write_str(plain)?;
        f.write_char('"')
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        '\x07' => f.write_str("\\a"),
        '\x08' => f.write_str("\\b"),
        '\x0c' => f.write_str("\\f"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x0b' => f.write_str("\\v"),
        c if c < ' ' || c == '\x7f' => write!(f, "\\x{:02x}", u32::from(c)),
        c if is_printable(c) => f.write_char(c),
        c if u32::from(c) < 0x1_0000 => write!(f, "\\u{:04x}", u32::from(c)),
        c => write!(f, "\\U{:08x}", u32::from(c)),
    }
}

/// Go's `unicode.IsPrint` beyond ASCII: letters, marks, numbers, punctuation and symbols.
fn is_printable(c: char) -> bool {
    static PRINTABLE: OnceLock<regex::Regex> = OnceLock::new();
    let printable =
        PRINTABLE.get_or_init(|| regex::Regex::new(r"[\pL\pM\pN\pP\pS]").expect("BUG: a constant pattern"));
    printable.is_match(c.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Go's `strconv.Quote`.
    #[test]
    fn go_quotes() {
        let text = "a\x07\x08\x0b\x0c\x01\x7f\u{a0}\u{200b}\u{e9}\u{e0001}\u{e000}\u{2028} 日本'`";
        let quoted = r#""a\a\b\v\f\x01\x7f\u00a0\u200bé\U000e0001\ue000\u2028 日本'`""#;
        assert_eq!(Quoted(text).to_string(), quoted);
        assert_eq!(Quoted("").to_string(), r#""""#);
        assert_eq!(Quoted(r#"\""#).to_string(), r#""\\\"""#);
    }
}

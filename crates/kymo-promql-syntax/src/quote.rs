//! Quoting as Go's `strconv.Quote` does it: what messages show and what the printer writes reads back to the same bytes.

use std::fmt::Write;

/// `bytes` in double quotes. Bytes that are no UTF-8 become `\xff`, control characters their escapes.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    push_quoted(&mut out, bytes);
    out
}

/// Appends `bytes` in double quotes.
pub(crate) fn push_quoted(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_char(out, c, '"');
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
}

/// A character in single quotes.
pub(crate) fn quoted_char(c: Option<char>) -> String {
    let mut out = String::from("'");
    push_char(&mut out, c.unwrap_or(char::REPLACEMENT_CHARACTER), '\'');
    out.push('\'');
    out
}

/// `U+0041 'A'`.
pub(crate) fn code_point(c: char) -> String {
    format!("U+{:04X} '{c}'", c as u32)
}

fn push_char(out: &mut String, c: char, quote: char) {
    let escape = match c {
        '\\' => "\\\\",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{b}' => "\\v",
        c if c == quote => {
            out.push('\\');
            out.push(c);
            return;
        }
        c if (c as u32) < 0x20 || c as u32 == 0x7f => {
            let _ = write!(out, "\\x{:02x}", c as u32);
            return;
        }
        // Characters that cannot be seen are spelled out, so that a printed query shows what it asks for.
        c if c.is_control()
            || c.is_whitespace() && c != ' '
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}') =>
        {
            let code = c as u32;
            let _ = if code < 0x10000 { write!(out, "\\u{code:04x}") } else { write!(out, "\\U{code:08x}") };
            return;
        }
        c => {
            out.push(c);
            return;
        }
    };
    out.push_str(escape);
}

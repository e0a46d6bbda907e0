//! Backslashes: what is written for line feeds, quotes and backslashes in HELP texts and label values.

use std::borrow::Cow;

/// Which escapes a text knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// `\\` and `\n`: HELP of the text format.
    Help,
    /// `\\`, `\n` and `\"`: everything else.
    Quoted,
}

/// Resolves escapes; an unknown one stays as it is written, backslash included.
pub(crate) fn unescape(raw: &str, escapes: Escapes) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    unescape_into(raw, escapes, &mut out);
    Cow::Owned(out)
}

/// As [`unescape`], at the end of a string.
pub(crate) fn unescape_into(raw: &str, escapes: Escapes, out: &mut String) {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (known, taken) = match rest.as_bytes().get(at + 1) {
            Some(b'\\') => ('\\', 2),
            Some(b'n') => ('\n', 2),
            Some(b'"') if escapes == Escapes::Quoted => ('"', 2),
            _ => ('\\', 1),
        };
        out.push(known);
        rest = &rest[at + taken..];
    }
    out.push_str(rest);
}

/// Writes `text` so that [`unescape`] gives it back.
pub(crate) fn escape_into(text: &str, escapes: Escapes, out: &mut String) {
    let mut rest = text;
    let special = |c| matches!(c, '\\' | '\n') || (c == '"' && escapes == Escapes::Quoted);
    while let Some(at) = rest.find(special) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'\n' => "\\n",
            _ => "\\\"",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_and_unknown_escapes() {
        for (raw, help, quoted) in [
            (r"foo", "foo", "foo"),
            (r"\foo", r"\foo", r"\foo"),
            (r"a\\\n", "a\\\n", "a\\\n"),
            (r#"\""#, r#"\""#, "\""),
            (r"\\n", r"\n", r"\n"),
            (r"end\", r"end\", r"end\"),
        ] {
            assert_eq!(unescape(raw, Escapes::Help), help, "{raw}");
            assert_eq!(unescape(raw, Escapes::Quoted), quoted, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn escaping_is_undone(text in "[a\\\\n\"\n ]{0,12}") {
            for escapes in [Escapes::Help, Escapes::Quoted] {
                let mut out = String::new();
                escape_into(&text, escapes, &mut out);
                prop_assert!(!out.contains('\n'));
                prop_assert_eq!(unescape(&out, escapes), text.as_str());
            }
        }
    }
}

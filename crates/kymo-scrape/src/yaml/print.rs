//! Print: a tree of what is in force, in the layout that Prometheus prints its configuration in.

/// A value to print.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Doc {
    /// Text; quoted where YAML would read it as something else.
    Text(String),
    /// A number or a boolean, printed as it stands.
    Bare(String),
    /// A list, one item a line.
    Seq(Vec<Doc>),
    /// A list of text in brackets.
    Flow(Vec<String>),
    /// A mapping, in this order.
    Map(Vec<(String, Doc)>),
}

impl Doc {
    pub(crate) fn text(text: impl Into<String>) -> Doc {
        Doc::Text(text.into())
    }

    pub(crate) fn bare(value: impl ToString) -> Doc {
        Doc::Bare(value.to_string())
    }

    pub(crate) fn texts<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Doc {
        Doc::Seq(items.into_iter().map(|item| Doc::text(item.as_ref())).collect())
    }
}

/// The text of a mapping.
pub(crate) fn print(doc: &Doc) -> String {
    let mut out = String::new();
    write(&mut out, doc, 0, false);
    out
}

/// Writes a value whose lines start at `indent`; `hanging` when the first line is already begun (after `- `).
fn write(out: &mut String, doc: &Doc, indent: usize, hanging: bool) {
    match doc {
        Doc::Map(fields) if !fields.is_empty() => {
            for (at, (key, value)) in fields.iter().enumerate() {
                if at > 0 || !hanging {
                    pad(out, indent);
                }
                out.push_str(&quoted(key));
                out.push(':');
                match value {
                    Doc::Map(inner) if !inner.is_empty() => {
                        out.push('\n');
                        write(out, value, indent + 2, false);
                    }
                    Doc::Seq(items) if !items.is_empty() => {
                        out.push('\n');
                        write(out, value, indent, false);
                    }
                    Doc::Text(text) if is_block(text) => write_block(out, text, indent + 2),
                    _ => {
                        out.push(' ');
                        write(out, value, indent, true);
                    }
                }
            }
        }
        Doc::Seq(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 || !hanging {
                    pad(out, indent);
                }
                out.push_str("- ");
                write(out, item, indent + 2, true);
            }
        }
        Doc::Map(_) => out.push_str("{}\n"),
        Doc::Seq(_) => out.push_str("[]\n"),
        Doc::Flow(items) => {
            let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
            out.push_str(&format!("[{}]\n", items.join(", ")));
        }
        Doc::Bare(text) => {
            out.push_str(text);
            out.push('\n');
        }
        Doc::Text(text) => {
            out.push_str(&quoted(text));
            out.push('\n');
        }
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn is_block(text: &str) -> bool {
    text.contains('\n')
        && text.chars().all(|c| c == '\n' || !c.is_control())
        && !text.starts_with([' ', '\n'])
}

fn write_block(out: &mut String, text: &str, indent: usize) {
    let body = text.trim_end_matches('\n');
    let newlines = text.len() - body.len();
    out.push_str(match newlines {
        0 => " |-\n",
        1 => " |\n",
        _ => " |+\n",
    });
    for line in body.split('\n') {
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
        out.push('\n');
    }
    out.extend(std::iter::repeat_n('\n', newlines.saturating_sub(1)));
}

/// Text as a YAML scalar.
fn quoted(text: &str) -> String {
    if text.chars().any(char::is_control) {
        return double_quoted(text);
    }
    if is_other_type(text) {
        return double_quoted(text);
    }
    let first_needs = text.starts_with(|c: char| "-?:,[]{}#&*!|>'\"%@` ".contains(c));
    let first_is_plain = text.starts_with(['-', '?', ':'])
        && text.chars().nth(1).is_some_and(|c| !c.is_whitespace() && !",[]{}".contains(c));
    let needs = (first_needs && !first_is_plain)
        || text.starts_with("---")
        || text.starts_with("...")
        || text.ends_with([' ', ':'])
        || text.contains(": ")
        || text.contains(" #")
        || text.contains([',', '[', ']', '{', '}']);
    if needs { format!("'{}'", text.replace('\'', "''")) } else { text.to_owned() }
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Would YAML, old or new, read this text as a null, a boolean or a number (or a time, or base 60)?
fn is_other_type(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let word = matches!(
        lower.as_str(),
        "" | "~"
            | "null"
            | "true"
            | "false"
            | "yes"
            | "no"
            | "on"
            | "off"
            | "y"
            | "n"
            | "="
            | "<<"
            | ".nan"
            | ".inf"
            | "-.inf"
            | "+.inf"
    );
    let digits = text.trim_start_matches(['+', '-']).trim_start_matches('.');
    let number_like = digits.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || "+-._:eExXoOabcdfABCDF".contains(c))
        && !text.contains("..")
        && text.matches('.').count() <= 1
        || digits.starts_with("0x");
    word || (number_like && !text.chars().any(|c| "abcdfABCDF".contains(c)))
        || (number_like && digits.starts_with("0x"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Value, parse};

    #[test]
    fn text_survives_printing() {
        for text in [
            "",
            "a",
            "15s",
            "null",
            "~",
            "true",
            "no",
            "12",
            "1.5",
            "0x1F",
            "1e3",
            "12:30",
            "-",
            "- a",
            "-a",
            "a: b",
            "a #b",
            "#b",
            "'x'",
            "\"x\"",
            "a\nb",
            "a\n",
            "a\n\n",
            " a",
            "a ",
            "\ta",
            "[x]",
            "{x}",
            "x, y",
            "*",
            "&a",
            "!x",
            "%",
            "@",
            "`",
            "é",
            "(.*)",
            "$1",
            "__name__",
            "localhost:9090",
            "a:",
            "---",
            "?",
            ":",
            ">",
            "|",
            "\u{7}",
            "2024-01-01",
            "a'b",
            "=",
            "<<",
        ] {
            let doc = Doc::Map(vec![
                ("k".to_owned(), Doc::text(text)),
                ("l".to_owned(), Doc::texts([text])),
                ("f".to_owned(), Doc::Flow(vec![text.to_owned()])),
            ]);
            let printed = print(&doc);
            let root = parse(&printed).unwrap_or_else(|e| panic!("{printed}\n{}", e.message)).root;
            let Value::Map(entries) = root.value else { panic!("{printed}") };
            let scalar = |value: &Value| match value {
                Value::Scalar { text, .. } => text.clone(),
                other => panic!("{other:?} in {printed}"),
            };
            assert_eq!(scalar(&entries[0].node.value), text, "{printed}");
            for entry in &entries[1..] {
                let Value::Seq(items) = &entry.node.value else { panic!("{printed}") };
                assert_eq!(scalar(&items[0].value), text, "{printed}");
            }
        }
    }
}

//! Regex: Go's regular expressions (RE2), which Prometheus' matchers, rules and relabelling are written in.

mod error;
mod template;

use std::fmt;
use std::sync::Arc;

pub use error::{RegexError, RegexErrorKind};
use template::Part;

/// A regular expression in Go's syntax and with Go's meaning.
///
/// ```
/// use kymo_model::Regex;
/// let regex = Regex::new("node-(a|b)-(?P<port>[0-9]+)").unwrap();
/// assert!(regex.is_match("node-a-80"));
/// assert!(!regex.is_match("my-node-a-80"));
/// let mut out = String::new();
/// assert!(regex.expand("node-b-9100", "$port/${1}", &mut out));
/// assert_eq!(out, "9100/b");
/// ```
#[derive(Clone)]
pub struct Regex {
    inner: Arc<Inner>,
}

struct Inner {
    pattern: String,
    regex: regex::Regex,
}

impl Regex {
    /// The whole text must match, and `.` matches newlines: `^(?s:…)$`, as in matchers, `label_replace` and relabelling.
    pub fn new(pattern: &str) -> Result<Regex, RegexError> {
        let regex = regex::Regex::new(&format!("^(?s:{pattern})$"))
            .map_err(|_| RegexError::new(RegexErrorKind::MissingParen, pattern))?;
        Ok(Regex { inner: Arc::new(Inner { pattern: pattern.to_owned(), regex }) })
    }

    /// Any part of the text may match: Go's plain `regexp.MustCompile(…)`, as in `match` and `reReplaceAll` of templates.
    pub fn unanchored(pattern: &str) -> Result<Regex, RegexError> {
        let regex =
            regex::Regex::new(pattern).map_err(|_| RegexError::new(RegexErrorKind::MissingParen, pattern))?;
        Ok(Regex { inner: Arc::new(Inner { pattern: pattern.to_owned(), regex }) })
    }

    /// The pattern as written.
    pub fn pattern(&self) -> &str {
        &self.inner.pattern
    }

    /// Does `text` match?
    pub fn is_match(&self, text: &str) -> bool {
        self.inner.regex.is_match(text)
    }

    /// If only finitely and not too many texts match: those, sorted.
    pub fn set_matches(&self) -> Option<&[String]> {
        None
    }

    /// The text that every match begins with, if that is known and not empty.
    pub fn required_prefix(&self) -> Option<&str> {
        None
    }

    /// Appends `template` to `out`, with `$1`, `${1}`, `$name` and `${name}` replaced by what the groups matched in `text`
    /// and `$$` by `$`. Appends nothing and returns `false` when `text` does not match.
    pub fn expand(&self, text: &str, template: &str, out: &mut String) -> bool {
        let Some(captures) = self.inner.regex.captures(text) else {
            return false;
        };
        let mut rest = template;
        while let Some((part, tail)) = template::next_part(rest) {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Number(number) => out.push_str(captures.get(number).map_or("", |m| m.as_str())),
                Part::Name(name) => out.push_str(captures.name(name).map_or("", |m| m.as_str())),
            }
            rest = tail;
        }
        true
    }

    /// `text` with every match replaced by the expanded template: Go's `ReplaceAllString`.
    pub fn replace_all(&self, text: &str, template: &str) -> String {
        let _ = template::has_references(template);
        self.inner.regex.replace_all(text, template).into_owned()
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.pattern())
    }
}

impl fmt::Display for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pattern())
    }
}

/// Two regexes are equal when their patterns are.
impl PartialEq for Regex {
    fn eq(&self, other: &Regex) -> bool {
        self.pattern() == other.pattern()
    }
}

impl Eq for Regex {}

//! Output: what all commands print alike. Answers go to stdout, complaints to stderr, and exit codes mean one thing.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

/// Faults were found, or the work could not be done.
const FAULTS: u8 = 1;
/// Nothing is wrong, but a linter complains and was told to be taken seriously; promtool's code.
const LINT: u8 = 3;

/// How a command ended, the worst last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    #[default]
    Good,
    Lint,
    Faults,
}

impl Verdict {
    pub(crate) fn good_if(good: bool) -> Verdict {
        if good { Verdict::Good } else { Verdict::Faults }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> ExitCode {
        match verdict {
            Verdict::Good => ExitCode::SUCCESS,
            Verdict::Lint => ExitCode::from(LINT),
            Verdict::Faults => ExitCode::from(FAULTS),
        }
    }
}

/// One thing that is wrong in something that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The file, as it was named.
    pub(crate) path: String,
    /// From 1; 0 when the fault has no place.
    pub(crate) line: usize,
    /// From 1, in characters; 0 when the fault has no place.
    pub(crate) column: usize,
    /// Expected, found.
    pub(crate) message: String,
    /// As people read it: place, message, and where possible the line with a caret.
    pub(crate) text: String,
}

impl Fault {
    /// A fault of the file as a whole.
    pub(crate) fn whole(path: &str, message: impl Display) -> Fault {
        let message = message.to_string();
        let text = format!("{path}: {message}");
        Fault { path: path.to_owned(), line: 0, column: 0, message, text }
    }

    /// A fault at a place; the line is cut from the text of the file.
    pub(crate) fn at(path: &str, source: &[u8], line: usize, column: usize, message: String) -> Fault {
        let mut text = format!("{path}:{line}:{column}: {message}");
        let bytes = source.split(|b| *b == b'\n').nth(line.saturating_sub(1)).unwrap_or_default();
        text.push_str(&caret(line, column, &String::from_utf8_lossy(bytes)));
        Fault { path: path.to_owned(), line, column, message, text }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut value = json!({ "file": self.path, "message": self.message });
        if self.line > 0 {
            value["line"] = self.line.into();
            value["column"] = self.column.into();
        }
        value
    }
}

/// Longest part of a line that is shown, in characters, and how much of it stands before the place.
const SHOWN_CHARS_MAX: usize = 160;
const SHOWN_BEFORE_CHARS_MAX: usize = 120;

/// The line and a caret, each on a line of its own, beginning with a line feed. The place stays in view in a long line.
fn caret(line: usize, column: usize, source: &str) -> String {
    let skip = column.saturating_sub(SHOWN_BEFORE_CHARS_MAX);
    let shown: String = source.chars().skip(skip).take(SHOWN_CHARS_MAX).map(visible).collect();
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let indent = " ".repeat(column.saturating_sub(1 + skip).min(shown.chars().count()));
    format!("\n{margin} |\n{number} | {shown}\n{margin} | {indent}^")
}

/// One column for one character: no control sequence reaches the terminal.
fn visible(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// Prints an answer. When nobody reads on (`| head`), the program ends.
pub(crate) fn say(text: impl Display) {
    if writeln!(io::stdout().lock(), "{text}").is_err() {
        std::process::exit(i32::from(FAULTS));
    }
}

/// Prints what is wrong.
pub(crate) fn complain(text: impl Display) {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints an answer for machines: one document, indented.
pub(crate) fn say_json(value: &Value) {
    say(format_args!("{value:#}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_its_character() {
        let check = |source: &str, line, column, expected: &str| {
            assert_eq!(Fault::at("f", source.as_bytes(), line, column, "m".into()).text, expected);
        };
        check("a\nbc\td\n", 2, 4, "f:2:4: m\n  |\n2 | bc d\n  |    ^");
        check("a\n", 2, 1, "f:2:1: m\n  |\n2 | \n  | ^");
        check("é\u{1b}x", 1, 3, "f:1:3: m\n  |\n1 | é x\n  |   ^");
        let long = Fault::at("f", "x".repeat(1000).as_bytes(), 1, 500, "m".into()).text;
        assert!(long.lines().all(|line| line.chars().count() <= SHOWN_CHARS_MAX + 4), "{long}");
    }

    #[test]
    fn the_worst_verdict_wins() {
        assert_eq!(Verdict::Lint.max(Verdict::Faults), Verdict::Faults);
        assert_eq!(Verdict::Good.max(Verdict::Lint), Verdict::Lint);
    }
}

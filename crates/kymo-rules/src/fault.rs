//! RuleFileError: one fault of a file, with the place of it. Every check adds to a list; none stops the others.

use std::fmt;

/// One fault of a rule file or of a unit-test file: what, where, and the line it stands in.
///
/// `Display` gives one line, `file:line:column: message`; [`render`](RuleFileError::render) adds the line and a caret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RuleFileError {
    /// The file as the caller named it.
    pub path: String,
    /// 1-based; 0 when the fault has no place.
    pub line: u32,
    /// 1-based, in characters.
    pub column: u32,
    /// What sort of fault.
    pub kind: FaultKind,
    /// What was expected, what was found.
    pub message: String,
    /// The text of the line; of a long one, the part around the place.
    pub source_line: String,
    /// The column at which `source_line` begins: 1, unless it was cut.
    pub source_column: u32,
}

/// The sorts of faults of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// Larger than [`FileLimits`](crate::FileLimits) allow.
    TooLarge,
    /// Not YAML.
    Syntax,
    /// A key that has no meaning here.
    UnknownKey,
    /// A key that comes twice.
    DuplicateKey,
    /// Another type than expected.
    Type,
    /// Something that must be there is not.
    Missing,
    /// Two groups of one name.
    DuplicateGroup,
    /// A name, label or value that is not allowed.
    Invalid,
    /// A duration that does not parse.
    Duration,
    /// PromQL that does not parse.
    Expression,
    /// A template that does not parse.
    Template,
    /// A manifest of another kind, in a stream without any rules.
    Manifest,
    /// A file that could not be read.
    Unreadable,
}

impl fmt::Display for RuleFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "{}: {}", self.path, self.message);
        }
        write!(f, "{}:{}:{}: {}", self.path, self.line, self.column, self.message)
    }
}

impl RuleFileError {
    /// The message, the line and a caret under the place.
    pub fn render(&self) -> String {
        if self.line == 0 {
            return self.to_string();
        }
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        // Tabs are kept, so that the caret stands under its character whatever a tab is worth.
        let pad: String = self
            .source_line
            .chars()
            .take(self.column.saturating_sub(self.source_column) as usize)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        format!("{self}\n{margin} |\n{number} | {}\n{margin} | {pad}^", self.source_line)
    }
}

/// Collects the faults of one file.
pub(crate) struct Faults<'a> {
    path: &'a str,
    text: &'a str,
    line_starts: Vec<usize>,
    found: Vec<RuleFileError>,
    faults_max: usize,
    /// Found, and not told.
    more: usize,
}

/// Characters of a line that are shown before and after a fault.
const SHOWN_BEFORE: usize = 120;
const SHOWN_AFTER: usize = 80;

impl<'a> Faults<'a> {
    pub(crate) fn new(path: &'a str, text: &'a str, faults_max: usize) -> Faults<'a> {
        let line_starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1))
            .collect();
        Faults { path, text, line_starts, found: Vec::new(), faults_max, more: 0 }
    }

    /// A fault at a byte of the file.
    pub(crate) fn at(&mut self, offset: usize, kind: FaultKind, message: impl Into<String>) {
        if self.found.len() >= self.faults_max {
            self.more += 1;
            return;
        }
        let (line, column) = self.position(offset);
        self.push(line, column, kind, message.into());
    }

    /// A fault of the file as a whole.
    pub(crate) fn whole(&mut self, kind: FaultKind, message: impl Into<String>) {
        self.push(0, 0, kind, message.into());
    }

    fn push(&mut self, line: u32, column: u32, kind: FaultKind, message: String) {
        let text = self.line_text(line);
        let cut = (column as usize).saturating_sub(SHOWN_BEFORE + 1);
        let source_line = text.chars().skip(cut).take(SHOWN_BEFORE + SHOWN_AFTER).collect();
        self.found.push(RuleFileError {
            path: self.path.to_owned(),
            line,
            column,
            kind,
            message,
            source_line,
            source_column: cut as u32 + 1,
        });
    }

    /// The 1-based line of a byte of the file.
    pub(crate) fn line_of(&self, offset: usize) -> u32 {
        self.line_starts.partition_point(|start| *start <= offset) as u32
    }

    /// 1-based line and column in characters of a byte of the file.
    pub(crate) fn position(&self, offset: usize) -> (u32, u32) {
        let offset = offset.min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        let column = self.text.as_bytes()[start..offset].iter().filter(|b| (**b & 0xC0) != 0x80).count() + 1;
        (line as u32, column as u32)
    }

    fn line_text(&self, line: u32) -> &str {
        let Some(start) = (line as usize).checked_sub(1).and_then(|i| self.line_starts.get(i)) else {
            return "";
        };
        self.text[*start..].lines().next().unwrap_or("")
    }

    pub(crate) fn len(&self) -> usize {
        self.found.len() + self.more
    }

    /// The faults by place.
    pub(crate) fn into_sorted(mut self) -> Vec<RuleFileError> {
        if self.more > 0 {
            let message = format!("and {} more faults", self.more);
            self.push(self.line_starts.len() as u32, 1, FaultKind::TooLarge, message);
        }
        self.found.sort_by_key(|fault| (fault.line, fault.column));
        self.found
    }
}

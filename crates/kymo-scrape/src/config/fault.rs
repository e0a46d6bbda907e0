//! Fault: one thing that is wrong in a file, with its place; and the list of all of them.

use std::fmt;

use crate::yaml::Place;

/// Most faults of one load that are kept; how many more there were is counted.
pub const FAULTS_MAX: usize = 200;
/// Longest part of a source line that a fault shows, in characters.
const SNIPPET_CHARS_MAX: usize = 160;

/// One thing that is wrong, or should be known, in a configuration file.
///
/// Its text is `file:line:column: path: message`, then the line with a mark under the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named when it was loaded.
    pub file: String,
    /// The line, from 1; 0 when the fault is about the whole file.
    pub line: usize,
    /// The column in characters, from 1; 0 when the fault is about the whole file.
    pub column: usize,
    /// Where in the tree: `scrape_configs[0].static_configs[1].targets[0]`; empty at the root.
    pub path: String,
    /// Expected, found.
    pub message: String,
    snippet: Option<Snippet>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Snippet {
    line: String,
    offset: usize,
    width: usize,
}

impl Fault {
    pub(crate) fn new(file: &str, source: &str, place: Place, path: &str, message: String) -> Fault {
        let snippet = source.lines().nth(place.line.saturating_sub(1)).map(|line| {
            // The marked part stays in view when the line is long.
            let skip = (place.column + 20).saturating_sub(SNIPPET_CHARS_MAX);
            let line: String = line
                .chars()
                .skip(skip)
                .take(SNIPPET_CHARS_MAX)
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            let offset = place.column.saturating_sub(1 + skip);
            let width = place.width.min(line.chars().count().saturating_sub(offset)).max(1);
            Snippet { line, offset, width }
        });
        Fault {
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            path: path.to_owned(),
            message,
            snippet,
        }
    }

    /// A fault of the whole file: it cannot be read, say.
    pub(crate) fn of_file(file: &str, message: String) -> Fault {
        Fault { file: file.to_owned(), line: 0, column: 0, path: String::new(), message, snippet: None }
    }

    /// The first line of the text: place, path and message.
    pub fn headline(&self) -> String {
        let mut out = self.file.clone();
        if self.line > 0 {
            out.push_str(&format!(":{}:{}", self.line, self.column));
        }
        if !self.path.is_empty() {
            out.push_str(": ");
            out.push_str(&self.path);
        }
        out.push_str(": ");
        out.push_str(&self.message);
        out
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        if let Some(snippet) = &self.snippet {
            let number = self.line.to_string();
            let gutter = " ".repeat(number.len());
            write!(f, "\n {number} | {}", snippet.line)?;
            write!(f, "\n {gutter} | {}{}", " ".repeat(snippet.offset), "^".repeat(snippet.width))?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    faults: Vec<Fault>,
    omitted: usize,
}

impl ConfigError {
    pub(crate) fn new(faults: Vec<Fault>, omitted: usize) -> ConfigError {
        ConfigError { faults, omitted }
    }

    /// The faults, in order of files and lines, at most [`FAULTS_MAX`].
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// How many faults there were beyond [`FAULTS_MAX`].
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more faults", self.omitted)?;
        }
        Ok(())
    }
}

//! YAML as a tree in which every node knows its bytes of the file. Between serde-saphyr and the typed files.
//!
//! A tree and not `#[derive(Deserialize)]`, because all faults are to be reported and not the first, and because Go's
//! YAML takes `severity: 1` as the string `1`: the text of a plain scalar is cut from the file as it was written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error, NonFiniteFloatPolicy, Spanned};

use crate::fault::{FaultKind, Faults};

/// Bounds on a YAML file, enforced before anything is made of it.
#[derive(Clone, Copy, Debug)]
pub struct FileLimits {
    /// Bytes of the file.
    pub file_bytes_max: usize,
    /// Nesting of sequences and mappings.
    pub depth_max: usize,
    /// Sequences, mappings and scalars together, aliases expanded.
    pub nodes_max: usize,
    /// Documents of a stream.
    pub documents_max: usize,
    /// Nodes that aliases add.
    pub alias_nodes_max: usize,
    /// Faults that are told one by one; the rest is counted.
    pub faults_max: usize,
}

impl Default for FileLimits {
    fn default() -> FileLimits {
        FileLimits {
            file_bytes_max: 8 << 20,
            depth_max: 64,
            nodes_max: 1_000_000,
            documents_max: 10_000,
            alias_nodes_max: 50_000,
            faults_max: 1000,
        }
    }
}

/// A node and its bytes.
pub(crate) struct Node {
    /// First byte of its text in the file.
    pub(crate) start: usize,
    /// Bytes of its text; 0 for block collections.
    len: usize,
    pub(crate) kind: NodeKind,
}

pub(crate) enum NodeKind {
    Null,
    /// `quoted` also for block scalars and plain text that is neither a number nor a boolean.
    Scalar {
        text: String,
        is_text: bool,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// What it is, for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            NodeKind::Null => "nothing".to_owned(),
            NodeKind::Scalar { text, .. } => format!("{:?}", shorten(text)),
            NodeKind::Sequence(_) => "a list".to_owned(),
            NodeKind::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// The value under a key, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let NodeKind::Mapping(entries) = &self.kind else { return None };
        entries.iter().find(|(k, _)| k.text() == Some(key)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.kind, NodeKind::Null)
    }

    /// The byte of the file where byte `offset` of this scalar's value stands: through indentation of block scalars,
    /// folded lines, quotes and escapes. Where a fold makes it ambiguous, the nearest byte before.
    pub(crate) fn offset_in_file(&self, file: &str, offset: usize) -> usize {
        let (Some(value), Some(source)) = (self.text(), file.get(self.start..self.start + self.len)) else {
            return self.start;
        };
        self.start + align(value, source, offset, self.indent(file))
    }

    /// Columns before the first character of the text: the indentation of a block scalar.
    fn indent(&self, file: &str) -> usize {
        let line_start = file[..self.start].rfind('\n').map_or(0, |i| i + 1);
        let before = &file[line_start..self.start];
        if before.bytes().all(|b| b == b' ') { before.len() } else { 0 }
    }
}

fn shorten(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(SHOWN_CHARS_MAX).chain("…".chars()).collect()
}

/// Walks value and source side by side until byte `offset` of the value; gives the byte of the source.
fn align(value: &str, source: &str, offset: usize, indent: usize) -> usize {
    let quote = match source.chars().next() {
        Some(q @ ('"' | '\'')) if !value.starts_with(q) => Some(q),
        Some(q @ '"') if source[1..].starts_with('\\') => Some(q),
        Some(q @ '\'') if source[1..].starts_with('\'') => Some(q),
        _ => None,
    };
    let bytes = source.as_bytes();
    let mut at = usize::from(quote.is_some());
    for (i, c) in value.char_indices() {
        if i >= offset || at >= bytes.len() {
            break;
        }
        if bytes[at] == b'\r' {
            at += 1;
        }
        let found = source[at.min(source.len())..].chars().next();
        if quote == Some('"') && found == Some('\\') {
            at += escape_len(&bytes[at..]);
        } else if found == Some(c) {
            at += c.len_utf8();
            if quote == Some('\'') && c == '\'' {
                at += 1;
            }
            if c == '\n' {
                at += bytes[at..].iter().take(indent).take_while(|b| **b == b' ').count();
            }
        } else if found.is_some_and(char::is_whitespace) {
            // A fold: one space of the value is a line end and indentation of the source.
            at += bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
            if !c.is_whitespace() {
                at += c.len_utf8();
            }
        } else {
            break;
        }
    }
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn escape_len(bytes: &[u8]) -> usize {
    match bytes.get(1) {
        Some(b'x') => 4,
        Some(b'u') => 6,
        Some(b'U') => 10,
        Some(b'\n') => 2 + bytes[2..].iter().take_while(|b| **b == b' ').count(),
        _ => 2,
    }
}

/// The documents of a stream; empty ones are left out. Faults of YAML itself go to `faults`.
pub(crate) fn parse(text: &str, limits: FileLimits, faults: &mut Faults<'_>) -> Option<Vec<Node>> {
    if text.len() > limits.file_bytes_max {
        faults.whole(
            FaultKind::TooLarge,
            format!("expected at most {} bytes, found {}", limits.file_bytes_max, text.len()),
        );
        return None;
    }
    match documents(text, limits, DuplicateKeyPolicy::Error) {
        Ok(nodes) => Some(nodes),
        Err(error) => {
            let duplicate = matches!(error.without_snippet(), Error::DuplicateMappingKey { .. });
            let place = error.location().map(|location| offset_of(text, location));
            let message = message_of(&error);
            if !duplicate {
                tell(faults, place, FaultKind::Syntax, message);
                return None;
            }
            tell(faults, place, FaultKind::DuplicateKey, message);
            documents(text, limits, DuplicateKeyPolicy::FirstWins).ok()
        }
    }
}

fn tell(faults: &mut Faults<'_>, place: Option<usize>, kind: FaultKind, message: String) {
    match place {
        Some(offset) => faults.at(offset, kind, message),
        None => faults.whole(kind, message),
    }
}

/// The byte of a place. Not by its line, because YAML also breaks lines at a lone carriage return.
fn offset_of(text: &str, location: serde_saphyr::Location) -> usize {
    let span = location.span();
    let by_chars = || text.char_indices().nth(span.offset() as usize).map_or(text.len(), |(at, _)| at);
    span.byte_offset().map_or_else(by_chars, |at| at as usize)
}

/// The parser's message without its own " at line 1, column 2", and for duplicates without the hint to our options.
fn message_of(error: &Error) -> String {
    let text = error.without_snippet().to_string();
    let text = text.split(", set DuplicateKeyPolicy").next().unwrap_or(&text);
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

fn documents(text: &str, limits: FileLimits, duplicates: DuplicateKeyPolicy) -> Result<Vec<Node>, Error> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        duplicate_keys: duplicates,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits.alias_nodes_max,
        },
        budget: serde_saphyr::budget! {
            max_depth: limits.depth_max,
            max_nodes: limits.nodes_max,
            max_events: limits.nodes_max.saturating_mul(2),
            max_documents: limits.documents_max,
        },
    };
    let documents: Vec<Spanned<Content>> = serde_saphyr::from_multiple_with_options(text, options)?;
    Ok(documents.into_iter().map(|document| node(text, document)).filter(|node| !node.is_null()).collect())
}

/// Recursion is bounded by [`FileLimits::depth_max`].
fn node(text: &str, spanned: Spanned<Content>) -> Node {
    let span = spanned.defined.span();
    let start = span.byte_offset().map_or(0, |o| o as usize).min(text.len());
    let len = span.byte_len().map_or(0, |l| l as usize).min(text.len() - start);
    let kind = match spanned.value {
        Content::Null => NodeKind::Null,
        Content::Text(text) => NodeKind::Scalar { text, is_text: true },
        Content::Plain => {
            let text = text.get(start..start + len).unwrap_or("").to_owned();
            NodeKind::Scalar { text, is_text: false }
        }
        Content::Sequence(items) => NodeKind::Sequence(items.into_iter().map(|i| node(text, i)).collect()),
        Content::Mapping(entries) => {
            NodeKind::Mapping(entries.into_iter().map(|(k, v)| (node(text, k), node(text, v))).collect())
        }
    };
    Node { start, len, kind }
}

enum Content {
    Null,
    /// Text that is neither a number nor a boolean.
    Text(String),
    /// A number or boolean; its text is cut from the file.
    Plain,
    Sequence(Vec<Spanned<Content>>),
    Mapping(Vec<(Spanned<Content>, Spanned<Content>)>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML node")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Content, E> {
        Ok(Content::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Content, E> {
        Ok(Content::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Content, E> {
        Ok(Content::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Content, E> {
        Ok(Content::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Content, E> {
        Ok(Content::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Content, E> {
        Ok(Content::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Content, E> {
        Ok(Content::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Content::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key()? {
            entries.push((key, access.next_value()?));
        }
        Ok(Content::Mapping(entries))
    }
}

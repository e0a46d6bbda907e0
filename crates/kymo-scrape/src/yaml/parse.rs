//! Parse: events of the YAML parser into nodes. Bytes from outside: depth, number of nodes and alias growth are bounded.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};

use super::node::{Entry, Node, Place, Value};

/// Most nodes of a file, with aliases written out.
const NODES_MAX: usize = 4_000_000;
/// Deepest nesting, with aliases written out.
const DEPTH_MAX: usize = 128;

/// A file as a tree, or the place where it stops being YAML.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) root: Node,
    /// Keys that come twice in one mapping.
    pub(crate) duplicate_keys: Vec<(String, Place)>,
    /// Where a second document starts, which is not read.
    pub(crate) second_document: Option<Place>,
}

/// Why a text is not a tree.
#[derive(Debug)]
pub(crate) struct ParseFault {
    pub(crate) place: Place,
    pub(crate) message: String,
}

/// Reads the first document of `text`.
pub(crate) fn parse(text: &str) -> Result<Parsed, ParseFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    for item in Parser::new_from_str(text) {
        let (event, span) = item.map_err(|e| {
            let marker = e.marker();
            let place = Place { line: marker.line(), column: marker.col() + 1, width: 1 };
            ParseFault { place, message: format!("not valid YAML: {}", e.info()) }
        })?;
        if builder.take(event, place_of(&span, text))? == Flow::Stop {
            break;
        }
    }
    Ok(Parsed {
        root: builder.root.unwrap_or(Node::null(Place { line: 1, column: 1, width: 1 })),
        duplicate_keys: builder.duplicate_keys,
        second_document: builder.second_document,
    })
}

fn place_of(span: &Span, text: &str) -> Place {
    let first_line = span.slice(text).and_then(|s| s.lines().next()).unwrap_or("");
    let width = first_line.trim_end().chars().count().max(1);
    Place { line: span.start.line(), column: span.start.col() + 1, width }
}

#[derive(PartialEq, Eq)]
enum Flow {
    Go,
    Stop,
}

/// A collection that is not closed yet.
struct Open {
    place: Place,
    anchor: usize,
    /// The deepest node inside, counted from this one.
    height: usize,
    kind: Kind,
}

enum Kind {
    Seq(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<String, usize>, key: Option<(String, Place)>, merges: Vec<Node> },
}

#[derive(Default)]
struct Builder {
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, usize, usize)>,
    nodes: usize,
    root: Option<Node>,
    documents: usize,
    duplicate_keys: Vec<(String, Place)>,
    second_document: Option<Place>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<Flow, ParseFault> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.second_document = Some(place);
                    return Ok(Flow::Stop);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let is_null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value =
                    if is_null { Value::Null } else { Value::Scalar { text: text.into_owned(), plain } };
                self.close(Node { place, value }, anchor, 1, 1)?;
            }
            Event::SequenceStart(_, anchor, _) => self.open(place, anchor, Kind::Seq(Vec::new()))?,
            Event::MappingStart(_, anchor, _) => {
                let kind =
                    Kind::Map { entries: Vec::new(), seen: HashMap::new(), key: None, merges: Vec::new() };
                self.open(place, anchor, kind)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.stack.pop() {
                    let value = match open.kind {
                        Kind::Seq(items) => Value::Seq(items),
                        Kind::Map { mut entries, mut seen, merges, .. } => {
                            merge(&mut entries, &mut seen, merges)?;
                            Value::Map(entries)
                        }
                    };
                    let count = count_of(&value);
                    self.close(Node { place: open.place, value }, open.anchor, open.height, count)?;
                }
            }
            Event::Alias(id) => {
                let Some((node, height, count)) = self.anchors.get(&id) else {
                    return Err(fault(place, "alias of an anchor that is still open"));
                };
                let (mut node, height, count) = (node.clone(), *height, *count);
                node.place = place;
                self.nodes = self.nodes.saturating_add(count);
                self.close(node, 0, height, count)?;
            }
            _ => {}
        }
        Ok(Flow::Go)
    }

    fn open(&mut self, place: Place, anchor: usize, kind: Kind) -> Result<(), ParseFault> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(fault(place, &format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.stack.push(Open { place, anchor, height: 1, kind });
        Ok(())
    }

    /// Puts a finished node where it belongs: a key, a value, an item, or the root.
    fn close(&mut self, node: Node, anchor: usize, height: usize, count: usize) -> Result<(), ParseFault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(fault(node.place, &format!("more than {NODES_MAX} values")));
        }
        if self.stack.len() + height > DEPTH_MAX + 1 {
            return Err(fault(node.place, &format!("nested deeper than {DEPTH_MAX} levels")));
        }
        if anchor != 0 {
            self.nodes = self.nodes.saturating_add(count);
            self.anchors.insert(anchor, (node.clone(), height, count));
        }
        let Some(open) = self.stack.last_mut() else {
            self.root.get_or_insert(node);
            return Ok(());
        };
        open.height = open.height.max(height + 1);
        match &mut open.kind {
            Kind::Seq(items) => items.push(node),
            Kind::Map { entries, seen, key, merges } => match key.take() {
                None => {
                    let text = match node.value {
                        Value::Scalar { text, .. } => text,
                        Value::Null => "null".to_owned(),
                        Value::Seq(_) | Value::Map(_) => {
                            return Err(fault(node.place, "expected a key, found a list or a mapping"));
                        }
                    };
                    *key = Some((text, node.place));
                }
                Some((text, _)) if text == "<<" => merges.push(node),
                Some((text, key_place)) => {
                    if seen.insert(text.clone(), entries.len()).is_some() {
                        self.duplicate_keys.push((text, key_place));
                    } else {
                        entries.push(Entry { key: text, key_place, node });
                    }
                }
            },
        }
        Ok(())
    }
}

/// The keys of merged mappings (`<<: *base`), where the mapping does not have them itself.
fn merge(
    entries: &mut Vec<Entry>,
    seen: &mut HashMap<String, usize>,
    merges: Vec<Node>,
) -> Result<(), ParseFault> {
    for node in merges {
        let place = node.place;
        let maps = match node.value {
            Value::Seq(items) => items,
            _ => vec![node],
        };
        for map in maps {
            let Value::Map(base) = map.value else {
                return Err(fault(place, "expected a mapping to merge, or a list of them"));
            };
            for entry in base {
                if !seen.contains_key(&entry.key) {
                    seen.insert(entry.key.clone(), entries.len());
                    entries.push(entry);
                }
            }
        }
    }
    Ok(())
}

/// How many nodes a collection holds, itself included.
fn count_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Scalar { .. } => 1,
        Value::Seq(items) => 1 + items.iter().map(|item| count_of(&item.value)).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| count_of(&entry.node.value)).sum::<usize>(),
    }
}

fn fault(place: Place, message: &str) -> ParseFault {
    ParseFault { place, message: message.to_owned() }
}

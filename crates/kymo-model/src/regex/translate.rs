//! Translate: a parsed pattern in the syntax of the `regex` crate, with nothing left to that syntax's own reading: classes
//! spelled out, characters escaped, flags written where they act.

use super::tree::{ClassItem, Node, NodeId, Tree};
use super::unicode_names;

/// What matches no text.
const NEVER: &str = r"[^\x{0}-\x{10FFFF}]";
/// What matches any character.
const ANY: &str = "(?s:.)";

/// What stands around a node, and so whether it needs parentheses.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Place {
    Group,
    Concat,
    Operand,
}

enum Task {
    Node(NodeId, Place),
    Text(&'static str),
    Counts { min: u32, max: Option<u32>, lazy: bool },
}

/// The pattern for `regex`; without `captures` no group captures.
pub(super) fn translate(tree: &Tree, captures: bool) -> String {
    let mut out = String::with_capacity(tree.nodes.len() * 2);
    let mut tasks = vec![Task::Node(tree.root(), Place::Group)];
    while let Some(task) = tasks.pop() {
        match task {
            Task::Text(text) => out.push_str(text),
            Task::Counts { min, max, lazy } => push_counts(&mut out, min, max, lazy),
            Task::Node(id, place) => node(tree, tree.node(id), place, captures, &mut out, &mut tasks),
        }
    }
    out
}

fn node(tree: &Tree, node: Node, place: Place, captures: bool, out: &mut String, tasks: &mut Vec<Task>) {
    match node {
        Node::Empty => out.push_str("(?:)"),
        Node::Char { code, fold } => push_literal(out, code, fold),
        Node::Any => out.push_str(ANY),
        Node::AnyButNewline => out.push_str(r"[^\n]"),
        Node::Class { items, negated, fold } => push_class(out, items.of(&tree.items), negated, fold),
        Node::TextStart => out.push_str(r"\A"),
        Node::TextEnd => out.push_str(r"\z"),
        Node::LineStart => out.push_str("(?m:^)"),
        Node::LineEnd => out.push_str("(?m:$)"),
        Node::WordEdge => out.push_str(r"(?-u:\b)"),
        Node::NotWordEdge => out.push_str(r"(?-u:\B)"),
        Node::Capture { child, .. } => {
            out.push_str(if captures { "(" } else { "(?:" });
            tasks.push(Task::Text(")"));
            tasks.push(Task::Node(child, Place::Group));
        }
        Node::Repeat { child, min, max, lazy } => {
            if open(place > Place::Concat, out) {
                tasks.push(Task::Text(")"));
            }
            tasks.push(Task::Counts { min, max, lazy });
            tasks.push(Task::Node(child, Place::Operand));
        }
        Node::Concat(list) => {
            if open(place > Place::Concat, out) {
                tasks.push(Task::Text(")"));
            }
            let children = list.of(&tree.children);
            tasks.extend(children.iter().rev().map(|child| Task::Node(*child, Place::Concat)));
        }
        Node::Alternate(list) => {
            if open(place > Place::Group, out) {
                tasks.push(Task::Text(")"));
            }
            for (index, child) in list.of(&tree.children).iter().enumerate().rev() {
                tasks.push(Task::Node(*child, Place::Group));
                if index > 0 {
                    tasks.push(Task::Text("|"));
                }
            }
        }
    }
}

fn open(needed: bool, out: &mut String) -> bool {
    if needed {
        out.push_str("(?:");
    }
    needed
}

fn push_counts(out: &mut String, min: u32, max: Option<u32>, lazy: bool) {
    match (min, max) {
        (0, None) => out.push('*'),
        (1, None) => out.push('+'),
        (0, Some(1)) => out.push('?'),
        (min, None) => out.push_str(&format!("{{{min},}}")),
        (min, Some(max)) => out.push_str(&format!("{{{min},{max}}}")),
    }
    if lazy {
        out.push('?');
    }
}

fn push_literal(out: &mut String, code: u32, fold: bool) {
    let Some(c) = char::from_u32(code) else {
        out.push_str(NEVER);
        return;
    };
    if fold {
        out.push_str("(?i:");
    }
    if c.is_ascii_alphanumeric() {
        out.push(c);
    } else {
        push_char(out, code);
    }
    if fold {
        out.push(')');
    }
}

fn push_char(out: &mut String, code: u32) {
    out.push_str(&format!("\\x{{{code:X}}}"));
}

fn push_class(out: &mut String, items: &[ClassItem], negated: bool, fold: bool) {
    let mut inner = String::new();
    for item in items {
        push_item(&mut inner, item);
    }
    match (inner.is_empty(), negated) {
        (true, false) => out.push_str(NEVER),
        (true, true) => out.push_str(ANY),
        (false, _) => {
            out.push_str(if fold { "(?i:[" } else { "[" });
            out.push_str(if negated { "^" } else { "" });
            out.push_str(&inner);
            out.push_str(if fold { "])" } else { "]" });
        }
    }
}

fn push_item(out: &mut String, item: &ClassItem) {
    match *item {
        ClassItem::Range { low, high } => {
            // Surrogates are no characters and match nothing.
            push_range(out, low, high.min(0xD7FF));
            push_range(out, low.max(0xE000), high);
        }
        ClassItem::Ascii { ranges, negated } => {
            out.push_str(if negated { "[^" } else { "" });
            for (low, high) in ranges {
                push_range(out, (*low).into(), (*high).into());
            }
            out.push_str(if negated { "]" } else { "" });
        }
        ClassItem::Unicode { property: unicode_names::SURROGATES, negated: false } => {}
        ClassItem::Unicode { property: unicode_names::SURROGATES, negated: true } => {
            push_range(out, 0, 0x10_FFFF);
        }
        ClassItem::Unicode { property, negated } => {
            out.push_str(if negated { r"\P{" } else { r"\p{" });
            out.push_str(property);
            out.push('}');
        }
    }
}

fn push_range(out: &mut String, low: u32, high: u32) {
    if low > high {
        return;
    }
    push_char(out, low);
    if low < high {
        out.push('-');
        push_char(out, high);
    }
}

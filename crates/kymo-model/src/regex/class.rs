//! Class: `[…]`, `\d`, `\pL`, `[:alpha:]`. Everything with a backslash or a colon means ASCII in Go, except `\p`.

use super::error::{RegexError, RegexErrorKind as Kind};
use super::scan::Scan;
use super::tree::{ClassItem, Node, Part, Tree};
use super::unicode_names;

/// States of an automaton for any character, from above.
pub(super) const ANY_STATES: u64 = 12;
/// States for one range of characters beyond ASCII.
const RANGE_STATES: u64 = 24;
/// States for a Unicode property, from above.
const PROPERTY_STATES: u64 = 1500;
/// How many times larger a class can become by folding case.
const FOLD_FACTOR: u64 = 2;

const DIGIT: &[(u8, u8)] = &[(b'0', b'9')];
const SPACE: &[(u8, u8)] = &[(b'\t', b'\n'), (0x0C, b'\r'), (b' ', b' ')];
const WORD: &[(u8, u8)] = &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')];

const POSIX: &[(&str, &[(u8, u8)])] = &[
    ("alnum", &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')]),
    ("alpha", &[(b'A', b'Z'), (b'a', b'z')]),
    ("ascii", &[(0, 0x7F)]),
    ("blank", &[(b'\t', b'\t'), (b' ', b' ')]),
    ("cntrl", &[(0, 0x1F), (0x7F, 0x7F)]),
    ("digit", DIGIT),
    ("graph", &[(b'!', b'~')]),
    ("lower", &[(b'a', b'z')]),
    ("print", &[(b' ', b'~')]),
    ("punct", &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')]),
    ("space", &[(b'\t', b'\r'), (b' ', b' ')]),
    ("upper", &[(b'A', b'Z')]),
    ("word", WORD),
    ("xdigit", &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')]),
];

/// `\d`, `\D`, `\s`, `\S`, `\w`, `\W` at the front of `text`.
pub(super) fn perl_class(text: &str) -> Option<ClassItem> {
    let (ranges, negated) = match text.as_bytes() {
        [b'\\', b'd', ..] => (DIGIT, false),
        [b'\\', b'D', ..] => (DIGIT, true),
        [b'\\', b's', ..] => (SPACE, false),
        [b'\\', b'S', ..] => (SPACE, true),
        [b'\\', b'w', ..] => (WORD, false),
        [b'\\', b'W', ..] => (WORD, true),
        _ => return None,
    };
    Some(ClassItem::Ascii { ranges, negated })
}

/// A class of one item.
pub(super) fn of_one(tree: &mut Tree, item: ClassItem, fold: bool) -> Node {
    let start = tree.items.len() as u32;
    tree.items.push(item);
    Node::Class { items: Part { start, end: start + 1 }, negated: false, fold }
}

/// Reads `[…]`.
pub(super) fn parse_brackets(scan: &mut Scan<'_>, tree: &mut Tree, fold: bool) -> Result<Node, RegexError> {
    let whole = scan.at();
    let start = tree.items.len() as u32;
    scan.bump();
    let negated = scan.peek() == Some('^');
    if negated {
        scan.bump();
    }
    let mut first = true;
    loop {
        let item_start = scan.at();
        match scan.peek() {
            Some(']') if !first => break,
            None => return Err(scan.error_to_end(Kind::MissingBracket, whole)),
            Some(_) => {}
        }
        first = false;
        let item = match posix_class(scan)? {
            Some(item) => item,
            None if scan.rest().starts_with("\\p") || scan.rest().starts_with("\\P") => parse_property(scan)?,
            None => match perl_class(scan.rest()) {
                Some(item) => {
                    scan.skip(2);
                    item
                }
                None => range(scan, whole, item_start)?,
            },
        };
        tree.items.push(item);
    }
    scan.bump();
    Ok(Node::Class { items: Part { start, end: tree.items.len() as u32 }, negated, fold })
}

/// `a`, `a-z`. A `-` before the closing bracket stands for itself.
fn range(scan: &mut Scan<'_>, whole: usize, start: usize) -> Result<ClassItem, RegexError> {
    let low = class_char(scan, whole)?;
    let rest = scan.rest();
    if !rest.starts_with('-') || rest.len() < 2 || rest.as_bytes()[1] == b']' {
        return Ok(ClassItem::Range { low, high: low });
    }
    scan.bump();
    let high = class_char(scan, whole)?;
    if high < low {
        return Err(scan.error(Kind::InvalidCharRange, start));
    }
    Ok(ClassItem::Range { low, high })
}

fn class_char(scan: &mut Scan<'_>, whole: usize) -> Result<u32, RegexError> {
    match scan.peek() {
        None => Err(scan.error_to_end(Kind::MissingBracket, whole)),
        Some('\\') => scan.escaped_char(),
        Some(c) => {
            scan.bump();
            Ok(u32::from(c))
        }
    }
}

/// `[:alpha:]`, `[:^alpha:]`. Without `:]` the bracket stands for itself.
fn posix_class(scan: &mut Scan<'_>) -> Result<Option<ClassItem>, RegexError> {
    let Some(inner) = scan.rest().strip_prefix("[:") else {
        return Ok(None);
    };
    let Some(end) = inner.find(":]") else {
        return Ok(None);
    };
    let start = scan.at();
    scan.skip(2 + end + 2);
    let (name, negated) = negatable(&inner[..end]);
    match POSIX.iter().find(|(known, _)| *known == name) {
        Some((_, ranges)) => Ok(Some(ClassItem::Ascii { ranges, negated })),
        None => Err(scan.error(Kind::InvalidCharRange, start)),
    }
}

/// `\pL`, `\p{Greek}`, `\P{^Greek}`.
pub(super) fn parse_property(scan: &mut Scan<'_>) -> Result<ClassItem, RegexError> {
    let start = scan.at();
    let rest = scan.rest();
    let negated = rest.as_bytes()[1] == b'P';
    let (name, len) = match rest[2..].chars().next() {
        None => ("", 2),
        Some('{') => {
            let end = rest.find('}').ok_or_else(|| scan.error_to_end(Kind::InvalidCharRange, start))?;
            (&rest[3..end], end + 1)
        }
        Some(c) => (&rest[2..2 + c.len_utf8()], 2 + c.len_utf8()),
    };
    scan.skip(len);
    let (name, again) = negatable(name);
    match unicode_names::property(name) {
        Some(property) => Ok(ClassItem::Unicode { property, negated: negated != again }),
        None => Err(scan.error(Kind::InvalidCharRange, start)),
    }
}

fn negatable(name: &str) -> (&str, bool) {
    match name.strip_prefix('^') {
        Some(name) => (name, true),
        None => (name, false),
    }
}

/// How many states an automaton needs for a class, from above.
pub(super) fn states(tree: &Tree, node: Node) -> u64 {
    let Node::Class { items, negated, fold } = node else {
        return 1;
    };
    let mut states = if negated { ANY_STATES } else { 1 };
    for item in items.of(&tree.items) {
        states += match *item {
            ClassItem::Range { high, .. } if high < 0x80 && !fold => 0,
            // Folding touches under 3,000 characters in all, each a range of its own at worst.
            ClassItem::Range { low, high } if fold => {
                RANGE_STATES + 4 * u64::from(high - low + 1).min(PROPERTY_STATES)
            }
            ClassItem::Range { .. } => RANGE_STATES,
            ClassItem::Ascii { negated, .. } => {
                if negated || fold {
                    RANGE_STATES
                } else {
                    0
                }
            }
            ClassItem::Unicode { .. } => PROPERTY_STATES * if fold { FOLD_FACTOR } else { 1 },
        };
    }
    states
}

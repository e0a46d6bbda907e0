//! Plan: how a pattern is matched. Most patterns of matchers are a few texts or text with `.*` in it, and need no automaton.
//!
//! A tree is expanded to all sequences that it stands for, as long as they stay few; the first node that does not expand
//! (a class, `\d+`, `[^/]+`) ends that, and the automaton does the work.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};
use xxhash_rust::xxh3::xxh3_64;

use super::sequence::Sequence;
use super::tree::{ClassItem, Node, NodeId, Tree};

/// Bytes of sequences that an expansion may make beyond twice the length of the pattern.
const EXPANSION_BYTES_MAX: usize = 16 << 10;
/// Sequences with gaps that are tried one after the other.
const SEQUENCES_MAX: usize = 16;
/// Characters of a class that is expanded.
const CLASS_CHARS_MAX: u32 = 32;
/// Sets up to this size are searched through.
const SMALL_SET_MAX: usize = 8;

/// How a pattern is matched as a whole.
#[derive(Debug)]
pub(super) enum Plan {
    /// These texts and no others.
    Set(Set),
    /// Text with gaps; any of these.
    Sequences(Vec<Sequence>),
    /// By the automaton.
    Automaton,
}

impl Plan {
    /// A plan without parsing, for patterns that are plain text or alternatives of plain texts.
    pub(super) fn of_plain(pattern: &str) -> Option<Plan> {
        let special = |b: u8| {
            matches!(
                b,
                b'\\' | b'.' | b'+' | b'*' | b'?' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'^' | b'$'
            )
        };
        if pattern.bytes().any(special) {
            return None;
        }
        Some(Plan::Set(Set::new(pattern.split('|').map(str::to_owned).collect())))
    }

    pub(super) fn of_tree(tree: &Tree, pattern_bytes: usize) -> Plan {
        let Some(all) = expand(tree, EXPANSION_BYTES_MAX + 2 * pattern_bytes) else {
            return Plan::Automaton;
        };
        let mut texts = Vec::new();
        let mut sequences = Vec::new();
        for sequence in all {
            match sequence.into_literal() {
                Ok(text) => texts.push(text),
                Err(sequence) => sequences.push(sequence),
            }
        }
        if sequences.is_empty() {
            return Plan::Set(Set::new(texts));
        }
        if sequences.len() + texts.len() > SEQUENCES_MAX {
            return Plan::Automaton;
        }
        sequences.extend(texts.iter().map(|text| Sequence::literal(text)));
        Plan::Sequences(sequences)
    }

    /// What every match begins with; empty when unknown.
    pub(super) fn prefix(&self, tree: Option<&Tree>) -> String {
        match self {
            Plan::Set(set) => common_prefix(set.texts.iter().map(String::as_str)).to_owned(),
            Plan::Sequences(sequences) => common_prefix(sequences.iter().map(Sequence::head)).to_owned(),
            Plan::Automaton => tree.map(leading_text).unwrap_or_default(),
        }
    }
}

fn common_prefix<'a>(mut texts: impl Iterator<Item = &'a str>) -> &'a str {
    let mut prefix = texts.next().unwrap_or("");
    for text in texts {
        let common = prefix.char_indices().zip(text.chars()).find(|((_, a), b)| a != b);
        let len = common.map_or(prefix.len().min(text.len()), |((at, _), _)| at);
        prefix = &prefix[..len];
    }
    prefix
}

/// The characters at the front of a tree, up to the first choice.
fn leading_text(tree: &Tree) -> String {
    let mut text = String::new();
    // Nodes still to come, the next one last.
    let mut todo = vec![tree.root()];
    while let Some(id) = todo.pop() {
        match tree.node(id) {
            Node::Char { code, fold: false } => match char::from_u32(code) {
                Some(c) => text.push(c),
                None => break,
            },
            Node::Capture { child, .. } => todo.push(child),
            Node::Concat(list) => todo.extend(list.of(&tree.children).iter().rev()),
            Node::Empty => {}
            Node::TextStart if text.is_empty() => {}
            _ => break,
        }
    }
    text
}

/// All sequences that a tree stands for, if they are few.
fn expand(tree: &Tree, mut budget_bytes: usize) -> Option<Vec<Sequence>> {
    let mut done: Vec<Vec<Sequence>> = Vec::with_capacity(tree.nodes.len());
    for (index, node) in tree.nodes.iter().enumerate() {
        let mut take = |id: NodeId| std::mem::take(&mut done[id.0 as usize]);
        let expanded = match *node {
            Node::Empty => vec![Sequence::default()],
            Node::Char { code, fold } => chars(code, code, fold),
            // A gap if a repetition around it makes it one.
            Node::Any if gap_around(tree, index) => Vec::new(),
            Node::Class { items, negated: false, fold } => class(items.of(&tree.items), fold)?,
            Node::TextStart => vec![Sequence::start()],
            Node::TextEnd => vec![Sequence::end()],
            Node::Capture { child, .. } => take(child),
            Node::Repeat { child, min, max: None, .. } if tree.node(child) == Node::Any => {
                vec![Sequence::gap(min)]
            }
            Node::Repeat { child, min, max: Some(max), .. } => {
                repeated(&take(child), min, max, &mut budget_bytes)?
            }
            Node::Concat(list) => {
                let mut whole = vec![Sequence::default()];
                for child in list.of(&tree.children) {
                    whole = product(whole, &take(*child), &mut budget_bytes)?;
                }
                whole
            }
            Node::Alternate(list) => {
                let mut children = list.of(&tree.children).iter();
                let mut whole = children.next().map(|child| take(*child)).unwrap_or_default();
                children.for_each(|child| whole.append(&mut take(*child)));
                whole
            }
            _ => return None,
        };
        done.push(expanded);
    }
    done.pop()
}

/// Is this node the operand of `*`, `+` or `{n,}`? Then that is the next node, as operands come right before.
fn gap_around(tree: &Tree, index: usize) -> bool {
    let next = tree.nodes.get(index + 1);
    matches!(next, Some(Node::Repeat { child, max: None, .. }) if child.0 as usize == index)
}

/// Every one of `left` followed by every one of `right`.
fn product(mut left: Vec<Sequence>, right: &[Sequence], budget_bytes: &mut usize) -> Option<Vec<Sequence>> {
    if let [only] = right {
        let spent = only.weight() * left.len();
        *budget_bytes = budget_bytes.checked_sub(spent)?;
        left.retain_mut(|sequence| sequence.append(only));
        return Some(left);
    }
    let mut out = Vec::new();
    for first in &left {
        for second in right {
            *budget_bytes = budget_bytes.checked_sub(first.weight() + second.weight())?;
            let mut sequence = first.clone();
            if sequence.append(second) {
                out.push(sequence);
            }
        }
    }
    Some(out)
}

fn repeated(child: &[Sequence], min: u32, max: u32, budget_bytes: &mut usize) -> Option<Vec<Sequence>> {
    let mut power = vec![Sequence::default()];
    let mut all = Vec::new();
    for count in 0..=max {
        if count > 0 {
            power = product(power, child, budget_bytes)?;
        }
        if count >= min {
            let weight: usize = power.iter().map(Sequence::weight).sum();
            *budget_bytes = budget_bytes.checked_sub(weight)?;
            all.extend_from_slice(&power);
        }
    }
    Some(all)
}

/// The characters of a small class.
fn class(items: &[ClassItem], fold: bool) -> Option<Vec<Sequence>> {
    let mut all = Vec::new();
    let mut count = 0;
    for item in items {
        let ranges = match item {
            ClassItem::Range { low, high } => [(*low, *high)],
            _ => return None,
        };
        for (low, high) in ranges {
            count += high - low + 1;
            if count > CLASS_CHARS_MAX {
                return None;
            }
            all.extend(chars(low, high, fold));
        }
    }
    Some(all)
}

/// The characters from `low` to `high` and, with `fold`, those that differ from them in case only.
fn chars(low: u32, high: u32, fold: bool) -> Vec<Sequence> {
    let plain = (low..=high).filter_map(char::from_u32);
    if !fold {
        return plain.map(|c| Sequence::literal(c.encode_utf8(&mut [0; 4]))).collect();
    }
    let mut class = ClassUnicode::new(plain.map(|c| ClassUnicodeRange::new(c, c)));
    class.case_fold_simple();
    let all = class.ranges().iter().flat_map(|range| range.start()..=range.end());
    all.map(|c| Sequence::literal(c.encode_utf8(&mut [0; 4]))).collect()
}

/// Texts, sorted and distinct, with a hash table over them when they are many.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) texts: Vec<String>,
    /// Open addressing; indices into `texts` plus one, 0 for a free place. Empty for small sets.
    table: Vec<u32>,
}

impl Set {
    fn new(mut texts: Vec<String>) -> Set {
        texts.sort_unstable();
        texts.dedup();
        let mut table = Vec::new();
        if texts.len() > SMALL_SET_MAX {
            table = vec![0; (texts.len() * 2).next_power_of_two()];
            for (index, text) in texts.iter().enumerate() {
                let mut place = slot(text, table.len());
                while table[place] != 0 {
                    place = (place + 1) & (table.len() - 1);
                }
                table[place] = index as u32 + 1;
            }
        }
        Set { texts, table }
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        if self.table.is_empty() {
            return self.texts.iter().any(|known| known == text);
        }
        let mut place = slot(text, self.table.len());
        loop {
            match self.table[place] {
                0 => return false,
                index if self.texts[index as usize - 1] == text => return true,
                _ => place = (place + 1) & (self.table.len() - 1),
            }
        }
    }
}

fn slot(text: &str, len: usize) -> usize {
    xxh3_64(text.as_bytes()) as usize & (len - 1)
}

//! Parse: Go's regular expression syntax (`regexp/syntax` with the Perl flags), with Go's limits and Go's errors.
//!
//! One pass without recursion: finished items wait on a stack until the group around them closes. Each item carries its
//! measure (height, product of repeat counts, size of the automaton), so that a pattern over a limit is refused before
//! anything of its size exists. Whatever is accepted here compiles.

use super::class::{self, perl_class};
use super::error::{RegexError, RegexErrorKind as Kind};
use super::scan::Scan;
use super::tree::{Node, NodeId, Part, Tree};

/// The longest pattern. Go has no such limit; long alternations of literals, which dashboards generate, stay far below it.
pub(super) const PATTERN_BYTES_MAX: usize = 1 << 20;
/// The highest count in `{…}`, and the highest product of such counts inside each other. Go's.
const REPEAT_MAX: u32 = 1000;
/// The highest tree. Go's.
const HEIGHT_MAX: u32 = 1000;
/// The largest automaton in states, estimated from above. Go counts instructions and allows 3.3 million.
pub(super) const STATES_MAX: u64 = 100_000;
/// One state in truth; more, because the engines pay for it at every position.
const ASSERTION_STATES: u64 = 4;
/// The largest product of groups and states: what an engine that tracks captures keeps at worst.
const GROUP_STATES_MAX: u64 = 8_000_000;

/// What `(?…)` can switch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) fold: bool,
    pub(super) multi_line: bool,
    pub(super) dot_newline: bool,
    pub(super) ungreedy: bool,
}

/// A finished node on the stack.
#[derive(Clone, Copy)]
struct Item {
    id: NodeId,
    height: u32,
    repeats: u32,
    states: u64,
}

/// An open group.
struct Frame {
    /// Group number; `None` for `(?:`.
    capture: Option<u32>,
    flags_outside: Flags,
    items_start: usize,
    branches_start: usize,
}

struct Parser<'p> {
    scan: Scan<'p>,
    flags: Flags,
    tree: Tree,
    /// Items of the innermost branch being read, above those of the branches around it.
    items: Vec<Item>,
    /// Finished branches of the groups that are open.
    branches: Vec<Item>,
    frames: Vec<Frame>,
    items_start: usize,
    branches_start: usize,
}

/// Parses a pattern.
pub(super) fn parse(pattern: &str, flags: Flags) -> Result<Tree, RegexError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(RegexError::new(Kind::Large, pattern));
    }
    let mut parser = Parser {
        scan: Scan::new(pattern),
        flags,
        tree: Tree::default(),
        items: Vec::with_capacity(16),
        branches: Vec::new(),
        frames: Vec::new(),
        items_start: 0,
        branches_start: 0,
    };
    parser.tree.nodes.reserve(pattern.len().min(64) + 1);
    parser.run()?;
    Ok(parser.tree)
}

impl Parser<'_> {
    fn run(&mut self) -> Result<(), RegexError> {
        // Where the repetition that was read last began, if nothing came after it.
        let mut last_repeat = None;
        while let Some(c) = self.scan.peek() {
            let start = self.scan.at();
            let mut repeat = None;
            match c {
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => {
                    self.scan.bump();
                    self.end_branch()?;
                }
                '*' | '+' | '?' => {
                    self.scan.bump();
                    let (min, max) = match c {
                        '*' => (0, None),
                        '+' => (1, None),
                        _ => (0, Some(1)),
                    };
                    self.repeat(min, max, start, last_repeat)?;
                    repeat = Some(start);
                }
                '{' => match self.scan.counts() {
                    None => {
                        self.scan.bump();
                        self.char(u32::from('{'))?;
                    }
                    Some((min, max)) => {
                        let too_large =
                            min > REPEAT_MAX || max.is_some_and(|max| max > REPEAT_MAX || max < min);
                        if too_large {
                            return Err(self.scan.error(Kind::InvalidRepeatSize, start));
                        }
                        self.repeat(min, max, start, last_repeat)?;
                        repeat = Some(start);
                    }
                },
                '[' => {
                    let node = class::parse_brackets(&mut self.scan, &mut self.tree, self.flags.fold)?;
                    self.class(node)?;
                }
                '\\' => self.escape()?,
                '^' | '$' | '.' => {
                    self.scan.bump();
                    let node = match (c, self.flags.multi_line, self.flags.dot_newline) {
                        ('^', false, _) => Node::TextStart,
                        ('^', true, _) => Node::LineStart,
                        ('$', false, _) => Node::TextEnd,
                        ('$', true, _) => Node::LineEnd,
                        (_, _, true) => Node::Any,
                        (_, _, false) => Node::AnyButNewline,
                    };
                    self.leaf(node, if c == '.' { class::ANY_STATES } else { ASSERTION_STATES })?;
                }
                c => {
                    self.scan.bump();
                    self.char(u32::from(c))?;
                }
            }
            last_repeat = repeat;
        }
        self.end_branch()?;
        if !self.frames.is_empty() {
            return Err(self.scan.error_whole(Kind::MissingParen));
        }
        let root = self.alternation()?;
        debug_assert_eq!(root.id, self.tree.root(), "BUG: the root is made last");
        self.tree.states = root.states;
        Ok(())
    }

    fn leaf(&mut self, node: Node, states: u64) -> Result<(), RegexError> {
        let item = self.item(node, 0, 1, states)?;
        self.items.push(item);
        Ok(())
    }

    fn char(&mut self, code: u32) -> Result<(), RegexError> {
        let fold = self.flags.fold;
        // A folded character is at most four characters of up to four bytes.
        let states = if fold { 8 } else { char::from_u32(code).map_or(1, |c| c.len_utf8() as u64) };
        self.leaf(Node::Char { code, fold }, states)
    }

    fn class(&mut self, node: Node) -> Result<(), RegexError> {
        let states = class::states(&self.tree, node);
        self.leaf(node, states)
    }

    /// Adds a node over children of this height, product of repeats and size.
    fn item(&mut self, node: Node, height: u32, repeats: u32, states: u64) -> Result<Item, RegexError> {
        if height + 1 > HEIGHT_MAX {
            return Err(self.scan.error_whole(Kind::NestingDepth));
        }
        if states > STATES_MAX || states * self.tree.groups.len() as u64 > GROUP_STATES_MAX {
            return Err(self.scan.error_whole(Kind::Large));
        }
        let id = NodeId(self.tree.nodes.len() as u32);
        self.tree.nodes.push(node);
        Ok(Item { id, height: height + 1, repeats, states })
    }

    /// `(`, `(?:`, `(?P<name>`, `(?flags)`, `(?flags:`
    fn open(&mut self) -> Result<(), RegexError> {
        let flags_outside = self.flags;
        let capture = if self.scan.rest().starts_with("(?") {
            match self.scan.group_name()? {
                Some(name) => Some(Some(name)),
                None => {
                    if !self.scan.flags(&mut self.flags)? {
                        return Ok(());
                    }
                    None
                }
            }
        } else {
            self.scan.bump();
            Some(None)
        };
        let capture = capture.map(|name| {
            self.tree.groups.push(name);
            self.tree.groups.len() as u32
        });
        self.frames.push(Frame {
            capture,
            flags_outside,
            items_start: std::mem::replace(&mut self.items_start, self.items.len()),
            branches_start: std::mem::replace(&mut self.branches_start, self.branches.len()),
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), RegexError> {
        if self.frames.is_empty() {
            return Err(self.scan.error_whole(Kind::UnexpectedParen));
        }
        self.scan.bump();
        self.end_branch()?;
        let mut item = self.alternation()?;
        let Some(frame) = self.frames.pop() else {
            unreachable!("BUG: the frames were just seen not to be empty");
        };
        if let Some(group) = frame.capture {
            item = self.item(
                Node::Capture { group, child: item.id },
                item.height,
                item.repeats,
                item.states + 2,
            )?;
        }
        self.flags = frame.flags_outside;
        self.items_start = frame.items_start;
        self.branches_start = frame.branches_start;
        self.items.push(item);
        Ok(())
    }

    /// Makes one node of the items of the branch that ends here.
    fn end_branch(&mut self) -> Result<(), RegexError> {
        let branch = match self.items.len() - self.items_start {
            0 => self.item(Node::Empty, 0, 1, 1)?,
            1 => self.items[self.items_start],
            _ => self.join(self.items_start, false)?,
        };
        self.items.truncate(self.items_start);
        self.branches.push(branch);
        Ok(())
    }

    /// Makes one node of the branches of the group that ends here.
    fn alternation(&mut self) -> Result<Item, RegexError> {
        let whole = match self.branches.len() - self.branches_start {
            1 => self.branches[self.branches_start],
            _ => self.join(self.branches_start, true)?,
        };
        self.branches.truncate(self.branches_start);
        Ok(whole)
    }

    fn join(&mut self, start: usize, alternate: bool) -> Result<Item, RegexError> {
        let parts = if alternate { &self.branches[start..] } else { &self.items[start..] };
        let first = self.tree.children.len() as u32;
        self.tree.children.extend(parts.iter().map(|item| item.id));
        let list = Part { start: first, end: self.tree.children.len() as u32 };
        let height = parts.iter().map(|item| item.height).max().unwrap_or(0);
        let repeats = parts.iter().map(|item| item.repeats).max().unwrap_or(1);
        let branching = if alternate { parts.len() as u64 } else { 0 };
        let states = parts.iter().map(|item| item.states).sum::<u64>() + branching;
        let node = if alternate { Node::Alternate(list) } else { Node::Concat(list) };
        self.item(node, height, repeats, states)
    }

    /// A repetition whose operator has been read, except for the `?` that makes it lazy.
    fn repeat(
        &mut self,
        min: u32,
        max: Option<u32>,
        start: usize,
        last_repeat: Option<usize>,
    ) -> Result<(), RegexError> {
        let mut lazy = self.flags.ungreedy;
        if self.scan.peek() == Some('?') {
            self.scan.bump();
            lazy = !lazy;
        }
        if let Some(last) = last_repeat {
            return Err(self.scan.error(Kind::InvalidRepeatOp, last));
        }
        let argument = (self.items.len() > self.items_start).then(|| self.items.pop()).flatten();
        let Some(child) = argument else {
            return Err(self.scan.error(Kind::MissingRepeatArgument, start));
        };
        let copies = u64::from(max.unwrap_or(min).max(1));
        let repeats = child.repeats.saturating_mul(copies as u32);
        let states = child.states * copies + copies + 2;
        let node = Node::Repeat { child: child.id, min, max, lazy };
        let item = self.item(node, child.height, repeats, states)?;
        if (min >= 2 || max >= Some(2)) && repeats > REPEAT_MAX {
            return Err(self.scan.error(Kind::InvalidRepeatSize, start));
        }
        self.items.push(item);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), RegexError> {
        let rest = self.scan.rest();
        let node = match rest.as_bytes().get(1) {
            Some(b'A') => Node::TextStart,
            Some(b'z') => Node::TextEnd,
            Some(b'b') => Node::WordEdge,
            Some(b'B') => Node::NotWordEdge,
            Some(b'Q') => return self.quoted(),
            Some(b'p' | b'P') => {
                let item = class::parse_property(&mut self.scan)?;
                let node = class::of_one(&mut self.tree, item, self.flags.fold);
                return self.class(node);
            }
            _ => {
                if let Some(item) = perl_class(rest) {
                    self.scan.skip(2);
                    let node = class::of_one(&mut self.tree, item, self.flags.fold);
                    return self.class(node);
                }
                let code = self.scan.escaped_char()?;
                return self.char(code);
            }
        };
        self.scan.skip(2);
        self.leaf(node, ASSERTION_STATES)
    }

    /// `\Q…\E`; without `\E` up to the end of the pattern.
    fn quoted(&mut self) -> Result<(), RegexError> {
        self.scan.skip(2);
        let text = self.scan.rest();
        let (literal, skip) = match text.find("\\E") {
            Some(end) => (&text[..end], end + 2),
            None => (text, text.len()),
        };
        for c in literal.chars() {
            self.char(u32::from(c))?;
        }
        self.scan.skip(skip);
        Ok(())
    }
}

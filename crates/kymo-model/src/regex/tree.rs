//! Tree: a parsed pattern. Nodes lie in one list, children before parents, so that every walk is a loop and dropping a deep
//! tree cannot overflow the stack.

/// Index of a node in [`Tree::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(pub(super) u32);

/// A part of a list that several nodes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Part {
    pub(super) fn of<T>(self, list: &[T]) -> &[T] {
        &list[self.start as usize..self.end as usize]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Empty,
    /// A code point; surrogates can be written in Go (`\x{D800}`) and match nothing.
    Char {
        code: u32,
        fold: bool,
    },
    Any,
    AnyButNewline,
    Class {
        items: Part,
        negated: bool,
        fold: bool,
    },
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    WordEdge,
    NotWordEdge,
    /// Groups are numbered from 1 in the order of their opening parentheses.
    Capture {
        group: u32,
        child: NodeId,
    },
    Repeat {
        child: NodeId,
        min: u32,
        max: Option<u32>,
        lazy: bool,
    },
    Concat(Part),
    Alternate(Part),
}

/// One item of a bracketed class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClassItem {
    Range { low: u32, high: u32 },
    Ascii { ranges: &'static [(u8, u8)], negated: bool },
    Unicode { property: &'static str, negated: bool },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// Children of [`Node::Concat`] and [`Node::Alternate`].
    pub(super) children: Vec<NodeId>,
    pub(super) items: Vec<ClassItem>,
    /// Names of the capture groups from group 1 on.
    pub(super) groups: Vec<Option<String>>,
    /// How many states an automaton needs, from above.
    pub(super) states: u64,
}

impl Tree {
    /// The root is the node that was made last.
    pub(super) fn root(&self) -> NodeId {
        NodeId(self.nodes.len() as u32 - 1)
    }

    pub(super) fn node(&self, id: NodeId) -> Node {
        self.nodes[id.0 as usize]
    }
}

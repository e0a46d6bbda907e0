//! The tree of a template. Depth is bounded by the parser, so walking and dropping may recurse.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::functions::Function;
use super::value::Value;

/// Bytes of the template text, the prefix that declares the variables included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// All templates of one text: the main one and those of `{{ define }}`.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) main: Vec<Node>,
    pub(super) defined: BTreeMap<String, Arc<Vec<Node>>>,
}

#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { span: Span, name: String, data: Option<Pipeline> },
    Break,
    Continue,
}

#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipeline: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) span: Span,
    pub(super) variables: Vec<String>,
    /// `=` and not `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

#[derive(Debug)]
pub(super) struct Command {
    pub(super) span: Span,
    /// Never empty.
    pub(super) operands: Vec<Operand>,
}

#[derive(Debug)]
pub(super) struct Operand {
    pub(super) span: Span,
    /// Where Go says it is: its first field, if something stands before that.
    pub(super) mark: usize,
    pub(super) kind: OperandKind,
}

#[derive(Debug)]
pub(super) enum OperandKind {
    Dot,
    Nil,
    Constant(Value),
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`
    Variable(String, Vec<String>),
    Function(Function),
    /// `(…)`, or something else with fields behind it.
    Chain(Box<Operand>, Vec<String>),
    Pipeline(Box<Pipeline>),
}

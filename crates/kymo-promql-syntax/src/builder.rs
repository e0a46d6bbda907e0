//! What the grammar's rules do: put nodes together, bounded in number, nesting and height, and refuse what has no meaning
//! before any type is known. Between the generated parser and the tree.

mod chain;
mod duration;
mod selector;

use kymo_model::Matcher;

use crate::ast::{Aggregate, Call, Expr, ExprKind, Grouping, Number, Span};
use crate::error::{Fault, Faults, ParseErrorKind};
use crate::functions::Function;
use crate::literal::{duration_value, number_value, unquote};
use crate::quote::quoted;
use crate::suggest;
use crate::token::{Token, aggregate};
use crate::{Limits, ParseOptions};

use chain::Waiting;
use duration::{Duration, WaitingDuration};

/// Room for the operands of an ordinary query without growing.
const STACK_CAPACITY: usize = 4;

/// What a rule gives: something, or the fault that ends the parse.
pub(crate) type Built<T> = Result<T, lalrpop_util::ParseError<u32, Token, Box<Fault>>>;

/// An expression under construction with its size.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) expr: Expr,
    /// How deep the tree is.
    height: u32,
    /// How deep brackets, calls and signs nest; a long sum is high but not deep.
    depth: u32,
}

/// The state of one parse.
pub(crate) struct Builder<'a> {
    text: &'a str,
    options: &'a ParseOptions,
    nodes: usize,
    /// The open chains, see [`chain`].
    operands: Vec<Node>,
    waiting: Vec<Waiting>,
    /// The open chains of durations, see [`duration`].
    durations: Vec<Duration>,
    waiting_durations: Vec<WaitingDuration>,
    /// The matchers and labels of lists that are not complete yet.
    matchers: Vec<Matcher>,
    labels: Vec<String>,
    /// What is wrong without keeping the parser from going on. Something stands on the stacks in place of what was refused.
    pub(crate) faults: Faults,
}

const fn span(start: u32, end: u32) -> Span {
    Span { start, end }
}

fn fail<T>(fault: Box<Fault>) -> Built<T> {
    Err(lalrpop_util::ParseError::User { error: fault })
}

fn refuse<T>(kind: ParseErrorKind, span: Span, message: impl Into<String>) -> Built<T> {
    fail(Fault::new(kind, span, message))
}

impl<'a> Builder<'a> {
    pub(crate) fn new(text: &'a str, options: &'a ParseOptions) -> Builder<'a> {
        Builder {
            text,
            options,
            nodes: 0,
            operands: Vec::with_capacity(STACK_CAPACITY),
            waiting: Vec::with_capacity(STACK_CAPACITY),
            durations: Vec::new(),
            waiting_durations: Vec::new(),
            matchers: Vec::new(),
            labels: Vec::new(),
            faults: Faults::default(),
        }
    }

    fn slice(&self, start: u32, end: u32) -> &'a str {
        &self.text[start as usize..end as usize]
    }

    fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// Notes a fault and goes on: more faults may follow, but no tree.
    fn note(&mut self, kind: ParseErrorKind, span: Span, message: impl Into<String>) {
        self.faults.push(Fault::new(kind, span, message));
    }

    fn semantic(&mut self, span: Span, message: impl Into<String>) {
        self.note(ParseErrorKind::Semantic, span, message);
    }

    /// Stands for an expression that was refused.
    fn placeholder(&mut self, at: Span) -> Built<()> {
        self.leaf(at, ExprKind::Number(Number { value: f64::NAN, is_duration: false }))
    }

    fn count(&mut self, at: Span) -> Built<()> {
        self.nodes += 1;
        let max = self.limits().nodes_max;
        if self.nodes > max {
            return refuse(ParseErrorKind::Limit, at, format!("query has more than {max} parts"));
        }
        Ok(())
    }

    /// The whole query, when its last rule has run.
    pub(crate) fn finish(&mut self) -> Expr {
        self.pop().expr
    }

    /// The operand that the last rule has put on the stack.
    fn pop(&mut self) -> Node {
        self.operands.pop().expect("BUG: every rule of an expression leaves one operand")
    }

    fn top(&mut self) -> &mut Expr {
        &mut self.operands.last_mut().expect("BUG: every rule of an expression leaves one operand").expr
    }

    fn leaf(&mut self, at: Span, kind: ExprKind) -> Built<()> {
        self.count(at)?;
        self.operands.push(Node { expr: Expr { kind, span: at }, height: 1, depth: 1 });
        Ok(())
    }

    fn parent(&mut self, at: Span, height: u32, depth: u32, kind: ExprKind) -> Built<()> {
        self.count(at)?;
        self.check_height(at, height, depth)?;
        self.operands.push(Node { expr: Expr { kind, span: at }, height, depth });
        Ok(())
    }

    fn check_height(&self, at: Span, height: u32, depth: u32) -> Built<()> {
        let limits = self.limits();
        if depth as usize > limits.depth_max {
            return refuse(
                ParseErrorKind::Limit,
                at,
                format!("query is nested more than {} levels deep", limits.depth_max),
            );
        }
        if height as usize > limits.height_max {
            return refuse(
                ParseErrorKind::Limit,
                at,
                format!("query chains more than {} operators", limits.height_max),
            );
        }
        Ok(())
    }

    // Literals.

    pub(crate) fn number(&mut self, l: u32, r: u32) -> Built<()> {
        let value = self.number_at(l, r)?;
        self.leaf(span(l, r), ExprKind::Number(Number { value, is_duration: false }))
    }

    pub(crate) fn duration(&mut self, l: u32, r: u32) -> Built<()> {
        let value = self.seconds_at(l, r)?;
        self.leaf(span(l, r), ExprKind::Number(Number { value, is_duration: true }))
    }

    pub(crate) fn number_at(&mut self, l: u32, r: u32) -> Built<f64> {
        Ok(number_value(self.slice(l, r)).unwrap_or_else(|message| {
            self.note(ParseErrorKind::Lexical, span(l, r), message);
            f64::NAN
        }))
    }

    pub(crate) fn seconds_at(&mut self, l: u32, r: u32) -> Built<f64> {
        Ok(self.millis_at(l, r) as f64 / 1000.0)
    }

    fn millis_at(&mut self, l: u32, r: u32) -> i64 {
        duration_value(self.slice(l, r)).unwrap_or_else(|message| {
            self.note(ParseErrorKind::Lexical, span(l, r), message);
            1
        })
    }

    pub(crate) fn string(&mut self, l: u32, r: u32) -> Built<()> {
        let bytes = self.unquoted(l, r);
        self.leaf(span(l, r), ExprKind::String(bytes))
    }

    fn unquoted(&mut self, l: u32, r: u32) -> Vec<u8> {
        unquote(self.slice(l, r)).unwrap_or_else(|bad| {
            self.note(ParseErrorKind::Lexical, span(l, r), bad.0);
            Vec::new()
        })
    }

    /// A string that names or matches a label: those are UTF-8.
    fn unquoted_utf8(&mut self, l: u32, r: u32, what: &str) -> String {
        String::from_utf8(self.unquoted(l, r)).unwrap_or_else(|e| {
            self.semantic(span(l, r), format!("{what} is not valid UTF-8: {}", quoted(e.as_bytes())));
            String::new()
        })
    }

    pub(crate) fn paren(&mut self, l: u32, r: u32) -> Built<()> {
        let inner = self.pop();
        self.parent(span(l, r), inner.height + 1, inner.depth + 1, ExprKind::Paren(Box::new(inner.expr)))
    }

    // Calls.

    pub(crate) fn call(&mut self, l: u32, name_end: u32, args: u32, r: u32) -> Built<()> {
        let name = self.slice(l, name_end);
        let first = self.operands.len() - args as usize;
        let (height, depth) = tallest(&self.operands[first..]);
        let function = match Function::from_name(name) {
            Some(function) if function.signature().experimental && !self.options.experimental_functions => {
                let message = format!("function \"{name}\" is not enabled");
                self.note(ParseErrorKind::Disabled, span(l, name_end), message);
                function
            }
            Some(function) => function,
            None => {
                let message = format!("unknown function with name {}", quoted(name.as_bytes()));
                let fault = Fault::new(ParseErrorKind::UnknownFunction, span(l, name_end), message);
                self.faults.push(fault.suggest(suggest::called(name)));
                self.operands.truncate(first);
                return self.placeholder(span(l, r));
            }
        };
        let args = self.operands.drain(first..).map(|node| node.expr).collect();
        self.parent(span(l, r), height + 1, depth + 1, ExprKind::Call(Call { function, args }))
    }

    /// `grouping` says whether it is `without`, and how many labels it has.
    pub(crate) fn aggregate(
        &mut self,
        l: u32,
        name_end: u32,
        grouping: (bool, u32),
        args: u32,
        r: u32,
    ) -> Built<()> {
        let at = span(l, r);
        let op = aggregate(self.slice(l, name_end)).expect("BUG: the lexer found an aggregation");
        let labels = self.take_labels(grouping.1);
        let grouping = if grouping.0 { Grouping::Without(labels) } else { Grouping::By(labels) };
        let wanted = if op.has_param() { 2 } else { 1 };
        let refused = if args == 0 {
            Some((ParseErrorKind::Type, "no arguments for aggregate expression provided".to_owned()))
        } else if op.is_experimental() && !self.options.experimental_functions {
            let message = format!(
                "{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                op.name()
            );
            Some((ParseErrorKind::Disabled, message))
        } else if args != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {args}"
            );
            Some((ParseErrorKind::Type, message))
        } else {
            None
        };
        if let Some((kind, message)) = refused {
            self.note(kind, at, message);
            self.operands.truncate(self.operands.len() - args as usize);
            return self.placeholder(at);
        }
        let last = self.pop();
        let param = op.has_param().then(|| self.pop());
        let (height, depth) = param.as_ref().map_or((0, 0), |param| (param.height, param.depth));
        let (height, depth) = (height.max(last.height), depth.max(last.depth));
        let param = param.map(|param| Box::new(param.expr));
        let kind = ExprKind::Aggregate(Aggregate { op, grouping, param, expr: Box::new(last.expr) });
        self.parent(at, height + 1, depth + 1, kind)
    }
}

fn tallest(nodes: &[Node]) -> (u32, u32) {
    nodes.iter().fold((0, 0), |(height, depth), node| (height.max(node.height), depth.max(node.depth)))
}

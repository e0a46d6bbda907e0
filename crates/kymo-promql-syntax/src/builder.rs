//! What the grammar's rules do: put nodes together, bounded in number, nesting and height, and refuse what has no meaning
//! before any type is known. Between the generated parser and the tree.

mod chain;
mod duration;

use kymo_model::{MatchOp, Matcher};

use crate::ast::{
    Aggregate, AggregateOp, At, Call, Cardinality, DurationExpr, Edges, Expr, ExprKind, Grouping,
    MatrixSelector, Number, Span, Subquery, TimeModifiers, VectorMatching, VectorSelector,
};
use crate::error::{Fault, ParseErrorKind};
use crate::functions::Function;
use crate::literal::unquote;
use crate::quote::quoted;
use crate::suggest;
use crate::token::Token;
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

/// `bool`, how to match, what to fill in.
#[derive(Debug, Default)]
pub(crate) struct Modifier {
    pub(crate) return_bool: bool,
    pub(crate) matching: Option<Box<VectorMatching>>,
}

impl Modifier {
    pub(crate) fn compare() -> Modifier {
        Modifier { return_bool: true, matching: None }
    }

    pub(crate) fn pair(clause: Clause, fills: Fills) -> Modifier {
        let mut matching = clause.0;
        matching.fill_left = fills.left;
        matching.fill_right = fills.right;
        Modifier { return_bool: false, matching: Some(matching) }
    }
}

/// `on (…)` or `ignoring (…)` with its group.
#[derive(Debug)]
pub(crate) struct Clause(Box<VectorMatching>);

impl Clause {
    /// Nothing written: all labels match.
    pub(crate) fn none() -> Clause {
        Clause::new(false, Vec::new())
    }

    pub(crate) fn new(on: bool, labels: Vec<String>) -> Clause {
        Clause(Box::new(VectorMatching { on, labels, ..VectorMatching::default() }))
    }

    pub(crate) fn group_left(mut self, include: Vec<String>) -> Clause {
        self.0.cardinality = Cardinality::ManyToOne;
        self.0.include = include;
        self
    }

    pub(crate) fn group_right(mut self, include: Vec<String>) -> Clause {
        self.0.cardinality = Cardinality::OneToMany;
        self.0.include = include;
        self
    }
}

/// The values of `fill`, `fill_left` and `fill_right`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fills {
    pub(crate) left: Option<f64>,
    pub(crate) right: Option<f64>,
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

fn semantic<T>(span: Span, message: impl Into<String>) -> Built<T> {
    refuse(ParseErrorKind::Semantic, span, message)
}

const NEEDS_SELECTOR: &str =
    "must be preceded by an instant vector selector or range vector selector or a subquery";

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
        }
    }

    fn slice(&self, start: u32, end: u32) -> &'a str {
        &self.text[start as usize..end as usize]
    }

    fn limits(&self) -> &Limits {
        &self.options.limits
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

    pub(crate) fn number(&mut self, l: u32, value: f64, r: u32) -> Built<()> {
        self.leaf(span(l, r), ExprKind::Number(Number { value, is_duration: false }))
    }

    pub(crate) fn duration(&mut self, l: u32, ms: i64, r: u32) -> Built<()> {
        self.leaf(span(l, r), ExprKind::Number(Number { value: ms as f64 / 1000.0, is_duration: true }))
    }

    pub(crate) fn string(&mut self, l: u32, r: u32) -> Built<()> {
        let bytes = self.unquoted(l, r)?;
        self.leaf(span(l, r), ExprKind::String(bytes))
    }

    fn unquoted(&self, l: u32, r: u32) -> Built<Vec<u8>> {
        unquote(self.slice(l, r)).or_else(|bad| fail(Fault::new(ParseErrorKind::Lexical, span(l, r), bad.0)))
    }

    /// A string that names or matches a label: those are UTF-8.
    fn unquoted_utf8(&self, l: u32, r: u32, what: &str) -> Built<String> {
        String::from_utf8(self.unquoted(l, r)?)
            .or_else(|e| semantic(span(l, r), format!("{what} is not valid UTF-8: {}", quoted(e.as_bytes()))))
    }

    pub(crate) fn paren(&mut self, l: u32, r: u32) -> Built<()> {
        let inner = self.pop();
        self.parent(span(l, r), inner.height + 1, inner.depth + 1, ExprKind::Paren(Box::new(inner.expr)))
    }

    // Calls.

    pub(crate) fn call(&mut self, l: u32, name_end: u32, args: usize, r: u32) -> Built<()> {
        let name = self.slice(l, name_end);
        let Some(function) = Function::from_name(name) else {
            let message = format!("unknown function with name {}", quoted(name.as_bytes()));
            let fault = Fault::new(ParseErrorKind::UnknownFunction, span(l, name_end), message);
            return fail(fault.suggest(suggest::callable(name)));
        };
        if function.signature().experimental && !self.options.experimental_functions {
            return refuse(
                ParseErrorKind::Disabled,
                span(l, name_end),
                format!("function \"{name}\" is not enabled"),
            );
        }
        let first = self.operands.len() - args;
        let (height, depth) = tallest(&self.operands[first..]);
        let args = self.operands.drain(first..).map(|node| node.expr).collect();
        self.parent(span(l, r), height + 1, depth + 1, ExprKind::Call(Call { function, args }))
    }

    pub(crate) fn aggregate(
        &mut self,
        l: u32,
        op: AggregateOp,
        grouping: Grouping,
        args: usize,
        r: u32,
    ) -> Built<()> {
        let at = span(l, r);
        if args == 0 {
            return refuse(ParseErrorKind::Type, at, "no arguments for aggregate expression provided");
        }
        if op.is_experimental() && !self.options.experimental_functions {
            let message = format!(
                "{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                op.name()
            );
            return refuse(ParseErrorKind::Disabled, at, message);
        }
        let wanted = if op.has_param() { 2 } else { 1 };
        if args != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {args}"
            );
            return refuse(ParseErrorKind::Type, at, message);
        }
        let last = self.pop();
        let param = op.has_param().then(|| self.pop());
        let (height, depth) = param.as_ref().map_or((0, 0), |param| (param.height, param.depth));
        let (height, depth) = (height.max(last.height), depth.max(last.depth));
        let param = param.map(|param| Box::new(param.expr));
        let kind = ExprKind::Aggregate(Aggregate { op, grouping, param, expr: Box::new(last.expr) });
        self.parent(at, height + 1, depth + 1, kind)
    }

    // Selectors.

    pub(crate) fn selector(
        &mut self,
        l: u32,
        name_end: Option<u32>,
        braces: Vec<Matcher>,
        r: u32,
    ) -> Built<()> {
        let name = name_end.map(|end| self.slice(l, end).to_owned());
        let matchers = match &name {
            Some(name) => {
                let mut matchers = Vec::with_capacity(1 + braces.len());
                matchers.push(Matcher::equal(kymo_model::METRIC_NAME, name));
                matchers.extend(braces);
                matchers
            }
            None => braces,
        };
        let selector =
            VectorSelector { name, matchers, time: TimeModifiers::default(), edges: Edges::Inside };
        self.leaf(span(l, r), ExprKind::Selector(selector))
    }

    pub(crate) fn matcher(
        &mut self,
        l: u32,
        name_end: u32,
        op: MatchOp,
        value: u32,
        r: u32,
    ) -> Built<Matcher> {
        self.count(span(l, r))?;
        let value = self.unquoted_utf8(value, r, "label value")?;
        let name = match self.text.as_bytes()[l as usize] {
            b'"' | b'\'' | b'`' => &self.unquoted_utf8(l, name_end, "label name")?,
            _ => self.slice(l, name_end),
        };
        Matcher::new(op, name, &value).or_else(|e| semantic(span(l, r), e.to_string()))
    }

    pub(crate) fn name_matcher(&mut self, l: u32, r: u32) -> Built<Matcher> {
        self.count(span(l, r))?;
        let name = self.unquoted_utf8(l, r, "metric name")?;
        Ok(Matcher::equal(kymo_model::METRIC_NAME, &name))
    }

    pub(crate) fn label(&self, l: u32, r: u32) -> String {
        self.slice(l, r).to_owned()
    }

    pub(crate) fn quoted_label(&self, l: u32, r: u32) -> Built<String> {
        let name = self.unquoted(l, r)?;
        String::from_utf8(name).ok().filter(|name| !name.is_empty()).map_or_else(
            || {
                let raw = self.unquoted(l, r)?;
                semantic(span(l, r), format!("invalid label name for grouping: {}", quoted(&raw)))
            },
            Ok,
        )
    }

    pub(crate) fn matrix(&mut self, range: DurationExpr, l: u32, r: u32) -> Built<()> {
        let node = self.pop();
        let at = span(node.expr.span.start, r);
        let brackets = span(l, r);
        let selector_span = node.expr.span;
        let selector = match node.expr.kind {
            ExprKind::Selector(selector) if selector.time.offset.is_some() => {
                return semantic(brackets, "no offset modifiers allowed before range");
            }
            ExprKind::Selector(selector) if selector.time.at.is_some() => {
                return semantic(brackets, "no @ modifiers allowed before range");
            }
            ExprKind::Selector(selector) => selector,
            _ => return semantic(brackets, "ranges only allowed for vector selectors"),
        };
        let kind = ExprKind::Matrix(MatrixSelector { selector, selector_span, range });
        self.parent(at, node.height + 1, node.depth + 1, kind)
    }

    pub(crate) fn subquery(&mut self, range: DurationExpr, step: Option<DurationExpr>, r: u32) -> Built<()> {
        let node = self.pop();
        let at = span(node.expr.span.start, r);
        let kind = ExprKind::Subquery(Subquery {
            expr: Box::new(node.expr),
            range,
            step,
            time: TimeModifiers::default(),
        });
        self.parent(at, node.height + 1, node.depth + 1, kind)
    }

    pub(crate) fn offset(&mut self, offset: DurationExpr, r: u32) -> Built<()> {
        let expr = self.top();
        let at = expr.span;
        let Some(time) = expr.time_modifiers_mut() else {
            return semantic(at, format!("offset modifier {NEEDS_SELECTOR}"));
        };
        if time.offset.is_some() {
            return semantic(at, "offset may not be set multiple times");
        }
        // An offset of zero is none.
        time.offset = (offset != DurationExpr::Millis(0)).then_some(offset);
        expr.span.end = r;
        Ok(())
    }

    pub(crate) fn at(&mut self, seconds: f64, r: u32) -> Built<()> {
        let ms = (seconds * 1000.0).round();
        if ms.is_nan() || ms.abs() >= i64::MAX as f64 {
            let shown = match seconds {
                s if s.is_nan() => "NaN".to_owned(),
                s if s.is_infinite() => kymo_model::format_float(s),
                s => format!("{s:.6}"),
            };
            let at = self.top().span;
            return semantic(at, format!("timestamp out of bounds for @ modifier: {shown}"));
        }
        self.at_boundary(At::Time(ms as i64), r)
    }

    pub(crate) fn at_boundary(&mut self, at: At, r: u32) -> Built<()> {
        let expr = self.top();
        let place = expr.span;
        let Some(time) = expr.time_modifiers_mut() else {
            return semantic(place, format!("@ modifier {NEEDS_SELECTOR}"));
        };
        if time.at.is_some() {
            return semantic(place, "@ <timestamp> may not be set multiple times");
        }
        time.at = Some(at);
        expr.span.end = r;
        Ok(())
    }

    pub(crate) fn edges(&mut self, edges: Edges, r: u32) -> Built<()> {
        let allowed = self.options.extended_range_selectors;
        let expr = self.top();
        let at = expr.span;
        let word = if edges == Edges::Anchored { "anchored" } else { "smoothed" };
        if !allowed {
            let message = format!("{word} modifier is experimental and not enabled");
            return refuse(ParseErrorKind::Disabled, at, message);
        }
        let selector = match &mut expr.kind {
            ExprKind::Selector(selector) => selector,
            ExprKind::Matrix(matrix) => &mut matrix.selector,
            ExprKind::Subquery(_) => {
                return semantic(at, format!("{word} modifier is not supported for subqueries"));
            }
            _ => return semantic(at, format!("{word} modifier not implemented")),
        };
        if selector.edges != Edges::Inside && selector.edges != edges {
            return semantic(at, "anchored and smoothed modifiers cannot be used together");
        }
        selector.edges = edges;
        expr.span.end = r;
        Ok(())
    }
}

fn tallest(nodes: &[Node]) -> (u32, u32) {
    nodes.iter().fold((0, 0), |(height, depth), node| (height.max(node.height), depth.max(node.depth)))
}

//! What the grammar's rules do: put nodes together, bounded in number, nesting and height, and refuse what has no meaning
//! before any type is known. Between the generated parser and the tree.

use kymo_model::{MatchOp, Matcher};

use crate::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, DurationExpr, DurationOp, Edges, Expr, ExprKind,
    Grouping, MatrixSelector, Number, Span, Subquery, TimeModifiers, Unary, VectorMatching, VectorSelector,
};
use crate::error::{Fault, ParseErrorKind};
use crate::functions::Function;
use crate::literal::unquote;
use crate::quote::quoted;
use crate::suggest;
use crate::token::Token;
use crate::{Limits, ParseOptions};

/// What a rule gives: something, or the fault that ends the parse.
pub(crate) type Built<T> = Result<T, lalrpop_util::ParseError<u32, Token, Box<Fault>>>;

/// An expression under construction with its size.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) expr: Box<Expr>,
    /// How deep the tree is.
    height: u32,
    /// How deep brackets, calls and signs nest; a long sum is high but not deep.
    depth: u32,
}

/// A duration under construction with its height.
#[derive(Debug)]
pub(crate) struct Duration {
    expr: DurationExpr,
    height: u32,
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

/// What waits for its right operand.
#[derive(Debug)]
enum Waiting {
    /// The start of an expression: nothing before it is taken along.
    Open,
    Sign { at: u32, negative: bool },
    Operator { op: BinaryOp, span: Span, modifier: Modifier },
}

/// How tight operators bind, loosest first; `^` alone groups from the right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Comparison,
    Sum,
    Product,
    Sign,
    Power,
}

impl Binding {
    const fn of(op: BinaryOp) -> Binding {
        match op {
            BinaryOp::Or => Binding::Or,
            BinaryOp::And | BinaryOp::Unless => Binding::And,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Gt | BinaryOp::Le | BinaryOp::Ge => {
                Binding::Comparison
            }
            BinaryOp::TrimUpper | BinaryOp::TrimLower => Binding::Comparison,
            BinaryOp::Add | BinaryOp::Sub => Binding::Sum,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => Binding::Product,
            BinaryOp::Pow => Binding::Power,
        }
    }
}

/// The state of one parse.
pub(crate) struct Builder<'a> {
    text: &'a str,
    options: &'a ParseOptions,
    nodes: usize,
    /// The operands and operators of all open chains, innermost last. Between two operands of a chain stands one operator.
    operands: Vec<Node>,
    waiting: Vec<Waiting>,
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

const NEEDS_SELECTOR: &str = "must be preceded by an instant vector selector or range vector selector or a subquery";

/// Nanoseconds in 63 bits: Prometheus' longest duration, in seconds.
const DURATION_SECONDS_MAX: f64 = 9_223_372_036.854_775_8;

impl<'a> Builder<'a> {
    pub(crate) fn new(text: &'a str, options: &'a ParseOptions) -> Builder<'a> {
        Builder { text, options, nodes: 0, operands: Vec::new(), waiting: Vec::new() }
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

    fn leaf(&mut self, at: Span, kind: ExprKind) -> Built<Node> {
        self.count(at)?;
        Ok(Node { expr: Box::new(Expr { kind, span: at }), height: 1, depth: 1 })
    }

    fn parent(&mut self, at: Span, height: u32, depth: u32, kind: ExprKind) -> Built<Node> {
        self.count(at)?;
        self.check_height(at, height, depth)?;
        Ok(Node { expr: Box::new(Expr { kind, span: at }), height, depth })
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

    pub(crate) fn number(&mut self, l: u32, value: f64, r: u32) -> Built<Node> {
        self.leaf(span(l, r), ExprKind::Number(Number { value, is_duration: false }))
    }

    pub(crate) fn duration(&mut self, l: u32, ms: i64, r: u32) -> Built<Node> {
        self.leaf(span(l, r), ExprKind::Number(Number { value: ms as f64 / 1000.0, is_duration: true }))
    }

    pub(crate) fn string(&mut self, l: u32, r: u32) -> Built<Node> {
        let bytes = self.unquoted(l, r)?;
        self.leaf(span(l, r), ExprKind::String(bytes))
    }

    fn unquoted(&self, l: u32, r: u32) -> Built<Vec<u8>> {
        unquote(self.slice(l, r))
            .or_else(|bad| fail(Fault::new(ParseErrorKind::Lexical, span(l, r), bad.0)))
    }

    /// A string that names or matches a label: those are UTF-8.
    fn unquoted_utf8(&self, l: u32, r: u32, what: &str) -> Built<String> {
        String::from_utf8(self.unquoted(l, r)?).or_else(|e| {
            semantic(span(l, r), format!("{what} is not valid UTF-8: {}", quoted(e.as_bytes())))
        })
    }

    // Operators.

    /// A new chain begins.
    pub(crate) fn open(&mut self) {
        self.waiting.push(Waiting::Open);
    }

    pub(crate) fn sign(&mut self, at: u32, negative: bool) {
        self.waiting.push(Waiting::Sign { at, negative });
    }

    pub(crate) fn operand(&mut self, operand: Node) {
        self.operands.push(operand);
    }

    /// An operator behind an operand: what binds tighter to the left of it is put together first.
    pub(crate) fn operator(&mut self, op: BinaryOp, l: u32, r: u32) -> Built<()> {
        let binding = Binding::of(op);
        loop {
            let before = match self.waiting.last() {
                Some(Waiting::Operator { op, .. }) => Binding::of(*op),
                Some(Waiting::Sign { .. }) => Binding::Sign,
                Some(Waiting::Open) | None => break,
            };
            if before < binding || (before == binding && binding == Binding::Power) {
                break;
            }
            self.join()?;
        }
        self.waiting.push(Waiting::Operator { op, span: span(l, r), modifier: Modifier::default() });
        Ok(())
    }

    /// What stands behind the last operator.
    pub(crate) fn modify(&mut self, found: Modifier) {
        if let Some(Waiting::Operator { modifier, .. }) = self.waiting.last_mut() {
            *modifier = found;
        }
    }

    /// The chain ends: all of it becomes one expression.
    pub(crate) fn close(&mut self) -> Built<Node> {
        while !matches!(self.waiting.last(), Some(Waiting::Open) | None) {
            self.join()?;
        }
        self.waiting.pop();
        Ok(self.operands.pop().expect("BUG: a chain has an operand"))
    }

    /// Puts the last operator and its operands together.
    fn join(&mut self) -> Built<()> {
        let right = self.operands.pop().expect("BUG: an operand follows each operator");
        let joined = match self.waiting.pop() {
            Some(Waiting::Sign { at, negative }) => self.signed(at, negative, right)?,
            Some(Waiting::Operator { op, span, modifier }) => {
                let left = self.operands.pop().expect("BUG: an operand precedes each operator");
                self.binary(op, span, modifier, left, right)?
            }
            Some(Waiting::Open) | None => right,
        };
        self.operands.push(joined);
        Ok(())
    }

    fn binary(&mut self, op: BinaryOp, op_span: Span, m: Modifier, lhs: Node, rhs: Node) -> Built<Node> {
        let at = span(lhs.expr.span.start, rhs.expr.span.end);
        let fills = m.matching.as_ref().is_some_and(|m| m.fill_left.is_some() || m.fill_right.is_some());
        if fills && !self.options.fill_modifiers {
            return refuse(ParseErrorKind::Disabled, at, "binop fill modifiers are experimental and not enabled");
        }
        let height = lhs.height.max(rhs.height) + 1;
        let depth = lhs.depth.max(rhs.depth);
        let binary = Binary {
            op,
            return_bool: m.return_bool,
            lhs: *lhs.expr,
            rhs: *rhs.expr,
            matching: Some(m.matching.map_or_else(VectorMatching::default, |m| *m)),
            op_span,
        };
        self.parent(at, height, depth, ExprKind::Binary(Box::new(binary)))
    }

    /// A sign in front of a literal belongs to the literal.
    fn signed(&mut self, l: u32, negative: bool, mut operand: Node) -> Built<Node> {
        if let ExprKind::Number(number) = &mut operand.expr.kind {
            if negative {
                number.value = -number.value;
            }
            operand.expr.span.start = l;
            return Ok(operand);
        }
        let at = span(l, operand.expr.span.end);
        let kind = ExprKind::Unary(Unary { negative, expr: operand.expr });
        self.parent(at, operand.height + 1, operand.depth + 1, kind)
    }

    pub(crate) fn paren(&mut self, l: u32, inner: Node, r: u32) -> Built<Node> {
        self.parent(span(l, r), inner.height + 1, inner.depth + 1, ExprKind::Paren(inner.expr))
    }

    // Calls.

    pub(crate) fn call(&mut self, l: u32, name_end: u32, args: Vec<Node>, r: u32) -> Built<Node> {
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
        let (height, depth) = tallest(&args);
        let args = args.into_iter().map(|node| *node.expr).collect();
        self.parent(span(l, r), height + 1, depth + 1, ExprKind::Call(Call { function, args }))
    }

    pub(crate) fn aggregate(
        &mut self,
        l: u32,
        op: AggregateOp,
        grouping: Grouping,
        args: Vec<Node>,
        r: u32,
    ) -> Built<Node> {
        let at = span(l, r);
        if args.is_empty() {
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
        if args.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                args.len()
            );
            return refuse(ParseErrorKind::Type, at, message);
        }
        let (height, depth) = tallest(&args);
        let mut args = args.into_iter().map(|node| node.expr);
        let param = if op.has_param() { args.next() } else { None };
        let expr = args.next().expect("BUG: the number of arguments was checked");
        let kind = ExprKind::Aggregate(Aggregate { op, grouping, param, expr });
        self.parent(at, height + 1, depth + 1, kind)
    }

    // Selectors.

    pub(crate) fn selector(&mut self, l: u32, name_end: Option<u32>, braces: Vec<Matcher>, r: u32) -> Built<Node> {
        let name = name_end.map(|end| self.slice(l, end).to_owned());
        let mut matchers = braces;
        if let Some(name) = &name {
            matchers.insert(0, Matcher::equal(kymo_model::METRIC_NAME, name));
        }
        let selector =
            VectorSelector { name, matchers, time: TimeModifiers::default(), edges: Edges::Inside };
        self.leaf(span(l, r), ExprKind::Selector(selector))
    }

    pub(crate) fn matcher(&mut self, l: u32, name_end: u32, op: MatchOp, value: u32, r: u32) -> Built<Matcher> {
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

    pub(crate) fn matrix(&mut self, node: Node, range: DurationExpr, l: u32, r: u32) -> Built<Node> {
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

    pub(crate) fn subquery(
        &mut self,
        node: Node,
        range: DurationExpr,
        step: Option<DurationExpr>,
        r: u32,
    ) -> Built<Node> {
        let at = span(node.expr.span.start, r);
        let kind =
            ExprKind::Subquery(Subquery { expr: node.expr, range, step, time: TimeModifiers::default() });
        self.parent(at, node.height + 1, node.depth + 1, kind)
    }

    pub(crate) fn offset(&mut self, mut node: Node, offset: DurationExpr, r: u32) -> Built<Node> {
        let at = node.expr.span;
        let Some(time) = node.expr.time_modifiers_mut() else {
            return semantic(at, format!("offset modifier {NEEDS_SELECTOR}"));
        };
        if time.offset.is_some() {
            return semantic(at, "offset may not be set multiple times");
        }
        // An offset of zero is none.
        time.offset = (offset != DurationExpr::Millis(0)).then_some(offset);
        node.expr.span.end = r;
        Ok(node)
    }

    pub(crate) fn at(&mut self, node: Node, seconds: f64, r: u32) -> Built<Node> {
        let ms = (seconds * 1000.0).round();
        if !(ms.abs() < i64::MAX as f64) {
            let shown = match seconds {
                s if s.is_nan() => "NaN".to_owned(),
                s if s.is_infinite() => kymo_model::format_float(s),
                s => format!("{s:.6}"),
            };
            return semantic(node.expr.span, format!("timestamp out of bounds for @ modifier: {shown}"));
        }
        self.at_boundary(node, At::Time(ms as i64), r)
    }

    pub(crate) fn at_boundary(&mut self, mut node: Node, at: At, r: u32) -> Built<Node> {
        let place = node.expr.span;
        let Some(time) = node.expr.time_modifiers_mut() else {
            return semantic(place, format!("@ modifier {NEEDS_SELECTOR}"));
        };
        if time.at.is_some() {
            return semantic(place, "@ <timestamp> may not be set multiple times");
        }
        time.at = Some(at);
        node.expr.span.end = r;
        Ok(node)
    }

    pub(crate) fn edges(&mut self, mut node: Node, edges: Edges, r: u32) -> Built<Node> {
        let at = node.expr.span;
        let word = if edges == Edges::Anchored { "anchored" } else { "smoothed" };
        if !self.options.extended_range_selectors {
            let message = format!("{word} modifier is experimental and not enabled");
            return refuse(ParseErrorKind::Disabled, at, message);
        }
        let selector = match &mut node.expr.kind {
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
        node.expr.span.end = r;
        Ok(node)
    }

    // Durations.

    /// The duration inside brackets: positive, as far as that is known already.
    pub(crate) fn range(&mut self, l: u32, duration: Duration, r: u32) -> Built<DurationExpr> {
        let duration = seconds_to_millis(duration.expr);
        match duration {
            DurationExpr::Millis(ms) if ms <= 0 => {
                refuse(ParseErrorKind::Semantic, span(l, r), "duration must be greater than 0")
            }
            duration => Ok(duration),
        }
    }

    pub(crate) fn offset_value(&self, duration: Duration) -> DurationExpr {
        seconds_to_millis(duration.expr)
    }

    pub(crate) fn duration_number(&self, l: u32, value: f64, r: u32) -> Built<Duration> {
        // Also refuses NaN.
        if !(value.abs() <= DURATION_SECONDS_MAX) {
            return refuse(ParseErrorKind::Semantic, span(l, r), "duration out of range");
        }
        Ok(self.duration_leaf(DurationExpr::Number(value)))
    }

    pub(crate) fn duration_literal(&self, ms: i64) -> Duration {
        self.duration_leaf(DurationExpr::Millis(ms))
    }

    pub(crate) fn duration_leaf(&self, expr: DurationExpr) -> Duration {
        Duration { expr, height: 1 }
    }

    fn duration_parent(&mut self, height: u32, expr: DurationExpr) -> Built<Duration> {
        // Durations know no places; the limits name the whole query.
        let at = span(0, self.text.len() as u32);
        self.count(at)?;
        self.check_height(at, height, height)?;
        Ok(Duration { expr, height })
    }

    pub(crate) fn negative(&mut self, duration: Duration) -> Built<Duration> {
        match duration.expr {
            DurationExpr::Millis(ms) => Ok(self.duration_leaf(DurationExpr::Millis(-ms))),
            DurationExpr::Number(value) => Ok(self.duration_leaf(DurationExpr::Number(-value))),
            expr => self.duration_parent(duration.height + 1, DurationExpr::Neg(Box::new(expr))),
        }
    }

    pub(crate) fn arithmetic(&mut self, op: DurationOp, l: Duration, at: u32, r: Duration) -> Built<Duration> {
        let zero = matches!(r.expr, DurationExpr::Millis(0)) || r.expr == DurationExpr::Number(0.0);
        match op {
            DurationOp::Div if zero => return semantic(span(at, at + 1), "division by zero"),
            DurationOp::Mod if zero => return semantic(span(at, at + 1), "modulo by zero"),
            _ => {}
        }
        let height = l.height.max(r.height) + 1;
        self.duration_parent(height, DurationExpr::Binary(op, Box::new(l.expr), Box::new(r.expr)))
    }

    pub(crate) fn duration_pick(&mut self, max: bool, x: Duration, y: Duration) -> Built<Duration> {
        let height = x.height.max(y.height) + 1;
        let (x, y) = (Box::new(x.expr), Box::new(y.expr));
        let expr = if max { DurationExpr::MaxOf(x, y) } else { DurationExpr::MinOf(x, y) };
        self.duration_parent(height, expr)
    }

    pub(crate) fn duration_paren(&mut self, inner: Duration) -> Built<Duration> {
        self.duration_parent(inner.height + 1, DurationExpr::Paren(Box::new(inner.expr)))
    }
}

fn tallest(nodes: &[Node]) -> (u32, u32) {
    nodes.iter().fold((0, 0), |(height, depth), node| (height.max(node.height), depth.max(node.depth)))
}

/// A bare number, where a duration is wanted, is one of seconds; below the millisecond it is cut off.
fn seconds_to_millis(duration: DurationExpr) -> DurationExpr {
    match duration {
        DurationExpr::Number(seconds) => DurationExpr::Millis(((seconds * 1e9).round() / 1e6) as i64),
        other => other,
    }
}

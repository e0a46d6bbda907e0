//! The syntax tree: what a query says, checked, with the place of every part. Between the grammar and everything else.
//!
//! Boxes and not an arena: depth and number of nodes are bounded before parsing, so that dropping and walking recurse at
//! most [`Limits::depth_max`](crate::Limits) deep.

use kymo_model::Matcher;

use crate::functions::Function;

/// A range of bytes of the query text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One number per step.
    Scalar,
    /// Series with one value each per step.
    Vector,
    /// Series with a range of values each per step.
    Matrix,
    /// A string.
    String,
}

/// An expression and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `1.5`, `0x1F`, `NaN`, and durations that stand for a number of seconds.
    Number(Number),
    /// `"text"`; bytes, because `"\xff"` is allowed.
    String(Vec<u8>),
    /// `name{a="b"}`, with modifiers.
    Selector(VectorSelector),
    /// `selector[5m]`. Modifiers belong to the selector.
    Matrix(MatrixSelector),
    /// `expr[30m:1m]`, with modifiers.
    Subquery(Subquery),
    /// `rate(x[5m])`.
    Call(Call),
    /// `sum by (job) (x)`.
    Aggregate(Aggregate),
    /// `a + on (job) b`.
    Binary(Box<Binary>),
    /// `-x`, `+x`.
    Unary(Unary),
    /// `(x)`.
    Paren(Box<Expr>),
}

/// A number; remembers whether it was written as a duration, for printing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// The value; seconds for a duration.
    pub value: f64,
    /// Was it written like `5m`?
    pub is_duration: bool,
}

/// An instant selector with its modifiers.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// The metric name, when written before the braces. Its matcher is in `matchers` too (first).
    pub name: Option<String>,
    /// All conditions, that of the name included.
    pub matchers: Vec<Matcher>,
    /// `offset` and `@`.
    pub time: TimeModifiers,
    /// `anchored` or `smoothed`.
    pub edges: Edges,
}

/// `offset` and `@` of a selector or subquery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeModifiers {
    /// `offset 5m`; positive looks back.
    pub offset: Option<DurationExpr>,
    /// `@ …`.
    pub at: Option<At>,
}

/// The time an `@` modifier names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// `@ 1609746000`, in milliseconds, rounded.
    Time(i64),
    /// `@ start()`.
    Start,
    /// `@ end()`.
    End,
}

/// What a range selector does with the samples at its edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Edges {
    /// The samples inside, as always.
    #[default]
    Inside,
    /// `anchored`: also the last sample before the range.
    Anchored,
    /// `smoothed`: values at the edges interpolated.
    Smoothed,
}

/// A range selector.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    /// The series.
    pub selector: VectorSelector,
    /// Where the selector without the range stands.
    pub selector_span: Span,
    /// How far back.
    pub range: DurationExpr,
}

/// A subquery.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each of its steps.
    pub expr: Box<Expr>,
    /// How far back.
    pub range: DurationExpr,
    /// Its step; the engine's default when absent.
    pub step: Option<DurationExpr>,
    /// `offset` and `@`.
    pub time: TimeModifiers,
}

/// A duration: known while parsing, or arithmetic over `step()` and `range()`.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// Milliseconds, may be negative in offsets. Numbers are seconds.
    Millis(i64),
    /// `step()`: the step of the query.
    Step,
    /// `range()`: end minus start of the query.
    Range,
    /// `-d`.
    Neg(Box<DurationExpr>),
    /// `a + b` and so on.
    Binary(DurationOp, Box<DurationExpr>, Box<DurationExpr>),
    /// `min_of(a, b)`.
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`.
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
    /// A bare number in arithmetic: seconds where a duration is wanted, a factor beside `*` and `/`.
    Number(f64),
    /// `(d)`.
    Paren(Box<DurationExpr>),
}

/// Arithmetic of durations; evaluated in seconds as floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DurationOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function.
    pub function: Function,
    /// Its arguments, as many and of the types that its signature asks for.
    pub args: Vec<Expr>,
}

/// The aggregation operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    Quantile,
    CountValues,
    Limitk,
    LimitRatio,
}

/// `by (…)` or `without (…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Keep only these labels; `by ()` when nothing was written.
    By(Vec<String>),
    /// Keep all but these and the metric name.
    Without(Vec<String>),
}

/// An aggregation.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Which.
    pub op: AggregateOp,
    /// How series are grouped.
    pub grouping: Grouping,
    /// The parameter of `topk`, `bottomk`, `quantile`, `count_values`, `limitk`, `limit_ratio`.
    pub param: Option<Box<Expr>>,
    /// What is aggregated.
    pub expr: Box<Expr>,
}

/// The binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Lt,
    Gt,
    Le,
    Ge,
    /// `</`: histogram without the buckets above.
    TrimUpper,
    /// `>/`: histogram without the buckets below.
    TrimLower,
    And,
    Or,
    Unless,
}

/// A binary operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// `bool` after a comparison.
    pub return_bool: bool,
    /// Left side.
    pub lhs: Expr,
    /// Right side.
    pub rhs: Expr,
    /// How series are paired, for two vectors. `None` when one side is a scalar.
    pub matching: Option<VectorMatching>,
    /// Where the operator itself stands.
    pub op_span: Span,
}

/// How many series of one side pair with one of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// One each.
    #[default]
    OneToOne,
    /// `group_left`.
    ManyToOne,
    /// `group_right`.
    OneToMany,
    /// `and`, `or`, `unless`.
    ManyToMany,
}

/// How series of two vectors are paired.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorMatching {
    /// One or many on each side.
    pub cardinality: Cardinality,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// `on` (true) or `ignoring` (false, also when nothing was written).
    pub on: bool,
    /// The labels in the parentheses of `group_left` or `group_right`.
    pub include: Vec<String>,
    /// `fill` and `fill_left`: the value for series missing on the left.
    pub fill_left: Option<f64>,
    /// `fill` and `fill_right`: the value for series missing on the right.
    pub fill_right: Option<f64>,
}

/// A sign in front of an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// `-` (true) or `+`.
    pub negative: bool,
    /// The operand.
    pub expr: Box<Expr>,
}

impl Expr {
    /// What this expression evaluates to.
    ///
    /// ```
    /// use kymo_promql_syntax::{ast::ValueType, parse};
    /// assert_eq!(parse("rate(x[5m]) > 1").unwrap().value_type(), ValueType::Vector);
    /// assert_eq!(parse("1 + time()").unwrap().value_type(), ValueType::Scalar);
    /// ```
    pub fn value_type(&self) -> ValueType {
        // A loop through what has the type of its operand; only the right side of an operation needs a look aside.
        let mut expr = self;
        loop {
            match &expr.kind {
                ExprKind::Number(_) => return ValueType::Scalar,
                ExprKind::String(_) => return ValueType::String,
                ExprKind::Selector(_) | ExprKind::Aggregate(_) => return ValueType::Vector,
                ExprKind::Matrix(_) | ExprKind::Subquery(_) => return ValueType::Matrix,
                ExprKind::Call(call) => return call.function.signature().returns,
                ExprKind::Paren(inner) => expr = inner,
                ExprKind::Unary(unary) => expr = &unary.expr,
                ExprKind::Binary(binary) => {
                    if binary.rhs.value_type() != ValueType::Scalar {
                        return ValueType::Vector;
                    }
                    expr = &binary.lhs;
                    if !matches!(expr.kind, ExprKind::Binary(_)) {
                        let left = expr.value_type();
                        return if left == ValueType::Scalar { left } else { ValueType::Vector };
                    }
                }
            }
        }
    }
}

impl ValueType {
    /// As the HTTP API names it: `vector`, `matrix`, …
    pub const fn short_name(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "vector",
            ValueType::Matrix => "matrix",
            ValueType::String => "string",
        }
    }
}

/// As Prometheus' documentation names it: `instant vector`, `range vector`, …
impl std::fmt::Display for ValueType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::String => "string",
        })
    }
}

impl AggregateOp {
    /// Every aggregation operator.
    ///
    /// ```
    /// assert_eq!(kymo_promql_syntax::ast::AggregateOp::all().count(), 14);
    /// ```
    pub fn all() -> impl Iterator<Item = AggregateOp> {
        crate::token::AGGREGATES.iter().map(|(_, op)| *op)
    }

    /// As written in a query.
    pub fn name(self) -> &'static str {
        crate::token::AGGREGATES[self as usize].0
    }

    /// Does it take a parameter before the vector?
    pub const fn has_param(self) -> bool {
        use AggregateOp::{Bottomk, CountValues, LimitRatio, Limitk, Quantile, Topk};
        matches!(self, Topk | Bottomk | Quantile | CountValues | Limitk | LimitRatio)
    }

    /// Refused unless [`ParseOptions::experimental_functions`](crate::ParseOptions) is set?
    pub const fn is_experimental(self) -> bool {
        matches!(self, AggregateOp::Limitk | AggregateOp::LimitRatio)
    }
}

impl BinaryOp {
    /// As written in a query.
    pub const fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Gt => ">",
            BinaryOp::Le => "<=",
            BinaryOp::Ge => ">=",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
        }
    }

    /// One of `== != < > <= >=`, which alone take `bool`?
    pub const fn is_comparison(self) -> bool {
        use BinaryOp::{Eq, Ge, Gt, Le, Lt, Ne};
        matches!(self, Eq | Ne | Lt | Gt | Le | Ge)
    }

    /// One of `and or unless`?
    pub const fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }
}

impl DurationOp {
    /// As written in a query.
    pub const fn as_str(self) -> &'static str {
        match self {
            DurationOp::Add => "+",
            DurationOp::Sub => "-",
            DurationOp::Mul => "*",
            DurationOp::Div => "/",
            DurationOp::Mod => "%",
            DurationOp::Pow => "^",
        }
    }
}

impl Span {
    /// The part of `text` that this names; empty where the text is another one.
    pub fn slice(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or("")
    }
}

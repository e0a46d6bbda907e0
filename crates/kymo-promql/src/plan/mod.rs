//! Plan: what a query does, with every name looked up and every time resolved. After the syntax tree, before columns.
//!
//! Selectors stand apart in [`Plan::selections`], each distinct one once, with the widest range that any use needs. Nodes
//! are typed: a scalar, a vector, a range. `Once` marks step-invariant parts: evaluated on the first point, then repeated.

mod call;
mod duration;
mod fold;
mod info;
mod invariant;
mod lower;
mod narrow;
mod repeat;
mod selection;

use std::sync::Arc;

use kymo_model::{Labels, Matcher, Regex};
use kymo_promql_syntax::ast::{BinaryOp, Edges, Span, VectorMatching};

use crate::grid::{Grid, Shift};
use crate::kernel::RangeFunction;
pub(crate) use info::IDENTIFYING_LABELS;
pub(crate) use lower::{Times, plan};
pub(crate) use selection::Selection;

/// A query, ready to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: Root,
    pub(crate) selections: Vec<Selection>,
    /// What the query has more than once.
    pub(crate) shared: Arc<[SharedPlan]>,
}

/// A part of a query that may be needed in several places.
#[derive(Debug)]
pub(crate) struct SharedPlan {
    pub(crate) plan: VectorPlan,
    /// Where it stands first.
    pub(crate) span: Span,
    /// Where else it starts; nowhere if it turned out to be needed once.
    pub(crate) others: Vec<u32>,
    key: lower::ShareKey,
}

/// What the query as a whole gives.
#[derive(Debug)]
pub(crate) enum Root {
    Scalar(ScalarPlan),
    Vector(VectorPlan),
    Range(RangePlan),
    String(Vec<u8>),
}

/// One number per step.
#[derive(Debug)]
pub(crate) enum ScalarPlan {
    Number(f64),
    /// `time()`
    Time,
    /// `scalar(v)`
    OfVector(Box<VectorPlan>),
    Negate(Box<ScalarPlan>),
    Binary(BinaryOp, Box<ScalarPlan>, Box<ScalarPlan>),
    MinOf(Box<ScalarPlan>, Box<ScalarPlan>),
    MaxOf(Box<ScalarPlan>, Box<ScalarPlan>),
    Once(Box<ScalarPlan>),
}

/// Series with at most one value per step.
#[derive(Debug)]
pub(crate) enum VectorPlan {
    Select(SelectPlan),
    /// `timestamp(selector)`: the times of the samples themselves.
    SelectTimes(SelectPlan),
    /// `start_timestamp(selector)`: when the counters began that the samples are of.
    SelectStarts(SelectPlan),
    /// `start_timestamp` of anything else: nothing is known of it, but it may have something to tell.
    NothingOf(Box<VectorPlan>),
    /// `vector(s)`
    OfScalar(ScalarPlan),
    Range(Box<RangeCallPlan>),
    AbsentOverTime {
        labels: Labels,
        range: Box<RangePlan>,
    },
    Map(MapFunction, Vec<ScalarPlan>, Box<VectorPlan>),
    /// One number of each native histogram.
    Measure(Measure, Box<VectorPlan>),
    /// `timestamp(v)` of anything but a selector: the time of evaluation.
    Timestamp(Box<VectorPlan>),
    Date(DatePart, Option<Box<VectorPlan>>),
    Absent {
        labels: Labels,
        input: Box<VectorPlan>,
    },
    LabelReplace(Box<LabelReplace>, Box<VectorPlan>),
    LabelJoin(Box<LabelJoin>, Box<VectorPlan>),
    /// With its place where results are ordered by labels anyway, so that sorting is in vain.
    Sort(Sort, Option<Span>, Box<VectorPlan>),
    Info(Box<InfoPlan>),
    Histogram(Box<HistogramPlan>),
    WithScalar(Box<WithScalarPlan>),
    Join(Box<JoinPlan>),
    Set(Box<SetPlan>),
    Aggregate(Box<AggregatePlan>),
    Once(Box<VectorPlan>),
    /// By index into [`Plan::shared`].
    Shared(usize),
}

/// An instant selector.
#[derive(Debug)]
pub(crate) struct SelectPlan {
    pub(crate) selection: usize,
    pub(crate) shift: Shift,
    /// Where the selector stands, if values are to be interpolated.
    pub(crate) smoothed: Option<Span>,
    /// Are counts and sums of histograms enough?
    pub(crate) bucketless: bool,
}

/// Where the samples of a range function come from.
#[derive(Debug)]
pub(crate) struct RangePlan {
    pub(crate) source: RangeSource,
    pub(crate) range_ms: i64,
    pub(crate) shift: Shift,
    pub(crate) edges: Edges,
    /// Are counts and sums of histograms enough?
    pub(crate) bucketless: bool,
}

#[derive(Debug)]
pub(crate) enum RangeSource {
    /// Index of the selection.
    Selection(usize),
    /// Evaluated on its own points.
    Subquery(Box<VectorPlan>, Grid),
}

/// A function over a range, with its scalar arguments.
#[derive(Debug)]
pub(crate) struct RangeCallPlan {
    pub(crate) function: RangeFunction,
    pub(crate) params: Vec<ScalarPlan>,
    pub(crate) range: RangePlan,
    /// Where the first argument stands: the place of notes.
    pub(crate) span: Span,
    /// Where the call stands.
    pub(crate) call: Span,
}

/// Functions of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapFunction {
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Ceil,
    Clamp,
    ClampMax,
    ClampMin,
    Cos,
    Cosh,
    Deg,
    Exp,
    Floor,
    Ln,
    Log10,
    Log2,
    Negate,
    Rad,
    Round,
    Sgn,
    Sin,
    Sinh,
    Sqrt,
    Tan,
    Tanh,
}

/// Numbers that describe a native histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Average,
    Count,
    Deviation,
    Sum,
    Variance,
}

/// Parts of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatePart {
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    DaysInMonth,
    Hour,
    Minute,
    Month,
    Year,
}

#[derive(Debug)]
pub(crate) struct LabelReplace {
    pub(crate) target: String,
    pub(crate) template: String,
    pub(crate) source: String,
    pub(crate) regex: Regex,
}

#[derive(Debug)]
pub(crate) struct LabelJoin {
    pub(crate) target: String,
    pub(crate) separator: String,
    pub(crate) sources: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Sort {
    Value { descending: bool },
    Labels { names: Vec<String>, descending: bool },
}

/// `info`: labels of series that describe others.
#[derive(Debug)]
pub(crate) struct InfoPlan {
    pub(crate) input: Box<VectorPlan>,
    /// The series that describe.
    pub(crate) source: SelectPlan,
    /// What their names must match. Series of the input that match are not described themselves.
    pub(crate) names: Vec<Matcher>,
    /// The labels that are wanted, with what they must match; all labels if there are none.
    pub(crate) data: Vec<Matcher>,
    /// Where the call stands.
    pub(crate) span: Span,
}

/// `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`.
#[derive(Debug)]
pub(crate) struct HistogramPlan {
    pub(crate) function: HistogramFunction,
    pub(crate) params: Vec<ScalarPlan>,
    pub(crate) input: Box<VectorPlan>,
    /// The label that `histogram_quantiles` puts the quantile into.
    pub(crate) quantile_label: Option<String>,
    /// Where the parameters stand.
    pub(crate) param_spans: Vec<Span>,
    /// Where the vector stands.
    pub(crate) input_span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistogramFunction {
    Quantile,
    Fraction,
}

/// A vector and a scalar.
#[derive(Debug)]
pub(crate) struct WithScalarPlan {
    pub(crate) operation: Operation,
    /// Does the scalar stand on the left?
    pub(crate) swapped: bool,
    pub(crate) vector: Box<VectorPlan>,
    pub(crate) scalar: ScalarPlan,
    /// Where the operation stands.
    pub(crate) span: Span,
}

/// An operator with its `bool`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) op: BinaryOp,
    pub(crate) bool: bool,
}

#[derive(Debug)]
pub(crate) struct JoinPlan {
    pub(crate) operation: Operation,
    pub(crate) matching: VectorMatching,
    pub(crate) lhs: VectorPlan,
    pub(crate) rhs: VectorPlan,
    /// Where the operation stands.
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) struct SetPlan {
    pub(crate) op: SetOp,
    pub(crate) matching: VectorMatching,
    pub(crate) lhs: VectorPlan,
    pub(crate) rhs: VectorPlan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetOp {
    And,
    Or,
    Unless,
}

#[derive(Debug)]
pub(crate) struct AggregatePlan {
    pub(crate) op: AggregateOp,
    /// The labels to keep, or to drop.
    pub(crate) labels: Vec<String>,
    pub(crate) without: bool,
    pub(crate) input: Box<VectorPlan>,
    /// Where the aggregation stands.
    pub(crate) span: Span,
    /// Where the parameter stands, or the aggregation where it has none.
    pub(crate) param_span: Span,
    /// Where the vector stands.
    pub(crate) input_span: Span,
}

/// What an aggregation does, with its parameter.
#[derive(Debug)]
pub(crate) enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Quantile(ScalarPlan),
    CountValues(String),
    Topk(ScalarPlan),
    Bottomk(ScalarPlan),
    Limitk(ScalarPlan),
    LimitRatio(ScalarPlan),
}

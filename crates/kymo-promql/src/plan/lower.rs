//! From the syntax tree to a plan: types, times, selectors. Calls of functions are in `call`.

use kymo_model::{LabelsNeeded, METRIC_NAME, Matcher, TimeRange};
use kymo_promql_syntax::ast::{
    self, Aggregate, At, Binary, BinaryOp, Edges, Expr, ExprKind, Grouping, MatrixSelector, Span, Subquery,
    TimeModifiers, Unary, VectorSelector,
};

use super::duration::{millis, positive_millis};
use super::invariant::Invariants;
use super::repeat::Repeats;
use super::selection::{Use, select};
use super::*;
use crate::grid::subquery_grid;
use crate::notes::quoted;
use crate::{Bound, QueryError};

/// The times of the query as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// 0 for an instant query.
    pub(crate) step_ms: i64,
    pub(crate) lookback_ms: i64,
    pub(crate) subquery_step_ms: i64,
    /// How many points a subquery may have.
    pub(crate) steps_max: usize,
}

/// Plans `expr` for the points of `grid`.
pub(crate) fn plan(expr: &Expr, grid: Grid, times: Times) -> Result<Plan, QueryError> {
    let narrowed = narrow::narrowed(expr);
    let expr = narrowed.as_ref().unwrap_or(expr);
    let mut lower = Lower {
        repeats: Repeats::of(expr),
        shared: Vec::new(),
        times,
        invariants: Invariants::of(expr, &times),
        selections: Vec::new(),
        function: None,
        labels: LabelsNeeded::All,
        step_ms: times.step_ms,
        ranged: times.start != times.end,
        histograms: Histograms::Any,
    };
    let root = lower.any(expr, grid)?;
    Ok(Plan { root, selections: lower.selections, shared: lower.shared.into() })
}

pub(super) struct Lower {
    pub(super) times: Times,
    invariants: Invariants,
    repeats: Repeats,
    shared: Vec<SharedPlan>,
    selections: Vec<Selection>,
    /// The function or aggregation around the current expression, for hints.
    pub(super) function: Option<&'static str>,
    labels: LabelsNeeded,
    step_ms: i64,
    /// Is the current expression evaluated from one time to another, even if there is but one step between them?
    pub(super) ranged: bool,
    pub(super) histograms: Histograms,
}

/// What must be the same for like expressions to have the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShareKey {
    class: usize,
    grid: Grid,
    histograms: Histograms,
}

/// What is needed of native histograms by what is around the current expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Histograms {
    /// Nobody has said.
    Any,
    /// Count and sum are enough.
    Bucketless,
    /// All of them, whatever is further inside.
    Whole,
}

/// Without the parentheses around it.
pub(super) fn bare(mut expr: &Expr) -> &Expr {
    while let ExprKind::Paren(inner) = &expr.kind {
        expr = inner;
    }
    expr
}

/// `@` and `offset` with their values.
pub(super) fn shift(time: &TimeModifiers, times: &Times, span: Span) -> Result<Shift, QueryError> {
    let offset_ms = match &time.offset {
        Some(offset) => millis(offset, times, span)?,
        None => 0,
    };
    let at = time.at.map(|at| match at {
        At::Time(ms) => ms,
        At::Start => times.start,
        At::End => times.end,
    });
    Ok(Shift { offset_ms, at })
}

impl Lower {
    /// Changes what is needed of histograms further inside; gives what is to be restored after.
    pub(super) fn need(&mut self, histograms: Histograms) -> Histograms {
        let around = self.histograms;
        if around != Histograms::Whole {
            self.histograms = histograms;
        }
        around
    }

    pub(super) fn any(&mut self, expr: &Expr, grid: Grid) -> Result<Root, QueryError> {
        let expr = bare(expr);
        let invariant = self.invariants.contains(expr);
        let once = grid.is_range() && invariant;
        let own = if once { grid.first() } else { grid };
        let around = self.ranged;
        self.ranged &= !invariant;
        let plan = self.node(expr, own);
        self.ranged = around;
        if once { plan.map(evaluated_once) } else { plan }
    }

    /// Each arm is a call and nothing else, so that this frame, which recurs, stays small.
    fn node(&mut self, expr: &Expr, grid: Grid) -> Result<Root, QueryError> {
        match &expr.kind {
            ExprKind::Number(number) => Ok(Root::Scalar(ScalarPlan::Number(number.value))),
            ExprKind::String(bytes) => Ok(Root::String(bytes.clone())),
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => self.range(expr, grid).map(Root::Range),
            ExprKind::Paren(inner) => self.any(inner, grid),
            ExprKind::Selector(selector) => self.selected(selector, expr.span, grid),
            ExprKind::Call(call) => self.call(call, expr, grid),
            ExprKind::Aggregate(aggregate) => self.aggregated(aggregate, expr, grid),
            ExprKind::Binary(binary) => self.binary(binary, expr.span, grid),
            ExprKind::Unary(unary) => self.unary(unary, grid),
        }
    }

    fn selected(&mut self, selector: &VectorSelector, span: Span, grid: Grid) -> Result<Root, QueryError> {
        Ok(Root::Vector(VectorPlan::Select(self.select(selector, span, grid)?)))
    }

    fn aggregated(&mut self, aggregate: &Aggregate, expr: &Expr, grid: Grid) -> Result<Root, QueryError> {
        let Some(class) = self.repeats.class(expr) else {
            let plan = self.aggregate(aggregate, expr.span, grid)?;
            return Ok(Root::Vector(VectorPlan::Aggregate(Box::new(plan))));
        };
        let key = ShareKey { class, grid, histograms: self.histograms };
        if let Some(index) = self.shared.iter().position(|shared| shared.key == key) {
            self.shared[index].others.push(expr.span.start);
            return Ok(Root::Vector(VectorPlan::Shared(index)));
        }
        let plan = VectorPlan::Aggregate(Box::new(self.aggregate(aggregate, expr.span, grid)?));
        self.shared.push(SharedPlan { plan, span: expr.span, others: Vec::new(), key });
        Ok(Root::Vector(VectorPlan::Shared(self.shared.len() - 1)))
    }

    pub(super) fn vector(&mut self, expr: &Expr, grid: Grid) -> Result<Box<VectorPlan>, QueryError> {
        match self.any(expr, grid)? {
            Root::Vector(plan) => Ok(Box::new(plan)),
            other => Err(unexpected("an instant vector", &other, expr.span)),
        }
    }

    pub(super) fn scalar(&mut self, expr: &Expr, grid: Grid) -> Result<ScalarPlan, QueryError> {
        match self.any(expr, grid)? {
            Root::Scalar(plan) => Ok(plan),
            other => Err(unexpected("a scalar", &other, expr.span)),
        }
    }

    pub(super) fn range(&mut self, expr: &Expr, grid: Grid) -> Result<RangePlan, QueryError> {
        let expr = bare(expr);
        match &expr.kind {
            ExprKind::Matrix(matrix) => self.matrix(matrix, expr.span, grid),
            ExprKind::Subquery(subquery) => self.subquery(subquery, expr.span, grid),
            _ => {
                let other = self.any(expr, grid)?;
                Err(unexpected("a range vector", &other, expr.span))
            }
        }
    }

    pub(super) fn select(
        &mut self,
        selector: &VectorSelector,
        span: Span,
        grid: Grid,
    ) -> Result<SelectPlan, QueryError> {
        let shift = self.shift(&selector.time, span)?;
        let lookback_ms = self.times.lookback_ms;
        let smoothed = (selector.edges == Edges::Smoothed).then_some(span);
        let reach = (lookback_ms, if smoothed.is_some() { lookback_ms } else { 0 });
        let selection = self.selection((&selector.matchers, span), shift.track(grid), reach, 0);
        Ok(SelectPlan { selection, shift, smoothed, bucketless: self.histograms == Histograms::Bucketless })
    }

    fn matrix(&mut self, matrix: &MatrixSelector, span: Span, grid: Grid) -> Result<RangePlan, QueryError> {
        let edges = matrix.selector.edges;
        // Where there is no step, nothing is called.
        if let Some(function) = self.function.filter(|_| grid.steps > 0) {
            check_edges(edges, function).map_err(|e| e.at(span))?;
        }
        let range_ms = positive_millis(&matrix.range, &self.times, span)?;
        let shift = self.shift(&matrix.selector.time, span)?;
        let lookback_ms = self.times.lookback_ms;
        let reach = match edges {
            Edges::Inside => (range_ms, 0),
            Edges::Anchored => (range_ms.saturating_add(lookback_ms), 0),
            Edges::Smoothed => (range_ms.saturating_add(lookback_ms), lookback_ms),
        };
        let selection = self.selection((&matrix.selector.matchers, span), shift.track(grid), reach, range_ms);
        let bucketless = self.histograms == Histograms::Bucketless;
        Ok(RangePlan { source: RangeSource::Selection(selection), range_ms, shift, edges, bucketless })
    }

    fn subquery(&mut self, subquery: &Subquery, span: Span, grid: Grid) -> Result<RangePlan, QueryError> {
        let range_ms = positive_millis(&subquery.range, &self.times, span)?;
        let step = match &subquery.step {
            Some(step) => positive_millis(step, &self.times, span)?,
            None => self.times.subquery_step_ms.max(1),
        };
        let shift = self.shift(&subquery.time, span)?;
        let inner_grid =
            subquery_grid(shift.track(grid), range_ms, step, self.times.steps_max).ok_or_else(|| {
                QueryError::limit(
                    "query processing would load too many samples into memory in query execution",
                )
                .over(Bound::Samples)
                .at(span)
            })?;
        let step_around = std::mem::replace(&mut self.step_ms, step);
        let ranged_around = std::mem::replace(&mut self.ranged, inner_grid.start != shift.track(grid).last());
        let around = self.need(Histograms::Whole);
        let inner = self.vector(&subquery.expr, inner_grid);
        self.histograms = around;
        self.step_ms = step_around;
        self.ranged = ranged_around;
        let source = RangeSource::Subquery(inner?, inner_grid);
        Ok(RangePlan { source, range_ms, shift, edges: Edges::Inside, bucketless: false })
    }

    pub(super) fn shift(&self, time: &TimeModifiers, span: Span) -> Result<Shift, QueryError> {
        shift(time, &self.times, span)
    }

    /// Asks for the samples in `(t - back, t + ahead]` for every `t` of `track`.
    pub(super) fn selection(
        &mut self,
        (matchers, span): (&[Matcher], Span),
        track: Grid,
        (back_ms, ahead_ms): (i64, i64),
        range_ms: i64,
    ) -> usize {
        let min = track.start.saturating_sub(back_ms).saturating_add(1);
        let wanted = Use {
            matchers,
            range: TimeRange::from_millis(min, track.last().saturating_add(ahead_ms)),
            step_ms: self.step_ms,
            range_ms,
            function: self.function,
            labels: self.labels.clone(),
            newest_only: range_ms == 0
                && ahead_ms == 0
                && track.start == track.last()
                // Without buckets the samples before tell of resets.
                && self.histograms != Histograms::Bucketless,
            span,
        };
        select(&mut self.selections, wanted)
    }

    fn aggregate(
        &mut self,
        aggregate: &Aggregate,
        span: Span,
        grid: Grid,
    ) -> Result<AggregatePlan, QueryError> {
        let (labels, without) = match &aggregate.grouping {
            Grouping::By(labels) => (labels.clone(), false),
            Grouping::Without(labels) => (labels.clone(), true),
        };
        let param_span = aggregate.param.as_ref().map_or(span, |param| bare(param).span);
        let input_span = bare(&aggregate.expr).span;
        let op = self.aggregate_op(aggregate, grid)?;
        let around = self.function.replace(op.name());
        if let ExprKind::Selector(_) = &bare(&aggregate.expr).kind {
            let names = labels.iter().map(|l| l.as_str().into());
            let keeps_few = matches!(op, AggregateOp::Topk(_) | AggregateOp::Bottomk(_));
            self.labels = match (op.merges_series(), without) {
                (true, true) => LabelsNeeded::Without(names.chain([METRIC_NAME.into()]).collect()),
                (true, false) => LabelsNeeded::Only(names.collect()),
                (false, false) if keeps_few => LabelsNeeded::AllOfFew(names.collect()),
                (false, _) => LabelsNeeded::All,
            };
        }
        let input = self.vector(&aggregate.expr, grid);
        self.labels = LabelsNeeded::All;
        self.function = around;
        Ok(AggregatePlan { op, labels, without, input: input?, span, param_span, input_span })
    }

    fn aggregate_op(&mut self, aggregate: &Aggregate, grid: Grid) -> Result<AggregateOp, QueryError> {
        let number = |lower: &mut Lower| match &aggregate.param {
            Some(param) => lower.scalar(param, grid),
            None => Err(QueryError::execution("expected a parameter of the aggregation, found none")),
        };
        Ok(match aggregate.op {
            ast::AggregateOp::Sum => AggregateOp::Sum,
            ast::AggregateOp::Avg => AggregateOp::Avg,
            ast::AggregateOp::Count => AggregateOp::Count,
            ast::AggregateOp::Min => AggregateOp::Min,
            ast::AggregateOp::Max => AggregateOp::Max,
            ast::AggregateOp::Group => AggregateOp::Group,
            ast::AggregateOp::Stddev => AggregateOp::Stddev,
            ast::AggregateOp::Stdvar => AggregateOp::Stdvar,
            ast::AggregateOp::Quantile => AggregateOp::Quantile(number(self)?),
            ast::AggregateOp::Topk => AggregateOp::Topk(number(self)?),
            ast::AggregateOp::Bottomk => AggregateOp::Bottomk(number(self)?),
            ast::AggregateOp::Limitk => AggregateOp::Limitk(number(self)?),
            ast::AggregateOp::LimitRatio => AggregateOp::LimitRatio(number(self)?),
            ast::AggregateOp::CountValues => match aggregate.param.as_ref().map(|p| &bare(p).kind) {
                Some(ExprKind::String(bytes)) => match String::from_utf8(bytes.clone()) {
                    Ok(name) if !name.is_empty() => AggregateOp::CountValues(name),
                    _ => return Err(QueryError::execution(format!("invalid label name {}", quoted(bytes)))),
                },
                _ => return Err(QueryError::execution("expected a string as parameter of count_values")),
            },
        })
    }

    fn unary(&mut self, unary: &Unary, grid: Grid) -> Result<Root, QueryError> {
        let operand = self.any(&unary.expr, grid)?;
        if !unary.negative {
            return Ok(operand);
        }
        match operand {
            Root::Scalar(plan) => Ok(Root::Scalar(ScalarPlan::Negate(Box::new(plan)).folded())),
            Root::Vector(plan) => {
                Ok(Root::Vector(VectorPlan::Map(MapFunction::Negate, Vec::new(), Box::new(plan))))
            }
            other => Err(unexpected("a scalar or an instant vector", &other, unary.expr.span)),
        }
    }

    fn binary(&mut self, binary: &Binary, span: Span, grid: Grid) -> Result<Root, QueryError> {
        let around = self.function.take();
        let histograms_around = match binary.op {
            BinaryOp::TrimLower | BinaryOp::TrimUpper => self.need(Histograms::Whole),
            _ => self.histograms,
        };
        let lhs = self.any(&binary.lhs, grid);
        let rhs = lhs.is_ok().then(|| self.any(&binary.rhs, grid));
        self.function = around;
        self.histograms = histograms_around;
        match rhs {
            None => lhs,
            Some(rhs) => self.binary_of(binary, span, lhs?, rhs?),
        }
    }

    fn binary_of(&self, binary: &Binary, span: Span, lhs: Root, rhs: Root) -> Result<Root, QueryError> {
        let operation = Operation { op: binary.op, bool: binary.return_bool };
        let with_scalar = |vector: VectorPlan, scalar, swapped| {
            let vector = Box::new(vector);
            let plan = WithScalarPlan { operation, swapped, vector, scalar, span };
            Root::Vector(VectorPlan::WithScalar(Box::new(plan)))
        };
        match (lhs, rhs) {
            (Root::Scalar(a), Root::Scalar(b)) => {
                if matches!(operation.op, BinaryOp::TrimUpper | BinaryOp::TrimLower) {
                    let op = operation.op.as_str();
                    let message = format!("operator \"{op}\" not allowed for Scalar operations");
                    return Err(QueryError::execution(message).at(span));
                }
                Ok(Root::Scalar(ScalarPlan::Binary(operation.op, Box::new(a), Box::new(b)).folded()))
            }
            (Root::Vector(a), Root::Scalar(b)) => Ok(with_scalar(a, b, false)),
            (Root::Scalar(a), Root::Vector(b)) => Ok(with_scalar(b, a, true)),
            (Root::Vector(a), Root::Vector(b)) => {
                let matching = binary.matching.clone().unwrap_or_default();
                Ok(Root::Vector(match set_op(operation.op) {
                    Some(op) => VectorPlan::Set(Box::new(SetPlan { op, matching, lhs: a, rhs: b })),
                    None => {
                        VectorPlan::Join(Box::new(JoinPlan { operation, matching, lhs: a, rhs: b, span }))
                    }
                }))
            }
            (Root::Scalar(_) | Root::Vector(_), other) => {
                Err(unexpected("a scalar or an instant vector", &other, binary.rhs.span))
            }
            (other, _) => Err(unexpected("a scalar or an instant vector", &other, binary.lhs.span)),
        }
    }
}

/// What is the same at every step is evaluated at the first.
fn evaluated_once(plan: Root) -> Root {
    match plan {
        Root::Scalar(number @ ScalarPlan::Number(_)) => Root::Scalar(number),
        Root::Scalar(scalar) => Root::Scalar(ScalarPlan::Once(Box::new(scalar))),
        Root::Vector(vector) => Root::Vector(VectorPlan::Once(Box::new(vector))),
        plan => plan,
    }
}

fn set_op(op: BinaryOp) -> Option<SetOp> {
    match op {
        BinaryOp::And => Some(SetOp::And),
        BinaryOp::Or => Some(SetOp::Or),
        BinaryOp::Unless => Some(SetOp::Unless),
        _ => None,
    }
}

/// The functions that know what to do at the edges of a range, as upstream lists them.
fn check_edges(edges: Edges, function: &str) -> Result<(), QueryError> {
    let (word, functions): (&str, &[&str]) = match edges {
        Edges::Inside => return Ok(()),
        Edges::Anchored => ("anchored", &["changes", "delta", "increase", "rate", "resets"]),
        Edges::Smoothed => ("smoothed", &["delta", "increase", "rate"]),
    };
    if functions.contains(&function) {
        return Ok(());
    }
    let functions = functions.join(", ");
    Err(QueryError::execution(format!(
        "{word} modifier can only be used with: {functions} - not with {function}"
    )))
}

fn unexpected(expected: &str, found: &Root, span: Span) -> QueryError {
    let found = match found {
        Root::Scalar(_) => "a scalar",
        Root::Vector(_) => "an instant vector",
        Root::Range(_) => "a range vector",
        Root::String(_) => "a string",
    };
    QueryError::execution(format!("expected {expected}, found {found}")).at(span)
}

impl AggregateOp {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            AggregateOp::Sum => "sum",
            AggregateOp::Avg => "avg",
            AggregateOp::Count => "count",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Group => "group",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Quantile(_) => "quantile",
            AggregateOp::CountValues(_) => "count_values",
            AggregateOp::Topk(_) => "topk",
            AggregateOp::Bottomk(_) => "bottomk",
            AggregateOp::Limitk(_) => "limitk",
            AggregateOp::LimitRatio(_) => "limit_ratio",
        }
    }

    /// Does the result have the group's labels rather than those of series?
    fn merges_series(&self) -> bool {
        !matches!(
            self,
            AggregateOp::Topk(_)
                | AggregateOp::Bottomk(_)
                | AggregateOp::Limitk(_)
                | AggregateOp::LimitRatio(_)
        )
    }
}

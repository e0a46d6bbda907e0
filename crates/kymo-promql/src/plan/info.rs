//! `info(v, {…})`: which series describe those of `v`, and at which time they are looked at.
//!
//! The second argument is written as a selector and is none: its matchers of `__name__` choose the metrics that describe,
//! the others say which labels are wanted. Describing series are looked at when the described ones are: if all selectors
//! of `v` have the same `@` and `offset`, at that time, else at the time of evaluation.

use kymo_model::{METRIC_NAME, MatchOp, Matcher};
use kymo_promql_syntax::ast::{Call, Expr, ExprKind, Span, TimeModifiers, ValueType};

use super::call::{map_function, range_function};
use super::lower::{Lower, Times, bare, shift};
use super::{InfoPlan, SelectPlan};
use crate::QueryError;
use crate::grid::{Grid, Shift};

/// The labels by which series and those that describe them belong together.
pub(crate) const IDENTIFYING_LABELS: [&str; 2] = ["instance", "job"];

/// The metric that describes when no other is named.
const DEFAULT_METRIC: &str = "target_info";

/// What must be true of a metric that describes when it is only said which ones do not.
const INFO_METRICS: &str = ".+_info";

impl Lower {
    pub(super) fn info(&mut self, call: &Call, span: Span, grid: Grid) -> Result<InfoPlan, QueryError> {
        let expected = || QueryError::execution("expected a vector and a label selector").at(span);
        let described = call.args.first().ok_or_else(expected)?;
        let wanted = match call.args.get(1).map(|arg| &bare(arg).kind) {
            None => &[],
            Some(ExprKind::Selector(selector)) => selector.matchers.as_slice(),
            Some(_) => return Err(expected()),
        };
        let (names, data): (Vec<_>, Vec<_>) = wanted.iter().cloned().partition(|m| m.name() == METRIC_NAME);
        let names = effective_names(names)?;
        let input = self.vector(described, grid)?;
        let shift = reference_time(described, &self.times, span)?.unwrap_or_default();
        let matchers: Vec<Matcher> =
            names.iter().chain(&data).cloned().chain(propagated(described).cloned()).collect();
        let lookback_ms = self.times.lookback_ms;
        let selection = self.selection((&matchers, span), shift.track(grid), (lookback_ms, 0), 0);
        Ok(InfoPlan {
            input,
            source: SelectPlan { selection, shift, smoothed: None, bucketless: false },
            names,
            data,
            span,
        })
    }
}

/// The `@` and `offset` that all selectors of a vector agree on; `None` if they do not, or there is none.
pub(super) fn reference_time(
    described: &Expr,
    times: &Times,
    span: Span,
) -> Result<Option<Shift>, QueryError> {
    let mut found = ReferenceTimes { times, span, first: None, uniform: true };
    found.visit(described, &mut Vec::new())?;
    Ok(found.first.filter(|_| found.uniform))
}

/// A set of exclusions alone would choose nearly everything, so it chooses from metrics that are named like those that
/// describe.
fn effective_names(mut names: Vec<Matcher>) -> Result<Vec<Matcher>, QueryError> {
    if names.iter().any(|m| matches!(m.op(), MatchOp::Equal | MatchOp::Regex)) {
        return Ok(names);
    }
    let first = if names.is_empty() {
        Matcher::equal(METRIC_NAME, DEFAULT_METRIC)
    } else {
        Matcher::new(MatchOp::Regex, METRIC_NAME, INFO_METRICS)
            .map_err(|e| QueryError::execution(e.to_string()))?
    };
    names.insert(0, first);
    Ok(names)
}

/// Conditions on identifying labels that hold for every described series, and so for all that can describe one.
fn propagated(mut expr: &Expr) -> impl Iterator<Item = &Matcher> {
    let matchers: &[Matcher] = loop {
        match &expr.kind {
            ExprKind::Paren(inner) => expr = inner,
            ExprKind::Unary(unary) => expr = &unary.expr,
            ExprKind::Call(call)
                if range_function(call.function).is_some() || map_function(call.function).is_some() =>
            {
                match call.args.iter().find(|arg| arg.value_type() != ValueType::Scalar) {
                    Some(arg) => expr = arg,
                    None => break &[],
                }
            }
            ExprKind::Selector(selector) => break &selector.matchers,
            ExprKind::Matrix(matrix) => break &matrix.selector.matchers,
            _ => break &[],
        }
    };
    matchers.iter().filter(|m| {
        IDENTIFYING_LABELS.contains(&m.name())
            && matches!(m.op(), MatchOp::Equal | MatchOp::Regex)
            && !m.matches_empty()
    })
}

/// Collects the `@` and `offset` of every selector that the vector is made of.
struct ReferenceTimes<'a> {
    times: &'a Times,
    span: Span,
    first: Option<Shift>,
    uniform: bool,
}

impl<'a> ReferenceTimes<'a> {
    /// Is there a selector in `expr`? `around` are the subqueries around it, outermost first.
    fn visit(&mut self, expr: &'a Expr, around: &mut Vec<&'a TimeModifiers>) -> Result<bool, QueryError> {
        if !matches!(expr.value_type(), ValueType::Vector | ValueType::Matrix) {
            return Ok(false);
        }
        let found = match &expr.kind {
            ExprKind::Selector(selector) => return self.add(&selector.time, around),
            ExprKind::Matrix(matrix) => return self.add(&matrix.selector.time, around),
            ExprKind::Subquery(subquery) => {
                around.push(&subquery.time);
                let found = self.visit(&subquery.expr, around);
                around.pop();
                found?
            }
            ExprKind::Call(call) => {
                // The second argument of `info` is no vector that is evaluated.
                let args =
                    if call.function == kymo_promql_syntax::Function::Info { 1 } else { call.args.len() };
                let mut found = false;
                for arg in call.args.iter().take(args) {
                    found |= self.visit(arg, around)?;
                }
                found
            }
            ExprKind::Aggregate(aggregate) => self.visit(&aggregate.expr, around)?,
            ExprKind::Binary(binary) => self.visit(&binary.lhs, around)? | self.visit(&binary.rhs, around)?,
            ExprKind::Unary(unary) => self.visit(&unary.expr, around)?,
            ExprKind::Paren(inner) => self.visit(inner, around)?,
            ExprKind::Number(_) | ExprKind::String(_) => false,
        };
        // A vector without a selector is of the time of evaluation.
        self.uniform &= found;
        Ok(found)
    }

    fn add(&mut self, time: &TimeModifiers, around: &[&TimeModifiers]) -> Result<bool, QueryError> {
        let mut reference = shift(time, self.times, self.span)?;
        for outer in around.iter().rev() {
            if reference.at.is_some() {
                break;
            }
            let outer = shift(outer, self.times, self.span)?;
            reference.offset_ms = reference.offset_ms.saturating_add(outer.offset_ms);
            reference.at = outer.at;
        }
        match &self.first {
            None => self.first = Some(reference),
            Some(first) => self.uniform &= same_time(first, &reference),
        }
        Ok(true)
    }
}

fn same_time(a: &Shift, b: &Shift) -> bool {
    let fixed = |shift: &Shift| shift.at.map(|at| at.saturating_sub(shift.offset_ms));
    match (fixed(a), fixed(b)) {
        (None, None) => a.offset_ms == b.offset_ms,
        (a, b) => a == b,
    }
}

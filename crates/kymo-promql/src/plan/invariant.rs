//! Which parts of a query have the same value at every step: `@`, constants, and what is made of these alone.
//!
//! As upstream judges it: a subquery is invariant only by its own `@`, an aggregation by what it aggregates, and functions
//! that look at the time of evaluation never are. `timestamp` does unless it is called on a selector, and `info` if its
//! selectors do not agree on a time.

use std::collections::HashMap;

use kymo_promql_syntax::Function;
use kymo_promql_syntax::ast::{Call, Expr, ExprKind};

use super::info::reference_time;
use super::lower::{Times, bare};

/// The verdict for each expression of a tree, by its address while the tree is borrowed.
pub(crate) struct Invariants(HashMap<usize, bool>);

impl Invariants {
    pub(crate) fn of(root: &Expr, times: &Times) -> Invariants {
        let mut verdicts = Invariants(HashMap::new());
        verdicts.mark(root, times);
        verdicts
    }

    pub(crate) fn contains(&self, expr: &Expr) -> bool {
        self.0.get(&address(expr)).copied().unwrap_or(false)
    }

    fn mark(&mut self, expr: &Expr, times: &Times) -> bool {
        let verdict = match &expr.kind {
            ExprKind::Number(_) | ExprKind::String(_) => true,
            ExprKind::Selector(selector) => selector.time.at.is_some(),
            ExprKind::Matrix(matrix) => matrix.selector.time.at.is_some(),
            ExprKind::Subquery(subquery) => {
                self.mark(&subquery.expr, times);
                subquery.time.at.is_some()
            }
            ExprKind::Call(call) => {
                // What info() is to add is no part of what is evaluated.
                let evaluated = if call.function == Function::Info { 1 } else { call.args.len() };
                let args =
                    call.args.iter().take(evaluated).fold(true, |all, arg| self.mark(arg, times) & all);
                args && !looks_at_time(call, expr, times)
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(param) = &aggregate.param {
                    self.mark(param, times);
                }
                self.mark(&aggregate.expr, times)
            }
            ExprKind::Binary(binary) => self.mark(&binary.lhs, times) & self.mark(&binary.rhs, times),
            ExprKind::Unary(unary) => self.mark(&unary.expr, times),
            ExprKind::Paren(inner) => self.mark(inner, times),
        };
        self.0.insert(address(expr), verdict);
        verdict
    }
}

fn address(expr: &Expr) -> usize {
    std::ptr::from_ref(expr) as usize
}

/// Can a call on arguments that are the same at every step give another value at each?
fn looks_at_time(call: &Call, expr: &Expr, times: &Times) -> bool {
    match call.function {
        Function::DaysInMonth
        | Function::DayOfMonth
        | Function::DayOfWeek
        | Function::DayOfYear
        | Function::Hour
        | Function::Minute
        | Function::Month
        | Function::Year
        | Function::PredictLinear
        | Function::Time => true,
        Function::Timestamp => !call.args.iter().all(|arg| matches!(bare(arg).kind, ExprKind::Selector(_))),
        // An error is one of planning, too.
        Function::Info => !call.args.first().is_some_and(|described| {
            reference_time(described, times, expr.span).is_ok_and(|time| time.is_some())
        }),
        _ => false,
    }
}

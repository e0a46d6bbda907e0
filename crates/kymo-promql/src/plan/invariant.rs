//! Which parts of a query have the same value at every step: `@`, constants, and what is made of these alone.
//!
//! As upstream judges it: a subquery is invariant only by its own `@`, an aggregation by what it aggregates, and functions
//! that look at the time of evaluation never are.

use std::collections::HashMap;

use kymo_promql_syntax::Function;
use kymo_promql_syntax::ast::{Expr, ExprKind};

/// The verdict for each expression of a tree, by its address while the tree is borrowed.
pub(crate) struct Invariants(HashMap<usize, bool>);

impl Invariants {
    pub(crate) fn of(root: &Expr) -> Invariants {
        let mut verdicts = Invariants(HashMap::new());
        verdicts.mark(root);
        verdicts
    }

    pub(crate) fn contains(&self, expr: &Expr) -> bool {
        self.0.get(&address(expr)).copied().unwrap_or(false)
    }

    fn mark(&mut self, expr: &Expr) -> bool {
        let verdict = match &expr.kind {
            ExprKind::Number(_) | ExprKind::String(_) => true,
            ExprKind::Selector(selector) => selector.time.at.is_some(),
            ExprKind::Matrix(matrix) => matrix.selector.time.at.is_some(),
            ExprKind::Subquery(subquery) => {
                self.mark(&subquery.expr);
                subquery.time.at.is_some()
            }
            ExprKind::Call(call) => {
                // What info() is to add is no part of what is evaluated.
                let evaluated = if call.function == Function::Info { 1 } else { call.args.len() };
                let args = call.args.iter().take(evaluated).fold(true, |all, arg| self.mark(arg) & all);
                args && !looks_at_time(call.function)
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(param) = &aggregate.param {
                    self.mark(param);
                }
                self.mark(&aggregate.expr)
            }
            ExprKind::Binary(binary) => self.mark(&binary.lhs) & self.mark(&binary.rhs),
            ExprKind::Unary(unary) => self.mark(&unary.expr),
            ExprKind::Paren(inner) => self.mark(inner),
        };
        self.0.insert(address(expr), verdict);
        verdict
    }
}

fn address(expr: &Expr) -> usize {
    std::ptr::from_ref(expr) as usize
}

fn looks_at_time(function: Function) -> bool {
    matches!(
        function,
        Function::DaysInMonth
            | Function::DayOfMonth
            | Function::DayOfWeek
            | Function::DayOfYear
            | Function::Hour
            | Function::Minute
            | Function::Month
            | Function::Year
            | Function::PredictLinear
            | Function::Time
            | Function::Timestamp
            | Function::StartTimestamp
    )
}

//! Printing on several lines: what is longer than a line is split at its outermost bracket or operator.
//! Parses to the same tree as the one-line form.

use crate::ast::{Expr, ExprKind};
use crate::print::{Place, push_aggregate_head, push_operator, push_subquery_suffix};

/// What is longer than this is split.
const LINE_BYTES_MAX: usize = 100;

impl Expr {
    /// This expression on as many lines as it needs, as Prometheus' `format_query` lays it out.
    ///
    /// ```
    /// let query = "sum by (job) (rate(http_requests_total[5m])) / on (job) group_left (team) \
    ///              (sum by (job) (rate(http_requests_limit_total[5m])) * on (job) owner)";
    /// let pretty = kymo_promql_syntax::parse(query).unwrap().pretty();
    /// assert_eq!(pretty.lines().collect::<Vec<_>>(), [
    ///     "  sum by (job) (rate(http_requests_total[5m]))",
    ///     "/ on (job) group_left (team)",
    ///     "  (sum by (job) (rate(http_requests_limit_total[5m])) * on (job) owner)",
    /// ]);
    /// ```
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        push(&mut out, self, 0);
        out
    }
}

fn indent(out: &mut String, level: usize) {
    out.extend(std::iter::repeat_n("  ", level));
}

fn push(out: &mut String, expr: &Expr, level: usize) {
    let line = expr.to_string();
    if line.len() <= LINE_BYTES_MAX {
        indent(out, level);
        out.push_str(&line);
        return;
    }
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Selector(_) | ExprKind::Matrix(_) => {
            indent(out, level);
            out.push_str(&line);
        }
        ExprKind::Subquery(subquery) => {
            push_operand(out, &subquery.expr, Place::Ranged, level);
            push_subquery_suffix(out, subquery);
        }
        ExprKind::Call(call) => {
            indent(out, level);
            out.push_str(call.function.name());
            push_lines(out, call.args.iter(), level);
        }
        ExprKind::Aggregate(aggregate) => {
            indent(out, level);
            push_aggregate_head(out, aggregate);
            push_lines(out, aggregate.param.as_deref().into_iter().chain([&*aggregate.expr]), level);
        }
        ExprKind::Binary(binary) => {
            push_operand(out, &binary.lhs, Place::Left(binary.op), level + 1);
            out.push('\n');
            indent(out, level);
            push_operator(out, binary);
            out.push('\n');
            push_operand(out, &binary.rhs, Place::Right(binary.op), level + 1);
        }
        ExprKind::Unary(unary) => {
            let mut operand = String::new();
            push_operand(&mut operand, &unary.expr, Place::Signed, level);
            indent(out, level);
            out.push(if unary.negative { '-' } else { '+' });
            out.push_str(operand.trim_start());
        }
        ExprKind::Paren(inner) => {
            indent(out, level);
            push_lines(out, [&**inner].into_iter(), level);
        }
    }
}

fn push_operand(out: &mut String, expr: &Expr, place: Place, level: usize) {
    if place.parts(expr) {
        indent(out, level);
        push_lines(out, [expr].into_iter(), level);
        return;
    }
    push(out, expr, level);
}

/// A list in parentheses, one item below the other.
fn push_lines<'e>(out: &mut String, items: impl Iterator<Item = &'e Expr>, level: usize) {
    out.push_str("(\n");
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push_str(",\n");
        }
        push(out, item, level + 1);
    }
    out.push('\n');
    indent(out, level);
    out.push(')');
}

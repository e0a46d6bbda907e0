//! Matchers across joins: what one side of an operation demands of a label that both sides must agree on is asked of the other
//! side's selector too, so that the store need not give series that can have no partner.
//!
//! Nothing else may change by it. So only plain selectors are narrowed, since they have nothing to tell but values; and under
//! arithmetic only where the "one" side cannot hold two series of a match group, which would be an error although they have no
//! partner. Selectors that stand elsewhere in the query as well are left alone: they are read once for all.

use kymo_model::{METRIC_NAME, MatchOp, Matcher};
use kymo_promql_syntax::Function;
use kymo_promql_syntax::ast::{
    AggregateOp, Binary, BinaryOp, Call, Cardinality, Edges, Expr, ExprKind, Grouping, ValueType,
    VectorMatching, VectorSelector,
};

use super::call::{map_function, range_function};
use super::lower::bare;
use crate::vector::describes_metric;

/// The query with narrower selectors, if any can be narrower.
pub(super) fn narrowed(expr: &Expr) -> Option<Expr> {
    let mut joins = false;
    expr.walk(|expr| joins |= matches!(&expr.kind, ExprKind::Binary(binary) if binary.matching.is_some()));
    if !joins {
        return None;
    }
    let selectors = expr.selectors();
    let stands_elsewhere = |matchers: &[Matcher]| {
        selectors.iter().filter(|(selector, _)| selector.matchers == matchers).count() > 1
    };
    let mut narrowed = expr.clone();
    let mut changed = false;
    narrowed.rewrite(&mut |expr| {
        if let ExprKind::Binary(binary) = &mut expr.kind {
            changed |= narrow(binary, &stands_elsewhere);
        }
    });
    changed.then_some(narrowed)
}

fn narrow(binary: &mut Binary, stands_elsewhere: &impl Fn(&[Matcher]) -> bool) -> bool {
    let Some(matching) = &binary.matching else { return false };
    if matching.fill_left.is_some() || matching.fill_right.is_some() {
        return false;
    }
    let (narrows_left, narrows_right) = match binary.op {
        BinaryOp::Or => (false, false),
        BinaryOp::And => (true, true),
        // What the right side lacks is what the left side keeps.
        BinaryOp::Unless => (false, true),
        _ => {
            let one = match matching.cardinality {
                Cardinality::OneToMany => &binary.lhs,
                _ => &binary.rhs,
            };
            let safe = one_per_group(one, matching);
            (safe, safe)
        }
    };
    let for_right = if narrows_right { demands(&binary.lhs, matching) } else { Vec::new() };
    let for_left = if narrows_left { demands(&binary.rhs, matching) } else { Vec::new() };
    let right = add(&mut binary.rhs, for_right, stands_elsewhere);
    add(&mut binary.lhs, for_left, stands_elsewhere) | right
}

/// Can no two series of `expr` at one time be in the same match group?
fn one_per_group(expr: &Expr, matching: &VectorMatching) -> bool {
    match &bare(expr).kind {
        // Of one name, they differ in some other label; all others are matched.
        ExprKind::Selector(selector) => !matching.on && matching.labels.is_empty() && has_one_name(selector),
        ExprKind::Aggregate(aggregate) => match &aggregate.grouping {
            _ if aggregate.param.is_some() && aggregate.op != AggregateOp::Quantile => false,
            Grouping::By(labels) => labels.iter().all(|label| is_matched(label, matching)),
            Grouping::Without(_) => false,
        },
        _ => false,
    }
}

fn has_one_name(selector: &VectorSelector) -> bool {
    selector.matchers.iter().any(|m| m.op() == MatchOp::Equal && m.name() == METRIC_NAME)
}

/// Must both sides agree on this label?
fn is_matched(label: &str, matching: &VectorMatching) -> bool {
    !describes_metric(label) && matching.on == matching.labels.iter().any(|l| l == label)
}

/// What is known of every series of `expr` in the labels that both sides must agree on.
fn demands(expr: &Expr, matching: &VectorMatching) -> Vec<Matcher> {
    known(expr).into_iter().filter(|matcher| is_matched(matcher.name(), matching)).cloned().collect()
}

/// Conditions that the labels of every series of `expr` meet, but for those that describe metrics. Recurses as deep as the
/// query nests.
fn known(expr: &Expr) -> Vec<&Matcher> {
    match &bare(expr).kind {
        ExprKind::Selector(selector) => selector.matchers.iter().collect(),
        ExprKind::Matrix(matrix) => matrix.selector.matchers.iter().collect(),
        ExprKind::Subquery(subquery) => known(&subquery.expr),
        ExprKind::Unary(unary) => known(&unary.expr),
        ExprKind::Call(call) => keeps_labels(call).map(known).unwrap_or_default(),
        ExprKind::Aggregate(aggregate) if aggregate.op == AggregateOp::CountValues => Vec::new(),
        ExprKind::Aggregate(aggregate) => {
            use AggregateOp::{Bottomk, LimitRatio, Limitk, Topk};
            let mut conditions = known(&aggregate.expr);
            if !matches!(aggregate.op, Topk | Bottomk | Limitk | LimitRatio) {
                conditions.retain(|matcher| match &aggregate.grouping {
                    Grouping::By(labels) => labels.iter().any(|label| label == matcher.name()),
                    Grouping::Without(labels) => labels.iter().all(|label| label != matcher.name()),
                });
            }
            conditions
        }
        ExprKind::Binary(binary) => match (binary.op, binary.matching.is_some()) {
            (BinaryOp::And | BinaryOp::Unless, _) => known(&binary.lhs),
            (_, false) if binary.lhs.value_type() == ValueType::Vector => known(&binary.lhs),
            (_, false) if binary.rhs.value_type() == ValueType::Vector => known(&binary.rhs),
            _ => Vec::new(),
        },
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Paren(_) => Vec::new(),
    }
}

/// The argument whose series are those of the result, with their labels but for the name.
fn keeps_labels(call: &Call) -> Option<&Expr> {
    let index = match call.function {
        Function::QuantileOverTime => 1,
        Function::Sort | Function::SortDesc => 0,
        function if range_function(function).is_some() || map_function(function).is_some() => 0,
        _ => return None,
    };
    call.args.get(index)
}

/// Asks `demands` of `expr` too, if it is a selector that may be narrowed.
fn add(expr: &mut Expr, demands: Vec<Matcher>, stands_elsewhere: &impl Fn(&[Matcher]) -> bool) -> bool {
    match &mut expr.kind {
        ExprKind::Paren(inner) => add(inner, demands, stands_elsewhere),
        ExprKind::Selector(selector)
            if selector.edges == Edges::Inside && !stands_elsewhere(&selector.matchers) =>
        {
            let before = selector.matchers.len();
            for demand in demands {
                if !selector.matchers.contains(&demand) {
                    selector.matchers.push(demand);
                }
            }
            selector.matchers.len() > before
        }
        _ => false,
    }
}

//! The type check: every operand and argument has the type its place wants. Runs once over a whole tree, in Prometheus'
//! order, so that the first fault found is the one Prometheus reports.
//!
//! Recurses as deep as the tree is high, which the builder has bounded.

use crate::ast::{
    Aggregate, AggregateOp, Binary, Call, Cardinality, Expr, ExprKind, ValueType, VectorSelector,
};
use crate::error::{Fault, ParseErrorKind};
use crate::functions::Function;
use crate::quote::quoted;

type Checked = Result<(), Box<Fault>>;

fn type_fault(expr: &Expr, message: String) -> Checked {
    Err(Fault::new(ParseErrorKind::Type, expr.span, message))
}

/// Checks `expr` and everything in it, and settles how binary operations match.
pub(crate) fn check(expr: &mut Expr) -> Checked {
    let whole = expr.span;
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => Ok(()),
        ExprKind::Selector(selector) => check_selector(selector, whole, false),
        ExprKind::Matrix(matrix) => check_selector(&matrix.selector, matrix.selector_span, false),
        ExprKind::Paren(inner) => check(inner),
        ExprKind::Unary(unary) => {
            check(&mut unary.expr)?;
            match unary.expr.value_type() {
                ValueType::Scalar | ValueType::Vector => Ok(()),
                other => type_fault(
                    expr,
                    format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got \"{other}\""
                    ),
                ),
            }
        }
        ExprKind::Subquery(subquery) => {
            check(&mut subquery.expr)?;
            match subquery.expr.value_type() {
                ValueType::Vector => Ok(()),
                other => type_fault(
                    expr,
                    format!("subquery is only allowed on instant vector, got {} instead", other.short_name()),
                ),
            }
        }
        ExprKind::Aggregate(aggregate) => check_aggregate(aggregate),
        ExprKind::Call(call) => check_call(call, whole),
        ExprKind::Binary(binary) => check_binary(binary, whole),
    }
}

fn expect(expr: &mut Expr, wanted: ValueType, context: &str) -> Checked {
    check(expr)?;
    match expr.value_type() {
        found if found == wanted => Ok(()),
        found => type_fault(expr, format!("expected type {wanted} in {context}, got {found}")),
    }
}

fn check_selector(selector: &VectorSelector, at: crate::ast::Span, may_match_all: bool) -> Checked {
    let semantic = |message: String| Err(Fault::new(ParseErrorKind::Semantic, at, message));
    if let Some(name) = &selector.name {
        let second = selector.matchers.iter().skip(1).find(|m| m.name() == kymo_model::METRIC_NAME);
        return match second {
            Some(second) => semantic(format!(
                "metric name must not be set twice: {} or {}",
                quoted(name.as_bytes()),
                quoted(second.value().as_bytes())
            )),
            None => Ok(()),
        };
    }
    if may_match_all || selector.matchers.iter().any(|m| !m.matches_empty()) {
        return Ok(());
    }
    semantic("vector selector must contain at least one non-empty matcher".to_owned())
}

fn check_aggregate(aggregate: &mut Aggregate) -> Checked {
    expect(&mut aggregate.expr, ValueType::Vector, "aggregation expression")?;
    let Some(param) = &mut aggregate.param else {
        return Ok(());
    };
    let wanted = if aggregate.op == AggregateOp::CountValues { ValueType::String } else { ValueType::Scalar };
    expect(param, wanted, "aggregation parameter")
}

fn check_call(call: &mut Call, at: crate::ast::Span) -> Checked {
    let signature = call.function.signature();
    let found = call.args.len();
    let fault = |how: &str, wanted: usize| {
        let message =
            format!("expected {how}{wanted} argument(s) in call to \"{}\", got {found}", signature.name);
        Err(Fault::new(ParseErrorKind::Type, at, message))
    };
    let exact = signature.args_max == Some(signature.args_min);
    if exact && found != signature.args_min {
        return fault("", signature.args_min);
    }
    if found < signature.args_min {
        return fault("at least ", signature.args_min);
    }
    if let Some(max) = signature.args_max.filter(|max| found > *max) {
        return fault("at most ", max);
    }
    let mut unchecked = None;
    if call.function == Function::Info && found > 1 {
        check_info_labels(&call.args[1], at)?;
        unchecked = Some(1);
    }
    let context = || format!("call to function \"{}\"", signature.name);
    for (index, arg) in call.args.iter_mut().enumerate() {
        if unchecked == Some(index) {
            continue;
        }
        check(arg)?;
        let found = arg.value_type();
        if let Some(wanted) = signature.arg_type(index).filter(|wanted| *wanted != found) {
            return type_fault(arg, format!("expected type {wanted} in {}, got {found}", context()));
        }
    }
    Ok(())
}

/// The second argument of `info` is no series but a choice of labels, written as a selector without a name.
fn check_info_labels(arg: &Expr, at: crate::ast::Span) -> Checked {
    let found = arg.value_type();
    if found != ValueType::Vector {
        let message =
            format!("expected type {} in call to function \"info\", got {found}", ValueType::Vector);
        return Err(Fault::new(ParseErrorKind::Type, at, message));
    }
    match &arg.kind {
        ExprKind::Selector(selector) if selector.name.is_some() => {
            type_fault(arg, "expected label selectors only, got vector selector instead".to_owned())
        }
        ExprKind::Selector(selector) => check_selector(selector, arg.span, true),
        _ => type_fault(arg, "expected label selectors only".to_owned()),
    }
}

fn check_binary(binary: &mut Binary, whole: crate::ast::Span) -> Checked {
    check(&mut binary.lhs)?;
    check(&mut binary.rhs)?;
    let (left, right) = (binary.lhs.value_type(), binary.rhs.value_type());
    let op = binary.op;
    let fault = |span, message: String| Err(Fault::new(ParseErrorKind::Type, span, message));
    if binary.return_bool && !op.is_comparison() {
        return fault(binary.op_span, "bool modifier can only be used on comparison operators".to_owned());
    }
    if op.is_comparison() && !binary.return_bool && left == ValueType::Scalar && right == ValueType::Scalar {
        return fault(binary.op_span, "comparisons between scalars must use BOOL modifier".to_owned());
    }
    let matching = binary.matching.get_or_insert_default();
    if op.is_set() && matching.cardinality == Cardinality::OneToOne {
        matching.cardinality = Cardinality::ManyToMany;
    }
    if let Some(label) = matching.labels.iter().find(|l| matching.on && matching.include.contains(l)) {
        let label = quoted(label.as_bytes());
        return fault(binary.op_span, format!("label {label} must not occur in ON and GROUP clause at once"));
    }
    for (side, value_type) in [(&binary.lhs, left), (&binary.rhs, right)] {
        if !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
            let message = "binary expression must contain only scalar and instant vector types";
            return fault(side.span, message.to_owned());
        }
    }
    let filled = matching.fill_left.is_some() || matching.fill_right.is_some();
    if left != ValueType::Vector || right != ValueType::Vector {
        if !matching.labels.is_empty() {
            return fault(whole, "vector matching only allowed between instant vectors".to_owned());
        }
        if filled {
            return fault(whole, "filling in missing series only allowed between instant vectors".to_owned());
        }
        binary.matching = None;
        if op.is_set() {
            let message = format!("set operator \"{}\" not allowed in binary scalar expression", op.as_str());
            return fault(whole, message);
        }
    } else if op.is_set() {
        if matching.cardinality != Cardinality::ManyToMany {
            return fault(whole, format!("no grouping allowed for \"{}\" operation", op.as_str()));
        }
        if filled {
            return fault(whole, "filling in missing series not allowed for set operators".to_owned());
        }
    }
    Ok(())
}

//! The type check: every operand and argument has the type its place wants. Runs once over a whole tree, in Prometheus'
//! order, and goes on behind a fault, so that all of them are found, each once.
//!
//! Recurses as deep as the tree is high, which the builder has bounded.

use crate::ast::{
    Aggregate, AggregateOp, Binary, Call, Cardinality, Expr, ExprKind, Span, ValueType, VectorMatching,
    VectorSelector,
};
use crate::error::{Fault, Faults, ParseErrorKind};
use crate::functions::{Function, Signature};
use crate::quote::quoted;

/// Checks `expr` and everything in it, settles how binary operations match, and says what type `expr` has.
pub(crate) fn check(expr: &mut Expr, faults: &mut Faults) -> ValueType {
    let whole = expr.span;
    match &mut expr.kind {
        ExprKind::Number(_) => ValueType::Scalar,
        ExprKind::String(_) => ValueType::String,
        ExprKind::Selector(selector) => {
            check_selector(selector, whole, false, faults);
            ValueType::Vector
        }
        ExprKind::Matrix(matrix) => {
            check_selector(&matrix.selector, matrix.selector_span, false, faults);
            ValueType::Matrix
        }
        ExprKind::Paren(inner) => check(inner, faults),
        ExprKind::Unary(unary) => {
            let found = check(&mut unary.expr, faults);
            if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                let message = format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got \"{found}\""
                );
                faults.push(Fault::new(ParseErrorKind::Type, whole, message));
            }
            found
        }
        ExprKind::Subquery(subquery) => {
            let found = check(&mut subquery.expr, faults);
            if found != ValueType::Vector {
                let message =
                    format!("subquery is only allowed on instant vector, got {} instead", found.short_name());
                let fault = Fault::new(ParseErrorKind::Type, whole, message);
                faults.push(if found == ValueType::Scalar {
                    fault.help("`vector(…)` makes an instant vector of a number")
                } else {
                    fault
                });
            }
            ValueType::Matrix
        }
        ExprKind::Aggregate(aggregate) => {
            check_aggregate(aggregate, faults);
            ValueType::Vector
        }
        ExprKind::Call(call) => {
            check_call(call, whole, faults);
            call.function.signature().returns
        }
        ExprKind::Binary(binary) => check_binary(binary, whole, faults),
    }
}

/// The fault of an expression whose type is not the one wanted in `context`, with what is mostly meant.
fn mismatch(expr: &Expr, wanted: ValueType, context: &str, found: ValueType) -> Box<Fault> {
    let message = format!("expected type {wanted} in {context}, got {found}");
    let fault = Fault::new(ParseErrorKind::Type, expr.span, message);
    match (wanted, found, &expr.kind) {
        (ValueType::Matrix, ValueType::Vector, ExprKind::Selector(selector)) => {
            let name = selector.name.as_deref().unwrap_or("{…}");
            fault.help(format!("a range in brackets makes it a range vector: `{name}[5m]`"))
        }
        (ValueType::Matrix, ValueType::Vector, _) => {
            fault.help("a subquery makes it a range vector: `(…)[5m:]`")
        }
        (ValueType::Vector, ValueType::Matrix, _) => fault.help(
            "a function over the range makes one value of each series: `rate(…[5m])`, `max_over_time(…[5m])`",
        ),
        (ValueType::Vector, ValueType::Scalar, _) => {
            fault.help("`vector(…)` makes an instant vector of a number")
        }
        (ValueType::String, ValueType::Vector, ExprKind::Selector(_)) => fault.help("text stands in quotes"),
        (ValueType::Scalar, ValueType::Vector, _) => {
            fault.help("`scalar(…)` makes a number of an instant vector with one series")
        }
        _ => fault,
    }
}

fn expect(expr: &mut Expr, wanted: ValueType, context: &str, faults: &mut Faults) {
    let found = check(expr, faults);
    if found != wanted {
        faults.push(mismatch(expr, wanted, context, found));
    }
}

fn check_selector(selector: &VectorSelector, at: Span, may_match_all: bool, faults: &mut Faults) {
    let mut semantic = |message: String| faults.push(Fault::new(ParseErrorKind::Semantic, at, message));
    if let Some(name) = &selector.name {
        for second in selector.matchers.iter().skip(1).filter(|m| m.name() == kymo_model::METRIC_NAME) {
            semantic(format!(
                "metric name must not be set twice: {} or {}",
                quoted(name.as_bytes()),
                quoted(second.value().as_bytes())
            ));
        }
        return;
    }
    if !may_match_all && selector.matchers.iter().all(|m| m.matches_empty()) {
        let message = "vector selector must contain at least one non-empty matcher";
        let help = "a metric name, or a matcher that asks for something, says which series: `{job=~\".+\"}`";
        faults.push(Fault::new(ParseErrorKind::Semantic, at, message).help(help));
    }
}

fn check_aggregate(aggregate: &mut Aggregate, faults: &mut Faults) {
    let context = "aggregation expression";
    let found = check(&mut aggregate.expr, faults);
    if found != ValueType::Vector {
        let mut fault = mismatch(&aggregate.expr, ValueType::Vector, context, found);
        if aggregate.param.is_some() && matches!(found, ValueType::Scalar | ValueType::String) {
            let name = aggregate.op.name();
            fault.help = Some(format!(
                "the parameter stands before what is aggregated: `{name}({}, …)`",
                aggregate.expr
            ));
        }
        faults.push(fault);
    }
    if let Some(param) = &mut aggregate.param {
        let is_string = aggregate.op == AggregateOp::CountValues;
        let wanted = if is_string { ValueType::String } else { ValueType::Scalar };
        expect(param, wanted, "aggregation parameter", faults);
    }
}

fn check_call(call: &mut Call, at: Span, faults: &mut Faults) {
    let signature = call.function.signature();
    if let Some(message) = wrong_count(signature, call.args.len()) {
        faults.push(Fault::new(ParseErrorKind::Type, at, message));
    }
    let selects_labels = call.function == Function::Info && call.args.len() > 1;
    if selects_labels {
        check_info_labels(&call.args[1], at, faults);
    }
    let exact =
        signature.args_max == Some(signature.args.len()) && signature.args_min == signature.args.len();
    for (index, arg) in call.args.iter_mut().enumerate() {
        let Some(wanted) = signature.arg_type(index).filter(|_| !exact || index < signature.args.len())
        else {
            break;
        };
        let found = match &arg.kind {
            ExprKind::Selector(selector) if selects_labels && index == 1 => {
                check_selector(selector, arg.span, true, faults);
                ValueType::Vector
            }
            _ => check(arg, faults),
        };
        if wanted != found {
            let context = format!("call to function \"{}\"", signature.name);
            faults.push(mismatch(arg, wanted, &context, found));
        }
    }
}

fn wrong_count(signature: &Signature, found: usize) -> Option<String> {
    let (min, max) = (signature.args_min, signature.args_max.unwrap_or(usize::MAX));
    let (how, wanted) = match found {
        _ if min == max && found != min => ("", min),
        _ if found < min => ("at least ", min),
        _ if found > max => ("at most ", max),
        _ => return None,
    };
    Some(format!("expected {how}{wanted} argument(s) in call to \"{}\", got {found}", signature.name))
}

/// The second argument of `info` is no series but a choice of labels, written as a selector without a name.
fn check_info_labels(arg: &Expr, at: Span, faults: &mut Faults) {
    let found = arg.value_type();
    if found != ValueType::Vector {
        let message =
            format!("expected type {} in call to function \"info\", got {found}", ValueType::Vector);
        faults.push(Fault::new(ParseErrorKind::Type, at, message));
    }
    let message = match &arg.kind {
        ExprKind::Selector(selector) if selector.name.is_none() => return,
        ExprKind::Selector(_) => "expected label selectors only, got vector selector instead",
        _ => "expected label selectors only",
    };
    faults.push(Fault::new(ParseErrorKind::Type, arg.span, message));
}

fn check_binary(binary: &mut Binary, whole: Span, faults: &mut Faults) -> ValueType {
    let left = check(&mut binary.lhs, faults);
    let right = check(&mut binary.rhs, faults);
    let both_scalar = left == ValueType::Scalar && right == ValueType::Scalar;
    let (op, op_span) = (binary.op, binary.op_span);
    let mut fault = |span, message: String| faults.push(Fault::new(ParseErrorKind::Type, span, message));
    if binary.return_bool && !op.is_comparison() {
        fault(op_span, "bool modifier can only be used on comparison operators".to_owned());
    }
    if op.is_comparison() && !binary.return_bool && both_scalar {
        let message = "comparisons between scalars must use BOOL modifier";
        let help = format!("`{} bool` gives 0 or 1", op.as_str());
        faults.push(Fault::new(ParseErrorKind::Type, op_span, message).help(help));
    }
    // Most operations are between numbers and vectors without a word on how to match.
    if both_scalar && binary.matching.as_ref().is_none_or(|m| *m == VectorMatching::default()) && !op.is_set()
    {
        binary.matching = None;
        return ValueType::Scalar;
    }
    check_matching(binary, (left, right), whole, faults);
    if both_scalar { ValueType::Scalar } else { ValueType::Vector }
}

fn check_matching(
    binary: &mut Binary,
    (left, right): (ValueType, ValueType),
    whole: Span,
    faults: &mut Faults,
) {
    let (op, op_span) = (binary.op, binary.op_span);
    let mut fault = |span, message: String| faults.push(Fault::new(ParseErrorKind::Type, span, message));
    let matching = binary.matching.get_or_insert_default();
    if op.is_set() && matching.cardinality == Cardinality::OneToOne {
        matching.cardinality = Cardinality::ManyToMany;
    }
    for label in matching.labels.iter().filter(|l| matching.on && matching.include.contains(l)) {
        let label = quoted(label.as_bytes());
        fault(op_span, format!("label {label} must not occur in ON and GROUP clause at once"));
    }
    for (side, value_type) in [(&binary.lhs, left), (&binary.rhs, right)] {
        if !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
            let message = "binary expression must contain only scalar and instant vector types";
            fault(side.span, message.to_owned());
        }
    }
    let filled = matching.fill_left.is_some() || matching.fill_right.is_some();
    if left != ValueType::Vector || right != ValueType::Vector {
        if !matching.labels.is_empty() {
            fault(whole, "vector matching only allowed between instant vectors".to_owned());
        }
        if filled {
            fault(whole, "filling in missing series only allowed between instant vectors".to_owned());
        }
        binary.matching = None;
        if op.is_set() && (left == ValueType::Scalar || right == ValueType::Scalar) {
            fault(whole, format!("set operator \"{}\" not allowed in binary scalar expression", op.as_str()));
        }
    } else if op.is_set() {
        if matching.cardinality != Cardinality::ManyToMany {
            fault(whole, format!("no grouping allowed for \"{}\" operation", op.as_str()));
            fault(whole, "set operations must always be many-to-many".to_owned());
        }
        if filled {
            fault(whole, "filling in missing series not allowed for set operators".to_owned());
        }
    }
}

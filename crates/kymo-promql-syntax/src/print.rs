//! The printer: canonical PromQL on one line, in the layout of Prometheus' own printer. What it prints parses to the same
//! tree, for every tree that came out of the parser.

use std::fmt::{self, Write};

use kymo_model::{MatchOp, Matcher, format_duration, format_float, is_legacy_label_name};

use crate::ast::{
    Aggregate, At, Binary, BinaryOp, Cardinality, DurationExpr, Edges, Expr, ExprKind, Grouping,
    MatrixSelector, Number, Subquery, TimeModifiers, VectorMatching, VectorSelector,
};
use crate::binding::Binding;
use crate::quote::push_quoted;

/// `text` as a string literal of PromQL.
///
/// ```
/// assert_eq!(kymo_promql_syntax::quote_string(b"a\n\xff"), r#""a\n\xff""#);
/// ```
pub fn quote_string(text: &[u8]) -> String {
    crate::quote::quoted(text)
}

/// Prints as Prometheus does: `sum by (job) (rate(x{a="b"}[5m] offset 1h))`.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        push_expr(&mut out, self);
        f.write_str(&out)
    }
}

pub(crate) fn push_expr(out: &mut String, expr: &Expr) {
    match &expr.kind {
        ExprKind::Number(number) => push_number(out, *number),
        ExprKind::String(bytes) => push_quoted(out, bytes),
        ExprKind::Selector(selector) => push_selector(out, selector),
        ExprKind::Matrix(matrix) => push_matrix(out, matrix),
        ExprKind::Subquery(subquery) => {
            push_operand(out, &subquery.expr, Place::Ranged);
            push_subquery_suffix(out, subquery);
        }
        ExprKind::Call(call) => {
            out.push_str(call.function.name());
            out.push('(');
            push_list(out, &call.args, push_expr);
            out.push(')');
        }
        ExprKind::Aggregate(aggregate) => {
            push_aggregate_head(out, aggregate);
            out.push('(');
            if let Some(param) = &aggregate.param {
                push_expr(out, param);
                out.push_str(", ");
            }
            push_expr(out, &aggregate.expr);
            out.push(')');
        }
        ExprKind::Binary(binary) => {
            push_operand(out, &binary.lhs, Place::Left(binary.op));
            out.push(' ');
            push_operator(out, binary);
            out.push(' ');
            push_operand(out, &binary.rhs, Place::Right(binary.op));
        }
        ExprKind::Unary(unary) => {
            out.push(if unary.negative { '-' } else { '+' });
            push_operand(out, &unary.expr, Place::Signed);
        }
        ExprKind::Paren(inner) => {
            out.push('(');
            push_expr(out, inner);
            out.push(')');
        }
    }
}

/// Where an operand stands: what is next to it could take it away from what it belongs to.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Left(BinaryOp),
    Right(BinaryOp),
    /// Behind a sign.
    Signed,
    /// Before the brackets of a subquery.
    Ranged,
}

impl Place {
    /// Would `expr` without parentheses be read as something else here? Never so for what the parser has put there.
    pub(crate) fn parts(self, expr: &Expr) -> bool {
        if matches!(self, Place::Left(op) if Binding::of(op) >= Binding::Sum && op != BinaryOp::Atan2)
            && ends_in_offset(expr)
        {
            return true;
        }
        let inner = match &expr.kind {
            ExprKind::Binary(binary) => Binding::of(binary.op),
            ExprKind::Unary(_) => Binding::Sign,
            // The sign of a number stands before what follows the number.
            ExprKind::Number(number) => {
                let signed = number.value.is_sign_negative() && !number.value.is_nan();
                return match self {
                    Place::Left(op) => signed && Binding::of(op) > Binding::Sign,
                    // Signs before a number become part of it.
                    Place::Signed => true,
                    Place::Right(_) | Place::Ranged => false,
                };
            }
            _ => return false,
        };
        match self {
            Place::Left(op) => {
                let outer = Binding::of(op);
                inner < outer || (inner == outer && outer == Binding::Power)
            }
            // `a ^ -b` is read as it is written, `a * -b` too.
            Place::Right(_) if inner == Binding::Sign => false,
            Place::Right(op) => {
                let outer = Binding::of(op);
                inner < outer || (inner == outer && outer != Binding::Power)
            }
            Place::Signed => inner < Binding::Sign,
            Place::Ranged => true,
        }
    }
}

/// Does `expr` end in `offset (…)`, which takes arithmetic behind it along?
fn ends_in_offset(mut expr: &Expr) -> bool {
    loop {
        match &expr.kind {
            ExprKind::Binary(binary) => expr = &binary.rhs,
            ExprKind::Unary(unary) => expr = &unary.expr,
            _ => break,
        }
    }
    expr.time_modifiers().and_then(|time| time.offset.as_ref()).is_some_and(begins_with_paren)
}

pub(crate) fn begins_with_paren(mut duration: &DurationExpr) -> bool {
    while let DurationExpr::Binary(_, left, _) = duration {
        duration = left;
    }
    matches!(duration, DurationExpr::Paren(_))
}

fn push_operand(out: &mut String, expr: &Expr, place: Place) {
    if place.parts(expr) {
        out.push('(');
        push_expr(out, expr);
        out.push(')');
        return;
    }
    match &expr.kind {
        // With its plus the rest of the power would belong to the sign.
        ExprKind::Number(number)
            if number.value == f64::INFINITY && matches!(place, Place::Left(BinaryOp::Pow)) =>
        {
            out.push_str("Inf");
        }
        _ => push_expr(out, expr),
    }
}

fn push_list<T>(out: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        push(out, item);
    }
}

pub(crate) fn push_number(out: &mut String, number: Number) {
    if number.is_duration {
        // Durations were read from whole milliseconds.
        out.push_str(&format_duration((number.value * 1000.0).round() as i64));
    } else {
        out.push_str(&format_float(number.value));
    }
}

pub(crate) fn push_selector(out: &mut String, selector: &VectorSelector) {
    push_series(out, selector);
    push_at(out, &selector.time);
    push_edges(out, selector.edges);
    push_offset(out, &selector.time);
}

/// Name and braces, matchers in Prometheus' order: sorted as text.
fn push_series(out: &mut String, selector: &VectorSelector) {
    let mut matchers: Vec<String> = Vec::with_capacity(selector.matchers.len());
    for matcher in selector.matchers.iter().skip(usize::from(selector.name.is_some())) {
        matchers.push(matcher_text(matcher));
    }
    if let Some(name) = &selector.name {
        out.push_str(name);
        if matchers.is_empty() {
            return;
        }
    }
    matchers.sort();
    out.push('{');
    for (index, matcher) in matchers.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(matcher);
    }
    out.push('}');
}

fn matcher_text(matcher: &Matcher) -> String {
    let mut out = String::new();
    push_label(&mut out, matcher.name());
    out.push_str(match matcher.op() {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    });
    push_quoted(&mut out, matcher.value().as_bytes());
    out
}

fn push_label(out: &mut String, name: &str) {
    if is_legacy_label_name(name) {
        out.push_str(name);
    } else {
        push_quoted(out, name.as_bytes());
    }
}

pub(crate) fn push_matrix(out: &mut String, matrix: &MatrixSelector) {
    push_series(out, &matrix.selector);
    out.push('[');
    push_duration(out, &matrix.range);
    out.push(']');
    push_edges(out, matrix.selector.edges);
    push_at(out, &matrix.selector.time);
    push_offset(out, &matrix.selector.time);
}

pub(crate) fn push_subquery_suffix(out: &mut String, subquery: &Subquery) {
    out.push('[');
    push_duration(out, &subquery.range);
    out.push(':');
    if let Some(step) = &subquery.step {
        push_duration(out, step);
    }
    out.push(']');
    push_at(out, &subquery.time);
    push_offset(out, &subquery.time);
}

fn push_at(out: &mut String, time: &TimeModifiers) {
    match time.at {
        None => {}
        Some(At::Start) => out.push_str(" @ start()"),
        Some(At::End) => out.push_str(" @ end()"),
        Some(At::Time(ms)) => {
            let sign = if ms < 0 { "-" } else { "" };
            let _ = write!(out, " @ {sign}{}.{:03}", ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
        }
    }
}

fn push_edges(out: &mut String, edges: Edges) {
    out.push_str(match edges {
        Edges::Inside => "",
        Edges::Anchored => " anchored",
        Edges::Smoothed => " smoothed",
    });
}

fn push_offset(out: &mut String, time: &TimeModifiers) {
    if let Some(offset) = &time.offset {
        out.push_str(" offset ");
        push_duration(out, offset);
    }
}

/// Prints as inside brackets: `5m`, `step() * 2`.
impl fmt::Display for DurationExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        push_duration(&mut out, self);
        f.write_str(&out)
    }
}

pub(crate) fn push_duration(out: &mut String, duration: &DurationExpr) {
    match duration {
        DurationExpr::Millis(ms) => out.push_str(&format_duration(*ms)),
        DurationExpr::Number(value) => out.push_str(&format_float(*value)),
        DurationExpr::Step => out.push_str("step()"),
        DurationExpr::Range => out.push_str("range()"),
        DurationExpr::Neg(inner) => {
            out.push('-');
            push_duration(out, inner);
        }
        DurationExpr::Binary(op, left, right) => {
            push_duration(out, left);
            out.push(' ');
            out.push_str(op.as_str());
            out.push(' ');
            push_duration(out, right);
        }
        DurationExpr::MinOf(left, right) | DurationExpr::MaxOf(left, right) => {
            out.push_str(if matches!(duration, DurationExpr::MinOf(..)) { "min_of(" } else { "max_of(" });
            push_duration(out, left);
            out.push_str(", ");
            push_duration(out, right);
            out.push(')');
        }
        DurationExpr::Paren(inner) => {
            out.push('(');
            push_duration(out, inner);
            out.push(')');
        }
    }
}

/// `sum by (job) `, or only `sum` without a grouping.
pub(crate) fn push_aggregate_head(out: &mut String, aggregate: &Aggregate) {
    out.push_str(aggregate.op.name());
    let (word, labels) = match &aggregate.grouping {
        Grouping::By(labels) if labels.is_empty() => return,
        Grouping::By(labels) => (" by (", labels),
        Grouping::Without(labels) => (" without (", labels),
    };
    out.push_str(word);
    push_list(out, labels, |out, label| push_label(out, label));
    out.push_str(") ");
}

/// The operator with everything up to its right side.
pub(crate) fn push_operator(out: &mut String, binary: &Binary) {
    out.push_str(binary.op.as_str());
    if binary.return_bool {
        out.push_str(" bool");
    }
    if let Some(matching) = &binary.matching {
        push_matching(out, matching);
    }
}

fn push_matching(out: &mut String, matching: &VectorMatching) {
    let group = match matching.cardinality {
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
        Cardinality::ManyToOne => Some(" group_left ("),
        Cardinality::OneToMany => Some(" group_right ("),
    };
    if !matching.labels.is_empty() || matching.on || group.is_some() {
        out.push_str(if matching.on { " on (" } else { " ignoring (" });
        push_list(out, &matching.labels, |out, label| push_label(out, label));
        out.push(')');
    }
    if let Some(group) = group {
        out.push_str(group);
        push_list(out, &matching.include, |out, label| push_label(out, label));
        out.push(')');
    }
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if same(left, right) => push_fill(out, "fill", left),
        (left, right) => {
            left.into_iter().for_each(|value| push_fill(out, "fill_left", value));
            right.into_iter().for_each(|value| push_fill(out, "fill_right", value));
        }
    }
}

fn push_fill(out: &mut String, word: &str, value: f64) {
    let _ = write!(out, " {word} ({})", format_float(value));
}

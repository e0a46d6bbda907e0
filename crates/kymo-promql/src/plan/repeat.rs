//! Common subexpressions: which aggregations a query has more than once, written alike. They are computed once and held.
//!
//! Only aggregations that leave one row per group: what is held of them is groups × steps, which the first use holds anyway,
//! while holding anything else would be series × steps. They count as alike when they differ in their place alone, also inside,
//! so that what is noted at a place in one can be noted at the same place in the others.

use std::collections::HashMap;

use kymo_promql_syntax::ast::{AggregateOp, Expr, ExprKind, Span};

/// Larger ones are not compared: whoever repeats them may compute them again.
const NODES_MAX: usize = 256;

/// Classes of like aggregations, by the address of the expression while the tree is borrowed.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<usize, usize>);

impl Repeats {
    pub(super) fn of(root: &Expr) -> Repeats {
        // Alike can only be what is equally long and begins with the same word.
        let mut groups: HashMap<(u32, &'static str), Vec<&Expr>> = HashMap::new();
        root.walk(|expr| {
            if let ExprKind::Aggregate(aggregate) = &expr.kind
                && leaves_one_row_per_group(aggregate.op)
            {
                let length = expr.span.end.saturating_sub(expr.span.start);
                groups.entry((length, aggregate.op.name())).or_default().push(expr);
            }
        });
        let mut classes: HashMap<String, Vec<usize>> = HashMap::new();
        for expr in groups.into_values().filter(|group| group.len() > 1).flatten() {
            if is_small(expr) {
                classes.entry(without_place(expr)).or_default().push(address(expr));
            }
        }
        let repeated = classes.into_values().filter(|alike| alike.len() > 1).enumerate();
        Repeats(repeated.flat_map(|(class, alike)| alike.into_iter().map(move |at| (at, class))).collect())
    }

    /// The class of an expression that is there more than once.
    pub(super) fn class(&self, expr: &Expr) -> Option<usize> {
        self.0.get(&address(expr)).copied()
    }
}

fn leaves_one_row_per_group(op: AggregateOp) -> bool {
    use AggregateOp::{Bottomk, CountValues, LimitRatio, Limitk, Topk};
    !matches!(op, Topk | Bottomk | Limitk | LimitRatio | CountValues)
}

fn is_small(expr: &Expr) -> bool {
    let mut open = vec![expr];
    let mut nodes = 0;
    while let Some(expr) = open.pop() {
        nodes += 1;
        if nodes > NODES_MAX {
            return false;
        }
        open.extend(expr.children());
    }
    true
}

/// All that the expression says, places counted from its own start.
fn without_place(expr: &Expr) -> String {
    let start = expr.span.start;
    let moved =
        |span: Span| Span { start: span.start.wrapping_sub(start), end: span.end.wrapping_sub(start) };
    let mut expr = expr.clone();
    expr.walk_mut(|expr| {
        expr.span = moved(expr.span);
        match &mut expr.kind {
            ExprKind::Binary(binary) => binary.op_span = moved(binary.op_span),
            ExprKind::Matrix(matrix) => matrix.selector_span = moved(matrix.selector_span),
            _ => {}
        }
    });
    format!("{expr:?}")
}

fn address(expr: &Expr) -> usize {
    std::ptr::from_ref(expr) as usize
}

//! Walks over a tree: the children of a node, every selector, rewriting in place, counting.

use crate::ast::{DurationExpr, Expr, ExprKind, Span, TimeModifiers, VectorSelector};

impl Expr {
    /// The expressions directly inside this one, in the order in which they are written.
    pub fn children(&self) -> impl Iterator<Item = &Expr> {
        let (first, second, rest): (Option<&Expr>, Option<&Expr>, &[Expr]) = match &self.kind {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Selector(_) | ExprKind::Matrix(_) => {
                (None, None, &[])
            }
            ExprKind::Subquery(subquery) => (Some(&subquery.expr), None, &[]),
            ExprKind::Call(call) => (None, None, &call.args),
            ExprKind::Aggregate(aggregate) => (aggregate.param.as_deref(), Some(&aggregate.expr), &[]),
            ExprKind::Binary(binary) => (Some(&binary.lhs), Some(&binary.rhs), &[]),
            ExprKind::Unary(unary) => (Some(&unary.expr), None, &[]),
            ExprKind::Paren(inner) => (Some(inner), None, &[]),
        };
        first.into_iter().chain(second).chain(rest)
    }

    /// The expressions directly inside this one, to be changed.
    pub fn children_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let (first, second, rest): (Option<&mut Expr>, Option<&mut Expr>, &mut [Expr]) = match &mut self.kind
        {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Selector(_) | ExprKind::Matrix(_) => {
                (None, None, &mut [])
            }
            ExprKind::Subquery(subquery) => (Some(&mut subquery.expr), None, &mut []),
            ExprKind::Call(call) => (None, None, &mut call.args),
            ExprKind::Aggregate(aggregate) => {
                (aggregate.param.as_deref_mut(), Some(&mut aggregate.expr), &mut [])
            }
            ExprKind::Binary(binary) => (Some(&mut binary.lhs), Some(&mut binary.rhs), &mut []),
            ExprKind::Unary(unary) => (Some(&mut unary.expr), None, &mut []),
            ExprKind::Paren(inner) => (Some(inner), None, &mut []),
        };
        first.into_iter().chain(second).chain(rest)
    }

    /// Calls `visit` with this expression and with every one inside it, parents first. A loop, not a recursion.
    ///
    /// ```
    /// use kymo_promql_syntax::{ast::ExprKind, parse};
    /// let mut calls = Vec::new();
    /// parse("abs(rate(x[5m])) + 1").unwrap().walk(|expr| {
    ///     if let ExprKind::Call(call) = &expr.kind {
    ///         calls.push(call.function.name());
    ///     }
    /// });
    /// assert_eq!(calls, ["abs", "rate"]);
    /// ```
    pub fn walk<'e>(&'e self, mut visit: impl FnMut(&'e Expr)) {
        let mut open = vec![self];
        while let Some(expr) = open.pop() {
            visit(expr);
            let first = open.len();
            open.extend(expr.children());
            open[first..].reverse();
        }
    }

    /// Calls `visit` with this expression and with every one inside it, parents first; what `visit` puts in its place is
    /// walked in turn. A loop, not a recursion.
    pub fn walk_mut(&mut self, mut visit: impl FnMut(&mut Expr)) {
        let mut open = vec![self];
        while let Some(expr) = open.pop() {
            visit(expr);
            let first = open.len();
            open.extend(expr.children_mut());
            open[first..].reverse();
        }
    }

    /// Gives this expression and every one inside it to `change`, children first. Each is given once, and what `change` puts
    /// in its place is not walked again, so that a rule may wrap what it has found. Recurses as deep as the tree is high.
    ///
    /// Printing sets parentheses where the new tree needs them. Whether it is still within bounds, and of the right types, says
    /// [`Parser::verify`](crate::Parser::verify).
    ///
    /// ```
    /// use kymo_promql_syntax::{Parser, ast::{Expr, ExprKind}, parse};
    /// let default = parse("vector(0)").unwrap();
    /// let mut expr = parse("errors / requests").unwrap();
    /// expr.rewrite(&mut |expr| {
    ///     if let ExprKind::Selector(_) = expr.kind {
    ///         let mut filled = parse("a or b").unwrap();
    ///         let ExprKind::Binary(or) = &mut filled.kind else { unreachable!() };
    ///         or.lhs = std::mem::replace(expr, default.clone());
    ///         or.rhs = default.clone();
    ///         *expr = filled;
    ///     }
    /// });
    /// assert_eq!(expr.to_string(), "(errors or vector(0)) / (requests or vector(0))");
    /// assert!(Parser::default().verify(&mut expr).is_ok());
    /// ```
    pub fn rewrite(&mut self, change: &mut impl FnMut(&mut Expr)) {
        self.children_mut().for_each(|child| child.rewrite(change));
        change(self);
    }

    /// Every series selector with its place, those of range selectors included.
    ///
    /// ```
    /// let query = "rate(a[5m]) / b";
    /// let expr = kymo_promql_syntax::parse(query).unwrap();
    /// let places: Vec<&str> = expr.selectors().iter().map(|(_, span)| span.slice(query)).collect();
    /// assert_eq!(places, ["a", "b"]);
    /// ```
    pub fn selectors(&self) -> Vec<(&VectorSelector, Span)> {
        let mut found = Vec::new();
        self.walk(|expr| match &expr.kind {
            ExprKind::Selector(selector) => found.push((selector, expr.span)),
            ExprKind::Matrix(matrix) => found.push((&matrix.selector, matrix.selector_span)),
            _ => {}
        });
        found
    }

    /// `offset` and `@` of this expression, if it is one that can have them.
    pub fn time_modifiers(&self) -> Option<&TimeModifiers> {
        match &self.kind {
            ExprKind::Selector(selector) => Some(&selector.time),
            ExprKind::Matrix(matrix) => Some(&matrix.selector.time),
            ExprKind::Subquery(subquery) => Some(&subquery.time),
            _ => None,
        }
    }

    /// `offset` and `@` of this expression, to be changed.
    pub fn time_modifiers_mut(&mut self) -> Option<&mut TimeModifiers> {
        match &mut self.kind {
            ExprKind::Selector(selector) => Some(&mut selector.time),
            ExprKind::Matrix(matrix) => Some(&mut matrix.selector.time),
            ExprKind::Subquery(subquery) => Some(&mut subquery.time),
            _ => None,
        }
    }

    /// How many expressions, matchers and parts of durations this tree has, and how high it is. Stops when one of them is
    /// above its bound. A loop, not a recursion.
    pub(crate) fn size(&self, nodes_max: usize, height_max: usize) -> (usize, usize) {
        let (mut nodes, mut height) = (0, 0);
        let mut open = vec![(self, 1)];
        while let Some((expr, level)) = open.pop() {
            let of_time = |time: &TimeModifiers| time.offset.as_ref().map_or(0, DurationExpr::parts);
            nodes += 1 + match &expr.kind {
                ExprKind::Selector(selector) => selector.matchers.len() + of_time(&selector.time),
                ExprKind::Matrix(matrix) => {
                    let selector = &matrix.selector;
                    selector.matchers.len() + of_time(&selector.time) + matrix.range.parts()
                }
                ExprKind::Subquery(subquery) => {
                    let step = subquery.step.as_ref().map_or(0, DurationExpr::parts);
                    subquery.range.parts() + step + of_time(&subquery.time)
                }
                _ => 0,
            };
            height = height.max(level);
            if nodes > nodes_max || height > height_max {
                break;
            }
            open.extend(expr.children().map(|child| (child, level + 1)));
        }
        (nodes, height)
    }
}

impl DurationExpr {
    /// How many parts of arithmetic; none where it is known already.
    fn parts(&self) -> usize {
        let mut parts = 0;
        let mut open = vec![self];
        while let Some(duration) = open.pop() {
            match duration {
                DurationExpr::Millis(_)
                | DurationExpr::Number(_)
                | DurationExpr::Step
                | DurationExpr::Range => {}
                DurationExpr::Neg(inner) | DurationExpr::Paren(inner) => {
                    parts += 1;
                    open.push(inner);
                }
                DurationExpr::Binary(_, left, right)
                | DurationExpr::MinOf(left, right)
                | DurationExpr::MaxOf(left, right) => {
                    parts += 1;
                    open.extend([&**left, &**right]);
                }
            }
        }
        parts
    }
}

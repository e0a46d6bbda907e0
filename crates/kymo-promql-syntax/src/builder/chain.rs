//! Chains of operands and operators: which operator binds tighter, kept with two stacks. The stacks hold all open chains,
//! the innermost last; between two operands of a chain stands one operator.

use crate::ast::{Binary, BinaryOp, Cardinality, ExprKind, Span, Unary, VectorMatching};
use crate::binding::Binding;
use crate::builder::{Builder, Built, span};
use crate::error::ParseErrorKind;

/// `bool`, how to match, what to fill in.
#[derive(Debug, Default)]
pub(super) struct Modifier {
    return_bool: bool,
    matching: Option<Box<VectorMatching>>,
}

/// What waits for its right operand.
#[derive(Debug)]
pub(super) enum Waiting {
    /// The start of an expression: nothing before it is taken along.
    Open,
    Sign {
        at: u32,
        negative: bool,
    },
    Operator {
        op: BinaryOp,
        span: Span,
        modifier: Modifier,
    },
}

impl Builder<'_> {
    /// A new chain begins.
    pub(crate) fn open(&mut self) {
        self.waiting.push(Waiting::Open);
    }

    pub(crate) fn sign(&mut self, at: u32, negative: bool) {
        self.waiting.push(Waiting::Sign { at, negative });
    }

    /// An operator behind an operand: what binds tighter to the left of it is put together first.
    pub(crate) fn operator(&mut self, op: BinaryOp, l: u32, r: u32) -> Built<()> {
        let binding = Binding::of(op);
        loop {
            let before = match self.waiting.last() {
                Some(Waiting::Operator { op, .. }) => Binding::of(*op),
                Some(Waiting::Sign { .. }) => Binding::Sign,
                Some(Waiting::Open) | None => break,
            };
            if before < binding || (before == binding && binding == Binding::Power) {
                break;
            }
            self.join()?;
        }
        self.waiting.push(Waiting::Operator { op, span: span(l, r), modifier: Modifier::default() });
        Ok(())
    }

    // What stands behind the last operator.

    fn modifier(&mut self) -> &mut Modifier {
        match self.waiting.last_mut() {
            Some(Waiting::Operator { modifier, .. }) => modifier,
            _ => unreachable!("BUG: modifiers are read behind an operator"),
        }
    }

    pub(crate) fn return_bool(&mut self) {
        self.modifier().return_bool = true;
    }

    pub(crate) fn pair(&mut self, on: bool, labels: u32) {
        let labels = self.take_labels(labels);
        let matching = self.modifier().matching.get_or_insert_default();
        matching.on = on;
        matching.labels = labels;
    }

    pub(crate) fn group(&mut self, cardinality: Cardinality, include: u32) {
        let include = self.take_labels(include);
        let matching = self.modifier().matching.get_or_insert_default();
        matching.cardinality = cardinality;
        matching.include = include;
    }

    pub(crate) fn fill(&mut self, left: Option<f64>, right: Option<f64>) {
        let matching = self.modifier().matching.get_or_insert_default();
        matching.fill_left = left.or(matching.fill_left);
        matching.fill_right = right.or(matching.fill_right);
    }

    /// The chain ends: all of it becomes one expression.
    pub(crate) fn close(&mut self) -> Built<()> {
        while !matches!(self.waiting.last(), Some(Waiting::Open) | None) {
            self.join()?;
        }
        self.waiting.pop();
        Ok(())
    }

    /// Puts the last operator and its operands together.
    fn join(&mut self) -> Built<()> {
        match self.waiting.pop() {
            Some(Waiting::Sign { at, negative }) => self.signed(at, negative),
            Some(Waiting::Operator { op, span, modifier }) => self.binary(op, span, modifier),
            Some(Waiting::Open) | None => Ok(()),
        }
    }

    fn binary(&mut self, op: BinaryOp, op_span: Span, m: Modifier) -> Built<()> {
        let rhs = self.pop();
        let lhs = self.pop();
        let at = span(lhs.expr.span.start, rhs.expr.span.end);
        let fills = m.matching.as_ref().is_some_and(|m| m.fill_left.is_some() || m.fill_right.is_some());
        if fills && !self.options.fill_modifiers {
            let message = "binop fill modifiers are experimental and not enabled";
            self.note(ParseErrorKind::Disabled, at, message);
        }
        let height = lhs.height.max(rhs.height) + 1;
        let depth = lhs.depth.max(rhs.depth);
        let binary = Binary {
            op,
            return_bool: m.return_bool,
            lhs: lhs.expr,
            rhs: rhs.expr,
            matching: Some(m.matching.map_or_else(VectorMatching::default, |m| *m)),
            op_span,
        };
        self.parent(at, height, depth, ExprKind::Binary(Box::new(binary)))
    }

    /// A sign in front of a literal belongs to the literal.
    fn signed(&mut self, l: u32, negative: bool) -> Built<()> {
        let expr = self.top();
        if let ExprKind::Number(number) = &mut expr.kind {
            if negative {
                number.value = -number.value;
            }
            expr.span.start = l;
            return Ok(());
        }
        let operand = self.pop();
        let at = span(l, operand.expr.span.end);
        let kind = ExprKind::Unary(Unary { negative, expr: Box::new(operand.expr) });
        self.parent(at, operand.height + 1, operand.depth + 1, kind)
    }
}

//! Durations: literals and chains of arithmetic over them, inside brackets and behind `offset`. Kept on two stacks like
//! chains of expressions.

use crate::ast::{DurationExpr, DurationOp};
use crate::binding::Binding;
use crate::builder::{Builder, Built, span};

/// A duration under construction with its height.
#[derive(Debug)]
pub(super) struct Duration {
    expr: DurationExpr,
    height: u32,
}

/// What waits for its right operand.
#[derive(Clone, Copy, Debug)]
pub(super) enum WaitingDuration {
    /// The start of a chain.
    Open,
    Sign,
    /// An operator and its place.
    Operator(DurationOp, u32),
}

/// Nanoseconds in 63 bits: Prometheus' longest duration, in seconds.
const DURATION_SECONDS_MAX: f64 = (1u64 << 63) as f64 / 1e9;

const fn binding(op: DurationOp) -> Binding {
    match op {
        DurationOp::Add | DurationOp::Sub => Binding::Sum,
        DurationOp::Mul | DurationOp::Div | DurationOp::Mod => Binding::Product,
        DurationOp::Pow => Binding::Power,
    }
}

impl Builder<'_> {
    // What the rules of one atom give.

    pub(crate) fn duration_leaf(&mut self, expr: DurationExpr) {
        self.durations.push(Duration { expr, height: 1 });
    }

    pub(crate) fn duration_literal(&mut self, l: u32, r: u32) -> Built<()> {
        let ms = self.millis_at(l, r);
        self.duration_leaf(DurationExpr::Millis(ms));
        Ok(())
    }

    pub(crate) fn duration_number(&mut self, l: u32, r: u32) -> Built<()> {
        let mut value = self.number_at(l, r)?;
        if value.is_nan() || value.abs() > DURATION_SECONDS_MAX {
            self.semantic(span(l, r), "duration out of range");
            value = 1.0;
        }
        self.duration_leaf(DurationExpr::Number(value));
        Ok(())
    }

    pub(crate) fn duration_pick(&mut self, max: bool) -> Built<()> {
        let (y, x) = (self.pop_duration(), self.pop_duration());
        let height = x.height.max(y.height) + 1;
        let (x, y) = (Box::new(x.expr), Box::new(y.expr));
        let expr = if max { DurationExpr::MaxOf(x, y) } else { DurationExpr::MinOf(x, y) };
        self.duration_parent(height, expr)
    }

    pub(crate) fn duration_paren(&mut self) -> Built<()> {
        let inner = self.pop_duration();
        // One pair of parentheses says as much as two, though it nests as deep.
        let expr = match inner.expr {
            paren @ DurationExpr::Paren(_) => paren,
            expr => DurationExpr::Paren(Box::new(expr)),
        };
        self.duration_parent(inner.height + 1, expr)
    }

    fn duration_parent(&mut self, height: u32, expr: DurationExpr) -> Built<()> {
        // Durations know no places; the limits name the whole query.
        let at = span(0, self.text.len() as u32);
        self.count(at)?;
        self.check_height(at, height, height)?;
        self.durations.push(Duration { expr, height });
        Ok(())
    }

    fn pop_duration(&mut self) -> Duration {
        self.durations.pop().expect("BUG: every rule of a duration leaves one")
    }

    // Chains.

    pub(crate) fn duration_open(&mut self) {
        self.waiting_durations.push(WaitingDuration::Open);
    }

    /// A chain that starts with so many negative signs.
    pub(crate) fn duration_signs(&mut self, negative: usize) {
        self.duration_open();
        (0..negative).for_each(|_| self.duration_sign());
    }

    pub(crate) fn duration_sign(&mut self) {
        self.waiting_durations.push(WaitingDuration::Sign);
    }

    pub(crate) fn duration_operator(&mut self, op: DurationOp, at: u32) -> Built<()> {
        let binds = binding(op);
        loop {
            let before = match self.waiting_durations.last() {
                Some(WaitingDuration::Operator(op, _)) => binding(*op),
                Some(WaitingDuration::Sign) => Binding::Sign,
                Some(WaitingDuration::Open) | None => break,
            };
            if before < binds || (before == binds && binds == Binding::Power) {
                break;
            }
            self.join_durations()?;
        }
        self.waiting_durations.push(WaitingDuration::Operator(op, at));
        Ok(())
    }

    pub(crate) fn duration_close(&mut self) -> Built<()> {
        while !matches!(self.waiting_durations.last(), Some(WaitingDuration::Open) | None) {
            self.join_durations()?;
        }
        self.waiting_durations.pop();
        Ok(())
    }

    fn join_durations(&mut self) -> Built<()> {
        match self.waiting_durations.pop() {
            Some(WaitingDuration::Sign) => self.negative_duration(),
            Some(WaitingDuration::Operator(op, at)) => self.arithmetic(op, at),
            Some(WaitingDuration::Open) | None => Ok(()),
        }
    }

    /// A sign in front of a literal belongs to the literal.
    pub(crate) fn negative_duration(&mut self) -> Built<()> {
        let inner = self.pop_duration();
        match inner.expr {
            DurationExpr::Millis(ms) => self.duration_leaf(DurationExpr::Millis(-ms)),
            DurationExpr::Number(value) => self.duration_leaf(DurationExpr::Number(-value)),
            expr => self.duration_parent(inner.height + 1, DurationExpr::Neg(Box::new(expr)))?,
        }
        Ok(())
    }

    fn arithmetic(&mut self, op: DurationOp, at: u32) -> Built<()> {
        let (right, left) = (self.pop_duration(), self.pop_duration());
        let zero = matches!(right.expr, DurationExpr::Millis(0)) || right.expr == DurationExpr::Number(0.0);
        match op {
            DurationOp::Div if zero => self.semantic(span(at, at + 1), "division by zero"),
            DurationOp::Mod if zero => self.semantic(span(at, at + 1), "modulo by zero"),
            _ => {}
        }
        let height = left.height.max(right.height) + 1;
        self.duration_parent(height, DurationExpr::Binary(op, Box::new(left.expr), Box::new(right.expr)))
    }

    // What the whole gives.

    /// The duration inside brackets is positive, as far as that is known already.
    pub(crate) fn range(&mut self, l: u32, r: u32) -> Built<()> {
        let duration = self.pop_millis();
        if matches!(duration, DurationExpr::Millis(ms) if ms <= 0) {
            self.semantic(span(l, r), "duration must be greater than 0");
        }
        self.duration_leaf(duration);
        Ok(())
    }

    /// The last duration; a bare number is one of seconds.
    pub(super) fn pop_millis(&mut self) -> DurationExpr {
        seconds_to_millis(self.pop_duration().expr)
    }
}

/// A bare number, where a duration is wanted, is one of seconds; below the millisecond it is cut off.
fn seconds_to_millis(duration: DurationExpr) -> DurationExpr {
    match duration {
        DurationExpr::Number(seconds) => DurationExpr::Millis(((seconds * 1e9).round() / 1e6) as i64),
        other => other,
    }
}

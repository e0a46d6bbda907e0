//! Durations: literals and arithmetic over them, inside brackets and behind `offset`.

use crate::ast::{DurationExpr, DurationOp};
use crate::builder::{Builder, Built, refuse, semantic, span};
use crate::error::ParseErrorKind;

/// A duration under construction with its height.
#[derive(Debug)]
pub(crate) struct Duration {
    expr: DurationExpr,
    height: u32,
}

/// Nanoseconds in 63 bits: Prometheus' longest duration, in seconds.
const DURATION_SECONDS_MAX: f64 = (1u64 << 63) as f64 / 1e9;

impl Builder<'_> {
    /// The duration inside brackets: positive, as far as that is known already.
    pub(crate) fn range(&mut self, l: u32, duration: Duration, r: u32) -> Built<DurationExpr> {
        let duration = seconds_to_millis(duration.expr);
        match duration {
            DurationExpr::Millis(ms) if ms <= 0 => {
                refuse(ParseErrorKind::Semantic, span(l, r), "duration must be greater than 0")
            }
            duration => Ok(duration),
        }
    }

    pub(crate) fn offset_value(&self, duration: Duration) -> DurationExpr {
        seconds_to_millis(duration.expr)
    }

    pub(crate) fn duration_number(&self, l: u32, value: f64, r: u32) -> Built<Duration> {
        if value.is_nan() || value.abs() > DURATION_SECONDS_MAX {
            return refuse(ParseErrorKind::Semantic, span(l, r), "duration out of range");
        }
        Ok(self.duration_leaf(DurationExpr::Number(value)))
    }

    pub(crate) fn duration_literal(&self, ms: i64) -> Duration {
        self.duration_leaf(DurationExpr::Millis(ms))
    }

    pub(crate) fn duration_leaf(&self, expr: DurationExpr) -> Duration {
        Duration { expr, height: 1 }
    }

    fn duration_parent(&mut self, height: u32, expr: DurationExpr) -> Built<Duration> {
        // Durations know no places; the limits name the whole query.
        let at = span(0, self.text.len() as u32);
        self.count(at)?;
        self.check_height(at, height, height)?;
        Ok(Duration { expr, height })
    }

    pub(crate) fn negative(&mut self, duration: Duration) -> Built<Duration> {
        match duration.expr {
            DurationExpr::Millis(ms) => Ok(self.duration_leaf(DurationExpr::Millis(-ms))),
            DurationExpr::Number(value) => Ok(self.duration_leaf(DurationExpr::Number(-value))),
            expr => self.duration_parent(duration.height + 1, DurationExpr::Neg(Box::new(expr))),
        }
    }

    pub(crate) fn arithmetic(
        &mut self,
        op: DurationOp,
        l: Duration,
        at: u32,
        r: Duration,
    ) -> Built<Duration> {
        let zero = matches!(r.expr, DurationExpr::Millis(0)) || r.expr == DurationExpr::Number(0.0);
        match op {
            DurationOp::Div if zero => return semantic(span(at, at + 1), "division by zero"),
            DurationOp::Mod if zero => return semantic(span(at, at + 1), "modulo by zero"),
            _ => {}
        }
        let height = l.height.max(r.height) + 1;
        self.duration_parent(height, DurationExpr::Binary(op, Box::new(l.expr), Box::new(r.expr)))
    }

    pub(crate) fn duration_pick(&mut self, max: bool, x: Duration, y: Duration) -> Built<Duration> {
        let height = x.height.max(y.height) + 1;
        let (x, y) = (Box::new(x.expr), Box::new(y.expr));
        let expr = if max { DurationExpr::MaxOf(x, y) } else { DurationExpr::MinOf(x, y) };
        self.duration_parent(height, expr)
    }

    pub(crate) fn duration_paren(&mut self, inner: Duration) -> Built<Duration> {
        self.duration_parent(inner.height + 1, DurationExpr::Paren(Box::new(inner.expr)))
    }
}

/// A bare number, where a duration is wanted, is one of seconds; below the millisecond it is cut off.
fn seconds_to_millis(duration: DurationExpr) -> DurationExpr {
    match duration {
        DurationExpr::Number(seconds) => DurationExpr::Millis(((seconds * 1e9).round() / 1e6) as i64),
        other => other,
    }
}

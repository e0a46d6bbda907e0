//! Durations of a query: literal, or arithmetic over `step()` and `range()`, which only the query's times decide.

use kymo_promql_syntax::ast::{DurationExpr, DurationOp, Span};

use super::Times;
use crate::{QueryError, QueryErrorKind};

/// Milliseconds of a duration that may be negative, as in `offset`.
pub(crate) fn millis(duration: &DurationExpr, times: &Times, span: Span) -> Result<i64, QueryError> {
    if let DurationExpr::Millis(ms) = duration {
        return Ok(*ms);
    }
    to_millis(finite_seconds(duration, times, span)?, span)
}

/// Milliseconds of a duration that must be positive: ranges and steps.
pub(crate) fn positive_millis(duration: &DurationExpr, times: &Times, span: Span) -> Result<i64, QueryError> {
    let seconds = match duration {
        DurationExpr::Millis(ms) if *ms > 0 => return Ok(*ms),
        duration => finite_seconds(duration, times, span)?,
    };
    if seconds <= 0.0 {
        return Err(invalid("duration must be greater than 0", span));
    }
    to_millis(seconds, span)
}

fn finite_seconds(duration: &DurationExpr, times: &Times, span: Span) -> Result<f64, QueryError> {
    match seconds(duration, times) {
        Ok(seconds) if seconds.is_finite() => Ok(seconds),
        Ok(_) => Err(invalid("duration is NaN or infinite", span)),
        Err(text) => Err(invalid(text, span)),
    }
}

fn invalid(message: &str, span: Span) -> QueryError {
    QueryError::new(QueryErrorKind::Invalid, message).at(span)
}

/// Upstream keeps durations as 64-bit nanoseconds.
fn to_millis(seconds: f64, span: Span) -> Result<i64, QueryError> {
    if seconds.abs() > i64::MAX as f64 / 1e9 {
        return Err(invalid("duration is out of range", span));
    }
    Ok((seconds * 1000.0) as i64)
}

fn seconds(duration: &DurationExpr, times: &Times) -> Result<f64, &'static str> {
    Ok(match duration {
        DurationExpr::Millis(ms) => *ms as f64 / 1000.0,
        DurationExpr::Number(number) => *number,
        DurationExpr::Step => times.step_ms as f64 / 1000.0,
        DurationExpr::Range => times.end.saturating_sub(times.start) as f64 / 1000.0,
        DurationExpr::Neg(inner) => -seconds(inner, times)?,
        DurationExpr::Paren(inner) => seconds(inner, times)?,
        DurationExpr::MinOf(a, b) => seconds(a, times)?.min(seconds(b, times)?),
        DurationExpr::MaxOf(a, b) => seconds(a, times)?.max(seconds(b, times)?),
        DurationExpr::Binary(op, a, b) => {
            let (a, b) = (seconds(a, times)?, seconds(b, times)?);
            match op {
                DurationOp::Add => a + b,
                DurationOp::Sub => a - b,
                DurationOp::Mul => a * b,
                DurationOp::Div if b == 0.0 => return Err("division by zero"),
                DurationOp::Div => a / b,
                DurationOp::Mod if b == 0.0 => return Err("modulo by zero"),
                DurationOp::Mod => a % b,
                DurationOp::Pow => a.powf(b),
            }
        }
    })
}

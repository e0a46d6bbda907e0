//! Durations of a query: literal, or arithmetic over `step()` and `range()`, which only the query's times decide.

use kymo_promql_syntax::ast::{DurationExpr, DurationOp, Span};

use super::Times;
use crate::QueryError;

/// Milliseconds of a duration that may be negative, as in `offset`.
pub(crate) fn millis(duration: &DurationExpr, times: &Times, span: Span) -> Result<i64, QueryError> {
    if let DurationExpr::Millis(ms) = duration {
        return Ok(*ms);
    }
    let ms = seconds(duration, times).map_err(|text| QueryError::execution(text).at(span))? * 1000.0;
    // Upstream keeps durations as 64-bit nanoseconds.
    if ms.is_nan() || ms.abs() >= i64::MAX as f64 / 1e6 {
        return Err(QueryError::execution("duration out of range").at(span));
    }
    Ok(ms as i64)
}

/// Milliseconds of a duration that must be positive: ranges and steps.
pub(crate) fn positive_millis(duration: &DurationExpr, times: &Times, span: Span) -> Result<i64, QueryError> {
    match millis(duration, times, span)? {
        ms if ms > 0 => Ok(ms),
        _ => Err(QueryError::execution("duration must be greater than 0").at(span)),
    }
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

//! `double_exponential_smoothing`: level and trend, each a weighted average of old and new.

use kymo_model::format_float_g;

use super::Call;
use crate::QueryError;
use crate::row::Row;
use crate::vector::Pulse;

pub(super) fn smooth(call: &Call<'_>, pulse: &mut Pulse, out: &mut Row) -> Result<(), QueryError> {
    let values = call.samples.values;
    for (step, window) in call.each() {
        let (level_weight, trend_weight) = weights(call, step)?;
        if window.len() < 2 {
            continue;
        }
        pulse.tick(window.len())?;
        let window = &values[window.indices()];
        let (mut before, mut level, mut trend) = (0.0, window[0], window[1] - window[0]);
        for (at, value) in window.iter().enumerate().skip(1) {
            let observed = level_weight * value;
            if at > 1 {
                trend = trend_weight * (level - before) + (1.0 - trend_weight) * trend;
            }
            let expected = (1.0 - level_weight) * (level + trend);
            (before, level) = (level, observed + expected);
        }
        out.set(step, level);
    }
    Ok(())
}

/// The parameters at a step, if they are weights.
pub(crate) fn weights(call: &Call<'_>, step: usize) -> Result<(f64, f64), QueryError> {
    let (level_weight, trend_weight) = (call.params[0].at(step), call.params[1].at(step));
    for (name, weight, short) in [("smoothing", level_weight, "sf"), ("trend", trend_weight, "tf")] {
        if weight <= 0.0 || weight >= 1.0 {
            return Err(QueryError::execution(format!(
                "invalid {name} factor. Expected: 0 < {short} < 1, got: {}",
                if weight.is_finite() { format!("{weight:.6}") } else { format_float_g(weight) }
            )));
        }
    }
    Ok((level_weight, trend_weight))
}

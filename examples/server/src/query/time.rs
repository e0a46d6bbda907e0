//! Points in time and steps, as promtool takes them on its command line.

use std::time::{SystemTime, UNIX_EPOCH};

use kymo_model::parse_duration;

/// Why a flag's value is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum TimeError {
    /// Not a point in time.
    #[error("cannot parse {0:?} to a valid timestamp, expected RFC 3339 or seconds since 1970")]
    Timestamp(String),
    /// Not a duration above zero.
    #[error("expected a duration above zero such as 30s or 1h30m, found {0:?}")]
    Step(String),
}

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Whole milliseconds, so that steps fall on times that can be stored.
    since.as_millis() as f64 / 1000.0
}

/// Seconds since 1970, from such a number or from RFC 3339.
pub(super) fn parse_time(text: &str) -> Result<f64, TimeError> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        return Ok(seconds);
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(time.as_millisecond() as f64 / 1000.0),
        Err(_) => Err(TimeError::Timestamp(text.to_owned())),
    }
}

/// Units of Go's durations, longest name first where one begins another.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Seconds: a number, a duration of Prometheus' (`1d12h`) or one of Go's (`1.5h`).
pub(super) fn parse_step(text: &str) -> Result<f64, TimeError> {
    let seconds = match (text.parse::<f64>(), parse_duration(text)) {
        (Ok(seconds), _) => Some(seconds),
        (_, Ok(ms)) => Some(ms as f64 / 1000.0),
        _ => go_duration(text),
    };
    match seconds {
        Some(seconds) if seconds.is_finite() && seconds > 0.0 => Ok(seconds),
        _ => Err(TimeError::Step(text.to_owned())),
    }
}

fn go_duration(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, behind) = rest.split_at(digits);
        let (unit, factor) = UNITS.into_iter().find(|(unit, _)| behind.starts_with(unit))?;
        seconds += number.parse::<f64>().ok()? * factor;
        rest = &behind[unit.len()..];
    }
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time() {
        let check = |text: &str, expected: Option<f64>| assert_eq!(parse_time(text).ok(), expected, "{text}");
        check("0", Some(0.0));
        check("1795224577.419", Some(1_795_224_577.419));
        check("-1.5", Some(-1.5));
        check("1970-01-01T00:00:01.5Z", Some(1.5));
        check("1970-01-01T01:00:00+01:00", Some(0.0));
        check("x", None);
        check("NaN", None);
        check("1970-01-01", None);
    }

    #[test]
    fn steps() {
        let check = |text: &str, expected: Option<f64>| assert_eq!(parse_step(text).ok(), expected, "{text}");
        check("15", Some(15.0));
        check("15s", Some(15.0));
        check("1d", Some(86_400.0));
        check("1h30m", Some(5400.0));
        check("1.5s", Some(1.5));
        check("1h0.5m", Some(3630.0));
        check("500ms", Some(0.5));
        for wrong in ["", "0", "-1s", "1x", "s", "1.2.3s", "inf", "NaN"] {
            check(wrong, None);
        }
    }
}

//! Durations as Prometheus writes them: `1h30m`, `15s`, `250ms`.
//!
//! Source: Prometheus `common/model`, `ParseDuration`: units y w d h m s ms, each at most once, in this order; a bare `0`
//! is allowed; a year is 365 days.

/// A duration that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("empty duration string")]
    Empty,
    /// Not of the form `1h30m`.
    #[error(
        "not a valid duration string: {0:?}, expected a number and a unit of y, w, d, h, m, s, ms in this order"
    )]
    Invalid(String),
    /// More than 2^63 nanoseconds (about 292 years), which Prometheus refuses too.
    #[error("duration out of range: {0:?}")]
    Overflow(String),
}

const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Milliseconds of a duration string.
///
/// ```
/// assert_eq!(kymo_model::parse_duration("1h30m"), Ok(5_400_000));
/// assert_eq!(kymo_model::parse_duration("250ms"), Ok(250));
/// assert!(kymo_model::parse_duration("30m1h").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<i64, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(0);
    }
    let invalid = || DurationError::Invalid(text.to_owned());
    let mut rest = text;
    let mut next_unit = 0;
    let mut total_ms: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let at = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(invalid)?;
        if digits == 0 || at < next_unit {
            return Err(invalid());
        }
        next_unit = at + 1;
        total_ms = number
            .parse::<i64>()
            .ok()
            .and_then(|n| n.checked_mul(UNITS[at].1))
            .and_then(|ms| total_ms.checked_add(ms))
            .filter(|ms| *ms <= i64::MAX / 1_000_000)
            .ok_or_else(|| DurationError::Overflow(text.to_owned()))?;
        rest = tail;
    }
    Ok(total_ms)
}

/// The shortest usual way to write a duration: `90m` as `1h30m`, 7 days as `1w` only when exact, as Prometheus prints it.
///
/// ```
/// assert_eq!(kymo_model::format_duration(5_400_000), "1h30m");
/// assert_eq!(kymo_model::format_duration(8 * 86_400_000), "8d");
/// assert_eq!(kymo_model::format_duration(0), "0s");
/// ```
pub fn format_duration(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    if ms < 0 {
        out.push('-');
    }
    let mut rest = ms.unsigned_abs();
    for (unit, unit_ms) in UNITS {
        let unit_ms = unit_ms as u64;
        // Years and weeks only when they stand alone.
        let alone = matches!(unit, "y" | "w");
        if rest == 0 || (alone && !rest.is_multiple_of(unit_ms)) || rest < unit_ms {
            continue;
        }
        out.push_str(&format!("{}{unit}", rest / unit_ms));
        rest %= unit_ms;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_refuses() {
        for (text, ms) in [("0", 0), ("1y2w3d4h5m6s7ms", 33_019_506_007_i64), ("90m", 5_400_000), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(ms), "{text}");
        }
        assert_eq!(parse_duration("292y"), Ok(9_208_512_000_000));
        assert!(matches!(parse_duration("293y"), Err(DurationError::Overflow(_))));
        assert!(matches!(parse_duration("99999999999999999999s"), Err(DurationError::Overflow(_))));
        for bad in ["", "1", "-1m", "1m1h", "1mm", "m", "1.5h", "1h 2m", "1H", "999999999999y", "1s1s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prints_as_prometheus_does() {
        for (ms, text) in [
            (0, "0s"),
            (1, "1ms"),
            (90_061_001, "1d1h1m1s1ms"),
            (5_400_000, "1h30m"),
            (7 * 86_400_000, "1w"),
            (10 * 86_400_000, "10d"),
            (365 * 86_400_000, "1y"),
            (366 * 86_400_000, "366d"),
            (371 * 86_400_000, "53w"),
            (-90_000, "-1m30s"),
        ] {
            assert_eq!(format_duration(ms), text);
            if ms >= 0 {
                assert_eq!(parse_duration(text), Ok(ms));
            }
        }
    }
}

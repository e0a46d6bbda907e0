//! Numbers and timestamps by the specification's grammar. Timestamps keep nanoseconds, which floats cannot.

use std::cmp::Ordering;

/// `number` of the grammar: a real number, an infinity with or without sign, or NaN without. Digits must fit in a float.
pub(super) fn number(text: &[u8]) -> Option<f64> {
    let unsigned = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    let is_word = unsigned.eq_ignore_ascii_case(b"inf")
        || unsigned.eq_ignore_ascii_case(b"infinity")
        || text.eq_ignore_ascii_case(b"nan");
    if is_word { crate::float::parse(text) } else { real_number(text) }
}

/// `realnumber` of the grammar: `[sign] digits [. digits] [e [sign] digits]`, digits on at least one side of the point.
fn real_number(text: &[u8]) -> Option<f64> {
    let unsigned = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    if !unsigned.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    crate::float::parse(text)
}

/// A timestamp: compared by seconds and nanoseconds where it is written without exponent, else as a float.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    seconds: f64,
    /// Whole seconds and nanoseconds of the magnitude, with the sign on both.
    exact: Option<(i128, i64)>,
}

impl Time {
    pub(super) fn parse(text: &[u8]) -> Option<Time> {
        let seconds = real_number(text)?;
        Some(Time { seconds, exact: exact(text) })
    }

    /// `None` never happens for parsed times, as they are finite.
    pub(super) fn compare(&self, other: &Time) -> Option<Ordering> {
        match (self.exact, other.exact) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => self.seconds.partial_cmp(&other.seconds),
        }
    }
}

fn exact(text: &[u8]) -> Option<(i128, i64)> {
    let text = std::str::from_utf8(text).ok()?;
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let unsigned = text.trim_start_matches(['+', '-']);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let digits = fraction.as_bytes().iter().chain(std::iter::repeat(&b'0')).take(9);
    let mut nanos = 0i64;
    for digit in digits {
        nanos = nanos * 10 + i64::from(char::from(*digit).to_digit(10)?);
    }
    Some((whole * i128::from(sign), nanos * sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_numbers() {
        for good in
            ["0", "-1", "+1.5", "1.", ".5", "1e5", "1E-5", "0042", "inf", "+Inf", "-INFINITY", "NaN", "nAn"]
        {
            assert!(number(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "", "+", ".", "1_0", "0x1", "0b1", "1e", "1e999", "+NaN", "infin", "--1", "1 ", " 1", "1.1.1",
            "e1",
        ] {
            assert!(number(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn times_compare_to_the_nanosecond() {
        let time = |text: &str| Time::parse(text.as_bytes()).unwrap();
        for (a, b, order) in [
            ("1604676851.123456788", "1604676851.123456789", Ordering::Less),
            ("0.0000000000", "0.0000000001", Ordering::Equal),
            ("-1", "-1.1", Ordering::Greater),
            ("-0.5", "0", Ordering::Less),
            ("1.5e3", "1500", Ordering::Equal),
            ("12345678901234567890.1234567890", "12345678901234567890.2", Ordering::Less),
        ] {
            assert_eq!(time(a).compare(&time(b)), Some(order), "{a} {b}");
        }
        assert!(Time::parse(b"NaN").is_none() && Time::parse(b"-Inf").is_none());
    }
}

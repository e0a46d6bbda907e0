//! Number constants of templates, as Go writes them: `1_000`, `0x1F`, `017`, `1e3`.

use super::value::Value;

/// A number constant of Go: an integer where it can be one, else a float.
pub(super) fn number(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let plain = without_underscores(digits)?;
    if let Some(magnitude) = integer(&plain) {
        let value = if negative { -magnitude } else { magnitude };
        if let Ok(value) = i64::try_from(value) {
            return Some(Value::Int(value));
        }
        return Some(Value::Float(value as f64));
    }
    if plain.starts_with(|c: char| c.is_alphabetic()) {
        return None;
    }
    let value = kymo_model::parse_float(&plain).ok().filter(|value| value.is_finite())?;
    Some(Value::Float(if negative { -value } else { value }))
}

/// Underscores may stand between digits.
fn without_underscores(text: &str) -> Option<String> {
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    Some(text.replace('_', ""))
}

fn integer(text: &str) -> Option<i128> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', _, ..] if lower.bytes().all(|b| b.is_ascii_digit()) => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    i128::from_str_radix(digits, radix).ok()
}

//! The humanize functions: numbers for people, with four significant digits.

use super::format::sprintf;
use super::value::Value;

fn four_digits(value: f64, unit: &str) -> String {
    sprintf("%.4g", &[Value::Float(value)]) + unit
}

/// Thousands: `1.235k`, `12m`.
pub(super) fn decimal(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return four_digits(value, "");
    }
    if value.abs() >= 1.0 {
        return scaled(value, 1000.0, ["k", "M", "G", "T", "P", "E", "Z", "Y"]);
    }
    below_one(value, "")
}

/// Powers of 1024: `1.5Ki`.
pub(super) fn binary(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return four_digits(value, "");
    }
    scaled(value, 1024.0, ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"])
}

/// Seconds: `1d 2h 3m 4s`, `12ms`.
pub(super) fn duration(value: f64) -> String {
    if !value.is_finite() {
        return four_digits(value, "");
    }
    if value == 0.0 {
        return four_digits(value, "s");
    }
    if value.abs() < 1.0 {
        return below_one(value, "s");
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as i64;
    let (seconds, minutes, hours, days) = (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}", four_digits(value.abs(), "s"))
    }
}

fn scaled(mut value: f64, base: f64, prefixes: [&str; 8]) -> String {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < base {
            break;
        }
        prefix = next;
        value /= base;
    }
    four_digits(value, prefix)
}

fn below_one(mut value: f64, unit: &str) -> String {
    let mut prefix = "";
    for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    four_digits(value, prefix) + unit
}

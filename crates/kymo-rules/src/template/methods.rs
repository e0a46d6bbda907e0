//! Methods of the values that have any: times and durations. `None` for a method that is not there.

use super::time::{MONTHS, WEEKDAYS, civil, format_duration_ns, format_layout, format_time};
use super::value::Value;

/// The methods of Go's `time.Time` that make sense in UTC.
pub(super) fn time_method(ns: i64, name: &str, args: &[Value]) -> Option<Value> {
    let t = civil(ns);
    Some(match (name, args) {
        ("Format", [Value::Str(layout)]) => Value::text(format_layout(ns, layout)),
        ("String", []) => Value::text(format_time(ns)),
        ("Unix", []) => Value::Int(ns.div_euclid(1_000_000_000)),
        ("UnixMilli", []) => Value::Int(ns.div_euclid(1_000_000)),
        ("UnixNano", []) => Value::Int(ns),
        ("UTC" | "Local", []) => Value::Time(ns),
        ("Year", []) => Value::Int(t.year),
        ("Month", []) => Value::text(MONTHS[t.month as usize - 1]),
        ("Day", []) => Value::Int(t.day.into()),
        ("Hour", []) => Value::Int(t.hour.into()),
        ("Minute", []) => Value::Int(t.minute.into()),
        ("Second", []) => Value::Int(t.second.into()),
        ("Nanosecond", []) => Value::Int(t.nanosecond.into()),
        ("YearDay", []) => Value::Int(t.year_day.into()),
        ("Weekday", []) => Value::text(WEEKDAYS[t.weekday as usize]),
        ("Add", [Value::Duration(by)]) => Value::Time(ns.saturating_add(*by)),
        ("Sub", [Value::Time(other)]) => Value::Duration(ns.saturating_sub(*other)),
        ("After", [Value::Time(other)]) => Value::Bool(ns > *other),
        ("Before", [Value::Time(other)]) => Value::Bool(ns < *other),
        ("Equal", [Value::Time(other)]) => Value::Bool(ns == *other),
        _ => return None,
    })
}

/// The methods of Go's `time.Duration`.
pub(super) fn duration_method(ns: i64, name: &str, args: &[Value]) -> Option<Value> {
    Some(match (name, args) {
        ("String", []) => Value::text(format_duration_ns(ns)),
        ("Hours", []) => Value::Float(ns as f64 / 3.6e12),
        ("Minutes", []) => Value::Float(ns as f64 / 6e10),
        ("Seconds", []) => Value::Float(ns as f64 / 1e9),
        ("Milliseconds", []) => Value::Int(ns / 1_000_000),
        ("Microseconds", []) => Value::Int(ns / 1000),
        ("Nanoseconds", []) => Value::Int(ns),
        ("Abs", []) => Value::Duration(ns.saturating_abs()),
        _ => return None,
    })
}

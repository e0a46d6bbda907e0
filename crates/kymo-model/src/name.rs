//! Names of metrics and labels, and which of them need quotes.

/// The label that carries the metric name.
pub const METRIC_NAME: &str = "__name__";

/// Does `name` match `[a-zA-Z_:][a-zA-Z0-9_:]*`? Other UTF-8 names are valid too, but must be quoted in text.
///
/// ```
/// assert!(kymo_model::is_legacy_metric_name("job:up:sum"));
/// assert!(!kymo_model::is_legacy_metric_name("http.requests"));
/// ```
pub fn is_legacy_metric_name(name: &str) -> bool {
    is_legacy(name, true)
}

/// Does `name` match `[a-zA-Z_][a-zA-Z0-9_]*`? Other UTF-8 names are valid too, but must be quoted in text.
///
/// ```
/// assert!(kymo_model::is_legacy_label_name("le"));
/// assert!(!kymo_model::is_legacy_label_name("a:b"));
/// ```
pub fn is_legacy_label_name(name: &str) -> bool {
    is_legacy(name, false)
}

fn is_legacy(name: &str, colon: bool) -> bool {
    let bytes = name.as_bytes();
    let word = |b: u8| b.is_ascii_alphabetic() || b == b'_' || (colon && b == b':');
    match bytes.split_first() {
        Some((&first, rest)) => word(first) && rest.iter().all(|&b| word(b) || b.is_ascii_digit()),
        None => false,
    }
}

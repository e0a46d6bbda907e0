//! Names of metrics and labels, and which of them need quotes.

/// The label that carries the metric name.
pub const METRIC_NAME: &str = "__name__";

/// Which names metrics and labels may have.
///
/// ```
/// use kymo_model::NameScheme;
/// assert!(NameScheme::Utf8.is_label_name("http.status"));
/// assert!(!NameScheme::Legacy.is_label_name("http.status"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameScheme {
    /// Any UTF-8 but the empty string, as Prometheus 3 has it by default.
    #[default]
    Utf8,
    /// `[a-zA-Z_][a-zA-Z0-9_]*`, and for metrics colons too, as Prometheus 2 has it.
    Legacy,
}

impl NameScheme {
    /// Is this the name of a label?
    pub fn is_label_name(self, name: &str) -> bool {
        match self {
            NameScheme::Utf8 => !name.is_empty(),
            NameScheme::Legacy => is_legacy_label_name(name),
        }
    }

    /// Is this the name of a metric?
    pub fn is_metric_name(self, name: &str) -> bool {
        match self {
            NameScheme::Utf8 => !name.is_empty(),
            NameScheme::Legacy => is_legacy_metric_name(name),
        }
    }
}

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

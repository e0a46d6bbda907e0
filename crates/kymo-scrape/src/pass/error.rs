//! PassError: why a response makes the whole scrape fail. Texts as Prometheus shows them on its targets page.

use kymo_exposition::ParseError;

/// Why a response was refused as a whole.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PassError {
    /// The body is not in the format.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A sample has no name after relabelling.
    #[error("missing metric name (__name__ label)")]
    NameMissing,
    /// Names that the job's scheme of names does not allow.
    #[error("invalid metric name or label names: {0}")]
    InvalidNames(String),
    /// More samples than `sample_limit`.
    #[error("sample limit exceeded")]
    SampleLimit,
    /// More labels than `label_limit`.
    #[error("label_limit exceeded (metric: {metric}, number of labels: {found}, limit: {limit})")]
    LabelLimit {
        /// The metric, cut to 50 characters.
        metric: String,
        /// How many labels.
        found: usize,
        /// How many are allowed.
        limit: u64,
    },
    /// A name longer than `label_name_length_limit`.
    #[error(
        "label_name_length_limit exceeded (metric: {metric}, label name: {name}, length: {found}, limit: {limit})"
    )]
    LabelNameLength {
        /// The metric, cut to 50 characters.
        metric: String,
        /// The label, cut to 50 characters.
        name: String,
        /// Its bytes.
        found: usize,
        /// How many are allowed.
        limit: u64,
    },
    /// A value longer than `label_value_length_limit`.
    #[error(
        "label_value_length_limit exceeded (metric: {metric}, label name: {name}, value: {value:?}, length: {found}, limit: {limit})"
    )]
    LabelValueLength {
        /// The metric, cut to 50 characters.
        metric: String,
        /// The label, cut to 50 characters.
        name: String,
        /// The value, cut to 50 characters.
        value: String,
        /// Its bytes.
        found: usize,
        /// How many are allowed.
        limit: u64,
    },
}

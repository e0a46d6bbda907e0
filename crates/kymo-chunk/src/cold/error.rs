//! ColdError: what is wrong with a cold column, and at which byte.

/// Bytes that are not a whole column.
///
/// ```
/// let error = kymo_chunk::cold::decode_times(&[3], 0..3, &mut Vec::new()).unwrap_err();
/// assert_eq!(error.to_string(), "expected the form of the numbers, found the end (byte 1)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (byte {offset})")]
pub struct ColdError {
    /// What is wrong.
    pub kind: ColdErrorKind,
    /// Where the field that is wrong begins, counted from the start of the column.
    pub offset: usize,
}

/// What is wrong with a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColdErrorKind {
    /// The column ends inside a field.
    #[error("expected {wanted}, found the end")]
    Truncated {
        /// The field.
        wanted: &'static str,
    },
    /// A field that no writer writes so.
    #[error("expected {wanted}, found {found}")]
    Unexpected {
        /// What there should be.
        wanted: &'static str,
        /// As read.
        found: u64,
    },
    /// A range that is not inside the column.
    #[error("expected samples up to {wanted}, found {found}")]
    TooFew {
        /// The end of the range.
        wanted: usize,
        /// How many samples there are.
        found: usize,
    },
    /// Bytes behind the last sample.
    #[error("expected the end of the column, found {bytes} more bytes")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
}

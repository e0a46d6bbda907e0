//! Remote read, answering side: a question, and its answer in the form that the client asked for.

mod answer;
mod request;
mod samples;
mod stream;

pub use answer::ReadAnswer;
pub use request::{ReadQuery, ReadRequest, ResponseType};

use kymo_model::{MatcherError, StoreError, StoreErrorKind};

use crate::{BodyError, WireError};

/// Bounds of remote read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Largest request as it arrives.
    pub compressed_bytes_max: usize,
    /// Largest request after decompression; checked against what it declares before anything is allocated.
    pub decompressed_bytes_max: usize,
    /// Most queries of a request.
    pub queries_max: usize,
    /// Most matchers of a query.
    pub matchers_max: usize,
    /// Most samples of an answer that is one piece; 0 for any number. Streams have no such bound.
    pub samples_max: usize,
    /// How large a frame of a stream is, roughly: it has at least one chunk.
    pub frame_bytes_max: usize,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions {
            compressed_bytes_max: 32 << 20,
            decompressed_bytes_max: 64 << 20,
            queries_max: 1000,
            matchers_max: 1000,
            samples_max: 50_000_000,
            frame_bytes_max: 1 << 20,
        }
    }
}

/// Why a remote read has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The body cannot be decompressed.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is not a read request.
    #[error("expected a remote-read request: {0}")]
    Wire(#[from] WireError),
    /// A matcher's pattern is not a regex.
    #[error("expected a matcher of label {name:?}: {error}")]
    Matcher {
        /// Its label.
        name: String,
        /// What is wrong.
        error: MatcherError,
    },
    /// A matcher of a type that does not exist.
    #[error("expected a matcher of type 0, 1, 2 or 3, found {0}")]
    MatcherType(u64),
    /// More of something than is allowed.
    #[error("expected at most {max} {what}, found more")]
    TooMany {
        /// `queries` or `matchers in a query`.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// The client takes no form that there is.
    #[error(
        "expected SAMPLES (0) or STREAMED_XOR_CHUNKS (1) among the accepted response types, found only {0:?}"
    )]
    ResponseTypes(Vec<u64>),
    /// The answer would have more samples than one piece may have.
    #[error("exceeded sample limit ({0}); ask for less, or for STREAMED_XOR_CHUNKS")]
    SampleLimit(usize),
    /// The store could not be read.
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
}

impl ReadError {
    /// The status to answer with.
    pub fn http_status(&self) -> u16 {
        match self {
            ReadError::Body(error) => error.http_status(),
            ReadError::Store(error) if error.kind() == StoreErrorKind::Limit => 400,
            ReadError::Store(error) if error.kind() == StoreErrorKind::Closed => 503,
            ReadError::Store(_) => 500,
            _ => 400,
        }
    }
}

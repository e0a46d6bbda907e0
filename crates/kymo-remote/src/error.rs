//! Why a request was not, or not wholly, written, and which HTTP status says so.

use kymo_model::{Refusal, StoreError, StoreErrorKind};

use crate::{BodyError, WireError, Written};

/// Why a request was not, or not wholly, written.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The body cannot be decompressed. Nothing was allocated for one that is too large.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is not a write request. Nothing was written.
    #[error("expected a remote-write 1.0 request: {0}")]
    Wire(#[from] WireError),
    /// Some samples were refused; the others were written. Sending the same again will not help.
    #[error("{0}")]
    Refused(Box<Refused>),
    /// The store takes no writes now; the request may be sent again.
    #[error("the store takes no writes now: {0}")]
    Store(#[from] StoreError),
}

/// What became of a request of which some samples were refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// What was written.
    pub written: Written,
    /// How many samples the store refused, by reason.
    pub by_reason: Vec<(Refusal, usize)>,
    /// How many samples belong to series whose labels are invalid, or are themselves invalid histograms.
    pub invalid: usize,
    /// The first refusal in words.
    pub first: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let refused: usize = self.by_reason.iter().map(|(_, n)| n).sum::<usize>() + self.invalid;
        let samples = refused + self.written.samples + self.written.histograms;
        write!(f, "{} ({refused} of {samples} samples refused)", self.first)
    }
}

impl ReceiveError {
    /// The status to answer with: 413 and 400 for requests that will never be taken, 500 and 503 where trying again helps.
    pub fn http_status(&self) -> u16 {
        match self {
            ReceiveError::Body(error) => error.http_status(),
            ReceiveError::Wire(_) | ReceiveError::Refused(_) => 400,
            ReceiveError::Store(error) => match error.kind() {
                StoreErrorKind::Full | StoreErrorKind::ReadOnly | StoreErrorKind::Closed => 503,
                _ => 500,
            },
        }
    }
}

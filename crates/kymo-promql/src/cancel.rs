//! CancelToken: how the edge tells a running query to stop. One atomic byte; kernels look at it every few thousand samples.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Why a query is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// The caller no longer wants the answer.
    Canceled,
    /// It took too long.
    Timeout,
}

/// A flag shared between a running query and whoever may stop it. Clones are cheap and share the flag.
///
/// ```
/// use kymo_promql::{CancelReason, CancelToken};
/// let token = CancelToken::new();
/// token.clone().cancel(CancelReason::Timeout);
/// assert_eq!(token.reason(), Some(CancelReason::Timeout));
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicU8>);

impl CancelToken {
    /// A token that nobody has canceled.
    pub fn new() -> CancelToken {
        CancelToken::default()
    }

    /// Asks the query to stop. The first reason stays.
    pub fn cancel(&self, reason: CancelReason) {
        let code = match reason {
            CancelReason::Canceled => 1,
            CancelReason::Timeout => 2,
        };
        // A lost race means that another reason came first.
        let _ = self.0.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The reason to stop, if there is one.
    pub fn reason(&self) -> Option<CancelReason> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(CancelReason::Canceled),
            _ => Some(CancelReason::Timeout),
        }
    }
}

//! CancelToken: how the edge tells a running query to stop, in the evaluator and in the store alike.
//!
//! A look is one atomic load, and one at a clock where there is a deadline; loops look every few thousand pieces of work
//! ([`Pulse`]), which is every few milliseconds at most.

use std::cmp::Ordering as Order;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::{StoreError, StoreErrorKind};

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
/// use kymo_model::{CancelReason, CancelToken};
/// let token = CancelToken::new();
/// assert!(token.check().is_ok());
/// token.clone().cancel(CancelReason::Timeout);
/// assert_eq!(token.reason(), Some(CancelReason::Timeout));
/// assert!(token.check().is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: AtomicU8,
    /// A time, and the clock that says when it has come.
    deadline: Option<(u64, fn() -> u64)>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deadline = self.deadline.map(|(deadline, _)| deadline);
        f.debug_struct("Inner").field("state", &self.state).field("deadline", &deadline).finish()
    }
}

impl CancelToken {
    /// A token that nobody has canceled.
    pub fn new() -> CancelToken {
        CancelToken::default()
    }

    /// A token that times out by itself when `clock`, which never goes back, shows `deadline`.
    ///
    /// ```
    /// use kymo_model::{CancelReason, CancelToken};
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// static NOW: AtomicU64 = AtomicU64::new(0);
    /// let token = CancelToken::with_deadline(5, || NOW.load(Ordering::Relaxed));
    /// assert_eq!(token.reason(), None);
    /// NOW.store(5, Ordering::Relaxed);
    /// assert_eq!(token.reason(), Some(CancelReason::Timeout));
    /// ```
    pub fn with_deadline(deadline: u64, clock: fn() -> u64) -> CancelToken {
        CancelToken(Arc::new(Inner { state: AtomicU8::new(0), deadline: Some((deadline, clock)) }))
    }

    /// Asks the query to stop. The first reason stays.
    pub fn cancel(&self, reason: CancelReason) {
        let code = match reason {
            CancelReason::Canceled => 1,
            CancelReason::Timeout => 2,
        };
        // A lost race means that another reason came first.
        let _ = self.0.state.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The reason to stop, if there is one.
    pub fn reason(&self) -> Option<CancelReason> {
        match self.0.state.load(Ordering::Relaxed) {
            0 => {
                let (deadline, clock) = self.0.deadline?;
                if clock() < deadline {
                    return None;
                }
                self.cancel(CancelReason::Timeout);
                // Somebody may have been faster.
                self.reason()
            }
            1 => Some(CancelReason::Canceled),
            _ => Some(CancelReason::Timeout),
        }
    }

    /// An error of kind [`Canceled`](StoreErrorKind::Canceled) if there is a reason to stop.
    pub fn check(&self) -> Result<(), StoreError> {
        let message = match self.reason() {
            None => return Ok(()),
            Some(CancelReason::Canceled) => "the query was canceled",
            Some(CancelReason::Timeout) => "the query timed out",
        };
        Err(StoreError::new(StoreErrorKind::Canceled, message))
    }

    /// For a loop that looks at the token now and then.
    pub fn pulse(&self) -> Pulse {
        Pulse { cancel: self.clone(), left: Pulse::EVERY }
    }

    /// A stable sort that can be stopped: runs of growing length, each sorted by itself.
    ///
    /// ```
    /// let mut numbers: Vec<u32> = (0..100_000).map(|i| i * 7919 % 100_003).collect();
    /// kymo_model::CancelToken::new().sort_by(&mut numbers, u32::cmp)?;
    /// assert!(numbers.is_sorted());
    /// # Ok::<(), kymo_model::StoreError>(())
    /// ```
    pub fn sort_by<T>(
        &self,
        items: &mut [T],
        mut compare: impl FnMut(&T, &T) -> Order,
    ) -> Result<(), StoreError> {
        /// Sorted at once.
        const RUN: usize = 16 * 1024;
        let mut run = RUN;
        loop {
            for part in items.chunks_mut(run) {
                self.check()?;
                // Finds the two sorted halves that the last round has left, and merges them.
                part.sort_by(&mut compare);
            }
            if run >= items.len() {
                return Ok(());
            }
            run *= 2;
        }
    }
}

/// Looks at a token every so many pieces of work.
#[derive(Clone, Debug)]
pub struct Pulse {
    cancel: CancelToken,
    left: usize,
}

impl Pulse {
    /// A piece of work takes some nanoseconds.
    const EVERY: usize = 16 * 1024;

    /// Says that so much more was worked on. An error when the token says stop.
    #[inline]
    pub fn tick(&mut self, work: usize) -> Result<(), StoreError> {
        if work < self.left {
            self.left -= work;
            return Ok(());
        }
        self.left = Pulse::EVERY;
        self.cancel.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_are_stable_and_stop() {
        let mut pairs: Vec<(u32, u32)> =
            (0..70_000u32).map(|i| (i.wrapping_mul(2_654_435_761) % 50, i)).collect();
        let mut sorted = pairs.clone();
        sorted.sort();
        let token = CancelToken::new();
        token.sort_by(&mut pairs, |a, b| a.0.cmp(&b.0)).expect("nobody has canceled");
        assert_eq!(pairs, sorted);
        let mut compared = 0u64;
        let stopping = token.sort_by(&mut pairs, |a, b| {
            compared += 1;
            token.cancel(CancelReason::Canceled);
            b.cmp(a)
        });
        assert_eq!(stopping.map_err(|error| error.kind()), Err(StoreErrorKind::Canceled));
        // The first run, and no other.
        assert!(compared < 16 * 1024 * 16, "{compared}");
    }

    #[test]
    fn pulses_look_at_the_token_now_and_then() {
        let token = CancelToken::new();
        let mut pulse = token.pulse();
        token.cancel(CancelReason::Timeout);
        let stopped = (0..Pulse::EVERY).position(|_| pulse.tick(1).is_err());
        assert_eq!(stopped, Some(Pulse::EVERY - 1));
        assert!(token.pulse().tick(usize::MAX).is_err());
    }

    #[test]
    fn the_first_reason_stays() {
        let token = CancelToken::with_deadline(0, || 0);
        token.cancel(CancelReason::Canceled);
        assert_eq!(token.reason(), Some(CancelReason::Canceled));
        assert_eq!(CancelToken::with_deadline(0, || 0).reason(), Some(CancelReason::Timeout));
        assert_eq!(CancelToken::with_deadline(1, || 0).reason(), None);
    }
}

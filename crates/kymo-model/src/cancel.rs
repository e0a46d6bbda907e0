//! CancelToken: how the edge tells a running query to stop, in the evaluator and in the store alike.
//!
//! A look is one atomic load, and one at a clock where there is a deadline; loops look every few thousand pieces of work
//! ([`Pulse`]), which is every few milliseconds at most.

use std::cmp::Ordering as Order;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::{StoreError, StoreErrorKind};

/// Items that are sorted without a look at the token.
const RUN: usize = 16 * 1024;

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

    /// A stable sort that can be stopped: runs of growing length, merged piece by piece. It stops within the comparisons of
    /// one piece, some 16,000 items.
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
        for part in items.chunks_mut(RUN) {
            self.check()?;
            part.sort_by(&mut compare);
        }
        let mut run = RUN;
        while run < items.len() {
            for part in items.chunks_mut(2 * run) {
                self.merge(part, run.min(part.len()), &mut compare)?;
            }
            run *= 2;
        }
        Ok(())
    }

    /// Sorts items of which those before `middle` are in order and those behind it, too. Large ones are cut where half of
    /// what comes out lies on either side, so that no merge takes long.
    fn merge<T>(
        &self,
        items: &mut [T],
        middle: usize,
        compare: &mut impl FnMut(&T, &T) -> Order,
    ) -> Result<(), StoreError> {
        self.check()?;
        let behind = items.len() - middle;
        if middle == 0 || behind == 0 {
            return Ok(());
        }
        if items.len() <= RUN {
            // Finds the two parts and merges them.
            items.sort_by(compare);
            return Ok(());
        }
        let half = items.len() / 2;
        // So many of the first part are among the first half of all. Of equal items those of the first part come first.
        let (mut low, mut high) = (half.saturating_sub(behind), half.min(middle));
        while low < high {
            let from_first = low + (high - low) / 2;
            let last_of_second = &items[middle + half - from_first - 1];
            match compare(&items[from_first], last_of_second) {
                Order::Greater => high = from_first,
                Order::Less | Order::Equal => low = from_first + 1,
            }
        }
        items[low..middle + half - low].rotate_left(middle - low);
        let (first, second) = items.split_at_mut(half);
        self.merge(first, low, compare)?;
        self.merge(second, middle - low, compare)
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
    fn merges_stop_too() {
        // Two long halves that take turns: the dearest merge of all.
        let numbers = |n: u32| (0..n).step_by(2).chain((1..n).step_by(2)).collect::<Vec<u32>>();
        for n in [40_000, 65_536, 200_000, 300_001] {
            let token = CancelToken::new();
            let mut items = numbers(n);
            token.sort_by(&mut items, u32::cmp).expect("nobody has canceled");
            assert!(items.iter().copied().eq(0..n), "{n}");
        }
        let n = 1_000_000;
        let mut whole = 0u64;
        let counted = CancelToken::new().sort_by(&mut numbers(n), |a, b| {
            whole += 1;
            a.cmp(b)
        });
        counted.expect("nobody has canceled");
        // Wherever it is stopped, it goes on for a piece and not for a whole merge.
        for stop in (1..10).map(|tenth| whole * tenth / 10) {
            let (token, mut compared) = (CancelToken::new(), 0);
            let stopped = token.sort_by(&mut numbers(n), |a, b| {
                compared += 1;
                if compared == stop {
                    token.cancel(CancelReason::Canceled);
                }
                a.cmp(b)
            });
            assert!(stopped.is_err());
            assert!(compared - stop <= 4 * RUN as u64, "{compared} of {whole}, to be stopped at {stop}");
        }
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

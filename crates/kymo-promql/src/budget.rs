//! Budget: what a query may hold in memory at once, counted where columns and rows are allocated.
//!
//! Samples as upstream means them (points of results, of intermediate rows and of the series being read), and bytes. A native
//! histogram counts as many samples as it is large.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::bits::words_of;
use crate::{Bound, QueryError};

/// Shared by all operators of a query.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<State>);

/// What the queries of an engine share: the bytes that they hold together, and how many were refused for which bound.
#[derive(Clone, Debug)]
pub(crate) struct AllQueries(Arc<All>);

#[derive(Debug)]
struct All {
    bytes: AtomicUsize,
    bytes_max: usize,
    /// By bound.
    refused: [AtomicU64; Bound::ALL.len()],
}

impl AllQueries {
    /// 0 for no bound.
    pub(crate) fn new(bytes_max: usize) -> AllQueries {
        let bytes_max = if bytes_max == 0 { usize::MAX } else { bytes_max };
        AllQueries(Arc::new(All { bytes: AtomicUsize::new(0), bytes_max, refused: Default::default() }))
    }

    /// Counts an error, if it is about a bound.
    pub(crate) fn count<T>(&self, outcome: Result<T, QueryError>) -> Result<T, QueryError> {
        if let Err(QueryError { bound: Some(bound), .. }) = &outcome {
            self.0.refused[*bound as usize].fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    /// How many queries were refused for this bound.
    pub(crate) fn refused(&self, bound: Bound) -> u64 {
        self.0.refused[bound as usize].load(Ordering::Relaxed)
    }

    /// Bytes that all queries hold now.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct State {
    all: AllQueries,
    samples: AtomicUsize,
    bytes: AtomicUsize,
    peak_samples: AtomicUsize,
    peak_bytes: AtomicUsize,
    samples_max: usize,
    bytes_max: usize,
}

impl Budget {
    pub(crate) fn new(samples_max: usize, bytes_max: usize, all: AllQueries) -> Budget {
        Budget(Arc::new(State {
            all,
            samples: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            peak_samples: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
            samples_max,
            bytes_max,
        }))
    }

    /// Something held that may grow.
    pub(crate) fn nothing(&self) -> Held {
        Held { state: self.0.clone(), samples: 0, bytes: 0 }
    }

    /// Room for rows whose points are counted as they come.
    pub(crate) fn hold_rows(&self, rows: usize, steps: usize) -> Result<Held, QueryError> {
        let per_row = steps.saturating_mul(8).saturating_add(words_of(steps) * 8);
        self.hold_bytes(rows.saturating_mul(per_row))
    }

    pub(crate) fn hold_bytes(&self, bytes: usize) -> Result<Held, QueryError> {
        let mut held = self.nothing();
        held.more(0, bytes)?;
        Ok(held)
    }

    /// Held for a moment: checked and noted as a peak, not kept.
    pub(crate) fn touch(&self, samples: usize, bytes: usize) -> Result<(), QueryError> {
        let state = &*self.0;
        let sum = state.samples.load(Ordering::Relaxed).saturating_add(samples);
        if bytes == 0 && sum <= state.samples_max {
            // Nearly always, and once a row: no counter has to be written for it.
            if sum > state.peak_samples.load(Ordering::Relaxed) {
                state.peak_samples.fetch_max(sum, Ordering::Relaxed);
            }
            return Ok(());
        }
        self.nothing().more(samples, bytes)
    }

    /// For a worker: begins with what the query holds, has the same bounds, and counts by itself, so that what it holds for
    /// a moment depends on no other worker.
    pub(crate) fn lane(&self) -> Budget {
        let read = |n: &AtomicUsize| n.load(Ordering::Relaxed);
        let (samples, bytes) = (read(&self.0.samples), read(&self.0.bytes));
        let lane = Budget::new(self.0.samples_max, self.0.bytes_max, AllQueries::new(0));
        for (counter, n) in [
            (&lane.0.samples, samples),
            (&lane.0.peak_samples, samples),
            (&lane.0.bytes, bytes),
            (&lane.0.peak_bytes, bytes),
        ] {
            counter.store(n, Ordering::Relaxed);
        }
        lane
    }

    /// The most samples and bytes that were held since this was asked last, beside what is held now.
    pub(crate) fn take_peaks(&self) -> (usize, usize) {
        let take = |peak: &AtomicUsize, now: &AtomicUsize| {
            let (most, now) = (peak.load(Ordering::Relaxed), now.load(Ordering::Relaxed));
            peak.store(now, Ordering::Relaxed);
            most.saturating_sub(now)
        };
        let state = &*self.0;
        (take(&state.peak_samples, &state.samples), take(&state.peak_bytes, &state.bytes))
    }

    /// Bytes held now.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// How many samples and bytes a query may hold.
    pub(crate) fn limits(&self) -> (usize, usize) {
        (self.0.samples_max, self.0.bytes_max)
    }

    pub(crate) fn peaks(&self) -> (u64, u64) {
        let read = |n: &AtomicUsize| n.load(Ordering::Relaxed) as u64;
        (read(&self.0.peak_samples), read(&self.0.peak_bytes))
    }
}

/// A part of the budget in use; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    state: Arc<State>,
    samples: usize,
    bytes: usize,
}

impl Held {
    pub(crate) fn is_nothing(&self) -> bool {
        self.samples == 0 && self.bytes == 0
    }

    pub(crate) fn more(&mut self, samples: usize, bytes: usize) -> Result<(), QueryError> {
        let state = &*self.state;
        self.samples += samples;
        let samples = state.samples.fetch_add(samples, Ordering::Relaxed).saturating_add(samples);
        // A single request larger than all memory must not wrap the sum.
        let bytes = bytes.min(isize::MAX as usize / 4);
        self.bytes = self.bytes.saturating_add(bytes);
        let of_all = match bytes {
            0 => 0,
            _ => state.all.0.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes),
        };
        let bytes = state.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if samples > state.samples_max {
            return Err(QueryError::limit(
                "query processing would load too many samples into memory in query execution",
            )
            .over(Bound::Samples));
        }
        if bytes > state.bytes_max {
            return Err(QueryError::limit(format!(
                "query would hold {bytes} bytes of columns in memory, expected at most {}",
                state.bytes_max
            ))
            .over(Bound::Bytes));
        }
        if of_all > state.all.0.bytes_max {
            return Err(QueryError::limit(format!(
                "running queries together would hold {of_all} bytes of columns in memory, expected at most {}; try again later",
                state.all.0.bytes_max
            ))
            .over(Bound::BytesAll));
        }
        state.peak_samples.fetch_max(samples, Ordering::Relaxed);
        state.peak_bytes.fetch_max(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.state.samples.fetch_sub(self.samples, Ordering::Relaxed);
        self.state.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        if self.bytes > 0 {
            self.state.all.0.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QueryErrorKind;

    #[test]
    fn counts_up_and_down() {
        let budget = Budget::new(10, 1000, AllQueries::new(0));
        let mut held = budget.nothing();
        held.more(6, 600).unwrap();
        assert_eq!(budget.touch(5, 0).unwrap_err().kind, QueryErrorKind::Limit);
        assert_eq!(budget.touch(0, 500).unwrap_err().kind, QueryErrorKind::Limit);
        assert!(budget.touch(4, 400).is_ok());
        drop(held);
        assert!(budget.touch(10, 1000).is_ok());
        assert!(budget.hold_rows(usize::MAX, usize::MAX).is_err());
        assert_eq!(budget.peaks(), (10, 1000));
    }

    #[test]
    fn a_lane_begins_with_what_is_held() {
        let budget = Budget::new(10, 1000, AllQueries::new(0));
        let held = budget.hold_bytes(600).unwrap();
        let lane = budget.lane();
        assert!(lane.touch(10, 400).is_ok());
        assert_eq!(lane.touch(0, 401).unwrap_err(), budget.touch(0, 401).unwrap_err());
        assert_eq!(lane.take_peaks(), (10, 400));
        assert_eq!(lane.take_peaks(), (0, 0));
        drop(held);
        assert_eq!((budget.peaks(), budget.bytes()), ((0, 600), 0));
    }

    #[test]
    fn queries_share_what_all_may_hold() {
        let all = AllQueries::new(1000);
        let (one, other) = (Budget::new(10, 800, all.clone()), Budget::new(10, 800, all));
        let held = one.hold_bytes(600).unwrap();
        let refused = other.hold_bytes(500).unwrap_err();
        assert_eq!(refused.kind, QueryErrorKind::Limit);
        assert!(refused.message.starts_with("running queries together would hold 1100 bytes"), "{refused}");
        assert!(other.hold_bytes(400).is_ok());
        drop(held);
        assert!(other.hold_bytes(800).is_ok());
        assert_eq!((one.bytes(), other.bytes()), (0, 0));
        assert!(Budget::new(10, 5000, AllQueries::new(0)).hold_bytes(5000).is_ok());
    }
}

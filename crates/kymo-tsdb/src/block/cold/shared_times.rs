//! SharedTimes: timestamps as they are written, once for all series that have them. Series of one target were scraped together, so
//! their columns are the same, or one is the end or the beginning of the other.
//!
//! What was written lately is kept in memory, bounded, and compared sample by sample: no series gets times that are not its own.

use std::collections::HashMap;
use std::sync::Arc;

use kymo_chunk::cold::encode_times;

use super::super::error::WriteBlockError;
use super::super::file::FileWriter;
use super::record::{self, Kind};

/// Columns that begin or end with the same two timestamps, at most.
const ALIKE_MAX: usize = 4;

/// A column that was written.
#[derive(Debug)]
struct Written {
    offset: u64,
    times: Box<[i64]>,
}

/// The first or last two timestamps of a column.
type Ends = HashMap<(i64, i64), Vec<Arc<Written>>>;

#[derive(Debug)]
pub(super) struct SharedTimes {
    file: FileWriter,
    by_first: Ends,
    by_last: Ends,
    /// Those of the generation before.
    old: (Ends, Ends),
    young_samples: usize,
    samples_max: usize,
    encoded: Vec<u8>,
    scratch: Vec<u8>,
}

fn first(times: &[i64]) -> (i64, i64) {
    (times[0], times[times.len().min(2) - 1])
}

fn last(times: &[i64]) -> (i64, i64) {
    (times[times.len().saturating_sub(2)], times[times.len() - 1])
}

impl SharedTimes {
    /// About `samples_max` timestamps are kept in memory.
    pub(super) fn new(file: FileWriter, samples_max: usize) -> SharedTimes {
        SharedTimes {
            file,
            by_first: Ends::new(),
            by_last: Ends::new(),
            old: (Ends::new(), Ends::new()),
            young_samples: 0,
            samples_max,
            encoded: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Where these timestamps are, of which there is at least one: the offset of their record, and the number of the first.
    pub(super) fn place(&mut self, times: &[i64]) -> Result<(u64, usize), WriteBlockError> {
        if let Some((written, start)) = self.find(times) {
            let offset = written.offset;
            // One of the old generation becomes young again, so that it stays as long as it is used.
            if !self
                .by_first
                .get(&first(&written.times))
                .is_some_and(|list| list.iter().any(|w| w.offset == offset))
            {
                self.keep(written);
            }
            return Ok((offset, start));
        }
        self.encoded.clear();
        encode_times(times, &mut self.encoded);
        let offset = record::push(&mut self.file, Kind::Times, &self.encoded, &mut self.scratch)?;
        self.keep(Arc::new(Written { offset, times: times.into() }));
        Ok((offset, 0))
    }

    fn find(&self, times: &[i64]) -> Option<(Arc<Written>, usize)> {
        let (begin, end) = (first(times), last(times));
        for (by_first, by_last) in [(&self.by_first, &self.by_last), (&self.old.0, &self.old.1)] {
            let beginning = by_first.get(&begin).into_iter().flatten();
            if let Some(written) = { beginning }.find(|written| written.times.starts_with(times)) {
                return Some((written.clone(), 0));
            }
            let ending = by_last.get(&end).into_iter().flatten();
            if let Some(written) = { ending }.find(|written| written.times.ends_with(times)) {
                return Some((written.clone(), written.times.len() - times.len()));
            }
        }
        None
    }

    fn keep(&mut self, written: Arc<Written>) {
        self.young_samples += written.times.len();
        for (ends, key) in
            [(&mut self.by_first, first(&written.times)), (&mut self.by_last, last(&written.times))]
        {
            let alike = ends.entry(key).or_default();
            if alike.len() == ALIKE_MAX {
                alike.remove(0);
            }
            alike.push(written.clone());
        }
        if self.young_samples > self.samples_max / 2 {
            self.old = (std::mem::take(&mut self.by_first), std::mem::take(&mut self.by_last));
            self.young_samples = 0;
        }
    }

    /// The file, to be finished.
    pub(super) fn into_file(self) -> FileWriter {
        self.file
    }
}

//! Replay of what lies beside the samples. Exemplars of the log wait until all of it was read: the definition of their series
//! may come later, when damage took the one that came before.

use std::collections::{HashMap, VecDeque};

use kymo_model::Labels;

use super::Beside;
use super::ring::KeptExemplar;
use crate::frame::Bytes;
use crate::index::SeriesId;
use crate::lock::{read, write};
use crate::wal::{read_exemplars, read_kept_exemplars, read_metadata};

/// What was read of the log and is not in the ring yet.
#[derive(Debug, Default)]
pub(crate) struct BesideReplay {
    waiting: VecDeque<(u64, SeriesId, KeptExemplar)>,
    /// 1 + the highest number that occurs in the log. It is not given out again, also where nothing is known of its series: the
    /// log would have it twice.
    next_sequence: u64,
}

impl BesideReplay {
    /// A record of a checkpoint with exemplars.
    pub(crate) fn kept_exemplars(&mut self, beside: &Beside, bytes: Bytes<'_>) -> Option<()> {
        let mut series = HashMap::new();
        let exemplars = read_kept_exemplars(bytes, |id, labels| {
            series.insert(id, labels);
        })?;
        if exemplars.iter().any(|(_, id, _)| !series.contains_key(id)) {
            return None;
        }
        let mut ring = write(&beside.exemplars);
        for (sequence, id, kept) in exemplars {
            ring.replay(sequence, &series[&id], kept);
        }
        Some(())
    }

    /// A record of the log with exemplars. Gives the highest id that occurs.
    pub(crate) fn exemplars(&mut self, beside: &Beside, bytes: Bytes<'_>) -> Option<Option<SeriesId>> {
        let exemplars = read_exemplars(bytes)?;
        let highest = exemplars.iter().map(|(_, id, _)| *id).max();
        let last = exemplars.last().map_or(0, |(sequence, ..)| sequence + 1);
        self.next_sequence = self.next_sequence.max(last);
        let max = read(&beside.exemplars).max();
        self.waiting.extend(exemplars);
        // Those that the ring would drop need not wait.
        let over = self.waiting.len().saturating_sub(max);
        self.waiting.drain(..over);
        Some(highest)
    }

    /// A record of the log, or of a checkpoint, with metadata.
    pub(crate) fn metadata(&mut self, beside: &Beside, bytes: Bytes<'_>) -> Option<()> {
        let families = read_metadata(bytes)?;
        let mut known = write(&beside.families);
        families.into_iter().for_each(|family| known.replay(family));
        Some(())
    }

    /// The end of the log. `labels` finds the series by id. Gives how many exemplars are of series that nothing is known of.
    pub(crate) fn finish(self, beside: &Beside, mut labels: impl FnMut(SeriesId) -> Option<Labels>) -> u64 {
        let mut ring = write(&beside.exemplars);
        let mut orphans = 0;
        for (sequence, id, kept) in self.waiting {
            match labels(id) {
                Some(series) => ring.replay(sequence, &series, kept),
                None => orphans += 1,
            }
        }
        ring.reserve_sequence(self.next_sequence);
        orphans
    }
}

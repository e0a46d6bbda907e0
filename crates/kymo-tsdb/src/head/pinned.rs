//! Snapshot: what a select found, pinned. The closed part by reference count, the open chunk by how many samples it had.
//!
//! Samples are decoded without a lock. The open chunk's bytes are copied under the lock of its page (at most a kilobyte),
//! and only as many of its samples are read as there were when the select was made: what is written later only adds bits.

use std::sync::Arc;

use kymo_chunk::{ChunkError, decode_range};
use kymo_model::{Labels, Resume, Samples, SeriesSource, StoreError, StoreErrorKind, TimeRange};

use super::closed::Closed;
use super::page::{Cursor, PageTable};
use crate::index::SeriesId;

#[derive(Debug)]
pub(crate) struct Snapshot {
    pages: Arc<PageTable>,
    range: TimeRange,
    series: Vec<Pinned>,
}

#[derive(Debug)]
struct Pinned {
    labels: Labels,
    closed: Option<Arc<Closed>>,
    id: SeriesId,
    open_min_ms: i64,
    open_number: u32,
    /// How many samples of the open chunk belong to the snapshot.
    open_count: u16,
}

impl Snapshot {
    /// Pins those of the series that may have samples in the range.
    pub(crate) fn pin(pages: Arc<PageTable>, ids: &[u32], range: TimeRange) -> Snapshot {
        let mut series = Vec::with_capacity(ids.len());
        let mut cursor = Cursor::new(&pages);
        for id in ids {
            let Some(found) = cursor.get(SeriesId(*id)) else { continue };
            if !found.overlaps(range) {
                continue;
            }
            let closed = found.closed().filter(|closed| {
                closed.chunks.iter().any(|chunk| chunk.overlaps(range)) || !closed.late.is_empty()
            });
            let (open_min_ms, open_number, open_count) =
                found.open().map_or((0, 0, 0), |(min_ms, number, open)| (min_ms, number, open.len()));
            series.push(Pinned {
                labels: found.labels().clone(),
                closed: closed.cloned(),
                id: SeriesId(*id),
                open_min_ms,
                open_number,
                open_count,
            });
        }
        drop(cursor);
        Snapshot { pages, range, series }
    }

    pub(crate) fn count(&self) -> usize {
        self.series.len()
    }

    pub(crate) fn sort_by_labels(&mut self) {
        self.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
}

impl Pinned {
    /// The bytes of the chunk that was open, cut to the samples it had; `None` when there were none.
    fn open_bytes(&self, pages: &PageTable, range: TimeRange) -> Option<Vec<u8>> {
        if self.open_count == 0 || self.open_min_ms > range.max.millis() {
            return None;
        }
        let mut cursor = Cursor::new(pages);
        // A series that is gone was past the retention, and so were the samples of its open chunk.
        let series = cursor.get(self.id)?;
        let mut bytes = match series.open() {
            Some((_, number, open)) if number == self.open_number => open.bytes().to_vec(),
            _ => {
                let chunks = &series.closed()?.chunks;
                chunks.iter().find(|chunk| !chunk.late && chunk.min_ms == self.open_min_ms)?.bytes().to_vec()
            }
        };
        drop(cursor);
        // A chunk begins with its count; its first samples stay decodable whatever follows.
        bytes[..2].copy_from_slice(&self.open_count.to_be_bytes());
        Some(bytes)
    }

    fn read(&self, pages: &PageTable, range: TimeRange, out: &mut Samples) -> Result<(), ChunkError> {
        let (timestamps_ms, values) = out.floats_mut();
        // Are the pieces read so far in order, and where did the last one begin?
        let (mut in_order, mut begin) = (true, 0);
        let mut check = |timestamps_ms: &[i64]| {
            let boundary = begin;
            begin = timestamps_ms.len();
            if boundary > 0 && boundary < begin && timestamps_ms[boundary - 1] >= timestamps_ms[boundary] {
                in_order = false;
            }
        };
        if let Some(closed) = &self.closed {
            for chunk in closed.chunks.iter().filter(|chunk| chunk.overlaps(range)) {
                decode_range(chunk.bytes(), range, timestamps_ms, values)?;
                check(timestamps_ms);
            }
        }
        if let Some(open) = self.open_bytes(pages, range) {
            decode_range(&open, range, timestamps_ms, values)?;
            check(timestamps_ms);
        }
        if let Some(closed) = &self.closed {
            for (t_ms, value) in &closed.late {
                if range.min.millis() <= *t_ms && *t_ms <= range.max.millis() {
                    timestamps_ms.push(*t_ms);
                    values.push(*value);
                }
            }
            check(timestamps_ms);
        }
        if !in_order {
            sort(timestamps_ms, values);
        }
        Ok(())
    }
}

/// Brings the samples of overlapping chunks into order. Equal times hold equal values, so any of them may stay.
fn sort(timestamps_ms: &mut Vec<i64>, values: &mut Vec<f64>) {
    let mut both: Vec<(i64, f64)> = timestamps_ms.iter().copied().zip(values.iter().copied()).collect();
    both.sort_by_key(|(t_ms, _)| *t_ms);
    both.dedup_by_key(|(t_ms, _)| *t_ms);
    timestamps_ms.clear();
    values.clear();
    timestamps_ms.extend(both.iter().map(|(t_ms, _)| t_ms));
    values.extend(both.iter().map(|(_, value)| value));
}

impl SeriesSource for Snapshot {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].labels.clone()
    }

    /// A series is one run.
    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        out.clear();
        if resume.a > 0 {
            return Ok(false);
        }
        resume.a = 1;
        let series = &self.series[index];
        series.read(&self.pages, self.range, out).map_err(|error| {
            let message = format!("chunk of series {} does not decode", series.labels);
            StoreError::new(StoreErrorKind::Corrupt, message).caused_by(error)
        })?;
        Ok(!out.is_empty())
    }
}

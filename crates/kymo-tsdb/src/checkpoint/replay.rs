//! Replay: puts what the files say into the head. Saying it twice changes nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use kymo_model::{Labels, SampleValue};

use super::activity_record::read_activity;
use super::apply::Appliers;
use super::chunk_files::{ChunkFiles, ChunkTarget};
use super::gather::Gather;
use super::manifest::Manifest;
use super::spill::spill;
use crate::beside::BesideReplay;
use crate::chunks::{ChunkPlace, ChunkRecord, ChunkState, ChunkStore};
use crate::frame::Bytes;
use crate::head::{Cursor, Data, Head, SealedChunk, Second, histograms_of, is_sound};
use crate::index::SeriesId;
use crate::stats::ReplayReport;
use crate::wal::{RecordKind, Run, read_batch, read_definitions};

#[derive(Debug)]
pub(crate) struct Replay<'a> {
    head: &'a Head,
    pub(crate) report: ReplayReport,
    /// Series that were removed and made anew: their older id stands for both.
    aliases: HashMap<u32, u32>,
    /// 1 + the highest id that occurs anywhere.
    next_id: u32,
    /// Columns for reading a chunk, used again and again.
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
    histograms: Vec<(i64, SampleValue)>,
    unpacked: Vec<u8>,
    gather: Gather,
    appliers: &'a Appliers<'a>,
    beside: BesideReplay,
    pub(super) chunks: ChunkFiles,
    /// What the segment that is being read says of the one before it: number and bytes.
    pub(super) before: Option<(u64, u64)>,
    /// Not any more after a spill that failed: then what does not fit stays on the heap.
    spill: Option<SpillAt<'a>>,
    sync_failed: Option<String>,
}

/// When and where sealed chunks leave the heap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpillAt<'a> {
    pub(crate) target: &'a ChunkTarget,
    /// From so many on.
    pub(crate) bytes: u64,
}

/// What came of it.
pub(super) struct Replayed {
    pub(super) report: ReplayReport,
    pub(super) chunks: ChunkFiles,
    pub(super) sync_failed: Option<String>,
}

/// What a record added.
#[derive(Clone, Copy, Debug, Default)]
struct Added {
    samples: u64,
    chunks: u64,
    orphans: u64,
}

impl<'a> Replay<'a> {
    pub(super) fn new(head: &'a Head, appliers: &'a Appliers<'a>, spill: Option<SpillAt<'a>>) -> Replay<'a> {
        Replay {
            head,
            report: ReplayReport::default(),
            aliases: HashMap::new(),
            next_id: 0,
            timestamps_ms: Vec::new(),
            values: Vec::new(),
            histograms: Vec::new(),
            unpacked: Vec::new(),
            gather: Gather::default(),
            appliers,
            beside: BesideReplay::default(),
            chunks: ChunkFiles { next_number: 1, ..ChunkFiles::default() },
            before: None,
            spill,
            sync_failed: None,
        }
    }

    pub(super) fn store(&self) -> &Arc<ChunkStore> {
        &self.head.store
    }

    /// The end: everything that was read is in the head. No id that was used is used again.
    pub(super) fn finish(mut self, next_id: u32) -> Replayed {
        self.hand_over();
        self.apply_all();
        self.finish_beside();
        self.head.reserve_ids(self.next_id.max(next_id));
        Replayed { report: self.report, chunks: self.chunks, sync_failed: self.sync_failed }
    }

    fn finish_beside(&mut self) {
        let pages = self.head.pages();
        let mut cursor = Cursor::new(&pages);
        let labels = |id| cursor.get(canonical(&self.aliases, id)).map(|series| series.labels().clone());
        self.report.orphans += std::mem::take(&mut self.beside).finish(&self.head.beside, labels);
    }

    /// A record of a checkpoint.
    pub(crate) fn checkpoint(&mut self, payload: &[u8], manifest: &mut Option<Manifest>) -> Option<()> {
        match RecordKind::of(payload)? {
            (RecordKind::Definitions, bytes) => self.define_all(bytes),
            (RecordKind::Manifest, bytes) => {
                *manifest = Some(Manifest::read(bytes)?);
                Some(())
            }
            (RecordKind::ManifestV1, bytes) => {
                *manifest = Some(Manifest::read_v1(bytes)?);
                Some(())
            }
            (RecordKind::Chunk, bytes) => {
                let chunk = ChunkRecord::read(bytes)?;
                match chunk.state {
                    ChunkState::Open | ChunkState::LateBuffer => self.restore(chunk, None),
                    ChunkState::Sealed | ChunkState::SealedLate => None,
                }
            }
            (RecordKind::Activity, bytes) => self.activity(bytes),
            (RecordKind::KeptExemplars, bytes) => self.beside.kept_exemplars(&self.head.beside, bytes),
            (RecordKind::Metadata, bytes) => self.beside.metadata(&self.head.beside, bytes),
            (
                RecordKind::Batch | RecordKind::PackedBatch | RecordKind::Segment | RecordKind::Exemplars,
                _,
            ) => None,
        }
    }

    /// A record of a chunk file, at an offset.
    pub(crate) fn chunk(&mut self, payload: &[u8], file: u32, offset: u64) -> Option<()> {
        match RecordKind::of(payload)? {
            (RecordKind::Definitions, bytes) => self.define_all(bytes),
            (RecordKind::Chunk, bytes) => {
                let chunk = ChunkRecord::read(bytes)?;
                if let Some(file) = self.chunks.files.get_mut(&file) {
                    file.extend(chunk.min_ms, chunk.max_ms);
                }
                match chunk.state {
                    ChunkState::Sealed | ChunkState::SealedLate => {
                        self.restore(chunk, ChunkPlace::new(u64::from(file), offset))
                    }
                    ChunkState::Open | ChunkState::LateBuffer => None,
                }
            }
            _ => None,
        }
    }

    /// A record of the log.
    pub(crate) fn log(&mut self, payload: &[u8]) -> Option<()> {
        let (kind, mut bytes) = RecordKind::of(payload)?;
        if kind == RecordKind::Segment {
            self.before = Some((bytes.unsigned()?, bytes.unsigned()?));
            return Some(());
        }
        self.report.records += 1;
        match kind {
            RecordKind::Batch | RecordKind::PackedBatch => self.batch(kind, bytes),
            RecordKind::Exemplars => {
                let highest = self.beside.exemplars(&self.head.beside, bytes)?;
                self.next_id = self.next_id.max(highest.map_or(0, |id| id.0.saturating_add(1)));
                Some(())
            }
            RecordKind::Metadata => self.beside.metadata(&self.head.beside, bytes),
            _ => None,
        }
    }

    fn batch(&mut self, kind: RecordKind, bytes: Bytes<'_>) -> Option<()> {
        let mut head = std::mem::take(&mut self.unpacked);
        let read = self.batch_in(kind, bytes, &mut head);
        self.unpacked = head;
        read
    }

    fn batch_in(&mut self, kind: RecordKind, bytes: Bytes<'_>, head: &mut Vec<u8>) -> Option<()> {
        let mut new = Vec::new();
        let rows = read_batch(kind, bytes, head, |id| self.is_new(id), |id, labels| new.push((id, labels)));
        self.define(new);
        let rows = rows?;
        self.report.samples += rows.count;
        let Replay { aliases, gather, next_id, report, values, .. } = self;
        let read = rows.read(values, |run, values| {
            *next_id = (*next_id).max(run.first.0.saturating_add(values.len() as u32));
            if aliases.is_empty() {
                report.orphans += gather.add(run, values);
                return;
            }
            for at in 0..values.len() {
                let first = canonical(aliases, SeriesId(run.first.0 + at as u32));
                report.orphans += gather.add(Run { first, ..run }, values.part(at..at + 1));
            }
        });
        if self.gather.is_full() {
            self.hand_over();
        }
        read
    }

    fn hand_over(&mut self) {
        self.apply_all();
        let pages = self.gather.take(|| self.appliers.spare());
        self.appliers.hand_over(pages);
    }

    /// Everything that was handed over is applied. Only then is anything spilled, so that what is does not depend on what threads have
    /// done by then.
    fn apply_all(&mut self) {
        let appliers = self.appliers;
        appliers.finish(|| self.spill_if_due());
        self.spill_if_due();
    }

    fn spill_if_due(&mut self) {
        if let Some(SpillAt { target, bytes }) = self.spill
            && self.head.unspilled.bytes() >= bytes
            && spill(target, self.head, &mut self.chunks, &mut self.sync_failed).is_err()
        {
            self.spill = None;
        }
    }

    /// A series of which this is not said, and of which the log says nothing, is idle.
    fn activity(&mut self, bytes: Bytes<'_>) -> Option<()> {
        let pages = self.head.pages();
        let mut cursor = Cursor::new(&pages);
        let aliases = &self.aliases;
        read_activity(bytes, |id, idle_s| {
            if let Some(series) = cursor.get(canonical(aliases, id)) {
                series.touch(Second::before_opening(idle_s).max(series.written()));
            }
        })
    }

    fn define_all(&mut self, mut bytes: Bytes<'_>) -> Option<()> {
        let mut new = Vec::new();
        let read = read_definitions(&mut bytes, |id| self.is_new(id), |id, labels| new.push((id, labels)));
        self.define(new);
        read
    }

    fn is_new(&self, id: SeriesId) -> bool {
        id.0 != u32::MAX && !self.gather.knows(id) && !self.aliases.contains_key(&id.0)
    }

    /// Defines series that were new when they were read.
    fn define(&mut self, mut series: Vec<(SeriesId, Labels)>) {
        if !series.is_sorted_by(|(a, _), (b, _)| a < b) {
            // Of definitions of one id the first counts.
            series.sort_by_key(|(id, _)| *id);
            series.dedup_by_key(|(id, _)| *id);
        }
        let Some((last, _)) = series.last() else { return };
        self.next_id = self.next_id.max(last.0 + 1);
        let known = self.head.find_all(series.iter().map(|(_, labels)| Some(labels)));
        let mut known = known.into_iter();
        let mut new: HashMap<Labels, SeriesId> = HashMap::new();
        series.retain(|(id, labels)| {
            let known = known.next().flatten().or_else(|| new.get(labels).copied());
            match known {
                Some(other) => {
                    self.aliases.insert(id.0, other.0);
                }
                None => {
                    new.insert(labels.clone(), *id);
                    self.gather.define(*id);
                }
            }
            known.is_none()
        });
        self.head.create(&series);
    }

    /// `place` is where in a chunk file it lies, if it can be found again there.
    fn restore(&mut self, chunk: ChunkRecord<'_>, place: Option<ChunkPlace>) -> Option<()> {
        let count = self.decode(&chunk)?;
        self.report.chunks += 1;
        self.next_id = self.next_id.max(chunk.id.0.saturating_add(1));
        let pages = self.head.pages();
        let mut cursor = Cursor::new(&pages);
        let Some(series) = cursor.get(canonical(&self.aliases, chunk.id)) else {
            self.report.orphans += 1;
            return Some(());
        };
        let mut added = Added { samples: u64::from(count), chunks: 1, orphans: 0 };
        match chunk.state {
            ChunkState::Sealed | ChunkState::SealedLate => {
                let late = chunk.state == ChunkState::SealedLate;
                let ChunkRecord { min_ms, max_ms, encoding, data, .. } = chunk;
                if max_ms.checked_sub(min_ms).is_none_or(|span_ms| span_ms > SealedChunk::SPAN_MS_MAX) {
                    return None;
                }
                let place = place.map_or_else(|| Data::Heap(Arc::from(data)), Data::File);
                let times = (min_ms, max_ms);
                series.restore(SealedChunk::with_data(times, count, late, encoding, data.len(), place));
            }
            ChunkState::Open => {
                if !series.restore_open(chunk.min_ms, chunk.encoding, chunk.data) {
                    return None;
                }
            }
            ChunkState::LateBuffer => {
                added.chunks = 0;
                for (t_ms, value) in self.timestamps_ms.iter().zip(&self.values) {
                    added.chunks += series.push_late(*t_ms, SampleValue::Float(*value)) as u64;
                }
                for (t_ms, value) in std::mem::take(&mut self.histograms) {
                    added.chunks += series.push_late(t_ms, value) as u64;
                }
            }
        }
        let unspilled = series.unspilled_bytes();
        if unspilled > 0 {
            self.head.unspilled.add(&[canonical(&self.aliases, chunk.id)], unspilled as u64);
        }
        drop(cursor);
        self.head.extend_time(chunk.min_ms, chunk.max_ms);
        self.count(added);
        Some(())
    }

    /// Reads a chunk's samples into the columns; `None` when they are not what the record says of them. What is in the head
    /// has passed this, so that readers can rely on the times of a chunk. How many samples there are.
    fn decode(&mut self, chunk: &ChunkRecord<'_>) -> Option<u16> {
        let Replay { timestamps_ms, values, histograms, .. } = self;
        timestamps_ms.clear();
        values.clear();
        histograms.clear();
        if chunk.encoding.is_float() {
            kymo_chunk::decode(chunk.data, timestamps_ms, values).ok()?;
        } else {
            histograms.extend(histograms_of(chunk.encoding, chunk.data));
            if histograms.len() != usize::from(chunk.count()?)
                || !histograms.iter().all(|(_, value)| is_sound(value))
            {
                return None;
            }
            timestamps_ms.extend(histograms.iter().map(|(t_ms, _)| t_ms));
        }
        let as_said =
            timestamps_ms.first() == Some(&chunk.min_ms) && timestamps_ms.last() == Some(&chunk.max_ms);
        let increasing = timestamps_ms.windows(2).all(|pair| pair[0] < pair[1]);
        if as_said && increasing { chunk.count() } else { None }
    }

    fn count(&mut self, added: Added) {
        self.head.samples.fetch_add(added.samples, Relaxed);
        self.head.chunks.fetch_add(added.chunks, Relaxed);
        self.report.orphans += added.orphans;
    }
}

fn canonical(aliases: &HashMap<u32, u32>, id: SeriesId) -> SeriesId {
    if aliases.is_empty() { id } else { SeriesId(aliases.get(&id.0).copied().unwrap_or(id.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::apply::with_appliers;
    use crate::wal::put_definitions;
    use kymo_chunk::XorAppender;

    /// A find of the fuzz target: a whole record whose times are not those of its samples.
    #[test]
    fn a_chunk_that_is_not_what_its_record_says_is_refused() {
        let store = ChunkStore::new(Arc::new(crate::OsVfs), std::path::PathBuf::new());
        let head = Head::new(Arc::new(store));
        with_appliers(&head, 1, |appliers| refuse_wrong_chunks(Replay::new(&head, appliers, None)));
    }

    fn refuse_wrong_chunks(mut replay: Replay<'_>) {
        let mut definitions = vec![RecordKind::Definitions as u8];
        let labels = Labels::from_pairs([("__name__", "m")]);
        put_definitions(&mut definitions, [(SeriesId(0), &labels)].into_iter());
        assert_eq!(replay.checkpoint(&definitions, &mut None), Some(()));
        let mut data = XorAppender::new();
        data.push(0, 1.0);
        data.push(5, 1.0);
        for (min_ms, max_ms, expected) in [(32, 40, None), (0, 6, None), (0, 5, Some(()))] {
            let chunk = ChunkRecord {
                id: SeriesId(0),
                state: ChunkState::Open,
                encoding: kymo_chunk::Encoding::Xor,
                min_ms,
                max_ms,
                data: data.bytes(),
            };
            let mut payload = Vec::new();
            chunk.put(&mut payload);
            assert_eq!(replay.checkpoint(&payload, &mut None), expected, "{min_ms} to {max_ms}");
        }
    }
}

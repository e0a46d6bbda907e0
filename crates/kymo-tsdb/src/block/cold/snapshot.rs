//! ColdSnapshot: what a select found in a cold block. Labels and places of columns are pinned; columns are read series by series,
//! straight into the caller's.

use std::sync::Arc;

use kymo_chunk::cold::{decode_values, sample_count};
use kymo_model::{Labels, Resume, Samples, Selector, SeriesSource, StoreError, TimeRange, Values};

use super::super::error::BlockError;
use super::super::index::ChunkMeta;
use super::super::snapshot::{append_chunk, bury};
use super::reader::ColdInner;
use super::record::{self, Kind, RECORD_BYTES_GUESS, Record, ValuesColumn};

/// Columns of a series that lie this close together are read at once.
const RUN_BYTES_MAX: u64 = 4 << 20;

pub(super) struct ColdSnapshot {
    block: Arc<ColdInner>,
    range: TimeRange,
    series: Vec<Pinned>,
    /// The columns of all series.
    columns: Vec<ChunkMeta>,
}

struct Pinned {
    labels: Labels,
    number: u64,
    /// Where its columns end in the list of all.
    columns_end: usize,
}

impl ColdSnapshot {
    pub(super) fn pin(block: Arc<ColdInner>, wanted: &Selector) -> Result<ColdSnapshot, BlockError> {
        let (mut series, mut columns) = (Vec::new(), Vec::new());
        if let Some(tables) = block.block.tables_if_any(&wanted.cancel)? {
            block.block.for_each_match(&tables, (&wanted.matchers, &wanted.cancel), |number, entry| {
                let before = columns.len();
                columns.extend(entry.chunks.iter().filter(|column| column.overlaps(wanted.range)));
                if columns.len() > before {
                    series.push(Pinned { labels: entry.labels, number, columns_end: columns.len() });
                }
            })?;
        }
        Ok(ColdSnapshot { block, range: wanted.range, series, columns })
    }

    fn columns(&self, index: usize) -> &[ChunkMeta] {
        let start = index.checked_sub(1).map_or(0, |before| self.series[before].columns_end);
        &self.columns[start..self.series[index].columns_end]
    }
}

impl ColdInner {
    /// Reads columns from the first on as long as they are of one kind; how many they were. Damage is noted and passed over.
    pub(super) fn read_run(
        &self,
        columns: &[ChunkMeta],
        range: TimeRange,
        out: &mut Samples,
    ) -> Result<usize, BlockError> {
        let Some(first) = columns.first() else { return Ok(0) };
        let close = |column: &&ChunkMeta| column.reference.wrapping_sub(first.reference) < RUN_BYTES_MAX;
        let last = columns.iter().take_while(close).last().map_or(first.reference, |last| last.reference);
        let length = (last - first.reference) as usize + RECORD_BYTES_GUESS;
        let bytes = self.columns.read_some(first.reference, length)?;
        let (mut kind, mut owned) = (None, Vec::new());
        for (at, column) in columns.iter().enumerate() {
            let inside = column.reference.wrapping_sub(first.reference);
            let there = usize::try_from(inside).ok().and_then(|inside| bytes.get(inside..)).unwrap_or(&[]);
            let far;
            let there = if there.is_empty() {
                far = self.columns.read_some(column.reference, RECORD_BYTES_GUESS)?;
                &far
            } else {
                there
            };
            let read = record::read(&self.columns, column.reference, there, &mut owned).and_then(|record| {
                let is_float = is_float(record.kind);
                if *kind.get_or_insert(is_float) != is_float {
                    return Ok(false);
                }
                self.append(column, record, range, out).map(|()| true)
            });
            match read {
                Ok(true) => {}
                Ok(false) => return Ok(at),
                Err(error) => self.block.note_error(error.missing(column))?,
            }
        }
        Ok(columns.len())
    }

    /// Appends the samples of a column inside a range; or nothing, when something is wrong with it.
    pub(super) fn append(
        &self,
        column: &ChunkMeta,
        record: Record<'_>,
        range: TimeRange,
        out: &mut Samples,
    ) -> Result<(), BlockError> {
        let before = out.len();
        let read = match record.kind {
            Kind::Values => self.append_values(column, record.body, range, out),
            Kind::Chunk(encoding) => append_chunk(column, (encoding, record.body), range, out)
                .map_err(|fault| self.damaged(column, fault)),
            Kind::Times => Err(self.damaged(column, "expected values, found timestamps")),
        };
        let behind = before == 0
            || out.timestamps_ms.get(before).is_none_or(|first| out.timestamps_ms[before - 1] < *first);
        let read = match behind {
            true => read,
            false => Err(self.damaged(column, "expected samples behind those before, found them before")),
        };
        if read.is_err() {
            truncate(out, before);
        }
        read
    }

    fn append_values(
        &self,
        column: &ChunkMeta,
        body: &[u8],
        range: TimeRange,
        out: &mut Samples,
    ) -> Result<(), BlockError> {
        let bad = |error: kymo_chunk::cold::ColdError| {
            self.damaged(column, format!("values do not decode: {error}"))
        };
        let ValuesColumn { times, start, values } = ValuesColumn::parse(body)
            .ok_or_else(|| self.damaged(column, "expected a reference to timestamps, found the end"))?;
        let count = sample_count(values).map_err(bad)?;
        let all = self.times(times)?;
        let Some(times) = start.checked_add(count).and_then(|end| all.get(start..end)) else {
            let message = format!(
                "expected {count} timestamps from number {start} on at offset {times} of the timestamps, found {}",
                all.len()
            );
            return Err(self.damaged(column, message));
        };
        let from = times.partition_point(|t_ms| *t_ms < range.min.millis());
        let to = from + times[from..].partition_point(|t_ms| *t_ms <= range.max.millis());
        if out.is_empty() {
            out.floats_mut();
        }
        let Values::Floats(floats) = &mut out.values else { return Ok(()) };
        out.timestamps_ms.extend_from_slice(&times[from..to]);
        if !out.start_timestamps_ms.is_empty() {
            out.start_timestamps_ms.resize(out.timestamps_ms.len(), 0);
        }
        decode_values(values, from..to, floats).map_err(bad)
    }

    pub(super) fn damaged(&self, column: &ChunkMeta, message: impl Into<String>) -> BlockError {
        self.columns.damaged(column.reference, message)
    }
}

pub(super) fn is_float(kind: Kind) -> bool {
    match kind {
        Kind::Chunk(encoding) => encoding.is_float(),
        Kind::Times | Kind::Values => true,
    }
}

fn truncate(out: &mut Samples, length: usize) {
    out.timestamps_ms.truncate(length);
    out.start_timestamps_ms.truncate(length);
    match &mut out.values {
        Values::Floats(values) => values.truncate(length),
        Values::Histograms(values) => values.truncate(length),
    }
}

impl SeriesSource for ColdSnapshot {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].labels.clone()
    }

    /// A series is one run, unless floats and histograms take turns.
    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        out.clear();
        let columns = self.columns(index);
        loop {
            let from = resume.a as usize;
            let rest = columns.get(from..).unwrap_or(&[]);
            let read = self.block.read_run(rest, self.range, out)?;
            if read == 0 {
                out.clear();
                return Ok(false);
            }
            resume.a += read as u64;
            // Runs lie behind one another, whatever the index says.
            let last = out.timestamps_ms.first().copied().filter(|_| resume.b > 0);
            if last.is_some_and(|first| (first as u64 ^ 1 << 63) < resume.b) {
                let message = "expected samples behind those before, found them before";
                self.block.block.note_error(self.block.damaged(&columns[from], message))?;
                out.clear();
                continue;
            }
            if let Some(last) = out.timestamps_ms.last() {
                resume.b = (*last as u64 ^ 1 << 63).saturating_add(1);
            }
            bury(self.block.block.tombstones.of(self.series[index].number), out);
            if !out.is_empty() {
                return Ok(true);
            }
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.block.block.warnings()
    }
}

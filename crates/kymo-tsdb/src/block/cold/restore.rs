//! Restore: a cold block becomes a block of Prometheus' again, the same samples to the bit, less what was deleted since.

use std::path::Path;
use std::sync::Arc;

use kymo_model::{Samples, TimeRange, Values};

use super::super::compact::{CompactError, Compacted};
use super::super::encode::for_each_row;
use super::super::encode::{EncodedChunk, Row, RowValue, encode};
use super::super::error::{BlockDamage, BlockError};
use super::super::index::ChunkMeta;
use super::super::meta::{BlockCompaction, BlockMeta, BlockParent};
use super::super::reader::Block;
use super::super::tombstones::Interval;
use super::super::ulid::Ulid;
use super::super::write::{BlockOrigin, BlockWriter, BlockWriterOptions};
use super::reader::{ColdBlock, ColdInner};
use super::record::{self, Kind};
use crate::vfs::Vfs;

/// Makes a block of a cold one in the directory `parent`, which may be the cold one's own: it names the cold block as its parent,
/// so that only one of them counts. Removing the cold one is for the caller.
pub fn to_block(
    vfs: &Arc<dyn Vfs>,
    parent: &Path,
    ulid: Ulid,
    cold: &ColdBlock,
    options: BlockWriterOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Compacted, CompactError> {
    to_block_while(vfs, parent, ulid, cold, options, &mut |done, total| {
        progress(done, total);
        true
    })
}

/// The same, as long as `go_on` says so.
pub(in super::super) fn to_block_while(
    vfs: &Arc<dyn Vfs>,
    parent: &Path,
    ulid: Ulid,
    cold: &ColdBlock,
    options: BlockWriterOptions,
    go_on: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Compacted, CompactError> {
    let mut writer = BlockWriter::create(vfs.clone(), parent, ulid, options)?;
    let mut damage = Vec::new();
    match copy(&mut writer, cold, &mut damage, go_on) {
        Ok(()) if writer.stats().num_series == 0 => {
            writer.discard()?;
            Ok(Compacted { meta: None, damage })
        }
        Ok(()) => Ok(Compacted { meta: Some(writer.finish(origin(cold.meta()))?), damage }),
        Err(error) => {
            drop(writer.discard());
            Err(error)
        }
    }
}

fn origin(meta: &BlockMeta) -> BlockOrigin {
    let BlockMeta { ulid, min_time_ms, max_time_ms, compaction, .. } = meta;
    let parent = BlockParent { ulid: *ulid, min_time_ms: *min_time_ms, max_time_ms: *max_time_ms };
    let compaction = BlockCompaction { parents: vec![parent], ..compaction.clone() };
    BlockOrigin { range_ms: Some((*min_time_ms, *max_time_ms)), compaction }
}

fn copy(
    writer: &mut BlockWriter,
    cold: &ColdBlock,
    damage: &mut Vec<BlockDamage>,
    go_on: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<(), CompactError> {
    /// How often progress is told.
    const SERIES_PER_REPORT: u64 = 1024;
    let total = cold.meta().stats.num_series;
    let mut tell = |done| if go_on(done, total) { Ok(()) } else { Err(CompactError::Stopped) };
    let (mut done, mut chunks) = (0, Vec::new());
    for series in cold.series()? {
        done += 1;
        if done % SERIES_PER_REPORT == 0 {
            tell(done)?;
        }
        let series = match series {
            Ok(series) => series,
            Err(error) => {
                note(damage, error)?;
                continue;
            }
        };
        chunks.clear();
        cold.inner.chunks_of(&series.chunks, cold.tombstones().of(series.number), &mut chunks, damage)?;
        if !chunks.is_empty() {
            let borrowed: Vec<_> = chunks.iter().map(EncodedChunk::borrowed).collect();
            writer.add_series(&series.labels, &borrowed)?;
        }
    }
    tell(done)
}

fn note(damage: &mut Vec<BlockDamage>, error: BlockError) -> Result<(), BlockError> {
    let found = error.into_damage()?;
    if damage.len() < Block::DAMAGE_MAX {
        damage.push(found);
    }
    Ok(())
}

impl ColdInner {
    /// The columns of a series as chunks. A chunk that was kept as it was, and of which nothing was deleted, still is.
    fn chunks_of(
        &self,
        columns: &[ChunkMeta],
        deleted: &[Interval],
        chunks: &mut Vec<EncodedChunk>,
        damage: &mut Vec<BlockDamage>,
    ) -> Result<(), BlockError> {
        let (mut rows, mut samples) = (Vec::new(), Samples::new());
        for column in columns {
            let (mut bytes, mut owned) = (Vec::new(), Vec::new());
            let before = rows.len();
            let read =
                record::read_at(&self.columns, column.reference, &mut bytes, &mut owned).and_then(|record| {
                    let Kind::Chunk(encoding) = record.kind else {
                        samples.clear();
                        self.append(column, record, TimeRange::ALL, &mut samples)?;
                        push_floats(&samples, &mut rows);
                        return Ok(());
                    };
                    let ChunkMeta { min_ms, max_ms, .. } = *column;
                    let touched =
                        deleted.iter().any(|interval| interval.min_ms <= max_ms && min_ms <= interval.max_ms);
                    if touched {
                        let read = for_each_row(encoding, record.body, |row| rows.push(row));
                        return read.map_err(|error| {
                            self.damaged(column, format!("chunk does not decode: {error}"))
                        });
                    }
                    flush(&mut rows, deleted, chunks);
                    chunks.push(EncodedChunk { min_ms, max_ms, encoding, data: record.body.to_vec() });
                    Ok(())
                });
            if let Err(error) = read {
                rows.truncate(before);
                note(damage, error)?;
            }
        }
        flush(&mut rows, deleted, chunks);
        Ok(())
    }
}

fn push_floats(samples: &Samples, rows: &mut Vec<Row>) {
    if let Values::Floats(values) = &samples.values {
        let pairs = samples.timestamps_ms.iter().zip(values);
        rows.extend(pairs.map(|(t_ms, value)| Row {
            t_ms: *t_ms,
            start_ms: 0,
            value: RowValue::Float(*value),
        }));
    }
}

/// Encodes what was not deleted.
fn flush(rows: &mut Vec<Row>, deleted: &[Interval], chunks: &mut Vec<EncodedChunk>) {
    rows.retain(|row| {
        !deleted.iter().any(|interval| (interval.min_ms..=interval.max_ms).contains(&row.t_ms))
    });
    encode(rows, chunks);
    rows.clear();
}

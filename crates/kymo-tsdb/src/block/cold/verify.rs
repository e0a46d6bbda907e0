//! Verify: every checksum and every invariant of a cold block, with a word on what is wrong where.

use std::cell::Cell;
use std::collections::HashSet;

use kymo_model::{Samples, StoreError, StoreErrorKind, TimeRange};

use super::super::error::BlockError;
use super::super::index::ChunkMeta;
use super::super::series::BlockSeries;
use super::super::verify::{BlockReport, check_samples, verify_index};
use super::reader::{ColdBlock, ColdInner, read_times};
use super::record::{self, Kind, ValuesColumn};
use crate::progress::Progress;

/// Reads all of a cold block, as [`verify_block`](super::super::verify_block) does of a block: the chunks it counts are columns.
/// Timestamps that only their copy still has are damage, too.
pub fn verify(block: &ColdBlock) -> Result<BlockReport, BlockError> {
    verify_telling(block, &mut |_| ())
}

/// The same, and `progress` is told, now and then, how many series were read.
pub fn verify_telling(
    block: &ColdBlock,
    progress: &mut dyn FnMut(Progress),
) -> Result<BlockReport, BlockError> {
    verify_while(block, &mut |now| {
        progress(now);
        true
    })
}

/// The same, as long as `go_on` says so; then it ends with [`BlockError::Canceled`].
pub(super) fn verify_while(
    block: &ColdBlock,
    go_on: &mut dyn FnMut(Progress) -> bool,
) -> Result<BlockReport, BlockError> {
    let inner = &*block.inner;
    let mut report = BlockReport::default();
    for file in [Some(&inner.columns), Some(&inner.times), inner.times_copy.as_ref()].into_iter().flatten() {
        if let Err(error) = record::check_header(file) {
            report.note_error(error)?;
        }
    }
    let mut checked_times = HashSet::new();
    let mut samples = Samples::new();
    let stopped = Cell::new(false);
    let columns = |series: &BlockSeries, report: &mut BlockReport| {
        if stopped.get() {
            let message = "the verification was stopped";
            return Err(StoreError::new(StoreErrorKind::Canceled, message).into());
        }
        for column in &series.chunks {
            match verify_column(inner, column, &mut checked_times, &mut samples, report) {
                Ok(count) => {
                    report.chunks += 1;
                    report.samples += count;
                }
                Err(BlockError::Damaged(mut damage)) => {
                    damage.message.push_str(&format!(", in {}", series.labels));
                    report.note(damage);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    verify_index(&inner.block, &mut report, columns, &mut |now| stopped.set(stopped.get() || !go_on(now)))?;
    Ok(report)
}

/// How many samples a column has.
fn verify_column(
    inner: &ColdInner,
    column: &ChunkMeta,
    checked_times: &mut HashSet<u64>,
    samples: &mut Samples,
    report: &mut BlockReport,
) -> Result<u64, BlockError> {
    let (mut bytes, mut owned) = (Vec::new(), Vec::new());
    let record = record::read_at(&inner.columns, column.reference, &mut bytes, &mut owned)?;
    if let Kind::Chunk(encoding) = record.kind {
        return check_samples(column, (encoding, record.body))
            .map_err(|message| inner.damaged(column, message));
    }
    if let Some(ValuesColumn { times, .. }) = ValuesColumn::parse(record.body)
        && record.kind == Kind::Values
        && checked_times.insert(times)
    {
        // Both, whether reading needs the copy or not.
        for file in [Some(&inner.times), inner.times_copy.as_ref()].into_iter().flatten() {
            if let Err(error) = read_times(file, times) {
                report.note_error(error)?;
            }
        }
    }
    samples.clear();
    inner.append(column, record, TimeRange::ALL, samples)?;
    let (first, last) = (samples.timestamps_ms.first().copied(), samples.timestamps_ms.last().copied());
    if first != Some(column.min_ms) || last != Some(column.max_ms) {
        let ChunkMeta { min_ms, max_ms, .. } = column;
        let message = format!("expected samples from {min_ms} to {max_ms}, found {first:?} to {last:?}");
        return Err(inner.damaged(column, message));
    }
    Ok(samples.len() as u64)
}

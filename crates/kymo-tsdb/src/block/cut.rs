//! Cut: what a store selects becomes the series of a block. Between anything that can be queried and the writer.

use kymo_model::{Samples, SeriesSet, StoreError, Values};

use super::encode::{Row, RowValue, encode};
use super::error::WriteBlockError;
use super::write::BlockWriter;
use crate::progress::{Progress, ProgressUnit, STEP_SERIES, Work};

/// Why selected series could not be written. The block is of no use then; discard it.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// The store could not give the samples.
    #[error("cannot read: {0}")]
    Read(#[from] StoreError),
    /// The block could not be written.
    #[error(transparent)]
    Write(#[from] WriteBlockError),
}

/// Adds series with their samples to a block, encoded anew. They must come in order of labels, as a select with the hint
/// `ordered` gives them; series without samples are left out. Native histograms become those of float counts, which is what
/// stores give out. What the set could not read is left out; [`SeriesSet::warnings`] tells of it afterwards. `progress` is told how many of how many series are done, now and then.
///
/// ```
/// use std::sync::Arc;
/// use kymo_model::{Append, Batch, Labels, MemoryStore, Queryable, Selector, TimeRange, Timestamp};
/// use kymo_tsdb::{OsVfs, block::{BlockOrigin, BlockWriter, BlockWriterOptions, Ulid, write_select}};
///
/// let store = MemoryStore::default();
/// let mut batch = Batch::new();
/// batch.push(Labels::from_pairs([("__name__", "up")]), Timestamp::from_millis(1000), 1.0);
/// store.append(&batch)?;
/// let mut wanted = Selector::new(Vec::new(), TimeRange::from_millis(0, 7_199_999));
/// wanted.hints.ordered = true;
///
/// # let dir = std::env::temp_dir().join(format!("kymo-cut-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// let mut writer = BlockWriter::create(Arc::new(OsVfs), &dir, Ulid::generate(0), BlockWriterOptions::default())?;
/// write_select(&mut writer, &store.select(&wanted)?, &mut |_| ())?;
/// let origin = BlockOrigin { range_ms: Some((0, 7_200_000)), ..BlockOrigin::default() };
/// assert_eq!(writer.finish(origin)?.stats.num_samples, 1);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_select(
    writer: &mut BlockWriter,
    set: &SeriesSet,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), CutError> {
    let total = set.len() as u64;
    let mut tell = |done| progress(Progress { what: Work::Writing, unit: ProgressUnit::Series, done, total });
    let (mut samples, mut rows, mut chunks) = (Samples::new(), Vec::new(), Vec::new());
    for (done, series) in set.iter().enumerate() {
        if (done as u64).is_multiple_of(STEP_SERIES) {
            tell(done as u64);
        }
        rows.clear();
        chunks.clear();
        let mut reader = series.reader();
        while reader.read(&mut samples)? {
            let start_ms = |at: usize| samples.start_timestamps_ms.get(at).copied().unwrap_or(0);
            for (at, t_ms) in samples.timestamps_ms.iter().enumerate() {
                let value = match &samples.values {
                    Values::Floats(values) => RowValue::Float(values[at]),
                    Values::Histograms(values) => RowValue::FloatHistogram((*values[at]).clone()),
                };
                rows.push(Row { t_ms: *t_ms, start_ms: start_ms(at), value });
            }
        }
        encode(&rows, &mut chunks);
        if !chunks.is_empty() {
            let borrowed: Vec<_> = chunks.iter().map(|chunk| chunk.borrowed()).collect();
            writer.add_series(&series.labels(), &borrowed)?;
        }
    }
    tell(total);
    Ok(())
}

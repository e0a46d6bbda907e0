//! Batch decoding of histogram chunks into the caller's columns. Read path, before merge.

use std::sync::Arc;

use kymo_model::{FloatHistogram, TimeRange};

use super::iter::HistogramIter;
use crate::{ChunkError, Encoding};

/// Appends the histograms of a chunk inside `range` to two columns, as PromQL computes with them; and their start
/// timestamps to a third, if the encoding has them (0 where unknown). Reading stops at the first sample behind the range.
///
/// On an error the columns are as they were before.
///
/// ```
/// use kymo_chunk::{Encoding, HistogramAppender, decode_histograms};
/// use kymo_model::{Histogram, TimeRange};
/// let mut chunk = HistogramAppender::new();
/// let _ = chunk.push(1000, &Histogram { count: 2, zero_count: 2, ..Histogram::default() });
/// let (mut timestamps_ms, mut histograms, mut starts_ms) = (Vec::new(), Vec::new(), Vec::new());
/// let columns = (&mut timestamps_ms, &mut histograms, &mut starts_ms);
/// decode_histograms(Encoding::Histogram, chunk.bytes(), TimeRange::ALL, columns)?;
/// assert_eq!((timestamps_ms, histograms[0].count, starts_ms), (vec![1000], 2.0, vec![]));
/// # Ok::<(), kymo_chunk::ChunkError>(())
/// ```
pub fn decode_histograms(
    encoding: Encoding,
    bytes: &[u8],
    range: TimeRange,
    (timestamps_ms, histograms, starts_ms): (&mut Vec<i64>, &mut Vec<Arc<FloatHistogram>>, &mut Vec<i64>),
) -> Result<(), ChunkError> {
    let mut samples = HistogramIter::new(encoding, bytes)?;
    let before = (timestamps_ms.len(), histograms.len(), starts_ms.len());
    while let Some(advanced) = samples.advance() {
        match advanced {
            Ok(t_ms) if t_ms > range.max.millis() => break,
            Ok(t_ms) if t_ms >= range.min.millis() => {
                timestamps_ms.push(t_ms);
                histograms.push(Arc::new(samples.float_value()));
                if encoding.has_starts() {
                    starts_ms.push(samples.start_ms());
                }
            }
            Ok(_) => {}
            Err(error) => {
                timestamps_ms.truncate(before.0);
                histograms.truncate(before.1);
                starts_ms.truncate(before.2);
                return Err(error);
            }
        }
    }
    Ok(())
}

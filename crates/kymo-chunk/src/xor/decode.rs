//! Batch decoding: a whole chunk into the caller's columns. Read path, before merge.

use kymo_model::TimeRange;

use super::iter::XorIter;
use crate::ChunkError;

/// Appends the samples of a chunk to two columns.
///
/// On an error the columns are as they were before; [`XorIter`] gives the samples before the damage.
///
/// ```
/// let mut chunk = kymo_chunk::XorAppender::new();
/// chunk.push(1000, 2.5);
/// let (mut timestamps_ms, mut values) = (vec![0], vec![0.0]);
/// kymo_chunk::decode(chunk.bytes(), &mut timestamps_ms, &mut values)?;
/// assert_eq!((timestamps_ms, values), (vec![0, 1000], vec![0.0, 2.5]));
/// # Ok::<(), kymo_chunk::ChunkError>(())
/// ```
pub fn decode(bytes: &[u8], timestamps_ms: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<(), ChunkError> {
    decode_range(bytes, TimeRange::ALL, timestamps_ms, values)
}

/// As [`decode`], only the samples inside `range`. Reading stops at the first sample after it, so damage behind that
/// sample is not noticed.
pub fn decode_range(
    bytes: &[u8],
    range: TimeRange,
    timestamps_ms: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<(), ChunkError> {
    let (old_timestamps, old_values) = (timestamps_ms.len(), values.len());
    for sample in XorIter::new(bytes)? {
        match sample {
            Ok((t_ms, _)) if t_ms > range.max.millis() => break,
            Ok((t_ms, value)) if t_ms >= range.min.millis() => {
                timestamps_ms.push(t_ms);
                values.push(value);
            }
            Ok(_) => {}
            Err(error) => {
                timestamps_ms.truncate(old_timestamps);
                values.truncate(old_values);
                return Err(error);
            }
        }
    }
    Ok(())
}

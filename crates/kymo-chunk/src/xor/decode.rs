//! Batch decoding: a whole chunk into the caller's columns. Read path, before merge.
//!
//! The fast reading lives in `batch`. It only says that something is wrong; what and where is then found by reading again
//! with [`XorIter`], so that both agree on every chunk and every error.

use kymo_model::TimeRange;

use super::batch::{Batch, Fault};
use super::iter::XorIter;
use crate::ChunkError;

/// How many samples [`decode_range`] reads before it looks at the range again.
const RANGE_BLOCK: usize = 32;

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
    let (old_timestamps, old_values) = (timestamps_ms.len(), values.len());
    let decoded = Batch::new(bytes).and_then(|mut batch| {
        timestamps_ms.resize(old_timestamps + batch.left(), 0);
        values.resize(old_values + batch.left(), 0.0);
        batch.read(&mut timestamps_ms[old_timestamps..], &mut values[old_values..])?;
        batch.finish()
    });
    decoded.or_else(|Fault| {
        timestamps_ms.truncate(old_timestamps);
        values.truncate(old_values);
        decode_slowly(bytes, TimeRange::ALL, timestamps_ms, values)
    })
}

/// As [`decode`], only the samples inside `range`. Reading stops soon after the first sample behind it, so damage beyond
/// that sample is not noticed.
///
/// ```
/// use kymo_model::TimeRange;
/// let mut chunk = kymo_chunk::XorAppender::new();
/// (0..100).for_each(|i| chunk.push(i * 1000, i as f64));
/// let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
/// kymo_chunk::decode_range(chunk.bytes(), TimeRange::from_millis(4000, 5500), &mut timestamps_ms, &mut values)?;
/// assert_eq!((timestamps_ms, values), (vec![4000, 5000], vec![4.0, 5.0]));
/// # Ok::<(), kymo_chunk::ChunkError>(())
/// ```
pub fn decode_range(
    bytes: &[u8],
    range: TimeRange,
    timestamps_ms: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<(), ChunkError> {
    let (old_timestamps, old_values) = (timestamps_ms.len(), values.len());
    decode_blocks(bytes, range, timestamps_ms, values).or_else(|Fault| {
        timestamps_ms.truncate(old_timestamps);
        values.truncate(old_values);
        decode_slowly(bytes, range, timestamps_ms, values)
    })
}

fn decode_blocks(
    bytes: &[u8],
    range: TimeRange,
    timestamps_ms: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<(), Fault> {
    let (min_ms, max_ms) = (range.min.millis(), range.max.millis());
    let mut batch = Batch::new(bytes)?;
    while batch.left() > 0 {
        let (t_start, v_start) = (timestamps_ms.len(), values.len());
        let block = batch.left().min(RANGE_BLOCK);
        timestamps_ms.resize(t_start + block, 0);
        values.resize(v_start + block, 0.0);
        batch.read(&mut timestamps_ms[t_start..], &mut values[v_start..])?;

        let times_ms = &timestamps_ms[t_start..];
        if times_ms.iter().fold(true, |inside, t_ms| inside & (min_ms <= *t_ms) & (*t_ms <= max_ms)) {
            continue;
        }
        let end = times_ms.iter().position(|t_ms| *t_ms > max_ms);
        let mut kept = 0;
        for at in 0..end.unwrap_or(block) {
            if timestamps_ms[t_start + at] >= min_ms {
                timestamps_ms[t_start + kept] = timestamps_ms[t_start + at];
                values[v_start + kept] = values[v_start + at];
                kept += 1;
            }
        }
        timestamps_ms.truncate(t_start + kept);
        values.truncate(v_start + kept);
        if end.is_some() {
            break;
        }
    }
    batch.finish()
}

#[cold]
fn decode_slowly(
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

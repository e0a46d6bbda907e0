//! Batch decoding of any chunk of floats. Read path, before merge.

use kymo_model::TimeRange;

use crate::{ChunkError, ChunkErrorKind, Encoding, Xor2Iter, decode, decode_range};

/// Appends the samples of a chunk inside `range` to two columns, and their start timestamps to a third, if the encoding has
/// them (0 where unknown). As [`decode_range`], of which this is the general form.
///
/// ```
/// use kymo_chunk::{Encoding, XorAppender, decode_floats};
/// let mut chunk = XorAppender::new();
/// chunk.push(1000, 2.5);
/// let (mut timestamps_ms, mut values, mut starts_ms) = (Vec::new(), Vec::new(), Vec::new());
/// let columns = (&mut timestamps_ms, &mut values, &mut starts_ms);
/// decode_floats(Encoding::Xor, chunk.bytes(), kymo_model::TimeRange::ALL, columns)?;
/// assert_eq!((timestamps_ms, values, starts_ms), (vec![1000], vec![2.5], vec![]));
/// # Ok::<(), kymo_chunk::ChunkError>(())
/// ```
pub fn decode_floats(
    encoding: Encoding,
    bytes: &[u8],
    range: TimeRange,
    (timestamps_ms, values, starts_ms): (&mut Vec<i64>, &mut Vec<f64>, &mut Vec<i64>),
) -> Result<(), ChunkError> {
    match encoding {
        Encoding::Xor if range == TimeRange::ALL => return decode(bytes, timestamps_ms, values),
        Encoding::Xor => return decode_range(bytes, range, timestamps_ms, values),
        Encoding::Xor2 => {}
        _ => {
            let kind = ChunkErrorKind::NotFloats { found: encoding };
            return Err(ChunkError { kind, bit_offset: 0, sample: 0 });
        }
    }
    let before = (timestamps_ms.len(), values.len(), starts_ms.len());
    for sample in Xor2Iter::new(bytes)? {
        match sample {
            Ok(sample) if sample.t_ms > range.max.millis() => break,
            Ok(sample) if sample.t_ms >= range.min.millis() => {
                timestamps_ms.push(sample.t_ms);
                values.push(sample.value);
                starts_ms.push(sample.start_ms);
            }
            Ok(_) => {}
            Err(error) => {
                timestamps_ms.truncate(before.0);
                values.truncate(before.1);
                starts_ms.truncate(before.2);
                return Err(error);
            }
        }
    }
    Ok(())
}

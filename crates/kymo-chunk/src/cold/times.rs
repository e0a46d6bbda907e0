//! Times: a column of timestamps in milliseconds. Regular ones with a little jitter cost the jitter.
//!
//! ```text
//! times   count:unsigned   integers
//! ```

use std::ops::Range;

use super::bytes::{Bytes, put_unsigned};
use super::integers::{Form, Planned, Reader};
use super::pack::GROUP;
use super::{COLUMN_SAMPLES_MAX, ColdError, ColdErrorKind};

/// Appends a column of timestamps to `out`.
///
/// ```
/// let times: Vec<i64> = (0..2000).map(|i| 1_600_000_000_000 + 15_000 * i + i % 3).collect();
/// let (mut column, mut read) = (Vec::new(), Vec::new());
/// kymo_chunk::cold::encode_times(&times, &mut column);
/// assert!(column.len() < times.len() / 3);
/// kymo_chunk::cold::decode_times(&column, 1000..1500, &mut read)?;
/// assert_eq!(read, times[1000..1500]);
/// # Ok::<(), kymo_chunk::cold::ColdError>(())
/// ```
///
/// # Panics
///
/// When there are more than [`COLUMN_SAMPLES_MAX`].
pub fn encode_times(timestamps_ms: &[i64], out: &mut Vec<u8>) {
    assert!(timestamps_ms.len() <= COLUMN_SAMPLES_MAX, "BUG: a column of {} samples", timestamps_ms.len());
    put_unsigned(out, timestamps_ms.len() as u64);
    Planned::of(timestamps_ms.to_vec(), Form::TIMES).write(out);
}

/// Appends the timestamps of a column in a range of places to `out`. Nothing may follow the column; on an error `out` is as it
/// was. Damage behind the range is not noticed.
pub fn decode_times(bytes: &[u8], wanted: Range<usize>, out: &mut Vec<i64>) -> Result<(), ColdError> {
    let (count, rest) = begin(bytes, &wanted)?;
    let before = out.len();
    let mut reader = Reader::begin(rest, count)?;
    let mut numbers = [0; GROUP];
    let mut from = 0;
    while from < wanted.end {
        let read = reader.group(&mut numbers).inspect_err(|_| out.truncate(before))?;
        let taken = wanted.start.saturating_sub(from).min(read)..(wanted.end - from).min(read);
        out.extend_from_slice(&numbers[taken]);
        from += read;
    }
    if from == count {
        reader.rest().finish().inspect_err(|_| out.truncate(before))?;
    }
    Ok(())
}

/// How many samples a column says it has.
pub fn sample_count(bytes: &[u8]) -> Result<usize, ColdError> {
    begin(bytes, &(0..0)).map(|(count, _)| count)
}

/// The count of samples, if the range is inside them, and what follows it.
pub(super) fn begin<'a>(bytes: &'a [u8], wanted: &Range<usize>) -> Result<(usize, Bytes<'a>), ColdError> {
    let mut bytes = Bytes::over(bytes);
    let start = bytes;
    let count = bytes.unsigned("the number of samples")?;
    if count > COLUMN_SAMPLES_MAX as u64 {
        return Err(start.unexpected("at most 65,536 samples", count));
    }
    let count = count as usize;
    if wanted.end > count {
        return Err(start.error(ColdErrorKind::TooFew { wanted: wanted.end, found: count }));
    }
    Ok((count, bytes))
}

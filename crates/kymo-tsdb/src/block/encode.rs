//! Samples to chunks, cut as Prometheus cuts: by number for floats, by bytes for histograms.

use kymo_chunk::{
    ChunkError, CutPolicy, Encoding, FloatHistogramAppender, HistogramAppender, HistogramCutPolicy,
    HistogramIter, HistogramPushed, HistogramSample, HistogramValue, StartedSample, Xor2Iter, XorAppender,
    XorIter, decode,
};
use kymo_model::{FloatHistogram, Histogram};

use super::write::BlockChunk;

/// A chunk that is not in a file yet.
#[derive(Clone, Debug)]
pub(crate) struct EncodedChunk {
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
    pub(crate) encoding: Encoding,
    pub(crate) data: Vec<u8>,
}

impl EncodedChunk {
    pub(crate) fn borrowed(&self) -> BlockChunk<'_> {
        let EncodedChunk { min_ms, max_ms, encoding, data } = self;
        BlockChunk { min_ms: *min_ms, max_ms: *max_ms, encoding: *encoding, data }
    }
}

/// A sample that is encoded anew.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) t_ms: i64,
    /// Kept with histograms; XOR, which floats are written in, has no place for it.
    pub(crate) start_ms: i64,
    pub(crate) value: RowValue,
}

#[derive(Clone, Debug)]
pub(crate) enum RowValue {
    Float(f64),
    Histogram(Histogram),
    FloatHistogram(FloatHistogram),
}

/// A chunk that samples are added to.
#[derive(Clone, Debug)]
pub(crate) enum Open {
    Float(XorAppender),
    Histogram(HistogramAppender),
    FloatHistogram(FloatHistogramAppender),
}

impl Open {
    /// A chunk that begins with `row`, with room for start timestamps or without, behind another if there was one. What it tells of
    /// resets it has from one that is as itself: of its kind, and with as much room.
    pub(crate) fn beginning(row: &Row, starts: bool, before: Option<&Open>) -> Open {
        match (&row.value, before.filter(|before| before.encoding().has_starts() == starts)) {
            (RowValue::Float(_), _) => Open::Float(XorAppender::new()),
            (RowValue::Histogram(histogram), Some(Open::Histogram(before))) => {
                Open::Histogram(before.following(histogram))
            }
            (RowValue::Histogram(_), _) if starts => Open::Histogram(HistogramAppender::with_starts()),
            (RowValue::Histogram(_), _) => Open::Histogram(HistogramAppender::new()),
            (RowValue::FloatHistogram(histogram), Some(Open::FloatHistogram(before))) => {
                Open::FloatHistogram(before.following(histogram))
            }
            (RowValue::FloatHistogram(_), _) if starts => {
                Open::FloatHistogram(FloatHistogramAppender::with_starts())
            }
            (RowValue::FloatHistogram(_), _) => Open::FloatHistogram(FloatHistogramAppender::new()),
        }
    }

    /// Takes the sample, or says that it belongs into the next chunk.
    pub(crate) fn push(&mut self, row: &Row) -> bool {
        let pushed = match (self, &row.value) {
            (Open::Float(chunk), RowValue::Float(value)) => {
                let policy = CutPolicy::default();
                let room = chunk.len() < policy.samples_target && !policy.is_full(chunk);
                if room {
                    chunk.push(row.t_ms, *value);
                }
                return room;
            }
            (Open::Histogram(chunk), RowValue::Histogram(histogram)) => {
                if HistogramCutPolicy::default().is_full(chunk.len(), chunk.bytes().len()) {
                    return false;
                }
                chunk.push_started(row.t_ms, row.start_ms, histogram)
            }
            (Open::FloatHistogram(chunk), RowValue::FloatHistogram(histogram)) => {
                if HistogramCutPolicy::default().is_full(chunk.len(), chunk.bytes().len()) {
                    return false;
                }
                chunk.push_started(row.t_ms, row.start_ms, histogram)
            }
            _ => return false,
        };
        pushed != HistogramPushed::Cut
    }

    /// Would the sample lose its start timestamp in it, though a histogram can keep one?
    pub(crate) fn loses_start(&self, row: &Row) -> bool {
        let encoding = self.encoding();
        row.start_ms != 0 && !encoding.is_float() && !encoding.has_starts()
    }

    fn encoding(&self) -> Encoding {
        match self {
            Open::Float(_) => Encoding::Xor,
            Open::Histogram(chunk) => chunk.encoding(),
            Open::FloatHistogram(chunk) => chunk.encoding(),
        }
    }

    pub(crate) fn finish(self) -> (Encoding, Vec<u8>) {
        let encoding = self.encoding();
        let bytes = match self {
            Open::Float(chunk) => chunk.into_bytes(),
            Open::Histogram(chunk) => chunk.into_bytes(),
            Open::FloatHistogram(chunk) => chunk.into_bytes(),
        };
        (encoding, bytes)
    }
}

/// Appends the chunks of samples in order of time.
pub(crate) fn encode(rows: &[Row], chunks: &mut Vec<EncodedChunk>) {
    let starts = rows.iter().any(|row| row.start_ms != 0);
    let mut open: Option<(i64, i64, Open)> = None;
    let mut close = |open: (i64, i64, Open)| {
        let (encoding, data) = open.2.finish();
        chunks.push(EncodedChunk { min_ms: open.0, max_ms: open.1, encoding, data });
    };
    for row in rows {
        if let Some((_, max_ms, chunk)) = &mut open
            && chunk.push(row)
        {
            *max_ms = row.t_ms;
            continue;
        }
        let mut next = Open::beginning(row, starts, open.as_ref().map(|(_, _, chunk)| chunk));
        let taken = next.push(row);
        assert!(taken, "BUG: an empty chunk refused a sample");
        if let Some(full) = open.replace((row.t_ms, row.t_ms, next)) {
            close(full);
        }
    }
    if let Some(last) = open {
        close(last);
    }
}

/// Chunks of floats behind one another in fewer chunks, if there can be fewer: the head ends some early (docs/storage.md), and others
/// by their bytes, which would cost a block one chunk more for each series. Those of which one does not decode stay as they are.
pub(crate) fn refill(chunks: Vec<EncodedChunk>) -> Vec<EncodedChunk> {
    let samples_max = usize::from(CutPolicy::default().samples_target);
    let samples = |chunk: &EncodedChunk| match chunk.data[..] {
        [high, low, ..] if chunk.encoding == Encoding::Xor => {
            Some(usize::from(u16::from_be_bytes([high, low])))
        }
        _ => None,
    };
    let total = chunks.iter().map(samples).sum::<Option<usize>>().filter(|total| *total > 0);
    let Some(total) = total else { return chunks };
    if chunks.len() <= total.div_ceil(samples_max) {
        return chunks;
    }
    let (mut times, mut values) = (Vec::with_capacity(total), Vec::with_capacity(total));
    if chunks.iter().any(|chunk| decode(&chunk.data, &mut times, &mut values).is_err()) {
        return chunks;
    }
    let refilled = |(times, values): (&[i64], &[f64])| {
        let mut chunk = XorAppender::with_buffer(Vec::with_capacity(XorAppender::ROOMY_BYTES));
        chunk.push_all(times.iter().copied().zip(values.iter().copied()));
        let (min_ms, max_ms) = (times[0], times[times.len() - 1]);
        let mut data = chunk.into_bytes();
        data.shrink_to_fit();
        EncodedChunk { min_ms, max_ms, encoding: Encoding::Xor, data }
    };
    times.chunks(samples_max).zip(values.chunks(samples_max)).map(refilled).collect()
}

/// Calls `each` with the samples of a chunk, up to the first that does not decode.
pub(crate) fn for_each_row(
    encoding: Encoding,
    data: &[u8],
    mut each: impl FnMut(Row),
) -> Result<(), ChunkError> {
    match encoding {
        Encoding::Xor => XorIter::new(data)?.try_for_each(|sample| {
            sample.map(|(t_ms, value)| each(Row { t_ms, start_ms: 0, value: RowValue::Float(value) }))
        }),
        Encoding::Xor2 => Xor2Iter::new(data)?.try_for_each(|sample| {
            sample.map(|StartedSample { t_ms, start_ms, value }| {
                each(Row { t_ms, start_ms, value: RowValue::Float(value) });
            })
        }),
        _ => HistogramIter::new(encoding, data)?.try_for_each(|sample| {
            sample.map(|HistogramSample { t_ms, start_ms, value }| {
                let value = match value {
                    HistogramValue::Integer(histogram) => RowValue::Histogram(histogram),
                    HistogramValue::Float(histogram) => RowValue::FloatHistogram(histogram),
                };
                each(Row { t_ms, start_ms, value });
            })
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(lengths: &[i64], value: impl Fn(i64) -> f64) -> Vec<EncodedChunk> {
        let mut next = 0;
        let chunk = |len: &i64| {
            let mut chunk = XorAppender::new();
            let first = next;
            next += len;
            chunk.push_all((first..next).map(|at| (at * 1000, value(at))));
            let data = chunk.into_bytes();
            EncodedChunk { min_ms: first * 1000, max_ms: (next - 1) * 1000, encoding: Encoding::Xor, data }
        };
        lengths.iter().map(chunk).collect()
    }

    fn lengths(chunks: &[EncodedChunk]) -> Vec<usize> {
        chunks.iter().map(|chunk| usize::from(u16::from_be_bytes([chunk.data[0], chunk.data[1]]))).collect()
    }

    /// Found by the fuzz target `prometheus`: the second chunk had no room for start timestamps, and was to be read as if it had.
    #[test]
    fn a_chunk_is_read_as_it_was_written() {
        let histogram = |count| Histogram { count, zero_count: count, sum: 1.5, ..Histogram::default() };
        let row = |t_ms, start_ms| {
            [
                Row { t_ms, start_ms, value: RowValue::Histogram(histogram(t_ms as u64)) },
                Row { t_ms, start_ms, value: RowValue::FloatHistogram(histogram(t_ms as u64).to_float()) },
            ]
        };
        for kind in 0..2 {
            let rows = [(1000, 0), (2000, 1500), (3000, 0), (4000, 0), (5000, 2)]
                .map(|(t, start)| row(t, start)[kind].clone());
            let mut before: Option<Open> = None;
            for row in &rows {
                let mut open = Open::beginning(row, row.start_ms != 0, before.as_ref());
                assert!(!open.loses_start(row) && open.push(row));
                before = Some(open.clone());
                let (encoding, data) = open.finish();
                let mut read = Vec::new();
                for_each_row(encoding, &data, |row| read.push((row.t_ms, row.start_ms))).unwrap();
                assert_eq!(read, [(row.t_ms, row.start_ms)], "{encoding:?}");
            }
        }
    }

    #[test]
    fn short_chunks_are_filled() {
        let before = chunks(&[30, 120, 120, 90], |at| at as f64);
        let after = refill(before.clone());
        assert_eq!(lengths(&after), [120, 120, 120]);
        let read = |chunks: &[EncodedChunk]| {
            let (mut times, mut values) = (Vec::new(), Vec::new());
            for chunk in chunks {
                let from = times.len();
                decode(&chunk.data, &mut times, &mut values).unwrap();
                assert_eq!((times[from], times.last()), (chunk.min_ms, Some(&chunk.max_ms)));
            }
            (times, values)
        };
        assert_eq!(read(&after), read(&before));
    }

    #[test]
    fn others_stay_as_they_are() {
        let is_kept = |before: Vec<EncodedChunk>| {
            let data = |chunks: &[EncodedChunk]| chunks.iter().map(|c| c.data.clone()).collect::<Vec<_>>();
            assert_eq!(data(&refill(before.clone())), data(&before));
        };
        is_kept(Vec::new());
        is_kept(chunks(&[30, 120, 120], |at| at as f64));
        let mut damaged = chunks(&[30, 30], |at| at as f64);
        damaged[1].data.truncate(20);
        is_kept(damaged);
    }
}

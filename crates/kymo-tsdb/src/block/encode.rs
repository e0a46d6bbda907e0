//! Samples to chunks, cut as Prometheus cuts: by number for floats, by bytes for histograms.

use kymo_chunk::{
    CutPolicy, Encoding, FloatHistogramAppender, HistogramAppender, HistogramCutPolicy, HistogramPushed,
    XorAppender,
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
pub(super) struct Row {
    pub(super) t_ms: i64,
    /// Kept with histograms; XOR, which floats are written in, has no place for it.
    pub(super) start_ms: i64,
    pub(super) value: RowValue,
}

#[derive(Clone, Debug)]
pub(super) enum RowValue {
    Float(f64),
    Histogram(Histogram),
    FloatHistogram(FloatHistogram),
}

enum Open {
    Float(XorAppender),
    Histogram(HistogramAppender),
    FloatHistogram(FloatHistogramAppender),
}

impl Open {
    /// A chunk that begins with `row`, behind another of its kind if there was one.
    fn beginning(row: &Row, starts: bool, before: Option<&Open>) -> Open {
        match (&row.value, before) {
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
    fn push(&mut self, row: &Row) -> bool {
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

    fn finish(self, starts: bool) -> (Encoding, Vec<u8>) {
        match self {
            Open::Float(chunk) => (Encoding::Xor, chunk.into_bytes()),
            Open::Histogram(chunk) if starts => (Encoding::HistogramStart, chunk.into_bytes()),
            Open::Histogram(chunk) => (Encoding::Histogram, chunk.into_bytes()),
            Open::FloatHistogram(chunk) if starts => (Encoding::FloatHistogramStart, chunk.into_bytes()),
            Open::FloatHistogram(chunk) => (Encoding::FloatHistogram, chunk.into_bytes()),
        }
    }
}

/// Appends the chunks of samples in order of time.
pub(super) fn encode(rows: &[Row], chunks: &mut Vec<EncodedChunk>) {
    let starts = rows.iter().any(|row| row.start_ms != 0);
    let mut open: Option<(i64, i64, Open)> = None;
    let mut close = |open: (i64, i64, Open)| {
        let (encoding, data) = open.2.finish(starts);
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

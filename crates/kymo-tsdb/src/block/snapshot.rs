//! Snapshot: what a select found in a block. Labels and places of chunks are pinned; samples are read series by series.

use std::sync::Arc;

use kymo_chunk::{Encoding, decode_floats, decode_histograms};
use kymo_model::{
    FloatHistogram, Gap, Labels, Resume, Samples, Selector, SeriesSource, Sparing, StoreError, TimeRange,
    Values,
};

use super::ahead::Windows;
use super::error::BlockError;
use super::index::ChunkMeta;
use super::reader::Inner;
use super::tombstones::Interval;
use crate::sparse::{OneSeries, read_sparse};

pub(super) struct Snapshot {
    block: Arc<Inner>,
    range: TimeRange,
    series: Vec<Pinned>,
    /// The chunks of all series.
    chunks: Vec<ChunkMeta>,
    windows: Windows,
}

struct Pinned {
    labels: Labels,
    number: u64,
    /// Where its chunks end in the list of all.
    chunks_end: usize,
}

impl Snapshot {
    pub(super) fn pin(block: Arc<Inner>, wanted: &Selector) -> Result<Snapshot, BlockError> {
        let (mut series, mut chunks) = (Vec::new(), Vec::new());
        if let Some(tables) = block.tables_if_any(&wanted.cancel)? {
            block.for_each_match(&tables, (&wanted.matchers, &wanted.cancel), |number, entry| {
                let before = chunks.len();
                chunks.extend(entry.chunks.iter().filter(|chunk| chunk.overlaps(wanted.range)));
                if chunks.len() > before {
                    series.push(Pinned { labels: entry.labels, number, chunks_end: chunks.len() });
                }
            })?;
        }
        Ok(Snapshot { block, range: wanted.range, series, chunks, windows: Windows::default() })
    }

    fn chunks(&self, index: usize) -> &[ChunkMeta] {
        let start = index.checked_sub(1).map_or(0, |before| self.series[before].chunks_end);
        &self.chunks[start..self.series[index].chunks_end]
    }

    /// Reads chunks as long as they are of one kind; how many. `after` sees each with what it added to the samples. Those in
    /// `next` will be wanted then.
    fn read_run(
        &self,
        (chunks, next_chunks): (&[ChunkMeta], &[ChunkMeta]),
        out: &mut Samples,
        mut after: impl FnMut(&ChunkMeta, usize, &Samples),
    ) -> Result<usize, StoreError> {
        let mut kind = (!out.is_empty()).then(|| out.floats().is_some());
        let (mut next, mut stop, mut failed) = (0, None, None);
        self.block.chunks.read_run(
            (chunks, next_chunks),
            &self.windows,
            self.block.index.path(),
            |chunk, data| {
                let at = next;
                next += 1;
                if stop.is_some() || failed.is_some() {
                    return;
                }
                let read = data.and_then(|data| {
                    let is_float = data.0.is_float();
                    if *kind.get_or_insert(is_float) != is_float {
                        stop = Some(at);
                        return Ok(());
                    }
                    let before = out.len();
                    self.decode(chunk, data, out)?;
                    after(chunk, before, out);
                    Ok(())
                });
                if let Err(error) = read.or_else(|error| self.block.note_error(error.missing(chunk))) {
                    failed = Some(error);
                }
            },
        );
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(stop.unwrap_or(next)),
        }
    }

    /// The chunks of the series behind one, which will be wanted next.
    fn next_chunks(&self, index: usize) -> &[ChunkMeta] {
        &self.chunks[self.series[index].chunks_end..]
    }

    /// Reads chunks from `from` on as long as they are floats, but for those of which enough is known; which one is next.
    fn read_sparse_run(
        &self,
        (index, from): (usize, usize),
        sparing: Sparing,
        out: &mut Samples,
        gaps: &mut Vec<Gap>,
    ) -> Result<usize, StoreError> {
        let (chunks, next) = (&self.chunks(index)[from..], self.next_chunks(index));
        let Some((summaries, block)) = self.block.summaries() else {
            return Ok(from + self.read_run((chunks, next), out, |_, _, _| {})?);
        };
        let series = OneSeries { summaries, owner: block, number: self.series[index].number, oldest: 0 };
        let read = read_sparse(series, chunks, sparing, (out, gaps), |wanted, out, after| {
            // Where some are left out, those between what is wanted of the next series need not be read either.
            let next = if wanted == (0..chunks.len()) { next } else { &[] };
            self.read_run((&chunks[wanted], next), out, after)
        })?;
        Ok(from + read)
    }

    fn decode(
        &self,
        chunk: &ChunkMeta,
        data: (Encoding, &[u8]),
        out: &mut Samples,
    ) -> Result<(), BlockError> {
        append_chunk(chunk, data, self.range, out).map_err(|fault| {
            let file = self.block.dir.join(super::chunk_file::CHUNKS_DIR);
            let file = file.join(format!("{:06}", (chunk.reference >> 32) + 1));
            BlockError::damaged(&file, chunk.reference & 0xffff_ffff, fault)
        })
    }

    /// All samples of a series whose chunks overlap, in order; of equal times the first chunk's counts.
    fn merged(&self, index: usize) -> Result<Vec<(i64, i64, Value)>, StoreError> {
        let mut rows = Vec::new();
        let (mut samples, mut from) = (Samples::new(), 0);
        while from < self.chunks(index).len() {
            samples.clear();
            from += self.read_run((&self.chunks(index)[from..], &[]), &mut samples, |_, _, _| {})?;
            let start = |at: usize| samples.start_timestamps_ms.get(at).copied().unwrap_or(0);
            for (at, t_ms) in samples.timestamps_ms.iter().enumerate() {
                rows.push((
                    *t_ms,
                    start(at),
                    match &samples.values {
                        Values::Floats(values) => Value::Float(values[at]),
                        Values::Histograms(values) => Value::Histogram(values[at].clone()),
                    },
                ));
            }
        }
        rows.sort_by_key(|(t_ms, ..)| *t_ms);
        rows.dedup_by_key(|(t_ms, ..)| *t_ms);
        Ok(rows)
    }

    /// Fills `out` with the run of merged samples from `from` on; which one is next.
    fn merged_run(&self, index: usize, from: usize, out: &mut Samples) -> Result<usize, StoreError> {
        let rows = self.merged(index)?;
        let Some((_, _, first)) = rows.get(from) else { return Ok(rows.len()) };
        let is_float = matches!(first, Value::Float(_));
        let run =
            rows[from..].iter().take_while(|(_, _, value)| matches!(value, Value::Float(_)) == is_float);
        let mut starts_ms = Vec::new();
        if is_float {
            let (timestamps_ms, values) = out.floats_mut();
            for (t_ms, start_ms, value) in run {
                if let Value::Float(value) = value {
                    timestamps_ms.push(*t_ms);
                    values.push(*value);
                    starts_ms.push(*start_ms);
                }
            }
        } else {
            let (timestamps_ms, values) = out.histograms_mut();
            for (t_ms, start_ms, value) in run {
                if let Value::Histogram(value) = value {
                    timestamps_ms.push(*t_ms);
                    values.push(value.clone());
                    starts_ms.push(*start_ms);
                }
            }
        }
        if starts_ms.iter().any(|start_ms| *start_ms != 0) {
            out.start_timestamps_ms = starts_ms;
        }
        Ok(from + out.len())
    }
}

/// Appends the samples of a chunk inside a range to columns of its kind, or says what is wrong with it.
pub(super) fn append_chunk(
    chunk: &ChunkMeta,
    (encoding, data): (Encoding, &[u8]),
    range: TimeRange,
    out: &mut Samples,
) -> Result<(), String> {
    if out.is_empty() {
        // Both make the columns those of their kind.
        if encoding.is_float() {
            out.floats_mut();
        } else {
            out.histograms_mut();
        }
    }
    let Samples { timestamps_ms, values, start_timestamps_ms } = out;
    let before = timestamps_ms.len();
    if encoding.has_starts() {
        start_timestamps_ms.resize(before, 0);
    }
    let decoded = match values {
        Values::Floats(values) => {
            // Where all of it is wanted, nobody need look at each sample's time.
            let range = if chunk.is_inside(range) { TimeRange::ALL } else { range };
            decode_floats(encoding, data, range, (timestamps_ms, values, start_timestamps_ms))
        }
        Values::Histograms(values) => {
            decode_histograms(encoding, data, range, (timestamps_ms, values, start_timestamps_ms))
        }
    };
    if !start_timestamps_ms.is_empty() {
        start_timestamps_ms.resize(timestamps_ms.len(), 0);
    }
    // Whoever reads relies on the order; right checksums say only that the bytes are as somebody wrote them.
    let added = &timestamps_ms[before..];
    let in_order = are_in_order(added)
        && added.first().is_none_or(|first_ms| *first_ms >= chunk.min_ms)
        && added.last().is_none_or(|last_ms| *last_ms <= chunk.max_ms);
    if !in_order {
        timestamps_ms.truncate(before);
        start_timestamps_ms.truncate(before);
        match values {
            Values::Floats(values) => values.truncate(before),
            Values::Histograms(values) => values.truncate(before),
        }
    }
    match decoded {
        Err(error) => Err(format!("chunk does not decode: {error}")),
        Ok(()) if in_order => Ok(()),
        Ok(()) => Err(format!(
            "expected samples in order from {} to {}, found them otherwise",
            chunk.min_ms, chunk.max_ms
        )),
    }
}

/// Is each time behind the one before?
fn are_in_order(times_ms: &[i64]) -> bool {
    // Signs alone are looked at, of several at once; then one by one if they say no, or if differences may overflow.
    let is_far = |t_ms: i64| t_ms ^ (t_ms << 1);
    let pairs = times_ms.iter().zip(times_ms.get(1..).unwrap_or(&[]));
    let last = times_ms.last().map_or(0, |last| is_far(*last));
    let wrong = pairs.fold(last, |wrong, (earlier, later)| {
        wrong | is_far(*earlier) | later.wrapping_sub(*earlier).wrapping_sub(1)
    });
    wrong >= 0 || times_ms.is_sorted_by(|earlier, later| earlier < later)
}

enum Value {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

/// Takes out what was deleted.
pub(super) fn bury(intervals: &[Interval], out: &mut Samples) {
    if intervals.is_empty() {
        return;
    }
    let kept: Vec<bool> = out
        .timestamps_ms
        .iter()
        .map(|t_ms| !intervals.iter().any(|interval| (interval.min_ms..=interval.max_ms).contains(t_ms)))
        .collect();
    let keep = |at: &mut usize| {
        *at += 1;
        kept[*at - 1]
    };
    let mut at = 0;
    out.timestamps_ms.retain(|_| keep(&mut at));
    let mut at = 0;
    match &mut out.values {
        Values::Floats(values) => values.retain(|_| keep(&mut at)),
        Values::Histograms(values) => values.retain(|_| keep(&mut at)),
    }
    if !out.start_timestamps_ms.is_empty() {
        let mut at = 0;
        out.start_timestamps_ms.retain(|_| keep(&mut at));
    }
}

impl SeriesSource for Snapshot {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].labels.clone()
    }

    /// A series is one run, unless floats and histograms take turns.
    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        out.clear();
        let chunks = self.chunks(index);
        let in_order = chunks.is_sorted_by(|before, after| before.max_ms < after.min_ms);
        loop {
            let from = resume.a as usize;
            let next = match in_order {
                true if from >= chunks.len() => return Ok(false),
                true => {
                    from + self.read_run((&chunks[from..], self.next_chunks(index)), out, |_, _, _| {})?
                }
                false => self.merged_run(index, from, out)?,
            };
            if next == from {
                out.clear();
                return Ok(false);
            }
            resume.a = next as u64;
            bury(self.block.tombstones.of(self.series[index].number), out);
            if !out.is_empty() {
                return Ok(true);
            }
        }
    }

    fn read_sparse(
        &self,
        index: usize,
        resume: &mut Resume,
        sparing: Sparing,
        out: &mut Samples,
        gaps: &mut Vec<Gap>,
    ) -> Result<bool, StoreError> {
        gaps.clear();
        let chunks = self.chunks(index);
        let is_plain = chunks.is_sorted_by(|before, after| before.max_ms < after.min_ms)
            && self.block.tombstones.of(self.series[index].number).is_empty();
        let from = resume.a as usize;
        if !is_plain || from >= chunks.len() {
            return self.read(index, resume, out);
        }
        out.clear();
        resume.a = self.read_sparse_run((index, from), sparing, out, gaps)? as u64;
        // Nothing but damage, perhaps.
        if out.is_empty() { self.read(index, resume, out) } else { Ok(true) }
    }

    fn warnings(&self) -> Vec<String> {
        self.block.warnings()
    }
}

#[cfg(test)]
mod tests {
    use super::are_in_order;

    #[test]
    fn times_in_order() {
        let (min, max) = (i64::MIN, i64::MAX);
        for times_ms in [&[][..], &[5], &[1, 2, 9], &[min, max], &[min, 0, max], &[-1 << 62, 1 << 62]] {
            assert!(are_in_order(times_ms), "{times_ms:?}");
        }
        for times_ms in
            [&[1, 1][..], &[1, 3, 2], &[max, min], &[0, max, min], &[1 << 62, -1 << 62], &[2, min]]
        {
            assert!(!are_in_order(times_ms), "{times_ms:?}");
        }
    }
}

//! Gathered: samples by series until they are a block's. In chunks, so that a sample takes a byte or two; what comes out of order
//! begins a chunk of its own, and all are merged when they are written.

use std::collections::{BTreeSet, HashMap};

use kymo_model::Labels;

use super::report::ImportError;
use crate::block::{BlockWriter, EncodedChunk, Interval, Open, Row, Tombstones, encode, for_each_row};

/// What a chunk takes besides its bytes.
const PIECE_BYTES: usize = size_of::<Piece>();

/// What an open chunk is counted with, and each of its samples, until it is known what they take.
const OPEN_BYTES: usize = 256;
const SAMPLE_BYTES: usize = 8;

/// Series by labels and by the numbers that Prometheus gave them, with samples that are not in a block yet.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    series: Vec<GatheredSeries>,
    by_labels: HashMap<Labels, u32>,
    /// How long the range of a block is.
    range_ms: i64,
    tombstones: Tombstones,
    /// Bytes of chunks, open ones included.
    bytes: usize,
}

#[derive(Debug)]
struct GatheredSeries {
    labels: Labels,
    open: Option<OpenPiece>,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct OpenPiece {
    chunk: Open,
    range: i64,
    min_ms: i64,
    max_ms: i64,
    /// What it is counted with.
    bytes: usize,
}

/// A chunk inside one range.
#[derive(Debug)]
struct Piece {
    range: i64,
    chunk: EncodedChunk,
}

impl Gathered {
    pub(super) fn new(range_ms: i64) -> Gathered {
        Gathered { range_ms, ..Gathered::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// What the samples take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The series of these labels, made when there is none.
    pub(super) fn series(&mut self, labels: Labels) -> u32 {
        let next = self.series.len() as u32;
        *self.by_labels.entry(labels).or_insert_with_key(|labels| {
            self.series.push(GatheredSeries { labels: labels.clone(), open: None, pieces: Vec::new() });
            next
        })
    }

    pub(super) fn labels(&self, series: u32) -> &Labels {
        &self.series[series as usize].labels
    }

    /// Leaves an interval out of a series, whatever comes first.
    pub(super) fn delete(&mut self, series: u32, interval: Interval) {
        self.tombstones.add(series.into(), interval);
    }

    pub(super) fn push(&mut self, series: u32, row: &Row) {
        let series = &mut self.series[series as usize];
        let range = row.t_ms.div_euclid(self.range_ms);
        if let Some(open) = &mut series.open
            && open.range == range
            && row.t_ms > open.max_ms
            && !open.chunk.loses_start(row)
            && open.chunk.push(row)
        {
            open.max_ms = row.t_ms;
            open.bytes += SAMPLE_BYTES;
            self.bytes += SAMPLE_BYTES;
            return;
        }
        // Nothing follows from the chunk before when samples are out of order.
        let before = series.open.as_ref().filter(|open| open.max_ms < row.t_ms).map(|open| &open.chunk);
        let mut chunk = Open::beginning(row, row.start_ms != 0, before);
        let taken = chunk.push(row);
        assert!(taken, "BUG: an empty chunk refused a sample");
        let (min_ms, max_ms, bytes) = (row.t_ms, row.t_ms, OPEN_BYTES);
        self.bytes += bytes;
        if let Some(full) = series.open.replace(OpenPiece { chunk, range, min_ms, max_ms, bytes }) {
            self.bytes -= full.bytes;
            self.bytes += series.seal(full);
        }
    }

    /// The ranges that have samples, by number.
    pub(super) fn ranges(&mut self) -> BTreeSet<i64> {
        for series in &mut self.series {
            if let Some(open) = series.open.take() {
                self.bytes -= open.bytes;
                self.bytes += series.seal(open);
            }
        }
        self.series.iter().flat_map(|series| series.pieces.iter().map(|piece| piece.range)).collect()
    }

    /// The series that have samples, in order of labels.
    pub(super) fn order(&self) -> Vec<u32> {
        let has_samples = |number: &u32| !self.series[*number as usize].pieces.is_empty();
        let mut order: Vec<u32> = (0..self.series.len() as u32).filter(has_samples).collect();
        order.sort_unstable_by(|a, b| self.series[*a as usize].labels.cmp(&self.series[*b as usize].labels));
        order
    }

    /// Adds what there is of a range to a block. Only after [`Gathered::ranges`].
    pub(super) fn write(
        &self,
        range: i64,
        order: &[u32],
        writer: &mut BlockWriter,
        tell: &mut dyn FnMut(u64),
    ) -> Result<(), ImportError> {
        for (done, number) in order.iter().enumerate() {
            tell(done as u64);
            let series = &self.series[*number as usize];
            let pieces: Vec<&EncodedChunk> =
                series.pieces.iter().filter(|piece| piece.range == range).map(|piece| &piece.chunk).collect();
            let merged = merge(&pieces, self.tombstones.of((*number).into()));
            let chunks: Vec<_> = merged.iter().map(|chunk| chunk.as_chunk().borrowed()).collect();
            if !chunks.is_empty() {
                writer.add_series(&series.labels, &chunks)?;
            }
        }
        Ok(())
    }

    /// Lets go of all samples; the series stay.
    pub(super) fn clear(&mut self) {
        for series in &mut self.series {
            series.pieces = Vec::new();
        }
        self.bytes = 0;
    }
}

impl GatheredSeries {
    /// Keeps a chunk that is full; how many bytes that takes.
    fn seal(&mut self, open: OpenPiece) -> usize {
        let (encoding, mut data) = open.chunk.finish();
        data.shrink_to_fit();
        let bytes = data.len() + PIECE_BYTES;
        let chunk = EncodedChunk { min_ms: open.min_ms, max_ms: open.max_ms, encoding, data };
        self.pieces.push(Piece { range: open.range, chunk });
        bytes
    }
}

/// A chunk of a block: one that was gathered, or one made of several.
enum Merged<'a> {
    AsGathered(&'a EncodedChunk),
    Anew(EncodedChunk),
}

impl Merged<'_> {
    fn as_chunk(&self) -> &EncodedChunk {
        match self {
            Merged::AsGathered(chunk) => chunk,
            Merged::Anew(chunk) => chunk,
        }
    }
}

/// Chunks in order of time that do not overlap, without what was deleted. Of samples at one time the one that was gathered first
/// stays.
fn merge<'a>(pieces: &[&'a EncodedChunk], deleted: &[Interval]) -> Vec<Merged<'a>> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|at| pieces[*at].min_ms);
    let mut merged = Vec::new();
    let mut rest = order.as_mut_slice();
    while let Some(first) = rest.first() {
        let mut end_ms = pieces[*first].max_ms;
        let apart = rest[1..].iter().position(|at| {
            let apart = pieces[*at].min_ms > end_ms;
            end_ms = end_ms.max(pieces[*at].max_ms);
            apart
        });
        let (cluster, behind) = rest.split_at_mut(apart.map_or(rest.len(), |at| at + 1));
        rest = behind;
        let begin_ms = pieces[cluster[0]].min_ms;
        let is_touched =
            deleted.iter().any(|interval| interval.min_ms <= end_ms && begin_ms <= interval.max_ms);
        if let ([alone], false) = (&*cluster, is_touched) {
            merged.push(Merged::AsGathered(pieces[*alone]));
            continue;
        }
        cluster.sort_unstable();
        let mut rows: Vec<Row> = Vec::new();
        for at in cluster {
            let EncodedChunk { encoding, data, .. } = pieces[*at];
            for_each_row(*encoding, data, |row| {
                if !deleted.iter().any(|gone| (gone.min_ms..=gone.max_ms).contains(&row.t_ms)) {
                    rows.push(row);
                }
            })
            .expect("BUG: a chunk that was just encoded does not decode");
        }
        // Stable: the first of equal times stays.
        rows.sort_by_key(|row| row.t_ms);
        rows.dedup_by_key(|row| row.t_ms);
        let mut chunks = Vec::new();
        encode(&rows, &mut chunks);
        merged.extend(chunks.into_iter().map(Merged::Anew));
    }
    merged
}

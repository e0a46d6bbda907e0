//! Merge: the series of several blocks in one order, and the chunks of each in order of time, none overlapping.

use kymo_model::Labels;

use super::super::chunk_file::{CHUNKS_DIR, ChunkData};
use super::super::encode::{EncodedChunk, Row, encode, for_each_row};
use super::super::error::{BlockDamage, BlockError};
use super::super::index::ChunkMeta;
use super::super::reader::Block;
use super::super::series::{BlockSeries, BlockSeriesIter};
use super::super::tombstones::Interval;

/// A series of the new block; without chunks when nothing is left of it.
#[derive(Clone, Debug)]
pub(in super::super) struct MergedSeries {
    pub(in super::super) labels: Labels,
    pub(in super::super) chunks: Vec<EncodedChunk>,
}

/// The series of several blocks.
pub(in super::super) struct Merge<'a> {
    sources: Vec<Source<'a>>,
    read: u64,
}

struct Source<'a> {
    block: &'a Block,
    series: BlockSeriesIter<'a>,
    next: Option<BlockSeries>,
}

impl<'a> Merge<'a> {
    pub(in super::super) fn of(blocks: &'a [Block]) -> Result<Merge<'a>, BlockError> {
        let source = |block: &'a Block| Ok(Source { block, series: block.series()?, next: None });
        let sources = blocks.iter().map(source).collect::<Result<Vec<_>, BlockError>>()?;
        Ok(Merge { sources, read: 0 })
    }

    /// How many series of the blocks were read.
    pub(in super::super) fn read(&self) -> u64 {
        self.read
    }

    /// The next series in order of labels. Damaged ones are noted and left out.
    pub(in super::super) fn next(
        &mut self,
        damage: &mut Vec<BlockDamage>,
    ) -> Result<Option<MergedSeries>, BlockError> {
        for source in &mut self.sources {
            while source.next.is_none() {
                match source.series.next() {
                    None => break,
                    Some(Ok(series)) => source.next = Some(series),
                    Some(Err(error)) => note(damage, error.into_damage()?),
                }
            }
        }
        let Some(labels) = self
            .sources
            .iter()
            .filter_map(|source| source.next.as_ref().map(|next| &next.labels))
            .min()
            .cloned()
        else {
            return Ok(None);
        };
        let mut pieces: Vec<Piece<'_>> = Vec::new();
        for source in &mut self.sources {
            if let Some(series) = source.next.take_if(|next| next.labels == labels) {
                self.read += 1;
                let deleted = source.block.tombstones().of(series.number);
                pieces.extend(series.chunks.into_iter().map(|chunk| Piece {
                    block: source.block,
                    chunk,
                    deleted,
                }));
            }
        }
        // Stable, so that of equal ones the first block's come first.
        pieces.sort_by_key(|piece| piece.chunk.min_ms);
        let mut chunks = Vec::new();
        let mut rest = pieces.as_slice();
        while let Some(first) = rest.first() {
            let mut end_ms = first.chunk.max_ms;
            let apart = rest[1..].iter().position(|piece| {
                let apart = piece.chunk.min_ms > end_ms;
                end_ms = end_ms.max(piece.chunk.max_ms);
                apart
            });
            let (cluster, behind) = rest.split_at(apart.map_or(rest.len(), |at| at + 1));
            rest = behind;
            merge_cluster(cluster, &mut chunks, damage)?;
        }
        Ok(Some(MergedSeries { labels, chunks }))
    }
}

/// A chunk of a block.
struct Piece<'a> {
    block: &'a Block,
    chunk: ChunkMeta,
    /// What was deleted of its series.
    deleted: &'a [Interval],
}

impl Piece<'_> {
    fn touches(&self, interval: &Interval) -> bool {
        interval.min_ms <= self.chunk.max_ms && self.chunk.min_ms <= interval.max_ms
    }

    /// The chunk's samples that were not deleted.
    fn rows(&self, data: &ChunkData, rows: &mut Vec<Row>) -> Result<(), BlockError> {
        let deleted: Vec<&Interval> = self.deleted.iter().filter(|interval| self.touches(interval)).collect();
        let before = rows.len();
        let read = for_each_row(data.encoding, &data.data, |row| {
            if !deleted.iter().any(|interval| (interval.min_ms..=interval.max_ms).contains(&row.t_ms)) {
                rows.push(row);
            }
        });
        read.map_err(|error| {
            rows.truncate(before);
            let segment =
                self.block.dir().join(CHUNKS_DIR).join(format!("{:06}", (self.chunk.reference >> 32) + 1));
            let offset = self.chunk.reference & 0xffff_ffff;
            BlockError::damaged(&segment, offset, format!("chunk does not decode: {error}"))
        })
    }
}

/// Chunks that overlap, or one alone.
fn merge_cluster(
    cluster: &[Piece<'_>],
    chunks: &mut Vec<EncodedChunk>,
    damage: &mut Vec<BlockDamage>,
) -> Result<(), BlockError> {
    let mut rows = Vec::new();
    for piece in cluster {
        let ChunkMeta { min_ms, max_ms, .. } = piece.chunk;
        if piece.deleted.iter().any(|interval| interval.min_ms <= min_ms && max_ms <= interval.max_ms) {
            continue;
        }
        let data = match piece.block.read_chunk(&piece.chunk) {
            Ok(data) => data,
            Err(error) => {
                note(damage, error.into_damage()?);
                continue;
            }
        };
        if cluster.len() == 1 && !piece.deleted.iter().any(|interval| piece.touches(interval)) {
            chunks.push(EncodedChunk { min_ms, max_ms, encoding: data.encoding, data: data.data });
            return Ok(());
        }
        if let Err(error) = piece.rows(&data, &mut rows) {
            note(damage, error.into_damage()?);
        }
    }
    // Stable: of equal times the first piece's sample stays.
    rows.sort_by_key(|row| row.t_ms);
    rows.dedup_by_key(|row| row.t_ms);
    encode(&rows, chunks);
    Ok(())
}

fn note(damage: &mut Vec<BlockDamage>, found: BlockDamage) {
    if damage.len() < Block::DAMAGE_MAX {
        damage.push(found);
    }
}

//! Verify: every checksum and every invariant of a block, with a word on what is wrong where.

use std::collections::HashMap;

use kymo_chunk::{Encoding, HistogramIter, decode_floats};
use kymo_model::{CancelToken, TimeRange};

use super::chunk_file::CHUNKS_DIR;
use super::error::{BlockDamage, BlockError};
use super::index::{ChunkMeta, Symbols, read_postings};
use super::reader::{Block, Inner};
use super::series::{BlockSeries, BlockSeriesIter};
use crate::progress::{Progress, ProgressUnit, STEP_SERIES, Work};

/// What a block really holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockReport {
    /// Series that can be read.
    pub series: u64,
    /// Chunks that can be read.
    pub chunks: u64,
    /// Samples that can be read.
    pub samples: u64,
    /// Lists of postings that can be read.
    pub postings: u64,
    /// What is wrong, at most [`Block::DAMAGE_MAX`] places.
    pub damage: Vec<BlockDamage>,
    /// How many places, listed or not.
    pub damage_total: u64,
}

impl BlockReport {
    /// Is all of it as it was written?
    pub fn is_sound(&self) -> bool {
        self.damage_total == 0
    }

    pub(super) fn note(&mut self, damage: BlockDamage) {
        self.damage_total += 1;
        if self.damage.len() < Block::DAMAGE_MAX {
            self.damage.push(damage);
        }
    }

    /// Notes damage; anything else ends the verification.
    pub(super) fn note_error(&mut self, error: BlockError) -> Result<(), BlockError> {
        error.into_damage().map(|damage| self.note(damage))
    }
}

/// Reads all of a block: checksums, order of symbols, series, chunks and postings, samples against what the index says of their
/// chunks, and the counts of meta.json. An error is a disk that fails, or symbols without which nothing can be read.
pub fn verify_block(block: &Block) -> Result<BlockReport, BlockError> {
    verify_block_telling(block, &mut |_| ())
}

/// The same, and `progress` is told, now and then, how many series were read.
pub fn verify_block_telling(
    block: &Block,
    progress: &mut dyn FnMut(Progress),
) -> Result<BlockReport, BlockError> {
    let mut report = BlockReport::default();
    if let Err(error) = block.inner.chunks.check_headers() {
        report.note_error(error)?;
    }
    let chunks = |series: &BlockSeries, report: &mut BlockReport| verify_chunks(block, series, report);
    verify_index(&block.inner, &mut report, chunks, progress)?;
    Ok(report)
}

/// Checks all of an index; `chunks` checks what a series has in other files.
pub(super) fn verify_index(
    inner: &Inner,
    report: &mut BlockReport,
    mut chunks: impl FnMut(&BlockSeries, &mut BlockReport) -> Result<(), BlockError>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), BlockError> {
    let total = inner.meta.stats.num_series;
    let mut tell =
        |done| progress(Progress { what: Work::Verifying, unit: ProgressUnit::Series, done, total });
    let tables = inner.tables(&CancelToken::new())?;
    let index = inner.index.path();
    tables.symbols_damage.iter().for_each(|damage| report.note(damage.clone()));
    if !tables.symbols.are_sorted() {
        let message = "expected symbols in order, each once, found them out of order";
        report.note(BlockDamage {
            file: index.to_owned(),
            offset: inner.toc.symbols,
            message: message.to_owned(),
        });
    }
    // How many series have each label, for the lists of postings.
    let mut counts: HashMap<(String, String), u64> = HashMap::new();
    let mut numbers = Vec::new();
    let mut last: Option<BlockSeries> = None;
    for series in BlockSeriesIter::new(inner, tables.clone()) {
        let series = match series {
            Ok(series) => series,
            Err(error) => {
                report.note_error(error)?;
                continue;
            }
        };
        if let Some(before) = last.as_ref().filter(|before| before.labels >= series.labels) {
            let message = format!(
                "expected series in order of labels, found {} after {}",
                series.labels, before.labels
            );
            let offset = series.number * inner.toc.series_factor();
            report.note(BlockDamage { file: index.to_owned(), offset, message });
        }
        if report.series.is_multiple_of(STEP_SERIES) {
            tell(report.series);
        }
        report.series += 1;
        numbers.push(series.number as u32);
        for label in &series.labels {
            *counts.entry((label.name.to_owned(), label.value.to_owned())).or_default() += 1;
        }
        chunks(&series, report)?;
        last = Some(series);
    }
    tell(report.series);
    match &tables.postings {
        None => report.note(BlockDamage {
            file: index.to_owned(),
            offset: inner.toc.postings_table,
            message: "expected a postings table, found damage".to_owned(),
        }),
        Some(postings) => {
            let mut check = |name: &str, value: &str, offset: u64, wanted: u64| -> Result<(), BlockError> {
                let list = match read_postings(&inner.index, offset) {
                    Ok(list) => list,
                    Err(error) => return report.note_error(error),
                };
                let known = list.iter().filter(|number| numbers.binary_search(number).is_ok()).count() as u64;
                if list.len() as u64 != wanted || known != wanted {
                    let message = format!(
                        "expected the {wanted} series with {name}={value:?}, found {} of which {known} are there",
                        list.len()
                    );
                    report.note(BlockDamage { file: index.to_owned(), offset, message });
                }
                report.postings += 1;
                Ok(())
            };
            for (name, values) in postings.names() {
                for (value, offset) in values.iter() {
                    let wanted = counts.remove(&(name.to_owned(), value.to_owned())).unwrap_or(0);
                    check(name, value, offset, wanted)?;
                }
            }
            if let Some(offset) = postings.all() {
                check("", "", offset, numbers.len() as u64)?;
            }
            for ((name, value), count) in counts {
                let message =
                    format!("expected a list of the {count} series with {name}={value:?}, found none");
                report.note(BlockDamage {
                    file: index.to_owned(),
                    offset: inner.toc.postings_table,
                    message,
                });
            }
        }
    }
    verify_counts(inner, &tables.symbols, report);
    Ok(())
}

fn verify_counts(inner: &Inner, symbols: &Symbols, report: &mut BlockReport) {
    let stats = inner.meta.stats;
    if report.series > 0 && symbols.len() == 0 {
        let message = "expected symbols, found none".to_owned();
        report.note(BlockDamage { file: inner.dir.clone(), offset: 0, message });
    }
    for (what, wanted, found) in [
        ("series", stats.num_series, report.series),
        ("chunks", stats.num_chunks, report.chunks),
        ("samples", stats.num_samples, report.samples),
    ] {
        if wanted != found {
            let message = format!("expected {wanted} {what} as meta.json says, found {found}");
            report.note(BlockDamage { file: inner.dir.clone(), offset: 0, message });
        }
    }
}

fn verify_chunks(block: &Block, series: &BlockSeries, report: &mut BlockReport) -> Result<(), BlockError> {
    for chunk in &series.chunks {
        let data = match block.read_chunk(chunk) {
            Ok(data) => data,
            Err(error) => {
                report.note_error(error)?;
                continue;
            }
        };
        match check_samples(chunk, (data.encoding, &data.data)) {
            Ok(samples) => {
                report.chunks += 1;
                report.samples += samples;
            }
            Err(message) => report.note(BlockDamage {
                file: block.dir().join(CHUNKS_DIR).join(format!("{:06}", (chunk.reference >> 32) + 1)),
                offset: chunk.reference & 0xffff_ffff,
                message: format!("{message}, in {}", series.labels),
            }),
        }
    }
    Ok(())
}

/// How many samples a chunk has, if they are in order and inside the time that the index says.
pub(super) fn check_samples(chunk: &ChunkMeta, (encoding, data): (Encoding, &[u8])) -> Result<u64, String> {
    let mut times = Vec::new();
    let read = match encoding {
        Encoding::Xor | Encoding::Xor2 => {
            let columns = (&mut times, &mut Vec::new(), &mut Vec::new());
            decode_floats(encoding, data, TimeRange::ALL, columns)
        }
        _ => HistogramIter::new(encoding, data).and_then(|samples| {
            { samples }.try_for_each(|sample| sample.map(|sample| times.push(sample.t_ms)))
        }),
    };
    read.map_err(|error| format!("chunk does not decode: {error}"))?;
    if !times.is_sorted_by(|before, after| before < after) {
        return Err("expected samples in order of time, found them out of order".to_owned());
    }
    let (first, last) = (times.first().copied(), times.last().copied());
    if first != Some(chunk.min_ms) || last != Some(chunk.max_ms) {
        let ChunkMeta { min_ms, max_ms, .. } = chunk;
        return Err(format!("expected samples from {min_ms} to {max_ms}, found {first:?} to {last:?}"));
    }
    Ok(times.len() as u64)
}

//! ColdWriter: a new cold block, series by series in order of labels. In memory are the symbols, one series, and the timestamps
//! that others may share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kymo_chunk::{Encoding, cold::COLUMN_SAMPLES_MAX, cold::encode_values, decode};
use kymo_model::{Labels, StoreError, StoreErrorKind};

use super::super::encode::EncodedChunk;
use super::super::error::{BlockDamage, BlockError, WriteBlockError};
use super::super::file::FileWriter;
use super::super::index::ChunkMeta;
use super::super::meta::{BlockMeta, BlockStats, META_FILE};
use super::super::tombstones::{TOMBSTONES_FILE, Tombstones};
use super::super::ulid::Ulid;
use super::super::verify::check_samples;
use super::super::write::{BlockOrigin, SeriesSpool, remove_tree, write_whole};
use super::convert::ConvertOptions;
use super::reader::ColdBlock;
use super::record::{self, Kind, ValuesColumn};
use super::shared_times::SharedTimes;
use super::verify::verify_while;
use super::{COLD_ENDING, COLUMNS_FILE, TIMES_COPY_FILE, TIMES_FILE};
use crate::vfs::Vfs;

/// What follows the name of a cold block that is not finished.
pub(super) const UNFINISHED: &str = ".cold.tmp";

/// A column of a series that was scraped as often as most has from half as many samples to as many.
const COLUMN_SAMPLES: usize = 2048;

/// Where the column is cut of a series that was scraped far more often than it seemed.
const DENSE_SAMPLES_MAX: usize = 4 * COLUMN_SAMPLES;

const _: () = assert!(DENSE_SAMPLES_MAX <= COLUMN_SAMPLES_MAX);

/// Timestamps are kept twice if they are not more than this part of the columns.
const COPY_ONE_IN: u64 = 16;

/// Why a cold block could not be written. Nothing of it is left but what the next cleaning removes.
#[derive(Debug, thiserror::Error)]
pub enum ColdWriteError {
    /// The disk refused something.
    #[error(transparent)]
    Write(#[from] WriteBlockError),
    /// A block could not be read. Damaged series and chunks are no such error.
    #[error("cannot read a block: {0}")]
    Read(BlockError),
    /// It was asked to stop.
    #[error("the conversion was stopped")]
    Stopped,
    /// What was just written cannot be read back.
    #[error("cannot read back what was written: {0}")]
    ReadBack(#[from] BlockError),
    /// What was read back is not what was written: a fault of the disk or of this program.
    #[error("expected {expected} samples in what was written, found {found}; {faults} faults, the first: {}", first_of(.first))]
    Different {
        /// Samples that were written.
        expected: u64,
        /// Samples that were read.
        found: u64,
        /// How many places are wrong.
        faults: u64,
        /// The first of them.
        first: Option<BlockDamage>,
    },
}

impl From<ColdWriteError> for StoreError {
    fn from(error: ColdWriteError) -> StoreError {
        match error {
            ColdWriteError::Read(error) | ColdWriteError::ReadBack(error) => error.into(),
            ColdWriteError::Write(error) => error.into(),
            ColdWriteError::Stopped => StoreError::new(StoreErrorKind::Canceled, error.to_string()),
            ColdWriteError::Different { .. } => StoreError::new(StoreErrorKind::Corrupt, error.to_string()),
        }
    }
}

fn first_of(damage: &Option<BlockDamage>) -> String {
    damage.as_ref().map_or_else(|| "none".to_owned(), BlockDamage::to_string)
}

#[derive(Debug)]
pub(super) struct ColdWriter {
    vfs: Arc<dyn Vfs>,
    parent: PathBuf,
    unfinished: PathBuf,
    ulid: Ulid,
    options: ConvertOptions,
    /// First and behind the last millisecond of the block: columns are cut at equal parts of it.
    span_ms: (i64, i64),
    spool: SeriesSpool,
    columns: FileWriter,
    times: SharedTimes,
    stats: BlockStats,
    metas: Vec<ChunkMeta>,
    open: OpenColumn,
    body: Vec<u8>,
    scratch: Vec<u8>,
}

/// Samples of a series that are not in a column yet.
#[derive(Debug, Default)]
struct OpenColumn {
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
}

impl ColdWriter {
    pub(super) fn create(
        vfs: Arc<dyn Vfs>,
        parent: &Path,
        ulid: Ulid,
        span_ms: (i64, i64),
        options: ConvertOptions,
    ) -> Result<ColdWriter, WriteBlockError> {
        let unfinished = parent.join(format!("{ulid}{UNFINISHED}"));
        vfs.create_dir_all(&unfinished).map_err(WriteBlockError::io("create", &unfinished))?;
        let times = record::create(&*vfs, unfinished.join(TIMES_FILE))?;
        Ok(ColdWriter {
            spool: SeriesSpool::create(&*vfs, &unfinished)?,
            columns: record::create(&*vfs, unfinished.join(COLUMNS_FILE))?,
            times: SharedTimes::new(times, options.shared_times_max),
            vfs,
            parent: parent.to_owned(),
            unfinished,
            ulid,
            options,
            span_ms,
            stats: BlockStats::default(),
            metas: Vec::new(),
            open: OpenColumn::default(),
            body: Vec::new(),
            scratch: Vec::new(),
        })
    }

    pub(super) fn stats(&self) -> BlockStats {
        self.stats
    }

    /// Adds a series with its chunks, which lie behind one another in time; labels are higher than those before. What does not
    /// decode is left out, and told by its place among the chunks and why.
    pub(super) fn add_series(
        &mut self,
        labels: &Labels,
        chunks: &[EncodedChunk],
    ) -> Result<Vec<(usize, String)>, WriteBlockError> {
        self.spool.check_order(labels)?;
        self.metas.clear();
        let parts = self.parts(chunks);
        let mut bad = Vec::new();
        for (at, chunk) in chunks.iter().enumerate() {
            if chunk.encoding != Encoding::Xor {
                self.close_column()?;
                if let Err(message) = self.push_chunk(chunk)? {
                    bad.push((at, message));
                }
                continue;
            }
            let before = self.open.timestamps_ms.len();
            let OpenColumn { timestamps_ms, values } = &mut self.open;
            if let Err(error) = decode(&chunk.data, timestamps_ms, values) {
                bad.push((at, format!("chunk does not decode: {error}")));
                continue;
            }
            let last_ms = before.checked_sub(1).map(|last| timestamps_ms[last]);
            let last_ms = last_ms.or(self.metas.last().map(|column| column.max_ms));
            let read = &timestamps_ms[before..];
            let in_order = read.is_sorted_by(|before, after| before < after);
            if !in_order || read.first().is_some_and(|first| last_ms.is_some_and(|last| *first <= last)) {
                bad.push((at, "expected samples in order of time, found them out of order".to_owned()));
                timestamps_ms.truncate(before);
                values.truncate(before);
                continue;
            }
            self.cut_columns(parts)?;
        }
        self.close_column()?;
        if !self.metas.is_empty() {
            self.stats.num_series += 1;
            self.stats.num_chunks += self.metas.len() as u64;
            self.spool.add(labels, &self.metas)?;
        }
        Ok(bad)
    }

    /// Into how many equal parts the block's time is divided for a series: a power of two, so that series of one target, one of which
    /// lacks a sample here and there, are cut at the same times.
    fn parts(&self, chunks: &[EncodedChunk]) -> u128 {
        let floats = || chunks.iter().filter(|chunk| chunk.encoding == Encoding::Xor);
        let samples: u64 =
            floats().filter_map(|chunk| chunk.encoding.sample_count(&chunk.data)).map(u64::from).sum();
        let (Some(first), Some(last)) = (floats().next(), floats().next_back()) else { return 1 };
        let covered = last.max_ms.abs_diff(first.min_ms).max(1);
        let span = self.span_ms.1.abs_diff(self.span_ms.0);
        let in_span = u128::from(samples.saturating_sub(1)) * u128::from(span) / u128::from(covered);
        in_span.div_ceil(COLUMN_SAMPLES as u128).max(1).next_power_of_two()
    }

    /// Writes the columns that are complete of what is open.
    fn cut_columns(&mut self, parts: u128) -> Result<(), WriteBlockError> {
        let (begin_ms, end_ms) = self.span_ms;
        let span = u128::from(end_ms.abs_diff(begin_ms)).max(1);
        let part = |t_ms: i64| match t_ms < begin_ms {
            true => 0,
            false => u128::from(t_ms.abs_diff(begin_ms)) * parts / span,
        };
        while let Some(first) = self.open.timestamps_ms.first() {
            let first_part = part(*first);
            let cut = self.open.timestamps_ms.partition_point(|t_ms| part(*t_ms) == first_part);
            let cut = cut.min(DENSE_SAMPLES_MAX);
            if cut == self.open.timestamps_ms.len() {
                return Ok(());
            }
            self.push_column(cut)?;
        }
        Ok(())
    }

    fn close_column(&mut self) -> Result<(), WriteBlockError> {
        match self.open.timestamps_ms.len() {
            0 => Ok(()),
            all => self.push_column(all),
        }
    }

    /// Writes the first samples of what is open.
    fn push_column(&mut self, count: usize) -> Result<(), WriteBlockError> {
        let OpenColumn { timestamps_ms, values } = &mut self.open;
        let (times, start) = self.times.place(&timestamps_ms[..count])?;
        ValuesColumn::begin(times, start, &mut self.body);
        encode_values(&values[..count], &mut self.body);
        let (min_ms, max_ms) = (timestamps_ms[0], timestamps_ms[count - 1]);
        let reference = record::push(&mut self.columns, Kind::Values, &self.body, &mut self.scratch)?;
        self.metas.push(ChunkMeta { min_ms, max_ms, reference });
        self.stats.num_samples += count as u64;
        self.stats.num_float_samples += count as u64;
        timestamps_ms.drain(..count);
        values.drain(..count);
        Ok(())
    }

    /// Keeps a chunk as it is, unless it would not be read again; then why not.
    fn push_chunk(&mut self, chunk: &EncodedChunk) -> Result<Result<(), String>, WriteBlockError> {
        let EncodedChunk { min_ms, max_ms, encoding, ref data } = *chunk;
        let mut meta = ChunkMeta { min_ms, max_ms, reference: 0 };
        let samples = match check_samples(&meta, (encoding, data)) {
            Ok(samples) => samples,
            Err(message) => return Ok(Err(message)),
        };
        if let Some(before) = self.metas.last().filter(|before| before.max_ms >= min_ms) {
            return Ok(Err(format!(
                "expected samples behind {}, found them from {min_ms} on",
                before.max_ms
            )));
        }
        meta.reference = record::push(&mut self.columns, Kind::Chunk(encoding), data, &mut self.scratch)?;
        self.metas.push(meta);
        self.stats.num_samples += samples;
        if encoding.is_float() {
            self.stats.num_float_samples += samples;
        } else {
            self.stats.num_histogram_samples += samples;
        }
        Ok(Ok(()))
    }

    /// Makes the block durable, reads all of it back, and gives it its name.
    pub(super) fn finish(
        self,
        origin: BlockOrigin,
        go_on: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<BlockMeta, ColdWriteError> {
        let (vfs, unfinished) = (self.vfs.clone(), self.unfinished.clone());
        self.complete(origin, go_on).inspect_err(|_| {
            // It is of no use, and where the disk is full it would be in the way. What stays goes at the next opening.
            let _ = remove_tree(&*vfs, &unfinished);
        })
    }

    fn complete(
        self,
        origin: BlockOrigin,
        go_on: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<BlockMeta, ColdWriteError> {
        let ColdWriter {
            vfs, parent, unfinished, ulid, options, span_ms, spool, columns, times, stats, ..
        } = self;
        let meta = BlockMeta::new(ulid, origin.range_ms.unwrap_or(span_ms), stats, origin.compaction);
        let columns_bytes = columns.finish()?;
        let mut times = times.into_file();
        let copied =
            if times.position() <= columns_bytes / COPY_ONE_IN { Some(times.reader()?) } else { None };
        times.finish()?;
        if let Some(file) = copied {
            copy(&*vfs, &file, unfinished.join(TIMES_COPY_FILE))?;
        }
        spool.finish(&*vfs, options.postings_per_pass_max)?;
        write_whole(&*vfs, unfinished.join(TOMBSTONES_FILE), &Tombstones::default().to_bytes())?;
        write_whole(&*vfs, unfinished.join(META_FILE), &meta.to_json())?;
        vfs.sync_dir(&unfinished).map_err(WriteBlockError::io("sync", &unfinished))?;

        let all = stats.num_series;
        let report = verify_while(&ColdBlock::open(&*vfs, &unfinished)?, &mut |_| go_on(all, all)).map_err(
            |error| match error {
                BlockError::Canceled(_) => ColdWriteError::Stopped,
                error => ColdWriteError::ReadBack(error),
            },
        )?;
        if !report.is_sound() || report.samples != stats.num_samples {
            return Err(ColdWriteError::Different {
                expected: stats.num_samples,
                found: report.samples,
                faults: report.damage_total,
                first: report.damage.into_iter().next(),
            });
        }
        let finished = parent.join(format!("{ulid}{COLD_ENDING}"));
        vfs.rename(&unfinished, &finished).map_err(WriteBlockError::io("rename", &unfinished))?;
        vfs.sync_dir(&parent).map_err(WriteBlockError::io("sync", &parent))?;
        Ok(meta)
    }

    /// Removes what was written.
    pub(super) fn discard(self) -> Result<(), BlockError> {
        let ColdWriter { vfs, unfinished, spool, columns, times, .. } = self;
        drop((spool, columns, times));
        remove_tree(&*vfs, &unfinished)
    }
}

fn copy(vfs: &dyn Vfs, from: &super::super::file::BlockFile, to: PathBuf) -> Result<(), WriteBlockError> {
    const COPY_BYTES: usize = 1 << 20;
    let mut file = FileWriter::create(vfs, to)?;
    while file.position() < from.size() {
        file.push(&from.read(file.position(), COPY_BYTES.min((from.size() - file.position()) as usize))?)?;
    }
    file.finish().map(drop)
}

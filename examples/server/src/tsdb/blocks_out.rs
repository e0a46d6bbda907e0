//! `kymo tsdb export` and `import`: blocks out of a data directory, out of OpenMetrics text, or out of other blocks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use kymo_chunk::XorAppender;
use kymo_exposition::{Entry, Format, LabelScratch, ParseError, Parser};
use kymo_model::{Labels, Selector, TimeRange};
use kymo_tsdb::OsVfs;
use kymo_tsdb::block::{
    BlockChunk, BlockMeta, BlockOrigin, BlockWriter, BlockWriterOptions, CutError, Ulid, WriteBlockError,
    write_select,
};

use super::go_format;
use super::import_prometheus;
use super::sources::{Sources, SourcesError};
use crate::output::{Verdict, say};
use crate::progress::Progress;

/// How long a block is, unless said otherwise: what Prometheus cuts.
const BLOCK_MS: i64 = 2 * 60 * 60 * 1000;

/// Chunks are cut at so many samples.
const CHUNK_SAMPLES_MAX: u16 = 120;

#[derive(Args)]
pub(super) struct ExportArgs {
    /// The data directory, ours or Prometheus'.
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Where the blocks go; made when it is not there.
    #[arg(value_name = "OUT")]
    out: PathBuf,

    /// First millisecond.
    #[arg(long, default_value_t = i64::MIN, allow_hyphen_values = true)]
    min_time: i64,

    /// Last millisecond.
    #[arg(long, default_value_t = i64::MAX, allow_hyphen_values = true)]
    max_time: i64,
}

#[derive(Args)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    what: Import,
}

#[derive(Subcommand)]
enum Import {
    /// Blocks of two hours out of the log and head that a Prometheus left in its data directory, which then go to imported/.
    Prometheus {
        /// The data directory. No server may have it open.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// How many bytes samples may take in memory (512MB, 2GB) before they are written to disk.
        #[arg(long, value_name = "BYTES", default_value = "256MB", value_parser = crate::serve::bytes)]
        max_memory: crate::serve::Bytes,
    },
    /// Blocks of two hours out of samples with timestamps, in OpenMetrics text.
    Openmetrics {
        /// The text.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Where the blocks go; made when it is not there.
        #[arg(value_name = "OUT", default_value = "data/")]
        out: PathBuf,
    },
}

/// Doubled so often, the length of a block is not too long for a time yet.
const STEPS_MAX: u32 = 39;

/// Why not all blocks were written.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutError {
    #[error(transparent)]
    Sources(#[from] SourcesError),
    #[error(transparent)]
    Store(#[from] kymo_model::StoreError),
    #[error(transparent)]
    Cut(#[from] CutError),
    #[error(transparent)]
    Write(#[from] WriteBlockError),
    #[error(transparent)]
    Import(#[from] kymo_tsdb::prometheus::ImportError),
    #[error("cannot {action} {}: {source}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{}: {error}", .path.display())]
    Text { path: PathBuf, error: ParseError },
    #[error("expected a timestamp for every sample, found none for {series} ({})", .path.display())]
    NoTimestamp { path: PathBuf, series: String },
    #[error("expected samples of {series} in order of time, found {t_ms} ms twice ({})", .path.display())]
    Twice { path: PathBuf, series: String, t_ms: i64 },
}

fn writer(out: &Path) -> Result<BlockWriter, OutError> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let options = BlockWriterOptions::default();
    Ok(BlockWriter::create(Arc::new(OsVfs), out, Ulid::generate(now_ms), options)?)
}

fn make_dir(out: &Path) -> Result<(), OutError> {
    let io = |source| OutError::Io { action: "create", path: out.to_owned(), source };
    std::fs::create_dir_all(out).map_err(io)
}

pub(super) fn tell(meta: &BlockMeta) {
    let BlockMeta { ulid, min_time_ms, max_time_ms, stats, .. } = meta;
    let duration = go_format::duration(max_time_ms - min_time_ms);
    say(format!(
        "{ulid}  {min_time_ms}  {duration}  {} series, {} samples",
        stats.num_series, stats.num_samples
    ));
}

/// Everything that the directory holds, as blocks of two hours.
pub(super) fn export(args: &ExportArgs) -> Result<Verdict, OutError> {
    let sources = Sources::open(&args.dir)?;
    make_dir(&args.out)?;
    let head = sources.db.as_ref().map(|db| db.stats());
    let metas =
        sources.blocks.iter().map(|block| block.meta()).chain(sources.cold.iter().map(|cold| cold.meta()));
    let ends = metas.map(|meta| (meta.min_time_ms, meta.max_time_ms)).chain(
        head.and_then(|stats| Some((stats.min_time?.millis(), stats.max_time?.millis().saturating_add(1)))),
    );
    let (min_ms, end_ms) = ends.fold((i64::MAX, i64::MIN), |all, one| (all.0.min(one.0), all.1.max(one.1)));
    let (min_ms, end_ms) = (min_ms.max(args.min_time), end_ms.min(args.max_time.saturating_add(1)));
    let mut begin_ms = min_ms.div_euclid(BLOCK_MS).saturating_mul(BLOCK_MS);
    // Times without samples are passed over in steps that double: there may be half a century of them.
    let mut step = 0;
    while begin_ms < end_ms {
        let block_end_ms = begin_ms.saturating_add(BLOCK_MS << step);
        let range = (begin_ms.max(min_ms), block_end_ms.min(end_ms));
        let wanted = Selector::new(Vec::new(), TimeRange::from_millis(range.0, range.1 - 1));
        let set = sources.select(&wanted)?;
        if set.is_empty() {
            step = (step + 1).min(STEPS_MAX);
        } else if step > 0 {
            step -= 1;
            continue;
        } else {
            let progress = Progress::work("a block");
            let mut writer = writer(&args.out)?;
            write_select(&mut writer, &set, &mut |now| progress.tell(now))?;
            if writer.stats().num_series == 0 {
                writer.discard().map_err(SourcesError::from)?;
            } else {
                // As promtool makes them, ending with their last sample: a Prometheus takes nothing from before the end of its last block.
                let meta = writer.finish(BlockOrigin::default())?;
                drop(progress);
                tell(&meta);
            }
        }
        begin_ms = block_end_ms;
    }
    Ok(Verdict::good_if(sources.complain_of_damage() == 0 && sources.refused == 0))
}

pub(super) fn import(args: &ImportArgs) -> Result<Verdict, OutError> {
    let (file, out) = match &args.what {
        Import::Prometheus { dir, max_memory } => {
            return Ok(import_prometheus::run(dir, usize::try_from(max_memory.0).unwrap_or(usize::MAX))?);
        }
        Import::Openmetrics { file, out } => (file, out),
    };
    let io = |source| OutError::Io { action: "read", path: file.clone(), source };
    let text = std::fs::read(file).map_err(io)?;
    make_dir(out)?;
    // Once to know which blocks there will be, and once for each of them, so that memory holds the samples of one.
    let mut numbers: Vec<i64> = Vec::new();
    for_each_sample(file, &text, |_, t_ms, _| {
        let number = t_ms.div_euclid(BLOCK_MS);
        if let Err(at) = numbers.binary_search(&number) {
            numbers.insert(at, number);
        }
        Ok(())
    })?;
    let progress = Progress::over(numbers.len());
    for number in numbers {
        let meta = import_block(file, &text, number, out)?;
        progress.aside(|| tell(&meta));
        progress.done();
    }
    Ok(Verdict::Good)
}

fn for_each_sample(
    file: &Path,
    text: &[u8],
    mut each: impl FnMut(
        &dyn Fn(&mut LabelScratch) -> Result<Labels, ParseError>,
        i64,
        f64,
    ) -> Result<(), OutError>,
) -> Result<(), OutError> {
    for entry in Parser::new(Format::OpenMetrics, text) {
        let bad = |error| OutError::Text { path: file.to_owned(), error };
        if let Entry::Sample(sample) = entry.map_err(bad)? {
            let Some(t) = sample.timestamp else {
                let series = String::from_utf8_lossy(sample.series()).into_owned();
                return Err(OutError::NoTimestamp { path: file.to_owned(), series });
            };
            each(&|scratch| sample.labels(scratch), t.millis(), sample.value)?;
        }
    }
    Ok(())
}

fn import_block(file: &Path, text: &[u8], number: i64, out: &Path) -> Result<BlockMeta, OutError> {
    let mut scratch = LabelScratch::default();
    let mut series: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
    for_each_sample(file, text, |labels, t_ms, value| {
        if t_ms.div_euclid(BLOCK_MS) == number {
            let labels =
                labels(&mut scratch).map_err(|error| OutError::Text { path: file.to_owned(), error })?;
            series.entry(labels).or_default().push((t_ms, value));
        }
        Ok(())
    })?;
    let mut writer = writer(out)?;
    for (labels, mut samples) in series {
        samples.sort_by_key(|(t_ms, _)| *t_ms);
        if let Some(twice) = samples.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(OutError::Twice {
                path: file.to_owned(),
                series: labels.to_string(),
                t_ms: twice[0].0,
            });
        }
        let chunks: Vec<(i64, i64, Vec<u8>)> =
            samples.chunks(usize::from(CHUNK_SAMPLES_MAX)).map(encode).collect();
        let chunks: Vec<BlockChunk<'_>> = chunks
            .iter()
            .map(|(min_ms, max_ms, data)| BlockChunk {
                min_ms: *min_ms,
                max_ms: *max_ms,
                encoding: kymo_chunk::Encoding::Xor,
                data,
            })
            .collect();
        writer.add_series(&labels, &chunks)?;
    }
    Ok(writer.finish(BlockOrigin::default())?)
}

fn encode(samples: &[(i64, f64)]) -> (i64, i64, Vec<u8>) {
    let mut chunk = XorAppender::new();
    chunk.push_all(samples.iter().copied());
    (samples[0].0, samples[samples.len() - 1].0, chunk.into_bytes())
}

//! `kymo tsdb`: what a data directory holds, ours or Prometheus'.

mod analyze;
mod blocks_out;
mod change;
mod chunk_sizes;
mod cold;
mod dump;
mod go_format;
mod import_prometheus;
mod list;
mod sources;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use kymo_model::Timestamp;
use kymo_tsdb::{Cardinality, Counted, Options, ReadOnlyDb, Stats};
use serde_json::{Value, json};

use crate::output::{Verdict, complain, say, say_json};
use crate::progress::Progress;

/// Arguments of `kymo tsdb`.
#[derive(Args)]
pub(crate) struct TsdbArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Series, samples, bytes, and what makes up the series. A server may have the directory open meanwhile.
    Stats(StatsArgs),
    /// The blocks.
    List(list::ListArgs),
    /// Churn and cardinality of a block.
    Analyze(analyze::AnalyzeArgs),
    /// Every sample, a line each.
    Dump(dump::DumpArgs),
    /// Reads all of all blocks and says what is wrong where.
    Verify(verify::VerifyArgs),
    /// Makes Prometheus blocks of everything as it is now; those that are there already take no room a second time.
    Snapshot(change::SnapshotArgs),
    /// Compacts blocks as Prometheus would, those that overlap first.
    Compact(change::CompactArgs),
    /// Rewrites old blocks in a fourth of their bytes. kymo reads them as before, Prometheus passes over them.
    Cold(cold::ColdArgs),
    /// Deletes samples.
    Delete(change::DeleteArgs),
    /// Makes Prometheus blocks of everything in a directory, blocks and head.
    Export(blocks_out::ExportArgs),
    /// Makes Prometheus blocks of something else: of a text, or of the log and head of a Prometheus.
    Import(blocks_out::ImportArgs),
}

#[derive(Args)]
struct StatsArgs {
    /// The data directory, as `kymo serve --storage.tsdb.path` has it.
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// How many items to show in each list.
    #[arg(long, default_value_t = 20)]
    limit: usize,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Runs `kymo tsdb`.
pub(crate) fn run(args: TsdbArgs) -> ExitCode {
    fn complained<E: std::fmt::Display>(result: Result<Verdict, E>) -> Verdict {
        result.unwrap_or_else(|error| {
            complain(error);
            Verdict::Faults
        })
    }
    match args.what {
        What::Stats(args) => complained(
            stats(&args).map_err(|error| format!("{}: {error}", args.dir.display())).map(|()| Verdict::Good),
        ),
        What::List(args) => complained(list::run(&args)),
        What::Analyze(args) => complained(analyze::run(&args)),
        What::Dump(args) => complained(dump::run(&args)),
        What::Verify(args) => complained(verify::run(&args)),
        What::Snapshot(args) => complained(change::snapshot(&args)),
        What::Compact(args) => complained(change::compact(&args)),
        What::Cold(args) => complained(cold::run(&args)),
        What::Delete(args) => complained(change::delete(&args)),
        What::Export(args) => complained(blocks_out::export(&args)),
        What::Import(args) => complained(blocks_out::import(&args)),
    }
    .into()
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
enum StatsError {
    /// Opening would make a new database where there is none.
    #[error("expected a data directory, found {0}")]
    NoDatabase(&'static str),
    #[error(transparent)]
    Open(#[from] kymo_tsdb::OpenError),
}

fn stats(args: &StatsArgs) -> Result<(), StatsError> {
    expect_database(&args.dir)?;
    let opening = Arc::new(Progress::work(args.dir.display().to_string()));
    let options = Options { on_progress: Some(opening.on_open()), ..Options::default() };
    let db = ReadOnlyDb::open(&args.dir, options)?;
    let (stats, cardinality) = (db.stats(), db.cardinality(args.limit));
    drop(opening);
    for damage in &stats.replay.damaged {
        complain(format_args!("damaged: {damage}"));
    }
    let more = stats.replay.damaged_total.saturating_sub(stats.replay.damaged.len() as u64);
    if more > 0 {
        complain(format_args!("damaged: {more} more places"));
    }
    if args.json {
        say_json(&to_json(&args.dir, &stats, &cardinality));
    } else {
        say(to_text(&stats, &cardinality));
    }
    Ok(())
}

/// The file every open database has locked, and a former one has left.
const LOCK_FILE: &str = "lock";

fn expect_database(dir: &Path) -> Result<(), StatsError> {
    match std::fs::metadata(dir) {
        Err(_) => Err(StatsError::NoDatabase("nothing")),
        Ok(metadata) if !metadata.is_dir() => Err(StatsError::NoDatabase("a file")),
        Ok(_) if !dir.join(LOCK_FILE).exists() => {
            Err(StatsError::NoDatabase("a directory without a database"))
        }
        Ok(_) => Ok(()),
    }
}

fn lists(cardinality: &Cardinality) -> [(&'static str, &'static str, &[Counted]); 5] {
    let Cardinality {
        series_by_metric_name,
        values_by_label_name,
        bytes_by_label_name,
        series_by_label_pair,
        chunk_bytes_by_metric_name,
    } = cardinality;
    [
        ("Series by metric name", "series_by_metric_name", series_by_metric_name),
        ("Values by label name", "values_by_label_name", values_by_label_name),
        ("Bytes of values by label name", "bytes_by_label_name", bytes_by_label_name),
        ("Series by label pair", "series_by_label_pair", series_by_label_pair),
        ("Bytes of chunks by metric name", "chunk_bytes_by_metric_name", chunk_bytes_by_metric_name),
    ]
}

fn to_text(stats: &Stats, cardinality: &Cardinality) -> String {
    let (disk, blocks) = (&stats.disk, &stats.blocks);
    let samples = stats.samples + blocks.samples;
    let mut rows = vec![
        ("Series", stats.series.to_string()),
        ("Samples", stats.samples.to_string()),
        ("Chunks", stats.chunks.to_string()),
        ("Label pairs", stats.label_pairs.to_string()),
        ("Oldest sample", time(stats.min_time)),
        ("Newest sample", time(stats.max_time)),
        ("Blocks", blocks.blocks.to_string()),
        ("  cold ones", blocks.cold.to_string()),
        ("  series", blocks.series.to_string()),
        ("  samples", blocks.samples.to_string()),
        ("  from", time(blocks.min_time)),
        ("  to", time(blocks.max_time)),
        ("Bytes", disk.total_bytes().to_string()),
        ("  blocks", disk.block_bytes.to_string()),
        ("  chunks", disk.chunk_bytes.to_string()),
        ("  checkpoint", disk.checkpoint_bytes.to_string()),
        ("  write-ahead log", disk.wal_bytes.to_string()),
    ];
    if samples > 0 {
        rows.push(("Bytes per sample", format!("{:.2}", disk.total_bytes() as f64 / samples as f64)));
    }
    if stats.replay.damaged_total > 0 || stats.replay.orphans > 0 {
        rows.push(("Damaged places", stats.replay.damaged_total.to_string()));
        rows.push(("Orphans of damage", stats.replay.orphans.to_string()));
    }
    let mut text: String = rows.iter().map(|(name, value)| format!("{name:<18} {value}\n")).collect();
    for (title, _, list) in lists(cardinality) {
        if list.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{title}:\n"));
        let width = list.iter().map(|counted| counted.count.to_string().len()).max().unwrap_or(0);
        for Counted { name, count } in list {
            text.push_str(&format!("{count:>width$} {name}\n"));
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// RFC 3339, or milliseconds since 1970 where the year does not fit.
fn time(at: Option<Timestamp>) -> String {
    match at.map(Timestamp::millis) {
        None => "none".to_owned(),
        Some(ms) => {
            jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |time| time.to_string())
        }
    }
}

fn to_json(dir: &Path, stats: &Stats, cardinality: &Cardinality) -> Value {
    let damaged: Vec<Value> = stats
        .replay
        .damaged
        .iter()
        .map(|damage| {
            json!({ "file": damage.file, "offset": damage.offset, "bytes": damage.bytes, "message": damage.to_string() })
        })
        .collect();
    let mut value = json!({
        "directory": dir,
        "series": stats.series,
        "samples": stats.samples,
        "chunks": stats.chunks,
        "label_pairs": stats.label_pairs,
        "min_time_ms": stats.min_time.map(Timestamp::millis),
        "max_time_ms": stats.max_time.map(Timestamp::millis),
        "blocks": {
            "blocks": stats.blocks.blocks,
            "cold": stats.blocks.cold,
            "series": stats.blocks.series,
            "samples": stats.blocks.samples,
            "chunks": stats.blocks.chunks,
            "tombstones": stats.blocks.tombstones,
            "min_time_ms": stats.blocks.min_time.map(Timestamp::millis),
            "max_time_ms": stats.blocks.max_time.map(Timestamp::millis),
        },
        "bytes": {
            "total": stats.disk.total_bytes(),
            "blocks": stats.disk.block_bytes,
            "chunks": stats.disk.chunk_bytes,
            "checkpoint": stats.disk.checkpoint_bytes,
            "wal": stats.disk.wal_bytes,
        },
        "orphans": stats.replay.orphans,
        "damaged_total": stats.replay.damaged_total,
        "damaged": damaged,
    });
    for (_, key, list) in lists(cardinality) {
        value[key] =
            list.iter().map(|counted| json!({ "name": counted.name, "count": counted.count })).collect();
    }
    value
}

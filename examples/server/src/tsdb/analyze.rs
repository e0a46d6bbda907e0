//! `kymo tsdb analyze`: churn and cardinality of a block, in promtool's words.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;
use kymo_model::METRIC_NAME;
use kymo_tsdb::block::BlockError;
use kymo_tsdb::cold::COLD_ENDING;

use super::chunk_sizes::ChunkSizes;
use super::go_format;
use super::sources::{BlockName, Sources, SourcesError};
use crate::output::{Verdict, complain, say};

#[derive(Args)]
pub(super) struct AnalyzeArgs {
    /// The data directory, ours or Prometheus'.
    #[arg(value_name = "DIR", default_value = "data/")]
    dir: PathBuf,

    /// The block, cold or not; the newest, if not given.
    #[arg(value_name = "BLOCK")]
    block: Option<BlockName>,

    /// How many items to show in each list.
    #[arg(long, default_value_t = 20)]
    limit: usize,

    /// Read all chunks, too, and show how many samples, bytes and buckets they have.
    #[arg(long)]
    extended: bool,
}

/// What the lists are made of.
#[derive(Default)]
struct Counts {
    /// Time without samples, by name and by pair.
    uncovered_by_name: HashMap<String, u64>,
    uncovered_by_pair: HashMap<String, u64>,
    /// Series by pair.
    pairs: HashMap<String, u64>,
    /// Values, each once, by name: how many, and their bytes.
    values: HashMap<String, (u64, u64)>,
    metrics: HashMap<String, u64>,
    entries: u64,
}

pub(super) fn run(args: &AnalyzeArgs) -> Result<Verdict, SourcesError> {
    let sources = Sources::blocks(&args.dir)?;
    let block = sources.block(args.block)?;
    let meta = block.meta();
    let chunks = match (args.extended, block.plain()) {
        (true, None) => return Err(SourcesError::NoChunks(meta.ulid)),
        (true, Some(chunks)) => Some(chunks),
        (false, _) => None,
    };
    let mut sizes = ChunkSizes::default();
    let mut damaged = false;
    let whole_ms = (meta.max_time_ms - meta.min_time_ms) as u64;
    let mut counts = Counts::default();
    for series in block.series()? {
        let series = match series {
            Ok(series) => series,
            Err(BlockError::Damaged(damage)) => {
                complain(format_args!("damaged: {damage}"));
                damaged = true;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(block) = chunks {
            for chunk in &series.chunks {
                let fault = match block.read_chunk(chunk) {
                    Ok(data) => sizes.add(&data).err().map(|error| format!("{error}, in {}", series.labels)),
                    Err(BlockError::Damaged(damage)) => Some(damage.to_string()),
                    Err(error) => return Err(error.into()),
                };
                if let Some(fault) = fault {
                    complain(format_args!("damaged: {fault}"));
                    damaged = true;
                }
            }
        }
        let (Some(first), Some(last)) = (series.chunks.first(), series.chunks.last()) else { continue };
        let uncovered = whole_ms.saturating_sub((last.max_ms - first.min_ms) as u64);
        for label in &series.labels {
            counts.entries += 1;
            let pair = format!("{}={}", label.name, label.value);
            *counts.uncovered_by_name.entry(label.name.to_owned()).or_default() += uncovered;
            let seen = counts.pairs.entry(pair.clone()).or_default();
            *seen += 1;
            if *seen == 1 {
                let (values, bytes) = counts.values.entry(label.name.to_owned()).or_default();
                *values += 1;
                *bytes += label.value.len() as u64;
            }
            *counts.uncovered_by_pair.entry(pair).or_default() += uncovered;
            if label.name == METRIC_NAME {
                *counts.metrics.entry(label.value.to_owned()).or_default() += 1;
            }
        }
    }
    let mut text = format!(
        "Block ID: {}{}\nDuration: {}\nSeries: {}\nLabel names: {}\nPostings (unique label pairs): {}\n\
         Postings entries (total label pairs): {}\n",
        meta.ulid,
        if block.is_cold() { COLD_ENDING } else { "" },
        go_format::duration(meta.max_time_ms - meta.min_time_ms),
        meta.stats.num_series,
        counts.values.len(),
        counts.pairs.len(),
        counts.entries
    );
    let churn = |uncovered: HashMap<String, u64>| {
        uncovered.into_iter().map(|(key, ms)| (key, (ms as f64 / whole_ms.max(1) as f64) as u64)).collect()
    };
    let of_values = |pick: fn(&(u64, u64)) -> u64| {
        counts.values.iter().map(|(name, values)| (name.clone(), pick(values))).collect()
    };
    let bytes = of_values(|(_, bytes)| *bytes);
    let numbers = of_values(|(values, _)| *values);
    for (title, list) in [
        ("Label pairs most involved in churning", churn(counts.uncovered_by_pair)),
        ("Label names most involved in churning", churn(counts.uncovered_by_name)),
        ("Most common label pairs", counts.pairs.into_iter().collect()),
        ("Label names with highest cumulative label value length", bytes),
        ("Highest cardinality labels", numbers),
        ("Highest cardinality metric names", counts.metrics.into_iter().collect()),
    ] {
        let mut list: Vec<(String, u64)> = list;
        list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        text.push_str(&format!("\n{title}:\n"));
        for (key, count) in list.iter().take(args.limit) {
            text.push_str(&format!("{count} {key}\n"));
        }
    }
    if chunks.is_some() {
        text.push_str(&sizes.text());
    }
    say(text.trim_end());
    Ok(Verdict::good_if(sources.refused == 0 && !damaged))
}

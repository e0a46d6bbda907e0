//! `kymo tsdb list`: the blocks of a directory as a table, promtool's, and the cold ones behind them.

use std::path::PathBuf;

use clap::Args;
use kymo_tsdb::block::BlockMeta;
use kymo_tsdb::cold::COLD_ENDING;

use super::go_format;
use super::sources::{Sources, SourcesError};
use crate::output::{Verdict, say};

#[derive(Args)]
pub(super) struct ListArgs {
    /// The data directory, ours or Prometheus'.
    #[arg(value_name = "DIR", default_value = "data/")]
    dir: PathBuf,

    /// Print times and sizes for people.
    #[arg(short = 'r', long)]
    human_readable: bool,
}

pub(super) fn run(args: &ListArgs) -> Result<Verdict, SourcesError> {
    let sources = Sources::blocks(&args.dir)?;
    let header =
        ["BLOCK ULID", "MIN TIME", "MAX TIME", "DURATION", "NUM SAMPLES", "NUM CHUNKS", "NUM SERIES", "SIZE"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let plain = sources.blocks.iter().map(|block| (block.meta(), "", block.size_bytes()));
    let cold = sources.cold.iter().map(|block| (block.meta(), COLD_ENDING, block.size_bytes()));
    rows.extend(plain.chain(cold).map(|(meta, ending, size)| row(meta, ending, size, args.human_readable)));
    say(go_format::table(&rows));
    Ok(Verdict::good_if(sources.refused == 0))
}

fn row(meta: &BlockMeta, ending: &str, size: u64, human_readable: bool) -> Vec<String> {
    let time = |ms: i64| if human_readable { go_format::time(ms) } else { ms.to_string() };
    vec![
        format!("{}{ending}", meta.ulid),
        time(meta.min_time_ms),
        time(meta.max_time_ms),
        go_format::duration(meta.max_time_ms - meta.min_time_ms),
        meta.stats.num_samples.to_string(),
        meta.stats.num_chunks.to_string(),
        meta.stats.num_series.to_string(),
        if human_readable { go_format::bytes(size) } else { size.to_string() },
    ]
}

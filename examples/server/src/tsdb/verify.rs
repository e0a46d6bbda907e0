//! `kymo tsdb verify`: every checksum and every invariant of blocks, and what is wrong where.

use std::path::PathBuf;

use clap::Args;
use kymo_tsdb::block::{Block, Ulid, verify_block_telling};
use serde_json::{Value, json};

use super::sources::{Sources, SourcesError};
use crate::output::{Verdict, complain, say, say_json};
use crate::progress::Progress;

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The data directory, ours or Prometheus'.
    #[arg(value_name = "DIR", default_value = "data/")]
    dir: PathBuf,

    /// Only this block.
    #[arg(value_name = "BLOCK")]
    block: Option<Ulid>,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &VerifyArgs) -> Result<Verdict, SourcesError> {
    let sources = Sources::blocks(&args.dir)?;
    let blocks: Vec<&Block> = match args.block {
        Some(ulid) => vec![sources.block(Some(ulid))?],
        None => sources.blocks.iter().collect(),
    };
    let (mut documents, mut sound): (Vec<Value>, bool) = (Vec::new(), sources.refused == 0);
    for block in blocks {
        let ulid = block.meta().ulid;
        let progress = Progress::work(ulid.to_string());
        let report = verify_block_telling(block, &mut |now| progress.tell(now))?;
        sound &= report.is_sound();
        let (series, chunks, samples) = (report.series, report.chunks, report.samples);
        progress.aside(|| {
            for damage in &report.damage {
                complain(format_args!("damaged: {damage}"));
            }
            if !args.json {
                let word = if report.is_sound() {
                    "sound".to_owned()
                } else {
                    format!("{} faults", report.damage_total)
                };
                say(format!("{ulid}: {word}, {series} series, {chunks} chunks, {samples} samples"));
            }
        });
        let damage: Vec<Value> = report
            .damage
            .iter()
            .map(|damage| json!({ "file": damage.file, "offset": damage.offset, "message": damage.message }))
            .collect();
        documents.push(json!({
            "ulid": ulid.to_string(),
            "series": series,
            "chunks": chunks,
            "samples": samples,
            "faults": report.damage_total,
            "damage": damage,
        }));
    }
    if args.json {
        say_json(&json!({ "directory": args.dir, "refused": sources.refused, "blocks": documents }));
    }
    Ok(Verdict::good_if(sound))
}

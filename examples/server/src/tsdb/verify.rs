//! `kymo tsdb verify`: every checksum and every invariant of blocks, every checksum of a head of ours, and what is wrong where.

use std::path::PathBuf;

use clap::Args;
use kymo_tsdb::block::{Block, BlockError, BlockMeta, BlockReport, Ulid, verify_block_telling};
use kymo_tsdb::cold::{self, COLD_ENDING, ColdBlock};
use kymo_tsdb::{DamageKind, Progress as Told};
use serde_json::{Value, json};

use super::sources::{BlockName, Sources, SourcesError};
use crate::output::{Verdict, complain, say, say_json};
use crate::progress::Progress;

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The data directory, ours or Prometheus'.
    #[arg(value_name = "DIR", default_value = "data/")]
    dir: PathBuf,

    /// Only this block.
    #[arg(value_name = "BLOCK")]
    block: Option<BlockName>,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// A block of either kind.
enum Checked<'a> {
    Plain(&'a Block),
    Cold(&'a ColdBlock),
}

impl Checked<'_> {
    fn meta(&self) -> &BlockMeta {
        match self {
            Checked::Plain(block) => block.meta(),
            Checked::Cold(block) => block.meta(),
        }
    }

    fn name(&self) -> String {
        let ending = if let Checked::Cold(_) = self { COLD_ENDING } else { "" };
        format!("{}{ending}", self.meta().ulid)
    }

    fn verify(&self, progress: &mut dyn FnMut(Told)) -> Result<BlockReport, BlockError> {
        match self {
            Checked::Plain(block) => verify_block_telling(block, progress),
            Checked::Cold(block) => cold::verify_telling(block, progress),
        }
    }
}

pub(super) fn run(args: &VerifyArgs) -> Result<Verdict, SourcesError> {
    let sources = if args.block.is_some() { Sources::blocks(&args.dir)? } else { Sources::open(&args.dir)? };
    let wanted = |ulid: Ulid| args.block.is_none_or(|BlockName(wanted)| wanted == ulid);
    let plain = sources.blocks.iter().map(Checked::Plain);
    let cold = sources.cold.iter().map(Checked::Cold);
    let blocks: Vec<Checked<'_>> = plain.chain(cold).filter(|block| wanted(block.meta().ulid)).collect();
    if let (Some(BlockName(ulid)), true) = (args.block, blocks.is_empty()) {
        return Err(SourcesError::NoBlock(ulid));
    }
    let (mut documents, mut sound): (Vec<Value>, bool) = (Vec::new(), sources.refused == 0);
    for block in blocks {
        let ulid = block.name();
        let progress = Progress::work(ulid.clone());
        let report = block.verify(&mut |now| progress.tell(now))?;
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
            "ulid": ulid,
            "series": series,
            "chunks": chunks,
            "samples": samples,
            "faults": report.damage_total,
            "damage": damage,
        }));
    }
    let head = sources.db.as_ref().map(|db| db.stats());
    if let Some(stats) = &head {
        // Blocks that could not be opened were complained of.
        let damaged = || stats.replay.damaged.iter().filter(|damage| damage.kind != DamageKind::Block);
        damaged().for_each(|damage| complain(format_args!("damaged: {damage}")));
        let faults = stats.replay.damaged_total - sources.refused as u64 + stats.replay.orphans;
        sound &= faults == 0;
        if !args.json {
            let word = if faults == 0 { "sound".to_owned() } else { format!("{faults} faults") };
            let (series, chunks, samples) = (stats.series, stats.chunks, stats.samples);
            say(format!("head: {word}, {series} series, {chunks} chunks, {samples} samples"));
        }
    }
    if args.json {
        let head = head.map(|stats| {
            let damaged = stats.replay.damaged.iter().map(|damage| {
                json!({ "file": damage.file, "offset": damage.offset, "message": damage.to_string() })
            });
            json!({
                "series": stats.series,
                "chunks": stats.chunks,
                "samples": stats.samples,
                "orphans": stats.replay.orphans,
                "damage": damaged.collect::<Vec<Value>>(),
            })
        });
        say_json(&json!({
            "directory": args.dir,
            "refused": sources.refused,
            "blocks": documents,
            "head": head,
        }));
    }
    Ok(Verdict::good_if(sound))
}

//! `kymo tsdb cold`: old blocks become cold blocks, while nobody else has the directory.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use kymo_tsdb::cold::{ConvertOptions, step};
use kymo_tsdb::{OsVfs, Vfs};

use super::change::{ChangeError, lock};
use super::go_format;
use crate::output::{Verdict, complain, say};
use crate::progress::Progress;

#[derive(Args)]
pub(super) struct ColdArgs {
    /// The data directory, ours or Prometheus'. No server may have it open. Prometheus passes over cold blocks; `kymo tsdb export`
    /// makes blocks of them again.
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Blocks whose newest sample is older than this.
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = kymo_model::parse_duration)]
    older_than: i64,
}

/// Makes cold what is old enough, one block after the other, the oldest first.
pub(super) fn run(args: &ColdArgs) -> Result<Verdict, ChangeError> {
    let _lock = lock(&args.dir)?;
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let mut good = true;
    loop {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let before_ms = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_sub(args.older_than);
        let progress = Progress::spinner("converting");
        let doing = |done, total| progress.doing(&format!("converting, {done} of {total} series"));
        let stepped = step(&vfs, &args.dir, before_ms, now_ms, ConvertOptions::default(), &mut { doing })?;
        drop(progress);
        let Some(stepped) = stepped else { return Ok(Verdict::good_if(good)) };
        good &= stepped.converted.damage.is_empty();
        for damage in &stepped.converted.damage {
            complain(format_args!("damaged, its block is in quarantine now: {damage}"));
        }
        let from = stepped.from.ulid;
        match stepped.converted.meta {
            None => say(format!("{from}: no sample left, removed")),
            Some(meta) => say(format!(
                "{from}: {}.cold, {} series, {} samples, {} instead of {}",
                meta.ulid,
                meta.stats.num_series,
                meta.stats.num_samples,
                go_format::bytes(stepped.bytes_after),
                go_format::bytes(stepped.bytes_before)
            )),
        }
    }
}

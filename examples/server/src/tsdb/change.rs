//! `kymo tsdb compact` and `delete`: blocks made anew while nobody else has the directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use kymo_model::TimeRange;
use kymo_tsdb::block::{BlockError, BlockStore, BlockStoreOptions, CompactError, WriteBlockError};
use kymo_tsdb::{OsVfs, Vfs, VfsLock};

use super::go_format;
use crate::output::{Verdict, complain, say};
use crate::progress::Progress;

/// The file that a server, ours or Prometheus', has locked.
const LOCK_FILE: &str = "lock";

#[derive(Args)]
pub(super) struct CompactArgs {
    /// The data directory, ours or Prometheus'. No server may have it open.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Args)]
pub(super) struct DeleteArgs {
    /// The data directory, ours or Prometheus'. No server may have it open.
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// The series; may be given several times.
    #[arg(long = "match", value_name = "SELECTOR", required = true)]
    matchers: Vec<String>,

    /// First millisecond.
    #[arg(long, default_value_t = i64::MIN, allow_hyphen_values = true)]
    min_time: i64,

    /// Last millisecond.
    #[arg(long, default_value_t = i64::MAX, allow_hyphen_values = true)]
    max_time: i64,
}

/// Why blocks were not changed, or not all of them.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    #[error("data directory is in use by another process (lock file {})", .0.display())]
    Locked(PathBuf),
    #[error("cannot lock {}: {source}", .path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Blocks(#[from] BlockError),
    #[error(transparent)]
    Compact(#[from] CompactError),
    #[error(transparent)]
    Write(#[from] WriteBlockError),
    #[error("{selector}: {message}")]
    Selector { selector: String, message: String },
}

fn open(dir: &Path) -> Result<(BlockStore, Box<dyn VfsLock>), ChangeError> {
    let path = dir.join(LOCK_FILE);
    let lock = OsVfs.lock(&path).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => ChangeError::Locked(path),
        _ => ChangeError::Lock { path, source },
    })?;
    let store = BlockStore::open(Arc::new(OsVfs), dir, BlockStoreOptions::default())?;
    for (dir, error) in store.refused() {
        complain(format_args!("{}: {error}", dir.display()));
    }
    Ok((store, lock))
}

/// Compacts until there is nothing to do.
pub(super) fn compact(args: &CompactArgs) -> Result<Verdict, ChangeError> {
    let (store, _lock) = open(&args.dir)?;
    let mut good = store.refused().is_empty();
    loop {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let progress = Progress::spinner("compacting");
        let doing = |done, total| progress.doing(&format!("compacting, {done} of {total} series"));
        let compacted = store.compact(now_ms, &mut { doing })?;
        drop(progress);
        let Some(compacted) = compacted else { return Ok(Verdict::good_if(good)) };
        good &= compacted.damage.is_empty();
        for damage in &compacted.damage {
            complain(format_args!("damaged, its block is in quarantine now: {damage}"));
        }
        if let Some(meta) = compacted.meta {
            let (parents, stats) = (meta.compaction.parents.len(), meta.stats);
            let duration = go_format::duration(meta.max_time_ms - meta.min_time_ms);
            say(format!(
                "{}  {duration}  of {parents} blocks, {} series, {} samples",
                meta.ulid, stats.num_series, stats.num_samples
            ));
        }
    }
}

/// Deletes samples from blocks. What is in a head stays.
pub(super) fn delete(args: &DeleteArgs) -> Result<Verdict, ChangeError> {
    let (store, _lock) = open(&args.dir)?;
    let range = TimeRange::from_millis(args.min_time, args.max_time);
    for selector in &args.matchers {
        let matchers = kymo_promql_syntax::Parser::default().parse_selector(selector).map_err(|error| {
            ChangeError::Selector { selector: selector.clone(), message: error.to_string() }
        })?;
        let series = store.delete(&matchers, range)?.series;
        say(format!("{selector}: deleted from {series} series of blocks"));
    }
    Ok(Verdict::good_if(store.refused().is_empty()))
}

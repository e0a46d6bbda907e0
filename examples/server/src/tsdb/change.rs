//! `kymo tsdb compact`, `delete` and `snapshot`: what changes a directory, while nobody else has it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use kymo_model::{StoreError, TimeRange};
use kymo_tsdb::block::{BlockError, BlockStore, BlockStoreOptions, CompactError, WriteBlockError};
use kymo_tsdb::{Db, OpenError, Options, OsVfs, Snapshot, Vfs, VfsLock};

use super::blocks_out::tell;
use super::go_format;
use super::sources::has_head;
use crate::output::{Verdict, complain, say};
use crate::progress::Progress;
use crate::serve::{SNAPSHOTS_DIR, snapshot_name};

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
    /// The data directory, ours or Prometheus'. No server may have it open. Prometheus' own head is left as it is.
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

#[derive(Args)]
pub(super) struct SnapshotArgs {
    /// The data directory. No server may have it open; a server takes snapshots itself, at /api/v1/admin/tsdb/snapshot.
    #[arg(value_name = "DIR", default_value = "data/")]
    dir: PathBuf,

    /// Where the snapshot goes; a new name in DIR/snapshots, if not given.
    #[arg(value_name = "OUT")]
    out: Option<PathBuf>,

    /// Leave out what is not in blocks yet.
    #[arg(long)]
    skip_head: bool,
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
    #[error(transparent)]
    Cold(#[from] kymo_tsdb::cold::ColdWriteError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("expected a data directory of ours, found none ({})", .0.display())]
    NoDatabase(PathBuf),
    #[error("{selector}: {message}")]
    Selector { selector: String, message: String },
}

/// Keeps servers and other commands away as long as it is held.
pub(super) fn lock(dir: &Path) -> Result<Box<dyn VfsLock>, ChangeError> {
    let path = dir.join(LOCK_FILE);
    OsVfs.lock(&path).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => ChangeError::Locked(path),
        _ => ChangeError::Lock { path, source },
    })
}

fn open(dir: &Path) -> Result<(BlockStore, Box<dyn VfsLock>), ChangeError> {
    let lock = lock(dir)?;
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
        let progress = Progress::work("blocks");
        let compacted = store.compact(now_ms, &mut |now| progress.tell(now))?;
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

/// Opens a database with its head, to be changed. Nothing is dropped for its age.
fn open_db(dir: &Path) -> Result<Db, ChangeError> {
    let opening = Arc::new(Progress::work(dir.display().to_string()));
    let on_progress = Some(opening.on_open());
    let db = Db::open(dir, Options { retention_ms: i64::MAX, on_progress, ..Options::default() })?;
    drop(opening);
    db.stats().replay.damaged.iter().for_each(|damage| complain(format_args!("damaged: {damage}")));
    Ok(db)
}

/// Deletes samples from blocks, and from a head of ours.
pub(super) fn delete(args: &DeleteArgs) -> Result<Verdict, ChangeError> {
    let range = TimeRange::from_millis(args.min_time, args.max_time);
    let parse = |selector: &String| {
        kymo_promql_syntax::Parser::default()
            .parse_selector(selector)
            .map(|matchers| (selector.clone(), matchers))
            .map_err(|error| ChangeError::Selector { selector: selector.clone(), message: error.to_string() })
    };
    let selectors = args.matchers.iter().map(parse).collect::<Result<Vec<_>, ChangeError>>()?;
    if !has_head(&args.dir) {
        let (store, _lock) = open(&args.dir)?;
        for (selector, matchers) in selectors {
            let series = store.delete(&matchers, range)?.series;
            say(format!("{selector}: deleted from {series} series of blocks"));
        }
        return Ok(Verdict::good_if(store.refused().is_empty()));
    }
    let db = open_db(&args.dir)?;
    for (selector, matchers) in selectors {
        let deleted = db.delete(&matchers, range)?;
        say(format!(
            "{selector}: deleted from {} series of blocks, {} series of the head ({} samples)",
            deleted.block_series, deleted.head_series, deleted.head_samples
        ));
    }
    let stats = db.stats();
    stats.head_damage.listed.iter().for_each(|damage| complain(format_args!("damaged: {damage}")));
    let damaged = stats.replay.has_loss() || stats.head_damage.chunks > 0;
    db.close()?;
    Ok(Verdict::good_if(!damaged))
}

/// Everything as it is now, as blocks in a directory of its own.
pub(super) fn snapshot(args: &SnapshotArgs) -> Result<Verdict, ChangeError> {
    if !has_head(&args.dir) {
        return Err(ChangeError::NoDatabase(args.dir.clone()));
    }
    let db = open_db(&args.dir)?;
    let out = args.out.clone().unwrap_or_else(|| args.dir.join(SNAPSHOTS_DIR).join(snapshot_name()));
    let Snapshot { blocks, warnings } = db.snapshot(&out, !args.skip_head)?;
    blocks.iter().for_each(tell);
    warnings.iter().for_each(complain);
    say(out.display().to_string());
    let damaged = db.stats().replay.has_loss() || !warnings.is_empty();
    db.close()?;
    Ok(Verdict::good_if(!damaged))
}

//! Snapshot: everything as it is now, as blocks in a directory of its own, which Prometheus can open.

use std::path::Path;

use kymo_model::{StoreError, StoreErrorKind};

use crate::block::{BlockMeta, StoredBlock};
use crate::cut::{copy_range, finish};
use crate::db::{Db, Shared};
use crate::error::store_error;
use crate::head::Missing;
use crate::lock::lock;
use crate::maintain::Maintained;

/// A snapshot that was taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Its blocks, in order of their first millisecond.
    pub blocks: Vec<BlockMeta>,
    /// What is not in it because it is damaged here: series, times, file and offset, as queries warn of it.
    pub warnings: Vec<String>,
}

impl Db {
    /// Makes a directory, which must not be there yet, with all blocks and, if `with_head`, the head as blocks, too. The files of
    /// blocks get another name there, where the disk can do that, and take no room; cold ones become blocks of Prometheus'.
    /// Damaged chunks of the head and columns of cold blocks are left out, and stay where they are; blocks are taken as they are.
    ///
    /// While it is made the directory is called as it will be, with `.tmp` behind; when it fails, nothing is left.
    pub fn snapshot(&self, dir: impl AsRef<Path>, with_head: bool) -> Result<Snapshot, StoreError> {
        let shared = self.shared();
        shared.ensure_open()?;
        let (dir, vfs) = (dir.as_ref(), &*shared.options.vfs);
        if vfs.list(dir).is_ok() {
            let message =
                format!("expected a free name for the snapshot, found a directory ({})", dir.display());
            return Err(StoreError::new(StoreErrorKind::Unsupported, message));
        }
        let mut name = dir.as_os_str().to_owned();
        name.push(".tmp");
        let unfinished = Path::new(&name);
        // What an attempt before this one has left.
        remove_all(shared, unfinished);
        let made = fill(shared, unfinished, with_head).and_then(|snapshot| {
            let failed = |action, path| move |error| store_error(action, path, error);
            vfs.sync_dir(unfinished).map_err(failed("fsync directory", unfinished))?;
            vfs.rename(unfinished, dir).map_err(failed("rename", unfinished))?;
            if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                vfs.sync_dir(parent).map_err(failed("fsync directory", parent))?;
            }
            Ok(snapshot)
        });
        if made.is_err() {
            remove_all(shared, unfinished);
        }
        made
    }
}

fn fill(shared: &Shared, dir: &Path, with_head: bool) -> Result<Snapshot, StoreError> {
    let vfs = &*shared.options.vfs;
    vfs.create_dir_all(dir).map_err(|error| store_error("create directory", dir, error))?;
    // Nothing moves from the head to a block meanwhile, and nothing is in both.
    let mut files = lock(&shared.files);
    if files.cuts.pending.is_some() {
        shared.ensure_writable()?;
        finish(shared, &mut files, &mut Maintained::default())?;
    }
    let now_ms = u64::try_from(shared.options.clock.now().millis()).unwrap_or(0);
    let blocks = shared.blocks.link_to(dir)?;
    let plain = blocks.iter().filter_map(StoredBlock::plain);
    let missing = Missing::default();
    let mut metas: Vec<BlockMeta> = plain.map(|block| block.meta().clone()).collect();
    if with_head {
        let range_ms = shared.options.block_range_ms_effective();
        for number in shared.head.ranges(range_ms) {
            let (begin_ms, end_ms) =
                (number.saturating_mul(range_ms), number.saturating_add(1).saturating_mul(range_ms));
            metas.extend(copy_range(shared, dir, (begin_ms, end_ms), now_ms, &missing)?);
        }
    }
    let mut warnings = missing.warnings(&shared.head.store);
    // Maintenance goes on meanwhile: these stay readable as they were, whatever becomes of them.
    drop(files);
    for cold in blocks.iter().filter_map(StoredBlock::cold) {
        let copied = shared.blocks.copy_cold(cold, dir, now_ms, &mut || _ = shared.go_on())?;
        warnings.extend(copied.damage.iter().map(|damage| format!("not in the snapshot: {damage}")));
        metas.extend(copied.meta);
    }
    metas.sort_by_key(|meta| (meta.min_time_ms, meta.ulid));
    Ok(Snapshot { blocks: metas, warnings })
}

/// Removes a directory with all that is in it, as far as that can be done.
fn remove_all(shared: &Shared, dir: &Path) {
    let vfs = &*shared.options.vfs;
    for entry in vfs.list(dir).unwrap_or_default() {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            remove_all(shared, &path);
        } else {
            let _ = vfs.remove(&path);
        }
    }
    let _ = vfs.remove_dir(dir);
}

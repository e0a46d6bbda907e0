//! Moving: what was imported goes to `DATA/imported/NNNNNNNN/`, each name in one step and the log last. Nothing is removed.

use std::path::{Path, PathBuf};

use super::directory::list;
use super::report::ImportError;
use crate::vfs::Vfs;

pub(super) const IMPORTED_DIR: &str = "imported";

/// Moves names of the data directory; where to.
///
/// When a crash stops it, the log is still there, and the next import moves what is left to the same place.
pub(super) fn move_away(vfs: &dyn Vfs, dir: &Path, names: &[String]) -> Result<PathBuf, ImportError> {
    let imported = dir.join(IMPORTED_DIR);
    let mut number = 1u64;
    let target = loop {
        let target = imported.join(format!("{number:08}"));
        let there = list(vfs, &target)?.unwrap_or_default();
        if !there.iter().any(|entry| names.contains(&entry.name)) {
            break target;
        }
        number += 1;
    };
    vfs.create_dir_all(&target).map_err(ImportError::io("create directory", &target))?;
    sync(vfs, &imported)?;
    sync(vfs, dir)?;
    for name in names {
        let from = dir.join(name);
        vfs.rename(&from, &target.join(name)).map_err(ImportError::io("rename", &from))?;
        sync(vfs, &target)?;
        sync(vfs, dir)?;
    }
    Ok(target)
}

pub(super) fn sync(vfs: &dyn Vfs, dir: &Path) -> Result<(), ImportError> {
    vfs.sync_dir(dir).map_err(ImportError::io("fsync directory", dir))
}

//! The admin endpoints over the database. Snapshots go below the data directory, as Prometheus' do.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use kymo_http::SnapshotTaken;
use kymo_model::{Matcher, StoreError, TimeRange};
use kymo_tsdb::{Db, Snapshot};

use super::now;

/// Where snapshots go, in the data directory.
pub(crate) const SNAPSHOTS_DIR: &str = "snapshots";

/// The name of a snapshot that is made now: the time and some chance, as Prometheus names its own.
pub(crate) fn snapshot_name() -> String {
    // The standard library's source of chance for its tables.
    let chance = RandomState::new().hash_one(now().millis());
    let time = jiff::Timestamp::from_millisecond(now().millis()).unwrap_or_default();
    format!("{}-{:016x}", time.strftime("%Y%m%dT%H%M%SZ"), chance >> 1)
}

/// What the admin endpoints do.
pub(crate) struct TsdbAdmin {
    pub(crate) db: Arc<Db>,
    pub(crate) dir: PathBuf,
}

impl kymo_http::Admin for TsdbAdmin {
    fn delete_series(&self, matchers: &[Matcher], range: TimeRange) -> Result<(), StoreError> {
        let deleted = self.db.delete(matchers, range)?;
        tracing::info!(
            matchers = ?matchers,
            block_series = deleted.block_series,
            head_series = deleted.head_series,
            head_samples = deleted.head_samples,
            "deleted"
        );
        Ok(())
    }

    fn clean_tombstones(&self) -> Result<(), StoreError> {
        let blocks = self.db.clean_tombstones()?;
        tracing::info!(blocks, "cleaned tombstones");
        Ok(())
    }

    fn snapshot(&self, with_head: bool) -> Result<SnapshotTaken, StoreError> {
        let name = snapshot_name();
        let Snapshot { blocks, warnings } =
            self.db.snapshot(self.dir.join(SNAPSHOTS_DIR).join(&name), with_head)?;
        tracing::info!(name, blocks = blocks.len(), "snapshot taken");
        warnings.iter().for_each(|warning| tracing::warn!(name, "{warning}"));
        Ok(SnapshotTaken { name, warnings })
    }
}

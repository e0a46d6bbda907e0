//! ReadOnlyDb: a database as it lies on disk, read beside whoever writes to it. Takes no lock and writes nothing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kymo_model::{CancelToken, Estimate, Matcher, Queryable, Selector, SeriesSet, StoreError, TimeRange};

use crate::block::{BlockError, StoredBlock};
use crate::checkpoint::{Looked, look};
use crate::db::Paths;
use crate::error::OpenError;
use crate::head::Head;
use crate::index::Cardinality;
use crate::options::Options;
use crate::query::Parts;
use crate::stats::{BlocksStats, Damage, DamageKind, MemoryStats, Stats};

/// What a database had when this was opened. It does not follow what is written later.
///
/// The directory may be open in another process, or by a [`Db`](crate::Db) here; neither hinders the other. What was
/// acknowledged before the opening is there (writes that a crash left unfinished are not), and nothing on disk is changed:
/// nothing is repaired, moved to quarantine or dropped for its age. Of the options only the disk, the clock,
/// [`Options::exemplars_max`], [`Options::metadata_bytes_max`], [`Options::replay_threads`] and [`Options::on_progress`] matter.
///
/// ```
/// use kymo_model::{Append, Batch, Labels, Timestamp};
/// use kymo_tsdb::{Db, Options, ReadOnlyDb};
/// # let dir = std::env::temp_dir().join(format!("kymo-tsdb-look-{}", std::process::id()));
/// let db = Db::open(&dir, Options::default())?;
/// let mut batch = Batch::new();
/// batch.push(Labels::from_pairs([("__name__", "up")]), Timestamp::from_millis(1000), 1.0);
/// db.append(&batch)?;
/// let seen = ReadOnlyDb::open(&dir, Options::default())?;
/// assert_eq!((seen.stats().series, seen.stats().samples), (1, 1));
/// # db.close()?;
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReadOnlyDb {
    looked: Looked,
}

impl fmt::Debug for ReadOnlyDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnlyDb")
            .field("disk", &self.looked.disk)
            .field("report", &self.looked.report)
            .finish()
    }
}

impl ReadOnlyDb {
    /// Reads the database in a directory. Reads it again when a checkpoint is made meanwhile.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<ReadOnlyDb, OpenError> {
        let started_ms = options.clock.monotonic_ms();
        let paths = Paths::new(dir.as_ref());
        if let Err(error) = options.vfs.list(&paths.wal) {
            return Err(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    OpenError::NoDatabase { dir: paths.dir }
                }
                _ => OpenError::Io { action: "list", path: paths.wal, source: error },
            });
        }
        let mut looked = look(&paths, &options)?;
        for (dir, _) in looked.blocks.refused() {
            let kind = DamageKind::Block;
            looked.report.add(Damage { file: dir.clone(), offset: 0, bytes: 0, kind, quarantine: None });
        }
        looked.report.duration_ms = options.clock.monotonic_ms().saturating_sub(started_ms);
        Ok(ReadOnlyDb { looked })
    }

    pub(crate) fn head(&self) -> &Head {
        &self.looked.head
    }

    /// Its figures. What only a database that is written to can have is zero.
    pub fn stats(&self) -> Stats {
        let Looked { head, blocks, report, disk } = &self.looked;
        Stats {
            disk: *disk,
            replay: report.clone(),
            blocks: BlocksStats::of(&blocks.blocks()),
            ..head.stats()
        }
    }

    /// Its blocks, cold ones among them, in order of their first millisecond.
    pub fn blocks(&self) -> Arc<[StoredBlock]> {
        self.looked.blocks.blocks()
    }

    /// The blocks that cannot be opened, with why.
    pub fn refused_blocks(&self) -> &[(PathBuf, BlockError)] {
        self.looked.blocks.refused()
    }

    fn parts(&self) -> Parts<'_> {
        Parts { head: &self.looked.head, blocks: &self.looked.blocks }
    }

    /// Bytes in memory by part. Walks over every series.
    pub fn memory(&self) -> MemoryStats {
        self.looked.head.memory()
    }

    /// What makes up the series: the `limit` largest of each kind.
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        self.looked.head.cardinality(limit)
    }
}

impl Queryable for ReadOnlyDb {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        self.parts().select(wanted)
    }

    fn estimate(&self, wanted: &Selector) -> Result<Option<Estimate>, StoreError> {
        self.parts().estimate(wanted).map(Some)
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.parts().label_names(matchers, range, cancel)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        self.parts().label_values(name, matchers, range, cancel)
    }
}

//! Delete: samples of chosen series leave before their time. From blocks by tombstones, which are cleaned out later;
//! from the head at once, with a checkpoint that leaves them out.

use std::sync::atomic::Ordering::Relaxed;

use kymo_model::{Matcher, StoreError, TimeRange};

use crate::cut::{finish, settle};
use crate::db::Db;
use crate::lock::lock;
use crate::maintain::Maintained;

/// What a deletion did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// Series of blocks that had samples in the range; one that several blocks have counts for each.
    pub block_series: u64,
    /// Series of the head that had samples in the range.
    pub head_series: u64,
    /// Samples that left the head.
    pub head_samples: u64,
}

impl Db {
    /// Deletes the samples in a range of all series that match. When this has returned without an error they do not come back;
    /// after an error some may be gone and some not, and another call finishes it.
    ///
    /// A damaged chunk of the head of which a part was to go, or that lies in a file with something that goes, leaves the head: what is
    /// left of its bytes is in `quarantine/`, and [`Stats::head_damage`](crate::Stats::head_damage) names it.
    ///
    /// ```
    /// use kymo_model::{Append, Batch, Labels, Matcher, TimeRange, Timestamp};
    /// use kymo_tsdb::{Db, Options};
    /// # let dir = std::env::temp_dir().join(format!("kymo-tsdb-delete-{}", std::process::id()));
    /// let db = Db::open(&dir, Options::default())?;
    /// let mut batch = Batch::new();
    /// for t_ms in [1000, 2000, 3000] {
    ///     batch.push(Labels::from_pairs([("__name__", "up")]), Timestamp::from_millis(t_ms), 1.0);
    /// }
    /// db.append(&batch)?;
    /// let deleted = db.delete(&[Matcher::equal("__name__", "up")], TimeRange::from_millis(0, 2500))?;
    /// assert_eq!((deleted.head_series, deleted.head_samples), (1, 2));
    /// assert_eq!(db.stats().samples, 1);
    /// # db.close()?;
    /// # std::fs::remove_dir_all(&dir)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete(&self, matchers: &[Matcher], range: TimeRange) -> Result<Deletion, StoreError> {
        let shared = self.shared();
        // Nothing moves from the head to a block meanwhile.
        let mut files = lock(&shared.files);
        shared.ensure_writable()?;
        finish(shared, &mut files, &mut Maintained::default())?;
        let of_blocks = shared.blocks.delete(matchers, range)?;
        let of_head = {
            let _no_appends = lock(&shared.writer);
            shared.head.erase(matchers, range)
        };
        shared.counters.series_removed.fetch_add(of_head.left.series as u64, Relaxed);
        files.erased.extend(&of_head.files);
        files.damaged.extend(&of_head.damaged);
        // What was deleted is in the log and in chunk files until a checkpoint leaves it out; so is what was deleted before, if that
        // failed, and what was cut into blocks, where a file had to stay.
        files.unsettled |= of_head.series > 0 || !files.erased.is_empty();
        if files.unsettled {
            settle(shared, &mut files)?;
        }
        of_head.failed.map_or(Ok(()), Err)?;
        Ok(Deletion {
            block_series: of_blocks.series,
            head_series: of_head.series as u64,
            head_samples: of_head.left.samples as u64,
        })
    }

    /// Writes the blocks of which something was deleted anew without it; how many there were.
    pub fn clean_tombstones(&self) -> Result<u64, StoreError> {
        let shared = self.shared();
        shared.ensure_writable()?;
        let now_ms = u64::try_from(shared.options.clock.now().millis()).unwrap_or(0);
        let cleaned = shared.blocks.clean_tombstones(now_ms)?.len() as u64;
        shared.counters.compactions.fetch_add(cleaned, Relaxed);
        Ok(cleaned)
    }
}

//! Options: every bound and choice of a database, by name, with defaults that hold on a small machine.

use std::sync::Arc;

use kymo_model::METRIC_NAME;

use crate::block::{BlockStoreOptions, CompactionPlan};
use crate::{Clock, OnProgress, OsVfs, SystemClock, Vfs};

/// When a write is durable against power loss. Against the end of the process it always is: the write-ahead log is written
/// before [`append`](kymo_model::Append::append) returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// Before `append` returns. Appends that wait at the same time share one fsync.
    Always,
    /// At most this many milliseconds later, as long as the database is maintained or appended to.
    IntervalMs(u64),
    /// When the operating system likes, and when a segment or checkpoint is finished.
    Never,
}

/// How to open a database.
///
/// ```
/// let options = kymo_tsdb::Options { retention_ms: 24 * 3_600_000, ..Default::default() };
/// assert_eq!(options.out_of_order_window_ms, 30 * 60_000);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// The disk.
    pub vfs: Arc<dyn Vfs>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// How durable an acknowledged write is.
    pub sync: SyncMode,
    /// Samples this much older than the newest one of their series are dropped; those of a series that nobody has written to
    /// for an hour, when they are this much older than the newest of all. Not counted from the wall clock, so a clock that
    /// jumps deletes nothing, and old data can be loaded beside new.
    pub retention_ms: i64,
    /// All files together stay below this; 0 for no limit. The oldest samples go first.
    pub retention_bytes: u64,
    /// How much older than the newest sample of its series a sample may be; 0 refuses everything out of order.
    pub out_of_order_window_ms: i64,
    /// How far ahead of the wall clock a sample may be.
    pub ahead_ms_max: i64,
    /// How many series there may be. Series that exist go on.
    pub series_max: usize,
    /// How many series of one metric name there may be; 0 for no limit of its own. Series that exist go on.
    pub series_per_name_max: usize,
    /// How many series may have one value of a label: of each `job`, of each `tenant`. Series without the label are not
    /// counted, series that exist go on.
    pub series_per_label_max: Vec<LabelBound>,
    /// So many bytes are to stay free on the disk: what would leave less is refused before the disk is full, so that there is
    /// room for a checkpoint and for others. Writes go on when there is space again. 0 for none.
    pub disk_reserve_bytes: u64,
    /// How many labels a series may have, the metric name included.
    pub labels_max: usize,
    /// How long a label's name may be.
    pub label_name_bytes_max: usize,
    /// How long a label's value may be.
    pub label_value_bytes_max: usize,
    /// How many exemplars are kept, of all series together, the newest ones; 0 for none. `Db::resize_exemplars` changes it.
    pub exemplars_max: usize,
    /// How many bytes the metadata of all metric families together may take. Families that are known go on.
    pub metadata_bytes_max: usize,
    /// How many rows one batch may have, and as many exemplars, and families.
    pub batch_rows_max: usize,
    /// A segment of the write-ahead log is closed at this size.
    pub wal_segment_bytes: u64,
    /// A checkpoint is written when the write-ahead log has grown by this much (or by the size of the last checkpoint, if
    /// that is more).
    pub checkpoint_wal_bytes: u64,
    /// Closing the database writes a checkpoint when the write-ahead log has this many bytes; `u64::MAX` for never.
    pub checkpoint_close_bytes: u64,
    /// A file of sealed chunks is closed at this size.
    pub chunk_file_bytes: u64,
    /// How long the blocks are that the head is cut into; rounded up to a multiple of two hours, which no chunk crosses.
    pub block_range_ms: i64,
    /// While the chunk files of the head have more bytes than this, a range is cut without the series that are still writing to
    /// it, instead of waiting an hour for them.
    pub head_chunk_bytes_max: u64,
    /// How long blocks may grow by compaction; 0 for a tenth of the retention, at most 31 days.
    pub block_range_ms_max: i64,
    /// Blocks all of whose samples are this much older than the newest of all, and that compaction will leave alone, become cold
    /// ([`crate::cold`]): a fourth of the bytes, which Prometheus passes over. [`Options::NEVER_COLD`] for never.
    pub cold_after_ms: i64,
    /// Sealed chunks leave the heap for chunk files when there are so many bytes of them; while an opening reads the log, 64 times
    /// as many.
    pub spill_bytes: u64,
    /// On how many threads the log is replayed, the one that opens the database included. They end with the opening; what it
    /// finds does not depend on them. 0 for as many as there are processors, at most [`Options::REPLAY_THREADS_MAX`].
    pub replay_threads: usize,
    /// When the directory has the log of a Prometheus and no head of ours yet, make blocks of it before opening
    /// ([`crate::prometheus`]).
    pub import_prometheus: bool,
    /// Told how far the opening has come.
    pub on_progress: Option<OnProgress>,
}

const HOUR_MS: i64 = 3_600_000;

/// A bound for the series that have one value of a label.
///
/// ```
/// use kymo_model::{Append, Batch, Labels, Refusal, Timestamp};
/// use kymo_tsdb::{Db, LabelBound, Options};
/// # let dir = std::env::temp_dir().join(format!("kymo-tsdb-bound-{}", std::process::id()));
/// let series_per_label_max = vec![LabelBound { name: "tenant".to_owned(), series_max: 1 }];
/// let db = Db::open(&dir, Options { series_per_label_max, ..Options::default() })?;
/// let mut batch = Batch::new();
/// for (name, tenant) in [("up", "a"), ("down", "a"), ("up", "b")] {
///     let labels = Labels::from_pairs([("__name__", name), ("tenant", tenant)]);
///     batch.push(labels, Timestamp::from_millis(1000), 1.0);
/// }
/// let refused = db.append(&batch)?.refused;
/// assert_eq!((refused.len(), refused[0].row, refused[0].reason), (1, 1, Refusal::SeriesPerLabelLimit));
/// # db.close()?;
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelBound {
    /// The label.
    pub name: String,
    /// How many series may have one value of it.
    pub series_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            vfs: Arc::new(OsVfs),
            clock: Arc::new(SystemClock::default()),
            sync: SyncMode::IntervalMs(1000),
            retention_ms: 15 * 24 * 3_600_000,
            retention_bytes: 0,
            out_of_order_window_ms: 30 * 60_000,
            ahead_ms_max: 10 * 60_000,
            series_max: 5_000_000,
            series_per_name_max: 0,
            series_per_label_max: Vec::new(),
            disk_reserve_bytes: 0,
            labels_max: 128,
            label_name_bytes_max: 1024,
            label_value_bytes_max: 4096,
            exemplars_max: 100_000,
            metadata_bytes_max: 32 << 20,
            batch_rows_max: 1_000_000,
            wal_segment_bytes: 64 << 20,
            checkpoint_wal_bytes: 64 << 20,
            checkpoint_close_bytes: 1 << 20,
            chunk_file_bytes: 128 << 20,
            block_range_ms: 2 * HOUR_MS,
            block_range_ms_max: 0,
            cold_after_ms: Options::NEVER_COLD,
            head_chunk_bytes_max: 4 << 30,
            spill_bytes: 1 << 20,
            replay_threads: 0,
            import_prometheus: true,
            on_progress: None,
        }
    }
}

impl Options {
    /// No more threads replay the log: reading it keeps that many busy.
    pub const REPLAY_THREADS_MAX: usize = 8;

    /// As [`Options::cold_after_ms`]: blocks stay as they are.
    pub const NEVER_COLD: i64 = i64::MAX;

    /// All bounds by label, that of metric names among them.
    pub(crate) fn label_bounds(&self) -> Vec<LabelBound> {
        let by_name = LabelBound { name: METRIC_NAME.to_owned(), series_max: self.series_per_name_max };
        let by_name = (self.series_per_name_max > 0).then_some(by_name);
        self.series_per_label_max.iter().cloned().chain(by_name).collect()
    }
    /// No chunk file is longer but by one chunk, whatever the options say: places in it have 32 bits.
    pub const CHUNK_FILE_BYTES_MAX: u64 = 1 << 30;

    pub(crate) fn replay_threads_effective(&self) -> usize {
        let wanted = match self.replay_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            wanted => wanted,
        };
        wanted.clamp(1, Options::REPLAY_THREADS_MAX)
    }

    /// A file of chunks is at most a tenth of the byte limit, so that retention by bytes never drops most of the data.
    pub(crate) fn chunk_file_bytes_effective(&self) -> u64 {
        self.a_tenth_of_the_budget(self.chunk_file_bytes).min(Options::CHUNK_FILE_BYTES_MAX)
    }

    pub(crate) fn checkpoint_wal_bytes_effective(&self) -> u64 {
        self.a_tenth_of_the_budget(self.checkpoint_wal_bytes)
    }

    /// [`Options::block_range_ms`] as it is taken.
    pub(crate) fn block_range_ms_effective(&self) -> i64 {
        let two_hours = 2 * HOUR_MS;
        let wanted_ms = self.block_range_ms.clamp(1, i64::MAX / 4);
        (wanted_ms + two_hours - 1) / two_hours * two_hours
    }

    /// How the blocks are kept.
    pub(crate) fn block_store(&self) -> BlockStoreOptions {
        let range_ms = self.block_range_ms_effective();
        let grown_ms = match self.block_range_ms_max {
            0 => (self.retention_ms / 10).min(31 * 24 * HOUR_MS),
            grown_ms => grown_ms,
        };
        BlockStoreOptions {
            plan: CompactionPlan::from_first(range_ms, 3, grown_ms),
            block_bytes_max: self.retention_bytes / 10,
            ..BlockStoreOptions::default()
        }
    }

    fn a_tenth_of_the_budget(&self, wanted: u64) -> u64 {
        if self.retention_bytes == 0 { wanted } else { wanted.min(self.retention_bytes / 10) }
    }
}

//! Stats: what the database says of itself, as plain structs. Counters count from the opening.

use std::fmt;
use std::path::PathBuf;

use kymo_model::{ExemplarRefusal, Refusal, Timestamp};

use crate::block::{BlockMeta, StoredBlock};
use crate::prometheus::ImportReport;

/// The figures of a database at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Series in the head.
    pub series: u64,
    /// Series created since the opening, those of the replay not counted.
    pub series_created: u64,
    /// Series removed since the opening, because all their samples were past the retention.
    pub series_removed: u64,
    /// Samples in the head. Samples of one series at one time that were replayed twice may count twice.
    pub samples: u64,
    /// Rows taken since the opening.
    pub samples_appended: u64,
    /// Of those, rows that came out of order, within the window.
    pub samples_out_of_order: u64,
    /// Rows refused since the opening, by reason: every reason once, in the order of [`Refusal::ALL`].
    pub refused: Vec<(Refusal, u64)>,
    /// Chunks, sealed and open.
    pub chunks: u64,
    /// Distinct pairs of label name and value.
    pub label_pairs: u64,
    /// The oldest sample in the head, judged by chunk; `None` without samples.
    pub min_time: Option<Timestamp>,
    /// The newest sample in the head; `None` without samples.
    pub max_time: Option<Timestamp>,
    /// The blocks.
    pub blocks: BlocksStats,
    /// Files.
    pub disk: DiskStats,
    /// The write-ahead log.
    pub wal: WalStats,
    /// Checkpoints written since the opening.
    pub checkpoints: u64,
    /// Exemplars.
    pub exemplars: ExemplarStats,
    /// Metadata of metric families.
    pub metadata: MetadataStats,
    /// What the opening found.
    pub replay: ReplayReport,
    /// Chunks of the head that could not be read since.
    pub head_damage: HeadDamage,
}

/// Chunks of the head that were not what was written when they were wanted, since the opening. A query leaves them out and says
/// so in a warning. When a deletion or a cut lets go of the file that they are in, what is left of their bytes is copied to
/// `quarantine/`, and the head lets go of them, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadDamage {
    /// Chunks that could not be read, each once.
    pub chunks: u64,
    /// Those of them that have left the head.
    pub quarantined: u64,
    /// Where they were, in the order found; at most [`ReplayReport::DAMAGED_MAX`].
    pub listed: Vec<Damage>,
}

/// The figures of the exemplars.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExemplarStats {
    /// Exemplars kept.
    pub stored: u64,
    /// How many may be kept; 0 when exemplars are switched off.
    pub stored_max: u64,
    /// Series that have any.
    pub series: u64,
    /// The time of the one that was stored last.
    pub newest: Option<Timestamp>,
    /// Exemplars stored since the opening.
    pub appended: u64,
    /// Exemplars not stored since the opening, by reason: every reason once, in the order of [`ExemplarRefusal::ALL`].
    pub refused: Vec<(ExemplarRefusal, u64)>,
}

/// The figures of the metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetadataStats {
    /// Metric families of which metadata is kept.
    pub families: u64,
    /// How often something new was said about a family since the opening.
    pub changed: u64,
    /// How often it was refused since the opening, for want of room.
    pub refused: u64,
}

/// The figures of the blocks. Series and samples that several blocks have count for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlocksStats {
    /// Blocks.
    pub blocks: u64,
    /// Those of them that are cold.
    pub cold: u64,
    /// Series in them.
    pub series: u64,
    /// Samples in them, those counted that were deleted and are not cleaned out yet.
    pub samples: u64,
    /// Chunks in them.
    pub chunks: u64,
    /// Series of which something was deleted.
    pub tombstones: u64,
    /// The first millisecond of the oldest; `None` without blocks.
    pub min_time: Option<Timestamp>,
    /// The millisecond behind the last one of the newest; `None` without blocks.
    pub max_time: Option<Timestamp>,
    /// Damaged places met in them since the opening.
    pub damaged: u64,
    /// Blocks cut from the head since the opening.
    pub cut: u64,
    /// Compactions since the opening.
    pub compactions: u64,
    /// Blocks that became cold since the opening.
    pub made_cold: u64,
    /// Cuts, compactions and conversions that failed since the opening; each is tried again.
    pub failures: u64,
    /// Blocks removed since the opening, because they were past the retention.
    pub removed: u64,
}

impl BlocksStats {
    /// What blocks say of themselves.
    pub(crate) fn of(blocks: &[StoredBlock]) -> BlocksStats {
        let sum = |pick: fn(&BlockMeta) -> u64| blocks.iter().map(|block| pick(block.meta())).sum();
        BlocksStats {
            blocks: blocks.len() as u64,
            cold: blocks.iter().filter(|block| block.is_cold()).count() as u64,
            series: sum(|meta| meta.stats.num_series),
            samples: sum(|meta| meta.stats.num_samples),
            chunks: sum(|meta| meta.stats.num_chunks),
            tombstones: sum(|meta| meta.stats.num_tombstones),
            min_time: blocks.iter().map(|block| Timestamp::from_millis(block.meta().min_time_ms)).min(),
            max_time: blocks.iter().map(|block| Timestamp::from_millis(block.meta().max_time_ms)).max(),
            damaged: blocks.iter().map(|block| block.damage().1).sum(),
            ..BlocksStats::default()
        }
    }
}

/// Bytes on disk, by kind of file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Write-ahead log.
    pub wal_bytes: u64,
    /// Checkpoint of the open chunks.
    pub checkpoint_bytes: u64,
    /// Sealed chunks of the head.
    pub chunk_bytes: u64,
    /// Blocks.
    pub block_bytes: u64,
}

impl DiskStats {
    /// All of them.
    pub fn total_bytes(&self) -> u64 {
        self.wal_bytes + self.checkpoint_bytes + self.chunk_bytes + self.block_bytes
    }
}

/// The figures of the write-ahead log since the opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalStats {
    /// Records written.
    pub records: u64,
    /// Bytes written, frames included.
    pub bytes: u64,
    /// fsyncs that succeeded.
    pub syncs: u64,
    /// Writes that failed and were undone.
    pub write_failures: u64,
    /// Appends that were refused because of [`Options::disk_reserve_bytes`](crate::Options::disk_reserve_bytes).
    pub refused_for_reserve: u64,
    /// The number of the segment that is written to.
    pub segment: u64,
    /// Set when an fsync failed: no write is taken any more until the database is opened anew.
    pub failed: bool,
}

/// What the opening of a database read and found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplayReport {
    /// Series found.
    pub series: u64,
    /// Sealed and open chunks read from chunk files and checkpoint.
    pub chunks: u64,
    /// Segments of the write-ahead log read.
    pub segments: u64,
    /// Records of the write-ahead log read.
    pub records: u64,
    /// Samples in these records.
    pub samples: u64,
    /// How long it took, by the monotonic clock.
    pub duration_ms: u64,
    /// Samples and chunks whose series is not known because its definition was lost to damage.
    pub orphans: u64,
    /// What was made of the log of a Prometheus that was in the directory.
    pub imported: Option<Box<ImportReport>>,
    /// Is there a log of a Prometheus that was to be imported, and was not, as this database had a head already? A Prometheus has
    /// run on its directory; [`import_prometheus`](crate::prometheus::import_prometheus) reads what it left.
    pub prometheus_passed_over: bool,
    /// Places where the bytes on disk are not what was written, in the order found; at most [`ReplayReport::DAMAGED_MAX`].
    pub damaged: Vec<Damage>,
    /// How many such places, listed or not.
    pub damaged_total: u64,
}

impl ReplayReport {
    /// At most so many places are listed.
    pub const DAMAGED_MAX: usize = 1000;

    /// Adds a damaged place.
    pub(crate) fn add(&mut self, damage: Damage) {
        self.damaged_total += 1;
        if self.damaged.len() < Self::DAMAGED_MAX {
            self.damaged.push(damage);
        }
    }

    /// Was anything lost? A torn tail is not a loss: its write was never acknowledged.
    pub fn has_loss(&self) -> bool {
        self.orphans > 0
            || self.damaged_total > self.damaged.len() as u64
            || self.damaged.iter().any(|damage| damage.kind != DamageKind::TornTail)
    }
}

/// A place on disk where the bytes are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it the damaged bytes begin.
    pub offset: u64,
    /// How many bytes were skipped.
    pub bytes: u64,
    /// What is wrong.
    pub kind: DamageKind,
    /// Where the skipped bytes were copied to, if they were.
    pub quarantine: Option<PathBuf>,
}

/// What is wrong with a place on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DamageKind {
    /// The file ends inside a record: the process or the machine stopped while it was written.
    TornTail,
    /// The checksum of a record's content is wrong: that record is lost.
    Record,
    /// The beginning of a record is unreadable: bytes were skipped up to the next record.
    Frame,
    /// The file's own header is unreadable; its records were read all the same.
    FileHeader,
    /// A record with a right checksum that makes no sense.
    Content,
    /// A file that should be there is missing.
    Missing,
    /// A block that cannot be opened: what is in it is not served.
    Block,
    /// The file is shorter than it was.
    Cut,
    /// A chunk of the head that was whole when it was written or opened, and is not any more.
    Chunk,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DamageKind::TornTail => "file ends inside a record",
            DamageKind::Record => "wrong checksum of a record",
            DamageKind::Frame => "unreadable beginning of a record",
            DamageKind::FileHeader => "unreadable file header",
            DamageKind::Content => "record that makes no sense",
            DamageKind::Missing => "file is missing",
            DamageKind::Block => "block cannot be opened",
            DamageKind::Cut => "file is shorter than it was",
            DamageKind::Chunk => "unreadable chunk of the head",
        };
        write!(f, "{what}, {} bytes skipped ({}, offset {})", self.bytes, self.file.display(), self.offset)
    }
}

/// Bytes in memory by part, measured by walking over every series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Series the figures are for.
    pub series: u64,
    /// The series' own fixed part.
    pub series_bytes: u64,
    /// Label texts.
    pub labels_bytes: u64,
    /// Open chunks' buffers.
    pub open_bytes: u64,
    /// Sealed chunks on the heap, their descriptions included.
    pub sealed_bytes: u64,
    /// Buffers of samples that came out of order.
    pub late_bytes: u64,
    /// Postings, label names and values.
    pub postings_bytes: u64,
    /// The table that finds a series by its labels.
    pub table_bytes: u64,
    /// Exemplars.
    pub exemplars_bytes: u64,
    /// Metadata of metric families.
    pub metadata_bytes: u64,
}

impl MemoryStats {
    /// All of them.
    pub fn total_bytes(&self) -> u64 {
        self.series_bytes
            + self.labels_bytes
            + self.open_bytes
            + self.sealed_bytes
            + self.late_bytes
            + self.postings_bytes
            + self.table_bytes
            + self.exemplars_bytes
            + self.metadata_bytes
    }
}

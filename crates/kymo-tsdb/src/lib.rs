//! An embeddable time-series database: head, write-ahead log, postings, query.
//!
//! Samples enter through [`kymo_model::Append`], are logged, and then become visible to [`kymo_model::Queryable`]. The
//! database owns no threads: the embedder calls [`Db::maintain`] now and then, or takes the ready-made
//! [`Db::spawn_maintenance`]. A database that another process writes to is read by [`ReadOnlyDb`]. What lies on disk, byte by byte, is written down in docs/storage.md.
//!
//! ```
//! use kymo_model::{Append, Batch, Labels, Matcher, Queryable, Samples, Selector, TimeRange, Timestamp};
//! use kymo_tsdb::{Db, Options};
//!
//! # let dir = std::env::temp_dir().join(format!("kymo-tsdb-doc-{}", std::process::id()));
//! let db = Db::open(&dir, Options::default())?;
//! let mut batch = Batch::new();
//! batch.push(Labels::from_pairs([("__name__", "up"), ("job", "node")]), Timestamp::from_millis(1000), 1.0);
//! assert_eq!(db.append(&batch)?.appended, 1);
//!
//! let wanted = Selector::new(vec![Matcher::equal("__name__", "up")], TimeRange::ALL);
//! let mut samples = Samples::new();
//! for series in db.select(&wanted)?.iter() {
//!     assert!(series.reader().read(&mut samples)?);
//!     assert_eq!(samples.floats(), Some(&[1.0][..]));
//! }
//! db.close()?;
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod believed_time;
mod clock;
mod vfs;

pub mod block;
pub use block::cold;

mod error;
mod options;
mod progress;
mod stats;

mod frame;
mod index;
mod lock;

mod sparse;
mod summary;

mod beside;
mod chunks;
mod head;
mod wal;

mod checkpoint;

pub mod prometheus;

mod append;
mod cut;
mod db;
mod delete;
mod disk_room;
mod maintain;
mod query;
mod read_only;
mod retention;
mod snapshot;
mod thread;

pub use clock::{Clock, SystemClock};
pub use db::Db;
pub use delete::Deletion;
pub use error::OpenError;
pub use index::{Cardinality, Counted};
pub use maintain::Maintained;
pub use options::{LabelBound, Options, SyncMode};
pub use progress::{OnProgress, Progress, ProgressUnit, Work};
pub use read_only::ReadOnlyDb;
pub use snapshot::Snapshot;
pub use stats::{
    BlocksStats, Damage, DamageKind, DiskStats, ExemplarStats, HeadDamage, MemoryStats, MetadataStats,
    ReplayReport, Stats, WalStats,
};
pub use thread::MaintenanceThread;
pub use vfs::{DirEntry, OpenMode, OsVfs, Vfs, VfsFile, VfsLock};

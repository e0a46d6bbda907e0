//! Db: a database in a directory. Opening, closing, figures; the rest of its methods are in append.rs, query.rs, maintain.rs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use kymo_model::{Appended, Refusal, StoreError, StoreErrorKind};

use crate::append::Writer;
use crate::believed_time::BelievedTime;
use crate::checkpoint::{ChunkFiles, ChunkTarget, Resumed, Retire, checkpoint, load};
use crate::chunks::ChunkStore;
use crate::error::OpenError;
use crate::frame::{FileId, FileKind};
use crate::head::{Head, Second};
use crate::index::Cardinality;
use crate::lock::lock;
use crate::options::Options;
use crate::stats::{DiskStats, MemoryStats, ReplayReport, Stats, WalStats};
use crate::vfs::{Vfs, VfsLock};
use crate::wal::{Log, Syncer, WalTarget};

/// A database. Cheap to clone: all clones are the same database, which ends with [`Db::close`] or with the last clone.
#[derive(Clone, Debug)]
pub struct Db {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) paths: Paths,
    pub(crate) head: Head,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) syncer: Arc<Syncer>,
    /// What maintenance works on; whoever holds it is the only one that maintains.
    pub(crate) files: Mutex<Files>,
    pub(crate) counters: Counters,
    /// Samples before this were dropped to keep the size limit.
    pub(crate) floor_ms: AtomicI64,
    /// The monotonic time of the opening.
    opened_ms: u64,
    second: AtomicU32,
    replay: ReplayReport,
    closed: AtomicBool,
    /// Did the last spill fail? Then it is maintenance that tries again.
    pub(crate) spill_failed: AtomicBool,
    /// Held from the opening to the end.
    directory_lock: Mutex<Option<Box<dyn VfsLock>>>,
}

/// Files besides the log.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) chunks: ChunkFiles,
    /// Number and size of the last checkpoint.
    pub(crate) checkpoint: Option<(u64, u64)>,
    /// When retention by time last looked at every series, and what the newest sample was then.
    pub(crate) aged: Option<(Second, i64)>,
    /// What retention takes for now.
    pub(crate) time: BelievedTime,
}

/// Where everything is.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) dir: PathBuf,
    pub(crate) wal: PathBuf,
    pub(crate) checkpoints: PathBuf,
    pub(crate) chunks: PathBuf,
}

impl Paths {
    pub(crate) fn new(dir: &Path) -> Paths {
        let head = dir.join("head");
        Paths {
            dir: dir.to_owned(),
            wal: head.join("wal"),
            checkpoints: head.join("checkpoint"),
            chunks: head.join("chunks"),
        }
    }

    pub(crate) fn checkpoint(&self, number: u64) -> PathBuf {
        self.checkpoints.join(FileId { kind: FileKind::Checkpoint, number }.name())
    }

    fn create(&self, vfs: &dyn Vfs) -> Result<(), OpenError> {
        let head = self.dir.join("head");
        for dir in [&self.wal, &self.checkpoints, &self.chunks] {
            vfs.create_dir_all(dir).map_err(OpenError::io("create directory", dir))?;
        }
        for dir in [&head, &self.dir] {
            vfs.sync_dir(dir).map_err(OpenError::io("fsync directory", dir))?;
        }
        match self.dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => vfs.sync_dir(parent).map_err(OpenError::io("fsync directory", parent)),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appended: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) series_created: AtomicU64,
    pub(crate) series_removed: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Db {
    /// Opens the database in a directory, creating it when there is none. What earlier writes left is there again when this
    /// returns; what damage took is in [`Stats::replay`].
    ///
    /// While it is open no other process, and no other `Db`, can open the same directory.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Db, OpenError> {
        let started_ms = options.clock.monotonic_ms();
        let vfs = options.vfs.clone();
        let paths = Paths::new(dir.as_ref());
        vfs.create_dir_all(&paths.dir).map_err(OpenError::io("create directory", &paths.dir))?;
        let directory_lock = take_lock(&*vfs, &paths.dir)?;
        paths.create(&*vfs)?;
        let head = Head::new(Arc::new(ChunkStore::new(vfs.clone(), paths.chunks.clone())));
        let loaded = load(&paths, &head, &options, &chunk_target(&options))?;
        let syncer = Arc::new(Syncer::default());
        if let Some(reason) = loaded.sync_failed {
            syncer.fail(reason);
        }
        let target = WalTarget {
            vfs,
            clock: options.clock.clone(),
            syncer: syncer.clone(),
            dir: paths.wal.clone(),
            segment_bytes: options.wal_segment_bytes,
        };
        let mut log = Log::new(target, loaded.next_segment, loaded.segments);
        if let Some(Resumed { number, path, file, size }) = loaded.resumed {
            log.resume(number, path, file, size);
        }
        let mut replay = loaded.report;
        replay.duration_ms = options.clock.monotonic_ms().saturating_sub(started_ms);
        let newest_ms = head.time().map(|time| time.max.millis());
        let (wall_ms, monotonic_ms) = (options.clock.now().millis(), options.clock.monotonic_ms());
        let time = BelievedTime::at_opening(wall_ms, newest_ms, monotonic_ms);
        let shared = Shared {
            options,
            paths,
            head,
            writer: Mutex::new(Writer::new(log)),
            syncer,
            files: Mutex::new(Files {
                chunks: loaded.chunks,
                checkpoint: loaded.checkpoint,
                aged: None,
                time,
            }),
            counters: Counters::default(),
            floor_ms: AtomicI64::new(i64::MIN),
            opened_ms: started_ms,
            second: AtomicU32::new(Second::OPENING.number()),
            replay,
            closed: AtomicBool::new(false),
            spill_failed: AtomicBool::new(false),
            directory_lock: Mutex::new(Some(directory_lock)),
        };
        let db = Db { shared: Arc::new(shared) };
        db.enforce_retention_at_opening();
        Ok(db)
    }

    /// Makes everything that was appended durable.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.shared.syncer.wait(self.shared.syncer.written())
    }

    /// Makes everything durable, takes no more writes and lets go of the directory. Selects made before stay readable.
    ///
    /// When the log is long ([`Options::checkpoint_close_bytes`]) it writes a checkpoint, which is read in a fraction of the
    /// time. Closing twice is no error. When the last sync fails, the database is closed all the same.
    pub fn close(&self) -> Result<(), StoreError> {
        // Wait for the append and the maintenance that run now.
        let mut files = lock(&self.shared.files);
        let writer = lock(&self.shared.writer);
        if self.shared.closed.swap(true, Relaxed) {
            return Ok(());
        }
        let log_bytes = writer.log.disk_bytes();
        drop(writer);
        let synced = self.sync();
        if synced.is_ok() && log_bytes >= self.shared.options.checkpoint_close_bytes {
            // When it fails, what is in the log stays there, and the next opening takes longer.
            let written = checkpoint(&self.shared, &mut files, &Retire::default()).is_ok();
            self.shared.counters.checkpoints.fetch_add(u64::from(written), Relaxed);
        }
        drop(files);
        self.shared.head.store.close();
        lock(&self.shared.directory_lock).take();
        synced
    }

    /// The figures as they are now. Cheap: nothing is walked over.
    pub fn stats(&self) -> Stats {
        let shared = &*self.shared;
        let (checkpoint_bytes, chunk_bytes) = {
            let files = lock(&shared.files);
            (files.checkpoint.map_or(0, |(_, bytes)| bytes), files.chunks.disk_bytes())
        };
        let (mut wal, wal_bytes) = {
            let log = &lock(&shared.writer).log;
            let wal = WalStats {
                records: log.records,
                bytes: log.bytes,
                write_failures: log.write_failures,
                segment: log.segment(),
                ..WalStats::default()
            };
            (wal, log.disk_bytes())
        };
        (wal.syncs, wal.failed) = shared.syncer.figures();
        let counters = &shared.counters;
        Stats {
            series_created: counters.series_created.load(Relaxed),
            series_removed: counters.series_removed.load(Relaxed),
            samples_appended: counters.appended.load(Relaxed),
            samples_out_of_order: counters.late.load(Relaxed),
            refused: Refusal::ALL
                .into_iter()
                .zip(counters.refused.iter().map(|count| count.load(Relaxed)))
                .collect(),
            disk: DiskStats { wal_bytes, checkpoint_bytes, chunk_bytes },
            wal,
            checkpoints: counters.checkpoints.load(Relaxed),
            replay: shared.replay.clone(),
            ..shared.head.stats()
        }
    }

    /// Bytes in memory by part. Walks over every series.
    pub fn memory(&self) -> MemoryStats {
        self.shared.head.memory()
    }

    /// What makes up the series: the `limit` largest of each kind.
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        self.shared.head.cardinality(limit)
    }

    /// The options it was opened with.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

fn take_lock(vfs: &dyn Vfs, dir: &Path) -> Result<Box<dyn VfsLock>, OpenError> {
    let lock_file = dir.join("lock");
    vfs.lock(&lock_file).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => OpenError::Locked { lock_file },
        _ => OpenError::Io { action: "lock", path: lock_file, source: error },
    })
}

fn chunk_target(options: &Options) -> ChunkTarget {
    ChunkTarget { vfs: options.vfs.clone(), file_bytes_max: options.chunk_file_bytes_effective() }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Before the directory's lock goes.
        self.head.store.close();
    }
}

impl Shared {
    pub(crate) fn chunk_target(&self) -> ChunkTarget {
        chunk_target(&self.options)
    }

    /// An error if no write can be taken.
    pub(crate) fn ensure_writable(&self) -> Result<(), StoreError> {
        self.ensure_open()?;
        self.syncer.check()
    }

    pub(crate) fn ensure_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Relaxed) {
            return Err(StoreError::new(StoreErrorKind::Closed, "the database was closed"));
        }
        Ok(())
    }

    /// The second of the database's life, as it was last seen.
    pub(crate) fn second(&self) -> Second {
        Second::from_number(self.second.load(Relaxed))
    }

    /// Looks at the clock for [`Shared::second`].
    pub(crate) fn see_second(&self) -> Second {
        let open_ms = self.options.clock.monotonic_ms().saturating_sub(self.opened_ms);
        let second = Second::after_opening(open_ms);
        Second::from_number(self.second.fetch_max(second.number(), Relaxed)).max(second)
    }

    pub(crate) fn count(&self, outcome: &Appended) {
        self.counters.appended.fetch_add(outcome.appended as u64, Relaxed);
        self.counters.series_created.fetch_add(outcome.series_created as u64, Relaxed);
        for refused in &outcome.refused {
            if let Some(at) = Refusal::ALL.iter().position(|reason| *reason == refused.reason) {
                self.counters.refused[at].fetch_add(1, Relaxed);
            }
        }
    }
}

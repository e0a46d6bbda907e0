//! Db: a database in a directory. Opening, closing, figures; the rest of its methods are in append.rs, query.rs, maintain.rs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use kymo_model::{Appended, Refusal, StoreError, StoreErrorKind};

use crate::append::Writer;
use crate::believed_time::BelievedTime;
use crate::beside::{let_go, take_in};
use crate::block::{Block, BlockStore, StoredBlock, Ulid, cut_blocks, name_block, remove_tree};
use crate::checkpoint::{ChunkFiles, ChunkTarget, Quarantine, Resumed, load};
use crate::chunks::{ChunkPlace, ChunkStore};
use crate::cut::{Cuts, write_checkpoint};
use crate::error::OpenError;
use crate::frame::{FileId, FileKind};
use crate::head::{Head, Second};
use crate::index::Cardinality;
use crate::lock::lock;
use crate::maintain::Maintained;
use crate::options::{Options, SyncMode};
use crate::prometheus::{ImportOptions, ImportReport, has_prometheus_head, import_locked};
use crate::query::Parts;
use crate::stats::{BlocksStats, Damage, DamageKind, DiskStats, MemoryStats, ReplayReport, Stats, WalStats};
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
    pub(crate) blocks: BlockStore,
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
    /// Bytes of files as they were when they were last changed, for figures that wait for nobody.
    pub(crate) checkpoint_bytes: AtomicU64,
    pub(crate) chunk_bytes: AtomicU64,
    /// Held by whoever compacts.
    pub(crate) compacting: Mutex<Compacting>,
    /// Is it about to be closed? Then long work stops.
    closing: AtomicBool,
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
    pub(crate) cuts: Cuts,
    /// Chunk files in which something lies that was deleted, is in a block or is damaged. The next checkpoint writes anew what else is
    /// in them.
    pub(crate) erased: BTreeSet<u32>,
    /// Chunks in them that are damaged.
    pub(crate) damaged: BTreeSet<ChunkPlace>,
    /// Was something deleted, or found to be damaged in a cut, that no checkpoint leaves out yet?
    pub(crate) unsettled: bool,
}

/// What may be tried again when, after it failed.
#[derive(Debug, Default)]
pub(crate) struct Compacting {
    pub(crate) compaction: Retry,
    pub(crate) conversion: Retry,
}

/// When something may be tried again after it failed.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    pub(crate) not_before: Second,
    /// How often in a row it failed.
    failed: u32,
}

impl Retry {
    pub(crate) fn succeeded(&mut self) {
        self.failed = 0;
    }

    /// Waits longer each time.
    pub(crate) fn failed(&mut self, second: Second) {
        /// The first wait, and the longest.
        const WAIT_S: std::ops::RangeInclusive<u32> = 60..=3600;
        let wait_s = (WAIT_S.start() << self.failed.min(6)).min(*WAIT_S.end());
        self.failed = self.failed.saturating_add(1);
        self.not_before = second.later_by(wait_s);
    }
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
    pub(crate) blocks_cut: AtomicU64,
    pub(crate) blocks_removed: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) made_cold: AtomicU64,
    pub(crate) block_failures: AtomicU64,
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
        let (imported, passed_over) = import_before(&paths, &options)?;
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
        (replay.imported, replay.prometheus_passed_over) = (imported.map(Box::new), passed_over);
        let brought = take_in(
            &*options.vfs,
            &paths.dir,
            &head.beside,
            Some(Quarantine::new(&*options.vfs, &paths.dir)),
            &mut |damage| replay.add(damage),
        )?;
        name_cut_blocks(&*options.vfs, &paths, loaded.published, loaded.manifest_lost)?;
        let blocks = open_blocks(&paths, &options, &mut replay)?;
        head.remembered.share(blocks.summaries());
        replay.duration_ms = options.clock.monotonic_ms().saturating_sub(started_ms);
        let newest_ms = head.time().map(|time| time.max.millis());
        let (wall_ms, monotonic_ms) = (options.clock.now().millis(), options.clock.monotonic_ms());
        let time = BelievedTime::at_opening(wall_ms, newest_ms, monotonic_ms);
        let writer = Writer::new(log, &options);
        let (checkpoint_bytes, chunk_bytes) =
            (loaded.checkpoint.map_or(0, |(_, bytes)| bytes), loaded.chunks.disk_bytes());
        let shared = Shared {
            options,
            paths,
            head,
            blocks,
            writer: Mutex::new(writer),
            syncer,
            files: Mutex::new(Files {
                chunks: loaded.chunks,
                checkpoint: loaded.checkpoint,
                aged: None,
                time,
                cuts: Cuts::default(),
                erased: BTreeSet::new(),
                damaged: BTreeSet::new(),
                unsettled: false,
            }),
            counters: Counters::default(),
            floor_ms: AtomicI64::new(i64::MIN),
            opened_ms: started_ms,
            second: AtomicU32::new(Second::OPENING.number()),
            replay,
            checkpoint_bytes: AtomicU64::new(checkpoint_bytes),
            chunk_bytes: AtomicU64::new(chunk_bytes),
            compacting: Mutex::default(),
            closing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            spill_failed: AtomicBool::new(false),
            directory_lock: Mutex::new(Some(directory_lock)),
        };
        let db = Db { shared: Arc::new(shared) };
        if brought {
            db.keep_imported();
        }
        db.enforce_retention_at_opening();
        Ok(db)
    }

    /// Makes a checkpoint of what an import has brought. If it cannot now, maintenance makes one, and the next opening takes the same in
    /// again.
    fn keep_imported(&self) {
        let shared = self.shared();
        let mut files = lock(&shared.files);
        match write_checkpoint(shared, &mut files, &mut Maintained::default()) {
            Ok(_) => let_go(&*shared.options.vfs, &shared.paths.dir),
            Err(_) => files.unsettled = true,
        }
        shared.note_sizes(&files);
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
        // Wait for the append and the maintenance that run now; long work gives up.
        self.shared.closing.store(true, Relaxed);
        let _no_compaction = lock(&self.shared.compacting);
        let mut files = lock(&self.shared.files);
        let writer = lock(&self.shared.writer);
        if self.shared.closed.swap(true, Relaxed) {
            return Ok(());
        }
        let log_bytes = writer.log.disk_bytes();
        drop(writer);
        let synced = self.sync();
        if synced.is_ok() && (files.unsettled || log_bytes >= self.shared.options.checkpoint_close_bytes) {
            // When it fails, what is in the log stays there, and the next opening takes longer.
            let _ = write_checkpoint(&self.shared, &mut files, &mut Maintained::default());
        }
        drop(files);
        self.shared.head.store.close();
        lock(&self.shared.directory_lock).take();
        synced
    }

    /// The figures as they are now. Cheap: nothing is walked over.
    pub fn stats(&self) -> Stats {
        let shared = &*self.shared;
        let blocks = shared.blocks.blocks();
        let (mut wal, wal_bytes) = {
            let writer = lock(&shared.writer);
            let log = &writer.log;
            let wal = WalStats {
                refused_for_reserve: writer.disk_room.refused,
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
            disk: DiskStats {
                wal_bytes,
                checkpoint_bytes: shared.checkpoint_bytes.load(Relaxed),
                chunk_bytes: shared.chunk_bytes.load(Relaxed),
                block_bytes: blocks.iter().map(StoredBlock::size_bytes).sum(),
            },
            blocks: BlocksStats {
                cut: counters.blocks_cut.load(Relaxed),
                compactions: counters.compactions.load(Relaxed),
                made_cold: counters.made_cold.load(Relaxed),
                failures: counters.block_failures.load(Relaxed),
                removed: counters.blocks_removed.load(Relaxed),
                ..BlocksStats::of(&blocks)
            },
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

    /// The blocks as they are now, cold ones among them, in order of their first millisecond.
    pub fn blocks(&self) -> Arc<[StoredBlock]> {
        self.shared.blocks.blocks()
    }

    /// What makes up the series of the head: the `limit` largest of each kind.
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

/// Makes blocks of what a Prometheus has left, before there is a head of ours. Where there is one it is passed over; then it says so.
fn import_before(paths: &Paths, options: &Options) -> Result<(Option<ImportReport>, bool), OpenError> {
    let vfs = &options.vfs;
    let failed = |source| OpenError::Import { source };
    let is_new = matches!(vfs.list(&paths.dir.join("head")), Err(error) if error.kind() == std::io::ErrorKind::NotFound);
    if !options.import_prometheus || !has_prometheus_head(&**vfs, &paths.dir).map_err(failed)? {
        return Ok((None, false));
    }
    if !is_new {
        return Ok((None, true));
    }
    let import = ImportOptions {
        series_max: options.series_max,
        exemplars_max: options.exemplars_max,
        metadata_bytes_max: options.metadata_bytes_max,
        ahead_ms_max: options.ahead_ms_max,
        clock: options.clock.clone(),
        ..ImportOptions::default()
    };
    let mut tell = |progress| {
        if let Some(on_progress) = &options.on_progress {
            on_progress.tell(progress);
        }
    };
    let imported = import_locked(vfs, &paths.dir, &import, &mut tell).map_err(failed)?;
    Ok((Some(imported), false))
}

fn take_lock(vfs: &dyn Vfs, dir: &Path) -> Result<Box<dyn VfsLock>, OpenError> {
    let lock_file = dir.join("lock");
    vfs.lock(&lock_file).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => OpenError::Locked { lock_file },
        _ => OpenError::Io { action: "lock", path: lock_file, source: error },
    })
}

/// Blocks that were cut and have no name yet get it when the last checkpoint names them. Of others the head has the samples. If
/// it is not known what the checkpoint names, whatever can be opened is taken: a sample may well be there twice.
fn name_cut_blocks(
    vfs: &dyn Vfs,
    paths: &Paths,
    published: Option<Ulid>,
    manifest_lost: bool,
) -> Result<(), OpenError> {
    for (ulid, dir) in cut_blocks(vfs, &paths.dir)? {
        if published == Some(ulid) || (manifest_lost && Block::open(vfs, &dir).is_ok()) {
            name_block(vfs, &paths.dir, ulid)?;
        } else {
            // What cannot be removed now goes at the next opening.
            let _ = remove_tree(vfs, &dir);
        }
    }
    if published.is_some() {
        // It may have got its name from a process that ended before the name was durable.
        vfs.sync_dir(&paths.dir).map_err(OpenError::io("fsync directory", &paths.dir))?;
    }
    Ok(())
}

/// Opens the blocks. Those that cannot be opened are reported and do not stop the others; damaged ones are set aside.
fn open_blocks(paths: &Paths, options: &Options, report: &mut ReplayReport) -> Result<BlockStore, OpenError> {
    let store = BlockStore::open_tidying(options.vfs.clone(), &paths.dir, options.block_store())?;
    let aside = store.set_refused_aside();
    for ((dir, _), quarantine) in store.refused().iter().zip(aside) {
        report.add(Damage { file: dir.clone(), offset: 0, bytes: 0, kind: DamageKind::Block, quarantine });
    }
    Ok(store)
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

    /// Head and blocks, to be queried.
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts { head: &self.head, blocks: &self.blocks }
    }

    /// Says how large the files are now.
    pub(crate) fn note_sizes(&self, files: &Files) {
        self.checkpoint_bytes.store(files.checkpoint.map_or(0, |(_, bytes)| bytes), Relaxed);
        self.chunk_bytes.store(files.chunks.disk_bytes(), Relaxed);
    }

    /// What long work calls now and then: keeps the promise of the sync interval, and says whether to go on.
    pub(crate) fn go_on(&self) -> bool {
        if let SyncMode::IntervalMs(interval_ms) = self.options.sync
            && self.syncer.is_due(self.options.clock.monotonic_ms(), interval_ms)
        {
            // A sync that fails stops all writes, and whoever writes next is told.
            let _ = self.syncer.wait(self.syncer.written());
        }
        !self.closing.load(Relaxed)
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
        self.head.beside.count(outcome);
        self.counters.appended.fetch_add(outcome.appended as u64, Relaxed);
        self.counters.series_created.fetch_add(outcome.series_created as u64, Relaxed);
        for refused in &outcome.refused {
            if let Some(at) = Refusal::ALL.iter().position(|reason| *reason == refused.reason) {
                self.counters.refused[at].fetch_add(1, Relaxed);
            }
        }
    }
}

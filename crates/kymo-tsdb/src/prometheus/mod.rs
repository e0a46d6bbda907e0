//! Prometheus: what its data directory holds besides blocks (log, checkpoint, sealed chunks of the head) becomes blocks.
//!
//! ```text
//! wal/ wbl/ segments      pages: fragments, records          pages, compression
//!                         record: series, samples, ...       record, histogram
//! chunks_head/ files      chunks of series                   head_chunks
//! samples by series       in memory, bounded                 gather
//! DATA/ULID/              blocks of two hours                blocks
//! DATA/imported/beside    exemplars, metadata                ../beside/imported
//! DATA/imported/          where what was read is moved to    moving
//! ```
//!
//! Everything is read past damage: it costs a record, a page or a chunk, and what one file has lost another may have. Blocks
//! are durable before anything is moved, and nothing is removed, so a crash at any time leaves all of it; what is then
//! imported a second time is the same samples again, which are merged where they are read.

mod blocks;
mod compression;
mod directory;
mod gather;
mod head_chunks;
mod histogram;
mod moving;
mod pages;
mod reading;
mod record;
mod report;

use std::path::Path;
use std::sync::Arc;

use crate::beside::Imported;
use crate::block::BlockWriterOptions;
use crate::clock::{Clock, SystemClock};
use crate::options::Options;
use crate::progress::Progress;
use crate::vfs::Vfs;

use blocks::Blocks;
use directory::Directory;
pub(crate) use directory::has_prometheus_head;
use reading::Reader;
pub use report::{ImportError, ImportReport};

/// The bounds of an import.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// How long the range of a block is.
    pub range_ms: i64,
    /// When samples take more memory than this, and [`ImportOptions::SERIES_BYTES`] for each series besides, what there is of them is
    /// written to disk, and put together at the end.
    pub memory_bytes_max: usize,
    /// How many series there may be; their labels are in memory all the time.
    pub series_max: usize,
    /// How many exemplars are kept, those that were stored last; see [`Options::exemplars_max`].
    pub exemplars_max: usize,
    /// How many bytes of metadata are kept; see [`Options::metadata_bytes_max`].
    pub metadata_bytes_max: usize,
    /// How far ahead of the clock an exemplar may be; see [`Options::ahead_ms_max`].
    pub ahead_ms_max: i64,
    /// The bounds of the new blocks.
    pub writer: BlockWriterOptions,
    /// The clock that names the new blocks.
    pub clock: Arc<dyn Clock>,
}

impl ImportOptions {
    /// So many bytes of samples each series may have in memory, or there would be a part for every few samples.
    pub const SERIES_BYTES: usize = 768;

    fn samples_bytes_max(&self, series: usize) -> usize {
        self.memory_bytes_max.saturating_add(series.saturating_mul(Self::SERIES_BYTES))
    }
}

impl Default for ImportOptions {
    fn default() -> ImportOptions {
        let Options { exemplars_max, metadata_bytes_max, ahead_ms_max, .. } = Options::default();
        ImportOptions {
            range_ms: 2 * 3_600_000,
            memory_bytes_max: 256 << 20,
            series_max: 10_000_000,
            exemplars_max,
            metadata_bytes_max,
            ahead_ms_max,
            writer: BlockWriterOptions::default(),
            clock: Arc::new(SystemClock::default()),
        }
    }
}

/// Makes blocks of the log and the head in the data directory of a Prometheus that does not run any more, and then moves what it
/// has read to `imported/` there, so that nothing is imported twice. Takes the directory's lock.
///
/// Exemplars and metadata wait beside the blocks, in `imported/beside`, for the next [`Db`](crate::Db) that is opened on the directory.
///
/// Samples that were deleted are left out. Of samples at one time that of the log stays, of several there the first. Samples
/// before the end of the last block that Prometheus has cut are left out, too, unless they are in its log of samples out of
/// order: they are in that block.
///
/// ```no_run
/// use std::sync::Arc;
/// use kymo_tsdb::{OsVfs, Vfs, prometheus::{ImportOptions, import_prometheus}};
///
/// let disk: Arc<dyn Vfs> = Arc::new(OsVfs);
/// let report = import_prometheus(&disk, "data".as_ref(), &ImportOptions::default(), &mut |_| ())?;
/// for damage in &report.damaged {
///     eprintln!("damaged: {damage}");
/// }
/// println!("{} samples in {} blocks", report.samples(), report.blocks.len());
/// # Ok::<(), kymo_tsdb::prometheus::ImportError>(())
/// ```
pub fn import_prometheus(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    options: &ImportOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport, ImportError> {
    let lock_file = dir.join("lock");
    let _lock = vfs.lock(&lock_file).map_err(|source| match source.kind() {
        std::io::ErrorKind::WouldBlock => ImportError::Locked { lock_file },
        _ => ImportError::Io { action: "lock", path: lock_file, source },
    })?;
    import_locked(vfs, dir, options, progress)
}

/// The same by somebody who has the directory's lock.
pub(crate) fn import_locked(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    options: &ImportOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport, ImportError> {
    if !has_prometheus_head(&**vfs, dir)? {
        return Err(ImportError::NoPrometheus { dir: dir.to_owned() });
    }
    let found = Directory::look(&**vfs, dir)?;
    let mut blocks = Blocks::begin(vfs.clone(), dir, options)?;
    let mut report = ImportReport::default();
    let bounds = (options.exemplars_max, options.metadata_bytes_max);
    let latest_ms = options.clock.now().millis().saturating_add(options.ahead_ms_max);
    let imported = Imported::begin(&**vfs, dir, bounds, latest_ms, &mut |damage| report.add(damage))?;
    let mut reader =
        Reader::new(&**vfs, options, (blocks.cutoff_ms(), imported, report), found.files(), progress);
    reader.read(&found, &mut blocks)?;
    let (mut report, imported) = reader.into_report();
    // It would go on writing to files that are somewhere else then, and what it writes would be in no block.
    if let Some((file, read, found)) = Directory::look(&**vfs, dir)?.differs_from(&found) {
        return Err(ImportError::Running { file, read, found });
    }
    report.blocks = blocks.publish(progress)?;
    imported.write(&**vfs, dir)?;
    (report.exemplars, report.metadata) = imported.counts();
    report.moved_to = Some(moving::move_away(&**vfs, dir, &found.names)?);
    Ok(report)
}

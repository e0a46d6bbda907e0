//! ColdBlock: one cold block on disk, open for reading. Index, damage and tombstones are those of a block.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kymo_chunk::cold::{decode_times, sample_count};
use kymo_model::{CancelToken, Estimate, Matcher, Queryable, Selector, SeriesSet, StoreError, TimeRange};

use super::super::chunk_file::ChunkFiles;
use super::super::error::{BlockDamage, BlockError};
use super::super::file::BlockFile;
use super::super::meta::BlockMeta;
use super::super::reader::Inner;
use super::super::series::BlockSeriesIter;
use super::super::tombstones::Tombstones;
use super::super::ulid::Ulid;
use super::cache::TimesCache;
use super::record::{self, Kind};
use super::snapshot::ColdSnapshot;
use super::{COLD_ENDING, COLUMNS_FILE, TIMES_COPY_FILE, TIMES_FILE};
use crate::vfs::Vfs;

/// A cold block on disk. Clones share what was read.
///
/// As with [`Block`](super::super::Block), what is damaged is left out of answers and told by [`ColdBlock::damage`]; damaged
/// timestamps are taken from their copy, if there is one.
#[derive(Clone)]
pub struct ColdBlock {
    pub(in super::super) inner: Arc<ColdInner>,
}

pub(in super::super) struct ColdInner {
    pub(in super::super) block: Inner,
    pub(super) columns: BlockFile,
    pub(super) times: BlockFile,
    pub(super) times_copy: Option<BlockFile>,
    cache: TimesCache,
}

/// The cold blocks of a directory: those that can be read, in order of their first millisecond, and those that cannot, with why.
pub(super) type OpenedCold = (Vec<ColdBlock>, Vec<(PathBuf, BlockError)>);

impl ColdBlock {
    /// Opens the cold block in a directory.
    ///
    /// ```no_run
    /// use kymo_tsdb::{OsVfs, cold::ColdBlock};
    /// let block = ColdBlock::open(&OsVfs, "data/01M7Y4C8KQ5BADXB1JK2X435QE.cold".as_ref())?;
    /// println!("{} samples in {} bytes", block.meta().stats.num_samples, block.size_bytes());
    /// # Ok::<(), kymo_tsdb::block::BlockError>(())
    /// ```
    pub fn open(vfs: &dyn Vfs, dir: &Path) -> Result<ColdBlock, BlockError> {
        let block = Inner::open(vfs, dir, ChunkFiles::none())?;
        let columns = BlockFile::open(vfs, &dir.join(COLUMNS_FILE))?;
        let times = BlockFile::open(vfs, &dir.join(TIMES_FILE))?;
        let times_copy = match BlockFile::open(vfs, &dir.join(TIMES_COPY_FILE)) {
            Ok(copy) => Some(copy),
            Err(BlockError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        for file in [&columns, &times] {
            match record::check_header(file) {
                // Records are checked one by one, so nothing else is lost with the header.
                Err(BlockError::Damaged(damage)) => block.note(damage),
                checked => checked?,
            }
        }
        let inner = ColdInner { block, columns, times, times_copy, cache: TimesCache::default() };
        Ok(ColdBlock { inner: Arc::new(inner) })
    }

    /// Opens all cold blocks in a directory; half-written ones and other directories are passed over.
    pub(super) fn open_all(vfs: &dyn Vfs, parent: &Path) -> Result<OpenedCold, BlockError> {
        let (mut blocks, mut refused) = (Vec::new(), Vec::new());
        for entry in vfs.list(parent).map_err(BlockError::io("list", parent))? {
            let name = entry.name.strip_suffix(COLD_ENDING);
            if entry.is_dir && name.is_some_and(|name| name.parse::<Ulid>().is_ok()) {
                let dir = parent.join(&entry.name);
                match ColdBlock::open(vfs, &dir) {
                    Ok(block) => blocks.push(block),
                    Err(error) => refused.push((dir, error)),
                }
            }
        }
        blocks.sort_by_key(|block: &ColdBlock| (block.meta().min_time_ms, block.meta().ulid));
        Ok((blocks, refused))
    }

    /// What the block says of itself; its chunks are columns.
    pub fn meta(&self) -> &BlockMeta {
        &self.inner.block.meta
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.inner.block.dir
    }

    /// What was deleted from it since it became cold; [`write_tombstones`](super::super::write_tombstones) writes that.
    pub fn tombstones(&self) -> &Tombstones {
        &self.inner.block.tombstones
    }

    /// Bytes of all its files.
    pub fn size_bytes(&self) -> u64 {
        let ColdInner { block, columns, times, times_copy, .. } = &*self.inner;
        block.size_bytes() + columns.size() + times.size() + times_copy.as_ref().map_or(0, BlockFile::size)
    }

    /// The time from its first millisecond to its last.
    pub fn time_range(&self) -> TimeRange {
        self.inner.block.time_range()
    }

    /// The damaged places that were met so far, and how many there were; as [`Block::damage`](super::super::Block::damage).
    pub fn damage(&self) -> (Vec<BlockDamage>, u64) {
        self.inner.block.damage()
    }

    /// Forgets the tables and timestamps that were read, until they are needed again.
    pub fn release_memory(&self) {
        self.inner.block.release_memory();
        self.inner.cache.clear();
    }

    pub(super) fn series(&self) -> Result<BlockSeriesIter<'_>, BlockError> {
        Ok(BlockSeriesIter::new(&self.inner.block, self.inner.block.tables(&CancelToken::new())?))
    }
}

impl ColdInner {
    /// The timestamps of a record, strictly increasing.
    pub(super) fn times(&self, offset: u64) -> Result<Arc<[i64]>, BlockError> {
        if let Some(times) = self.cache.get(offset) {
            return Ok(times);
        }
        let times = match (read_times(&self.times, offset), &self.times_copy) {
            (Err(BlockError::Damaged(damage)), Some(copy)) => {
                self.block.note(damage);
                read_times(copy, offset)?
            }
            (read, _) => read?,
        };
        self.cache.put(offset, times.clone());
        Ok(times)
    }
}

/// The timestamps of a record, strictly increasing.
pub(super) fn read_times(file: &BlockFile, offset: u64) -> Result<Arc<[i64]>, BlockError> {
    let (mut bytes, mut owned) = (Vec::new(), Vec::new());
    let record = record::read_at(file, offset, &mut bytes, &mut owned)?;
    if record.kind != Kind::Times {
        return Err(file.damaged(offset, "expected timestamps, found another column"));
    }
    let mut times = Vec::new();
    sample_count(record.body)
        .and_then(|count| decode_times(record.body, 0..count, &mut times))
        .map_err(|error| file.damaged(offset, format!("timestamps do not decode: {error}")))?;
    if !times.is_sorted_by(|before, after| before < after) {
        return Err(file.damaged(offset, "expected timestamps in order, found them out of order"));
    }
    Ok(times.into())
}

impl Queryable for ColdBlock {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        if !wanted.range.overlaps(&self.time_range()) {
            return Ok(SeriesSet::empty());
        }
        let snapshot = ColdSnapshot::pin(self.inner.clone(), wanted)?;
        Ok(SeriesSet::new(Arc::new(snapshot)))
    }

    fn estimate(&self, wanted: &Selector) -> Result<Option<Estimate>, StoreError> {
        Ok(self.inner.block.estimate(wanted).map(Some)?)
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        Ok(if range.overlaps(&self.time_range()) {
            self.inner.block.label_names(matchers, range, cancel)?
        } else {
            Vec::new()
        })
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        Ok(if range.overlaps(&self.time_range()) {
            self.inner.block.label_values(name, matchers, range, cancel)?
        } else {
            Vec::new()
        })
    }
}

impl fmt::Debug for ColdBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColdBlock")
            .field("dir", &self.dir())
            .field("meta", self.meta())
            .finish_non_exhaustive()
    }
}

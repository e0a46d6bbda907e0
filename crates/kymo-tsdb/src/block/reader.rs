//! Block: one block on disk, open for reading. Cheap to open: tables are read when they are first needed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use kymo_model::{CancelToken, Estimate, Matcher, Queryable, Selector, SeriesSet, StoreError, TimeRange};

use super::chunk_file::{ChunkData, ChunkFiles};
use super::error::{BlockDamage, BlockError};
use super::file::BlockFile;
use super::index::{ChunkMeta, EntryReader, INDEX_FILE, PostingsTable, Symbols, Toc};
use super::meta::{BlockMeta, META_FILE};
use super::series::BlockSeriesIter;
use super::snapshot::Snapshot;
use super::tombstones::{TOMBSTONES_FILE, Tombstones};
use super::ulid::Ulid;
use crate::lock::lock;
use crate::summary::Summaries;
use crate::vfs::Vfs;

/// A block on disk. Clones share what was read.
///
/// A damaged series or chunk is left out of answers, the rest is served; [`Block::damage`] says what was left out. That is all of the
/// block where its symbols are damaged and cannot be put together from its postings.
#[derive(Clone)]
pub struct Block {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) dir: PathBuf,
    pub(super) meta: BlockMeta,
    pub(super) index: BlockFile,
    pub(super) toc: Toc,
    pub(super) chunks: ChunkFiles,
    pub(super) tombstones: Tombstones,
    /// Of meta.json and tombstones.
    small_bytes: u64,
    tables: Mutex<Option<Arc<Tables>>>,
    damage: Mutex<DamageLog>,
    /// What is known of its chunks, beside those of others, and its number there.
    summaries: OnceLock<(Arc<Summaries>, u64)>,
}

/// What is kept in memory of a block that is used.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) symbols: Symbols,
    /// What is wrong with their section, when they had to be put together from the postings table.
    pub(super) symbols_damage: Option<BlockDamage>,
    /// `None` when it is damaged: series are then found by reading all of them.
    pub(super) postings: Option<PostingsTable>,
}

/// The blocks of a directory.
#[derive(Debug, Default)]
pub struct OpenedBlocks {
    /// Those that can be read, in order of their first millisecond.
    pub blocks: Vec<Block>,
    /// Those that cannot, with why.
    pub refused: Vec<(PathBuf, BlockError)>,
}

#[derive(Debug, Default)]
struct DamageLog {
    listed: Vec<BlockDamage>,
    total: u64,
}

impl Block {
    /// At most so many damaged places are listed by [`Block::damage`].
    pub const DAMAGE_MAX: usize = 1000;

    /// Opens the block in a directory: its description, table of contents and tombstones are read.
    ///
    /// ```no_run
    /// use kymo_tsdb::{OsVfs, block::Block};
    /// let block = Block::open(&OsVfs, "data/01M7Y4C8KQ5BADXB1JK2X435QE".as_ref())?;
    /// println!("{} series", block.meta().stats.num_series);
    /// # Ok::<(), kymo_tsdb::block::BlockError>(())
    /// ```
    pub fn open(vfs: &dyn Vfs, dir: &Path) -> Result<Block, BlockError> {
        let inner = Inner::open(vfs, dir, ChunkFiles::open(vfs, dir)?)?;
        Ok(Block { inner: Arc::new(inner) })
    }

    /// Opens all blocks in a directory, in order of their first millisecond. Those that cannot be opened are told apart;
    /// half-written ones and other directories are passed over.
    pub fn open_all(vfs: &dyn Vfs, parent: &Path) -> Result<OpenedBlocks, BlockError> {
        let mut opened = OpenedBlocks::default();
        for entry in vfs.list(parent).map_err(BlockError::io("list", parent))? {
            if entry.is_dir && entry.name.parse::<Ulid>().is_ok() {
                let dir = parent.join(&entry.name);
                match Block::open(vfs, &dir) {
                    Ok(block) => opened.blocks.push(block),
                    Err(error) => opened.refused.push((dir, error)),
                }
            }
        }
        opened.blocks.sort_by_key(|block| (block.meta().min_time_ms, block.meta().ulid));
        Ok(opened)
    }

    /// What the block says of itself.
    pub fn meta(&self) -> &BlockMeta {
        &self.inner.meta
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Is it in the directory of its name? A block that was just cut is not yet.
    pub(crate) fn is_named(&self) -> bool {
        self.inner.dir.file_name().is_some_and(|name| *name == *self.meta().ulid.to_string())
    }

    /// Compares counts that were expected with those that were found, of series and of chunks.
    pub(crate) fn expect_counts(&self, series: (u64, u64), chunks: (u64, u64)) -> Result<(), BlockError> {
        for (what, (expected, found)) in [("series", series), ("chunks", chunks)] {
            if expected != found {
                return Err(self
                    .inner
                    .index
                    .damaged(0, format!("expected {expected} {what}, found {found}")));
            }
        }
        Ok(())
    }

    /// What was deleted from it.
    pub fn tombstones(&self) -> &Tombstones {
        &self.inner.tombstones
    }

    /// Bytes of all its files.
    pub fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    /// The time from its first millisecond to its last.
    pub fn time_range(&self) -> TimeRange {
        self.inner.time_range()
    }

    /// All series, in order of their labels.
    pub fn series(&self) -> Result<BlockSeriesIter<'_>, BlockError> {
        Ok(BlockSeriesIter::new(&self.inner, self.inner.tables(&CancelToken::new())?))
    }

    /// The samples of a chunk, as they lie in the file.
    pub fn read_chunk(&self, chunk: &ChunkMeta) -> Result<ChunkData, BlockError> {
        self.inner.chunks.read(chunk.reference, self.inner.index.path())
    }

    /// The damaged places that were met so far, at most [`Block::DAMAGE_MAX`], and how many there were. A place that is
    /// read again is met again.
    pub fn damage(&self) -> (Vec<BlockDamage>, u64) {
        self.inner.damage()
    }

    /// Forgets the tables that were read, until they are needed again.
    pub fn release_memory(&self) {
        self.inner.release_memory();
    }
}

impl Inner {
    /// All but the chunks, which may lie elsewhere.
    pub(super) fn open(vfs: &dyn Vfs, dir: &Path, chunks: ChunkFiles) -> Result<Inner, BlockError> {
        let meta = BlockMeta::read(vfs, dir)?;
        let index = BlockFile::open(vfs, &dir.join(INDEX_FILE))?;
        let toc = Toc::read(&index)?;
        let files = vfs.list(dir).map_err(BlockError::io("list", dir))?;
        let small = files.iter().filter(|file| [META_FILE, TOMBSTONES_FILE].contains(&file.name.as_str()));
        Ok(Inner {
            dir: dir.to_owned(),
            small_bytes: small.map(|file| file.size).sum(),
            meta,
            index,
            toc,
            chunks,
            tombstones: Tombstones::read(vfs, dir)?,
            tables: Mutex::default(),
            damage: Mutex::default(),
            summaries: OnceLock::new(),
        })
    }

    /// Lets it remember what it learns of its chunks.
    pub(super) fn share_summaries(&self, summaries: &Arc<Summaries>) {
        self.summaries.get_or_init(|| (summaries.clone(), summaries.number_owner()));
    }

    pub(super) fn summaries(&self) -> Option<(&Summaries, u64)> {
        self.summaries.get().map(|(summaries, number)| (&**summaries, *number))
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.index.size() + self.chunks.size() + self.small_bytes
    }

    pub(super) fn time_range(&self) -> TimeRange {
        let BlockMeta { min_time_ms, max_time_ms, .. } = self.meta;
        TimeRange::from_millis(min_time_ms, max_time_ms.saturating_sub(1))
    }

    pub(super) fn damage(&self) -> (Vec<BlockDamage>, u64) {
        let log = lock(&self.damage);
        (log.listed.clone(), log.total)
    }

    /// What a select should say of damage.
    pub(super) fn warnings(&self) -> Vec<String> {
        let (listed, total) = self.damage();
        let warning = listed.first().map(|first| match total {
            1 => format!("block {} is damaged: {first}", self.meta.ulid),
            _ => format!("block {} is damaged in {total} places, the first: {first}", self.meta.ulid),
        });
        warning.into_iter().collect()
    }

    pub(super) fn release_memory(&self) {
        *lock(&self.tables) = None;
    }

    /// The same for an answer, which does without the block when nothing in it can be named: `None`, and that is noted.
    pub(super) fn tables_if_any(&self, cancel: &CancelToken) -> Result<Option<Arc<Tables>>, BlockError> {
        match self.tables(cancel) {
            Ok(tables) => Ok(Some(tables)),
            Err(error) => {
                let BlockMeta { min_time_ms, max_time_ms, .. } = self.meta;
                let times = (min_time_ms, max_time_ms.saturating_sub(1));
                self.note_error(error.missing_times(times)).map(|()| None)
            }
        }
    }

    /// Symbols and postings table, read at the first call that is not canceled meanwhile.
    pub(super) fn tables(&self, cancel: &CancelToken) -> Result<Arc<Tables>, BlockError> {
        let mut tables = lock(&self.tables);
        if let Some(tables) = &*tables {
            return Ok(tables.clone());
        }
        let mut pulse = cancel.pulse();
        let (postings, postings_damage) =
            match PostingsTable::read(&self.index, self.toc, &mut pulse).map_err(BlockError::into_damage) {
                Ok(postings) => (Some(postings), None),
                Err(Ok(damage)) => (None, Some(damage)),
                Err(Err(error)) => return Err(error),
            };
        let (mut symbols_damage, read) = (None, Symbols::read(&self.index, self.toc, &mut pulse));
        let symbols = match (read, &postings) {
            (Err(BlockError::Damaged(mut damage)), Some(postings)) => {
                let rebuilt = Symbols::rebuilt(&self.index, self.toc, postings, &mut pulse)?;
                let Some(symbols) = rebuilt else { return Err(BlockError::Damaged(damage)) };
                damage.message.push_str("; symbols known from postings, nothing is missing");
                symbols_damage = Some(damage);
                symbols
            }
            (read, _) => read?,
        };
        // Where even the symbols cannot be had, that says it all.
        postings_damage.into_iter().chain(symbols_damage.clone()).for_each(|damage| self.note(damage));
        let read = Arc::new(Tables { symbols, symbols_damage, postings });
        *tables = Some(read.clone());
        Ok(read)
    }

    pub(super) fn note(&self, damage: BlockDamage) {
        let mut log = lock(&self.damage);
        log.total += 1;
        if log.listed.len() < Block::DAMAGE_MAX && !log.listed.contains(&damage) {
            log.listed.push(damage);
        }
    }

    /// Notes damage; gives back what is none.
    pub(super) fn note_error(&self, error: BlockError) -> Result<(), BlockError> {
        error.into_damage().map(|damage| self.note(damage))
    }

    /// The index does not say how many samples a chunk has, only that it has one. Of a block that is wanted as a whole, its own
    /// description knows.
    pub(super) fn estimate(&self, wanted: &Selector) -> Result<Estimate, BlockError> {
        let (range, own) = (wanted.range, self.time_range());
        let mut found = Estimate::default();
        if !range.overlaps(&own) {
            return Ok(found);
        }
        let mut matched = 0;
        let Some(tables) = self.tables_if_any(&wanted.cancel)? else { return Ok(found) };
        self.for_each_match(&tables, (&wanted.matchers, &wanted.cancel), |number, entry| {
            matched += 1;
            let inside =
                |chunk: &&ChunkMeta| range.min.millis() <= chunk.min_ms && chunk.max_ms <= range.max.millis();
            let in_order = entry.chunks.is_sorted_by(|before, after| before.max_ms < after.min_ms);
            if in_order && self.tombstones.of(number).is_empty() {
                let chunks = entry.chunks.iter().filter(inside).count() as u64;
                found.samples += chunks;
                found.series += u64::from(chunks > 0);
            }
        })?;
        let stats = &self.meta.stats;
        let all = matched == stats.num_series && range.min <= own.min && own.max <= range.max;
        if all && self.tombstones.is_empty() && self.damage().1 == 0 {
            found.samples = found.samples.max(stats.num_samples);
        }
        Ok(found)
    }

    pub(super) fn entries(&self) -> EntryReader<'_> {
        EntryReader::over(&self.index)
    }
}

impl Queryable for Block {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        if !wanted.range.overlaps(&self.time_range()) {
            return Ok(SeriesSet::empty());
        }
        let snapshot = Snapshot::pin(self.inner.clone(), wanted)?;
        Ok(SeriesSet::new(Arc::new(snapshot)))
    }

    fn estimate(&self, wanted: &Selector) -> Result<Option<Estimate>, StoreError> {
        Ok(self.inner.estimate(wanted).map(Some)?)
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        Ok(if range.overlaps(&self.time_range()) {
            self.inner.label_names(matchers, range, cancel)?
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
            self.inner.label_values(name, matchers, range, cancel)?
        } else {
            Vec::new()
        })
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("dir", &self.inner.dir)
            .field("meta", &self.inner.meta)
            .finish_non_exhaustive()
    }
}

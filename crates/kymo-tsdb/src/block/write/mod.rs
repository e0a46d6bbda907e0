//! BlockWriter: a new block, series by series in order of labels. In memory are the symbols and one series; the rest goes to
//! disk as it comes.
//!
//! The block is written as `ULID.tmp-for-creation`, the name that Prometheus removes at its start, too, and renamed when all
//! files, the two directories and nothing but the rename itself are durable.

mod index;
mod symbols;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kymo_chunk::Encoding;
use kymo_model::Labels;

use super::chunk_file::{CHUNKS_DIR, ChunkFileWriter};
use super::error::{BlockError, WriteBlockError};
use super::file::FileWriter;
use super::index::{ChunkMeta, INDEX_FILE};
use super::meta::{BlockCompaction, BlockMeta, BlockStats, META_FILE};
use super::tombstones::{TOMBSTONES_FILE, Tombstones};
use super::ulid::Ulid;
use crate::frame::put_unsigned;
use crate::vfs::Vfs;
use symbols::SymbolsWriter;

/// What unfinished blocks are called, behind their ULID; Prometheus calls those that it deletes by the second.
const UNFINISHED: [&str; 2] = [".tmp-for-creation", ".tmp-for-deletion"];

/// What a block that was cut from a head is called, behind its ULID, until a checkpoint has made it a part of the database.
/// Prometheus leaves such a directory alone.
const CUT: &str = ".cut";

/// Series, with provisional numbers of symbols, until all symbols are known.
const SPOOL_FILE: &str = "series.tmp";

/// The bounds of a block that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockWriterOptions {
    /// Chunk files are cut at this size.
    pub segment_bytes_max: u64,
    /// How many entries of postings are collected in memory at once; a label that more series have takes more.
    pub postings_per_pass_max: usize,
}

impl Default for BlockWriterOptions {
    fn default() -> BlockWriterOptions {
        BlockWriterOptions { segment_bytes_max: 512 << 20, postings_per_pass_max: 1 << 22 }
    }
}

/// A chunk that is written to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockChunk<'a> {
    /// Its first sample.
    pub min_ms: i64,
    /// Its last sample.
    pub max_ms: i64,
    /// How its samples are encoded.
    pub encoding: Encoding,
    /// The encoded samples.
    pub data: &'a [u8],
}

/// What else a block says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOrigin {
    /// First and behind the last millisecond that the block stands for; what the samples cover, if not given.
    pub range_ms: Option<(i64, i64)>,
    /// How it was made. Level 0 becomes level 1 with the block itself as source.
    pub compaction: BlockCompaction,
}

/// Writes a block.
///
/// ```
/// use std::sync::Arc;
/// use kymo_chunk::{Encoding, XorAppender};
/// use kymo_model::Labels;
/// use kymo_tsdb::{OsVfs, block::{Block, BlockChunk, BlockOrigin, BlockWriter, BlockWriterOptions, Ulid}};
///
/// # let dir = std::env::temp_dir().join(format!("kymo-block-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// let mut chunk = XorAppender::new();
/// chunk.push(1000, 0.5);
/// chunk.push(2000, 0.75);
///
/// let mut writer = BlockWriter::create(Arc::new(OsVfs), &dir, Ulid::generate(0), BlockWriterOptions::default())?;
/// let labels = Labels::from_pairs([("__name__", "load"), ("host", "a")]);
/// let chunk = BlockChunk { min_ms: 1000, max_ms: 2000, encoding: Encoding::Xor, data: chunk.bytes() };
/// writer.add_series(&labels, &[chunk])?;
/// let meta = writer.finish(BlockOrigin::default())?;
///
/// let block = Block::open(&OsVfs, &dir.join(meta.ulid.to_string()))?;
/// assert_eq!((block.meta().stats.num_samples, block.meta().max_time_ms), (2, 2001));
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BlockWriter {
    vfs: Arc<dyn Vfs>,
    parent: PathBuf,
    unfinished: PathBuf,
    ulid: Ulid,
    options: BlockWriterOptions,
    chunks: ChunkFileWriter,
    spool: FileWriter,
    symbols: SymbolsWriter,
    last_labels: Option<Labels>,
    stats: BlockStats,
    range_ms: Option<(i64, i64)>,
    metas: Vec<ChunkMeta>,
    scratch: Vec<u8>,
}

impl BlockWriter {
    /// Begins a block in the directory `parent`, which must be there.
    pub fn create(
        vfs: Arc<dyn Vfs>,
        parent: &Path,
        ulid: Ulid,
        options: BlockWriterOptions,
    ) -> Result<BlockWriter, WriteBlockError> {
        BlockWriter::create_as(vfs, parent, ulid, UNFINISHED[0], options)
    }

    /// The same for a block that gets its name from somebody else; see [`BlockWriter::finish_unnamed`].
    pub(crate) fn create_cut(
        vfs: Arc<dyn Vfs>,
        parent: &Path,
        ulid: Ulid,
        options: BlockWriterOptions,
    ) -> Result<BlockWriter, WriteBlockError> {
        BlockWriter::create_as(vfs, parent, ulid, CUT, options)
    }

    fn create_as(
        vfs: Arc<dyn Vfs>,
        parent: &Path,
        ulid: Ulid,
        ending: &str,
        options: BlockWriterOptions,
    ) -> Result<BlockWriter, WriteBlockError> {
        let unfinished = parent.join(format!("{ulid}{ending}"));
        let chunks_dir = unfinished.join(CHUNKS_DIR);
        vfs.create_dir_all(&chunks_dir).map_err(WriteBlockError::io("create", &chunks_dir))?;
        let spool = FileWriter::create(&*vfs, unfinished.join(SPOOL_FILE))?;
        Ok(BlockWriter {
            vfs,
            parent: parent.to_owned(),
            unfinished,
            ulid,
            options,
            chunks: ChunkFileWriter::new(options.segment_bytes_max),
            spool,
            symbols: SymbolsWriter::default(),
            last_labels: None,
            stats: BlockStats::default(),
            range_ms: None,
            metas: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// The name that the block will have.
    pub fn ulid(&self) -> Ulid {
        self.ulid
    }

    /// How much was written so far.
    pub fn stats(&self) -> BlockStats {
        self.stats
    }

    /// Adds a series with its chunks, which lie behind one another in time. Labels are higher than those before.
    pub fn add_series(&mut self, labels: &Labels, chunks: &[BlockChunk<'_>]) -> Result<(), WriteBlockError> {
        self.check_order(labels, chunks)?;
        self.metas.clear();
        for chunk in chunks {
            let reference = self.chunks.push(&*self.vfs, &self.unfinished, chunk.encoding, chunk.data)?;
            self.metas.push(ChunkMeta { min_ms: chunk.min_ms, max_ms: chunk.max_ms, reference });
            let samples = u64::from(chunk.encoding.sample_count(chunk.data).unwrap_or(0));
            self.stats.num_samples += samples;
            if chunk.encoding.is_float() {
                self.stats.num_float_samples += samples;
            } else {
                self.stats.num_histogram_samples += samples;
            }
            let (min_ms, max_ms) = self.range_ms.unwrap_or((chunk.min_ms, chunk.max_ms));
            self.range_ms = Some((min_ms.min(chunk.min_ms), max_ms.max(chunk.max_ms)));
        }
        self.stats.num_series += 1;
        self.stats.num_chunks += chunks.len() as u64;

        self.scratch.clear();
        put_unsigned(&mut self.scratch, labels.len() as u64);
        for label in labels {
            let (name, value) = self.symbols.label(label.name, label.value);
            put_unsigned(&mut self.scratch, name.into());
            put_unsigned(&mut self.scratch, value.into());
        }
        index::put_chunks(&mut self.scratch, &self.metas);
        let length = self.scratch.len();
        // The length in front, so that entries can be read one by one.
        self.spool.push(&(length as u32).to_be_bytes())?;
        self.spool.push(&self.scratch)?;
        self.last_labels = Some(labels.clone());
        Ok(())
    }

    fn check_order(&self, labels: &Labels, chunks: &[BlockChunk<'_>]) -> Result<(), WriteBlockError> {
        if let Some(before) = self.last_labels.as_ref().filter(|before| *before >= labels) {
            return Err(WriteBlockError::SeriesOrder {
                before: before.to_string(),
                found: labels.to_string(),
            });
        }
        let wrong = |chunk: usize, found: String| {
            Err(WriteBlockError::ChunkOrder { series: labels.to_string(), chunk, found })
        };
        if chunks.is_empty() {
            return wrong(1, "no chunk".to_owned());
        }
        for (at, chunk) in chunks.iter().enumerate() {
            if chunk.max_ms < chunk.min_ms {
                return wrong(
                    at + 1,
                    format!("an end at {} before its begin at {}", chunk.max_ms, chunk.min_ms),
                );
            }
            if at > 0 && chunk.min_ms <= chunks[at - 1].max_ms {
                let end = chunks[at - 1].max_ms;
                return wrong(at + 1, format!("a begin at {} up to the end before at {end}", chunk.min_ms));
            }
        }
        Ok(())
    }

    /// Makes the block durable and gives it its name. A block without series is possible.
    pub fn finish(self, origin: BlockOrigin) -> Result<BlockMeta, WriteBlockError> {
        let (vfs, parent) = (self.vfs.clone(), self.parent.clone());
        let finished = parent.join(self.ulid.to_string());
        let (meta, unfinished) = self.finish_unnamed(origin)?;
        vfs.rename(&unfinished, &finished).map_err(WriteBlockError::io("rename", &unfinished))?;
        vfs.sync_dir(&parent).map_err(WriteBlockError::io("sync", &parent))?;
        Ok(meta)
    }

    /// Makes the block durable; gives the directory that it is in.
    pub(crate) fn finish_unnamed(self, origin: BlockOrigin) -> Result<(BlockMeta, PathBuf), WriteBlockError> {
        let (vfs, unfinished) = (self.vfs.clone(), self.unfinished.clone());
        let meta = self.complete(origin).inspect_err(|_| {
            // It is of no use, and where the disk is full it would be in the way. What stays goes at the next opening.
            let _ = remove_tree(&*vfs, &unfinished);
        })?;
        Ok((meta, unfinished))
    }

    fn complete(mut self, origin: BlockOrigin) -> Result<BlockMeta, WriteBlockError> {
        let BlockOrigin { range_ms, mut compaction } = origin;
        if compaction.level == 0 {
            compaction.level = 1;
            compaction.sources = vec![self.ulid];
        }
        let covered = self.range_ms.map_or((0, 0), |(min_ms, max_ms)| (min_ms, max_ms.saturating_add(1)));
        let meta = BlockMeta::new(self.ulid, range_ms.unwrap_or(covered), self.stats, compaction);

        self.chunks.finish()?;
        let index = FileWriter::create(&*self.vfs, self.unfinished.join(INDEX_FILE))?;
        index::write(index, &mut self.spool, &self.symbols, self.options.postings_per_pass_max)?;
        let spool = self.unfinished.join(SPOOL_FILE);
        drop(self.spool);
        self.vfs.remove(&spool).map_err(WriteBlockError::io("remove", &spool))?;
        write_whole(&*self.vfs, self.unfinished.join(TOMBSTONES_FILE), &Tombstones::default().to_bytes())?;
        write_whole(&*self.vfs, self.unfinished.join(META_FILE), &meta.to_json())?;

        for dir in [self.unfinished.join(CHUNKS_DIR), self.unfinished, self.parent] {
            self.vfs.sync_dir(&dir).map_err(WriteBlockError::io("sync", &dir))?;
        }
        Ok(meta)
    }

    /// Removes what was written.
    pub fn discard(self) -> Result<(), BlockError> {
        let BlockWriter { vfs, unfinished, chunks, spool, .. } = self;
        drop((chunks, spool));
        remove_tree(&*vfs, &unfinished)
    }
}

fn write_whole(vfs: &dyn Vfs, path: PathBuf, bytes: &[u8]) -> Result<(), WriteBlockError> {
    let mut file = FileWriter::create(vfs, path)?;
    file.push(bytes)?;
    file.finish().map(drop)
}

/// Replaces what was deleted from a block, and counts it in its description. The block is to be opened anew.
pub fn write_tombstones(vfs: &dyn Vfs, dir: &Path, tombstones: &Tombstones) -> Result<(), WriteBlockError> {
    let mut meta = BlockMeta::read(vfs, dir)?;
    meta.stats.num_tombstones = tombstones.len() as u64;
    // What was deleted first: a crash in between leaves a count that is too low, and nothing undone.
    for (file, bytes) in [(TOMBSTONES_FILE, tombstones.to_bytes()), (META_FILE, meta.to_json())] {
        let (path, unfinished) = (dir.join(file), dir.join(format!("{file}.tmp")));
        match vfs.remove(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(WriteBlockError::io("remove", &unfinished)(error));
            }
            _ => {}
        }
        write_whole(vfs, unfinished.clone(), &bytes)?;
        vfs.rename(&unfinished, &path).map_err(WriteBlockError::io("rename", &unfinished))?;
        vfs.sync_dir(dir).map_err(WriteBlockError::io("sync", dir))?;
    }
    Ok(())
}

/// Removes a block. It is renamed first, so that a crash in between leaves no half of a block under its name.
pub fn remove_block(vfs: &dyn Vfs, dir: &Path) -> Result<(), BlockError> {
    let Some((parent, name)) = dir.parent().zip(dir.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let doomed = parent.join(format!("{name}{}", UNFINISHED[1]));
    vfs.rename(dir, &doomed).map_err(BlockError::io("rename", dir))?;
    vfs.sync_dir(parent).map_err(BlockError::io("sync", parent))?;
    remove_tree(vfs, &doomed)
}

/// The blocks in a directory that were cut from a head and have no name yet.
pub(crate) fn cut_blocks(vfs: &dyn Vfs, parent: &Path) -> Result<Vec<(Ulid, PathBuf)>, BlockError> {
    let entries = vfs.list(parent).map_err(BlockError::io("list", parent))?;
    let cut = entries.into_iter().filter(|entry| entry.is_dir).filter_map(|entry| {
        let ulid = entry.name.strip_suffix(CUT)?.parse().ok()?;
        Some((ulid, parent.join(&entry.name)))
    });
    Ok(cut.collect())
}

/// Gives a block that was cut from a head its name, if it does not have it yet.
pub(crate) fn name_block(vfs: &dyn Vfs, parent: &Path, ulid: Ulid) -> Result<(), BlockError> {
    let unnamed = parent.join(format!("{ulid}{CUT}"));
    match vfs.list(&unnamed) {
        Ok(_) => {
            let named = parent.join(ulid.to_string());
            vfs.rename(&unnamed, &named).map_err(BlockError::io("rename", &unnamed))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(BlockError::io("list", &unnamed)(error)),
    }
    vfs.sync_dir(parent).map_err(BlockError::io("sync", parent))
}

/// Removes the blocks in a directory that a crash has left half written or half removed; how many.
pub fn remove_unfinished_blocks(vfs: &dyn Vfs, parent: &Path) -> Result<usize, BlockError> {
    let mut removed = 0;
    for entry in vfs.list(parent).map_err(BlockError::io("list", parent))? {
        let name = UNFINISHED.iter().find_map(|ending| entry.name.strip_suffix(ending));
        if entry.is_dir && name.is_some_and(|name| name.parse::<Ulid>().is_ok()) {
            remove_tree(vfs, &parent.join(&entry.name))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Files, directories of files, and the directory itself: a block is no deeper.
pub(crate) fn remove_tree(vfs: &dyn Vfs, dir: &Path) -> Result<(), BlockError> {
    let list = |dir: &Path| vfs.list(dir).map_err(BlockError::io("list", dir));
    let remove = |path: &Path| vfs.remove(path).map_err(BlockError::io("remove", path));
    for entry in list(dir)? {
        let path = dir.join(&entry.name);
        if !entry.is_dir {
            remove(&path)?;
            continue;
        }
        for inner in list(&path)? {
            remove(&path.join(&inner.name))?;
        }
        vfs.remove_dir(&path).map_err(BlockError::io("remove", &path))?;
    }
    vfs.remove_dir(dir).map_err(BlockError::io("remove", dir))
}

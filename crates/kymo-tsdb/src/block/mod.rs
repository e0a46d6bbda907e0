//! Blocks: immutable directories in Prometheus' format. Above the Vfs; knows nothing of the head and its log.
//!
//! ```text
//! BLOCK/meta.json    what is in it, and where it came from     meta
//! BLOCK/index        symbols, series, postings                 index/*
//! BLOCK/chunks/000001 …   the samples                          chunk_file
//! BLOCK/tombstones   what was deleted                          tombstones
//! ```
//!
//! A block is written once, beside its final name, and renamed when all of it is durable. Files are read with `pread`, never
//! mapped: a mapped file whose disk fails ends the process, and a read of a chunk costs a microsecond more (docs/storage.md).

mod error;
mod file;
mod ulid;

mod ahead;
mod chunk_file;
mod encode;
mod index;
mod join;
mod meta;
mod tombstones;

mod reader;
mod select;
mod series;
mod snapshot;

mod write;

mod compact;

pub mod cold;
mod cut;
mod store;
mod stored;
mod union;
mod verify;

pub use chunk_file::ChunkData;
pub(crate) use compact::compact_blocks_as;
pub use compact::{CompactError, CompactOptions, Compacted, CompactionPlan, compact_blocks};
pub use cut::{CutError, write_select};
pub(crate) use encode::{EncodedChunk, Open, Row, RowValue, encode, for_each_row, refill};

pub use error::{BlockDamage, BlockError, WriteBlockError};
pub use index::ChunkMeta;
pub(crate) use join::join;
pub use meta::{BlockCompaction, BlockMeta, BlockParent, BlockStats};
pub use reader::{Block, OpenedBlocks};
pub use series::{BlockSeries, BlockSeriesIter};
pub(crate) use store::merged;
pub use store::{BlockStore, BlockStoreOptions, Deleted};
pub use stored::StoredBlock;
pub use tombstones::{Interval, Tombstones};
pub use ulid::{Ulid, UlidError};
pub use union::union;
pub(crate) use union::union_unordered;
pub use verify::{BlockReport, verify_block, verify_block_telling};
pub use write::{
    BlockChunk, BlockOrigin, BlockWriter, BlockWriterOptions, remove_block, remove_unfinished_blocks,
    write_tombstones,
};
pub(crate) use write::{cut_blocks, name_block, remove_tree};

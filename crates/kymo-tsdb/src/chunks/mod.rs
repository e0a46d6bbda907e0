//! Chunk files as readers see them: where a sealed chunk lies, which files there are, and handles that are shared.
//!
//! Whoever writes them is checkpoint/chunk_writer.rs. A chunk that is in a file is whole there: its place is given to it after
//! the write, and a file only grows.

mod damage;
mod place;
mod record;
mod store;
mod window;

pub(crate) use place::ChunkPlace;
pub(crate) use record::{ChunkRecord, ChunkState};
pub(crate) use store::{ChunkStore, FileSet};
pub(crate) use window::{CHUNKS_AHEAD_MAX, ChunkBytes, GAP_BYTES_MAX, WINDOW_BYTES_MAX, Windows};

//! Checkpoints: what lets the write-ahead log be cut, and what a restart begins with.
//!
//! A checkpoint is the definitions of all series and their open chunks; sealed chunks go into chunk files. Its manifest says
//! from which segment on the log is replayed over it, and which chunk files up to which length belong to the database.
//! The rename that gives it its name is the moment at which all of this becomes true together.

mod activity_record;
mod apply;
mod chunk_files;
mod chunk_writer;
mod gather;
mod load;
mod manifest;
mod quarantine;
mod read;
mod record_file;
mod replay;
#[cfg(test)]
mod retire_tests;
mod spill;
mod write;

pub(crate) use chunk_files::{ChunkFiles, ChunkTarget};
pub(crate) use load::{Looked, Resumed, load, look};
pub(crate) use quarantine::Quarantine;
pub(crate) use record_file::RecordFile;
pub(crate) use spill::spill;
pub(crate) use write::{Checkpointed, Retire, checkpoint};

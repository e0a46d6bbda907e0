//! The write-ahead log: one record per batch, with one each for exemplars and metadata where it has any, in segments. What is in it is replayed over the last checkpoint.

mod definitions;
mod exemplars;
mod histogram;
mod log;
mod metadata;
mod record;
mod sync;
mod value;

pub(crate) use definitions::{put_definitions, read_definitions};
pub(crate) use exemplars::{put_exemplars, put_kept_exemplars, read_exemplars, read_kept_exemplars};
pub(crate) use log::{Log, WalTarget};
pub(crate) use metadata::{put_metadata, read_metadata};
pub(crate) use record::{BatchRecord, Packer, RecordKind, Run, RunValues, read_batch};
pub(crate) use sync::Syncer;

//! The write-ahead log: one record per batch, in segments. What is in it is replayed over the last checkpoint.

mod definitions;
mod histogram;
mod log;
mod record;
mod sync;
mod value;

pub(crate) use definitions::{put_definitions, read_definitions};
pub(crate) use log::{Log, WalTarget};
pub(crate) use record::{BatchRecord, RecordKind, Run, RunValues, read_batch};
pub(crate) use sync::Syncer;

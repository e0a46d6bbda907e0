//! Cold blocks: old blocks in a third of their bytes, read as any other and turned back into Prometheus' at any time.
//!
//! ```text
//! ULID.cold/meta.json    as of a block                                      ..::meta
//! ULID.cold/index        as of a block; a chunk's reference is an offset in columns
//! ULID.cold/columns      values of a series, or a chunk as it was            record, write
//! ULID.cold/times        timestamps, once for all series that share them     record, shared_times
//! ULID.cold/times-copy   the same once more, where that costs little
//! ULID.cold/tombstones   what was deleted since
//! ```
//!
//! Prometheus and promtool pass over a directory of this name. Like a block it is written beside its final name and renamed when all
//! of it is durable and was read back. A block that a cold block names as its parent no longer counts; [`Current`] says which do.

mod record;

mod cache;
mod reader;
mod snapshot;

mod shared_times;
mod write;

mod convert;
mod restore;
mod step;
mod verify;

pub(super) use convert::convert_while;
pub use convert::{ConvertOptions, Converted, convert};
pub use reader::ColdBlock;
pub use restore::to_block;
pub(super) use restore::to_block_while;
pub use step::{Current, Stepped, remove_unfinished, step};
pub use verify::{verify, verify_telling};
pub use write::ColdWriteError;

/// What follows the ULID in the name of a cold block.
pub const COLD_ENDING: &str = ".cold";

const COLUMNS_FILE: &str = "columns";
const TIMES_FILE: &str = "times";
const TIMES_COPY_FILE: &str = "times-copy";

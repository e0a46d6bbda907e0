//! The index of a block: symbols, series, postings, each a section with a checksum, found through the table of contents.
//!
//! ```text
//! ba aa d7 00   version   symbols   series...   postings...   postings table   table of contents
//! symbols    section: count:u32 (length:unsigned text)..., sorted
//! series     at multiples of 16: length:unsigned   labels chunks   crc32c
//!            labels: count (name value)..., by number of symbol   chunks: count (min max-min reference)..., deltas
//! postings   at multiples of 4: section: count:u32 series:u32..., sorted; a series is its offset divided by 16
//! table      section: count:u32 (2 name value offset)..., sorted; the first is "" "", all series
//! contents   6 offsets of 8 bytes, crc32c
//! ```
//!
//! In version 1 symbols are named by their offset in the file, and series by their offset.

mod entry;
mod postings;
mod symbols;
mod toc;

pub use entry::ChunkMeta;
pub(super) use entry::{Entry, EntryReader, SERIES_ALIGNMENT};
pub(super) use postings::{PostingsTable, Values, read_postings};
pub(super) use symbols::Symbols;
pub(super) use toc::{MAGIC, Toc};

pub(super) const INDEX_FILE: &str = "index";

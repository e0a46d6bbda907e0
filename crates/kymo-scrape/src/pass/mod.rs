//! Pass: what one scrape of one target becomes. Pure: bytes and a time in, a batch out, the store's answer back in.
//!
//! A [`ScrapeCache`] belongs to one target. Between scrapes it remembers, for the raw bytes of each series as the target
//! writes it, which handle the store gave; in the steady state a sample costs one comparison of those bytes, and no label
//! is parsed or hashed.
//!
//! Each scrape ends in exactly one batch (samples, staleness markers, report), and that batch in exactly one of
//! [`ScrapeCache::applied`] and [`ScrapeCache::abandoned`].

mod cache;
mod error;
mod labels;
mod metadata;
mod report;
mod series;

pub use cache::{Counts, ScrapeCache};
pub use error::PassError;
pub use labels::SampleRules;
pub use metadata::{MetadataEntries, MetadataEntry};
pub use report::Report;

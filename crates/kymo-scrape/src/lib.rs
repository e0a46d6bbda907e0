//! Targets, service discovery, scrape loops, staleness, and the whole of prometheus.yml.
//!
//! [`config::Config`] reads a prometheus.yml with every fault at its place. [`ScrapeCache`] is the pure core of a scrape:
//! bytes in, one batch out. [`populate`] makes targets of what discovery gives.

#![forbid(unsafe_code)]

pub mod config;
mod glob;
mod pass;
mod schedule;
mod target;
mod url;
mod yaml;

pub use pass::{Counts, MetadataEntries, MetadataEntry, PassError, Report, SampleRules, ScrapeCache};
pub use target::{Populated, Target, TargetError, populate};
pub use url::{Url, UrlError};

//! Targets, service discovery, scrape loops, staleness, and the whole of prometheus.yml.
//!
//! [`config::Config`] reads a prometheus.yml with every fault at its place. [`ScrapeCache`] is the pure core of a scrape:
//! bytes in, one batch out. [`populate`] makes targets of what discovery gives. [`ScrapeManager`] is the async edge that
//! runs it all.

#![forbid(unsafe_code)]

mod client;
pub mod config;
mod file_sd;
mod glob;
mod manager;
mod pass;
mod schedule;
mod target;
mod url;
mod yaml;

pub use manager::{
    ActiveTarget, DroppedTarget, Health, ManagerOptions, ManagerStats, ScrapeManager, TargetMetadata,
    TargetsSnapshot,
};
pub use pass::{Counts, MetadataEntries, MetadataEntry, PassError, Report, SampleRules, ScrapeCache};
pub use target::{Populated, Target, TargetError, populate};
pub use url::{Url, UrlError};

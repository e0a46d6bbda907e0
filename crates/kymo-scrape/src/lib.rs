//! Targets, service discovery, scrape loops, staleness, and the whole of prometheus.yml.
//!
//! [`config::Config`] reads a prometheus.yml with every fault at its place. [`ScrapeCache`] is the pure core of a scrape:
//! bytes in, one batch out. [`populate`] makes targets of what discovery gives. [`ScrapeManager`] is the async edge that
//! runs it all.

#![forbid(unsafe_code)]

pub mod config;
mod yaml;
mod glob;
mod file_sd;
mod url;
mod target;
mod schedule;
mod client;
mod pass;
mod manager;

pub use manager::{
    ActiveTarget, DroppedTarget, Health, ManagerOptions, ManagerStats, ScrapeManager, TargetMetadata,
    TargetsSnapshot,
};
pub use pass::{Counts, MetadataEntries, MetadataEntry, PassError, Report, SampleRules, ScrapeCache};
pub use target::{Populated, Target, TargetError, populate};
pub use url::{Url, UrlError};

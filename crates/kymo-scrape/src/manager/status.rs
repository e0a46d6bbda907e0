//! Status: what people and the HTTP API see of targets. Copies; the loops go on meanwhile.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kymo_model::{Labels, Timestamp};

use crate::pass::MetadataEntries;

/// How a target's last scrape went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// Not scraped yet.
    #[default]
    Unknown,
    /// It succeeded.
    Up,
    /// It failed.
    Down,
}

impl Health {
    /// The word of the HTTP API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        }
    }
}

/// One target, as `/api/v1/targets` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveTarget {
    /// The job.
    pub scrape_pool: String,
    /// The labels before relabelling.
    pub discovered_labels: Labels,
    /// The labels of its samples.
    pub labels: Labels,
    /// What is fetched.
    pub scrape_url: String,
    /// The same as seen from elsewhere.
    pub global_url: String,
    /// Why the last scrape failed; empty when it did not.
    pub last_error: String,
    /// When the last scrape began.
    pub last_scrape: Option<Timestamp>,
    /// How long it took.
    pub last_scrape_duration_seconds: f64,
    /// How it went.
    pub health: Health,
    /// How often it is scraped, in milliseconds.
    pub scrape_interval_ms: i64,
    /// How long a scrape may take, in milliseconds.
    pub scrape_timeout_ms: i64,
}

/// A target that relabelling dropped, or that cannot be scraped.
#[derive(Clone, Debug, PartialEq)]
pub struct DroppedTarget {
    /// The job.
    pub scrape_pool: String,
    /// The labels before relabelling.
    pub discovered_labels: Labels,
    /// Why it cannot be scraped; `None` when a rule dropped it.
    pub error: Option<String>,
}

/// Every target of a manager.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetsSnapshot {
    /// Targets that are scraped, by job and URL.
    pub active: Vec<ActiveTarget>,
    /// Targets that are not, as many as `keep_dropped_targets` says.
    pub dropped: Vec<DroppedTarget>,
    /// How many targets are not scraped, by job.
    pub dropped_counts: BTreeMap<String, usize>,
    /// The jobs, also those without targets.
    pub pools: Vec<String>,
}

/// What a target says about its metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetMetadata {
    /// The target's labels.
    pub labels: Labels,
    /// Its families, sorted by name.
    pub entries: MetadataEntries,
}

/// What a manager has done, for its own metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManagerStats {
    /// Jobs.
    pub pools: usize,
    /// Targets that are scraped.
    pub targets: usize,
    /// Scrapes that ended.
    pub scrapes: u64,
    /// Those of them that failed.
    pub scrapes_failed: u64,
    /// Samples in responses.
    pub samples_scraped: u64,
    /// Samples that the store refused.
    pub samples_refused: u64,
    /// Samples that came twice in one response.
    pub samples_duplicate: u64,
    /// Exemplars that the store took.
    pub exemplars: u64,
    /// Exemplars that the store refused, because they are out of order, too long, or too far ahead.
    pub exemplars_refused: u64,
    /// Batches that the store could not take.
    pub store_errors: u64,
}

/// The last scrape of a target, shared between its loop and those who look.
#[derive(Debug, Default)]
pub(super) struct LastScrape(Mutex<Last>);

#[derive(Clone, Debug, Default)]
pub(super) struct Last {
    pub(super) health: Health,
    pub(super) error: String,
    pub(super) at: Option<Timestamp>,
    pub(super) seconds: f64,
    pub(super) metadata: MetadataEntries,
}

impl LastScrape {
    pub(super) fn lock(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

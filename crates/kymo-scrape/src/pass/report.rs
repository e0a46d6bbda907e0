//! Report: the series that say how a scrape went: `up` and its companions.

use kymo_model::{Labels, METRIC_NAME};

/// How a scrape went, for the report series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Did it succeed?
    pub up: bool,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
    /// How long it might have taken, in seconds; reported with `extra_scrape_metrics`.
    pub timeout_seconds: f64,
    /// Decompressed bytes of the response, -1 when there were too many; reported with `extra_scrape_metrics`.
    pub body_bytes: i64,
}

/// Names of the series, in the order of [`values`].
pub(super) const NAMES: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];

/// How many of the series are always reported; the others only on demand.
pub(super) const ALWAYS: usize = 5;

pub(super) fn values(report: &Report, counts: &super::Counts, sample_limit: u64) -> [f64; 8] {
    [
        f64::from(u8::from(report.up)),
        report.duration_seconds,
        counts.scraped as f64,
        counts.kept as f64,
        counts.series_added as f64,
        report.timeout_seconds,
        sample_limit as f64,
        report.body_bytes as f64,
    ]
}

/// The labels of a report series: those of the target and the name.
pub(super) fn labels(target: &Labels, name: &str) -> Labels {
    let mut builder = target.to_builder();
    builder.set(METRIC_NAME, name);
    builder.build()
}

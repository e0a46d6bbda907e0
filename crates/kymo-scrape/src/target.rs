//! Target: from the labels that discovery gave to a URL that is scraped. Pure.

use kymo_model::{Labels, LabelsBuilder, parse_duration};
use kymo_relabel::{Verdict, relabel};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::{ScrapeConfig, TargetGroup, check_address};
use crate::url::{Url, encode_query};

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const PARAM_PREFIX: &str = "__param_";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";

/// Something to scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The labels before relabelling.
    pub discovered_labels: Labels,
    /// The labels of its samples.
    pub labels: Labels,
    /// Where to fetch from.
    pub url: Url,
    /// How often, in milliseconds.
    pub interval_ms: i64,
    /// How long a scrape may take, in milliseconds.
    pub timeout_ms: i64,
    /// What makes it the same target after a reload: all labels after relabelling, and the URL.
    pub(crate) key: TargetKey,
}

/// The identity of a target within its job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TargetKey {
    labels: Labels,
    url: String,
}

impl TargetKey {
    /// Where in the interval the target's scrapes lie.
    pub(crate) fn hash64(&self) -> u64 {
        self.labels.hash64() ^ xxh3_64(self.url.as_bytes())
    }
}

/// What became of what discovery gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Populated {
    /// A target.
    Target(Box<Target>),
    /// A rule dropped it; its labels before relabelling.
    Dropped(Labels),
    /// It cannot be scraped; its labels before relabelling, and why.
    Invalid(Labels, TargetError),
}

/// Why something cannot be scraped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// `__address__` is empty.
    #[error("no address")]
    NoAddress,
    /// `__address__` is not a host with or without a port.
    #[error("{0:?} is not a valid hostname")]
    Address(String),
    /// `__scheme__` is neither `http` nor `https`.
    #[error("invalid scheme: {0:?}")]
    Scheme(String),
    /// `__scrape_interval__` or `__scrape_timeout__` is not a duration, or zero.
    #[error("error parsing {what}: {message}")]
    Duration {
        /// Which.
        what: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The timeout is longer than the interval.
    #[error("scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})")]
    TimeoutOverInterval {
        /// The timeout.
        timeout: String,
        /// The interval.
        interval: String,
    },
}

/// Turns the targets of a group into targets of a job.
///
/// ```
/// use kymo_scrape::{Populated, populate};
/// use kymo_scrape::config::{ScrapeConfig, TargetGroup};
///
/// let group = TargetGroup { targets: vec!["127.0.0.1:9100".into()], labels: vec![] };
/// let found = populate(&group, &ScrapeConfig::new("node")).next().unwrap();
/// let Populated::Target(target) = found else { panic!() };
/// assert_eq!(target.url.to_string(), "http://127.0.0.1:9100/metrics");
/// assert_eq!(target.labels.to_string(), r#"{instance="127.0.0.1:9100", job="node"}"#);
/// ```
pub fn populate<'a>(group: &'a TargetGroup, job: &'a ScrapeConfig) -> impl Iterator<Item = Populated> + 'a {
    group.targets.iter().map(|address| populate_one(address, &group.labels, job))
}

fn populate_one(address: &str, labels: &[(String, String)], job: &ScrapeConfig) -> Populated {
    let mut builder = LabelsBuilder::new();
    for (name, value) in labels {
        builder.set(name, value);
    }
    builder.set(ADDRESS, address);
    let defaults = [
        ("job", job.job_name.clone()),
        (INTERVAL, kymo_model::format_duration(job.scrape_interval_ms)),
        (TIMEOUT, kymo_model::format_duration(job.scrape_timeout_ms)),
        (METRICS_PATH, job.metrics_path.clone()),
        (SCHEME, job.scheme.clone()),
    ];
    for (name, value) in defaults {
        if builder.get(name).is_none() {
            builder.set(name, &value);
        }
    }
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            builder.set(&format!("{PARAM_PREFIX}{name}"), first);
        }
    }
    let discovered = builder.build();
    if relabel(&mut builder, &job.relabel_configs) == Verdict::Drop {
        return Populated::Dropped(discovered);
    }
    match finish(&mut builder, discovered.clone(), job) {
        Ok(target) => Populated::Target(Box::new(target)),
        Err(error) => Populated::Invalid(discovered, error),
    }
}

fn finish(
    builder: &mut LabelsBuilder,
    discovered: Labels,
    job: &ScrapeConfig,
) -> Result<Target, TargetError> {
    let text = |name: &str| builder.get(name).unwrap_or("").to_owned();
    let address = text(ADDRESS);
    if address.is_empty() {
        return Err(TargetError::NoAddress);
    }
    if check_address(&address).is_err() || address.contains(char::is_whitespace) {
        return Err(TargetError::Address(address));
    }
    let scheme = text(SCHEME);
    if scheme != "http" && scheme != "https" {
        return Err(TargetError::Scheme(scheme));
    }
    let (interval, timeout) = (text(INTERVAL), text(TIMEOUT));
    let interval_ms = positive("scrape interval", &interval)?;
    let timeout_ms = positive("scrape timeout", &timeout)?;
    if timeout_ms > interval_ms {
        return Err(TargetError::TimeoutOverInterval { timeout, interval });
    }
    let path = text(METRICS_PATH);
    if builder.get("instance").is_none() {
        builder.set("instance", &address);
    }
    let all = builder.build().without(|name| name.starts_with("__meta_"));
    let mut params = job.params.clone();
    for label in all.iter() {
        let Some(name) = label.name.strip_prefix(PARAM_PREFIX) else { continue };
        match params.iter_mut().find(|(param, values)| param == name && !values.is_empty()) {
            Some((_, values)) => label.value.clone_into(&mut values[0]),
            None => params.push((name.to_owned(), vec![label.value.to_owned()])),
        }
    }
    let url = Url::new(&scheme, &address, &path, &encode_query(params))
        .map_err(|_| TargetError::Address(address.clone()))?;
    let labels = all.without(|name| name.starts_with("__"));
    let key = TargetKey { labels: all, url: url.to_string() };
    Ok(Target { discovered_labels: discovered, labels, url, interval_ms, timeout_ms, key })
}

fn positive(what: &'static str, text: &str) -> Result<i64, TargetError> {
    let wrong = |message: String| TargetError::Duration { what, message };
    match parse_duration(text) {
        Ok(ms) if ms > 0 => Ok(ms),
        Ok(_) => Err(wrong("expected more than 0".to_owned())),
        Err(e) => Err(wrong(e.to_string())),
    }
}

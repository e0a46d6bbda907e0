//! Pool: the targets of one job. Discovery says what there is; loops that still fit go on, others end or begin.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use super::scrape_loop::{Orders, ScrapeLoop, Stop};
use super::status::{ActiveTarget, DroppedTarget, LastScrape};
use super::{ManagerOptions, Shared};
use crate::config::{ScrapeConfig, TargetGroup};
use crate::target::{Populated, Target, TargetKey, populate};

/// Most dropped targets of a job that are kept where `keep_dropped_targets` sets no limit.
const DROPPED_KEPT_MAX: usize = 10_000;

pub(super) struct Pool {
    pub(super) job: Arc<ScrapeConfig>,
    pub(super) file_groups: Vec<TargetGroup>,
    pub(super) watcher: Option<AbortHandle>,
    loops: HashMap<TargetKey, Running>,
    dropped: Vec<DroppedTarget>,
    dropped_count: usize,
}

struct Running {
    target: Arc<Target>,
    last: Arc<LastScrape>,
    orders: watch::Sender<Orders>,
    task: JoinHandle<()>,
}

impl Pool {
    pub(super) fn new(job: Arc<ScrapeConfig>) -> Pool {
        Pool {
            job,
            file_groups: Vec::new(),
            watcher: None,
            loops: HashMap::new(),
            dropped: Vec::new(),
            dropped_count: 0,
        }
    }

    /// Makes the loops fit the job and what discovery found.
    pub(super) fn sync(&mut self, shared: &Arc<Shared>) {
        let job = self.job.clone();
        self.dropped.clear();
        self.dropped_count = 0;
        let mut wanted: HashMap<TargetKey, Box<Target>> = HashMap::new();
        for group in job.discovery.static_configs.iter().chain(&self.file_groups) {
            for populated in populate(group, &job) {
                match populated {
                    Populated::Target(target) => {
                        wanted.entry(target.key.clone()).or_insert(target);
                    }
                    Populated::Dropped(labels) => {
                        note_dropped(&mut self.dropped, &mut self.dropped_count, &job, labels, None)
                    }
                    Populated::Invalid(labels, error) => {
                        tracing::warn!(job = job.job_name, labels = %labels, %error, "a target cannot be scraped");
                        let error = Some(error.to_string());
                        note_dropped(&mut self.dropped, &mut self.dropped_count, &job, labels, error);
                    }
                }
            }
        }
        let limit = job.limits.targets;
        let forced_error = (limit > 0 && wanted.len() as u64 > limit)
            .then(|| format!("target_limit exceeded (number of targets: {}, limit: {limit})", wanted.len()));
        let orders = Orders { job, forced_error, stop: None };
        self.loops.retain(|key, running| {
            let stays = wanted.contains_key(key);
            if !stays {
                running.orders.send_modify(|orders| orders.stop = Some(Stop::MarkStale));
            }
            stays
        });
        for (key, target) in wanted {
            match self.loops.get_mut(&key) {
                Some(running) => {
                    // The labels that discovery gave may differ where those after relabelling do not.
                    running.target = Arc::from(target);
                    running.orders.send_modify(|now| now.clone_from(&orders));
                }
                None => {
                    self.loops.insert(key, Running::start(shared, target, orders.clone()));
                }
            }
        }
    }

    /// Ends every loop. Gives the tasks, which may still write.
    pub(super) fn stop(&mut self, how: Stop) -> Vec<JoinHandle<()>> {
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
        }
        let ended = self.loops.drain().map(|(_, running)| {
            running.orders.send_modify(|orders| orders.stop = Some(how));
            running.task
        });
        ended.collect()
    }

    pub(super) fn targets(&self) -> usize {
        self.loops.len()
    }

    pub(super) fn dropped(&self) -> (&[DroppedTarget], usize) {
        (&self.dropped, self.dropped_count)
    }

    pub(super) fn each(&self, mut see: impl FnMut(&Target, &LastScrape)) {
        for running in self.loops.values() {
            see(&running.target, &running.last);
        }
    }

    pub(super) fn active(&self, options: &ManagerOptions) -> Vec<ActiveTarget> {
        let mut active = Vec::with_capacity(self.loops.len());
        self.each(|target, last| {
            let last = last.lock();
            active.push(ActiveTarget {
                scrape_pool: self.job.job_name.clone(),
                discovered_labels: target.discovered_labels.clone(),
                labels: target.labels.clone(),
                scrape_url: target.url.to_string(),
                global_url: options
                    .external_url
                    .as_ref()
                    .map_or_else(
                        || target.url.clone(),
                        |external| target.url.seen_from_elsewhere(external, &options.own_ports),
                    )
                    .to_string(),
                last_error: last.error.clone(),
                last_scrape: last.at,
                last_scrape_duration_seconds: last.seconds,
                health: last.health,
                scrape_interval_ms: target.interval_ms,
                scrape_timeout_ms: target.timeout_ms,
            });
        });
        active.sort_by(|a, b| (&a.scrape_url, &a.labels).cmp(&(&b.scrape_url, &b.labels)));
        active
    }
}

impl Running {
    fn start(shared: &Arc<Shared>, target: Box<Target>, orders: Orders) -> Running {
        let target: Arc<Target> = Arc::from(target);
        let last = Arc::new(LastScrape::default());
        let (sender, receiver) = watch::channel(orders);
        let scrape_loop = ScrapeLoop {
            shared: shared.clone(),
            target: target.clone(),
            last: last.clone(),
            orders: receiver,
        };
        Running { target, last, orders: sender, task: tokio::spawn(scrape_loop.run()) }
    }
}

fn note_dropped(
    dropped: &mut Vec<DroppedTarget>,
    count: &mut usize,
    job: &ScrapeConfig,
    labels: kymo_model::Labels,
    error: Option<String>,
) {
    *count += 1;
    let kept = match job.limits.keep_dropped_targets {
        0 => DROPPED_KEPT_MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    if dropped.len() < kept {
        dropped.push(DroppedTarget { scrape_pool: job.job_name.clone(), discovered_labels: labels, error });
    }
}

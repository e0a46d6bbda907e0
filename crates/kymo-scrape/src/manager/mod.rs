//! ScrapeManager: keeps every job of a configuration scraped. The async edge around the pure core.

mod pool;
mod scrape_loop;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use kymo_model::Append;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::Url;
use crate::config::{Config, ScrapeConfig, TargetGroup};
use crate::file_sd::FileWatch;
use pool::Pool;
use scrape_loop::Stop;
pub use status::{ActiveTarget, DroppedTarget, Health, ManagerStats, TargetMetadata, TargetsSnapshot};

/// Bounds and habits of a [`ScrapeManager`].
#[derive(Clone, Debug)]
pub struct ManagerOptions {
    /// Decompressed bytes of a response where `body_size_limit` sets no limit; 64 MiB by default.
    pub body_bytes_max: u64,
    /// Requests under way at once; 4096 by default.
    pub in_flight_max: usize,
    /// Responses being read and stored at once; 2 by default.
    pub passes_max: usize,
    /// Places the targets elsewhere in their intervals, so that two servers do not scrape at the same time.
    pub offset_seed: u64,
    /// How often files of targets are looked at, in milliseconds; 5 seconds by default.
    pub file_poll_ms: u64,
    /// The URL under which others reach this program; the URLs of targets on this machine are shown with its host.
    pub external_url: Option<Url>,
    /// The ports this program listens on; a target there is this program itself, and shown with the whole external URL.
    pub own_ports: Vec<u16>,
}

impl Default for ManagerOptions {
    fn default() -> ManagerOptions {
        ManagerOptions {
            body_bytes_max: 64 << 20,
            in_flight_max: 4096,
            passes_max: 2,
            offset_seed: 0,
            file_poll_ms: 5000,
            external_url: None,
            own_ports: Vec::new(),
        }
    }
}

/// Scrapes the targets of a configuration into a store until it is dropped or shut down.
///
/// Its methods must be called inside a tokio runtime with timers and I/O; two worker threads are enough.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::sync::Arc;
/// use kymo_model::MemoryStore;
/// use kymo_scrape::config::Config;
/// use kymo_scrape::{ManagerOptions, ScrapeManager};
///
/// let text = "scrape_configs: [{job_name: node, static_configs: [{targets: ['127.0.0.1:9100']}]}]";
/// let manager = ScrapeManager::new(Arc::new(MemoryStore::default()), ManagerOptions::default());
/// manager.apply(&Config::parse(text, "prometheus.yml").unwrap());
/// assert_eq!(manager.targets().active[0].scrape_url, "http://127.0.0.1:9100/metrics");
/// manager.shutdown().await;
/// # }
/// ```
pub struct ScrapeManager {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Append>,
    options: ManagerOptions,
    in_flight: Semaphore,
    passes: Semaphore,
    pools: Mutex<BTreeMap<String, Pool>>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    scrapes: AtomicU64,
    scrapes_failed: AtomicU64,
    samples_scraped: AtomicU64,
    samples_refused: AtomicU64,
    samples_duplicate: AtomicU64,
    exemplars: AtomicU64,
    exemplars_refused: AtomicU64,
    store_errors: AtomicU64,
}

impl Shared {
    fn pools(&self) -> MutexGuard<'_, BTreeMap<String, Pool>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ScrapeManager {
    /// A manager without jobs.
    pub fn new(store: Arc<dyn Append>, options: ManagerOptions) -> ScrapeManager {
        let shared = Shared {
            store,
            in_flight: Semaphore::new(options.in_flight_max.clamp(1, Semaphore::MAX_PERMITS)),
            passes: Semaphore::new(options.passes_max.clamp(1, Semaphore::MAX_PERMITS)),
            options,
            pools: Mutex::new(BTreeMap::new()),
            counters: Counters::default(),
        };
        ScrapeManager { shared: Arc::new(shared) }
    }

    /// Puts a configuration in force. Targets that it leaves as they are go on undisturbed; the series of targets that it
    /// does not have any more end.
    pub fn apply(&self, config: &Config) {
        let mut pools = self.shared.pools();
        let wanted: BTreeSet<&str> = config.jobs().map(|job| job.job_name.as_str()).collect();
        pools.retain(|name, pool| {
            let stays = wanted.contains(name.as_str());
            if !stays {
                // The tasks end by themselves once the markers are written.
                drop(pool.stop(Stop::MarkStale));
            }
            stays
        });
        for job in config.jobs() {
            match pools.get_mut(&job.job_name) {
                Some(pool) if pool.job == *job => {}
                Some(pool) => {
                    let old = std::mem::replace(&mut pool.job, job.clone());
                    if old.discovery.file_sd_configs != job.discovery.file_sd_configs {
                        if job.discovery.file_sd_configs.is_empty() {
                            pool.file_groups.clear();
                        }
                        self.watch_files(pool);
                    }
                    pool.sync(&self.shared);
                }
                None => {
                    let mut pool = Pool::new(job.clone());
                    self.watch_files(&mut pool);
                    pool.sync(&self.shared);
                    pools.insert(job.job_name.clone(), pool);
                }
            }
        }
    }

    fn watch_files(&self, pool: &mut Pool) {
        if let Some(old) = pool.watcher.take() {
            old.abort();
        }
        if !pool.job.discovery.file_sd_configs.is_empty() {
            pool.watcher = Some(watch_files(&self.shared, &pool.job));
        }
    }

    /// Every target, as it is now.
    pub fn targets(&self) -> TargetsSnapshot {
        let pools = self.shared.pools();
        let mut snapshot = TargetsSnapshot::default();
        for (name, pool) in pools.iter() {
            snapshot.pools.push(name.clone());
            snapshot.active.extend(pool.active(&self.shared.options));
            let (dropped, count) = pool.dropped();
            snapshot.dropped.extend_from_slice(dropped);
            snapshot.dropped_counts.insert(name.clone(), count);
        }
        snapshot
    }

    /// What the targets say about their metrics.
    pub fn metadata(&self) -> Vec<TargetMetadata> {
        let mut all = Vec::new();
        for pool in self.shared.pools().values() {
            pool.each(|target, last| {
                let entries = last.lock().metadata.clone();
                all.push(TargetMetadata { labels: target.labels.clone(), entries });
            });
        }
        all
    }

    /// The configuration of a job in force.
    pub fn job(&self, name: &str) -> Option<Arc<ScrapeConfig>> {
        self.shared.pools().get(name).map(|pool| pool.job.clone())
    }

    /// What was done so far.
    pub fn stats(&self) -> ManagerStats {
        let pools = self.shared.pools();
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ManagerStats {
            pools: pools.len(),
            targets: pools.values().map(Pool::targets).sum(),
            scrapes: read(&counters.scrapes),
            scrapes_failed: read(&counters.scrapes_failed),
            samples_scraped: read(&counters.samples_scraped),
            samples_refused: read(&counters.samples_refused),
            samples_duplicate: read(&counters.samples_duplicate),
            exemplars: read(&counters.exemplars),
            exemplars_refused: read(&counters.exemplars_refused),
            store_errors: read(&counters.store_errors),
        }
    }

    /// Stops scraping. Returns when nothing writes to the store any more. Series are left as they are, because the targets
    /// may be scraped again soon.
    pub async fn shutdown(&self) {
        let tasks: Vec<_> = {
            let mut pools = self.shared.pools();
            let tasks = pools.values_mut().flat_map(|pool| pool.stop(Stop::Leave)).collect();
            pools.clear();
            tasks
        };
        for task in tasks {
            // A loop that panicked writes no more either.
            task.await.ok();
        }
    }
}

impl Drop for ScrapeManager {
    fn drop(&mut self) {
        for pool in self.shared.pools().values_mut() {
            drop(pool.stop(Stop::Leave));
        }
    }
}

/// Starts the task that keeps a job's files of targets read.
fn watch_files(shared: &Arc<Shared>, job: &Arc<ScrapeConfig>) -> AbortHandle {
    let weak = Arc::downgrade(shared);
    let poll = Duration::from_millis(shared.options.file_poll_ms.max(1));
    let configs = job.discovery.file_sd_configs.clone();
    let name = job.job_name.clone();
    let task = tokio::spawn(async move {
        let mut watch = FileWatch::new(configs);
        let refresh = Duration::from_millis(watch.refresh_interval_ms());
        let mut refreshed = Instant::now();
        loop {
            let all = refreshed.elapsed() >= refresh;
            if all {
                refreshed = Instant::now();
            }
            let work = tokio::task::spawn_blocking(move || {
                let changed = watch.poll(all);
                (watch, changed)
            });
            let Ok((back, changed)) = work.await else { return };
            watch = back;
            if changed && !deliver(&weak, &name, watch.groups()) {
                return;
            }
            tokio::time::sleep(poll.min(refresh.max(Duration::from_millis(1)))).await;
        }
    });
    task.abort_handle()
}

/// Gives a job what its files say. `false` when the manager or the job is gone.
fn deliver(shared: &Weak<Shared>, job: &str, groups: Vec<TargetGroup>) -> bool {
    let Some(shared) = shared.upgrade() else { return false };
    let mut pools = shared.pools();
    let Some(pool) = pools.get_mut(job) else { return false };
    pool.file_groups = groups;
    pool.sync(&shared);
    true
}

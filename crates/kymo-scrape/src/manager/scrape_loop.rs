//! ScrapeLoop: one target: wait, fetch, pass, append, again. One task each; a slow target holds up only itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kymo_exposition::Format;
use kymo_model::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::Shared;
use super::status::{Health, LastScrape};
use crate::client::{Client, Fetched};
use crate::config::{ScrapeConfig, ScrapeProtocol};
use crate::pass::{Report, SampleRules, ScrapeCache};
use crate::schedule::Schedule;
use crate::target::Target;

/// What a loop is to do; the last word counts.
#[derive(Clone)]
pub(super) struct Orders {
    pub(super) job: Arc<ScrapeConfig>,
    /// Every scrape fails with this text, without being tried.
    pub(super) forced_error: Option<String>,
    pub(super) stop: Option<Stop>,
}

/// How a loop ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The target is gone: its series end.
    MarkStale,
    /// The process ends: the target may be scraped again soon.
    Leave,
}

pub(super) struct ScrapeLoop {
    pub(super) shared: Arc<Shared>,
    pub(super) target: Arc<Target>,
    pub(super) last: Arc<LastScrape>,
    pub(super) orders: watch::Receiver<Orders>,
}

impl ScrapeLoop {
    pub(super) async fn run(mut self) {
        let interval = Duration::from_millis(self.target.interval_ms.max(1) as u64);
        let mut schedule = Schedule::new(self.target.interval_ms);
        let hash = self.target.key.hash64() ^ self.shared.options.offset_seed;
        let delay = Duration::from_millis(schedule.first_delay_ms(wall_clock(), hash));
        let mut ticks = interval_at(Instant::now() + delay, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut client = Client::default();
        let mut orders = self.orders.borrow_and_update().clone();
        let mut cache = self.new_cache(&orders.job);
        loop {
            tokio::select! {
                biased;
                changed = self.orders.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    orders = self.orders.borrow_and_update().clone();
                    cache.set_rules(SampleRules::from(&*orders.job));
                }
                _ = ticks.tick() => {
                    let now = schedule.align(wall_clock());
                    if let Some(begun) = self.fetch(&mut client, &orders).await {
                        cache = self.pass(cache, begun, &orders, now).await;
                    }
                }
            }
            match orders.stop {
                Some(Stop::MarkStale) => return self.end(cache).await,
                Some(Stop::Leave) => return,
                None => {}
            }
        }
    }

    fn new_cache(&self, job: &ScrapeConfig) -> Box<ScrapeCache> {
        Box::new(ScrapeCache::new(self.target.labels.clone(), SampleRules::from(job)))
    }

    /// Fetches; `None` when the loop is told to stop meanwhile.
    async fn fetch(&mut self, client: &mut Client, orders: &Orders) -> Option<Begun> {
        let started = Instant::now();
        if let Some(error) = &orders.forced_error {
            return Some(Begun { started, fetched: Err(error.clone()) });
        }
        let fetch = async {
            let wait = Duration::from_millis(self.target.timeout_ms.max(0) as u64);
            let Ok(Ok(_permit)) = timeout(wait, self.shared.in_flight.acquire()).await else {
                return Err("too many scrapes at once".to_owned());
            };
            let waited_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
            let left_ms = self.target.timeout_ms.saturating_sub(waited_ms);
            let limit = match orders.job.limits.body_bytes {
                0 => self.shared.options.body_bytes_max,
                limit => limit,
            };
            let fetched = client.fetch(&orders.job, &self.target.url, left_ms, limit).await;
            fetched.map_err(|e| e.to_string())
        };
        let mut watch = self.orders.clone();
        let stopped = async move {
            // A channel without a sender stops the loop too.
            let _ = watch.wait_for(|orders| orders.stop.is_some()).await;
        };
        tokio::select! {
            biased;
            () = stopped => None,
            fetched = fetch => Some(Begun { started, fetched }),
        }
    }

    /// Reads the response and appends, beside the async threads, because both take as long as they take.
    async fn pass(
        &self,
        mut cache: Box<ScrapeCache>,
        begun: Begun,
        orders: &Orders,
        now: Timestamp,
    ) -> Box<ScrapeCache> {
        let (shared, target, job) = (self.shared.clone(), self.target.clone(), orders.job.clone());
        // Closed only when the manager is gone.
        let _permit = self.shared.passes.acquire().await.ok();
        let started = begun.started;
        let work = tokio::task::spawn_blocking(move || {
            let error = pass(&mut cache, begun, &shared, &target, &job, now);
            (cache, error)
        });
        let (cache, error) = match work.await {
            Ok(done) => done,
            Err(e) => (self.new_cache(&orders.job), Some(format!("BUG: the scrape did not end: {e}"))),
        };
        let mut last = self.last.lock();
        last.health = if error.is_some() { Health::Down } else { Health::Up };
        last.error = error.unwrap_or_default();
        last.at = Some(now);
        last.seconds = started.elapsed().as_secs_f64();
        last.metadata = cache.metadata();
        cache
    }

    /// Ends the target's series.
    async fn end(&self, mut cache: Box<ScrapeCache>) {
        let shared = self.shared.clone();
        let work = tokio::task::spawn_blocking(move || {
            cache.end_of_run(wall_clock());
            append(&mut cache, &shared)
        });
        if let Ok(Some(error)) = work.await {
            tracing::warn!(target_url = %self.target.url, %error, "staleness markers of a removed target not written");
        }
    }
}

/// A fetch that ended.
struct Begun {
    started: Instant,
    fetched: Result<Fetched, String>,
}

/// From a response to the store. Gives why the scrape failed.
fn pass(
    cache: &mut ScrapeCache,
    begun: Begun,
    shared: &Shared,
    target: &Target,
    job: &ScrapeConfig,
    now: Timestamp,
) -> Option<String> {
    let mut body_bytes = 0;
    let mut error = match begun.fetched {
        Ok(fetched) => {
            body_bytes = i64::try_from(fetched.body.len()).unwrap_or(i64::MAX);
            read(cache, &fetched, job, now).err()
        }
        Err(error) => {
            cache.scrape_failed(now);
            Some(error)
        }
    };
    let report = Report {
        up: error.is_none(),
        duration_seconds: begun.started.elapsed().as_secs_f64(),
        timeout_seconds: target.timeout_ms as f64 / 1000.0,
        body_bytes,
    };
    cache.report(now, &report);
    if let Some(store_error) = append(cache, shared) {
        error = Some(store_error);
    }
    let counts = cache.counts();
    let stats = &shared.counters;
    stats.scrapes.fetch_add(1, Ordering::Relaxed);
    stats.scrapes_failed.fetch_add(u64::from(error.is_some()), Ordering::Relaxed);
    stats.samples_scraped.fetch_add(counts.scraped as u64, Ordering::Relaxed);
    stats.samples_refused.fetch_add(counts.refused as u64, Ordering::Relaxed);
    stats.samples_duplicate.fetch_add(counts.duplicates as u64, Ordering::Relaxed);
    if counts.refused > 0 || counts.duplicates > 0 {
        let (refused, duplicates) = (counts.refused, counts.duplicates);
        tracing::warn!(job = job.job_name, target_url = %target.url, refused, duplicates, "samples not stored");
    }
    stats.exemplars.fetch_add(counts.exemplars as u64, Ordering::Relaxed);
    stats.exemplars_refused.fetch_add(counts.exemplars_refused as u64, Ordering::Relaxed);
    if counts.exemplars_refused > 0 {
        let refused = counts.exemplars_refused;
        // A target repeats its exemplars at each scrape; counters tell how many there are.
        tracing::debug!(job = job.job_name, target_url = %target.url, refused, "exemplars not stored");
    }
    error
}

fn read(
    cache: &mut ScrapeCache,
    fetched: &Fetched,
    job: &ScrapeConfig,
    now: Timestamp,
) -> Result<(), String> {
    let fallback = job.fallback_scrape_protocol.map(|protocol| match protocol {
        ScrapeProtocol::OpenMetricsText001 | ScrapeProtocol::OpenMetricsText100 => Format::OpenMetrics,
        ScrapeProtocol::PrometheusProto
        | ScrapeProtocol::PrometheusText004
        | ScrapeProtocol::PrometheusText100 => Format::Text,
    });
    // An empty body has no series, whatever its format.
    let format = if fetched.body.is_empty() {
        Ok(Format::Text)
    } else {
        Format::from_content_type(fetched.content_type.as_deref(), fallback)
    };
    match format {
        Ok(format) => cache.scrape(format, &fetched.body, now).map_err(|e| e.to_string()),
        Err(error) => {
            cache.scrape_failed(now);
            Err(error.to_string())
        }
    }
}

/// Appends the batch of the cache, twice where handles had gone stale. Gives why the store could not take it.
fn append(cache: &mut ScrapeCache, shared: &Shared) -> Option<String> {
    for _ in 0..2 {
        match shared.store.append(cache.batch()) {
            Ok(appended) => {
                if !cache.applied(&appended) {
                    return None;
                }
            }
            Err(error) => {
                cache.abandoned();
                shared.counters.store_errors.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "the store did not take a scrape");
                return Some(format!("store: {error}"));
            }
        }
    }
    None
}

/// The time of day, in milliseconds.
pub(super) fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

//! `/metrics`: the server's own figures. Prometheus' names where the thing is the same, `kymo_` where it is ours.

use std::sync::atomic::Ordering;

use kymo_exposition::{Encoder, Family, Format};
use kymo_model::{ExemplarRefusal, MetricType, Timestamp};
use kymo_promql::{Bound, Engine};
use kymo_scrape::ManagerStats;
use kymo_tsdb::Stats;

use super::process::ProcessFigures;
use super::rules::RuleCounters;

/// What the page is made of.
pub(crate) struct Figures<'a> {
    pub(crate) version: &'a str,
    pub(crate) start: Timestamp,
    pub(crate) stats: &'a Stats,
    pub(crate) engine: &'a Engine,
    pub(crate) queries_concurrent_max: usize,
    pub(crate) rules: &'a RuleCounters,
    pub(crate) reload_success: bool,
    pub(crate) last_config: Timestamp,
    pub(crate) scrape: ManagerStats,
}

/// Writes families of one sample each with little noise.
struct Page(Encoder);

impl Page {
    fn family(&mut self, name: &str, metric_type: MetricType, help: &str) {
        let name = name.strip_suffix("_total").unwrap_or(name);
        self.0.family(&Family { name, metric_type, help, unit: "" });
    }

    fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, MetricType::Counter, help);
        self.0.sample(name, [], value, None);
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, MetricType::Gauge, help);
        self.0.sample(name, [], value, None);
    }
}

/// The page in the Prometheus text format.
pub(crate) fn text(figures: &Figures<'_>) -> String {
    let mut page = Page(Encoder::new(Format::Text));
    page.family("prometheus_build_info", MetricType::Gauge, "What was built; the value is always 1.");
    page.0.sample("prometheus_build_info", [("version", figures.version), ("goversion", "rust")], 1.0, None);
    process(&mut page, figures.start);
    storage(&mut page, figures.stats);
    beside(&mut page, figures.stats);
    queries(&mut page, figures);
    rules(&mut page, figures.rules);
    scrape(&mut page, &figures.scrape);
    page.gauge(
        "prometheus_config_last_reload_successful",
        "Whether the last attempt to read the configuration succeeded.",
        f64::from(u8::from(figures.reload_success)),
    );
    page.gauge(
        "prometheus_config_last_reload_success_timestamp_seconds",
        "When the configuration was last read with success.",
        figures.last_config.seconds(),
    );
    page.0.finish()
}

fn process(page: &mut Page, start: Timestamp) {
    let process = ProcessFigures::read();
    if let Some(value) = process.cpu_seconds {
        page.counter("process_cpu_seconds_total", "CPU time spent, user and system, in seconds.", value);
    }
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Resident memory in bytes.", process.resident_bytes),
        ("process_virtual_memory_bytes", "Virtual memory in bytes.", process.virtual_bytes),
        ("process_open_fds", "Open file descriptors.", process.open_fds),
        ("process_max_fds", "Most file descriptors that may be open.", process.max_fds),
        ("process_threads", "Threads of the process.", process.threads),
    ] {
        if let Some(value) = value {
            page.gauge(name, help, value);
        }
    }
    page.gauge(
        "process_start_time_seconds",
        "Start of the process, seconds since the Unix epoch.",
        start.seconds(),
    );
}

fn storage(page: &mut Page, stats: &Stats) {
    let count = |value: u64| value as f64;
    for (name, help, value) in [
        ("prometheus_tsdb_head_series", "Series in the head.", stats.series),
        ("prometheus_tsdb_head_chunks", "Chunks in the head, sealed and open.", stats.chunks),
        ("kymo_tsdb_head_label_pairs", "Distinct pairs of label name and value.", stats.label_pairs),
        (
            "kymo_tsdb_samples",
            "Samples kept, in the head and in blocks.",
            stats.samples + stats.blocks.samples,
        ),
        ("prometheus_tsdb_blocks_loaded", "Blocks.", stats.blocks.blocks),
        ("kymo_tsdb_cold_blocks", "Cold blocks, those among all.", stats.blocks.cold),
        ("prometheus_tsdb_storage_blocks_bytes", "Bytes of all blocks on disk.", stats.disk.block_bytes),
        (
            "kymo_tsdb_block_damaged_places",
            "Damaged places met in blocks since the start.",
            stats.blocks.damaged,
        ),
        ("kymo_tsdb_wal_bytes", "Bytes of the write-ahead log on disk.", stats.disk.wal_bytes),
        ("kymo_tsdb_chunk_bytes", "Bytes of sealed chunks on disk.", stats.disk.chunk_bytes),
        ("kymo_tsdb_checkpoint_bytes", "Bytes of the checkpoint on disk.", stats.disk.checkpoint_bytes),
        ("kymo_tsdb_wal_failed", "1 when an fsync failed and writes are refused.", stats.wal.failed.into()),
        (
            "kymo_tsdb_replay_damaged_places",
            "Damaged places the last opening met.",
            stats.replay.damaged_total,
        ),
        (
            "kymo_tsdb_head_damaged_chunks",
            "Chunks of the head that could not be read since the start.",
            stats.head_damage.chunks,
        ),
        (
            "kymo_tsdb_head_quarantined_chunks",
            "Of these, chunks that are in quarantine and not in the head any more.",
            stats.head_damage.quarantined,
        ),
    ] {
        page.gauge(name, help, count(value));
    }
    page.gauge(
        "prometheus_tsdb_data_replay_duration_seconds",
        "How long the last opening took.",
        count(stats.replay.duration_ms) / 1000.0,
    );
    for (name, help, time) in [
        ("prometheus_tsdb_head_min_time_seconds", "Time of the oldest sample of the head.", stats.min_time),
        ("prometheus_tsdb_head_max_time_seconds", "Time of the newest sample of the head.", stats.max_time),
    ] {
        if let Some(time) = time {
            page.gauge(name, help, time.seconds());
        }
    }
    for (name, help, value) in [
        ("prometheus_tsdb_head_series_created_total", "Series created.", stats.series_created),
        ("prometheus_tsdb_head_series_removed_total", "Series removed.", stats.series_removed),
        ("prometheus_tsdb_head_samples_appended_total", "Samples taken.", stats.samples_appended),
        (
            "kymo_tsdb_out_of_order_samples_appended_total",
            "Samples taken out of order.",
            stats.samples_out_of_order,
        ),
        ("kymo_tsdb_wal_records_total", "Records written to the write-ahead log.", stats.wal.records),
        ("kymo_tsdb_wal_written_bytes_total", "Bytes written to the write-ahead log.", stats.wal.bytes),
        ("kymo_tsdb_wal_syncs_total", "Successful fsyncs of the write-ahead log.", stats.wal.syncs),
        ("kymo_tsdb_wal_write_failures_total", "Writes to the log that failed.", stats.wal.write_failures),
        (
            "kymo_tsdb_disk_reserve_refusals_total",
            "Appends refused because the disk has no more than its reserve free.",
            stats.wal.refused_for_reserve,
        ),
        ("kymo_tsdb_checkpoints_total", "Checkpoints written.", stats.checkpoints),
        ("kymo_tsdb_blocks_cut_total", "Blocks cut from the head.", stats.blocks.cut),
        ("kymo_tsdb_blocks_removed_total", "Blocks that were past the retention.", stats.blocks.removed),
        ("kymo_tsdb_blocks_made_cold_total", "Blocks that became cold.", stats.blocks.made_cold),
        ("prometheus_tsdb_compactions_total", "Compactions of blocks.", stats.blocks.compactions),
        (
            "prometheus_tsdb_compactions_failed_total",
            "Cuts of the head, compactions and conversions to cold blocks that failed; each is tried again.",
            stats.blocks.failures,
        ),
    ] {
        page.counter(name, help, count(value));
    }
    page.family("kymo_tsdb_refused_samples_total", MetricType::Counter, "Samples not taken, by reason.");
    for (reason, refused) in &stats.refused {
        page.0.sample(
            "kymo_tsdb_refused_samples_total",
            [("reason", reason.as_str())],
            count(*refused),
            None,
        );
    }
}

/// Exemplars and metadata.
fn beside(page: &mut Page, stats: &Stats) {
    let exemplars = &stats.exemplars;
    let refused = |wanted| {
        let found = exemplars.refused.iter().find(|(reason, _)| *reason == wanted);
        found.map_or(0, |(_, count)| *count)
    };
    for (name, help, value) in [
        ("prometheus_tsdb_exemplar_exemplars_in_storage", "Exemplars kept.", exemplars.stored),
        (
            "prometheus_tsdb_exemplar_series_with_exemplars_in_storage",
            "Series that have any.",
            exemplars.series,
        ),
        (
            "prometheus_tsdb_exemplar_max_exemplars",
            "How many exemplars are kept at most.",
            exemplars.stored_max,
        ),
        (
            "kymo_tsdb_metadata_families",
            "Metric families of which metadata is kept.",
            stats.metadata.families,
        ),
    ] {
        page.gauge(name, help, value as f64);
    }
    page.gauge(
        "prometheus_tsdb_exemplar_last_exemplars_timestamp_seconds",
        "Time of the exemplar that was stored last.",
        exemplars.newest.map_or(0.0, Timestamp::seconds),
    );
    for (name, help, value) in [
        ("prometheus_tsdb_exemplar_exemplars_appended_total", "Exemplars stored.", exemplars.appended),
        (
            "prometheus_tsdb_exemplar_out_of_order_exemplars_total",
            "Exemplars older than the newest of their series.",
            refused(ExemplarRefusal::OutOfOrder),
        ),
        ("kymo_tsdb_metadata_changed_total", "How often something new was said.", stats.metadata.changed),
        ("kymo_tsdb_metadata_refused_total", "How often metadata was refused.", stats.metadata.refused),
    ] {
        page.counter(name, help, value as f64);
    }
    let name = "kymo_tsdb_refused_exemplars_total";
    page.family(name, MetricType::Counter, "Exemplars not stored, by reason.");
    for (reason, count) in &exemplars.refused {
        page.0.sample(name, [("reason", reason.as_str())], *count as f64, None);
    }
}

fn queries(page: &mut Page, figures: &Figures<'_>) {
    page.gauge(
        "prometheus_engine_queries_concurrent_max",
        "How many queries may run at once.",
        figures.queries_concurrent_max as f64,
    );
    page.gauge(
        "kymo_query_bytes_held",
        "Bytes of columns that the queries that run hold together.",
        figures.engine.bytes_held() as f64,
    );
    let name = "kymo_queries_refused_total";
    page.family(name, MetricType::Counter, "Queries that hit a bound, those of rules among them, by bound.");
    for bound in Bound::ALL {
        page.0.sample(name, [("bound", bound.as_str())], figures.engine.refused(bound) as f64, None);
    }
}

fn scrape(page: &mut Page, stats: &ManagerStats) {
    page.gauge("kymo_scrape_pools", "Scrape pools.", stats.pools as f64);
    page.gauge("kymo_scrape_targets", "Targets that are scraped.", stats.targets as f64);
    for (name, help, value) in [
        ("kymo_scrapes_total", "Scrapes that ended.", stats.scrapes),
        ("kymo_scrapes_failed_total", "Scrapes that failed.", stats.scrapes_failed),
        ("kymo_scrape_samples_total", "Samples in responses.", stats.samples_scraped),
        ("kymo_scrape_samples_refused_total", "Samples that the store refused.", stats.samples_refused),
        (
            "kymo_scrape_samples_duplicate_total",
            "Samples that came twice in one response.",
            stats.samples_duplicate,
        ),
        ("kymo_scrape_exemplars_total", "Exemplars that the store took.", stats.exemplars),
        (
            "kymo_scrape_exemplars_refused_total",
            "Exemplars that are out of order, too long, or too far ahead.",
            stats.exemplars_refused,
        ),
    ] {
        page.counter(name, help, value as f64);
    }
}

fn rules(page: &mut Page, counters: &RuleCounters) {
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed) as f64;
    for (name, help, counter) in [
        ("prometheus_rule_evaluations_total", "Rules evaluated.", &counters.evaluations),
        ("prometheus_rule_evaluation_failures_total", "Rules whose evaluation failed.", &counters.failures),
        (
            "prometheus_rule_group_iterations_missed_total",
            "Evaluations of groups left out because the one before took too long.",
            &counters.missed,
        ),
        (
            "kymo_rule_refused_samples_total",
            "Results of rules that the store did not take.",
            &counters.refused_samples,
        ),
    ] {
        page.counter(name, help, read(counter));
    }
}

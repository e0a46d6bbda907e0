//! Instant queries over a million series in kymo-tsdb: `count`, `sum by`, `topk`, with one thread and with two, beside a plain
//! pass over the newest samples and one that decodes. Nanoseconds per series, the best of several rounds; answers are asserted.
//!
//! `cargo bench -p kymo-benches --bench instant`; `KYMO_BENCH_SERIES` makes it another number of series.

use std::path::PathBuf;
use std::time::Instant;

use kymo_model::{
    Append, Batch, Labels, LabelsNeeded, Matcher, Queryable, Samples, Selector, SeriesHandle, TimeRange,
    Timestamp,
};
use kymo_promql::{Engine, EngineOptions, QueryOptions, QueryValue};
use kymo_tsdb::{Db, Options, SyncMode};

const START_MS: i64 = 1_700_000_000_000;
const INTERVAL_MS: i64 = 15_000;
const SCRAPES: usize = 20;
const ROUNDS: usize = 9;
const ZONES: usize = 3;

fn labels(index: usize) -> Labels {
    let (instance, slot) = (index / 1000, index % 1000);
    let address = format!("10.0.{}.{}:9100", instance / 250, instance % 250 + 1);
    let (device, pod) =
        (format!("device-{}", slot % 20), format!("app-{slot:03}-{:06x}", (index * 7919) & 0xff_ffff));
    Labels::from_pairs([
        ("__name__", "requests_total"),
        ("device", device.as_str()),
        ("instance", address.as_str()),
        ("job", "node"),
        ("pod", pod.as_str()),
        ("zone", format!("zone-{}", zone(index)).as_str()),
    ])
}

fn zone(index: usize) -> usize {
    index / 1000 % ZONES
}

/// Small integers, so that sums are exact in any order.
fn value(index: usize, scrape: usize) -> f64 {
    (index % 1009 + scrape * 1000) as f64
}

fn filled(dir: &PathBuf, series: usize) -> Db {
    let db = Db::open(dir, Options { sync: SyncMode::Never, ..Options::default() }).expect("a new directory");
    let mut handles: Vec<SeriesHandle> = Vec::with_capacity(series);
    for scrape in 0..SCRAPES {
        let at = Timestamp::from_millis(START_MS + scrape as i64 * INTERVAL_MS);
        for from in (0..series).step_by(10_000) {
            let mut batch = Batch::new();
            for index in from..(from + 10_000).min(series) {
                match handles.get(index) {
                    Some(handle) => batch.push(*handle, at, value(index, scrape)),
                    None => batch.push(labels(index), at, value(index, scrape)),
                }
            }
            let outcome = db.append(&batch).expect("it is open");
            assert!(outcome.refused.is_empty());
            if scrape == 0 {
                assert_eq!(outcome.handles.len(), batch.rows().len());
                handles.extend(outcome.handles.iter().map(|(_, handle)| *handle));
            }
        }
    }
    db
}

/// Seconds that all threads of this process had a processor, those that ended included.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
    // In hundredths of a second; what is before them was cut off.
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Prints the best of several rounds and gives its nanoseconds per series; those of the processor, over all rounds, are steadier.
fn measure(name: &str, series: usize, mut round: impl FnMut()) -> f64 {
    let begin = processor_seconds();
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            round();
            begin.elapsed().as_nanos() as f64 / series as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let processor = (processor_seconds() - begin) * 1e9 / (ROUNDS * series) as f64;
    println!(
        "{name:<44} {:>7.1} ns a series (median {:.1}), {processor:.1} of processor",
        times[0],
        times[ROUNDS / 2]
    );
    times[0]
}

fn main() {
    let series: usize =
        std::env::var("KYMO_BENCH_SERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let dir = std::env::temp_dir().join(format!("kymo-bench-instant-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let db = filled(&dir, series);
    let at_ms = START_MS + SCRAPES as i64 * INTERVAL_MS;
    let sum: f64 = (0..series).map(|index| value(index, SCRAPES - 1)).sum();

    let mut selector = Selector::new(
        vec![Matcher::equal("__name__", "requests_total")],
        TimeRange::from_millis(at_ms - 300_000 + 1, at_ms),
    );
    measure("a pass that decodes", series, || {
        let found = db.select(&selector).expect("it is open");
        let (mut samples, mut total) = (Samples::new(), 0.0);
        for one in found.iter() {
            assert!(one.reader().read(&mut samples).expect("whole chunks"));
            total += samples.floats().and_then(|values| values.last().copied()).expect("floats");
        }
        assert_eq!(total, sum);
    });
    selector.hints.newest_only = true;
    selector.hints.labels = LabelsNeeded::Only(Vec::new());
    measure("a pass over the newest samples", series, || {
        let found = db.select(&selector).expect("it is open");
        let total: f64 = (0..found.len()).map(|index| found.newest(index).expect("at hand").1).sum();
        assert_eq!(total, sum);
    });
    selector.hints.labels = LabelsNeeded::All;
    measure("the same, and all labels", series, || {
        let found = db.select(&selector).expect("it is open");
        let values = (0..found.len()).map(|index| found.newest(index).expect("at hand").1);
        let zones = found.iter().filter(|one| one.labels().get("zone").is_some()).count();
        assert_eq!((values.sum::<f64>(), zones), (sum, series));
    });

    // As criterion's benches, a word chooses queries.
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with("--")).unwrap_or_default();
    for (text, results, first) in [
        ("count(requests_total)", 1, series as f64),
        ("sum(requests_total)", 1, sum),
        ("sum by (zone) (requests_total)", ZONES, {
            (0..series).filter(|index| zone(*index) == 0).map(|index| value(index, SCRAPES - 1)).sum()
        }),
        ("topk(10, requests_total)", 10, value(1008, SCRAPES - 1)),
        ("count(requests_total > 19500)", 1, {
            (0..series).filter(|index| value(*index, SCRAPES - 1) > 19500.0).count() as f64
        }),
    ] {
        if !text.contains(&wanted) {
            continue;
        }
        let expr = kymo_promql_syntax::parse(text).expect("a valid query");
        let mut one = None;
        for threads in [1, 2] {
            let engine = Engine::new(EngineOptions { threads, ..EngineOptions::default() });
            let best = measure(&format!("{text}, threads={threads}"), series, || {
                let at = Timestamp::from_millis(at_ms);
                let result = engine.instant(&db, &expr, at, &QueryOptions::default()).expect("an answer");
                let QueryValue::Vector(found) = result.value else { panic!("{text} is a vector") };
                assert_eq!((found.len(), found[0].value.float()), (results, Some(first)), "{text}");
                assert_eq!(result.stats.samples_read, series as u64, "no sample is decoded in vain");
            });
            match one {
                None => one = Some(best),
                Some(one) => println!("{:<44} {:>7.2} times as fast", "", one / best),
            }
        }
    }
    db.close().expect("the disk takes it");
    let _ = std::fs::remove_dir_all(&dir);
}

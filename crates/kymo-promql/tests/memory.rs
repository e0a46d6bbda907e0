//! Memory: `sum by` over 100,000 series and 1,000 steps holds its groups and little else, by the engine's own accounting and by
//! what the system says of a process that does nothing but ask. With one thread and with two.

use std::process::Command;
use std::sync::Arc;

use kymo_model::{
    CancelToken, Labels, Matcher, Queryable, Resume, Samples, Selector, SeriesSet, SeriesSource, StoreError,
    TimeRange, Timestamp,
};
use kymo_promql::{Engine, EngineOptions, QueryOptions, QueryValue};

const SERIES: usize = 100_000;
const GROUPS: usize = 100;
const STEPS: usize = 1_000;
const STEP_MS: i64 = 15_000;
/// One sample for several steps: how many there are is not what this is about.
const INTERVAL_MS: i64 = 4 * STEP_MS;

/// A point of the result is a time and a value.
const BOUND_BYTES: u64 = (GROUPS * STEPS * 16) as u64 + (64 << 20);

/// Says which threads the process of its own is to use.
const CHILD: &str = "KYMO_MEMORY_TEST_THREADS";

/// A store that computes its series, so that what the process holds is the query's.
struct Computed;

struct Selected(TimeRange);

impl SeriesSource for Selected {
    fn len(&self) -> usize {
        SERIES
    }

    fn labels(&self, index: usize) -> Labels {
        let (group, number) = ((index % GROUPS).to_string(), index.to_string());
        Labels::from_pairs([("__name__", "m"), ("group", group.as_str()), ("number", number.as_str())])
    }

    fn read(&self, index: usize, resume: &mut Resume, out: &mut Samples) -> Result<bool, StoreError> {
        let (times, values) = out.floats_mut();
        if std::mem::replace(&mut resume.a, 1) == 0 {
            let first = self.0.min.millis().max(0).div_euclid(INTERVAL_MS) + 1;
            times.extend((first..=self.0.max.millis() / INTERVAL_MS).map(|i| i * INTERVAL_MS));
            values.extend(times.iter().map(|t| (*t / INTERVAL_MS + index as i64) as f64));
        }
        Ok(!times.is_empty())
    }
}

impl Queryable for Computed {
    fn select(&self, wanted: &Selector) -> Result<SeriesSet, StoreError> {
        Ok(SeriesSet::new(Arc::new(Selected(wanted.range))))
    }
    fn label_names(&self, _: &[Matcher], _: TimeRange, _: &CancelToken) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
    fn label_values(
        &self,
        _: &str,
        _: &[Matcher],
        _: TimeRange,
        _: &CancelToken,
    ) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

/// The most memory that this process ever had.
fn most_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}

fn ask(threads: usize) {
    let engine = Engine::new(EngineOptions { threads, ..EngineOptions::default() });
    let expr = kymo_promql_syntax::parse("sum by (group) (m)").unwrap();
    let start = Timestamp::from_millis(1_000 * INTERVAL_MS);
    let end = Timestamp::from_millis(start.millis() + (STEPS as i64 - 1) * STEP_MS);
    let before = most_bytes();
    let result = engine.range(&Computed, &expr, start, end, STEP_MS, &QueryOptions::default()).unwrap();
    let grown = most_bytes() - before;
    let QueryValue::Matrix(series) = &result.value else { panic!("a range query gives a matrix") };
    assert_eq!((series.len(), series[0].floats.len()), (GROUPS, STEPS));
    // 1,000 series of the group are 0, 100, 200, … above the number of the interval.
    let sum = (0..SERIES / GROUPS).map(|n| (1_000 + n * GROUPS) as f64).sum::<f64>();
    assert_eq!(series[0].floats.values[0], sum);
    println!("{threads} threads: {grown} bytes resident, {} by the engine", result.stats.peak_bytes);
    assert!(
        grown <= BOUND_BYTES,
        "{threads} threads: the process grew by {grown} bytes, expected {BOUND_BYTES}"
    );
    assert!(
        result.stats.peak_bytes <= BOUND_BYTES,
        "{threads} threads: the engine counts {} bytes, expected {BOUND_BYTES}",
        result.stats.peak_bytes
    );
}

#[test]
fn a_sum_holds_its_groups_and_little_else() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: /proc/self/status is Linux'");
        return;
    }
    if let Ok(threads) = std::env::var(CHILD) {
        return ask(threads.parse().unwrap());
    }
    for threads in ["1", "2"] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_sum_holds_its_groups_and_little_else", "--nocapture"])
            .env(CHILD, threads)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        print!("{said}");
        assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
        assert!(said.contains("bytes resident"), "the child ran no test: {said}");
    }
}

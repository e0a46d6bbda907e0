//! Functions over long windows on a database, which leaves out samples that every window has, against a store that reads all.

use kymo::model::{
    Append, Batch, Gap, Histogram, Labels, Matcher, MemoryStore, Queryable, STALE_NAN, SampleValue, Samples,
    Selector, Sparing, TimeRange, Timestamp,
};
use kymo::promql::{Engine, QueryOptions};
use kymo::tsdb::{Clock, Db, Options};
use kymo_testkit::{SimClock, SimDisk};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const START_MS: i64 = 1_700_000_000_000 / (6 * HOUR_MS) * (6 * HOUR_MS);
const HOURS: i64 = 26;
const KINDS: [&str; 11] = [
    "counter",
    "counter with holes",
    "counter again",
    "resets",
    "edges",
    "gauge",
    "constant",
    "nan",
    "stale",
    "turns",
    "sparse",
];

/// splitmix64
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// What a series has at a minute, if anything.
fn value(kind: &str, minute: i64, before: f64, random: &mut Random) -> Option<SampleValue> {
    let grown = before + random.below(5) as f64;
    Some(SampleValue::Float(match kind {
        "resets" if random.below(150) == 0 => 0.0,
        // Where chunks of two hours meet.
        "edges" if (minute + 1) % 120 == 0 => 1.0,
        "gauge" => random.below(4) as f64 / 8.0,
        "constant" => 7.5,
        "nan" if random.below(200) == 0 => f64::NAN,
        "stale" if random.below(200) == 0 => STALE_NAN,
        "turns" if minute / 90 % 5 == 4 => {
            let count = minute as u64;
            let histogram = Histogram { count, zero_count: count, ..Histogram::default() };
            return Some(SampleValue::Histogram(histogram.into()));
        }
        "sparse" if minute % 60 > 2 => return None,
        // Inside chunks, so that what is left of them looks like the counter.
        "counter with holes" if (480..840).contains(&minute) && minute % 120 % 100 > 50 => return None,
        _ => grown,
    }))
}

struct Stores {
    db: Db,
    clock: SimClock,
    memory: MemoryStore,
}

fn stores(seed: u64) -> Stores {
    let mut random = Random(seed);
    let (disk, clock) = (SimDisk::new(seed), SimClock::at_ms(START_MS));
    let options = Options { vfs: disk.vfs(), clock: clock.shared(), ..Options::default() };
    let (db, memory) = (Db::open("/data", options).unwrap(), MemoryStore::default());
    let mut newest = [0.0; KINDS.len()];
    for minute in 0..HOURS * 60 {
        clock.advance_ms(MINUTE_MS as u64);
        let now = Clock::now(&clock);
        let mut batch = Batch::new();
        let together = random.below(20) as i64;
        for (kind, newest) in KINDS.iter().zip(&mut newest) {
            let jitter_ms = match seed {
                // Windows move on by a sample at each step, for which there is a faster way.
                0 => 0,
                // Series that are scraped together have the same times.
                1 => together,
                _ => random.below(20) as i64,
            };
            let at = Timestamp::from_millis(now.millis() + jitter_ms);
            if let Some(value) = value(kind, minute, *newest, &mut random) {
                if let SampleValue::Float(value) = value
                    && !value.is_nan()
                {
                    *newest = value;
                }
                batch.push(Labels::from_pairs([("__name__", "m"), ("kind", *kind)]), at, value);
            }
        }
        assert_eq!(db.append(&batch).unwrap().refused, []);
        assert_eq!(memory.append(&batch).unwrap().refused, []);
        if minute % 10 == 0 {
            db.maintain(now).unwrap();
        }
    }
    Stores { db, clock, memory }
}

/// A query's value, notes and how many samples it looked at, as text.
fn answer(store: &dyn Queryable, text: &str, (start_ms, end_ms, step_ms): (i64, i64, i64)) -> String {
    let query = kymo::promql_syntax::parse(text).unwrap();
    let (start, end) = (Timestamp::from_millis(start_ms), Timestamp::from_millis(end_ms));
    let options = QueryOptions::default();
    let result = Engine::default().range(store, &query, start, end, step_ms, &options).unwrap();
    let counted = (result.stats.samples_read, result.stats.total_queryable_samples);
    let text = format!("{:?} {:?} {:?} {counted:?}", result.value, result.warnings, result.infos);
    // Chunks know of neighbours what a list of samples does not say.
    text.replace("NotReset", "Unknown")
}

fn compare(stores: &Stores, random: &mut Random, rounds: usize) {
    const FUNCTIONS: [&str; 14] = [
        "changes",
        "count_over_time",
        "delta",
        "first_over_time",
        "increase",
        "last_over_time",
        "present_over_time",
        "rate",
        "resets",
        "stddev_over_time",
        "irate",
        "sum_over_time",
        "max_over_time",
        "avg_over_time",
    ];
    let end_ms = START_MS + HOURS * HOUR_MS;
    for _ in 0..rounds {
        let function = FUNCTIONS[random.below(FUNCTIONS.len() as u64) as usize];
        let window = 30 + random.below(20 * 60);
        let end = end_ms - random.below(6 * 60) as i64 * MINUTE_MS + random.below(1000) as i64;
        let start = end - random.below(5 * 60) as i64 * MINUTE_MS;
        let step_ms = match random.below(3) {
            0 => MINUTE_MS,
            _ => 1000 + random.below(30 * MINUTE_MS as u64) as i64,
        };
        let offset = ["", " offset 1h", " offset -10m"][random.below(3) as usize];
        let text = match random.below(4) {
            0 => format!("{function}(m[{window}m]{offset}) or rate(m[10m])"),
            _ => format!("{function}(m[{window}m]{offset})"),
        };
        let times = (start, end, step_ms);
        let expected = answer(&stores.memory, &text, times);
        for asked in ["first", "second", "third"] {
            let found = answer(&stores.db, &text, times);
            if found != expected {
                let pairs = found.split(", ").zip(expected.split(", "));
                let first = pairs.enumerate().find(|(_, (found, expected))| found != expected);
                panic!("{text} at {times:?}, asked for the {asked} time: {first:?}");
            }
        }
    }
}

/// How many samples of a day are left out for windows that share all of it.
fn left_out(store: &dyn Queryable, kind: &str, resets: bool) -> usize {
    let range = TimeRange::from_millis(START_MS, START_MS + 24 * HOUR_MS);
    let matchers = vec![Matcher::equal("kind", kind)];
    let set = store.select(&Selector::new(matchers, range)).unwrap();
    let (mut samples, mut gaps, mut all): (_, Vec<Gap>, _) = (Samples::new(), Vec::new(), 0);
    let mut reader = set.series(0).reader();
    while reader.read_sparse(Sparing { range, resets }, &mut samples, &mut gaps).unwrap() {
        all += gaps.iter().map(|gap| gap.samples).sum::<usize>();
    }
    all
}

#[test]
fn answers_are_those_of_all_samples() {
    for seed in 0..3 {
        let stores = stores(seed);
        assert!(stores.db.blocks().len() >= 3);
        assert_eq!(left_out(&stores.db, "counter", false), 0, "nothing is known yet");
        let mut random = Random(seed + 100);
        compare(&stores, &mut random, 100);
        // A part of the day is still in the head.
        for (kind, resets, at_least) in
            [("counter", false, 1000), ("gauge", true, 1000), ("edges", true, 1000)]
        {
            left_out(&stores.db, kind, resets);
            let found = left_out(&stores.db, kind, resets);
            assert!(found >= at_least, "{found} of {kind}");
        }
        assert!(left_out(&stores.db, "edges", false) >= 1000, "gaps end where the counter does");
        assert_eq!(left_out(&stores.db, "turns", true), 0);
    }
}

/// Deleted samples are not among those that are left out, neither before the blocks are written anew nor after.
#[test]
fn deletions_count() {
    let Stores { db, clock, memory } = stores(9);
    let mut random = Random(109);
    let deleted = TimeRange::from_millis(START_MS + 5 * HOUR_MS, START_MS + 6 * HOUR_MS);
    let mut batch = Batch::new();
    let mut samples = Samples::new();
    left_out(&db, "counter", false);
    assert!(left_out(&db, "counter", false) > 0);
    for series in memory.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap().iter() {
        let mut reader = series.reader();
        while reader.read(&mut samples).unwrap() {
            for (at, t_ms) in samples.timestamps_ms.iter().enumerate() {
                let t = Timestamp::from_millis(*t_ms);
                if deleted.contains(t) {
                    continue;
                }
                match &samples.values {
                    kymo::model::Values::Floats(values) => batch.push(series.labels(), t, values[at]),
                    kymo::model::Values::Histograms(values) => {
                        let value = SampleValue::FloatHistogram(values[at].clone());
                        batch.push(series.labels(), t, value);
                    }
                }
            }
        }
    }
    let memory = MemoryStore::default();
    memory.append(&batch).unwrap();
    db.delete(&[Matcher::equal("__name__", "m")], deleted).unwrap();
    let stores = Stores { db, clock, memory };
    compare(&stores, &mut random, 60);
    stores.db.clean_tombstones().unwrap();
    compare(&stores, &mut random, 60);
    stores.db.maintain(Clock::now(&stores.clock)).unwrap();
    compare(&stores, &mut random, 60);
}

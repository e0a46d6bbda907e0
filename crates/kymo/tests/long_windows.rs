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
    disk: SimDisk,
    db: Db,
    clock: SimClock,
    memory: MemoryStore,
}

/// Both stores without a sample.
fn empty(seed: u64, options: Options) -> Stores {
    let (disk, clock) = (SimDisk::new(seed), SimClock::at_ms(START_MS));
    let options = Options { vfs: disk.vfs(), clock: clock.shared(), ..options };
    Stores { disk, db: Db::open("/data", options).unwrap(), clock, memory: MemoryStore::default() }
}

/// Nothing is cut, and small chunk files are written early.
fn head_alone() -> Options {
    Options { block_range_ms: 10_000 * HOUR_MS, spill_bytes: 4 << 10, ..Options::default() }
}

fn labels(kind: &str) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("kind", kind)])
}

type Newest = [f64; KINDS.len()];

/// Adds the samples of these minutes. `seed` says how their times lie.
fn fill(
    stores: &Stores,
    seed: u64,
    minutes: std::ops::Range<i64>,
    (newest, random): (&mut Newest, &mut Random),
) {
    for minute in minutes {
        let at_ms = START_MS + (minute + 1) * MINUTE_MS;
        let now_ms = Clock::now(&stores.clock).millis();
        stores.clock.advance_ms(u64::try_from(at_ms - now_ms).unwrap_or(0));
        let mut batch = Batch::new();
        let together = random.below(20) as i64;
        for (kind, newest) in KINDS.iter().zip(&mut *newest) {
            let jitter_ms = match seed {
                // Windows move on by a sample at each step, for which there is a faster way.
                0 => 0,
                // Series that are scraped together have the same times.
                1 => together,
                _ => random.below(20) as i64,
            };
            let at = Timestamp::from_millis(at_ms + jitter_ms);
            if let Some(value) = value(kind, minute, *newest, random) {
                if let SampleValue::Float(value) = value
                    && !value.is_nan()
                {
                    *newest = value;
                }
                batch.push(labels(kind), at, value);
            }
        }
        assert_eq!(stores.db.append(&batch).unwrap().refused, []);
        assert_eq!(stores.memory.append(&batch).unwrap().refused, []);
        if minute % 10 == 0 {
            stores.db.maintain(Clock::now(&stores.clock)).unwrap();
        }
    }
}

fn stores_with(seed: u64, options: Options) -> Stores {
    let stores = empty(seed, options);
    fill(&stores, seed, 0..HOURS * 60, (&mut [0.0; KINDS.len()], &mut Random(seed)));
    stores
}

fn stores(seed: u64) -> Stores {
    stores_with(seed, Options::default())
}

/// All samples but those in the range of the series that `keep` does not name.
fn without(memory: &MemoryStore, deleted: TimeRange, keep: impl Fn(&str) -> bool) -> MemoryStore {
    let mut batch = Batch::new();
    let mut samples = Samples::new();
    for series in memory.select(&Selector::new(Vec::new(), TimeRange::ALL)).unwrap().iter() {
        let labels = series.labels();
        let kept = keep(labels.get("kind").unwrap());
        let mut reader = series.reader();
        while reader.read(&mut samples).unwrap() {
            for (at, t_ms) in samples.timestamps_ms.iter().enumerate() {
                let t = Timestamp::from_millis(*t_ms);
                if deleted.contains(t) && !kept {
                    continue;
                }
                match &samples.values {
                    kymo::model::Values::Floats(values) => batch.push(labels.clone(), t, values[at]),
                    kymo::model::Values::Histograms(values) => {
                        batch.push(labels.clone(), t, SampleValue::FloatHistogram(values[at].clone()));
                    }
                }
            }
        }
    }
    let memory = MemoryStore::default();
    memory.append(&batch).unwrap();
    memory
}

/// Deletes from both.
fn delete(stores: &mut Stores, range: TimeRange, kind: Option<&str>) {
    let matcher = kind.map_or(Matcher::equal("__name__", "m"), |kind| Matcher::equal("kind", kind));
    stores.db.delete(&[matcher], range).unwrap();
    stores.memory = without(&stores.memory, range, |other| kind.is_some_and(|kind| kind != other));
}

fn minutes(from: i64, to: i64) -> TimeRange {
    TimeRange::from_millis(START_MS + from * MINUTE_MS + 30_000, START_MS + to * MINUTE_MS + 30_000)
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
    let mut stores = stores(9);
    let mut random = Random(109);
    left_out(&stores.db, "counter", false);
    assert!(left_out(&stores.db, "counter", false) > 0);
    delete(&mut stores, minutes(5 * 60, 6 * 60), None);
    compare(&stores, &mut random, 60);
    stores.db.clean_tombstones().unwrap();
    compare(&stores, &mut random, 60);
    stores.db.maintain(Clock::now(&stores.clock)).unwrap();
    compare(&stores, &mut random, 60);
}

#[test]
fn the_head_is_known_as_blocks_are() {
    for seed in 0..3 {
        let stores = stores_with(seed, head_alone());
        assert_eq!(stores.db.blocks().len(), 0);
        assert_eq!(left_out(&stores.db, "counter", false), 0, "nothing is known yet");
        for (kind, resets) in [("counter", false), ("gauge", true), ("edges", true), ("edges", false)] {
            left_out(&stores.db, kind, resets);
            let found = left_out(&stores.db, kind, resets);
            assert!(found >= 1000, "{found} of {kind}");
        }
        assert_eq!(left_out(&stores.db, "turns", true), 0);
        compare(&stores, &mut Random(seed + 200), 100);
    }
}

/// Nothing is known of an open chunk, and what is known of those before it stays true.
#[test]
fn samples_come_between_two_queries() {
    let stores = empty(3, head_alone());
    let (mut newest, mut random) = ([0.0; KINDS.len()], Random(3));
    let mut before = 0;
    for hours in [6, 14, 20, 26] {
        let from = (Clock::now(&stores.clock).millis() - START_MS) / MINUTE_MS;
        fill(&stores, 3, from..hours * 60, (&mut newest, &mut random));
        left_out(&stores.db, "counter", false);
        let found = left_out(&stores.db, "counter", false);
        assert!(found > before, "{found} after {before}");
        before = found;
        compare(&stores, &mut random, 30);
    }
}

/// What comes late may lie between any two samples. It is seen while it is in a buffer and when it is a chunk.
#[test]
fn late_samples_count() {
    let options = Options { out_of_order_window_ms: 30 * HOUR_MS, ..head_alone() };
    let stores = stores_with(2, options);
    let mut random = Random(102);
    compare(&stores, &mut random, 20);
    let known = left_out(&stores.db, "counter", false);
    assert!(known >= 1000, "{known}");
    for (count, kinds) in [(1, 1), (1, 4), (40, 4), (100, 4), (150, 11)] {
        for kind in &KINDS[..kinds] {
            let mut batch = Batch::new();
            for _ in 0..count {
                // Between two minutes, where no sample is.
                let at_ms = START_MS + random.below(25 * 60) as i64 * MINUTE_MS;
                let at = Timestamp::from_millis(at_ms + 25_000 + random.below(30_000) as i64);
                batch.push(labels(kind), at, random.below(100) as f64);
            }
            let refused = stores.db.append(&batch).unwrap().refused;
            assert_eq!(stores.memory.append(&batch).unwrap().refused, refused);
        }
        compare(&stores, &mut random, 30);
        assert_eq!(left_out(&stores.db, "counter", true), 0);
        if kinds < KINDS.len() {
            left_out(&stores.db, "constant", false);
            let known = left_out(&stores.db, "constant", false);
            assert!(known >= 1000, "{known} of a series without any");
        }
        stores.db.maintain(Clock::now(&stores.clock)).unwrap();
    }
}

/// After a deletion other samples may come at the same times, so that a chunk looks like one that was known.
#[test]
fn what_comes_again_after_a_deletion_counts() {
    for options in [head_alone(), Options::default()] {
        let mut stores = stores_with(0, options);
        let mut random = Random(300);
        compare(&stores, &mut random, 30);
        for hour in [20, 2, 0] {
            delete(&mut stores, minutes(hour * 60, 27 * 60), None);
            compare(&stores, &mut random, 10);
            let mut newest = std::array::from_fn(|_| random.below(1000) as f64);
            fill(&stores, 0, hour * 60 + 1..HOURS * 60, (&mut newest, &mut random));
            compare(&stores, &mut random, 30);
        }
        let known = left_out(&stores.db, "counter", false);
        assert!(known >= 1000, "{known}");
    }
}

/// How many samples a series has, left out or not; `None` when they cannot be read.
fn samples_of(store: &dyn Queryable, kind: &str, sparing: Option<Sparing>) -> Option<usize> {
    let set = store.select(&Selector::new(vec![Matcher::equal("kind", kind)], TimeRange::ALL)).unwrap();
    let (mut samples, mut gaps, mut all) = (Samples::new(), Vec::new(), 0);
    let mut reader = set.series(0).reader();
    while match sparing {
        Some(sparing) => reader.read_sparse(sparing, &mut samples, &mut gaps).ok()?,
        None => reader.read(&mut samples).ok()?,
    } {
        all += samples.len() + gaps.iter().map(|gap| gap.samples).sum::<usize>();
    }
    Some(all)
}

/// A chunk that cannot be read means the same whichever way a series is read.
#[test]
fn damage_counts() {
    let stores = stores_with(4, head_alone());
    let files = stores.disk.files().into_iter().filter(|path| path.to_string_lossy().contains("/chunks/"));
    for path in files {
        let bytes = stores.disk.read(&path).unwrap().len() as u64;
        (1..4).for_each(|part| stores.disk.flip(&path, bytes * part / 4, 1).unwrap());
    }
    let mut damaged = 0;
    for kind in KINDS {
        let plain = samples_of(&stores.db, kind, None);
        for resets in [true, true, false] {
            let sparing = Sparing { range: minutes(120, 20 * 60), resets };
            assert_eq!(samples_of(&stores.db, kind, Some(sparing)), plain, "{kind}");
        }
        damaged += usize::from(plain != samples_of(&stores.memory, kind, None));
    }
    assert!(damaged >= 3, "{damaged}");
}

/// Samples in order and late, deletions, cuts and queries in any order.
#[test]
fn histories() {
    for seed in 10..22 {
        let mut random = Random(seed * 1000);
        let window_ms = [0, 1, 30][random.below(3) as usize] * HOUR_MS;
        let options = match seed % 2 {
            0 => Options { out_of_order_window_ms: window_ms, ..head_alone() },
            _ => Options { out_of_order_window_ms: window_ms, ..Options::default() },
        };
        let mut stores = empty(seed, options);
        let mut newest = [0.0; KINDS.len()];
        let mut minute = 0;
        for _ in 0..30 {
            match random.below(6) {
                0..3 => {
                    let next = (minute + random.below(3 * 60) as i64).min(HOURS * 60);
                    fill(&stores, seed, minute..next, (&mut newest, &mut random));
                    minute = next;
                }
                3 => {
                    let mut batch = Batch::new();
                    for _ in 0..random.below(60) {
                        let kind = KINDS[random.below(KINDS.len() as u64) as usize];
                        let at_ms = START_MS + random.below(minute.max(1) as u64) as i64 * MINUTE_MS;
                        let at = Timestamp::from_millis(at_ms + 25_000 + random.below(30_000) as i64);
                        batch.push(labels(kind), at, random.below(100) as f64);
                    }
                    let refused = stores.db.append(&batch).unwrap().refused;
                    let mut taken = Batch::new();
                    for (at, row) in batch.rows().iter().enumerate() {
                        if !refused.iter().any(|refused| refused.row == at)
                            && let kymo::model::RowSeries::Labels(labels) = &row.series
                        {
                            taken.push(labels.clone(), row.timestamp, row.value.clone());
                        }
                    }
                    assert_eq!(stores.memory.append(&taken).unwrap().refused, []);
                }
                4 => {
                    let from = random.below(minute.max(1) as u64) as i64;
                    let kind = KINDS[random.below(KINDS.len() as u64) as usize];
                    let to = from + random.below(200) as i64;
                    delete(&mut stores, minutes(from, to), Some(kind));
                }
                _ => _ = stores.db.maintain(Clock::now(&stores.clock)).unwrap(),
            }
            compare(&stores, &mut random, 3);
        }
    }
}

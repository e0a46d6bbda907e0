//! Estimates of the head are lower bounds, near the truth, and stop counting where that is enough; a select that nobody wants
//! ends while it resolves, pins or sorts.

use kymo_model::{
    Append, Batch, CancelReason, CancelToken, Estimate, Labels, MatchOp, Matcher, Queryable, Samples,
    Selector, StoreErrorKind, TimeRange, Timestamp,
};
use kymo_testkit::{Random, SimClock, SimDisk};
use kymo_tsdb::{Db, Options};

const NOW_MS: i64 = 1_700_000_000_000;
const SERIES: usize = 200;
const SAMPLES: i64 = 700;

/// Regular scrapes, some samples late, some series ending early.
fn database() -> Db {
    let disk = SimDisk::new(1);
    let clock = SimClock::at_ms(NOW_MS).shared();
    let options =
        Options { vfs: disk.vfs(), clock, out_of_order_window_ms: 86_400_000, ..Options::default() };
    let db = Db::open("/data", options).expect("an empty disk");
    let mut random = Random::new(7);
    let series = |number: usize| {
        let (name, pod) = (format!("m{}", number % 5), format!("pod-{number}"));
        Labels::from_pairs([("__name__", name.as_str()), ("pod", pod.as_str())])
    };
    for sample in 0..SAMPLES {
        let mut batch = Batch::new();
        for number in (0..SERIES).filter(|number| sample < 300 || number % 3 > 0) {
            let late_ms = if random.chance(1, 40) { 600_003 } else { 0 };
            let t_ms = NOW_MS - (SAMPLES - sample) * 15_000 - late_ms;
            batch.push(series(number), Timestamp::from_millis(t_ms), sample as f64);
        }
        db.append(&batch).expect("a good batch");
    }
    db
}

fn found(db: &Db, wanted: &Selector) -> Estimate {
    let (mut found, mut samples) = (Estimate::default(), Samples::new());
    for series in db.select(wanted).expect("the database is open").iter() {
        let mut reader = series.reader();
        let before = found.samples;
        while reader.read(&mut samples).expect("good chunks") {
            found.samples += samples.len() as u64;
        }
        found.series += u64::from(found.samples > before);
    }
    found
}

fn matchers() -> [Vec<Matcher>; 4] {
    let regex = |op, name, value| Matcher::new(op, name, value).expect("a good pattern");
    [
        Vec::new(),
        vec![Matcher::equal("__name__", "m1")],
        vec![regex(MatchOp::Regex, "pod", "pod-[0-9]*[02468]")],
        vec![regex(MatchOp::Regex, "__name__", ".+"), regex(MatchOp::NotRegex, "pod", ".*7.*")],
    ]
}

#[test]
fn lower_bounds_near_the_truth() {
    let db = database();
    let begin_ms = NOW_MS - SAMPLES * 15_000;
    for matchers in matchers() {
        for (min_ms, max_ms) in [
            (i64::MIN, i64::MAX),
            (begin_ms - 1_000_000, NOW_MS),
            (begin_ms + 1_234_567, NOW_MS - 2_345_678),
            (begin_ms + 3_000_000, begin_ms + 3_000_100),
            (NOW_MS, begin_ms),
        ] {
            let wanted = Selector::new(matchers.clone(), TimeRange::from_millis(min_ms, max_ms));
            let estimate = db.estimate(&wanted).expect("the database is open").expect("the head knows");
            let found = found(&db, &wanted);
            assert!(estimate.samples <= found.samples, "{wanted:?}: {estimate:?}, found {found:?}");
            assert!(estimate.series <= found.series, "{wanted:?}: {estimate:?}, found {found:?}");
            if max_ms.saturating_sub(min_ms) > 4_000_000 {
                assert!(estimate.samples * 2 > found.samples, "{wanted:?}: {estimate:?}, found {found:?}");
                assert_eq!(estimate.series, found.series);
            }
        }
    }
}

#[test]
fn counting_ends_where_it_is_enough() {
    let db = database();
    let mut wanted = Selector::new(Vec::new(), TimeRange::ALL);
    let all = db.estimate(&wanted).unwrap().unwrap();
    wanted.hints.samples_limit = 1000;
    let few = db.estimate(&wanted).unwrap().unwrap();
    assert!(few.samples > 1000 && few.samples < 3000 && all.samples > 50_000, "{few:?} {all:?}");
    wanted.hints.series_limit = 2;
    wanted.hints.samples_limit = 0;
    assert_eq!(db.estimate(&wanted).unwrap().unwrap().series, 3);
}

#[test]
fn nobody_wants_it_any_more() {
    let db = database();
    for reason in [CancelReason::Canceled, CancelReason::Timeout] {
        for ordered in [false, true] {
            for matchers in matchers().into_iter().skip(1) {
                let mut wanted = Selector::new(matchers, TimeRange::ALL);
                wanted.hints.ordered = ordered;
                wanted.cancel.cancel(reason);
                let kind = db.select(&wanted).map(|set| set.len()).map_err(|error| error.kind());
                assert_eq!(kind, Err(StoreErrorKind::Canceled), "{wanted:?}");
                assert_eq!(db.estimate(&wanted).unwrap_err().kind(), StoreErrorKind::Canceled);
            }
        }
    }
    // A clock that has come to the deadline after the first looks.
    let mut wanted = Selector::new(matchers()[2].clone(), TimeRange::ALL);
    wanted.cancel = CancelToken::with_deadline(1, || 0);
    assert!(db.select(&wanted).is_ok());
    wanted.cancel = CancelToken::with_deadline(1, || 1);
    assert_eq!(db.select(&wanted).map(|set| set.len()).unwrap_err().kind(), StoreErrorKind::Canceled);
}

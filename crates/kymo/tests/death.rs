//! Queries that would read too much of a database end before they read, with what they expected and found.

use kymo::model::{Append, Batch, Labels, Queryable, Timestamp};
use kymo::promql::{Bound, Engine, EngineOptions, QueryError, QueryErrorKind, QueryOptions, QueryResult};
use kymo::tsdb::{Clock, Db, Options};
use kymo_testkit::{SimClock, SimDisk};

const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 1_700_000_000_000 / (6 * HOUR_MS) * (6 * HOUR_MS);
const HOURS: i64 = 13;
const SERIES: usize = 50;
const SAMPLES: u64 = SERIES as u64 * HOURS as u64 * 240;

/// Scrapes of 15 s; all but the last hours are in blocks.
fn database() -> Db {
    let (disk, clock) = (SimDisk::new(1), SimClock::at_ms(START_MS));
    let options = Options { vfs: disk.vfs(), clock: clock.shared(), ..Options::default() };
    let db = Db::open("/data", options).expect("an empty disk");
    for at in 0..HOURS * 240 {
        let now = Timestamp::from_millis(START_MS + at * 15_000);
        let mut batch = Batch::new();
        for number in 0..SERIES {
            let pod = format!("pod-{number}");
            batch.push(Labels::from_pairs([("__name__", "x"), ("pod", pod.as_str())]), now, at as f64);
        }
        assert_eq!(db.append(&batch).expect("a good batch").refused, []);
        clock.advance_ms(15_000);
        if at % 40 == 0 {
            db.maintain(Clock::now(&clock)).expect("a good disk");
        }
    }
    assert!(!db.blocks().is_empty(), "some of it is in blocks");
    db
}

fn ask(store: &dyn Queryable, text: &str, max_samples_read: u64) -> Result<QueryResult, QueryError> {
    let engine = Engine::new(EngineOptions { max_samples_read, ..EngineOptions::default() });
    let expr = kymo::promql_syntax::parse(text).expect("a valid query");
    let at = Timestamp::from_millis(START_MS + HOURS * HOUR_MS);
    let options = QueryOptions { text: Some(text.into()), ..QueryOptions::default() };
    let result = engine.instant(store, &expr, at, &options);
    assert_eq!((engine.bytes_held(), engine.refused(Bound::SamplesRead)), (0, u64::from(result.is_err())));
    result
}

#[test]
fn a_month_of_everything() {
    let db = database();
    // It is known before anything is read, of blocks and of the head.
    for text in ["rate({__name__=~\".+\"}[30d])", "sum by (pod) (count_over_time({__name__=~\".+\"}[30d]))"] {
        let all = ask(&db, text, SAMPLES).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(all.stats.samples_read, SAMPLES, "{text}");
        for most in [SAMPLES / 4, SAMPLES / 2, SAMPLES - 1] {
            let error = ask(&db, text, most).expect_err("there are more");
            assert_eq!(
                (error.kind, error.bound),
                (QueryErrorKind::Limit, Some(Bound::SamplesRead)),
                "{text}"
            );
            let said = format!(", expected at most {most}; the selector is {{__name__=~\".+\"}} (1:");
            assert!(error.message.contains(&said), "{text}: {error}");
            assert!(error.message.contains(" samples or more, "), "{text} was read: {error}");
        }
    }
}

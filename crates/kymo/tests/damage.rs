//! A chunk of the head that rots while the database is open: a query answers with the rest, and says what is missing.

use std::path::Path;

use kymo::model::{Append, Batch, Labels, Timestamp};
use kymo::promql::{Engine, QueryOptions, QueryValue};
use kymo::tsdb::{Clock, Db, Options};
use kymo_testkit::{SimClock, SimDisk};

const START_MS: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 15_000;
const SCRAPES: i64 = 300;

/// What a query counts, and its warnings.
fn count(db: &Db, text: &str) -> (Vec<f64>, Vec<String>) {
    let expr = kymo::promql_syntax::Parser::default().parse(text).unwrap();
    let at = Timestamp::from_millis(START_MS + SCRAPES * STEP_MS);
    let result = Engine::default().instant(db, &expr, at, &QueryOptions::default()).unwrap();
    let QueryValue::Vector(samples) = &result.value else { panic!("{result:?}") };
    let values = samples.iter().map(|sample| sample.value.float().unwrap()).collect();
    (values, result.warnings)
}

#[test]
fn a_query_warns_of_what_it_could_not_read() {
    let disk = SimDisk::new(1);
    let clock = SimClock::at_ms(START_MS + SCRAPES * STEP_MS);
    let options = Options { vfs: disk.vfs(), clock: clock.shared(), spill_bytes: 1, ..Options::default() };
    let db = Db::open("/data", options).unwrap();
    for scrape in 0..SCRAPES {
        let mut batch = Batch::new();
        for series in ["a", "b"] {
            let labels = Labels::from_pairs([("__name__", "m"), ("s", series)]);
            batch.push(labels, Timestamp::from_millis(START_MS + (scrape + 1) * STEP_MS), scrape as f64);
        }
        db.append(&batch).unwrap();
    }
    db.maintain(clock.now()).unwrap();
    let all = "sum by (s) (count_over_time(m[2h]))";
    // Not the same query: what that has learned of a chunk answers it when the chunk cannot be read any more.
    assert_eq!(count(&db, "count_over_time(m[1m])"), (vec![4.0; 2], Vec::new()));

    let file = disk.files().into_iter().find(|file| file.starts_with("/data/head/chunks")).unwrap();
    disk.flip(Path::new(&file), 200, 4).unwrap();
    let (values, warnings) = count(&db, all);
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.contains(&format!("are missing ({}, offset ", file.display())), "{warning}");
    let damage = db.stats().head_damage;
    assert_eq!(damage.chunks, 1, "{damage:?}");
    let missing = 2.0 * SCRAPES as f64 - values.iter().sum::<f64>();
    assert!(missing > 0.0 && missing <= 120.0 && values.contains(&(SCRAPES as f64)), "{values:?}");
    // Who does not ask for it is not bothered.
    assert_eq!(count(&db, "count_over_time(m[1m])"), (vec![4.0; 2], Vec::new()));
}

//! What queries looked at, as `stats=all` tells it: the samples of each step must be those that Prometheus counts.
//!
//! Left out is what is not the same by intent:
//!
//! - Subqueries: their inside is evaluated in blocks of steps there, whose edges reach further than what is asked for.
//! - `absent` and its kin stop at the first series here when it has a value at every step.
//!
//! Between two vectors a step may look at less, since series that find no partner are not read here, and at each sample twice
//! for each operator around it, since series that share a partner are computed once more to see whether they have values at the
//! same step. The first or last 0 of something, or fewer, are found without looking.

use std::fmt::Write as _;

use kymo_model::Timestamp;
use kymo_promql::{Engine, QueryOptions};
use kymo_testkit::Random;
use serde_json::Value;

use crate::asked::{Peer, Times};
use crate::dataset;
use crate::grammar::Grammar;
use crate::{EXPRESSIONS, SEED, number, peers, times};

/// Between vectors, or a vector and a number.
const OPERATORS: [&str; 16] = [
    " + ", " - ", " * ", " / ", " % ", " ^ ", " and ", " or ", " unless ", " == ", " != ", " < ", " > ",
    " <= ", " >= ", "bool ",
];

/// Total, and time in milliseconds and samples of each step.
type Stats = (u64, Vec<(i64, u64)>);

fn of_peer(peer: &Peer, query: &str, times: Times) -> Option<Stats> {
    let json: Value = peer.json(query, "&stats=all", times);
    let samples = json["data"]["stats"]["samples"].as_object()?;
    let step = |step: &Value| Some(((step[0].as_f64()? * 1000.0).round() as i64, step[1].as_u64()?));
    let per_step =
        samples["totalQueryableSamplesPerStep"].as_array()?.iter().map(step).collect::<Option<_>>()?;
    Some((samples["totalQueryableSamples"].as_u64()?, per_step))
}

fn of_engine(store: &kymo_model::MemoryStore, query: &str, times: Times) -> Option<Stats> {
    let expr = kymo_promql_syntax::parse(query).ok()?;
    let engine = Engine::default();
    let options = QueryOptions { per_step_stats: true, ..QueryOptions::default() };
    let ms = Timestamp::from_millis;
    let result = match times {
        Times::Instant(at) => engine.instant(store, &expr, ms(at), &options),
        Times::Range { start, end, step } => engine.range(store, &expr, ms(start), ms(end), step, &options),
    };
    let result = result.ok()?;
    Some((result.stats.total_queryable_samples, result.samples_per_step))
}

#[test]
fn steps_look_at_as_many_samples() {
    let seed = number("KYMO_DIFFERENTIAL_SEED", SEED);
    let expressions = number("KYMO_DIFFERENTIAL_EXPRESSIONS", EXPRESSIONS) / 10;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let Some(peer) = Peer::start(dir.path()) else { return };
    let series = dataset::series(seed, peer.whole);
    for request in dataset::requests(&series) {
        assert_eq!(peers::push(peer.port(), &request).expect("an answer").status / 100, 2);
    }
    let store = dataset::store(&series);
    let (mut compared, mut equal, mut samples, mut different) = (0, 0, 0, String::new());
    for number in 0..expressions {
        let mut random = Random::new(seed.wrapping_add(number.wrapping_mul(0x9E37_79B9)));
        let query = Grammar::new(random.next(), false).query().to_string();
        if query.contains(':') || query.contains("absent") {
            continue;
        }
        for times in times(&mut random) {
            let (Some(theirs), Some(ours)) =
                (of_peer(&peer, &query, times), of_engine(&store, &query, times))
            else {
                continue;
            };
            compared += 1;
            samples += ours.0;
            let steps = || theirs.1.iter().zip(&ours.1);
            let joins = OPERATORS.iter().map(|operator| query.matches(operator).count()).sum::<usize>();
            let as_joins_do = joins > 0 && steps().all(|(theirs, ours)| ours.1 <= theirs.1 << joins.min(16));
            let none = query.contains("(0, ") || query.contains("(-1, ");
            let nothing_wanted = none && steps().all(|(theirs, ours)| ours.1 <= theirs.1);
            let same_steps =
                theirs.1.len() == ours.1.len() && steps().all(|(theirs, ours)| theirs.0 == ours.0);
            if theirs == ours {
                equal += 1;
            } else if !(same_steps && (as_joins_do || nothing_wanted)) {
                let step = steps().find(|(a, b)| a != b);
                let _ =
                    writeln!(different, "{query}\n    {times:?}: {} / {}, first {step:?}", theirs.0, ours.0);
            }
        }
    }
    println!("{compared} answers that looked at {samples} samples compared, {equal} are equal");
    assert!(different.is_empty(), "prometheus / kymo:\n{different}");
    assert!(compared as u64 > expressions / 2, "only {compared} answers");
    // Few have operators between vectors whose series find no partner.
    assert!(equal * 10 > compared * 9, "{equal} of {compared} are equal");
}

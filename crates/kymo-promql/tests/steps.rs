//! A range query is as many instant queries: each step of random queries over random data is asked for on its own, too.
//!
//! This holds the lazy and sliding parts to the plain meaning of the language; only order and rounding may differ. And what
//! can be said in two ways gives the same in both.

mod random;
mod store;

use std::collections::BTreeMap;

use kymo_model::{Labels, MemoryStore, Timestamp};
use kymo_promql::{Engine, EngineOptions, QueryOptions, QueryValue};
use proptest::prelude::*;
use random::{data, expression, parse, stored};

const STEP_MS: i64 = 20_000;
const STEPS: i64 = 12;

type Points = BTreeMap<Labels, f64>;

fn instant(engine: &Engine, store: &MemoryStore, text: &str, at: i64) -> Result<Points, String> {
    let expr = parse(text);
    let at = Timestamp::from_millis(at);
    let result = engine.instant(store, &expr, at, &QueryOptions::default()).map_err(|e| e.message)?;
    let QueryValue::Vector(samples) = result.value else { panic!("{text} is no vector") };
    Ok(samples.into_iter().map(|s| (s.labels, s.value.float().unwrap())).collect())
}

fn range(engine: &Engine, store: &MemoryStore, text: &str) -> Result<Vec<Points>, String> {
    let expr = parse(text);
    let end = Timestamp::from_millis((STEPS - 1) * STEP_MS);
    let start = Timestamp::from_millis(0);
    let result =
        engine.range(store, &expr, start, end, STEP_MS, &QueryOptions::default()).map_err(|e| e.message)?;
    let QueryValue::Matrix(series) = result.value else { panic!("{text} is no matrix") };
    let mut steps = vec![Points::new(); STEPS as usize];
    for one in series {
        for (t, v) in one.floats.iter() {
            steps[(t / STEP_MS) as usize].insert(one.labels.clone(), *v);
        }
    }
    Ok(steps)
}

fn same(a: &Points, b: &Points) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|((la, va), (lb, vb))| {
            let close = (va - vb).abs() <= 1e-9 * (va.abs() + vb.abs());
            la == lb && (va == vb || close || (va.is_nan() && vb.is_nan()))
        })
}

/// Of equal values the first is chosen, and the order of groups, and of what was chosen, depends on all steps; upstream's does
/// so, too.
fn chooses_among_groups(text: &str) -> bool {
    let choices = ["topk", "bottomk", "limitk"];
    let is_ordered_by_steps =
        |of: &str| choices.iter().chain(&["count_values", " by ", " without "]).any(|name| of.contains(name));
    let mut all = choices.iter().flat_map(|name| text.match_indices(name));
    all.any(|(at, _)| text[at..].split_once(", ").is_some_and(|(_, of)| is_ordered_by_steps(of)))
}

/// The same said twice.
const TWICE: [(&str, &str); 9] = [
    ("m + fill(3) n", "(m + n) or ((m unless n) + 3) or (3 + (n unless m))"),
    ("m + fill_left(3) fill_right(4) n", "(m + n) or ((m unless n) + 4) or (3 + (n unless m))"),
    ("m - on (a) group_left fill_right(2) n", "(m - on (a) group_left n) or ((m unless on (a) n) - 2)"),
    (
        "m - on (a) group_left fill_left(2) n",
        "(m - on (a) group_left n) or (2 - sum by (a) (n unless on (a) m))",
    ),
    ("n - on (a) group_right fill_right(2) m", "(n - on (a) group_right m) or (2 - (m unless on (a) n))"),
    (
        "m > bool on (a, b) fill(5) n",
        "(m > bool on (a, b) n) or ((m unless on (a, b) n) > bool 5) or (5 > bool (n unless on (a, b) m))",
    ),
    ("rate(m[1m] smoothed) * 60", "increase(m[1m] smoothed)"),
    (
        "increase(m[1m] anchored) - delta(m[1m] anchored) >= bool 0",
        "sgn(increase(m[1m] anchored) - delta(m[1m] anchored)) >= bool 0",
    ),
    ("limit_ratio(0.4, m) or limit_ratio(-0.6, m)", "m"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn abbreviations_mean_what_they_abbreviate(series in data()) {
        let store = stored(&series);
        let engine = Engine::new(EngineOptions { lookback_delta_ms: 70_000, ..EngineOptions::default() });
        for (short, long) in TWICE {
            // What is filled may be in conflict where nothing was before.
            let (Ok(a), Ok(b)) = (range(&engine, &store, short), range(&engine, &store, long)) else { continue };
            for (step, (a, b)) in a.iter().zip(&b).enumerate() {
                prop_assert!(same(a, b), "{short}: step {step} is {a:?}, written out {b:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_range_is_its_instants(series in data(), text in expression(), delayed in any::<bool>()) {
        let store = stored(&series);
        prop_assume!(!chooses_among_groups(&text));
        // Whether the name of a merged series is dropped is decided once for all steps, and `or` merges.
        let delayed = delayed && !text.contains(" or ");
        let options = EngineOptions {
            lookback_delta_ms: 70_000,
            delayed_name_removal: delayed,
            ..EngineOptions::default()
        };
        let engine = Engine::new(options);
        let instants: Vec<_> = (0..STEPS).map(|i| instant(&engine, &store, &text, i * STEP_MS)).collect();
        match range(&engine, &store, &text) {
            Ok(steps) => for (i, (step, instant)) in steps.iter().zip(&instants).enumerate() {
                let Ok(instant) = instant else {
                    return Err(TestCaseError::fail(format!("{text}: step {i} alone is an error: {instant:?}")));
                };
                prop_assert!(same(step, instant), "{text}: step {i} is {step:?}, alone {instant:?}");
            },
            // Some step is in conflict; over a range even series apart in time may be.
            Err(message) => {
                let known = ["labelset", "duplicate series", "multiple matches"].iter().any(|m| message.contains(m));
                prop_assert!(known, "{text}: {message}");
            }
        }
    }
}

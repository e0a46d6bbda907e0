//! A range query is as many instant queries: each step of random queries over random data is asked for on its own, too.
//!
//! This holds the lazy and sliding parts to the plain meaning of the language; only order and rounding may differ. And what
//! can be said in two ways gives the same in both.

mod store;

use std::collections::BTreeMap;

use kymo_model::{Append, Batch, Labels, MemoryStore, Timestamp};
use kymo_promql::{Engine, EngineOptions, QueryOptions, QueryValue};
use proptest::prelude::*;

const STEP_MS: i64 = 20_000;
const STEPS: i64 = 12;

/// Name, labels `a` and `b`, samples.
type Generated = (String, String, String, Vec<(i64, f64)>);

/// Series `m`, `n` with labels `a` and `b`, and buckets `h`, with gaps, resets, NaN, infinities and staleness markers.
fn data() -> impl Strategy<Value = Vec<Generated>> {
    let value = prop_oneof![
        10 => (0i32..30).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(-1.5),
        1 => Just(kymo_model::STALE_NAN),
    ];
    let samples = prop::collection::vec((1i64..60_000, value), 0..25).prop_map(|gaps| {
        gaps.into_iter()
            .scan(0, |t, (gap, v)| {
                *t += gap;
                Some((*t, v))
            })
            .collect::<Vec<_>>()
    });
    let name = prop::sample::select(vec!["m", "n"]).prop_map(str::to_owned);
    let label = prop::sample::select(vec!["", "x", "y"]).prop_map(str::to_owned);
    prop::collection::vec((name, label.clone(), label, samples), 1..9)
}

fn expression() -> impl Strategy<Value = String> {
    let selector = prop::sample::select(vec![
        "m",
        "n",
        "m{a=\"x\"}",
        "{__name__=~\"m|n\"}",
        "n offset 30s",
        "m @ 100",
        "n{b!=\"\"}",
        "m offset -20s",
    ])
    .prop_map(str::to_owned);
    let scalar = prop::sample::select(vec!["1", "0.5", "time()", "scalar(sum(m))", "-2", "NaN"])
        .prop_map(str::to_owned);
    let extended = prop::sample::select(vec![
        "m smoothed",
        "n smoothed @ 100",
        "rate(m[1m] anchored)",
        "increase(n[3m] smoothed)",
        "delta(m[15s] smoothed offset 30s)",
        "changes(n[1m] anchored)",
        "resets({__name__=~\"m|n\", a=\"x\"}[3m] anchored @ 150)",
    ])
    .prop_map(str::to_owned);
    let leaf = prop_oneof![
        4 => selector.clone(),
        1 => extended,
        1 => Just("vector(time())".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, move |inner| {
        let over = prop::sample::select(vec![
            "rate", "increase", "delta", "irate", "idelta", "changes", "resets", "count_over_time", "sum_over_time",
            "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "present_over_time", "deriv",
            "stddev_over_time", "absent_over_time",
        ]);
        let range = prop::sample::select(vec!["1m", "3m", "15s", "1h"]);
        let one = prop::sample::select(vec!["abs", "-", "ceil", "sgn", "absent", "hour", "timestamp", "exp"]);
        let aggregation = prop::sample::select(vec![
            "sum", "avg", "min", "max", "count", "group", "stddev", "topk(2,", "bottomk(1,", "quantile(0.7,", "limitk(2,",
            "count_values(\"v\",",
        ]);
        let grouping = prop::sample::select(vec!["", "by (a)", "without (b)", "by (a, __name__)"]);
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "> bool", "<", "!= bool", "and", "or", "unless", "and on (a)", "unless on (b)",
            "+ fill(0)", "== fill_left(3)", "* on (a) group_left fill_right(2)", "- on (b) group_right fill_left(1)",
            "+ on (a, b)", "* ignoring (b) group_left ()", "/ on (a) group_right (b)", "< on (a, b)",
        ]);
        prop_oneof![
            2 => (over.clone(), selector.clone(), range.clone()).prop_map(|(f, s, r)| {
                let (name, tail) = s.split_once(" offset ").map_or((s.as_str(), String::new()), |(n, o)| (n, format!(" offset {o}")));
                let (name, at) = name.split_once(" @ ").map_or((name, String::new()), |(n, t)| (n, format!(" @ {t}")));
                format!("{f}({name}[{r}]{at}{tail})")
            }),
            1 => (over, inner.clone(), range).prop_map(|(f, e, r)| format!("{f}(({e})[{r}:25s])")),
            2 => (one, inner.clone()).prop_map(|(f, e)| format!("{f}({e})")),
            3 => (aggregation, grouping, inner.clone()).prop_map(|(f, g, e)| match f.split_once('(') {
                Some((name, param)) => format!("{name} {g} ({param} {e})"),
                None => format!("{f} {g} ({e})"),
            }),
            3 => (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a}) {o} ({b})")),
            2 => (inner.clone(), prop::sample::select(vec!["+", "/", ">", "<= bool", "^"]), scalar.clone())
                .prop_map(|(a, o, b)| format!("({a}) {o} {b}")),
            1 => inner.clone().prop_map(|e| format!("label_replace({e}, \"c\", \"$1-\", \"a\", \"(.*)\")")),
            1 => inner.prop_map(|e| format!("clamp_max({e}, scalar(count(m)))")),
        ]
    })
}

type Points = BTreeMap<Labels, f64>;

fn parse(text: &str) -> kymo_promql_syntax::ast::Expr {
    let parser = kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything());
    parser.parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

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

fn stored(series: &[Generated]) -> MemoryStore {
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    for (name, a, b, samples) in series {
        let labels = Labels::from_pairs([("__name__", name.as_str()), ("a", a), ("b", b)]);
        for (t, v) in samples {
            batch.push(labels.clone(), Timestamp::from_millis(*t), *v);
        }
    }
    store.append(&batch).unwrap();
    store
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
        // Of equal values the first is chosen, and the order of what count_values makes depends on all steps.
        prop_assume!(!(text.contains("count_values") && ["topk", "bottomk", "limitk"].iter().any(|k| text.contains(k))));
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

//! With native histograms among floats, too, a range query is as many instant queries: values, and what they warn about.

mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kymo_model::{
    Append, Batch, CounterResetHint, FloatHistogram, Labels, MemoryStore, SampleValue, Span, Timestamp,
};
use kymo_promql::{Engine, EngineOptions, PointValue, QueryOptions, QueryResult, QueryValue};
use proptest::prelude::*;

const STEP_MS: i64 = 20_000;
const STEPS: i64 = 10;

fn histogram() -> impl Strategy<Value = FloatHistogram> {
    let schema = prop::sample::select(vec![0, 0, 0, 1, -53]);
    let hint = prop::sample::select(vec![
        CounterResetHint::Unknown,
        CounterResetHint::Unknown,
        CounterResetHint::Gauge,
    ]);
    let sum = prop_oneof![8 => (0i32..50).prop_map(f64::from), 1 => Just(f64::NAN), 1 => Just(kymo_model::STALE_NAN)];
    (schema, hint, sum, prop::collection::vec(0u8..4, 1..5), 0u8..3, 0i32..3).prop_map(
        |(schema, counter_reset_hint, sum, counts, zero, offset)| {
            let custom = schema == -53;
            let buckets: Vec<f64> = counts.iter().map(|count| f64::from(*count)).collect();
            let zero_count = if custom { 0.0 } else { f64::from(zero) };
            FloatHistogram {
                counter_reset_hint,
                schema,
                zero_threshold: if custom { 0.0 } else { 0.001 },
                zero_count,
                count: buckets.iter().sum::<f64>() + zero_count,
                sum,
                positive_spans: vec![Span {
                    offset: if custom { 0 } else { offset },
                    length: buckets.len() as u32,
                }],
                custom_values: if custom {
                    (0..buckets.len() as i32 + offset).map(f64::from).collect()
                } else {
                    Vec::new()
                },
                positive_buckets: buckets,
                ..FloatHistogram::default()
            }
        },
    )
}

fn value() -> impl Strategy<Value = SampleValue> {
    prop_oneof![
        4 => histogram().prop_map(|h| SampleValue::FloatHistogram(Arc::new(h))),
        1 => (0i32..30).prop_map(|v| SampleValue::Float(f64::from(v))),
    ]
}

/// Name, labels `a` and `le`, samples.
type Generated = (String, String, String, Vec<(i64, SampleValue)>);

fn data() -> impl Strategy<Value = Vec<Generated>> {
    let samples = prop::collection::vec((1i64..60_000, value()), 0..20).prop_map(|gaps| {
        let mut t = 0;
        gaps.into_iter()
            .map(|(gap, value)| {
                t += gap;
                (t, value)
            })
            .collect::<Vec<_>>()
    });
    let name = prop::sample::select(vec!["m", "n"]).prop_map(str::to_owned);
    let label = prop::sample::select(vec!["", "x", "y"]).prop_map(str::to_owned);
    let le = prop::sample::select(vec!["", "", "", "1", "+Inf", "no"]).prop_map(str::to_owned);
    prop::collection::vec((name, label, le, samples), 1..8)
}

/// An aggregation, perhaps with a parameter, its grouping, and what it aggregates.
fn aggregated((aggregation, grouping, of): (&str, &str, String)) -> String {
    match aggregation.split_once(' ') {
        Some((name, param)) => format!("{name} {grouping} ({param} {of})"),
        None => format!("{aggregation} {grouping} ({of})"),
    }
}

fn expression() -> impl Strategy<Value = String> {
    let selector =
        prop::sample::select(vec!["m", "n", "m{a=\"x\"}", "{__name__=~\"m|n\"}", "n offset 30s", "m @ 100"])
            .prop_map(str::to_owned);
    let of_range = prop::sample::select(vec![
        "rate(m[1m])",
        "increase(n[3m])",
        "delta(m[2m])",
        "irate(m[1m])",
        "idelta(n[1m])",
        "resets(m[3m])",
        "changes(n[2m])",
        "sum_over_time(m[1m])",
        "avg_over_time(n[2m])",
        "count_over_time(m[1m])",
        "last_over_time(m[2m])",
        "first_over_time(n[1m])",
        "ts_of_last_over_time(n[1m])",
        "max_over_time(m[3m])",
        "deriv(m[3m])",
        "rate(m[1m] anchored)",
        "increase(n[2m] smoothed)",
        "sum_over_time((m + n)[1m:15s])",
        "increase((m)[2m:15s])",
    ])
    .prop_map(str::to_owned);
    let leaf = prop_oneof![3 => selector, 3 => of_range].boxed();
    leaf.clone().prop_recursive(3, 16, 2, move |inner| {
        let function = prop::sample::select(vec![
            "histogram_count(",
            "histogram_sum(",
            "histogram_avg(",
            "histogram_stddev(",
            "histogram_quantile(0.3, ",
            "histogram_quantile(0.9, ",
            "histogram_fraction(0, 2, ",
            "histogram_quantiles(",
            "-(",
            "abs(",
            "timestamp(",
        ]);
        // These go by the order of series, which only leaves have at every step. Groups are in the order of their first series,
        // over a range as at a time, and upstream takes what joins and functions give from a map.
        let choice = prop::sample::select(vec!["topk 1,", "limitk 2,"]);
        let aggregation = prop::sample::select(vec![
            "sum",
            "avg",
            "count",
            "min",
            "stdvar",
            "group",
            "topk 99,",
            "limitk 99,",
            "limit_ratio 0.5,",
            "quantile 0.5,",
        ]);
        let grouping = prop::sample::select(vec!["", "by (a)", "by (le)", "without (le)"]);
        let operator = prop::sample::select(vec![
            "+",
            "-",
            "*",
            "/",
            "==",
            "!= bool",
            "> bool",
            "</",
            "and",
            "or",
            "unless",
            "+ on (a)",
            "- on (a, le)",
            "* on (a) group_left ()",
            "+ on (a, le) fill(1)",
            "== fill_left(2)",
        ]);
        let scalar = prop::sample::select(vec!["* 2", "/ 0", "+ 1", "== 1", "</ 1.5", ">/ 0.7", "* -1"]);
        prop_oneof![
            3 => (function, inner.clone()).prop_map(|(f, e)| match f {
                "histogram_quantiles(" => format!("{f}{e}, \"q\", 0.5, 1)"),
                // These read no buckets, so that hints collide over a range, and the operator leaves out the pair.
                "histogram_count(" | "histogram_sum(" | "histogram_avg(" if e.contains(" + ") || e.contains(" - ") => {
                    format!("histogram_stddev({e})")
                }
                _ => format!("{f}{e})"),
            }),
            2 => (aggregation, grouping.clone(), inner.clone()).prop_map(aggregated),
            1 => (choice, grouping, leaf.clone()).prop_map(aggregated),
            2 => (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a}) {o} ({b})")),
            2 => (inner, scalar).prop_map(|(e, s)| format!("({e}) {s}")),
        ]
    })
}

/// Values of a step by labels; those of histograms as a list of numbers.
type Points = BTreeMap<Labels, Vec<f64>>;

fn numbers(value: &PointValue) -> Vec<f64> {
    match value {
        PointValue::Float(value) => vec![*value],
        PointValue::Histogram(h) => {
            let mut h = FloatHistogram::clone(h);
            h.compact(0);
            let mut all = vec![f64::from(h.schema), h.count, h.sum, h.zero_threshold, h.zero_count];
            all.extend(&h.custom_values);
            all.extend(h.buckets().flat_map(|b| [b.upper, b.count]));
            all
        }
    }
}

struct Answer {
    points: Vec<Points>,
    notes: BTreeSet<String>,
}

fn notes(result: &QueryResult) -> BTreeSet<String> {
    // How many samples were repaired, and when, depends on the steps; so does the place of what is noted in two. Of what an
    // operator refuses at a step only the last is told, which the order of series decides.
    let text = |text: &String| {
        if let Some((_, operator)) = text.split_once("encountered for binary operator ") {
            let operator = operator.split([':', ' ']).next().unwrap_or("");
            return format!("refused by {}", operator.trim_matches('"'));
        }
        text.split(", from buckets")
            .next()
            .and_then(|text| text.split(" (1:").next())
            .unwrap_or("")
            .to_owned()
    };
    let all = result.warnings.iter().chain(&result.infos);
    // A sample that an instant query sees first has no known hint; two of such hints cannot collide.
    all.filter(|text| !text.contains("conflicting counter resets")).map(text).collect()
}

fn parse(text: &str) -> kymo_promql_syntax::ast::Expr {
    let parser = kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything());
    parser.parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn instants(engine: &Engine, store: &MemoryStore, text: &str) -> Result<Answer, String> {
    let mut answer = Answer { points: Vec::new(), notes: BTreeSet::new() };
    for step in 0..STEPS {
        let at = Timestamp::from_millis(step * STEP_MS);
        let result =
            engine.instant(store, &parse(text), at, &QueryOptions::default()).map_err(|e| e.message)?;
        answer.notes.extend(notes(&result));
        let QueryValue::Vector(samples) = result.value else { panic!("{text} is no vector") };
        answer.points.push(samples.into_iter().map(|s| (s.labels, numbers(&s.value))).collect());
    }
    Ok(answer)
}

fn range(engine: &Engine, store: &MemoryStore, text: &str) -> Result<Answer, String> {
    let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis((STEPS - 1) * STEP_MS));
    let result = engine
        .range(store, &parse(text), start, end, STEP_MS, &QueryOptions::default())
        .map_err(|e| e.message)?;
    let mut answer = Answer { points: vec![Points::new(); STEPS as usize], notes: notes(&result) };
    let QueryValue::Matrix(series) = result.value else { panic!("{text} is no matrix") };
    for one in series {
        let floats = one.floats.iter().map(|(t, v)| (t, PointValue::Float(*v)));
        let histograms = one.histograms.iter().map(|(t, h)| (t, PointValue::Histogram(h.clone())));
        for (t, value) in floats.chain(histograms) {
            let before = answer.points[(t / STEP_MS) as usize].insert(one.labels.clone(), numbers(&value));
            assert!(before.is_none(), "{text}: two values at {t}");
        }
    }
    Ok(answer)
}

/// The engine of the cases below: what each step sees is apart.
fn near() -> Engine {
    Engine::new(EngineOptions { lookback_delta_ms: STEP_MS, ..EngineOptions::default() })
}

#[test]
fn over_a_range_hints_collide_that_an_instant_does_not_know() {
    let store = store::loaded(
        "load 20s
            n {{schema:0 count:4 sum:4 buckets:[4]}} {{schema:0 count:1 sum:1 buckets:[1]}} {{schema:0 count:2 sum:2 buckets:[2]}}",
    );
    // At 40 s a sample that follows no reset, and one that does.
    let text = "histogram_count(n + n offset 20s)";
    let (instants, range) = (instants(&near(), &store, text).unwrap(), range(&near(), &store, text).unwrap());
    assert_eq!(instants.points[2], Points::from([(Labels::default(), vec![3.0])]));
    assert_eq!(range.points[2], Points::new());
    assert_eq!(instants.points[1], range.points[1]);
}

#[test]
fn groups_are_in_the_order_of_their_first_series_over_all_steps() {
    let store = store::loaded(
        "load 20s
            n{a=\"x\", le=\"1\"} 1 _
            n{a=\"y\"} 2 2
            n{a=\"z\", le=\"1\"} 3 3",
    );
    let text = "limitk(1, sum by (le) (n))";
    let (instants, range) = (instants(&near(), &store, text).unwrap(), range(&near(), &store, text).unwrap());
    let le = Labels::from_pairs([("le", "1")]);
    assert_eq!(instants.points[1], Points::from([(Labels::default(), vec![2.0])]));
    assert_eq!(range.points[1], Points::from([(le, vec![3.0])]));
    assert_eq!(instants.points[0], range.points[0]);
}

#[test]
fn a_stale_series_has_no_say_in_the_order_of_groups() {
    let store = store::loaded(
        "load 20s
            n{a=\"x\", le=\"1\"} 1 stale
            n{a=\"y\"} 2 2
            n{a=\"z\", le=\"1\"} 3 3",
    );
    for aggregation in
        ["sum by (le) (n)", "sum by (le) (+n)", "quantile by (le) (0.5, n)", "topk by (le) (1, n)"]
    {
        let expr = parse(aggregation);
        let at = Timestamp::from_millis(STEP_MS);
        let result = near().instant(&store, &expr, at, &QueryOptions::default()).unwrap();
        let QueryValue::Vector(samples) = result.value else { panic!("{aggregation} is no vector") };
        let values: Vec<_> = samples.iter().map(|sample| numbers(&sample.value)).collect();
        assert_eq!(values, [[2.0], [3.0]], "{aggregation}");
    }
}

#[test]
fn of_what_an_operator_refuses_the_last_series_is_told() {
    // `p` is a native histogram first, which come before the classic ones, and a classic one later.
    let store = store::loaded(
        "load 20s
            m{a=\"p\"} {{schema:0 count:1 sum:1 buckets:[1]}} _
            m{a=\"p\", le=\"+Inf\"} _ 1
            m{a=\"q\"} {{schema:0 count:1 sum:1 buckets:[1]}}x1
            n{a=\"p\"} 1 1
            n{a=\"q\"} {{schema:0 count:1 sum:1 buckets:[1]}}x1",
    );
    let told = |start: i64, end: i64| {
        let expr = parse("histogram_quantile(0.5, m) </ n");
        let (start, end) = (Timestamp::from_millis(start * STEP_MS), Timestamp::from_millis(end * STEP_MS));
        let result = near().range(&store, &expr, start, end, STEP_MS, &QueryOptions::default()).unwrap();
        let of = |info: &String| info.split_once("\"</\": ").unwrap().1.replace(" (1:1)", "");
        result.infos.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(told(0, 0), ["float </ histogram"]);
    assert_eq!(told(1, 1), ["float </ float"]);
    assert_eq!(told(0, 1), ["float </ histogram"]);
}

fn same(a: &Points, b: &Points) -> bool {
    let close = |(a, b): (&f64, &f64)| {
        a == b || (a - b).abs() <= 1e-9 * (a.abs() + b.abs()) + 1e-12 || (a.is_nan() && b.is_nan())
    };
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|((la, va), (lb, vb))| la == lb && va.len() == vb.len() && va.iter().zip(vb).all(close))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_range_is_its_instants_with_histograms(series in data(), text in expression(), delayed in any::<bool>()) {
        let store = MemoryStore::default();
        let mut batch = Batch::new();
        for (name, a, le, samples) in &series {
            let labels = Labels::from_pairs([("__name__", name.as_str()), ("a", a), ("le", le)]);
            for (t, value) in samples {
                batch.push(labels.clone(), Timestamp::from_millis(*t), value.clone());
            }
        }
        store.append(&batch).unwrap();
        let delayed = delayed && !text.contains(" or ");
        let engine = Engine::new(EngineOptions {
            lookback_delta_ms: 70_000,
            delayed_name_removal: delayed,
            ..EngineOptions::default()
        });
        match (instants(&engine, &store, &text), range(&engine, &store, &text)) {
            (Ok(instants), Ok(range)) => {
                for (step, (one, other)) in instants.points.iter().zip(&range.points).enumerate() {
                    prop_assert!(same(one, other), "{text} at {step}\ninstant {one:?}\nrange   {other:?}");
                }
                prop_assert_eq!(instants.notes, range.notes, "{}", text);
            }
            (Ok(_) | Err(_), Err(message)) => {
                // Some step is in conflict; over a range even series apart in time may be.
                let known = ["labelset", "duplicate series", "multiple matches"].iter().any(|m| message.contains(m));
                prop_assert!(known, "{text}: {message}");
            }
            (Err(message), Ok(_)) => prop_assert!(false, "{text}: a step alone is an error: {message}"),
        }
    }
}

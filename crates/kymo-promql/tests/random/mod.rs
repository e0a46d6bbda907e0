//! Random series and random queries over them, for tests that compare answers. What is generated is always valid.

#![allow(dead_code, reason = "no test uses all of it")]

use kymo_model::{Append, Batch, Labels, MemoryStore, Timestamp};
use proptest::prelude::*;

/// Name, labels `a` and `b`, samples.
pub(crate) type Generated = (String, String, String, Vec<(i64, f64)>);

/// Series `m`, `n` with labels `a` and `b`, and buckets `h`, with gaps, resets, NaN, infinities and staleness markers.
pub(crate) fn data() -> impl Strategy<Value = Vec<Generated>> {
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

pub(crate) fn expression() -> impl Strategy<Value = String> {
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

pub(crate) fn parse(text: &str) -> kymo_promql_syntax::ast::Expr {
    let parser = kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything());
    parser.parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

pub(crate) fn stored(series: &[Generated]) -> MemoryStore {
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

//! What is said about how queries are answered: the operators as a tree, and what each of them cost.

mod store;

use std::sync::atomic::{AtomicU64, Ordering};

use kymo_model::Timestamp;
use kymo_promql::{Engine, Explanation, OperatorNode, QueryOptions, QueryValue};
use kymo_promql_syntax::{ParseOptions, Parser};

fn explained(query: &str, step_ms: i64) -> Explanation {
    let expr = Parser::new(ParseOptions::everything()).parse(query).unwrap();
    let (start, end) = (Timestamp::from_millis(600_000), Timestamp::from_millis(1_200_000));
    Engine::default().explain(&expr, start, end, step_ms, &QueryOptions::default()).unwrap()
}

/// Operators in order, each with its depth, and parts of what is said about it.
fn check(query: &str, wanted: &[(usize, &str, &str)]) {
    let explanation = explained(query, 60_000);
    let mut found = Vec::new();
    fn walk<'n>(node: &'n OperatorNode, depth: usize, found: &mut Vec<(usize, &'n OperatorNode)>) {
        found.push((depth, node));
        node.children.iter().for_each(|child| walk(child, depth + 1, found));
    }
    walk(&explanation.root, 0, &mut found);
    let text = explanation.to_string();
    let operators: Vec<(usize, &str)> = found.iter().map(|(d, n)| (*d, n.operator.as_str())).collect();
    let wanted_operators: Vec<(usize, &str)> = wanted.iter().map(|(d, o, _)| (*d, *o)).collect();
    assert_eq!(operators, wanted_operators, "{query}\n{text}");
    for ((_, node), (_, _, part)) in found.iter().zip(wanted) {
        let said = format!("{} {}", node.detail, node.notes.join(" "));
        assert!(said.contains(part), "{query}: {} says {said:?}, expected {part:?}", node.operator);
        assert!(text.contains(&node.operator), "{text}");
    }
}

#[test]
fn operators() {
    check("1 + 2", &[(0, "number", "3")]);
    check("up", &[(0, "select", "")]);
    check("up offset 5m @ 60", &[(0, "repeat", "step-invariant"), (1, "select", "@ 60000 ms offset 5m")]);
    check(
        "sum by (job) (rate(x_total{a=\"b\"}[5m]))",
        &[(0, "sum", "by (job) rows folded in as they come"), (1, "rate", "over 5m")],
    );
    check("topk without (a) (3, up)", &[(0, "topk", "without (a)"), (1, "select", ""), (1, "number", "3")]);
    check(
        "a * on (x) group_left (y) b",
        &[
            (0, "join *", "many-to-one on (x) with (y) the right side is held"),
            (1, "select", ""),
            (1, "select", ""),
        ],
    );
    check(
        "a / ignoring (z) group_right b",
        &[
            (0, "join /", "one-to-many ignoring (z) the left side is held"),
            (1, "select", ""),
            (1, "select", ""),
        ],
    );
    check("a and on () b", &[(0, "and", "many-to-many on ()"), (1, "select", ""), (1, "select", "")]);
    check("5 > bool up", &[(0, "> bool", ""), (1, "number", "5"), (1, "select", "")]);
    check(
        "max_over_time(rate(x_total[1m])[10m:30s] offset 1m)",
        &[(0, "max_over_time", "over 10m offset 1m subquery: "), (1, "rate", "over 1m")],
    );
    check(
        "histogram_quantile(0.9, sum by (le) (rate(b_bucket[5m])))",
        &[(0, "histogram_quantile", ""), (1, "sum", "by (le)"), (2, "rate", ""), (1, "number", "0.9")],
    );
    check("-abs(up)", &[(0, "negate", ""), (1, "abs", ""), (2, "select", "")]);
    check("sort_desc(up)", &[(0, "sort", "by value, descending"), (1, "select", "")]);
    check(
        "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")",
        &[(0, "label_replace", "a from b"), (1, "select", "")],
    );
    check("scalar(up) * time()", &[(0, "*", ""), (1, "scalar", ""), (2, "select", ""), (1, "time", "")]);
    check("absent_over_time(up[1m])", &[(0, "absent_over_time", "over 1m")]);
}

#[test]
fn selections() {
    let explanation = explained("rate(a[5m]) + rate(a[10m]) + a + b{c=~\"d\"} offset 1h", 60_000);
    let found: Vec<(&str, usize, i64)> =
        explanation.selections.iter().map(|s| (s.matchers.as_str(), s.uses, s.range_ms)).collect();
    assert_eq!(found, [("{__name__=\"a\"}", 3, 600_000), ("{__name__=\"b\",c=~\"d\"}", 1, 0)]);
    assert_eq!(explanation.selections[0].start_ms, 1);
    assert_eq!(explanation.selections[0].end_ms, 1_200_000);
    assert_eq!(explanation.steps, 11);
    let text = explanation.to_string();
    assert!(text.contains("#0 {__name__=\"a\"}\n") && text.contains("read 3 times"), "{text}");
    assert!(text.contains("11 steps of 1m"), "{text}");
    assert!(explained("a", 0).to_string().contains("at 600000 ms"));
}

static NOW: AtomicU64 = AtomicU64::new(0);

/// A clock that goes on by one with each look.
fn clock() -> u64 {
    NOW.fetch_add(1, Ordering::Relaxed)
}

#[test]
fn costs() {
    let store = store::loaded(
        "load 1m
           x_total{job=\"a\", i=\"1\"} 0+60x20
           x_total{job=\"a\", i=\"2\"} 0+60x20
           x_total{job=\"b\", i=\"1\"} 0+60x20",
    );
    let expr = kymo_promql_syntax::parse("sum by (job) (rate(x_total[2m])) > 1").unwrap();
    let times = (Timestamp::from_millis(600_000), Timestamp::from_millis(1_200_000), 60_000);
    let options = QueryOptions::default();
    let (result, explanation) =
        Engine::default().explain_analyze(&store, &expr, times, &options, clock).unwrap();
    let same = Engine::default().range(&store, &expr, times.0, times.1, times.2, &options).unwrap();
    assert_eq!(result.value, same.value);
    let QueryValue::Matrix(series) = &result.value else { panic!("a matrix") };
    assert_eq!(series.len(), 1);

    let compared = explanation.root.cost.unwrap();
    let sum = &explanation.root.children[0];
    let (summed, rated) = (sum.cost.unwrap(), sum.children[0].cost.unwrap());
    assert_eq!((compared.series, compared.rows, compared.points), (2, 2, 11));
    assert_eq!((summed.series, summed.rows, summed.points), (2, 2, 22));
    assert_eq!((rated.series, rated.rows, rated.points), (3, 3, 33));
    // The sum holds its groups, the rate holds nothing.
    assert!(summed.bytes >= 2 * 11 * 8 && rated.bytes == 0, "{summed:?} {rated:?}");
    for (outer, inner) in [(compared, summed), (summed, rated)] {
        assert!(outer.nanos > inner.nanos && outer.self_nanos > 0, "{outer:?} {inner:?}");
    }
    let read = explanation.selections[0].cost.unwrap();
    assert_eq!((read.series, explanation.stats.unwrap().samples_read), (3, read.samples_read));
    assert_eq!(read.samples_read, 3 * 12);
    let text = explanation.to_string();
    assert!(text.contains("series=3 rows=3 points=33") && text.contains("samples read=36"), "{text}");

    let (instant, explanation) =
        Engine::default().explain_analyze(&store, &expr, (times.1, times.1, 0), &options, clock).unwrap();
    assert!(matches!(instant.value, QueryValue::Vector(samples) if samples.len() == 1));
    assert_eq!(explanation.root.steps, 1);
}

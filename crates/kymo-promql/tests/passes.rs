//! What the planner does to queries, seen from outside: fewer questions, narrower ones, less work; the same answers and notes.

mod store;

use kymo_model::{Matcher, Queryable, Timestamp};
use kymo_promql::{Engine, EngineOptions, OperatorNode, QueryOptions, QueryResult, QueryValue};
use kymo_promql_syntax::{ParseOptions, Parser};
use store::{Recording, loaded};

fn ask(store: &dyn Queryable, query: &str) -> QueryResult {
    let expr = Parser::new(ParseOptions::everything())
        .parse(query)
        .unwrap_or_else(|e| panic!("{}", e.render(query)));
    let options = QueryOptions { text: Some(query.into()), ..QueryOptions::default() };
    let (start, end) = (Timestamp::from_millis(120_000), Timestamp::from_millis(300_000));
    Engine::default()
        .range(store, &expr, start, end, 60_000, &options)
        .unwrap_or_else(|e| panic!("{query}: {e}"))
}

const SERIES: &str = "load 1m
    a{job=\"x\", i=\"1\"} 1+1x10
    a{job=\"x\", i=\"2\"} 2+1x10
    a{job=\"y\", i=\"1\"} 3+1x10
    b{job=\"x\", i=\"1\"} 10+10x10
    b{job=\"x\", i=\"2\"} 20+10x10
    b{job=\"y\", i=\"1\"} 30+10x10
    b{job=\"z\", i=\"1\"} 40+10x10
    c{job=\"x\"} 1 2 3 4 5 6 7 8 9";

fn text(matchers: &[Matcher]) -> String {
    let parts =
        matchers.iter().filter(|m| m.name() != "__name__").map(|m| format!("{}={}", m.name(), m.value()));
    let name = matchers.iter().find(|m| m.name() == "__name__").map_or("", |m| m.value());
    format!("{name}{{{}}}", parts.collect::<Vec<_>>().join(","))
}

/// The query asks for these series, in any order.
fn check_asked(query: &str, wanted: &[&str]) {
    let store = Recording::new(loaded(SERIES));
    ask(&store, query);
    let mut asked: Vec<String> = store.asked().iter().map(|selector| text(&selector.matchers)).collect();
    asked.sort();
    assert_eq!(asked, wanted, "{query}");
}

#[test]
fn matchers_across_joins() {
    for (query, wanted) in [
        // Without labels to match, series of one name differ in what is matched.
        ("a{job=\"x\"} / b", &["a{job=x}", "b{job=x}"][..]),
        ("a / b{job=\"x\"}", &["a{job=x}", "b{job=x}"]),
        ("a{job=~\"x|y\"} > b{i=\"1\"}", &["a{job=x|y,i=1}", "b{i=1,job=x|y}"]),
        ("sum by (job, i) (a{job=\"x\"}) / b", &["a{job=x}", "b{job=x}"]),
        ("rate(a{job=\"x\"}[2m]) * b", &["a{job=x}", "b{job=x}"]),
        ("a * on (job) group_left () sum by (job) (b{job=\"x\"})", &["a{job=x}", "b{job=x}"]),
        ("(a{job=\"x\"} > 1) + b", &["a{job=x}", "b{job=x}"]),
        ("a{job=\"x\"} and b", &["a{job=x}", "b{job=x}"]),
        ("a and on (job) b{job=\"x\", i=\"1\"}", &["a{job=x}", "b{job=x,i=1}"]),
        ("a{job=\"x\"} unless b", &["a{job=x}", "b{job=x}"]),
        // And not where it would change anything.
        ("a unless b{job=\"x\"}", &["a{}", "b{job=x}"]),
        ("a{job=\"x\"} or b", &["a{job=x}", "b{}"]),
        ("a{job=\"x\"} and ignoring (job) b", &["a{job=x}", "b{}"]),
        ("a{job=\"x\"} and on (i) b", &["a{job=x}", "b{}"]),
        ("a{job=\"x\", i=\"1\"} * on (job, i) b", &["a{job=x,i=1}", "b{}"]),
        ("a{job=\"x\"} + fill (0) b", &["a{job=x}", "b{}"]),
        ("a{job=\"x\"} / rate(b[2m])", &["a{job=x}", "b{}"]),
        ("a{job=\"x\"} / {__name__=~\"c\"}", &["a{job=x}", "c{}"]),
        ("sum by (i) (a{job=\"x\"}) and b", &["a{job=x}", "b{}"]),
        ("label_replace(a{job=\"x\"}, \"job\", \"y\", \"\", \"\") and b", &["a{job=x}", "b{}"]),
        ("a{job=\"x\"} / b + ignoring (i) group_left () sum by (job) (b)", &["a{job=x}", "b{}"]),
    ] {
        check_asked(query, wanted);
    }
}

/// Where narrowing would hide an error it is not done.
#[test]
fn errors_stay() {
    let store = loaded(SERIES);
    // `b` has one series of job y and two of x; those of x are an error although `a` is asked for y alone.
    let query = "a{job=\"y\"} * on (job) b";
    let expr = kymo_promql_syntax::parse(query).unwrap();
    let at = Timestamp::from_millis(120_000);
    let error = Engine::default().instant(&store, &expr, at, &QueryOptions::default()).unwrap_err();
    assert!(error.message.contains("found duplicate series for the match group"), "{error}");
}

fn shared_parts(query: &str) -> usize {
    let expr = Parser::new(ParseOptions::everything()).parse(query).unwrap();
    let (start, end) = (Timestamp::from_millis(120_000), Timestamp::from_millis(300_000));
    let plan = Engine::default().explain(&expr, start, end, 60_000, &QueryOptions::default()).unwrap();
    fn count(node: &OperatorNode) -> usize {
        usize::from(node.operator == "shared") + node.children.iter().map(count).sum::<usize>()
    }
    count(&plan.root)
}

#[test]
fn common_subexpressions() {
    for (query, uses) in [
        ("sum(a) / (1 + sum(a))", 2),
        ("sum by (job) (rate(a[2m])) / on () group_left () sum(sum by (job) (rate(a[2m])))", 2),
        ("avg(a) - avg(a) + avg(a)", 3),
        ("quantile(0.5, a) + quantile(0.5, a)", 2),
        // The larger part is shared as a whole.
        ("max(sum by (i) (a)) + max(sum by (i) (a))", 2),
        ("sum(a) + sum(b)", 0),
        ("sum(a) + sum(a offset 1m)", 0),
        ("sum(a) + sum  (a)", 0),
        ("a + a", 0),
        ("topk(1, a) + topk(1, a)", 0),
        // Not at the same points in time.
        ("sum(a) + max_over_time(sum(a)[3m:1m])", 0),
    ] {
        assert_eq!(shared_parts(query), uses, "{query}");
    }
}

/// The same as the sum of parts that are written differently, which nothing shares.
#[test]
fn shared_parts_have_the_same_value() {
    let store = loaded(SERIES);
    for (shared, apart) in [
        ("sum(a) / (1 + sum(a))", "sum(a) / (1 + sum( a))"),
        (
            "sum by (job) (rate(a[2m])) > sum by (job) (rate(a[2m])) / 2",
            "sum by (job) (rate(a[2m])) > sum by (job) (rate( a[2m])) / 2",
        ),
        ("stddev by (i) (b) ^ 2 - stddev by (i) (b)", "stddev by (i) (b) ^ 2 - stddev by (i) ( b)"),
        (
            "max(sum by (i) (a)) + max(sum by (i) (a)) * sum(b) - sum(b)",
            "max(sum by (i) (a)) + max(sum by (i) ( a)) * sum(b) - sum( b)",
        ),
    ] {
        assert!(shared_parts(shared) > 0 && shared_parts(apart) == 0, "{shared}");
        let (one, other) = (ask(&store, shared), ask(&store, apart));
        assert_eq!(one.value, other.value, "{shared}");
        assert_eq!(one.stats.total_queryable_samples, other.stats.total_queryable_samples, "{shared}");
        assert!(one.stats.samples_read < other.stats.samples_read, "{shared}");
    }
}

/// What is noted in a part that is computed once is told for the place where upstream would have told it.
#[test]
fn notes_of_shared_parts() {
    let store = loaded(SERIES);
    for (shared, apart) in [
        ("sum(rate(a[2m])) + 1 + sum(rate(a[2m]))", "sum(rate(a[2m])) + 1 + sum( rate(a[2m]))"),
        ("quantile(2, a) + quantile(2, a)", "quantile(2, a) + quantile( 2, a)"),
    ] {
        let moved = |texts: Vec<String>, by: usize| -> Vec<String> {
            let column = |text: &str| {
                text.rsplit_once("(1:").map(|(text, at)| {
                    let at: usize = at.trim_end_matches(')').parse().unwrap();
                    format!("{text}(1:{})", at - by)
                })
            };
            texts.iter().map(|text| column(text).unwrap()).collect()
        };
        let (one, other) = (ask(&store, shared), ask(&store, apart));
        let all = |result: QueryResult| [result.warnings, result.infos].concat();
        let (one, other) = (all(one), all(other));
        assert!(!one.is_empty(), "{shared}");
        // The blank moves the second place by one column.
        assert_eq!(one, moved(other, 1), "{shared}");
    }
}

#[test]
fn bounds() {
    let store = loaded(SERIES);
    let refused = |query: &str, options: EngineOptions| {
        let expr = kymo_promql_syntax::parse(query).unwrap();
        let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis(600_000));
        let engine = Engine::new(options);
        engine.range(&store, &expr, start, end, 1000, &QueryOptions::default()).unwrap_err()
    };
    let series = EngineOptions { max_series: 6, ..EngineOptions::default() };
    let error = refused("a + on (job, i) b", series);
    assert_eq!(error.kind, kymo_promql::QueryErrorKind::Limit);
    let message =
        "query would read 7 series or more, expected at most 6; the selector is {__name__=\"b\"} (1:17)";
    assert_eq!(error.message, message);
    let together = EngineOptions { max_bytes_all: 10_000, ..EngineOptions::default() };
    let error = refused("sum by (job, i) (b)", together);
    assert!(error.message.starts_with("running queries together would hold "), "{error}");
}

/// A series whose partners take turns is read once, and counts once.
#[test]
fn partners_that_take_turns() {
    let store = loaded(
        "load 1m
            m{job=\"x\"} 1+1x10
            o{job=\"x\", v=\"1\"} 1 1 1 1 stale
            o{job=\"x\", v=\"2\"} _ _ _ _ 2x10",
    );
    let result = ask(&store, "m * on (job) o");
    let QueryValue::Matrix(series) = &result.value else { panic!("{:?}", result.value) };
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].floats.values, [3.0, 4.0, 10.0, 12.0]);
    assert_eq!(result.stats.total_queryable_samples, 2 * 4);
}

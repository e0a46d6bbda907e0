//! Queries of death: each ends in an error that says why, soon, and without holding much.

mod store;

use std::sync::Arc;

use kymo_model::{Append, Batch, Labels, MemoryStore, Timestamp};
use kymo_promql::{CancelReason, CancelToken, Engine, EngineOptions, QueryErrorKind, QueryOptions};
use kymo_promql_syntax::{ParseErrorKind, parse};

/// Refused before anything runs.
fn check_refused(query: &str, part: &str) {
    let error = parse(query).expect_err("a query of death");
    assert_eq!(error.kind, ParseErrorKind::Limit, "{error}");
    assert!(error.message.contains(part), "{error}");
}

#[test]
fn deep_nesting() {
    check_refused(&format!("{}up{}", "(".repeat(20_000), ")".repeat(20_000)), "nested more than 128 levels");
    check_refused(&format!("{}up{}", "abs(".repeat(5_000), ")".repeat(5_000)), "nested more than 128 levels");
    check_refused(&format!("{}up", "-".repeat(20_000)), "nested more than 128 levels");
    check_refused(&format!("up{}", "[1h:1m]".repeat(5_000)), "nested more than 128 levels");
}

#[test]
fn sums_of_100_000_terms() {
    check_refused(&format!("a{}", " + a".repeat(100_000)), "bytes long");
    check_refused(&format!("a{}", "+a".repeat(50_000)), "chains more than 512 operators");
}

/// As long a sum as is allowed runs, on the stack that a thread has.
#[test]
fn the_longest_sum() {
    let store = store::loaded("load 1m\n a 1 1 1\n");
    let expr = parse(&format!("a{}", " + a".repeat(511))).unwrap();
    let at = Timestamp::from_millis(60_000);
    let result = Engine::default().instant(&store, &expr, at, &QueryOptions::default()).unwrap();
    let kymo_promql::QueryValue::Vector(samples) = result.value else { panic!("a vector") };
    assert_eq!(samples[0].value.float(), Some(512.0));
    assert_eq!(result.stats.selects, 1);
}

fn many_series() -> MemoryStore {
    let store = MemoryStore::default();
    for series in 0..200 {
        let (name, i) = (format!("m{}", series % 7), series.to_string());
        let labels = Labels::from_pairs([("__name__", name.as_str()), ("i", i.as_str())]);
        let mut batch = Batch::new();
        for minute in 0..500 {
            batch.push(labels.clone(), Timestamp::from_millis(minute * 60_000), minute as f64);
        }
        store.append(&batch).unwrap();
    }
    store
}

#[test]
fn everything_for_a_month() {
    let store = many_series();
    let small = Engine::new(EngineOptions { max_samples: 20_000, ..EngineOptions::default() });
    let at = Timestamp::from_millis(500 * 60_000);
    for query in [
        "{__name__=~\".+\"}[30d]",
        "last_over_time({__name__=~\".+\"}[30d])[30d:1m]",
        "quantile_over_time(0.5, {__name__=~\".+\"}[30d:1s])",
    ] {
        let error = small.instant(&store, &parse(query).unwrap(), at, &QueryOptions::default()).unwrap_err();
        assert_eq!(error.kind, QueryErrorKind::Limit, "{query}: {error}");
    }
    let few = Engine::new(EngineOptions { max_series: 100, ..EngineOptions::default() });
    let query = parse("count({__name__=~\".+\"})").unwrap();
    let error = few.instant(&store, &query, at, &QueryOptions::default()).unwrap_err();
    assert_eq!(error.message, "query would read 200 series or more, expected at most 100");
}

#[test]
fn pathological_regexes() {
    // Too large a machine is refused with the query.
    let error = parse("up{a=~\"((((a{100}){100}){100}){100})\"}").unwrap_err();
    assert!(error.message.contains("regex") || error.message.contains("regexp"), "{error}");
    // One that makes others try for ages is linear here.
    let store = MemoryStore::default();
    let mut batch = Batch::new();
    let value = "a".repeat(20_000);
    let labels = Labels::from_pairs([("__name__", "up"), ("a", value.as_str())]);
    batch.push(labels, Timestamp::from_millis(0), 1.0);
    store.append(&batch).unwrap();
    let query = parse("up{a=~\"(a|aa|aaa)*b|(a*)*c|(.*)(.*)(.*)d\"}").unwrap();
    let result =
        Engine::default().instant(&store, &query, Timestamp::from_millis(0), &QueryOptions::default());
    assert_eq!(result.unwrap().value, kymo_promql::QueryValue::Vector(Vec::new()));
}

/// A query that was told to stop stops in the middle of what it does, wherever that is.
#[test]
fn canceled_in_kernels() {
    let store = Arc::new(many_series());
    let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis(500 * 60_000));
    for query in [
        "quantile_over_time(0.5, {__name__=~\"m.\"}[5h])",
        "sum(mad_over_time({__name__=~\"m.\"}[5h]))",
        "changes({__name__=~\"m.\"}[5h]) + on (i) m1",
        "topk(3, {__name__=~\"m.\"})",
    ] {
        let parser = kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything());
        let expr = parser.parse(query).unwrap();
        let cancel = CancelToken::new();
        cancel.cancel(CancelReason::Timeout);
        let options = QueryOptions { cancel, ..QueryOptions::default() };
        let error = Engine::default().range(&*store, &expr, start, end, 60_000, &options).unwrap_err();
        assert_eq!(error.kind, QueryErrorKind::Timeout, "{query}: {error}");
    }
}

//! `info()` and the `fill` modifiers beyond what scripts show: which series are asked for, conflicts and who is in them,
//! steps judged one by one.

mod store;

use kymo_model::{MatchOp, Timestamp};
use kymo_promql::{Engine, QueryError, QueryOptions, QueryResult, QueryValue};
use store::{Recording, loaded};

const DATA: &str = "
    load 1m
    up{instance=\"a\", job=\"x\"} 1 2 3 4 5
    up{instance=\"b\", job=\"x\"} 10 20 30 40 50
    up{zone=\"nowhere\"} 7 7 7 7 7
    target_info{instance=\"a\", job=\"x\", version=\"1\"} 1 1 stale
    target_info{instance=\"a\", job=\"x\", version=\"2\"} _ _ 1 1 1
    build_info{instance=\"a\", job=\"x\", version=\"9\", go=\"1.27\"} 1 1 1 1 1
    left{k=\"a\"} 1 stale 3
    left{k=\"b\", v=\"1\"} 1 1 1
    left{k=\"b\", v=\"2\"} 1 1 1
    right{k=\"a\"} 10 20 30
    right{k=\"c\"} _ _ 300
    twice{k=\"c\", n=\"1\"} 1 1 1
    twice{k=\"c\", n=\"2\"} 1 1 1
";

fn parse(text: &str) -> kymo_promql_syntax::ast::Expr {
    kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything())
        .parse(text)
        .unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn ask(text: &str) -> Result<QueryResult, QueryError> {
    let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis(240_000));
    Engine::default().range(&loaded(DATA), &parse(text), start, end, 60_000, &QueryOptions::default())
}

/// The matrix as lines `labels value@minute …`.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let result = ask(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let QueryValue::Matrix(series) = result.value else { panic!("a range query gives a matrix") };
    let line = |s: &kymo_promql::MatrixSeries| {
        let points = s.floats.iter().map(|(t, v)| format!("{v}@{}", t / 60_000));
        format!("{} {}", s.labels, points.collect::<Vec<_>>().join(" "))
    };
    assert_eq!(series.iter().map(line).collect::<Vec<_>>(), expected, "{text}");
}

#[track_caller]
fn check_error(text: &str, message: &str, detail: Option<&str>) {
    let error = ask(text).expect_err(text);
    assert_eq!(error.message, message, "{text}");
    assert_eq!(error.detail.as_deref(), detail, "{text}");
}

#[test]
fn info_follows_the_series_that_describes() {
    check(
        "info(up)",
        &[
            "up{instance=\"a\", job=\"x\", version=\"1\"} 1@0 2@1",
            "up{instance=\"a\", job=\"x\", version=\"2\"} 3@2 4@3 5@4",
            "up{instance=\"b\", job=\"x\"} 10@0 20@1 30@2 40@3 50@4",
            "up{zone=\"nowhere\"} 7@0 7@1 7@2 7@3 7@4",
        ],
    );
    check("info(up{instance=\"b\"}, {version=~\".+\"})", &[]);
    check(
        "info(up{instance=\"a\"}, {__name__=\"build_info\", go!=\"\"})",
        &["up{go=\"1.27\", instance=\"a\", job=\"x\"} 1@0 2@1 3@2 4@3 5@4"],
    );
    // A metric that describes is not described itself, whatever it is asked for by.
    check(
        "info(build_info, {__name__=~\".+_info\"})",
        &["build_info{go=\"1.27\", instance=\"a\", job=\"x\", version=\"9\"} 1@0 1@1 1@2 1@3 1@4"],
    );
    check_error("info(up, {__name__=~\".+_info\"})", "conflicting label: version", None);
}

#[test]
fn info_looks_at_the_time_of_what_it_describes() {
    let first = "{instance=\"a\", job=\"x\", version=\"1\"}";
    check("info(up{instance=\"a\"} @ 60)", &[&format!("up{first} 2@0 2@1 2@2 2@3 2@4")]);
    check(
        "info(up{instance=\"a\"} offset 1m)",
        &[&format!("up{first} 1@1 2@2"), "up{instance=\"a\", job=\"x\", version=\"2\"} 3@3 4@4"],
    );
    check(
        "info(sum by (instance, job) (up{instance=\"a\"} @ 60 + up{instance=\"a\"} @ 120 offset 1m))",
        &[&format!("{first} 4@0 4@1 4@2 4@3 4@4")],
    );
    // A scalar does not say when, and vectors of two times say nothing.
    let by_step =
        [format!("{first} 0@0 0@1"), "{instance=\"a\", job=\"x\", version=\"2\"} 0@2 0@3 0@4".to_owned()];
    let by_step: Vec<&str> = by_step.iter().map(String::as_str).collect();
    check("info(up{instance=\"a\"} * 0 * scalar(up{instance=\"a\"} @ 60))", &by_step);
    check("info(up{instance=\"a\"} @ 60 * 0 * up{instance=\"a\"})", &by_step);
}

#[test]
fn info_asks_for_no_more_than_it_needs() {
    let asked = |text: &str| {
        let store = Recording::new(loaded(DATA));
        let at = Timestamp::from_millis(60_000);
        Engine::default().instant(&store, &parse(text), at, &QueryOptions::default()).unwrap();
        let asked = store.asked();
        let of_info = asked.iter().find(|s| s.matchers.iter().any(|m| m.value().ends_with("_info"))).unwrap();
        let matchers =
            of_info.matchers.iter().map(|m| format!("{}{}{}", m.name(), m.op().as_str(), m.value()));
        (matchers.collect::<Vec<_>>().join(" "), of_info.range.min.millis(), of_info.range.max.millis())
    };
    assert_eq!(asked("info(up)"), ("__name__=target_info".to_owned(), -239_999, 60_000));
    assert_eq!(
        asked("info(rate(up{instance=\"a\", job=~\"x|\", zone=\"\"}[5m] offset 1m), {version!=\"\"})"),
        ("__name__=target_info version!= instance=a".to_owned(), -299_999, 0)
    );
    assert_eq!(
        asked("info(up, {__name__!=\"build_info\"})").0,
        format!("__name__{}.+_info __name__!=build_info", MatchOp::Regex.as_str())
    );
}

#[test]
fn fill_is_decided_at_every_step() {
    check(
        "left{k=\"a\"} + fill(0) right",
        &["{k=\"a\"} 11@0 20@1 33@2 33@3 33@4", "{k=\"c\"} 300@2 300@3 300@4"],
    );
    check("right + on (k) group_right fill_right(5) left{k!=\"b\"}", &["{k=\"a\"} 11@0 33@2 33@3 33@4"]);
    check(
        "left > fill_right(0) right{k=\"x\"}",
        &[
            "left{k=\"a\"} 1@0 3@2 3@3 3@4",
            "left{k=\"b\", v=\"1\"} 1@0 1@1 1@2 1@3 1@4",
            "left{k=\"b\", v=\"2\"} 1@0 1@1 1@2 1@3 1@4",
        ],
    );
}

#[test]
fn what_the_operator_refuses_is_filled() {
    let store = loaded("load 1m\n h{k=\"a\"} {{count:4 sum:4 buckets:[4]}}\n f{k=\"a\"} 5\n f{k=\"b\"} 6");
    let at = Timestamp::from_millis(0);
    let ask = |text: &str| {
        let options = QueryOptions { text: Some(text.into()), ..QueryOptions::default() };
        let result = Engine::default().instant(&store, &parse(text), at, &options).unwrap();
        let QueryValue::Vector(samples) = result.value else { panic!("{text} is no vector") };
        let values = samples.iter().map(|s| format!("{} {:?}", s.labels, s.value.float()));
        (values.collect::<Vec<_>>(), result.infos.len())
    };
    // A histogram and a float cannot be added: no pair, so the float finds nobody and zero stands in.
    assert_eq!(
        ask("h + fill_left(0) f"),
        (vec!["{k=\"a\"} Some(5.0)".to_owned(), "{k=\"b\"} Some(6.0)".to_owned()], 1)
    );
    assert_eq!(
        ask("h * fill_left(2) f"),
        (vec!["{k=\"a\"} None".to_owned(), "{k=\"b\"} Some(12.0)".to_owned()], 0)
    );
}

#[test]
fn conflicts_name_the_series_in_them() {
    let explicit =
        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
    check_error(
        "left + on (k) fill(0) right",
        explicit,
        Some(
            "the match group {k=\"b\"} has more than one series on the left hand-side: {__name__=\"left\", k=\"b\", v=\"1\"} \
             and {__name__=\"left\", k=\"b\", v=\"2\"}",
        ),
    );
    // Nobody is there to match and nothing is filled: no conflict.
    check("left + on (k) right{k=\"a\"}", &["{k=\"a\"} 11@0 33@2 33@3 33@4"]);
    check_error(
        "left * on (k) group_left (v) fill_right(2) right",
        "multiple matches for labels: grouping labels must ensure unique matches",
        Some(
            "the match group {k=\"b\"} has more than one series on the left hand-side: {__name__=\"left\", k=\"b\", v=\"1\"} \
             and {__name__=\"left\", k=\"b\", v=\"2\"}",
        ),
    );
    let error = ask("right + on (k) fill_left(0) twice").unwrap_err();
    assert!(error.message.starts_with("found duplicate series for the match group {k=\"c\"} on the right"));
    check("right{k=\"x\"} + on (k) twice", &[]);
}

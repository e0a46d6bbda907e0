//! What queries answer, warn about and refuse, through the engine's door. The promqltest scripts cover the functions; here
//! stands what scripts cannot say: texts with their places, both ways of dropping names, bounds, cancellation, overflow.

mod store;

use kymo_model::{Hints, Labels, LabelsNeeded, Queryable, Timestamp};
use kymo_promql::{
    CancelReason, CancelToken, Engine, EngineOptions, QueryError, QueryErrorKind, QueryOptions, QueryResult,
    QueryValue,
};
use store::{Recording, loaded};

const DATA: &str = "
    load 1m
    requests_total{job=\"a\", zone=\"x\"} 0+60x20
    requests_total{job=\"a\", zone=\"y\"} 0+120x20
    requests_total{job=\"b\", zone=\"x\"} 0+30x20
    errors_total{job=\"a\", zone=\"x\"} 0+6x20
    errors_total{job=\"a\", zone=\"y\"} 0+3x20
    heat{room=\"one\"} 20 21 22 _ 23 stale 24
    heat{room=\"two\"} NaN 1 NaN
    info{job=\"a\", owner=\"ann\"} 1x20
    info{job=\"b\", owner=\"bob\"} 1x20
    lat_bucket{le=\"1\"} 0+10x20
    lat_bucket{le=\"2\"} 0+5x20
    lat_bucket{le=\"+Inf\"} 0+20x20
    lat_bucket{le=\"much\"} 0+20x20
";

fn parse(text: &str) -> kymo_promql_syntax::ast::Expr {
    kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything())
        .parse(text)
        .unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn ask_with(options: EngineOptions, text: &str, at_minutes: i64) -> Result<QueryResult, QueryError> {
    let query = QueryOptions { text: Some(text.into()), ..QueryOptions::default() };
    let at = Timestamp::from_millis(at_minutes * 60_000);
    Engine::new(options).instant(&loaded(DATA), &parse(text), at, &query)
}

fn ask(text: &str, at_minutes: i64) -> Result<QueryResult, QueryError> {
    ask_with(EngineOptions::default(), text, at_minutes)
}

/// The value as lines: `labels value` of a vector in its order, or a number.
fn lines(result: &QueryResult) -> String {
    match &result.value {
        QueryValue::Scalar { value, .. } => format!("{value}"),
        QueryValue::String { value, .. } => String::from_utf8_lossy(value).into_owned(),
        QueryValue::Vector(samples) => {
            let line = |s: &kymo_promql::VectorSample| format!("{} {}", s.labels, s.value.float().unwrap());
            samples.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        QueryValue::Matrix(series) => {
            let line = |s: &kymo_promql::MatrixSeries| {
                let points: Vec<String> = s.floats.iter().map(|(t, v)| format!("{v}@{}", t / 1000)).collect();
                format!("{} {}", s.labels, points.join(" "))
            };
            series.iter().map(line).collect::<Vec<_>>().join("\n")
        }
    }
}

#[track_caller]
fn check(text: &str, at_minutes: i64, expected: &str) {
    let result = ask(text, at_minutes).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(lines(&result), expected, "{text}");
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    let error = ask(text, 10).expect_err(text);
    assert_eq!(error.message, expected, "{text}");
}

#[test]
fn values() {
    check("1 + 2 * 3", 0, "7");
    check("\"text\"", 0, "text");
    check("heat", 1, "heat{room=\"one\"} 21\nheat{room=\"two\"} 1");
    check("heat{room=\"one\"}", 3, "heat{room=\"one\"} 22");
    check("heat{room=\"one\"}", 5, "");
    check("heat{room=\"one\"}[2m]", 6, "heat{room=\"one\"} 24@360");
    check("heat{room=\"one\"}[2m]", 2, "heat{room=\"one\"} 21@60 22@120");
    check("topk(1, requests_total)", 2, "requests_total{job=\"a\", zone=\"y\"} 240");
    check(
        "sort(requests_total) ",
        1,
        &[
            "requests_total{job=\"b\", zone=\"x\"} 30",
            "requests_total{job=\"a\", zone=\"x\"} 60",
            "requests_total{job=\"a\", zone=\"y\"} 120",
        ]
        .join("\n"),
    );
    check("sum by (job) (rate(requests_total[5m]))", 10, "{job=\"a\"} 3\n{job=\"b\"} 0.5");
    check(
        "errors_total / on (job, zone) requests_total",
        10,
        "{job=\"a\", zone=\"x\"} 0.1\n{job=\"a\", zone=\"y\"} 0.025",
    );
    check(
        "sum by (job) (requests_total) * on (job) group_left (owner) info",
        1,
        "{job=\"a\", owner=\"ann\"} 180\n{job=\"b\", owner=\"bob\"} 30",
    );
    check("absent(nothing{job=\"a\", job!=\"b\", zone=\"x\"})", 0, "{zone=\"x\"} 1");
    check("max_over_time(sum(requests_total)[3m:1m])", 3, "{} 630");
    check("count_values(\"v\", info)", 1, "{v=\"1\"} 2");
}

#[test]
fn warnings_and_infos_have_places() {
    let result = ask("sum(rate(heat[5m])) +\n  quantile(1.5, heat)", 2).unwrap();
    assert_eq!(result.warnings, ["PromQL warning: quantile value should be between 0 and 1, got 1.5 (2:12)"]);
    assert_eq!(
        result.infos,
        [
            "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"heat\" (1:10)"
        ]
    );
    let result = ask("histogram_quantile(0.9, lat_bucket)", 5).unwrap();
    assert_eq!(
        result.warnings,
        ["PromQL warning: bucket label \"le\" is missing or has a malformed value of \"much\" (1:25)"]
    );
    assert_eq!(
        result.infos,
        ["PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
         https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile), from buckets 2 to 2, with a \
         max diff of 25, over 1 samples from 1970-01-01T00:05:00Z to 1970-01-01T00:05:00Z (1:25)"]
    );
}

#[test]
fn conflicts_between_series_are_named() {
    let error = ask("-{__name__=~\".+_total\", zone=\"x\", job=\"a\"}", 10).unwrap_err();
    assert_eq!(
        error.detail.as_deref(),
        Some(
            "{__name__=\"errors_total\", job=\"a\", zone=\"x\"} and {__name__=\"requests_total\", job=\"a\", zone=\"x\"} \
             both became {job=\"a\", zone=\"x\"}"
        )
    );
    let error = ask("sum(requests_total * on (job) info)", 10).unwrap_err();
    assert!(
        error
            .render("sum(requests_total * on (job) info)")
            .contains("1 | sum(requests_total * on (job) info)\n  |     ^^^^")
    );
    check_error(
        "rate({__name__=~\".+_total\", zone=\"x\"}[5m])",
        "vector cannot contain metrics with the same labelset",
    );
    check_error(
        "-{__name__=~\".+_total\", zone=\"x\"}",
        "vector cannot contain metrics with the same labelset",
    );
    check_error(
        "errors_total / on (job) requests_total",
        "found duplicate series for the match group {job=\"a\"} on the right hand-side of the operation: \
         [{__name__=\"requests_total\", job=\"a\", zone=\"x\"}, {__name__=\"requests_total\", job=\"a\", zone=\"y\"}];\
         many-to-many matching not allowed: matching labels must be unique on one side",
    );
    check_error(
        "requests_total * on (job) info",
        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
    );
    check_error(
        "requests_total * on (job) group_left (zone) info",
        "multiple matches for labels: grouping labels must ensure unique matches",
    );
    check_error("topk(NaN, requests_total)", "Parameter value is NaN");
    check_error("topk(1e30, requests_total)", "Scalar value 1e+30 overflows int64");
    check_error(
        "label_replace(info, \"x\", \"$1\", \"job\", \"(.*\")",
        "invalid regular expression in label_replace(): (.*",
    );
    // A duplicate on the one side is none where the other side has nothing.
    check("nothing / on (job) requests_total", 10, "");
}

#[test]
fn names_are_dropped_at_once_or_at_the_end() {
    let delayed = EngineOptions { delayed_name_removal: true, ..EngineOptions::default() };
    let text = "label_replace(rate({__name__=~\".+_total\", job=\"a\", zone=\"x\"}[5m]), \"was\", \"$1\", \"__name__\", \"(.*)_total\")";
    let result = ask_with(delayed.clone(), text, 10).unwrap();
    assert_eq!(
        lines(&result),
        "{job=\"a\", was=\"errors\", zone=\"x\"} 0.1\n{job=\"a\", was=\"requests\", zone=\"x\"} 1"
    );
    assert_eq!(ask(text, 10).unwrap_err().kind, QueryErrorKind::Execution);
    let by_name = "sum by (__name__) (rate(requests_total[5m]))";
    assert_eq!(lines(&ask(by_name, 10).unwrap()), "{} 3.5");
    assert_eq!(lines(&ask_with(delayed.clone(), by_name, 10).unwrap()), "{} 3.5");
    let both = "rate({__name__=~\".+_total\", zone=\"x\"}[5m])";
    assert_eq!(
        ask_with(delayed, both, 10).unwrap_err().message,
        "vector cannot contain metrics with the same labelset"
    );
}

#[test]
fn every_function_has_an_operator() {
    use kymo_promql_syntax::ast::ValueType;
    for function in kymo_promql_syntax::Function::all() {
        let signature = function.signature();
        let args = (0..signature.args_min.max(signature.args.len())).map(|at| match signature.arg_type(at) {
            Some(ValueType::Vector) if function.name() == "info" && at == 1 => "{job=~\".*\", owner!=\"\"}",
            Some(ValueType::Vector) => "heat",
            Some(ValueType::Matrix) => "heat[5m]",
            Some(ValueType::String) => "\"a\"",
            _ => "0.5",
        });
        let text = format!("{}({})", function.name(), args.collect::<Vec<_>>().join(", "));
        if let Err(error) = ask(&text, 5) {
            panic!("{text}: {error}");
        }
    }
}

#[test]
fn bounds_are_errors_that_name_themselves() {
    let check = |options: EngineOptions, text: &str, expected: &str| {
        let error = ask_with(options, text, 10).expect_err(text);
        assert_eq!(error.kind, QueryErrorKind::Limit, "{text}: {error}");
        assert!(error.message.contains(expected), "{text}: {error}");
    };
    let samples = EngineOptions { max_samples: 5, ..EngineOptions::default() };
    check(samples.clone(), "requests_total[10m]", "too many samples");
    check(samples, "{__name__=~\".+\"} or vector(1)", "too many samples");
    let bytes = EngineOptions { max_bytes: 100_000, ..EngineOptions::default() };
    check(bytes, "max_over_time((requests_total or info)[1d:1s])", "bytes of columns");
    check(EngineOptions::default(), "max_over_time(vector(1)[100y:1ms])", "too many samples");
    let engine = Engine::default();
    let range = |start, end, step| {
        let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
        engine.range(&loaded(DATA), &parse("heat"), start, end, step, &QueryOptions::default())
    };
    assert_eq!(range(0, 11_000, 1).unwrap_err().kind, QueryErrorKind::Limit);
    assert_eq!(range(0, 1000, 0).unwrap_err().kind, QueryErrorKind::Limit);
    assert_eq!(range(i64::MIN, i64::MAX, 1).unwrap_err().kind, QueryErrorKind::Limit);
    assert_eq!(range(1000, 0, 1).unwrap().value, QueryValue::Matrix(Vec::new()));
    assert!(range(0, 10_999, 1).is_ok());
}

#[test]
fn cancellation_has_a_reason() {
    for (reason, kind, text) in [
        (CancelReason::Timeout, QueryErrorKind::Timeout, "query timed out in query execution"),
        (CancelReason::Canceled, QueryErrorKind::Canceled, "query was canceled in query execution"),
    ] {
        let cancel = CancelToken::new();
        cancel.cancel(reason);
        let options = QueryOptions { cancel, ..QueryOptions::default() };
        let at = Timestamp::from_millis(0);
        let error = Engine::default().instant(&loaded(DATA), &parse("heat"), at, &options).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (kind, text));
    }
}

#[test]
fn cancellation_is_noticed_inside_a_kernel() {
    // Seconds of work in one row: 200,000 points, each a median over all points before it.
    let text = "mad_over_time(vector(time())[200000s:1s])";
    let cancel = CancelToken::new();
    let options = QueryOptions { cancel: cancel.clone(), ..QueryOptions::default() };
    let canceler = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        cancel.cancel(CancelReason::Canceled);
    });
    let (start, end) = (Timestamp::from_millis(0), Timestamp::from_millis(200_000_000));
    let error =
        Engine::default().range(&loaded(DATA), &parse(text), start, end, 20_000, &options).unwrap_err();
    canceler.join().unwrap();
    assert_eq!(error.kind, QueryErrorKind::Canceled);
}

#[test]
fn each_selector_is_asked_for_once() {
    let store = Recording::new(loaded(DATA));
    let at = Timestamp::from_millis(600_000);
    let text = "sum(rate(heat[5m])) / sum(rate(heat[1m])) + sum by (zone) (requests_total) + heat + \
                max(heat offset 1d) + count(requests_total @ 0)";
    let result = Engine::default().instant(&store, &parse(text), at, &QueryOptions::default()).unwrap();
    let asked = store.asked();
    let ranges: Vec<(i64, i64)> =
        asked.iter().map(|s| (s.range.min.millis(), s.range.max.millis())).collect();
    assert_eq!(ranges, [(300_001, 600_000), (300_001, 600_000), (-86_099_999, -85_800_000), (-299_999, 0)]);
    assert_eq!(result.stats.selects, 4);
    let Hints { function, range_ms, labels, step_ms, .. } = &asked[1].hints;
    assert_eq!(function.as_deref(), Some("sum"));
    assert_eq!((*range_ms, *step_ms), (0, 0));
    assert_eq!(*labels, LabelsNeeded::Only(vec!["zone".into()]));
    assert_eq!(asked[0].hints.range_ms, 300_000);
    assert_eq!(asked[2].hints.function.as_deref(), Some("max"));
}

#[test]
fn times_may_be_absurd() {
    for text in [
        "heat offset 290y",
        "heat offset -290y",
        "heat @ 9223372036854774",
        "heat @ -9223372036854774",
        "rate(heat[290y])",
        "max_over_time(heat[290y:290y])",
        "heat[290y:290y] offset -290y",
        "rate(heat[290y] @ -9223372036854774 offset 290y)",
        "timestamp(heat offset -290y)",
        "year(vector(1e300)) + hour(vector(NaN)) + day_of_year(vector(-1e18))",
        "predict_linear(heat[290y] @ 9223372036854774, 1e300)",
        "heat smoothed offset -290y",
        "heat smoothed @ 9223372036854774",
        "rate(heat[290y] smoothed offset 290y)",
        "increase(heat[290y] anchored @ -9223372036854774)",
        "changes(heat[290y] anchored offset -290y)",
        "heat[290y] smoothed @ 9223372036854774 offset -290y",
        "info(heat offset 290y)",
        "start_timestamp(heat @ 9223372036854774)",
        "heat offset 290y + fill(NaN) heat @ -9223372036854774",
    ] {
        for at in [i64::MIN, -1, 0, 600_000, i64::MAX] {
            let at = Timestamp::from_millis(at);
            // Any answer or error will do.
            let _ = Engine::default().instant(&loaded(DATA), &parse(text), at, &QueryOptions::default());
            let end = at.saturating_add_ms(600_000);
            let _ = Engine::default().range(
                &loaded(DATA),
                &parse(text),
                at,
                end,
                60_000,
                &QueryOptions::default(),
            );
        }
    }
}

#[test]
fn deep_and_long_queries_fit_a_small_stack() {
    let sum = vec!["heat"; 500].join(" + ");
    let signs = format!("{}heat{}", "abs(".repeat(100), ")".repeat(100));
    let nested = format!("{}heat{}", "max_over_time(".repeat(60), "[1m:1m])".repeat(60));
    for text in [sum, signs, nested] {
        let at = Timestamp::from_millis(60_000);
        let result = Engine::default().instant(&loaded(DATA), &parse(&text), at, &QueryOptions::default());
        assert!(result.is_ok(), "{result:?}");
    }
}

#[test]
fn nan_payloads_pass_through() {
    let store = store::with_bits(&[0x7ff0_0000_0000_0001, 0xfff8_dead_beef_0000, 0x7ff8_0000_0000_0001]);
    for text in [
        "x",
        "sort(x)",
        "topk(2, x)",
        "quantile(0.5, x)",
        "count_values(\"v\", x)",
        "min(x)",
        "x == x",
        "quantile_over_time(0.5, x[10m])",
        "max_over_time(x[10m])",
        "histogram_quantile(0.5, x)",
        "round(x, scalar(x))",
    ] {
        let at = Timestamp::from_millis(120_000);
        Engine::default()
            .instant(&store, &parse(text), at, &QueryOptions::default())
            .unwrap_or_else(|e| panic!("{text}: {e}"));
    }
}

#[test]
fn store_labels_and_warnings_reach_the_result() {
    let store = Recording::new(loaded(DATA)).warning("block 7 is damaged");
    let at = Timestamp::from_millis(60_000);
    let result =
        Engine::default().instant(&store, &parse("heat + heat"), at, &QueryOptions::default()).unwrap();
    assert_eq!(result.warnings, ["block 7 is damaged"]);
    let set = store.select(&kymo_model::Selector::new(Vec::new(), kymo_model::TimeRange::ALL)).unwrap();
    assert!(set.iter().any(|s| s.labels() == Labels::from_pairs([("__name__", "info"), ("job", "a"), ("owner", "ann")])));
}

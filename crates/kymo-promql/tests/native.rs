//! Native histograms through the engine's door: selection, ranges, results. Scripts of promqltest hold the arithmetic.

mod store;

use kymo_model::Timestamp;
use kymo_promql::{Engine, EngineOptions, PointValue, QueryOptions, QueryResult, QueryValue};
use store::loaded;

const DATA: &str = "
    load 1m
    h{a=\"mixed\"} 1 {{schema:0 count:4 sum:5 buckets:[1 2 1]}} 3 {{schema:0 count:5 sum:6 buckets:[1 3 1]}}
    h{a=\"plain\"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}x3
";

fn parse(text: &str) -> kymo_promql_syntax::ast::Expr {
    kymo_promql_syntax::Parser::new(kymo_promql_syntax::ParseOptions::everything())
        .parse(text)
        .unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn options(text: &str) -> QueryOptions {
    QueryOptions { text: Some(text.into()), ..QueryOptions::default() }
}

fn instant(script: &str, text: &str, at_minutes: i64) -> QueryResult {
    let engine = Engine::new(EngineOptions { delayed_name_removal: true, ..EngineOptions::default() });
    let at = Timestamp::from_millis(at_minutes * 60_000);
    engine
        .instant(&loaded(script), &parse(text), at, &options(text))
        .unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A point as a float, or as `count/sum` of a histogram.
fn point(value: &PointValue) -> String {
    match value {
        PointValue::Float(value) => value.to_string(),
        PointValue::Histogram(h) => format!("{}/{}", h.count, h.sum),
    }
}

/// One line for each series; points of range results as `value@seconds`, floats before histograms.
fn lines(result: &QueryResult) -> String {
    let all: Vec<String> = match &result.value {
        QueryValue::Scalar { value, .. } => vec![value.to_string()],
        QueryValue::String { .. } => Vec::new(),
        QueryValue::Vector(samples) => {
            samples.iter().map(|s| format!("{} {}", s.labels, point(&s.value))).collect()
        }
        QueryValue::Matrix(series) => series
            .iter()
            .map(|s| {
                let floats = s.floats.iter().map(|(t, v)| format!("{v}@{}", t / 1000));
                let histograms =
                    s.histograms.iter().map(|(t, h)| format!("{}/{}@{}", h.count, h.sum, t / 1000));
                format!("{} {}", s.labels, floats.chain(histograms).collect::<Vec<_>>().join(" "))
            })
            .collect(),
    };
    all.join("\n")
}

#[test]
fn the_later_of_float_and_histogram_counts() {
    let check =
        |text: &str, at, expected: &str| assert_eq!(lines(&instant(DATA, text, at)), expected, "{text}");
    check("h{a=\"mixed\"}", 0, "h{a=\"mixed\"} 1");
    check("h{a=\"mixed\"}", 1, "h{a=\"mixed\"} 4/5");
    check("h{a=\"mixed\"}", 2, "h{a=\"mixed\"} 3");
    check("timestamp(h{a=\"mixed\"})", 9, "");
    check("timestamp(h{a=\"mixed\"})", 4, "{a=\"mixed\"} 180");
    check("h{a=\"mixed\"}[5m]", 3, "h{a=\"mixed\"} 1@0 3@120 4/5@60 5/6@180");
    check("h{a=\"mixed\"}[2m:1m]", 3, "h{a=\"mixed\"} 3@120 5/6@180");
    check("scalar(h{a=\"mixed\"})", 3, "NaN");
    check("histogram_count(h)", 3, "{a=\"mixed\"} 5\n{a=\"plain\"} 4");
    check("abs(h)", 2, "{a=\"mixed\"} 3");
    check("absent(h)", 3, "");
    check("sort(h)", 2, "h{a=\"mixed\"} 3");
    check("h or vector(1)", 3, "h{a=\"mixed\"} 5/6\nh{a=\"plain\"} 4/5\n{} 1");
}

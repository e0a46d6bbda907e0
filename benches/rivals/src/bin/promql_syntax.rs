//! Parsing dashboard queries: kymo against `promql-parser`, each asserted to accept them all.
//!
//! `cargo run --profile bench -p kymo-rivals --bin promql_syntax`. Kymo's figure includes the type check.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Each parser runs each query until it used this much time.
const BUDGET: Duration = Duration::from_millis(500);

/// One measurement parses the query so often.
const BATCH: u32 = 100;

const QUERIES: &[&str] = &[
    "up",
    "rate(http_requests_total[5m])",
    r#"http_requests_total{job="api", status=~"5..", path!="/metrics"}"#,
    r#"sum by (job, method) (rate(http_requests_total{env="prod"}[5m]))"#,
    r#"100 - (avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) * 100)"#,
    r#"sum(rate(orders_total{status="success"}[5m])) / sum(rate(orders_total[5m])) * 100"#,
    r#"histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{job="api"}[5m])))"#,
    "sum(rate(container_cpu_usage_seconds_total[5m])) by (pod) * on (pod) group_left (node) kube_pod_info",
];

fn main() {
    println!("{:>8} {:>14}  query (ns each, best batch)", "kymo", "promql-parser");
    let mut sums = [0.0; 2];
    for query in QUERIES {
        let kymo = measure(|| kymo_promql_syntax::parse(black_box(query)).is_ok());
        let rival = measure(|| promql_parser::parser::parse(black_box(query)).is_ok());
        println!("{kymo:>8.0} {rival:>14.0}  {query}");
        sums[0] += kymo;
        sums[1] += rival;
    }
    let mean = |sum: f64| sum / QUERIES.len() as f64;
    println!("{:>8.0} {:>14.0}  mean", mean(sums[0]), mean(sums[1]));
}

/// Nanoseconds of one parse in the best batch: the quietest one.
fn measure(parse: impl Fn() -> bool) -> f64 {
    assert!(parse(), "the query is accepted");
    let mut best = Duration::MAX;
    let begun = Instant::now();
    while begun.elapsed() < BUDGET {
        let start = Instant::now();
        for _ in 0..BATCH {
            black_box(parse());
        }
        best = best.min(start.elapsed());
    }
    best.as_nanos() as f64 / f64::from(BATCH)
}

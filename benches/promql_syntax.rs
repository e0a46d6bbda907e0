//! Parse and check: queries as dashboards hold them, one by one, and the printer. `cargo bench --bench promql_syntax`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kymo_promql_syntax::parse;
use std::hint::black_box;

/// Name, query, how many expressions its tree has.
const QUERIES: &[(&str, &str, usize)] = &[
    ("selector", "up", 1),
    ("matchers", r#"http_requests_total{job="api", status=~"5..", path!="/metrics"}"#, 1),
    ("rate", r#"rate(http_requests_total{status=~"5.."}[5m])"#, 2),
    ("sum_by_rate", r#"sum by (job, method) (rate(http_requests_total{env="prod"}[5m]))"#, 3),
    ("ratio", r#"sum(rate(orders_total{status="success"}[5m])) / sum(rate(orders_total[5m])) * 100"#, 9),
    (
        "quantile",
        r#"histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{job="api"}[5m])))"#,
        5,
    ),
    (
        "join",
        "sum(rate(container_cpu_usage_seconds_total[5m])) by (pod) * on (pod) group_left (node) kube_pod_info",
        5,
    ),
    ("subquery", "max_over_time(rate(x[1m])[30m:1m] offset 1w) > bool 0.5", 6),
];

fn parse_queries(c: &mut Criterion) {
    let mut group = c.benchmark_group("promql_syntax/parse");
    for (name, query, expressions) in QUERIES {
        let mut count = 0;
        parse(query).unwrap().walk(|_| count += 1);
        assert_eq!(count, *expressions, "{query}");
        group.throughput(Throughput::Bytes(query.len() as u64));
        group.bench_function(*name, |b| b.iter(|| parse(black_box(query)).unwrap()));
    }
    group.finish();
}

fn print_query(c: &mut Criterion) {
    let (_, query, _) = QUERIES[5];
    let expr = parse(query).unwrap();
    assert_eq!(parse(&expr.to_string()).unwrap().to_string(), expr.to_string());
    c.bench_function("promql_syntax/print", |b| b.iter(|| black_box(&expr).to_string()));
}

fn refuse_query(c: &mut Criterion) {
    let query = "sum by (job) (rtae(http_requests_total[5m]))";
    assert!(parse(query).is_err());
    c.bench_function("promql_syntax/refuse", |b| b.iter(|| parse(black_box(query)).unwrap_err()));
}

criterion_group!(benches, parse_queries, print_query, refuse_query);
criterion_main!(benches);

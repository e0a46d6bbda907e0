//! Upstream's benchmark shapes over HTTP: 10 s between samples, 18,640 points, 1,000 steps of 10 s; a join at 5,000 steps.

use kymo_model::Labels;
use kymo_remote::RequestEncoder;

use crate::answer::{Cost, Query, ask, differences};
use crate::server::{Kind, Server};

const INTERVAL_MS: i64 = 10_000;
const POINTS: i64 = 18_640;
const START_MS: i64 = 1_700_000_000_000;
/// So many points of each series are in one body, so that series advance together.
const POINTS_PER_BODY: i64 = 20;
const LE: [&str; 11] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf"];

/// A series, and the number of its first point.
struct Shape {
    labels: Labels,
    first: i64,
    start: f64,
    /// By how much it grows in a step.
    weight: f64,
}

fn shapes() -> Vec<Shape> {
    let mut all = Vec::new();
    let mut add = |labels: Labels, first: i64, weight: usize| {
        all.push(Shape { labels, first, start: all.len() as f64 / 200.0, weight: weight as f64 });
    };
    for number in 0..100 {
        let l = number.to_string();
        for name in ["a_hundred", "b_hundred"] {
            add(Labels::from_pairs([("__name__", name), ("l", &l)]), 0, 1);
        }
        for (bucket, le) in LE.into_iter().enumerate() {
            // Its queries look back five minutes, not a day.
            add(
                Labels::from_pairs([("__name__", "h_hundred"), ("l", &l), ("le", le)]),
                POINTS - 1_100,
                bucket + 1,
            );
        }
    }
    for number in 0..1000 {
        let instance = number.to_string();
        for name in ["rpc_request_success_total", "rpc_request_error_total"] {
            let labels = Labels::from_pairs([("__name__", name), ("instance", &instance)]);
            add(labels, POINTS - 5_100, 1);
        }
    }
    all
}

fn push(server: &Server, shapes: &[Shape]) {
    let mut request = RequestEncoder::new();
    let mut samples = Vec::new();
    for from in (0..POINTS).step_by(POINTS_PER_BODY as usize) {
        request.clear();
        let mut any = false;
        for shape in shapes.iter().filter(|shape| shape.first <= from) {
            samples.clear();
            for point in from..(from + POINTS_PER_BODY).min(POINTS) {
                // Upstream's: a counter that grows by the same in each step, from another start in each series.
                let value = point as f64 * shape.weight + shape.start;
                samples.push((START_MS + point * INTERVAL_MS, value));
            }
            request.series(&shape.labels, &samples);
            any = true;
        }
        if any {
            server.write(&request.to_snappy());
        }
    }
}

fn queries() -> Vec<Query> {
    // Between two samples: windows are closed on the left before version 3 and open since.
    let end_ms = START_MS + (POINTS - 1) * INTERVAL_MS + 3_000;
    let over = |name, steps: i64, text: &str| Query {
        name,
        text: text.to_owned(),
        start_ms: end_ms - (steps - 1) * INTERVAL_MS,
        end_ms,
        step_ms: INTERVAL_MS,
    };
    vec![
        over("selector", 1000, "a_hundred"),
        over("rate[1m]", 1000, "rate(a_hundred[1m])"),
        over("sum(rate[1m])", 1000, "sum(rate(a_hundred[1m]))"),
        over("rate[1d]", 1000, "rate(a_hundred[1d])"),
        over("changes[1d]", 1000, "changes(a_hundred[1d])"),
        over("quantile_over_time[1d]", 1000, "quantile_over_time(0.9, a_hundred[1d])"),
        over("histogram_quantile(rate[5m])", 1000, "histogram_quantile(0.9, rate(h_hundred[5m]))"),
        over("a - b", 1000, "a_hundred - b_hundred"),
        over("topk(5)", 1000, "topk(5, a_hundred)"),
        over("join", 5000, "rpc_request_success_total + rpc_request_error_total"),
        over("sum(join)", 5000, "sum(rpc_request_success_total + rpc_request_error_total)"),
    ]
}

/// Those that are asked before anything need be in blocks, too: short windows, and a day.
const AT_ONCE: [&str; 4] = ["selector", "rate[1m]", "rate[1d]", "changes[1d]"];

/// Prints, for each shape, what it cost each server: some right after the last sample, and all when blocks are cut, unless
/// `at_once_alone`.
pub(crate) fn run(kymo: &Kind, peers: &[Kind], at_once_alone: bool) {
    let shapes = shapes();
    let queries = queries();
    let (early, all): (Vec<&Query>, Vec<&Query>) =
        (queries.iter().filter(|query| AT_ONCE.contains(&query.name)).collect(), queries.iter().collect());
    let (mut at_once, mut settled): (Vec<Asked>, Vec<Asked>) = (Vec::new(), Vec::new());
    for kind in peers.iter().filter(|kind| matches!(kind, Kind::Prometheus)).chain([kymo]) {
        let server = Server::start(kind);
        push(&server, &shapes);
        at_once.push(Asked::all(&server, &early));
        if !at_once_alone {
            server.settle();
            settled.push(Asked::all(&server, &all));
        }
    }
    print("asked at once", &early, &at_once);
    print("asked when blocks are cut", &all, &settled);
}

/// What each query cost a server.
struct Asked {
    name: &'static str,
    /// How many blocks there were before and after.
    blocks: (usize, usize),
    costs: Vec<Cost>,
}

impl Asked {
    fn all(server: &Server, queries: &[&Query]) -> Asked {
        let before = server.blocks();
        let costs = queries.iter().map(|query| ask(server, query)).collect();
        Asked { name: server.kind.name(), blocks: (before, server.blocks()), costs }
    }
}

fn print(when: &str, queries: &[&Query], asked: &[Asked]) {
    let Some((ours, theirs)) = asked.split_last() else { return };
    for Asked { name, blocks: (before, after), .. } in asked {
        println!("{when}: {name} had {before} blocks, {after} after it");
    }
    println!(
        "{:<30} {:>12} {:>10} {:>12} {:>10} {:>8} {:>8}  values (different)",
        "shape", "prom ms", "cpu ms", "kymo ms", "cpu ms", "wall", "cpu"
    );
    for (at, query) in queries.iter().enumerate() {
        let ours = &ours.costs[at];
        if theirs.is_empty() {
            println!("{:<30} {:>12} {:>10} {:>12.2} {:>10.2}", query.name, "", "", ours.wall_ms, ours.cpu_ms);
        }
        for Asked { costs, .. } in theirs {
            let theirs = &costs[at];
            let (values, different) = differences(&theirs.body, &ours.body);
            println!(
                "{:<30} {:>12.2} {:>10.2} {:>12.2} {:>10.2} {:>7.1}x {:>7.1}x  {values} ({different})",
                query.name,
                theirs.wall_ms,
                theirs.cpu_ms,
                ours.wall_ms,
                ours.cpu_ms,
                theirs.wall_ms / ours.wall_ms,
                theirs.cpu_ms / ours.cpu_ms
            );
            assert_eq!(different, 0, "{} differs", query.name);
        }
    }
}

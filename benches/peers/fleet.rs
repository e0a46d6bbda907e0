//! A fleet of instances scraped for an hour: what writing, keeping, restarting and asking costs each server.
//!
//! 100 instances of 1,000 series by default (`KYMO_PEERS_INSTANCES`), 240 scrapes (`KYMO_PEERS_SCRAPES`) 15 s apart with a jitter of
//! some ms for each instance. More than half are counters (of bytes, seconds and requests, classic histograms among them), the rest gauges of two
//! decimals, whole numbers, constants and full-mantissa noise.

use kymo_model::Labels;
use kymo_remote::RequestEncoder;
use std::time::Instant;

use crate::answer::{Cost, Query, ask, differences};
use crate::server::{Kind, Server};

const START_MS: i64 = 1_700_000_000_000;
const INTERVAL_MS: i64 = 15_000;
const SERIES_PER_BODY: usize = 2_000;
const LE: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];

#[derive(Clone, Copy)]
enum Value {
    /// Grows by up to so much a scrape, in such units.
    Counter(u64, f64),
    /// Bucket number so many of a classic histogram.
    Bucket(usize),
    /// Moves by hundredths.
    Gauge,
    Whole,
    Constant,
    Noise,
}

struct Member {
    instance: usize,
    labels: Labels,
    value: Value,
    state: f64,
}

/// A small generator of numbers, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn members(instances: usize) -> Vec<Member> {
    let mut all = Vec::new();
    for number in 0..instances {
        let instance = format!("node-{number}:9100");
        let zone = format!("zone-{}", number % 3);
        let mut add = |name: &str, more: &[(&str, String)], value: Value| {
            let more = more.iter().map(|(name, value)| (*name, value.as_str()));
            let own = [("__name__", name), ("instance", &*instance), ("job", "fleet"), ("zone", &*zone)];
            let labels = Labels::from_pairs(own.into_iter().chain(more));
            all.push(Member { instance: number, labels, value, state: 1e6 });
        };
        for cpu in 0..16 {
            for mode in ["idle", "user", "system", "iowait", "irq", "softirq", "nice", "steal"] {
                let labels = [("cpu", cpu.to_string()), ("mode", mode.to_owned())];
                add("node_cpu_seconds_total", &labels, Value::Counter(1500, 0.01));
            }
        }
        for handler in 0..20 {
            let handler = || ("handler", format!("/api/v1/{handler}"));
            for le in LE.into_iter().enumerate() {
                let labels = [handler(), ("le", le.1.to_owned())];
                add("http_request_duration_seconds_bucket", &labels, Value::Bucket(le.0));
            }
            for code in ["200", "204", "400", "404", "500", "503"] {
                add("http_requests_total", &[handler(), ("code", code.to_owned())], Value::Counter(40, 1.0));
            }
        }
        for device in 0..40 {
            let device = [("device", format!("eth{device}"))];
            add("node_network_receive_bytes_total", &device, Value::Counter(2_000_000, 1.0));
            add("node_network_transmit_bytes_total", &device, Value::Counter(1_000_000, 1.0));
        }
        for pod in 0..100 {
            let pod = [("pod", format!("pod-{pod}")), ("namespace", format!("team-{}", pod % 7))];
            add("container_memory_usage_bytes", &pod, Value::Whole);
            add("container_cpu_load_ratio", &pod, Value::Gauge);
            add("kube_pod_info", &pod, Value::Constant);
        }
        for sensor in 0..100 {
            add("node_hwmon_temp_celsius", &[("sensor", sensor.to_string())], Value::Gauge);
        }
        for queue in 0..31 {
            add("queue_utilization_ratio", &[("queue", queue.to_string())], Value::Noise);
        }
        add("node_uname_info", &[("release", format!("6.{}", number % 4))], Value::Constant);
    }
    all
}

impl Member {
    fn step(&mut self, random: &mut Random) -> f64 {
        match self.value {
            Value::Counter(most, unit) => {
                self.state += (random.below(most) as f64 * unit * 100.0).round() / 100.0
            }
            Value::Bucket(number) => self.state += (number * 3) as f64,
            Value::Gauge => {
                self.state = ((self.state + random.below(201) as f64 - 100.0) * 100.0).round() / 100.0
            }
            Value::Whole => self.state += random.below(4096) as f64 - 2048.0,
            Value::Constant => self.state = 1.0,
            Value::Noise => self.state = random.below(1 << 52) as f64 / (1u64 << 52) as f64,
        }
        self.state
    }
}

/// The bodies of remote write, in order of time.
fn bodies(instances: usize, scrapes: i64) -> Vec<Vec<u8>> {
    let mut members = members(instances);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut bodies, mut request) = (Vec::new(), RequestEncoder::new());
    for scrape in 0..scrapes {
        for part in members.chunks_mut(SERIES_PER_BODY) {
            request.clear();
            for member in part {
                let jitter_ms = (member.instance as i64 * 7919 + scrape * 31) % 9;
                let t_ms = START_MS + scrape * INTERVAL_MS + jitter_ms;
                let value = member.step(&mut random);
                request.series(&member.labels, &[(t_ms, value)]);
            }
            bodies.push(request.to_snappy());
        }
    }
    bodies
}

fn queries(scrapes: i64) -> Vec<Query> {
    let last_ms = START_MS + (scrapes - 1) * INTERVAL_MS + 100;
    let instant = |name, text: &str| (name, text.to_owned(), 0, 0);
    let range = |name, back_s: i64, step_s: i64, text: &str| (name, text.to_owned(), back_s, step_s);
    let all = vec![
        instant("one series", r#"node_uname_info{instance="node-1:9100"}"#),
        instant("one family", r#"http_requests_total{instance="node-1:9100"}"#),
        instant("everything", r#"{job=~".+"}"#),
        range("a family, 15 min", 900, 15, r#"node_cpu_seconds_total{mode="idle"}"#),
        range("rate by mode", 3300, 60, "sum by (mode) (rate(node_cpu_seconds_total[5m]))"),
        instant("rate by instance", "sum by (instance) (rate(node_network_receive_bytes_total[5m]))"),
        instant(
            "p99",
            "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
        ),
        range(
            "p90 by handler",
            3300,
            60,
            "histogram_quantile(0.9, sum by (le, handler) (rate(http_request_duration_seconds_bucket[5m])))",
        ),
        instant("top 10", "topk(10, rate(node_network_receive_bytes_total[5m]))"),
        range("top 5, 30 min", 1800, 30, "topk(5, sum by (handler) (rate(http_requests_total[5m])))"),
        instant("average over 30 min", "avg_over_time(node_hwmon_temp_celsius[30m])"),
        range("average by zone", 1800, 60, "avg by (zone) (avg_over_time(container_cpu_load_ratio[10m]))"),
        instant(
            "regex",
            r#"sum by (code) (rate(http_requests_total{handler=~"/api/v1/(1|2).*",code=~"5..|4.."}[5m]))"#,
        ),
        instant("regex on names", r#"count({__name__=~"node_.*",device!~"eth.*|lo"})"#),
        instant(
            "error ratio",
            r#"sum by (instance) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (instance) (rate(http_requests_total[5m])) > 0.01"#,
        ),
        instant(
            "info join",
            r#"sum by (instance) (rate(node_cpu_seconds_total{mode!="idle"}[5m])) * on (instance) group_left (release) node_uname_info"#,
        ),
        instant(
            "pod join",
            "container_memory_usage_bytes * on (instance, namespace, pod) group_left () kube_pod_info",
        ),
        instant("subquery", "max_over_time(sum by (zone) (rate(http_requests_total[5m]))[30m:1m])"),
        instant("count by name", r#"count by (__name__) ({job=~".+"})"#),
        instant("prediction", "predict_linear(node_hwmon_temp_celsius[30m], 3600) > 100"),
        range("rate, an hour", 3585, 60, "sum by (zone) (rate(http_requests_total[5m]))"),
        range("quantile by zone", 1800, 30, "quantile by (zone) (0.95, queue_utilization_ratio)"),
    ];
    all.into_iter()
        .map(|(name, text, back_s, step_s)| Query {
            name,
            text,
            start_ms: last_ms - back_s * 1000,
            end_ms: last_ms,
            step_ms: step_s * 1000,
        })
        .collect()
}

/// Prints what the fleet cost each server.
pub(crate) fn run(kymo: &Kind, peers: &[Kind]) {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let instances = number("KYMO_PEERS_INSTANCES").unwrap_or(100);
    let scrapes = number("KYMO_PEERS_SCRAPES").unwrap_or(240) as i64;
    let bodies = bodies(instances, scrapes);
    let series = members(instances).len();
    let samples = series as f64 * scrapes as f64;
    println!("{series} series, {samples} samples");
    let queries = queries(scrapes);
    let mut costs: Vec<(&'static str, Vec<Cost>)> = Vec::new();
    for kind in [kymo].into_iter().chain(peers) {
        let server = Server::start(kind);
        let (from, cpu) = (Instant::now(), server.cpu_seconds());
        bodies.iter().for_each(|body| server.write(body));
        let (wall, cpu) = (from.elapsed().as_secs_f64(), server.cpu_seconds() - cpu);
        println!(
            "{:<10} {:>9.0} samples/s  {:.3} CPU s per million  {:>6.0} peak bytes RSS/series  {:.2} disk bytes/sample",
            kind.name(),
            samples / wall,
            cpu / samples * 1e6,
            server.peak_rss() as f64 / series as f64,
            server.disk_bytes("data") as f64 / samples,
        );
        if let Kind::Kymo(_) = kind {
            println!(
                "{:<10} {:.2} log bytes/sample",
                kind.name(),
                server.metric("kymo_tsdb_wal_written_bytes_total") / samples
            );
        }
        if let Kind::VictoriaMetrics = kind {
            // Makes what was written a moment ago visible.
            let flushed = crate::http::get(server.port, "/internal/force_flush");
            assert!(flushed.is_ok_and(|reply| reply.status == 200), "cannot flush");
            std::thread::sleep(std::time::Duration::from_secs(3));
        }
        costs.push((kind.name(), queries.iter().map(|query| ask(&server, query)).collect()));
        let server = server.restart("KILL");
        let killed = server.ready_after;
        let server = server.restart("TERM");
        println!(
            "{:<10} ready {:.2} s after kill -9, {:.2} s after a clean stop",
            kind.name(),
            killed.as_secs_f64(),
            server.ready_after.as_secs_f64()
        );
    }
    let Some(((_, ours), theirs)) = costs.split_first() else { return };
    for (peer, theirs) in theirs {
        println!(
            "{:<22} {:>12} {:>10} {:>10} {:>10} {:>8}",
            "query",
            format!("{peer} ms"),
            "cpu ms",
            "kymo ms",
            "cpu ms",
            "cpu"
        );
        let mut logs = 0.0;
        for ((query, theirs), ours) in queries.iter().zip(theirs).zip(ours) {
            let (values, different) = differences(&theirs.body, &ours.body);
            logs += (ours.cpu_ms / theirs.cpu_ms).ln();
            println!(
                "{:<22} {:>12.2} {:>10.2} {:>10.2} {:>10.2} {:>7.1}x  {values} values, {different} different",
                query.name,
                theirs.wall_ms,
                theirs.cpu_ms,
                ours.wall_ms,
                ours.cpu_ms,
                theirs.cpu_ms / ours.cpu_ms
            );
            // VictoriaMetrics computes some functions differently on purpose.
            assert!(different == 0 || *peer != "prometheus", "{} differs", query.name);
        }
        println!(
            "CPU, geometric mean over the queries: {:.3} of {peer}'s",
            (logs / queries.len() as f64).exp()
        );
    }
}

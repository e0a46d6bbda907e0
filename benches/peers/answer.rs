//! Asking and comparing: the time of each query on each server, and whether the answers agree.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use crate::http;
use crate::server::Server;

/// A query, instant where there is no step.
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) step_ms: i64,
}

impl Query {
    fn path(&self) -> String {
        let seconds = |ms: i64| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
        let text = http::encoded(&self.text);
        match self.step_ms {
            0 => format!("/api/v1/query?nocache=1&query={text}&time={}", seconds(self.end_ms)),
            step => format!(
                "/api/v1/query_range?nocache=1&query={text}&start={}&end={}&step={}",
                seconds(self.start_ms),
                seconds(self.end_ms),
                seconds(step)
            ),
        }
    }
}

/// What a query cost a server.
#[derive(Clone)]
pub(crate) struct Cost {
    /// The middle one of the runs.
    pub(crate) wall_ms: f64,
    /// The mean of the runs.
    pub(crate) cpu_ms: f64,
    pub(crate) body: Vec<u8>,
}

/// Asks once to warm up, then as often as fits into about two seconds, three times at least. What takes longer than ten
/// seconds is asked once.
pub(crate) fn ask(server: &Server, query: &Query) -> Cost {
    let path = query.path();
    let once = || {
        let from = Instant::now();
        let reply = http::get(server.port, &path).unwrap_or_else(|error| panic!("{}: {error}", query.name));
        let text = String::from_utf8_lossy(&reply.body()[..reply.body().len().min(300)]);
        assert_eq!(reply.status, 200, "{} on {}: {text}", query.name, server.kind.name());
        (from.elapsed().as_secs_f64() * 1e3, reply)
    };
    let cpu = server.cpu_seconds();
    let (first_ms, reply) = once();
    let body = reply.body().to_vec();
    drop(reply);
    if first_ms > 10_000.0 {
        return Cost { wall_ms: first_ms, cpu_ms: (server.cpu_seconds() - cpu) * 1e3, body };
    }
    let runs = ((2000.0 / first_ms) as usize).clamp(3, 30);
    let cpu = server.cpu_seconds();
    let mut times: Vec<f64> = (0..runs).map(|_| once().0).collect();
    let cpu_ms = (server.cpu_seconds() - cpu) * 1e3 / runs as f64;
    times.sort_by(f64::total_cmp);
    Cost { wall_ms: times[runs / 2], cpu_ms, body }
}

type Points = BTreeMap<i64, f64>;

fn series(body: &[u8]) -> BTreeMap<String, Points> {
    let json: Value = serde_json::from_slice(body).expect("JSON");
    let point = |point: &Value| {
        let time_ms = (point[0].as_f64().unwrap_or(f64::NAN) * 1e3).round() as i64;
        (time_ms, point[1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN))
    };
    let result = json["data"]["result"].as_array().expect("a list of series");
    result
        .iter()
        .map(|series| {
            let points = match series.get("value") {
                Some(value) => Points::from([point(value)]),
                None => series["values"].as_array().into_iter().flatten().map(point).collect(),
            };
            (series["metric"].to_string(), points)
        })
        .collect()
}

/// How many values two answers have, and how many of them differ by more than one part in a billion.
pub(crate) fn differences(a: &[u8], b: &[u8]) -> (usize, usize) {
    if a == b {
        return (a.windows(2).filter(|pair| pair == b"\"]").count(), 0);
    }
    let (a, b) = (series(a), series(b));
    let same =
        |x: f64, y: f64| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-9 * x.abs().max(y.abs());
    let mut different = 0;
    for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
        let none = Points::new();
        let (x, y) = (a.get(name).unwrap_or(&none), b.get(name).unwrap_or(&none));
        different += x.iter().filter(|(t, x)| y.get(t).is_none_or(|y| !same(**x, *y))).count();
        different += y.keys().filter(|t| !x.contains_key(t)).count();
    }
    (a.values().map(Points::len).sum(), different)
}

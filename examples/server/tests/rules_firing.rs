//! The seven alerts of the seeds, from quiet over pending to firing: over the database at simulated times, and through
//! the real server at the present one.

mod peers;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use kymo_model::{Append, Batch, Labels, Timestamp};
use kymo_promql::{Engine, QueryOptions, QueryValue};
use kymo_remote::RequestEncoder;
use kymo_rules::{AlertState, EvalContext, Group, GroupOptions, RestoreOptions, RuleFile};
use kymo_tsdb::{Db, Options};
use peers::*;
use serde_json::Value;

/// An alert of the seeds: how long it is pending, and what it says, as far as it says something.
struct Expected {
    name: &'static str,
    for_s: i64,
    labels: &'static [(&'static str, &'static str)],
    summary: &'static str,
    /// A part of the description.
    description: &'static str,
}

const EXPECTED: [Expected; 7] = [
    Expected {
        name: "PodCrashLooping",
        for_s: 300,
        labels: &[
            ("namespace", "default"),
            ("pod", "api-7d9f"),
            ("severity", "critical"),
            ("team", "platform"),
        ],
        summary: "파드 api-7d9f가 크래시 루프 중",
        description: "네임스페이스 default의 파드\napi-7d9f (컨테이너: app)가\n지난 15분간 ",
    },
    Expected {
        name: "HighErrorRate",
        for_s: 120,
        labels: &[("service", "auth"), ("severity", "warning"), ("team", "backend")],
        summary: "auth 에러율 ",
        description: "서비스 auth의 5xx 에러율이 5%를 초과했습니다.",
    },
    Expected {
        name: "HighResponseTime",
        for_s: 300,
        labels: &[("service", "auth"), ("severity", "warning")],
        summary: "auth P99 응답시간 1초 초과",
        description: "auth의 P99 응답시간이 1.9",
    },
    Expected {
        name: "NodeMemoryPressure",
        for_s: 600,
        labels: &[("instance", "node-1"), ("severity", "warning")],
        summary: "노드 node-1 메모리 부족",
        description: "메모리 사용률 90.0%",
    },
    Expected {
        name: "PersistentVolumeAlmostFull",
        for_s: 900,
        labels: &[("persistentvolumeclaim", "data"), ("severity", "warning")],
        summary: "PV data 용량 81.0% 사용",
        description: "",
    },
    Expected {
        name: "NewServiceDown",
        for_s: 120,
        labels: &[("job", "new-service"), ("instance", "x")],
        summary: "",
        description: "",
    },
    Expected {
        name: "NewServiceHighErrorRate",
        for_s: 300,
        labels: &[("service", "new-service"), ("status", "503")],
        summary: "",
        description: "",
    },
];

/// The data of the rules at `seconds`; all is well before `broken` seconds, nothing is from there on. After `healed`
/// seconds all is well again.
fn data(seconds: i64, broken: i64, healed: i64) -> Vec<(Labels, f64)> {
    let interval = 15;
    let total = seconds / interval;
    // Intervals that were bad so far, the one that ends at `broken` included.
    let bad = ((seconds.min(healed - interval) - broken) / interval + 1).max(0);
    let bad = if seconds < broken { 0 } else { bad };
    let is_bad = seconds >= broken && seconds < healed;
    let either = |bad: f64, good: f64| if is_bad { bad } else { good };
    let (total, bad) = (total as f64, bad as f64);
    let one = |name: &str, labels: &[(&str, &str)], value: f64| {
        (Labels::from_pairs([("__name__", name)].iter().chain(labels).copied()), value)
    };
    let pod = [("namespace", "default"), ("pod", "api-7d9f"), ("container", "app")];
    let bucket = |le: &'static str, value: f64| {
        one("http_request_duration_seconds_bucket", &[("service", "auth"), ("le", le)], value)
    };
    vec![
        one("kube_pod_container_status_restarts_total", &pod, 3.0 + bad),
        one("http_requests_total", &[("service", "auth"), ("status", "200")], 1000.0 + 56.0 * total),
        one("http_requests_total", &[("service", "auth"), ("status", "500")], 10.0 + 1000.0 * bad),
        one("http_requests_total", &[("service", "new-service"), ("status", "503")], 60.0 * bad),
        bucket("1", 100.0 + 10.0 * (total - bad)),
        bucket("2", 100.0 + 10.0 * (total - bad) + 1000.0 * bad),
        bucket("+Inf", 100.0 + 10.0 * (total - bad) + 1000.0 * bad),
        one("node_memory_MemAvailable_bytes", &[("instance", "node-1")], either(10.0, 60.0)),
        one("node_memory_MemTotal_bytes", &[("instance", "node-1")], 100.0),
        one("kubelet_volume_stats_used_bytes", &[("persistentvolumeclaim", "data")], either(81.0, 20.0)),
        one("kubelet_volume_stats_capacity_bytes", &[("persistentvolumeclaim", "data")], 100.0),
        one("up", &[("job", "new-service"), ("instance", "x")], either(0.0, 1.0)),
    ]
}

/// Where seconds are counted from: on the grid of every interval used here.
const BEGIN_MS: i64 = 1_699_999_200_000;

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_millis(BEGIN_MS + seconds * 1000)
}

fn seed_rules() -> Option<String> {
    let corpora = variable("KYMO_CORPORA")?;
    Some(fs::read_to_string(corpora.join("seeds/rules.yml")).expect("the seeds' rules"))
}

fn groups(text: &str) -> Vec<Group> {
    let file = RuleFile::parse(text, "rules.yml").unwrap_or_else(|faults| panic!("{}", faults[0].render()));
    let options = GroupOptions { interval_ms: 30_000, restore: true, ..GroupOptions::default() };
    file.groups.iter().map(|group| Group::new(group, options)).collect()
}

/// A database and the rules over it.
struct World {
    db: Db,
    engine: Engine,
    groups: Vec<Group>,
}

impl World {
    fn open(dir: &Path, rules: &str) -> World {
        let db = Db::open(dir, Options::default()).expect("the database opens");
        World { db, engine: Engine::default(), groups: groups(rules) }
    }

    /// Writes what is true at a time and evaluates every group, as the server does.
    fn step(&mut self, seconds: i64, broken: i64, healed: i64) {
        let mut batch = Batch::new();
        for (labels, value) in data(seconds, broken, healed) {
            batch.push(labels, moment(seconds), value);
        }
        assert_eq!(self.db.append(&batch).expect("the append").refused, [], "at {seconds} s");
        if seconds % 30 != 0 {
            return;
        }
        for group in &mut self.groups {
            let second = group.last_evaluation().is_some();
            let context = EvalContext::new(&self.engine, &self.db);
            let outcome = group.evaluate(&context, &self.db, moment(seconds), &|| Duration::ZERO);
            assert_eq!((outcome.failed_rules, outcome.refused, outcome.warnings), (0, 0, Vec::new()));
            if second && group.needs_restore() {
                group.restore(&self.db, moment(seconds), RestoreOptions::default()).expect("the restore");
            }
        }
    }

    /// The state of each alert by name.
    fn states(&self) -> BTreeMap<String, AlertState> {
        let rules = self.groups.iter().flat_map(|group| group.rules());
        rules.map(|rule| (rule.rule().name().to_owned(), rule.alert_state())).collect()
    }

    fn active_since(&self, name: &str) -> Option<i64> {
        let rules =
            self.groups.iter().flat_map(|group| group.rules()).filter(|rule| rule.rule().name() == name);
        let alert = rules.flat_map(|rule| rule.active_alerts()).next()?;
        Some((alert.active_at.millis() - BEGIN_MS) / 1000)
    }

    /// An instant query: the labels besides the name, and the value.
    fn ask(&self, query: &str, seconds: i64) -> Vec<(Labels, f64)> {
        let expr = kymo_promql_syntax::parse(query).expect("PromQL");
        let result = self.engine.instant(&self.db, &expr, moment(seconds), &QueryOptions::default());
        match result.expect("an answer").value {
            QueryValue::Vector(samples) => samples
                .into_iter()
                .map(|sample| (sample.labels.without_metric_name(), sample.value.float().unwrap_or(f64::NAN)))
                .collect(),
            other => panic!("expected a vector, found {other:?}"),
        }
    }
}

#[test]
fn every_alert_is_pending_then_firing_at_its_time() {
    let Some(rules) = seed_rules() else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut world = World::open(dir.path(), &rules);
    const BROKEN: i64 = 600;
    const HEALED: i64 = 1800;
    // Rates see the bad time for as long as their windows reach, the longest of them 15 minutes.
    const QUIET: i64 = 2760;
    for seconds in (0..=3600).step_by(15) {
        world.step(seconds, BROKEN, HEALED);
        if seconds % 30 != 0 {
            continue;
        }
        let states = world.states();
        assert_eq!(states.len(), EXPECTED.len());
        for expected in &EXPECTED {
            let wanted = if !(BROKEN..QUIET).contains(&seconds) {
                AlertState::Inactive
            } else if seconds < BROKEN + expected.for_s {
                AlertState::Pending
            } else if seconds < HEALED {
                AlertState::Firing
            } else {
                continue;
            };
            assert_eq!(states[expected.name], wanted, "{} at {seconds} s", expected.name);
            check_stored(&world, expected, wanted, seconds, BROKEN);
        }
    }
    world.db.close().expect("the database closes");

    // What was stored is there after a restart too.
    let world = World::open(dir.path(), &rules);
    for expected in &EXPECTED {
        check_stored(&world, expected, AlertState::Firing, HEALED - 30, BROKEN);
        check_stored(&world, expected, AlertState::Inactive, 3600, BROKEN);
    }
}

/// ALERTS and ALERTS_FOR_STATE say the same as the group.
fn check_stored(world: &World, expected: &Expected, state: AlertState, seconds: i64, since: i64) {
    let name = expected.name;
    let alerts = world.ask(&format!("ALERTS{{alertname={name:?}}}"), seconds);
    let since_series = world.ask(&format!("ALERTS_FOR_STATE{{alertname={name:?}}}"), seconds);
    if state == AlertState::Inactive {
        assert_eq!((alerts, since_series), (Vec::new(), Vec::new()), "{name} at {seconds} s");
        return;
    }
    let found =
        alerts.iter().find(|(labels, _)| expected.labels.iter().all(|(n, v)| labels.get(n) == Some(*v)));
    let (labels, value) = found.unwrap_or_else(|| panic!("{name} at {seconds} s is not among {alerts:?}"));
    assert_eq!((labels.get("alertstate"), *value), (Some(state.as_str()), 1.0), "{name} at {seconds} s");
    assert!(alerts.iter().all(|(labels, _)| labels.get("alertstate") == Some(state.as_str())), "{alerts:?}");
    for (labels, value) in since_series {
        assert_eq!(value, moment(since).seconds(), "{name} at {seconds} s: {labels}");
        assert_eq!(labels.get("alertstate"), None);
    }
}

#[test]
fn the_time_before_a_restart_counts_and_the_outage_does_not() {
    let Some(rules) = seed_rules() else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut world = World::open(dir.path(), &rules);
    for seconds in (0..=720).step_by(15) {
        world.step(seconds, 600, i64::MAX / 2);
    }
    assert_eq!(world.active_since("PersistentVolumeAlmostFull"), Some(600));
    drop(world);

    // Ten minutes of outage. The alert was pending for 120 s of its 900 s: it fires after 780 s more, counted from the
    // second evaluation, which is the one that restores.
    let mut world = World::open(dir.path(), &rules);
    let (restart, restored) = (1320, 1350);
    let fires = restored + 780;
    for seconds in (restart..=fires).step_by(15) {
        world.step(seconds, 600, i64::MAX / 2);
        if seconds % 30 != 0 {
            continue;
        }
        let wanted = if seconds < fires { AlertState::Pending } else { AlertState::Firing };
        assert_eq!(world.states()["PersistentVolumeAlmostFull"], wanted, "at {seconds} s");
        let since = if seconds < restored { restart } else { restored - 120 };
        assert_eq!(world.active_since("PersistentVolumeAlmostFull"), Some(since), "at {seconds} s");
    }
}

/// The rules of the seeds with every `for` cut to a second and the first group's interval to half a second, and a rule
/// whose `for` is longer than the test, beside a series that tells when the group was evaluated.
fn fast(rules: &str) -> String {
    let lines = rules.lines().map(|line| match line.trim_start() {
        text if text.starts_with("for:") => line.replace(text, "for: 1s"),
        text if text.starts_with("interval:") => line.replace(text, "interval: 500ms"),
        _ => line.to_owned(),
    });
    let mut text = lines.collect::<Vec<_>>().join("\n");
    text.push_str(
        "\n  - name: slow\n    rules:\n      - {record: evaluated, expr: vector(1)}\n      - {alert: Slow, expr: up == 0, for: 1h}\n",
    );
    text
}

/// Ten minutes of broken data up to now.
fn push_broken_data(port: u16) {
    let end_ms = now_ms();
    let mut samples: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
    for seconds in (0..=600).step_by(15) {
        for (labels, value) in data(seconds, 15, i64::MAX / 2) {
            samples.entry(labels).or_default().push((end_ms - (600 - seconds) * 1000, value));
        }
    }
    let mut request = RequestEncoder::new();
    for (labels, samples) in &samples {
        request.series(labels, samples);
    }
    let answer = push(port, &request).expect("an answer");
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// The active alerts of a server, by name.
fn alerts(port: u16) -> BTreeMap<String, Value> {
    let found = self::peers::data(port, "/api/v1/alerts")["alerts"].as_array().cloned().unwrap_or_default();
    found
        .into_iter()
        .map(|alert| (alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned(), alert))
        .collect()
}

#[test]
fn the_server_fires_them_all_and_remembers_over_a_restart() {
    let Some(rules) = seed_rules() else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("rules.yml"), fast(&rules)).unwrap();
    let config = dir.path().join("prometheus.yml");
    fs::write(&config, "global: {evaluation_interval: 500ms}\nrule_files: [rules.yml]\nscrape_configs: []\n")
        .unwrap();
    let config_flag = format!("--config.file={}", config.display());
    let flags = [config_flag.as_str(), "--web.enable-remote-write-receiver"];
    let server = kymo(dir.path(), free_port(), &flags);
    let port = server.port;
    push_broken_data(port);

    let all_firing = |found: &BTreeMap<String, Value>| {
        EXPECTED
            .iter()
            .all(|expected| found.get(expected.name).is_some_and(|alert| alert["state"] == "firing"))
    };
    let found = eventually("all alerts fire", || alerts(port), all_firing);
    for expected in &EXPECTED {
        let listed =
            self::peers::data(port, "/api/v1/alerts")["alerts"].as_array().cloned().unwrap_or_default();
        let is_it = |alert: &&Value| {
            alert["labels"]["alertname"] == expected.name
                && expected.labels.iter().all(|(name, value)| alert["labels"][name] == *value)
        };
        let alert = listed.iter().find(is_it).unwrap_or_else(|| panic!("{}: {found:?}", expected.name));
        let text = |name: &str| alert["annotations"][name].as_str().unwrap_or_default().to_owned();
        assert!(text("summary").starts_with(expected.summary), "{alert}");
        assert!(text("description").contains(expected.description), "{alert}");
        assert!(!text("summary").contains("{{") && !text("description").contains("{{"), "{alert}");
    }
    let groups = self::peers::data(port, "/api/v1/rules?type=alert");
    for expected in &EXPECTED {
        let rules =
            groups["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array());
        let rule = rules.flatten().find(|rule| rule["name"] == expected.name).expect("the rule is listed");
        assert_eq!((&rule["state"], &rule["health"]), (&"firing".into(), &"ok".into()), "{rule}");
        assert_eq!(rule["duration"], 1, "{rule}");
        assert!(rule["alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()), "{rule}");
    }
    let stored = |query: &str| vector(port, query).len();
    eventually(
        "ALERTS",
        || stored("count by (alertname) (ALERTS{alertstate=\"firing\"})"),
        |found| *found == 7,
    );
    // The slow one is in a group of its own, which may have its turn later.
    eventually("ALERTS_FOR_STATE", || stored("count by (alertname) (ALERTS_FOR_STATE)"), |found| *found == 8);

    // Restarted, the slow alert is as old as before; all others fire again.
    eventually(
        "pending for a while",
        || vector(port, "time() - ALERTS_FOR_STATE{alertname=\"Slow\"} > 6"),
        |found| found.len() == 1,
    );
    assert_eq!(alerts(port)["Slow"]["state"], "pending");
    assert_eq!(server.stop(), Some(0));
    let restarted_ms = now_ms();
    let server = kymo(dir.path(), free_port(), &flags);
    let port = server.port;
    eventually("all alerts fire again", || alerts(port), all_firing);
    let first = eventually(
        "the first evaluation",
        || {
            let series = self::peers::data(port, "/api/v1/query?query=evaluated%5B10m%5D");
            let times = series["result"][0]["values"].as_array().cloned().unwrap_or_default();
            times
                .iter()
                .filter_map(|point| point[0].as_f64())
                .find(|time| *time * 1000.0 > restarted_ms as f64)
        },
        Option::is_some,
    );
    // ALERTS_FOR_STATE has whole seconds.
    let is_older = |found: &Vec<(Value, f64)>| found.len() == 1 && Some(found[0].1 + 1.0) < first;
    eventually(
        "the slow alert is older than this process",
        || vector(port, "ALERTS_FOR_STATE{alertname=\"Slow\"}"),
        is_older,
    );
    assert_eq!(alerts(port)["Slow"]["state"], "pending");
    assert_eq!(server.stop(), Some(0));
}

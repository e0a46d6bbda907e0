//! Groups over a store in memory: what is written, the alerts and their sending, limits, reloads and restarts.

use std::time::Duration;

use kymo_model::{
    Append, Batch, Labels, MemoryStore, Queryable, Samples, Selector, TimeRange, Timestamp, is_stale,
};
use kymo_promql::Engine;
use kymo_rules::{
    Alert, AlertState, EvalContext, Group, GroupEvaluation, GroupOptions, RestoreOptions, RuleFile,
    RuleHealth,
};

const MINUTE: i64 = 60_000;

struct World {
    engine: Engine,
    store: MemoryStore,
}

fn minute(minutes: i64) -> Timestamp {
    Timestamp::from_millis(minutes * MINUTE)
}

impl World {
    fn new() -> World {
        World { engine: Engine::default(), store: MemoryStore::default() }
    }

    fn put(&self, at: i64, series: &[(&str, &str, f64)]) {
        let mut batch = Batch::new();
        for (name, job, value) in series {
            batch.push(Labels::from_pairs([("__name__", *name), ("job", *job)]), minute(at), *value);
        }
        assert!(self.store.append(&batch).unwrap().refused.is_empty());
    }

    fn evaluate(&self, group: &mut Group, at: i64) -> GroupEvaluation {
        let context = EvalContext::new(&self.engine, &self.store);
        group.evaluate(&context, &self.store, minute(at), &|| Duration::from_secs(1))
    }

    /// Every sample of series of this name: `labels minute=value …`.
    fn dump(&self, name: &str) -> Vec<String> {
        let wanted = Selector::new(vec![kymo_model::Matcher::equal("__name__", name)], TimeRange::ALL);
        let mut lines = Vec::new();
        for series in self.store.select(&wanted).unwrap().iter() {
            let mut line = series.labels().without_metric_name().to_string();
            let (mut samples, mut reader) = (Samples::new(), series.reader());
            while reader.read(&mut samples).unwrap() {
                for (time, value) in samples.timestamps_ms.iter().zip(samples.floats().unwrap()) {
                    let value = if is_stale(*value) { "stale".to_owned() } else { value.to_string() };
                    line += &format!(" {}={value}", time / MINUTE);
                }
            }
            lines.push(line);
        }
        lines.sort();
        lines
    }
}

fn group_of(rules: &str, options: GroupOptions) -> Group {
    let text = format!("groups: [{{name: g, {rules}}}]");
    let file =
        RuleFile::parse(&text, "r.yml").unwrap_or_else(|faults| panic!("{text}: {}", faults[0].render()));
    Group::new(&file.groups[0], options)
}

fn states(group: &Group) -> Vec<(String, AlertState)> {
    let alerts = group.rules().iter().flat_map(|rule| rule.active_alerts());
    alerts.map(|alert: &Alert| (alert.labels.to_string(), alert.state)).collect()
}

#[test]
fn recording_rules_write_and_end_series() {
    let world = World::new();
    let mut group = group_of(
        "rules: [{record: doubled, expr: x * 2, labels: {k: v, job: ''}}, {record: again, expr: doubled + 1}]",
        GroupOptions::default(),
    );
    world.put(0, &[("x", "a", 1.0)]);
    let outcome = world.evaluate(&mut group, 0);
    assert_eq!((outcome.appended, outcome.refused, outcome.failed_rules), (2, 0, 0));
    world.put(1, &[("x", "a", kymo_model::STALE_NAN)]);
    world.evaluate(&mut group, 1);
    world.evaluate(&mut group, 2);
    assert_eq!(world.dump("doubled"), [r#"{k="v"} 0=2 1=stale"#]);
    assert_eq!(world.dump("again"), [r#"{k="v"} 0=3 1=stale"#]);
    assert_eq!(group.rules()[0].health(), RuleHealth::Ok);
    assert_eq!(group.last_evaluation(), Some(minute(2)));
}

#[test]
fn query_offset_moves_queries_and_samples() {
    let world = World::new();
    let rules = "query_offset: 2m, rules: [{record: r, expr: x}, {alert: A, expr: x > 0}]";
    let mut group = group_of(rules, GroupOptions::default());
    world.put(0, &[("x", "a", 1.0)]);
    world.put(5, &[("x", "a", 5.0)]);
    world.evaluate(&mut group, 6);
    assert_eq!(world.dump("r"), [r#"{job="a"} 4=1"#]);
    assert_eq!(world.dump("ALERTS_FOR_STATE"), [r#"{alertname="A", job="a"} 4=360"#]);
}

#[test]
fn failures_are_kept_until_the_next_good_evaluation() {
    let world = World::new();
    let mut group = group_of(
        "limit: 1, rules: [{record: r, expr: x}, {record: s, expr: 'x[5m]'}, {record: t, expr: x, labels: {job: z}}, \
         {record: u, expr: 1}]",
        GroupOptions::default(),
    );
    world.put(0, &[("x", "a", 1.0), ("x", "b", 1.0)]);
    let outcome = world.evaluate(&mut group, 0);
    assert_eq!((outcome.appended, outcome.failed_rules), (1, 3));
    let errors: Vec<String> =
        group.rules().iter().filter_map(|r| r.last_error()).map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "exceeded limit of 1 with 2 series",
            "rule result is not a vector or scalar",
            "vector contains metrics with the same labelset after applying rule labels",
        ]
    );
    world.put(1, &[("x", "b", kymo_model::STALE_NAN)]);
    world.evaluate(&mut group, 1);
    let healths: Vec<&str> = group.rules().iter().map(|r| r.health().as_str()).collect();
    assert_eq!(healths, ["ok", "err", "ok", "ok"]);
    assert!(group.rules()[0].last_error().is_none());
}

#[test]
fn alerts_move_on_and_are_sent() {
    let world = World::new();
    let rules = "interval: 1m, rules: [{alert: A, expr: x > 0, for: 2m, annotations: {v: '{{ $value }}'}}]";
    let mut group = group_of(rules, GroupOptions::default());
    let name = r#"{alertname="A", job="a"}"#.to_owned();
    let mut sent = Vec::new();
    for at in 0..20 {
        world.put(at, &[("x", "a", if at < 5 { at as f64 + 1.0 } else { 0.0 })]);
        world.evaluate(&mut group, at);
        for to_send in group.alerts_to_send(minute(at), 2 * MINUTE) {
            assert_eq!(to_send.alert.valid_until, Some(minute(at + 8)));
            assert_eq!(to_send.expr, "x > 0");
            sent.push((at, to_send.alert.state, to_send.alert.annotations["v"].clone()));
        }
        match at {
            0 | 1 => assert_eq!(states(&group), [(name.clone(), AlertState::Pending)]),
            2..5 => assert_eq!(states(&group), [(name.clone(), AlertState::Firing)]),
            _ => assert!(states(&group).is_empty()),
        }
    }
    // Resent when last sent more than two minutes ago, at once when resolved, then on.
    let expected: Vec<(i64, AlertState, String)> =
        [(2, "3"), (5, "5"), (8, "5"), (11, "5"), (14, "5"), (17, "5")]
            .map(|(at, v)| (at, if at < 5 { AlertState::Firing } else { AlertState::Inactive }, v.to_owned()))
            .to_vec();
    assert_eq!(sent, expected);
    assert_eq!(
        world.dump("ALERTS"),
        [
            r#"{alertname="A", alertstate="firing", job="a"} 2=1 3=1 4=1 5=stale"#,
            r#"{alertname="A", alertstate="pending", job="a"} 0=1 1=1 2=stale"#,
        ]
    );
    assert_eq!(world.dump("ALERTS_FOR_STATE"), [r#"{alertname="A", job="a"} 0=0 1=0 2=0 3=0 4=0 5=stale"#]);
}

#[test]
fn alert_limit_forgets_the_alerts() {
    let world = World::new();
    let mut group = group_of("limit: 1, rules: [{alert: A, expr: x > 0}]", GroupOptions::default());
    world.put(0, &[("x", "a", 1.0)]);
    world.evaluate(&mut group, 0);
    assert_eq!(states(&group).len(), 1);
    world.put(1, &[("x", "a", 1.0), ("x", "b", 1.0)]);
    world.evaluate(&mut group, 1);
    assert_eq!(group.rules()[0].last_error().unwrap().to_string(), "exceeded limit of 1 with 2 alerts");
    assert!(states(&group).is_empty());
}

#[test]
fn a_template_that_fails_says_so_in_the_text() {
    let world = World::new();
    let rules = r#"rules: [{alert: A, expr: x > 0, annotations: {v: '{{ humanize "z" }}'}}]"#;
    let mut group = group_of(rules, GroupOptions::default());
    world.put(0, &[("x", "a", 1.0)]);
    let outcome = world.evaluate(&mut group, 0);
    let alert = group.rules()[0].active_alerts().next().unwrap();
    assert_eq!(
        alert.annotations["v"],
        "<error expanding template: error executing template __alert_A: template: __alert_A:1:115: executing \
         \"__alert_A\" at <humanize \"z\">: error calling humanize: strconv.ParseFloat: parsing \"z\": invalid syntax>"
    );
    assert_eq!(outcome.warnings.len(), 1);
}

#[test]
fn a_reload_keeps_what_is_the_same() {
    let world = World::new();
    let mut old = group_of(
        "rules: [{record: gone, expr: x}, {record: kept, expr: x}, {alert: A, expr: x > 0, for: 2m}]",
        GroupOptions::default(),
    );
    world.put(0, &[("x", "a", 1.0)]);
    world.evaluate(&mut old, 0);
    let mut new = group_of(
        "rules: [{alert: A, expr: x > 0, for: 1m}, {record: kept, expr: x + 1}]",
        GroupOptions::default(),
    );
    new.adopt(old.clone());
    world.evaluate(&mut new, 1);
    assert_eq!(world.dump("gone"), [r#"{job="a"} 0=1 1=stale"#]);
    assert_eq!(world.dump("kept"), [r#"{job="a"} 0=1 1=2"#]);
    assert_eq!(states(&new), [(r#"{alertname="A", job="a"}"#.to_owned(), AlertState::Firing)]);
    // A group without a successor ends all it wrote.
    assert_eq!(old.stale_markers(minute(1)).len(), 4);
    assert_eq!(new.stale_markers(minute(2)).len(), 3);
}

/// Down from minute 3 to minute `up`; what the alert's `activeAt` is after the restart.
fn check_restore(labels: &str, up: i64, outage_min: i64, expected_active_min: i64) {
    let world = World::new();
    let rules = format!("rules: [{{alert: A, expr: x > 0, for: 30m, labels: {labels}}}]");
    let mut before = group_of(&rules, GroupOptions::default());
    for at in 0..=3 {
        world.put(at, &[("x", "a", 1.0)]);
        world.evaluate(&mut before, at);
    }
    let mut after = group_of(&rules, GroupOptions { restore: true, ..GroupOptions::default() });
    for at in [up, up + 1] {
        world.put(at, &[("x", "a", 1.0)]);
        world.evaluate(&mut after, at);
    }
    assert!(after.needs_restore());
    assert!(world.dump("ALERTS")[0].ends_with(" 3=1"), "nothing is written before the restore");
    let options = RestoreOptions { outage_tolerance_ms: outage_min * MINUTE, ..RestoreOptions::default() };
    after.restore(&world.store, minute(up + 1), options).unwrap();
    assert!(!after.needs_restore());
    let alert = after.rules()[0].active_alerts().next().unwrap();
    assert_eq!(alert.active_at, minute(expected_active_min));
}

#[test]
fn restarts_restore_for() {
    check_restore("{}", 10, 60, 8); // active since 0, down for 11-3 = 8 minutes
    check_restore("{s: '{{ $value }}', none: '{{ $labels.none }}'}", 10, 60, 8);
    check_restore("{}", 10, 7, 10); // too long ago
}

#[test]
fn groups_are_spread_over_their_interval() {
    let group = group_of("interval: 1m, rules: []", GroupOptions::default());
    for now in [0, 1, 59_999, 1_700_000_012_345, -5] {
        let aligned = group.aligned(Timestamp::from_millis(now));
        assert!((0..MINUTE).contains(&(now - aligned.millis())), "{now} {aligned}");
        assert_eq!(group.aligned(aligned), aligned);
    }
}

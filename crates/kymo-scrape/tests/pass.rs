//! The pure core: what a response becomes in a store that gives handles, as Prometheus would write it.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;

use kymo_exposition::Format;
use kymo_model::{
    Appended, Batch, Labels, Refusal, RefusedRow, RowSeries, SampleValue, SeriesHandle, Timestamp, is_stale,
};
use kymo_scrape::config::Config;
use kymo_scrape::{Report, SampleRules, ScrapeCache};

/// A store of handles that keeps what it is given as text: `labels @time = value`.
#[derive(Default)]
struct Store {
    handles: HashMap<Labels, SeriesHandle>,
    labels: HashMap<SeriesHandle, Labels>,
    handles_given: u64,
    rows_by_label: usize,
    limit: Option<usize>,
}

impl Store {
    fn append(&mut self, batch: &Batch, log: &mut Vec<String>) -> Appended {
        let mut out = Appended::default();
        self.rows_by_label = 0;
        for (row, sample) in batch.rows().iter().enumerate() {
            let labels = match &sample.series {
                RowSeries::Handle(handle) => match self.labels.get(handle) {
                    Some(labels) => labels.clone(),
                    None => {
                        out.refused.push(RefusedRow { row, reason: Refusal::UnknownHandle });
                        continue;
                    }
                },
                RowSeries::Labels(labels) => {
                    self.rows_by_label += 1;
                    if !self.handles.contains_key(labels)
                        && self.limit.is_some_and(|l| self.labels.len() >= l)
                    {
                        out.refused.push(RefusedRow { row, reason: Refusal::SeriesLimit });
                        continue;
                    }
                    let handle = *self.handles.entry(labels.clone()).or_insert_with(|| {
                        self.handles_given += 1;
                        SeriesHandle::new(NonZeroU64::new(self.handles_given).unwrap())
                    });
                    self.labels.insert(handle, labels.clone());
                    out.handles.push((row, handle));
                    labels.clone()
                }
            };
            out.appended += 1;
            let SampleValue::Float(value) = sample.value else { panic!("only floats are scraped") };
            let value = if is_stale(value) { "stale".to_owned() } else { value.to_string() };
            log.push(format!("{labels} @{} = {value}", sample.timestamp.millis()));
        }
        out
    }

    /// Forgets every series, as a store does that dropped idle ones.
    fn forget(&mut self) {
        self.handles.clear();
        self.labels.clear();
    }
}

struct Target {
    cache: ScrapeCache,
    store: Store,
    now: i64,
}

impl Target {
    /// A job by the keys that differ from the defaults.
    fn new(job: &str) -> Target {
        Target::with_labels(job, &[("job", "j"), ("instance", "i")])
    }

    fn with_labels(job: &str, labels: &[(&str, &str)]) -> Target {
        let cache = ScrapeCache::new(Labels::from_pairs(labels.iter().copied()), rules(job));
        Target { cache, store: Store::default(), now: 0 }
    }

    /// Scrapes a second later and gives what was stored, without the report, in order.
    fn scrape(&mut self, body: &str) -> Vec<String> {
        let (log, error) = self.try_scrape(body);
        assert_eq!(error, None);
        log
    }

    fn try_scrape(&mut self, body: &str) -> (Vec<String>, Option<String>) {
        self.now += 1000;
        let now = Timestamp::from_millis(self.now);
        let error = self.cache.scrape(Format::Text, body.as_bytes(), now).err().map(|e| e.to_string());
        self.cache.report(now, &Report { up: error.is_none(), ..Report::default() });
        (self.commit(), error)
    }

    fn fail(&mut self) -> Vec<String> {
        self.now += 1000;
        let now = Timestamp::from_millis(self.now);
        self.cache.scrape_failed(now);
        self.cache.report(now, &Report::default());
        self.commit()
    }

    fn commit(&mut self) -> Vec<String> {
        let mut log = Vec::new();
        let appended = self.store.append(self.cache.batch(), &mut log);
        if self.cache.applied(&appended) {
            let again = self.store.append(self.cache.batch(), &mut log);
            assert!(!self.cache.applied(&again));
        }
        log.retain(|line| {
            !line.starts_with("up{") && !line.starts_with("up ") && !line.starts_with("scrape_")
        });
        log
    }
}

fn rules(job: &str) -> SampleRules {
    let text = format!("scrape_configs:\n- job_name: j\n{job}");
    let config = Config::parse(&text, "p.yml").unwrap_or_else(|e| panic!("{e}"));
    SampleRules::from(&**config.jobs().next().unwrap())
}

/// One scrape of `body`; `want` is what is stored, by labels and value.
#[track_caller]
fn check(job: &str, target: &[(&str, &str)], body: &str, want: &[&str]) {
    let got = Target::with_labels(job, target).scrape(body);
    let got: Vec<String> = got.iter().map(|line| line.replace(" @1000", "")).collect();
    assert_eq!(got, want, "{body}");
}

#[test]
fn labels_of_the_target_and_of_the_sample() {
    let target = [("job", "j"), ("a", "target")];
    check("", &target, "m 1\n", &[r#"m{a="target", job="j"} = 1"#]);
    check("", &target, "m{a=\"own\"} 1\n", &[r#"m{a="target", exported_a="own", job="j"} = 1"#]);
    check("", &target, "m{a=\"\"} 1\n", &[r#"m{a="target", job="j"} = 1"#]);
    check(
        "",
        &target,
        "m{a=\"x\",exported_a=\"y\"} 1\n",
        &[r#"m{a="target", exported_a="y", exported_exported_a="x", job="j"} = 1"#],
    );
    check(
        "",
        &[("a", "1"), ("exported_a", "2")],
        "m{a=\"x\",exported_a=\"y\"} 1\n",
        &[r#"m{a="1", exported_a="2", exported_exported_a="x", exported_exported_exported_a="y"} = 1"#],
    );
    let honor = "  honor_labels: true\n";
    check(honor, &target, "m{a=\"own\"} 1\n", &[r#"m{a="own", job="j"} = 1"#]);
    check(honor, &target, "m{b=\"own\"} 1\n", &[r#"m{a="target", b="own", job="j"} = 1"#]);
    // The Pushgateway says so that a group has no such label.
    check(honor, &target, "m{a=\"\"} 1\n", &[r#"m{job="j"} = 1"#]);
}

#[test]
fn metric_relabelling() {
    let job = "  metric_relabel_configs:\n  - {action: drop, source_labels: [__name__], regex: 'go_.*'}\n  - {action: labeldrop, regex: tmp}\n";
    check(job, &[], "go_a 1\nm{tmp=\"1\"} 2\nn 3\n", &["m = 2", "n = 3"]);
    let rename = "  metric_relabel_configs: [{source_labels: [__name__], regex: '(.*)', target_label: __name__, replacement: 'x_$1'}]\n";
    check(rename, &[], "m 1\n", &["x_m = 1"]);
}

#[test]
fn series_that_vanish_end() {
    let mut target = Target::with_labels("", &[]);
    assert_eq!(target.scrape("a 1\nb 2\nc 3\n"), ["a @1000 = 1", "b @1000 = 2", "c @1000 = 3"]);
    assert_eq!(target.scrape("a 1\nc 4\n"), ["a @2000 = 1", "c @2000 = 4", "b @2000 = stale"]);
    assert_eq!(target.scrape("c 5\na 1\n"), ["c @3000 = 5", "a @3000 = 1"]);
    assert_eq!(target.scrape("a 1\nb 9\nc 5\n"), ["a @4000 = 1", "b @4000 = 9", "c @4000 = 5"]);
    assert_eq!(target.scrape(""), ["a @5000 = stale", "b @5000 = stale", "c @5000 = stale"]);
    assert_eq!(target.scrape(""), [] as [&str; 0]);
}

#[test]
fn a_failed_scrape_ends_everything_once() {
    let mut target = Target::with_labels("", &[]);
    target.scrape("a 1\nb 2\n");
    assert_eq!(target.fail(), ["a @2000 = stale", "b @2000 = stale"]);
    assert_eq!(target.fail(), [] as [&str; 0]);
    assert_eq!(target.scrape("a 1\nb 2\n"), ["a @4000 = 1", "b @4000 = 2"]);
    let (log, error) = target.try_scrape("a 1\nb two\n");
    assert_eq!(log, ["a @5000 = stale", "b @5000 = stale"]);
    assert!(error.unwrap().contains("line 2"), "a place");
    assert_eq!(target.scrape("a 1\n"), ["a @6000 = 1"]);
}

/// The clock may not have got to the time of the last scrape yet, which is put on a grid.
#[test]
fn the_end_comes_behind_the_last_scrape() {
    for (clock_ms, end_ms) in [(998, 1001), (1000, 1001), (1001, 1001), (1500, 1500)] {
        let mut target = Target::with_labels("", &[]);
        target.scrape("a 1\n");
        target.cache.end_of_run(Timestamp::from_millis(clock_ms));
        let mut log = Vec::new();
        target.store.append(target.cache.batch(), &mut log);
        let end = format!("@{end_ms} = stale");
        assert!(log.len() >= 6 && log.iter().all(|line| line.ends_with(&end)), "{clock_ms}: {log:?}");
    }
}

#[test]
fn the_end_of_a_target() {
    let mut target = Target::with_labels("", &[]);
    target.scrape("a 1\n");
    target.cache.end_of_run(Timestamp::from_millis(2000));
    let mut log = Vec::new();
    let appended = target.store.append(target.cache.batch(), &mut log);
    target.cache.applied(&appended);
    assert!(log.iter().all(|line| line.ends_with("@2000 = stale")), "{log:?}");
    let mut names: Vec<&str> = log.iter().filter_map(|line| line.split(' ').next()).collect();
    names.truncate(6);
    assert_eq!(
        names,
        [
            "a",
            "up",
            "scrape_duration_seconds",
            "scrape_samples_scraped",
            "scrape_samples_post_metric_relabeling",
            "scrape_series_added"
        ]
    );
}

#[test]
fn timestamps_of_the_target() {
    let mut target = Target::with_labels("", &[]);
    assert_eq!(target.scrape("a 1 500\nb 2\n"), ["a @500 = 1", "b @1000 = 2"]);
    assert_eq!(target.scrape("b 2\n"), ["b @2000 = 2"], "a series with timestamps gets no marker");
    let mut target = Target::with_labels("  track_timestamps_staleness: true\n", &[]);
    target.scrape("a 1 500\nb 2\n");
    assert_eq!(target.scrape("b 2\n"), ["b @2000 = 2", "a @2000 = stale"]);
    let mut target = Target::with_labels("  honor_timestamps: false\n", &[]);
    assert_eq!(target.scrape("a 1 500\n"), ["a @1000 = 1"]);
    assert_eq!(target.scrape(""), ["a @2000 = stale"]);
}

#[test]
fn a_series_that_comes_twice() {
    let mut target = Target::with_labels("", &[]);
    assert_eq!(
        target.scrape("a 1\na 2\nb{x=\"1\",} 3\nb{x=\"1\"} 4\n"),
        ["a @1000 = 1", "b{x=\"1\"} @1000 = 3"]
    );
    assert_eq!((target.cache.counts().duplicates, target.cache.counts().kept), (2, 4));
    // Another spelling of the same series is the same series.
    assert_eq!(target.scrape("a 1\nb{ x=\"1\" } 5\n"), ["a @2000 = 1", "b{x=\"1\"} @2000 = 5"]);
    // With timestamps, several samples of a series may come.
    assert_eq!(target.scrape("a 1 10\na 2 20\n")[..2], ["a @10 = 1", "a @20 = 2"]);
}

#[test]
fn limits_fail_the_whole_scrape() {
    for (job, body, want) in [
        ("  sample_limit: 2\n", "a 1\nb 2\nc 3\n", "sample limit exceeded"),
        (
            "  label_limit: 2\n",
            "a{x=\"1\",y=\"2\"} 1\n",
            "label_limit exceeded (metric: a, number of labels: 3, limit: 2)",
        ),
        (
            "  label_name_length_limit: 8\n",
            "a{very_long=\"1\"} 1\n",
            "label_name_length_limit exceeded (metric: a, label name: very_long, length: 9, limit: 8)",
        ),
        (
            "  label_value_length_limit: 3\n",
            "a{x=\"long\"} 1\n",
            "label_value_length_limit exceeded (metric: a, label name: x, value: \"long\", length: 4, limit: 3)",
        ),
        (
            "  metric_name_validation_scheme: legacy\n",
            "{\"a.b\"} 1\n",
            "invalid metric name or label names: {\"a.b\"}",
        ),
        (
            "  metric_relabel_configs: [{action: labeldrop, regex: __name__}]\n",
            "a{x=\"1\"} 1\n",
            "missing metric name (__name__ label)",
        ),
    ] {
        let (log, error) = Target::with_labels(job, &[]).try_scrape(body);
        assert_eq!(error.as_deref(), Some(want));
        assert_eq!(log, [] as [&str; 0], "{want}");
    }
    let dropped = "  sample_limit: 1\n  metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: b}]\n";
    assert_eq!(Target::with_labels(dropped, &[]).scrape("a 1\nb 2\n"), ["a @1000 = 1"]);
}

#[test]
fn the_steady_state_uses_handles() {
    let mut target = Target::new("");
    let body: String = (0..100).map(|n| format!("m{{n=\"{n}\"}} {n}\n")).collect();
    target.scrape(&body);
    assert_eq!(target.store.rows_by_label, 105);
    target.scrape(&body);
    assert_eq!(target.store.rows_by_label, 0);
    target.store.forget();
    let log = target.scrape(&body);
    assert_eq!((log.len(), target.store.rows_by_label), (100, 105), "sent again with labels");
    target.scrape(&body);
    assert_eq!(target.store.rows_by_label, 0);
}

#[test]
fn markers_of_series_that_the_store_forgot_are_not_sent_again() {
    let mut target = Target::with_labels("", &[]);
    target.scrape("a 1\nb 1\n");
    target.store.forget();
    assert_eq!(target.scrape("a 1\n"), ["a @2000 = 1"]);
    assert_eq!(target.scrape("a 1\n"), ["a @3000 = 1"]);
}

#[test]
fn refused_series_owe_no_marker() {
    let mut target = Target::with_labels("", &[]);
    target.store.limit = Some(1);
    assert_eq!(target.scrape("a 1\nb 1\n"), ["a @1000 = 1"]);
    assert_eq!(target.cache.counts().refused, 1);
    assert_eq!(target.scrape("a 1\n"), ["a @2000 = 1"]);
}

#[test]
fn an_abandoned_batch_leaves_everything_owed() {
    let mut target = Target::with_labels("", &[]);
    target.scrape("a 1\nb 1\n");
    target.cache.scrape(Format::Text, b"a 2\nc 1\n", Timestamp::from_millis(1500)).unwrap();
    target.cache.abandoned();
    assert_eq!(target.scrape("a 2\n"), ["a @2000 = 2", "b @2000 = stale"]);
}

#[test]
fn new_rules_end_what_they_drop() {
    let mut target = Target::with_labels("", &[]);
    target.scrape("a 1\nb 1\n");
    target.cache.set_rules(rules(
        "  metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: b}]\n",
    ));
    assert_eq!(target.scrape("a 1\nb 1\n"), ["a @2000 = 1", "b @2000 = stale"]);
    target.cache.set_rules(rules(""));
    assert_eq!(target.scrape("a 1\nb 1\n"), ["a @3000 = 1", "b @3000 = 1"]);
}

#[test]
fn the_report() {
    let rules = rules(
        "  extra_scrape_metrics: true\n  sample_limit: 9\n  metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: b}]\n",
    );
    let mut cache = ScrapeCache::new(Labels::from_pairs([("job", "j")]), rules);
    let now = Timestamp::from_millis(1);
    cache.scrape(Format::Text, b"a 1\nb 2\n", now).unwrap();
    let report = Report { up: true, duration_seconds: 0.5, timeout_seconds: 10.0, body_bytes: 8 };
    cache.report(now, &report);
    let got: BTreeMap<String, f64> = cache
        .batch()
        .rows()
        .iter()
        .map(|row| match (&row.series, &row.value) {
            (RowSeries::Labels(labels), SampleValue::Float(value)) => (labels.to_string(), *value),
            other => panic!("{other:?}"),
        })
        .collect();
    let want = [
        ("a", 1.0),
        ("scrape_body_size_bytes", 8.0),
        ("scrape_duration_seconds", 0.5),
        ("scrape_sample_limit", 9.0),
        ("scrape_samples_post_metric_relabeling", 1.0),
        ("scrape_samples_scraped", 2.0),
        ("scrape_series_added", 1.0),
        ("scrape_timeout_seconds", 10.0),
        ("up", 1.0),
    ];
    let want: BTreeMap<String, f64> =
        want.into_iter().map(|(name, value)| (format!("{name}{{job=\"j\"}}"), value)).collect();
    assert_eq!(got, want);
}

#[test]
fn metadata_is_kept_and_forgotten() {
    let mut target = Target::new("");
    target.scrape("# HELP a some\\nhelp\n# TYPE a counter\na 1\n# TYPE b gauge\nb 1\n");
    let entries = target.cache.metadata();
    let seen: Vec<(&str, &str, &str)> = entries
        .iter()
        .map(|e| (e.metric.as_str(), e.metadata.metric_type.as_str(), e.metadata.help.as_str()))
        .collect();
    assert_eq!(seen, [("a", "counter", "some\nhelp"), ("b", "gauge", "")]);
    for _ in 0..12 {
        target.scrape("# TYPE b gauge\nb 1\n");
    }
    assert_eq!(target.cache.metadata().len(), 1);
}

/// Random bodies against a model: the last value of each series, and who owes a marker.
#[test]
fn random_bodies_agree_with_a_model() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut target = Target::with_labels("", &[]);
    let mut alive: Vec<u64> = Vec::new();
    for round in 0..500 {
        if random(10) == 0 {
            let mut got = target.fail();
            got.sort();
            let mut want: Vec<String> =
                alive.drain(..).map(|n| format!("m{{n=\"{n}\"}} @{} = stale", target.now)).collect();
            want.sort();
            assert_eq!(got, want, "round {round}");
            continue;
        }
        if random(20) == 0 {
            target.store.forget();
            // What the store forgot, it does not end.
            alive.clear();
            target.cache.scrape_failed(Timestamp::from_millis(target.now));
            target.commit();
        }
        let mut now: Vec<u64> = (0..random(30)).map(|_| random(40)).collect();
        let mut seen = std::collections::HashSet::new();
        now.retain(|n| seen.insert(*n));
        let body: String = now.iter().map(|n| format!("m{{n=\"{n}\"}} {round}\n")).collect();
        let mut got = target.scrape(&body);
        got.sort();
        let time = target.now;
        let mut want: Vec<String> = now.iter().map(|n| format!("m{{n=\"{n}\"}} @{time} = {round}")).collect();
        want.extend(
            alive.iter().filter(|n| !now.contains(n)).map(|n| format!("m{{n=\"{n}\"}} @{time} = stale")),
        );
        want.sort();
        assert_eq!(got, want, "round {round}");
        alive = now;
    }
}

//! Exemplars and metadata of scrapes: what goes into the batch, and what goes once more.

use std::collections::HashMap;
use std::num::NonZeroU64;

use kymo_exposition::Format;
use kymo_model::{
    Appended, Batch, ExemplarRefusal, Labels, Refusal, RefusedExemplar, RefusedRow, RowSeries, SeriesHandle,
    Timestamp,
};
use kymo_scrape::config::Config;
use kymo_scrape::{Report, SampleRules, ScrapeCache};

/// Keeps what it is given as text, and knows the series by handle.
#[derive(Default)]
struct Store {
    known: HashMap<SeriesHandle, Labels>,
    given: u64,
    exemplars: Vec<String>,
    families: Vec<String>,
}

impl Store {
    fn labels(&self, series: &RowSeries) -> Option<Labels> {
        match series {
            RowSeries::Labels(labels) => Some(labels.clone()),
            RowSeries::Handle(handle) => self.known.get(handle).cloned(),
        }
    }

    fn append(&mut self, batch: &Batch) -> Appended {
        let mut out = Appended::default();
        for (row, sample) in batch.rows().iter().enumerate() {
            match (&sample.series, self.labels(&sample.series)) {
                (_, None) => out.refused.push(RefusedRow { row, reason: Refusal::UnknownHandle }),
                (RowSeries::Labels(_), Some(labels)) => {
                    self.given += 1;
                    let handle = SeriesHandle::new(NonZeroU64::new(self.given).unwrap());
                    self.known.insert(handle, labels);
                    out.handles.push((row, handle));
                }
                _ => {}
            }
        }
        for (index, one) in batch.exemplars().iter().enumerate() {
            let Some(labels) = self.labels(&one.series) else {
                out.exemplars_refused.push(RefusedExemplar { index, reason: ExemplarRefusal::UnknownHandle });
                continue;
            };
            if one.exemplar.label_chars() > 128 {
                out.exemplars_refused.push(RefusedExemplar { index, reason: ExemplarRefusal::LabelsTooLong });
                continue;
            }
            out.exemplars += 1;
            let own = one.exemplar.timestamp.map_or("-".to_owned(), |t| t.millis().to_string());
            let (of, value) = (&one.exemplar.labels, one.exemplar.value);
            self.exemplars.push(format!("{labels} {of} {value} {own} {}", one.sample_timestamp.millis()));
        }
        self.families.extend(batch.metadata().iter().map(|family| {
            let kymo_model::Metadata { metric_type, unit, help } = &family.metadata;
            format!("{} {metric_type} {unit} {help}", family.name)
        }));
        out
    }
}

struct Target {
    cache: ScrapeCache,
    store: Store,
}

impl Target {
    fn new(job: &str) -> Target {
        let text = format!("scrape_configs:\n- job_name: j\n{job}");
        let config = Config::parse(&text, "p.yml").unwrap_or_else(|e| panic!("{e}"));
        let rules = SampleRules::from(&**config.jobs().next().unwrap());
        let cache = ScrapeCache::new(Labels::from_pairs([("job", "j")]), rules);
        Target { cache, store: Store::default() }
    }

    /// The exemplars that are stored, and the metadata.
    fn scrape(&mut self, format: Format, body: &str, now_ms: i64) -> (Vec<String>, Vec<String>) {
        let now = Timestamp::from_millis(now_ms);
        let up = self.cache.scrape(format, body.as_bytes(), now).is_ok();
        self.cache.report(now, &Report { up, ..Report::default() });
        for _ in 0..2 {
            let appended = self.store.append(self.cache.batch());
            if !self.cache.applied(&appended) {
                break;
            }
        }
        (std::mem::take(&mut self.store.exemplars), std::mem::take(&mut self.store.families))
    }

    fn exemplars(&mut self, body: &str, now_ms: i64) -> Vec<String> {
        self.scrape(Format::OpenMetrics, &format!("{body}# EOF\n"), now_ms).0
    }
}

const BODY: &str =
    "a_total 3 1.5 # {trace_id=\"x\"} 0.5 1.25\na_total{l=\"1\"} 3 1.5 # {} 7\nb 4 # {t=\"y\"} 1\n";

#[test]
fn times_and_labels() {
    let mut target = Target::new("");
    let expected = [
        r#"a_total{job="j"} {trace_id="x"} 0.5 1250 1500"#,
        r#"a_total{job="j", l="1"} {} 7 - 1500"#,
        r#"b{job="j"} {t="y"} 1 - 9000"#,
    ];
    // First with labels, then by handle.
    assert_eq!(target.exemplars(BODY, 9000), expected);
    assert_eq!(target.exemplars(BODY, 9000), expected);
    assert_eq!(target.cache.counts().exemplars, 3);
    // The time of the exemplar is its own; that of the sample is not honoured.
    let mut target = Target::new("  honor_timestamps: false\n");
    let expected = expected.map(|line| line.replace(" 1500", " 9000"));
    assert_eq!(target.exemplars(BODY, 9000), expected);
}

#[test]
fn relabelling_is_for_their_series() {
    let job = "  metric_relabel_configs:\n  - {source_labels: [__name__], regex: b, action: drop}\n  - {target_label: n, replacement: new}\n";
    let expected = [
        r#"a_total{job="j", n="new"} {trace_id="x"} 0.5 1250 1500"#,
        r#"a_total{job="j", l="1", n="new"} {} 7 - 1500"#,
    ];
    assert_eq!(Target::new(job).exemplars(BODY, 1), expected);
}

#[test]
fn the_text_format_has_none() {
    let (exemplars, families) =
        Target::new("").scrape(Format::Text, "# TYPE a counter\n# {trace_id=\"x\"} 1\na 1\n", 0);
    assert_eq!((exemplars.len(), families), (0, vec!["a counter  ".to_owned()]));
}

#[test]
fn a_store_that_forgot_the_series_gets_them_once_more() {
    let mut target = Target::new("");
    let expected = target.exemplars(BODY, 9000);
    target.store.known.clear();
    assert_eq!(target.exemplars(BODY, 9000), expected);
    assert_eq!((target.cache.counts().exemplars, target.cache.counts().exemplars_refused), (3, 0));
}

#[test]
fn what_is_wrong_with_them() {
    let mut target = Target::new("");
    let long = format!("a 1 # {{t=\"{}\"}} 1\nb 1 # {{t=\"x\"}} 2\n", "é".repeat(128));
    assert_eq!(target.exemplars(&long, 1), [r#"b{job="j"} {t="x"} 2 - 1"#]);
    assert_eq!((target.cache.counts().exemplars, target.cache.counts().exemplars_refused), (1, 1));
    // Labels that are none fail no scrape.
    assert_eq!(
        target.exemplars("a 1 # {t=\"x\",t=\"y\"} 1\nb 1 # {t=\"x\"} 3\n", 2),
        [r#"b{job="j"} {t="x"} 3 - 2"#]
    );
    assert_eq!((target.cache.counts().kept, target.cache.counts().exemplars_refused), (2, 1));
    // A body that is no OpenMetrics brings nothing.
    for bad in ["a 1 # {t=\"x\"\n", "a 1 # {t=\"x\"} y\n", "b 1 # {t=\"x\"} 3\na 1 # {t\n"] {
        assert!(target.exemplars(bad, 2).is_empty(), "{bad}");
    }
    // Over the limit of samples nothing counts.
    let mut target = Target::new("  sample_limit: 2\n");
    assert!(target.exemplars(BODY, 1).is_empty());
}

#[test]
fn metadata_is_sent_when_it_changes_and_arrives() {
    let mut target = Target::new("");
    let body = |help: &str| {
        format!(
            "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds {help}\na_seconds_total 1\n# EOF\n"
        )
    };
    let families = |target: &mut Target, body: &str| target.scrape(Format::OpenMetrics, body, 0).1;
    assert_eq!(families(&mut target, &body("one")), ["a_seconds counter seconds one"]);
    assert!(families(&mut target, &body("one")).is_empty());
    assert_eq!(families(&mut target, &body("two")), ["a_seconds counter seconds two"]);
    // What was read of a body that breaks off is sent with the next one that does not.
    assert!(families(&mut target, "# HELP a_seconds three\na 1").is_empty());
    assert_eq!(families(&mut target, &body("three")), ["a_seconds counter seconds three"]);
    // A batch that the store could not take is sent again.
    let now = Timestamp::from_millis(0);
    target.cache.scrape(Format::OpenMetrics, body("four").as_bytes(), now).unwrap();
    assert_eq!(target.cache.batch().metadata().len(), 1);
    target.cache.abandoned();
    assert_eq!(families(&mut target, &body("four")), ["a_seconds counter seconds four"]);
    assert!(families(&mut target, &body("four")).is_empty());
}

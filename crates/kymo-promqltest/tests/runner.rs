//! The runner against engines whose answers are known: it passes what is right and fails what is not.

use std::sync::Arc;

use kymo_model::{FloatHistogram, Labels, Timestamp};
use kymo_promqltest::{
    Answer, Answered, Engine, EngineError, KymoEngine, LoadedSeries, Outcome, Report, Series, Value, run,
    run_file,
};

/// Answers every query from a table; keeps what it was asked.
#[derive(Default)]
struct Canned {
    loaded: Vec<LoadedSeries>,
    instant: Option<Answered>,
    range: Option<Answered>,
    asked: Vec<String>,
}

impl Engine for Canned {
    fn clear(&mut self) -> Result<(), EngineError> {
        self.loaded.clear();
        Ok(())
    }

    fn load(&mut self, series: &[LoadedSeries]) -> Result<(), EngineError> {
        self.loaded.extend_from_slice(series);
        Ok(())
    }

    fn instant(&mut self, query: &str, at: Timestamp) -> Answered {
        self.asked.push(format!("{query} at {at}"));
        self.instant.clone().expect("no instant query expected")
    }

    fn range(&mut self, query: &str, start: Timestamp, end: Timestamp, step_ms: i64) -> Answered {
        self.asked.push(format!("{query} from {start} to {end} step {step_ms}"));
        self.range.clone().expect("no range query expected")
    }
}

fn answer(value: Outcome) -> Answered {
    Ok(Answer { value, warnings: Vec::new(), infos: Vec::new() })
}

fn up() -> Labels {
    Labels::from_pairs([("__name__", "up")])
}

fn series(points: &[(i64, f64)]) -> Answered {
    answer(Outcome::Matrix(vec![Series { labels: up(), floats: points.to_vec(), histograms: Vec::new() }]))
}

fn range_engine(points: &[(i64, f64)]) -> Canned {
    Canned { range: Some(series(points)), ..Canned::default() }
}

#[track_caller]
fn check(engine: &mut Canned, script: &str, message: Option<&str>) {
    let report = run("s", script, engine);
    match message {
        None => assert_eq!(report, Report { passed: 1, failures: Vec::new() }),
        Some(part) => {
            let found = report.failures.first().map(|f| f.message.clone()).unwrap_or_default();
            assert!(found.contains(part), "expected {part:?}, found {found:?}");
            assert_eq!(report.passed, 0);
        }
    }
}

#[test]
fn matrices() {
    let points = [(0, 1.0), (60_000, 2.0), (180_000, 4.0)];
    for (lines, message) in [
        ("up 1 2 _ 4", None),
        ("up 1 2.000001 _ 4", None),
        ("up 1 2.00001 _ 4", Some("expected 1 2.00001 _ 4 for up, found 1 @0s, 2 @60s, 4 @180s")),
        ("up 1 2 4", Some("expected 1 2 4")),
        ("up 1 2 _ 4 5", Some("more than the range has")),
        ("up 1 2 _ stale", Some("stale")),
        ("up{a=\"b\"} 1 2 _ 4", Some("unexpected series up with")),
        ("up 1 2 _ 4\nother 1", Some("expected series other with 1, not found")),
        ("expect ordered\nup 1 2 _ 4", Some("ordered")),
        ("7", Some("expected a scalar")),
        ("expect fail\n", Some("expected failure with any text, but up was answered")),
    ] {
        let script = format!("eval range from 0 to 3m step 1m up\n{lines}");
        check(&mut range_engine(&points), &script, message);
    }
}

/// An instant query is asked at its time, pinned to it at five others, and each of them as a range query too.
#[test]
fn instant_queries_are_asked_in_many_ways() {
    let mut engine = Canned {
        instant: Some(answer(Outcome::Vector(vec![(up(), Value::Float(3.0))]))),
        range: Some(series(&[(60_000, 3.0)])),
        ..Canned::default()
    };
    run("s", "eval instant at 1m up\nup 3", &mut engine);
    assert_eq!(
        engine.asked[..3],
        ["up at 60000ms", "up from 0ms to 120000ms step 60000", "up @ 60.000 at -600000ms"]
    );
    // The canned range has no point at other times, so that the first variant fails and ends the eval.
    assert_eq!(engine.asked.len(), 4);
    let report = run("s", "eval instant at 1m up\nup 3", &mut engine);
    assert!(
        report.failures[0].message.starts_with("as up @ 60.000 at -600s: as range query: expected series up")
    );
    engine.asked.clear();
    run("s", "eval instant at 1m time() + up\nexpect ordered\nup 3", &mut engine);
    assert_eq!(engine.asked.len(), 2, "time() differs at another time: {:?}", engine.asked);
}

#[test]
fn vectors_scalars_and_strings() {
    for (value, lines, message) in [
        (Outcome::Scalar(2.0), "2", None),
        (Outcome::Scalar(2.0), "3", Some("expected scalar 3, found 2")),
        (Outcome::Scalar(2.0), "up 2", Some("expected a vector or matrix, found scalar 2")),
        (Outcome::String(b"a".to_vec()), "expect string \"a\"", None),
        (Outcome::String(b"b".to_vec()), "expect string `a`", Some("expected string \"a\", found \"b\"")),
        (
            Outcome::Vector(vec![(up(), Value::Float(0.0))]),
            "up 1e-300",
            Some("expected 1e-300 for up, found 0"),
        ),
        (Outcome::Vector(vec![]), "up 1", Some("expected series up with 1, not found")),
        (Outcome::Vector(vec![(up(), Value::Float(0.0))]), "", Some("unexpected series up with 0")),
    ] {
        let range = match &value {
            Outcome::Scalar(v) => Some(series(&[(0, *v)])),
            _ => None,
        };
        let mut engine = Canned { instant: Some(answer(value)), range, ..Canned::default() };
        // end() is only asked once.
        check(&mut engine, &format!("eval instant at 0 end()\n{lines}"), message);
    }
}

#[test]
fn histograms() {
    let found = FloatHistogram {
        count: 3.0,
        positive_spans: vec![kymo_model::Span { offset: 1, length: 3 }],
        positive_buckets: vec![1.0, 0.0, 2.0],
        ..FloatHistogram::default()
    };
    let value = Outcome::Vector(vec![(up(), Value::Histogram(Arc::new(found)))]);
    for (line, message) in [
        ("up {{count:3 offset:1 buckets:[1 0 2]}}", None),
        ("up {{count:3 offset:0 buckets:[0 1 0 2 0]}}", None),
        ("up {{count:3 offset:1 buckets:[1 0 2] counter_reset_hint:unknown}}", None),
        (
            "up {{count:3 offset:1 buckets:[1 0 2] counter_reset_hint:gauge}}",
            Some("counter_reset_hint:Gauge"),
        ),
        ("up {{count:3 offset:1 buckets:[1 1 2]}}", Some("buckets:[1=1 2=1 3=2]")),
        ("up {{count:3 schema:1 offset:1 buckets:[1 0 2]}}", Some("schema:1")),
        ("up 3", Some("expected 3 for up")),
    ] {
        let mut engine = Canned { instant: Some(answer(value.clone())), ..Canned::default() };
        check(&mut engine, &format!("eval instant at 0 end()\n{line}"), message);
    }
}

#[test]
fn annotations_and_failures() {
    let noted = |warnings: &[&str], infos: &[&str]| {
        let texts = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect();
        Ok(Answer { value: Outcome::Vector(Vec::new()), warnings: texts(warnings), infos: texts(infos) })
    };
    let failed = || Err(EngineError::new("it is broken"));
    for (answered, mode, lines, message) in [
        (noted(&["w1"], &[]), "", "", None),
        (noted(&["w1"], &[]), "", "expect warn", None),
        (noted(&["w1"], &[]), "", "expect warn msg: w1", None),
        (noted(&["w1", "w2"], &[]), "", "expect warn msg: w1", Some("unexpected warning \"w2\"")),
        (noted(&["w1", "w2"], &[]), "", "expect warn regex: w[12]", None),
        (noted(&["w1"], &[]), "", "expect warn msg: w", Some("expected a warning with message \"w\"")),
        (noted(&[], &[]), "", "expect warn", Some("expected a warning with any text, found []")),
        (noted(&["w1"], &[]), "", "expect no_warn", Some("expected no warning")),
        (noted(&[], &["i"]), "", "expect no_warn\nexpect info msg:i", None),
        (noted(&[], &["i"]), "", "expect no_info", Some("expected no info")),
        (noted(&[], &[]), "_warn", "", Some("expected a warning, found none")),
        (failed(), "", "", Some("unexpected failure: it is broken")),
        (failed(), "_fail", "", None),
        (failed(), "_fail", "expected_fail_message it is broken", None),
        (failed(), "_fail", "expected_fail_regexp broken$", None),
        (failed(), "_fail", "expected_fail_message it works", Some("expected failure with message")),
        (failed(), "", "expect fail msg: it is broken", None),
        (failed(), "", "expect fail regex: ^is", Some("expected failure with pattern \"^is\"")),
        (noted(&[], &[]), "_fail", "", Some("but up was answered")),
    ] {
        let mut engine = Canned { range: Some(answered), ..Canned::default() };
        check(&mut engine, &format!("eval{mode} range from 0 to 1m step 1m up\n{lines}"), message);
    }
}

#[test]
fn loads() {
    let mut engine = Canned::default();
    let script = "
# a comment
load 10s
  m{a=\"1\"}@st  -1s _
  m{a=\"1\"}     5  7
  n 1
  n 2 _ 3

load_with_nhcb 1m
  h_bucket{le=\"1\"} 1
  h_bucket{le=\"+Inf\"} 2
";
    assert_eq!(run("s", script, &mut engine), Report::default());
    let shown: Vec<(String, usize)> =
        engine.loaded.iter().map(|s| (s.labels.to_string(), s.samples.len())).collect();
    let names = ["m{a=\"1\"}", "n", "h_bucket{le=\"1\"}", "h_bucket{le=\"+Inf\"}", "h"];
    assert_eq!(shown.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), names);
    assert_eq!(engine.loaded[0].samples[0].start_timestamp_ms, Some(-1000));
    assert_eq!(engine.loaded[0].samples[1].start_timestamp_ms, None);
    assert_eq!(engine.loaded[1].samples[1].timestamp, Timestamp::from_millis(20_000));
    assert_eq!(run("s", "load 1m\n a 1\n\nclear\n", &mut engine), Report::default());
    assert!(engine.loaded.is_empty());
}

#[test]
fn unreadable_commands_fail_and_the_rest_goes_on() {
    for (script, message) in [
        ("lod 5m", "invalid command \"lod 5m\""),
        ("load 5", "invalid step definition \"5\""),
        ("load 5m\n a{ 1", "1:4: parse error"),
        ("load 5m\n a@st 1s", "@st line has no following sample line"),
        ("load 5m\n a@st 1s\n b 1", "@st line is for a"),
        ("load 5m\n a@st 1s\n a 1 2", "@st line has 1 values but sample line has 2"),
        ("eval instant at 5 up", "invalid timestamp or step definition \"5\""),
        ("eval instant 5m up", "invalid evaluation command"),
        ("eval_ordered range from 0 to 1m step 1m up", "invalid evaluation command"),
        ("eval range from 1m to 0 step 1m up", "end timestamp is before start timestamp"),
        ("eval instant at 0 up{", "unexpected end of input inside braces"),
        ("eval instant at 0 up\n up 1 2", "expected one value in instant evaluation"),
        ("eval instant at 0 up\n expect warn\n expect no_warn", "cannot be used together"),
        ("eval instant at 0 up\n expect nothing", "expected one of ordered, fail"),
    ] {
        let report = run("s", &format!("{script}\n\nclear"), &mut Canned::default());
        assert_eq!(report.failures.len(), 1, "{script}: {:?}", report.failures);
        assert!(report.failures[0].message.contains(message), "{}", report.failures[0]);
    }
}

/// Changes every expected number of a script; every eval that has one must then fail.
fn mutated(script: &str) -> (String, usize) {
    let mut evals = 0;
    let mut inside = false;
    let mut changed = false;
    let mut out = String::new();
    for line in script.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') || trimmed.starts_with("load") || trimmed == "clear"
        {
            inside = false;
        } else if trimmed.starts_with("eval") {
            inside = !trimmed.starts_with("eval_fail");
            changed = false;
        } else if inside && !trimmed.starts_with("expect") && !trimmed.contains("{{") {
            let (labels, last) = line.trim_end().rsplit_once(' ').unwrap_or(("", trimmed));
            if let Ok(value) = last.parse::<f64>()
                && value.is_finite()
            {
                evals += usize::from(!changed);
                changed = true;
                out.push_str(&format!("{labels} {}\n", value + 1.0 + value.abs()));
                continue;
            }
        }
        out.push_str(line);
        out.push('\n');
    }
    (out, evals)
}

#[test]
fn changed_expectations_fail() {
    let script = "
load 1m
  a 1 2 3

eval instant at 2m a + 1
  {} 4

eval range from 0 to 2m step 1m a
  a 1 2 3

eval instant at 1m 1 + 1
  2
";
    let (changed, evals) = mutated(script);
    assert_eq!(evals, 3);
    let report = run("changed", &changed, &mut KymoEngine::new());
    assert_eq!((report.passed, report.failures.len()), (0, 3), "{:?}", report.failures);
}

/// The same over the corpus: whatever passes there fails once its numbers are changed.
#[test]
fn changed_corpus_fails() {
    let Some(dir) = std::env::var_os("KYMO_CORPORA") else {
        eprintln!("skipped: KYMO_CORPORA is not set");
        return;
    };
    for name in ["operators.test", "subquery.test", "range_queries.test", "at_modifier.test"] {
        let path = std::path::Path::new(&dir).join("promqltest").join(name);
        let honest = run_file(&path, &mut KymoEngine::new()).unwrap();
        let script = std::fs::read_to_string(&path).unwrap();
        let total = honest.passed + honest.failures.len();
        let (changed, evals) = mutated(&script);
        let report = run(name, &changed, &mut KymoEngine::new());
        assert!(
            report.failures.len() >= evals,
            "{name}: {evals} evals changed, {} failed",
            report.failures.len()
        );
        assert!(evals * 3 > total, "{name}: only {evals} of {total} evals could be changed");
    }
}

#[test]
fn numbers_of_results_are_written_as_in_go() {
    for number in ["1000", "1_000", "0x3e8", "0X3_E8", "01750", "0b1111101000", "0o1750", "1e3", "+1000.0"] {
        let report = run("s", &format!("eval instant at 0s 1000\n  {number}"), &mut KymoEngine::new());
        assert_eq!((report.passed, &report.failures[..]), (1, &[][..]), "{number}");
    }
    for other in ["0750", "1__000", "_1000", "0x", "1000x", "08"] {
        let report = run("s", &format!("eval instant at 0s 1000\n  {other}"), &mut KymoEngine::new());
        assert_eq!(report.passed, 0, "{other}");
    }
    let report = run("s", "eval instant at 0s -8\n  -010", &mut KymoEngine::new());
    assert_eq!(report.passed, 1);
}

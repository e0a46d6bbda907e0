//! Threads change nothing: every query of upstream's scripts is answered with 1, 2, 3 and 8 threads, and the answers are the same to
//! the bit, with their order, annotations and errors.

use std::fmt::Write;

use kymo_model::Timestamp;
use kymo_promql::EngineOptions;
use kymo_promqltest::{Answered, Engine, EngineError, KymoEngine, LoadedSeries, Outcome, Value, run_file};

const THREADS: [usize; 3] = [2, 3, 8];

/// Engines over the same series that differ in their threads. Workers are asked at once, or they never would be here.
struct All {
    one: KymoEngine,
    more: Vec<KymoEngine>,
    compared: usize,
}

impl All {
    fn new() -> All {
        let with = |threads| {
            KymoEngine::with_options(EngineOptions { threads, alone_work: 0, ..EngineOptions::default() })
        };
        All { one: with(1), more: THREADS.map(with).into(), compared: 0 }
    }

    fn ask(&mut self, query: &str, ask: impl Fn(&mut KymoEngine) -> Answered) -> Answered {
        let answer = ask(&mut self.one);
        let expected = spelled(&answer);
        for (engine, threads) in self.more.iter_mut().zip(THREADS) {
            assert_eq!(spelled(&ask(engine)), expected, "{query} with {threads} threads");
            self.compared += 1;
        }
        answer
    }
}

fn spelled(answered: &Answered) -> String {
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => return format!("{error:?}"),
    };
    let mut out = format!("{:?} {:?}", answer.warnings, answer.infos);
    let mut float = |of: &dyn std::fmt::Debug, value: f64| {
        let _ = writeln!(out, "{of:?} {:x}", value.to_bits());
    };
    match &answer.value {
        Outcome::Scalar(value) => float(&"", *value),
        Outcome::String(_) => {}
        Outcome::Vector(samples) => samples.iter().for_each(|(labels, value)| match value {
            Value::Float(value) => float(labels, *value),
            Value::Histogram(histogram) => float(&(labels, histogram), 0.0),
        }),
        Outcome::Matrix(series) => series.iter().for_each(|one| {
            one.floats.iter().for_each(|(t, value)| float(&(&one.labels, t), *value));
            one.histograms.iter().for_each(|point| float(&(&one.labels, point), 0.0));
        }),
    }
    out
}

impl Engine for All {
    fn clear(&mut self) -> Result<(), EngineError> {
        self.more.iter_mut().try_for_each(KymoEngine::clear)?;
        self.one.clear()
    }

    fn load(&mut self, series: &[LoadedSeries]) -> Result<(), EngineError> {
        self.more.iter_mut().try_for_each(|engine| engine.load(series))?;
        self.one.load(series)
    }

    fn instant(&mut self, query: &str, at: Timestamp) -> Answered {
        self.ask(query, |engine| engine.instant(query, at))
    }

    fn range(&mut self, query: &str, start: Timestamp, end: Timestamp, step_ms: i64) -> Answered {
        self.ask(query, |engine| engine.range(query, start, end, step_ms))
    }
}

#[test]
fn every_script_is_answered_alike() {
    let Some(dir) = std::env::var_os("KYMO_CORPORA") else {
        eprintln!("skipped: KYMO_CORPORA is not set");
        return;
    };
    let scripts = std::path::Path::new(&dir).join("promqltest").read_dir().expect("the scripts");
    let (mut engine, mut passed) = (All::new(), 0);
    for path in scripts.map(|entry| entry.expect("an entry").path()) {
        if path.extension().is_some_and(|extension| extension == "test") {
            let report = run_file(&path, &mut engine).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            assert!(report.failures.is_empty(), "{path:?}: {:?}", report.failures);
            passed += report.passed;
        }
    }
    // The test must not pass by finding nothing.
    assert!(passed > 1_300 && engine.compared > 4_000, "{passed} passed, {} compared", engine.compared);
}

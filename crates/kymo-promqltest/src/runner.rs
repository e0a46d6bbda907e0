//! The runner: commands in order, each `eval` passed or failed.

use std::path::Path;

use kymo_model::Timestamp;
use kymo_promql_syntax::{ParseOptions, Parser};

use crate::answer::{Answer, Answered, Engine, EngineError, Outcome, Value};
use crate::at_modifier;
use crate::compare::{check_annotations, check_outcome, check_sorted};
use crate::expect::Expectations;
use crate::script::{CommandKind, Eval, When, parse};

/// What came of one script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many evals gave what they should.
    pub passed: usize,
    /// The others, and commands that could not be read or executed.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Adds what came of another script.
    pub fn merge(&mut self, other: Report) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
    }
}

/// A command that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The name of the script.
    pub file: String,
    /// The line of the command, from 1.
    pub line: usize,
    /// The query, empty for other commands.
    pub query: String,
    /// What was expected and what was found.
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.query.is_empty() {
            write!(f, "{}: ", self.query)?;
        }
        f.write_str(&self.message)
    }
}

/// Runs the script of a file.
pub fn run_file(path: &Path, engine: &mut dyn Engine) -> std::io::Result<Report> {
    let text = std::fs::read_to_string(path)?;
    Ok(run(&path.display().to_string(), &text, engine))
}

/// Runs a script. `name` is what failures call it. The engine is cleared first.
pub fn run(name: &str, script: &str, engine: &mut dyn Engine) -> Report {
    let mut report = Report::default();
    let mut fail = |line: usize, query: &str, message: String| {
        report.failures.push(Failure { file: name.to_owned(), line, query: query.to_owned(), message });
    };
    if let Err(e) = engine.clear() {
        fail(1, "", e.to_string());
        return report;
    }
    let mut passed = 0;
    for command in parse(script) {
        match command.kind {
            CommandKind::Clear => {
                if let Err(e) = engine.clear() {
                    fail(command.line, "", e.to_string());
                }
            }
            CommandKind::Load(series) => {
                if let Err(e) = engine.load(&series) {
                    fail(command.line, "", e.to_string());
                }
            }
            CommandKind::Eval(eval) => match check_eval(engine, &eval) {
                Ok(()) => passed += 1,
                Err(message) => fail(command.line, &eval.query, message),
            },
            CommandKind::Unreadable(e) => fail(command.line, "", e.to_string()),
        }
    }
    report.passed = passed;
    report
}

/// What is wrong, in words.
pub(crate) type Checked = Result<(), String>;

fn check_eval(engine: &mut dyn Engine, eval: &Eval) -> Checked {
    let expected = &eval.expected;
    let parser = Parser::new(ParseOptions::everything());
    // A query must be one even where it is expected to fail.
    let expr = parser.parse(&eval.query).map_err(|e| e.to_string())?;
    match eval.when {
        When::Range { start, end, step_ms } => {
            let answered = engine.range(&eval.query, start, end, step_ms);
            check_answer(expected, &eval.query, answered).map(drop)
        }
        When::Instant(_) => {
            // A query for a range vector is asked where its last value stands.
            let at = expected.times.end;
            check_instant(engine, expected, &eval.query, at)?;
            for (query, time) in at_modifier::variants(&expr, at) {
                check_instant(engine, expected, &query, time)
                    .map_err(|message| format!("as {query} at {}: {message}", seconds(time)))?;
            }
            Ok(())
        }
    }
}

fn seconds(at: Timestamp) -> String {
    format!("{}s", at.seconds())
}

/// Failure or success as expected; the answer if it is one to look at.
fn check_answer(expected: &Expectations, query: &str, answered: Answered) -> Result<Option<Answer>, String> {
    let answer = match (answered, &expected.fail) {
        (Err(e), None) => return Err(format!("unexpected failure: {e}")),
        (Err(e), Some(wanted)) if !wanted.matches(&e.message) => {
            return Err(format!("expected failure with {wanted}, found: {e}"));
        }
        (Err(_), Some(_)) => return Ok(None),
        (Ok(_), Some(wanted)) => {
            return Err(format!("expected failure with {wanted}, but {query} was answered"));
        }
        (Ok(answer), None) => answer,
    };
    check_annotations(expected, &answer)?;
    check_outcome(expected, &answer.value)?;
    Ok(Some(answer))
}

fn check_instant(engine: &mut dyn Engine, expected: &Expectations, query: &str, at: Timestamp) -> Checked {
    let answered = engine.instant(query, at);
    let Some(answer) = check_answer(expected, query, answered)? else {
        return Ok(());
    };
    if expected.not_as_range || depends_on_range(query) {
        return Ok(());
    }
    let (start, end) = (at.saturating_add_ms(-60_000), at.saturating_add_ms(60_000));
    let found = engine.range(query, start, end, 60_000).and_then(|range| middle(range, &answer.value, at));
    let result = match found {
        Err(e) => Err(e.to_string()),
        // Range queries are sorted by labels.
        Ok(_) if expected.ordered => return Ok(()),
        Ok(answer) => check_outcome(expected, &answer.value),
    };
    result.map_err(|message| format!("as range query: {message}"))
}

/// `start()` and the like mean something else in a range query.
fn depends_on_range(query: &str) -> bool {
    ["start()", "end()", "range()", "step()"].iter().any(|call| query.contains(call))
}

/// The points of a range answer at one time, in the form of the instant answer.
fn middle(range: Answer, instant: &Outcome, at: Timestamp) -> Answered {
    let Outcome::Matrix(series) = &range.value else {
        return Err(EngineError::new("expected a matrix, found another result"));
    };
    check_sorted(series).map_err(EngineError::new)?;
    let mut points = Vec::new();
    for series in series {
        let float = series.floats.iter().find(|(t, _)| *t == at.millis()).map(|(_, v)| Value::Float(*v));
        let histogram = series.histograms.iter().find(|(t, _)| *t == at.millis());
        let histogram = histogram.map(|(_, h)| Value::Histogram(h.clone()));
        points.extend(float.into_iter().chain(histogram).map(|value| (series.labels.clone(), value)));
    }
    let value = match (instant, &points[..]) {
        (Outcome::Scalar(_), [(_, Value::Float(value))]) => Outcome::Scalar(*value),
        (Outcome::Scalar(_), _) => return Err(EngineError::new("expected one series of floats")),
        _ => Outcome::Vector(points),
    };
    Ok(Answer { value, ..range })
}

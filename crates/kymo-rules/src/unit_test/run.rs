//! Running a unit-test file: series into a memory store step by step, groups evaluated by the real engine, then compared.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use kymo_model::{Append, Batch, Labels, MemoryStore, SampleValue, Timestamp};
use kymo_promql::{Engine, EngineOptions, PointValue, QueryOptions, QueryValue};
use kymo_promql_syntax::Parser;
use kymo_promql_syntax::series::SequenceValue;

use super::expected::{ExpectedAlert, ExpectedSample, ExpectedValue};
use super::file::{ExprTest, Test, TestFile};
use super::report::{TestFailure, TestGroupReport, TestReport};
use crate::fault::{FaultKind, Faults};
use crate::{
    AlertState, EvalContext, FileOptions, Group, GroupOptions, Rule, RuleError, RuleFile, RuleGroup,
};

/// A file that the loader found.
#[derive(Clone, Debug)]
pub struct LoadedFile {
    /// For messages.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// How a unit-test file is run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions<'a> {
    /// How the test file and the rule files are read.
    pub files: FileOptions,
    /// Which test groups run, by name; all when absent (`--run`).
    pub wanted: Option<&'a dyn NameFilter>,
    /// The most evaluations of its groups that one test may ask for.
    pub evaluations_max: u64,
}

/// Chooses test groups by name.
pub trait NameFilter: std::fmt::Debug {
    /// Does this test group run? An unnamed one has the empty name.
    fn wants(&self, name: &str) -> bool;
}

impl Default for RunOptions<'_> {
    fn default() -> Self {
        RunOptions { files: FileOptions::default(), wanted: None, evaluations_max: 10_000_000 }
    }
}

/// Runs a unit-test file. `load` gives the files that match a pattern of `rule_files`, which was made relative to the
/// directory of the test file; none is a warning.
pub fn run(
    text: &str,
    path: &str,
    load: &dyn Fn(&str) -> io::Result<Vec<LoadedFile>>,
    options: &RunOptions<'_>,
) -> TestReport {
    let mut report = TestReport { path: path.to_owned(), ..TestReport::default() };
    let file = match TestFile::parse(text, path, options.files) {
        Ok(file) => file,
        Err(faults) => {
            report.faults = faults;
            return report;
        }
    };
    let mut groups = rule_groups(&file, path, load, options, &mut report);
    if !report.faults.is_empty() {
        return report;
    }
    // Groups that are not mentioned go with the first; the order of the files otherwise.
    let order = file.group_eval_order.iter().enumerate().map(|(index, name)| (name.as_str(), index));
    let order: HashMap<&str, usize> = order.collect();
    groups.sort_by_key(|group| order.get(group.name.as_str()).copied().unwrap_or(0));
    for (index, test) in file.tests.iter().enumerate() {
        if options.wanted.is_some_and(|filter| !filter.wants(&test.name)) {
            continue;
        }
        let name = if test.name.is_empty() { format!("unnamed#{index}") } else { test.name.clone() };
        let failures = Session::new(&file, test, &groups, options).run();
        report.groups.push(TestGroupReport { name, failures });
    }
    report
}

fn rule_groups(
    file: &TestFile,
    path: &str,
    load: &dyn Fn(&str) -> io::Result<Vec<LoadedFile>>,
    options: &RunOptions<'_>,
    report: &mut TestReport,
) -> Vec<RuleGroup> {
    let directory = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut groups = Vec::new();
    for pattern in &file.rule_files {
        let place = directory.join(pattern).to_string_lossy().into_owned();
        match load(&place) {
            Ok(found) if found.is_empty() => report.warnings.push(format!("no file match pattern {pattern}")),
            Ok(found) => {
                for loaded in found {
                    match RuleFile::parse_with(&loaded.text, &loaded.path, options.files) {
                        Ok(file) => groups.extend(file.groups),
                        Err(faults) => report.faults.extend(faults),
                    }
                }
            }
            Err(error) => {
                let mut faults = Faults::new(&place, "", options.files.limits.faults_max);
                faults.whole(FaultKind::Unreadable, format!("cannot read rule file: {error}"));
                report.faults.extend(faults.into_sorted());
            }
        }
    }
    groups
}

/// One test group while it runs.
struct Session<'a> {
    test: &'a Test,
    fuzzy: bool,
    interval_ms: i64,
    evaluations_max: u64,
    parser: Parser,
    engine: Engine,
    store: MemoryStore,
    groups: Vec<Group>,
    /// How many values of each input series are in the store.
    loaded: usize,
    failures: Vec<TestFailure>,
}

impl<'a> Session<'a> {
    fn new(file: &TestFile, test: &'a Test, groups: &[RuleGroup], run: &RunOptions<'_>) -> Session<'a> {
        let interval_ms = file.evaluation_interval_ms;
        let options = GroupOptions { interval_ms: test.interval_ms, ..GroupOptions::default() };
        Session {
            test,
            fuzzy: file.fuzzy_compare,
            interval_ms,
            evaluations_max: run.evaluations_max,
            parser: run.files.parser,
            engine: Engine::new(EngineOptions { subquery_step_ms: interval_ms, ..EngineOptions::default() }),
            store: MemoryStore::default(),
            groups: groups.iter().map(|group| Group::new(group, options)).collect(),
            loaded: 0,
            failures: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<TestFailure> {
        let test = self.test;
        let alert_times = test.alerts.iter().map(|case| case.eval_ms);
        let end_ms = alert_times.chain(test.exprs.iter().map(|case| case.eval_ms)).max().unwrap_or(0);
        let evaluations = (end_ms / self.interval_ms) as u64 + 1;
        if evaluations > self.evaluations_max {
            let max = self.evaluations_max;
            let message = format!("expected at most {max} evaluations, found {evaluations}");
            return vec![TestFailure::Limit { message }];
        }
        let mut pending: Vec<usize> = (0..test.alerts.len()).collect();
        pending.sort_by_key(|index| test.alerts[*index].eval_ms);
        let mut pending = pending.into_iter().peekable();
        for at_ms in (0..=end_ms).step_by(usize::try_from(self.interval_ms).unwrap_or(usize::MAX)) {
            self.load_until(at_ms);
            if !self.evaluate(at_ms) {
                return self.failures;
            }
            let next_ms = at_ms.saturating_add(self.interval_ms);
            while let Some(case) = pending.next_if(|index| test.alerts[*index].eval_ms < next_ms) {
                self.check_alerts(case);
            }
        }
        for case in &test.exprs {
            self.check_expr(case);
        }
        self.failures
    }

    fn at(&self, offset_ms: i64) -> Timestamp {
        Timestamp::from_millis(self.test.start_ms.saturating_add(offset_ms))
    }

    /// Puts the input up to a time into the store.
    fn load_until(&mut self, at_ms: i64) {
        let longest = self.test.input.values().map(Vec::len).max().unwrap_or(0);
        let mut batch = Batch::new();
        while self.loaded < longest {
            let sample_ms = (self.loaded as i64).saturating_mul(self.test.interval_ms);
            if sample_ms > at_ms {
                break;
            }
            for (labels, values) in &self.test.input {
                let value = match values.get(self.loaded) {
                    Some(SequenceValue::Float(value)) => SampleValue::Float(*value),
                    Some(SequenceValue::Histogram { histogram, .. }) => {
                        SampleValue::FloatHistogram(std::sync::Arc::clone(histogram))
                    }
                    Some(SequenceValue::Omitted) | None => continue,
                };
                batch.push(labels.clone(), self.at(sample_ms), value);
            }
            self.loaded += 1;
        }
        if batch.is_empty() {
            return;
        }
        let message = match self.store.append(&batch) {
            Ok(appended) => match appended.refused.first() {
                None => return,
                Some(refused) => format!("input series: {}", refused.reason),
            },
            Err(error) => format!("input series: {error}"),
        };
        self.failures.push(TestFailure::Limit { message });
    }

    /// All groups once; says whether every rule could be evaluated.
    fn evaluate(&mut self, at_ms: i64) -> bool {
        let now = self.at(at_ms);
        let mut good = true;
        for group in &mut self.groups {
            let context = EvalContext {
                external_labels: &self.test.external_labels,
                external_url: &self.test.external_url,
                parser: self.parser,
                ..EvalContext::new(&self.engine, &self.store)
            };
            group.evaluate(&context, &self.store, now, &|| Duration::ZERO);
            for state in group.rules() {
                if let Some(error) = state.last_error() {
                    good = false;
                    self.failures.push(TestFailure::Rule {
                        rule: state.rule().name().to_owned(),
                        at_ms,
                        error: error.to_string(),
                    });
                }
            }
        }
        good
    }

    fn check_alerts(&mut self, case: usize) {
        let case = &self.test.alerts[case];
        let states = self.groups.iter().flat_map(Group::rules);
        let wanted = states
            .filter(|state| matches!(state.rule(), Rule::Alerting(_)) && state.rule().name() == case.alert);
        let mut got: Vec<ExpectedAlert> = wanted
            .flat_map(|state| state.active_alerts())
            .filter(|alert| alert.state == AlertState::Firing)
            .map(|alert| ExpectedAlert {
                labels: alert.labels.clone(),
                annotations: (*alert.annotations).clone(),
            })
            .collect();
        got.sort();
        let mut expected = case.expected.clone();
        expected.sort();
        if expected != got {
            self.failures.push(TestFailure::Alerts {
                test: self.test.name.clone(),
                alert: case.alert.clone(),
                eval_ms: case.eval_ms,
                expected: expected.iter().map(Into::into).collect(),
                got: got.iter().map(Into::into).collect(),
            });
        }
    }

    fn check_expr(&mut self, case: &ExprTest) {
        let at = self.at(case.eval_ms);
        let result = self.engine.instant(&self.store, &case.expr.ast, at, &QueryOptions::default());
        let result = result.map_err(|error| error.to_string()).and_then(|result| match result.value {
            QueryValue::Vector(samples) => {
                Ok(samples.into_iter().map(|sample| (sample.labels, sample.value)).collect())
            }
            QueryValue::Scalar { value, .. } => Ok(vec![(Labels::empty(), PointValue::Float(value))]),
            _ => Err(RuleError::NotAVector.to_string()),
        });
        let samples: Vec<(Labels, PointValue)> = match result {
            Ok(samples) => samples,
            Err(error) => {
                let expr = case.expr.text.to_string();
                self.failures.push(TestFailure::ExprError { expr, eval_ms: case.eval_ms, error });
                return;
            }
        };
        let mut got: Vec<ExpectedSample> = samples
            .iter()
            .map(|(labels, value)| ExpectedSample {
                labels: labels.clone(),
                value: ExpectedValue::from(value),
            })
            .collect();
        let mut expected = case.expected.clone();
        got.sort_by(|a, b| a.labels.cmp(&b.labels));
        expected.sort_by(|a, b| a.labels.cmp(&b.labels));
        let same = got.len() == expected.len()
            && expected.iter().zip(&got).all(|(expected, got)| expected.matches(got, self.fuzzy));
        if !same {
            self.failures.push(TestFailure::Samples {
                expr: case.expr.text.to_string(),
                eval_ms: case.eval_ms,
                expected: expected.iter().map(Into::into).collect(),
                got: got.iter().map(Into::into).collect(),
            });
        }
    }
}

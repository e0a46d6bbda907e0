//! `kymo test rules`: promtool's unit-test files, with promtool's output.

use std::io;

use clap::Args;
use kymo_rules::FileOptions;
use kymo_rules::unit_test::{LoadedFile, RunOptions, TestFailure, TestReport, run as run_file};
use serde_json::{Value, json};

use crate::check::source::{matching, read_text, shown};
use crate::language::LanguageArgs;
use crate::output::{Fault, Verdict, complain, say, say_json};
use crate::progress::Progress;

#[derive(Args)]
pub(super) struct RulesArgs {
    /// Unit-test files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,

    /// In test and rule files, pass over keys that have no meaning.
    #[arg(long)]
    ignore_unknown_fields: bool,

    #[command(flatten)]
    language: LanguageArgs,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RulesArgs) -> Verdict {
    let files = FileOptions {
        parser: args.language.parser(),
        ignore_unknown_keys: args.ignore_unknown_fields,
        ..FileOptions::default()
    };
    let options = RunOptions { files, ..RunOptions::default() };
    let progress = Progress::over(args.files.len());
    let mut reports = Vec::new();
    for path in &args.files {
        progress.doing(path);
        let tested = match read_text(path) {
            Ok(text) => Ok(run_file(&text, shown(path), &load, &options)),
            Err(fault) => Err(fault),
        };
        if !args.json {
            progress.aside(|| print(path, &tested));
        }
        progress.done();
        reports.push(tested);
    }
    drop(progress);
    let failed = reports.iter().filter(|tested| !tested.as_ref().is_ok_and(TestReport::passed)).count();
    if args.json {
        say_json(&json!({
            "passed": reports.len() - failed,
            "failed": failed,
            "files": reports.iter().map(to_json).collect::<Vec<_>>(),
        }));
    }
    Verdict::good_if(failed == 0)
}

/// The files that match an entry of `rule_files`.
fn load(pattern: &str) -> io::Result<Vec<LoadedFile>> {
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path)?;
        Ok(LoadedFile { path: path.display().to_string(), text })
    };
    matching(pattern).into_iter().map(read).collect()
}

/// As promtool: the verdict on stdout, what failed on stderr.
fn print(path: &str, tested: &Result<TestReport, Fault>) {
    say(format_args!("Unit Testing:  {}", shown(path)));
    let report = match tested {
        Ok(report) => report,
        Err(fault) => {
            complain(format_args!("  FAILED:\n{}\n", fault.text));
            return;
        }
    };
    for warning in &report.warnings {
        complain(format_args!("  WARNING: {warning}"));
    }
    if report.passed() {
        say("  SUCCESS\n");
        return;
    }
    complain("  FAILED:");
    for fault in &report.faults {
        complain(fault.render());
    }
    for failure in report.groups.iter().flat_map(|group| &group.failures) {
        complain(format_args!("{failure}\n"));
    }
    say("");
}

fn to_json(tested: &Result<TestReport, Fault>) -> Value {
    match tested {
        Err(fault) => json!({ "file": fault.path, "passed": false, "faults": [fault.to_json()] }),
        Ok(report) => json!({
            "file": report.path,
            "passed": report.passed(),
            "warnings": report.warnings,
            "faults": report.faults.iter().cloned().map(|fault| Fault::from(fault).to_json()).collect::<Vec<_>>(),
            "groups": report.groups.iter().map(|group| json!({
                "name": group.name,
                "passed": group.failures.is_empty(),
                "failures": group.failures.iter().map(failure_json).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        }),
    }
}

fn failure_json(failure: &TestFailure) -> Value {
    let (kind, subject, at_ms) = match failure {
        TestFailure::Rule { rule, at_ms, .. } => ("rule", rule, Some(*at_ms)),
        TestFailure::Alerts { alert, eval_ms, .. } => ("alerts", alert, Some(*eval_ms)),
        TestFailure::ExprError { expr, eval_ms, .. } => ("expression", expr, Some(*eval_ms)),
        TestFailure::Samples { expr, eval_ms, .. } => ("samples", expr, Some(*eval_ms)),
        other => return json!({ "kind": "other", "message": other.to_string().trim() }),
    };
    json!({ "kind": kind, "subject": subject, "time_ms": at_ms, "message": failure.to_string().trim() })
}

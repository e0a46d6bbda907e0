//! `kymo test promql`: promqltest scripts against our engine.

use std::path::{Path, PathBuf};

use clap::Args;
use kymo_promqltest::{Failure, KymoEngine, Report, run as run_script};
use serde_json::{Value, json};

use crate::check::source::read_text;
use crate::output::{Fault, Verdict, complain, say, say_json};
use crate::progress::Progress;

#[derive(Args)]
pub(super) struct PromqlArgs {
    /// Scripts; of a directory all files that end in .test, those of its directories included.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Deepest nesting of directories that is looked into; links may lead round in circles.
const DEPTH_MAX: usize = 32;

/// What every script is called.
const EXTENSION: &str = "test";

pub(super) fn run(args: &PromqlArgs) -> Verdict {
    let mut scripts = Vec::new();
    let mut faults = Vec::new();
    for path in &args.paths {
        collect(path, &mut scripts, &mut faults);
    }
    let progress = Progress::over(scripts.len());
    let mut engine = KymoEngine::new();
    let mut reports: Vec<(String, Report)> = Vec::new();
    for path in &scripts {
        progress.doing(path);
        match read_text(path) {
            Ok(script) => {
                let report = run_script(path, &script, &mut engine);
                if !args.json {
                    progress.aside(|| report.failures.iter().for_each(complain));
                }
                reports.push((path.clone(), report));
            }
            Err(fault) => faults.push(fault),
        }
        progress.done();
    }
    drop(progress);
    conclude(&reports, &faults, args.json)
}

fn conclude(reports: &[(String, Report)], faults: &[Fault], as_json: bool) -> Verdict {
    let passed: usize = reports.iter().map(|(_, report)| report.passed).sum();
    let failed = reports.iter().map(|(_, report)| report.failures.len()).sum::<usize>() + faults.len();
    if as_json {
        let files = reports.iter().map(|(path, report)| file_json(path, report));
        let unread = faults
            .iter()
            .map(|fault| json!({ "file": fault.path, "passed": 0, "failures": [fault.to_json()] }));
        say_json(
            &json!({ "passed": passed, "failed": failed, "files": files.chain(unread).collect::<Vec<_>>() }),
        );
    } else {
        for fault in faults {
            complain(&fault.text);
        }
        say(format_args!("{passed} passed, {failed} failed"));
    }
    Verdict::good_if(failed == 0)
}

fn file_json(path: &str, report: &Report) -> Value {
    let failure = |failure: &Failure| json!({ "file": failure.file, "line": failure.line, "query": failure.query, "message": failure.message });
    json!({
        "file": path,
        "passed": report.passed,
        "failures": report.failures.iter().map(failure).collect::<Vec<_>>(),
    })
}

/// The scripts of a path, in order of name. A path that gives none is a fault: nothing would be tested.
fn collect(path: &Path, scripts: &mut Vec<String>, faults: &mut Vec<Fault>) {
    let name = path.display().to_string();
    if !path.is_dir() {
        scripts.push(name);
        return;
    }
    let before = scripts.len();
    let mut open = vec![(path.to_owned(), 0)];
    while let Some((dir, depth)) = open.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) => {
                faults
                    .push(Fault::whole(&dir.display().to_string(), format_args!("cannot be read: {error}")));
                continue;
            }
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                if depth < DEPTH_MAX && !path.is_symlink() {
                    open.push((path, depth + 1));
                }
            } else if path.extension().is_some_and(|extension| extension == EXTENSION) {
                scripts.push(path.display().to_string());
            }
        }
    }
    scripts[before..].sort();
    if scripts.len() == before {
        faults.push(Fault::whole(&name, format_args!("expected files that end in .{EXTENSION}, found none")));
    }
}

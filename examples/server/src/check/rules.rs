//! `kymo check rules`: rule files, and streams and lists of PrometheusRule manifests.

use clap::Args;
use kymo_rules::{FileOptions, RuleFile, RuleFileError};

use super::source::{read_text, shown};
use super::{Checked, LintArgs, conclude};
use crate::output::{Fault, Verdict};
use crate::progress::Progress;

#[derive(Args)]
pub(super) struct RulesArgs {
    /// Rule files or PrometheusRule manifests; `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<String>,

    /// Pass over keys that have no meaning.
    #[arg(long)]
    ignore_unknown_fields: bool,

    #[command(flatten)]
    lint: LintArgs,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RulesArgs) -> Verdict {
    let options = FileOptions { ignore_unknown_keys: args.ignore_unknown_fields, ..FileOptions::default() };
    let progress = Progress::over(args.files.len());
    let mut all = Vec::new();
    for path in &args.files {
        progress.doing(path);
        let checked = check_file(path, options, args.lint.wants_duplicates());
        if !args.json {
            progress.aside(|| checked.print());
        }
        progress.done();
        all.push(checked);
    }
    drop(progress);
    conclude(&all, args.json, args.lint.verdict())
}

/// Checks one file; used for the files that a configuration names too.
pub(super) fn check_file(path: &str, options: FileOptions, duplicates: bool) -> Checked {
    let mut checked = Checked::new("rules", shown(path));
    let text = match read_text(path) {
        Ok(text) => text,
        Err(fault) => {
            checked.faults.push(fault);
            return checked;
        }
    };
    let file = match RuleFile::parse_with(&text, shown(path), options) {
        Ok(file) => file,
        Err(faults) => {
            checked.faults.extend(faults.into_iter().map(Fault::from));
            return checked;
        }
    };
    let count = file.rule_count();
    checked.counts = vec![("groups", file.groups.len()), ("rules", count)];
    checked.success.push(format!("  SUCCESS: {count} rules found"));
    let passed_over = |name: &String| format!("{name} holds no rules and was passed over");
    checked.warnings.extend(file.skipped.iter().map(passed_over));
    let repeated = if duplicates { file.duplicates() } else { Vec::new() };
    if !repeated.is_empty() {
        let mut text = format!("lint error {} duplicate rule(s) found.", repeated.len());
        for rule in &repeated {
            text.push_str(&format!("\n{rule}"));
        }
        text.push_str("\nMight cause inconsistency while recording expressions");
        checked.lints.push(text);
    }
    checked
}

impl From<RuleFileError> for Fault {
    fn from(error: RuleFileError) -> Fault {
        Fault {
            text: error.render(),
            line: error.line as usize,
            column: error.column as usize,
            path: error.path,
            message: error.message,
        }
    }
}

//! `kymo check rules`: rule files, and streams and lists of PrometheusRule manifests.

use clap::Args;
use kymo_model::NameScheme;
use kymo_rules::{FileOptions, RuleFile, RuleFileError};

use super::source::{read_text, shown};
use super::{Checked, RuleFileArgs, check_each};
use crate::output::{Fault, Verdict};

#[derive(Args)]
pub(super) struct RulesArgs {
    /// Rule files or PrometheusRule manifests; `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<String>,

    #[command(flatten)]
    rules: RuleFileArgs,
}

pub(super) fn run(args: &RulesArgs) -> Verdict {
    let (options, duplicates) =
        (args.rules.options(NameScheme::default()), args.rules.lint.wants_duplicates());
    let on_lint = args.rules.lint.verdict();
    check_each(&args.files, args.rules.json, on_lint, |path, _| vec![check_file(path, options, duplicates)])
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

//! `kymo check`: files and expressions, all faults and not the first. Words, flags and exit codes are promtool's.

mod config;
mod metrics;
mod promql;
mod rules;
pub(crate) mod source;
mod targets;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use kymo_model::NameScheme;
use kymo_rules::FileOptions;
use serde_json::{Value, json};

use crate::language::LanguageArgs;
use crate::output::{Fault, Verdict, complain, say, say_json};
use crate::progress::Progress;

/// Arguments of `kymo check`.
#[derive(Args)]
pub(crate) struct CheckArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Check configuration files, and the rule files and target files they name.
    Config(config::ConfigArgs),
    /// Check rule files and PrometheusRule manifests.
    Rules(rules::RulesArgs),
    /// Check PromQL expressions.
    Promql(promql::PromqlArgs),
    /// Check what exporters expose.
    Metrics(metrics::MetricsArgs),
}

/// Runs `kymo check`.
pub(crate) fn run(args: CheckArgs) -> ExitCode {
    match args.what {
        What::Config(args) => config::run(&args),
        What::Rules(args) => rules::run(&args),
        What::Promql(args) => promql::run(&args),
        What::Metrics(args) => metrics::run(&args),
    }
    .into()
}

/// What is looked at beyond faults in rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lint {
    /// Everything.
    All,
    /// Rules of one name with the same labels.
    DuplicateRules,
    /// Nothing.
    None,
}

/// What `check config` and `check rules` ask about rule files, and how they answer.
#[derive(Args, Debug)]
struct RuleFileArgs {
    /// In rule files, pass over keys that have no meaning.
    #[arg(long)]
    ignore_unknown_fields: bool,

    #[command(flatten)]
    language: LanguageArgs,

    #[command(flatten)]
    lint: LintArgs,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

impl RuleFileArgs {
    /// How rule files are read whose names follow `names`.
    fn options(&self, names: NameScheme) -> FileOptions {
        FileOptions {
            names,
            parser: self.language.parser(),
            ignore_unknown_keys: self.ignore_unknown_fields,
            ..FileOptions::default()
        }
    }
}

#[derive(Args, Debug)]
struct LintArgs {
    /// Linting checks to apply to the rules.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "duplicate-rules")]
    lint: Vec<Lint>,

    /// Make lint errors exit with code 3.
    #[arg(long)]
    lint_fatal: bool,
}

impl LintArgs {
    fn wants_duplicates(&self) -> bool {
        let wanted = |lint: &Lint| matches!(lint, Lint::All | Lint::DuplicateRules);
        self.lint.iter().any(wanted) && !self.lint.contains(&Lint::None)
    }

    fn verdict(&self) -> Verdict {
        if self.lint_fatal { Verdict::Lint } else { Verdict::Good }
    }
}

/// What was found in one file.
#[derive(Debug, Default)]
struct Checked {
    path: String,
    /// What it is: `config`, `rules`, `targets`, `metrics`.
    kind: &'static str,
    faults: Vec<Fault>,
    /// Nothing wrong, but worth knowing.
    warnings: Vec<String>,
    /// What linters complain about.
    lints: Vec<String>,
    /// How many of what, for the report.
    counts: Vec<(&'static str, usize)>,
    /// What is printed of a good file.
    success: Vec<String>,
}

impl Checked {
    fn new(kind: &'static str, path: &str) -> Checked {
        Checked { kind, path: path.to_owned(), ..Checked::default() }
    }

    /// As promtool prints it: what is well on stdout, what is not on stderr.
    fn print(&self) {
        say(format_args!("Checking {}", self.path));
        for warning in &self.warnings {
            complain(format_args!("  WARNING: {warning}"));
        }
        if !self.faults.is_empty() {
            complain("  FAILED:");
            for fault in &self.faults {
                complain(&fault.text);
            }
        } else if !self.lints.is_empty() {
            complain("  FAILED:");
            for lint in &self.lints {
                complain(lint);
            }
        } else {
            for line in &self.success {
                say(line);
            }
        }
        say("");
    }

    fn to_json(&self) -> Value {
        let mut value = json!({
            "file": self.path,
            "kind": self.kind,
            "valid": self.faults.is_empty(),
            "faults": self.faults.iter().map(Fault::to_json).collect::<Vec<_>>(),
            "warnings": self.warnings,
            "lint": self.lints,
        });
        for (name, count) in &self.counts {
            value[*name] = (*count).into();
        }
        value
    }
}

/// Checks file after file and prints what was found in each, or all of it as one document. `check` gives the file itself
/// and the files it names. The verdict is the worst of all.
fn check_each(
    files: &[String],
    as_json: bool,
    on_lint: Verdict,
    mut check: impl FnMut(&str, &Progress) -> Vec<Checked>,
) -> Verdict {
    let progress = Progress::over(files.len());
    let mut checked = Vec::new();
    for path in files {
        progress.doing(path);
        let mut found = check(path, &progress);
        if !as_json {
            progress.aside(|| found.iter().for_each(Checked::print));
        }
        progress.done();
        checked.append(&mut found);
    }
    drop(progress);
    if as_json {
        let invalid = checked.iter().filter(|one| !one.faults.is_empty()).count();
        say_json(&json!({
            "valid": checked.len() - invalid,
            "invalid": invalid,
            "files": checked.iter().map(Checked::to_json).collect::<Vec<_>>(),
        }));
    }
    let verdict = |one: &Checked| match (one.faults.is_empty(), one.lints.is_empty()) {
        (false, _) => Verdict::Faults,
        (true, false) => on_lint,
        (true, true) => Verdict::Good,
    };
    checked.iter().map(verdict).max().unwrap_or_default()
}

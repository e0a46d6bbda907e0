//! `kymo check config`: prometheus.yml, and what it names: rule files, files of targets, files of secrets and keys.

use std::path::Path;

use clap::Args;
use kymo_scrape::config::{Config, HttpClientConfig, ScrapeConfig};

use super::source::matching;
use super::{Checked, RuleFileArgs, check_each, rules, targets};
use crate::output::{Fault, Verdict};

#[derive(Args)]
pub(super) struct ConfigArgs {
    /// Configuration files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,

    /// Only check the config file syntax, ignoring file and content validation referenced in the config.
    #[arg(long)]
    syntax_only: bool,

    #[command(flatten)]
    rules: RuleFileArgs,
}

pub(super) fn run(args: &ConfigArgs) -> Verdict {
    let on_lint = args.rules.lint.verdict();
    check_each(&args.files, args.rules.json, on_lint, |path, progress| {
        let mut found = vec![Checked::new("config", path)];
        let config = check_file(path, args.syntax_only, &mut found[0]);
        if let Some(config) = config.filter(|_| !args.syntax_only) {
            found.extend(check_target_files(&config));
            let options = args.rules.options(config.global.name_scheme);
            for path in config.rule_paths() {
                let path = path.display().to_string();
                progress.doing(&path);
                found.push(rules::check_file(&path, options, args.rules.lint.wants_duplicates()));
            }
        }
        found
    })
}

/// Reads the file itself, and sees whether the files are there that it names.
fn check_file(path: &str, syntax_only: bool, checked: &mut Checked) -> Option<Config> {
    let config = match Config::load(Path::new(path)) {
        Ok(config) => config,
        Err(error) => {
            checked.faults.extend(error.faults().iter().map(|fault| Fault {
                path: fault.file.clone(),
                line: fault.line,
                column: fault.column,
                message: match fault.path.as_str() {
                    "" => fault.message.clone(),
                    key => format!("{key}: {}", fault.message),
                },
                text: fault.to_string(),
            }));
            if error.omitted() > 0 {
                checked.warnings.push(format!("{} more faults are not shown", error.omitted()));
            }
            return None;
        }
    };
    checked.warnings.extend(config.warnings().iter().map(|warning| warning.headline()));
    if !syntax_only {
        missing_files(path, &config, checked);
        let count = config.rule_paths().len();
        checked.counts = vec![("rule_files", count), ("scrape_configs", config.jobs().count())];
        if count > 0 {
            checked.success.push(format!("  SUCCESS: {count} rule files found"));
        }
    }
    checked.success.push(format!(" SUCCESS: {path} is valid prometheus config file syntax"));
    Some(config)
}

fn missing_files(path: &str, config: &Config, checked: &mut Checked) {
    for pattern in &config.rule_files {
        let pattern = pattern.display().to_string();
        if !pattern.contains('*') && matching(&pattern).is_empty() {
            checked
                .faults
                .push(Fault::whole(path, format_args!("{pattern:?} does not point to an existing file")));
        }
    }
    for job in config.jobs() {
        check_http(path, &format!("scrape job {:?}", job.job_name), &job.http, checked);
        check_discovery(job, checked);
    }
    for alertmanager in &config.alerting.alertmanagers {
        check_http(path, "alertmanager", &alertmanager.http, checked);
    }
}

/// Files of secrets, certificates and keys.
fn check_http(path: &str, owner: &str, http: &HttpClientConfig, checked: &mut Checked) {
    let basic = http.basic_auth.as_ref();
    let named = [
        (
            "authorization credentials",
            http.authorization.as_ref().and_then(|auth| auth.credentials_file.as_ref()),
        ),
        ("basic_auth username", basic.and_then(|auth| auth.username_file.as_ref())),
        ("basic_auth password", basic.and_then(|auth| auth.password_file.as_ref())),
        ("CA certificate", http.tls.ca_file.as_ref()),
        ("client certificate", http.tls.cert_file.as_ref()),
        ("client key", http.tls.key_file.as_ref()),
    ];
    for (what, file) in named {
        if let Some(Err(error)) = file.map(std::fs::metadata) {
            let file = file.map(|file| file.display().to_string()).unwrap_or_default();
            let message = format!("{owner}: expected the {what} in the file {file:?}: {error}");
            checked.faults.push(Fault::whole(path, message));
        }
    }
}

fn check_discovery(job: &ScrapeConfig, checked: &mut Checked) {
    for pattern in job.discovery.file_sd_configs.iter().flat_map(|config| &config.files) {
        let pattern = pattern.display().to_string();
        if matching(&pattern).is_empty() {
            let name = &job.job_name;
            checked
                .warnings
                .push(format!("file {pattern:?} for file_sd in scrape job {name:?} does not exist"));
        }
    }
}

/// The files of targets, each once.
fn check_target_files(config: &Config) -> Vec<Checked> {
    let mut paths: Vec<String> = config
        .jobs()
        .flat_map(|job| &job.discovery.file_sd_configs)
        .flat_map(|files| &files.files)
        .flat_map(|pattern| matching(&pattern.display().to_string()))
        .map(|path| path.display().to_string())
        .collect();
    paths.sort();
    paths.dedup();
    paths.iter().map(|path| targets::check_file(path)).collect()
}

//! Public rule files and the mission's own, where `KYMO_CORPORA` points at them.

use std::path::{Path, PathBuf};

use kymo_rules::RuleFile;
use kymo_rules::unit_test::{LoadedFile, RunOptions, run};

fn corpora() -> Option<PathBuf> {
    let path = std::env::var_os("KYMO_CORPORA").map(PathBuf::from);
    if path.is_none() {
        println!("skipped: KYMO_CORPORA is not set");
    }
    path
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn kube_prometheus_loads() {
    let Some(corpora) = corpora() else { return };
    let mut rules = 0;
    for entry in std::fs::read_dir(corpora.join("kube-prometheus")).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with("-prometheusRule.yaml") {
            continue;
        }
        let name = path.to_string_lossy();
        match RuleFile::parse(&read(&path), &name) {
            Ok(file) => rules += file.rule_count(),
            Err(faults) => panic!("{}", faults.iter().map(|f| f.render() + "\n").collect::<String>()),
        }
    }
    assert_eq!(rules, 234);
}

#[test]
fn seeds_pass() {
    let Some(corpora) = corpora() else { return };
    let seeds = corpora.join("seeds");
    assert_eq!(RuleFile::parse(&read(&seeds.join("rules.yml")), "rules.yml").unwrap().rule_count(), 7);
    let path = seeds.join("rules.test.yml");
    let load =
        |file: &str| Ok(vec![LoadedFile { path: file.to_owned(), text: std::fs::read_to_string(file)? }]);
    let report = run(&read(&path), &path.to_string_lossy(), &load, &RunOptions::default());
    assert!(report.passed(), "{report}");
}

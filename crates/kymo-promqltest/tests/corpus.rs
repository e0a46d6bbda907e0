//! Upstream's scripts on our engine: every case of every file.

use kymo_promqltest::{KymoEngine, Report, run_file};

#[test]
fn every_script_passes() {
    let Some(dir) = std::env::var_os("KYMO_CORPORA") else {
        eprintln!("skipped: KYMO_CORPORA is not set");
        return;
    };
    let mut report = Report::default();
    let scripts = std::path::Path::new(&dir).join("promqltest");
    let mut paths: Vec<_> =
        scripts.read_dir().expect("the scripts").map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    paths.sort();
    for path in &paths {
        report.merge(run_file(path, &mut KymoEngine::new()).unwrap_or_else(|e| panic!("{path:?}: {e}")));
    }
    let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    // The test must not pass by finding nothing.
    assert!(paths.len() > 20 && report.passed > 1_300, "{} passed", report.passed);
}

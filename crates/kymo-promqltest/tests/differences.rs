//! Cases found by asking Prometheus and kymo random queries; the script passes in the runners of both.

use kymo_promqltest::{KymoEngine, run};

#[test]
fn differences_from_prometheus_stay_mended() {
    let report = run("differences", include_str!("differences.test"), &mut KymoEngine::new());
    let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(report.passed, 41);
}

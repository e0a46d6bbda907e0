//! Every recipe runs, and prints what it is about.

use std::process::Command;

fn check(program: &str, expected: &[&str]) {
    let output = Command::new(program).output().expect("the recipe starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{program} failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    for part in expected {
        assert!(text.contains(part), "expected {part:?} in what {program} printed: {text}");
    }
}

#[test]
fn parse_scrape() {
    check(
        env!("CARGO_BIN_EXE_parse_scrape"),
        &["http_requests_total{code=\"500\", path=\"/\"} = 3", "and a mistake"],
    );
}

#[test]
fn custom_queryable() {
    check(env!("CARGO_BIN_EXE_custom_queryable"), &["{kind=\"fast\"} 1.000"]);
}

#[test]
fn embed_axum() {
    check(env!("CARGO_BIN_EXE_embed_axum"), &["1 sample stored", "\"status\":\"success\"", ",\"1\"]"]);
}

#[test]
fn evaluate_rules() {
    check(
        env!("CARGO_BIN_EXE_evaluate_rules"),
        &["alertname=\"OrdersStopped\"", "firing", "shop takes 0 orders"],
    );
}

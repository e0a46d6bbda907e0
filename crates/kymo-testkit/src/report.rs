//! Report: the figures of a test run, one line each, shown although the tests pass; and the settings that make it longer.

use std::fmt::Display;
use std::io::Write;

/// Writes a line past the capture of the test harness. CI prints these lines again at its end.
pub fn report(line: impl Display) {
    // A closed output is no reason to fail.
    let _ = writeln!(std::io::stdout().lock(), "\nfaults: {line}");
}

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

//! Runs scripts on kymo's engine: `cargo run -p kymo-promqltest --example promqltest -- FILES...`. Prints every failure and
//! a last line `N passed, N failed`; fails if any did.

use std::path::Path;
use std::process::ExitCode;

use kymo_promqltest::{KymoEngine, Report, run_file};

fn main() -> ExitCode {
    let mut report = Report::default();
    for file in std::env::args().skip(1) {
        match run_file(Path::new(&file), &mut KymoEngine::new()) {
            Ok(found) => report.merge(found),
            Err(e) => {
                eprintln!("{file}: {e}");
                return ExitCode::FAILURE;
            }
        }
    }
    for failure in &report.failures {
        println!("{failure}");
    }
    println!("{} passed, {} failed", report.passed, report.failures.len());
    if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

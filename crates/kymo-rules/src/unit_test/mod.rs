//! Rule unit tests, as `promtool test rules` runs them: series written as `0+4x60`, and what alerts and expressions give.
//!
//! ```
//! use kymo_rules::unit_test::{LoadedFile, RunOptions, run};
//!
//! let rules = "groups: [{name: g, rules: [{record: one, expr: 1}]}]";
//! let test = "{rule_files: [rules.yml], tests: [{promql_expr_test: [
//!     {expr: one, eval_time: 1m, exp_samples: [{labels: one, value: 1}]}]}]}";
//! let load = |path: &str| Ok(vec![LoadedFile { path: path.to_owned(), text: rules.to_owned() }]);
//! let report = run(test, "rules.test.yml", &load, &RunOptions::default());
//! assert!(report.passed(), "{report}");
//! ```

mod expected;
mod file;
mod report;
mod run;

pub use report::{AlertText, SampleText, TestFailure, TestGroupReport, TestReport};
pub use run::{LoadedFile, RunOptions, run};

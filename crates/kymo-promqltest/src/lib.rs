//! Runs promqltest scripts against any PromQL engine behind a trait.
//!
//! A script loads series and states what queries over them must give; Prometheus keeps its acceptance tests in this form.
//! [`run`] executes one against an [`Engine`]: [`KymoEngine`] is ours, others implement the trait, also over a network.
//! Each `eval` counts as passed or failed as a whole, with all the variants in which an instant query is asked again.
//!
//! ```
//! use kymo_promqltest::{KymoEngine, run};
//!
//! let script = "
//! load 5m
//!   up{job=\"a\"} 1 0 1
//!
//! eval instant at 10m 1
//!   2
//! ";
//! let report = run("example", script, &mut KymoEngine::new());
//! assert_eq!((report.passed, report.failures.len()), (0, 1));
//! assert_eq!(report.failures[0].line, 5);
//! ```

#![forbid(unsafe_code)]

mod expect;
mod script;
mod start_times;

mod answer;
mod at_modifier;
mod compare;
mod runner;

mod kymo_engine;
mod nhcb;
mod reset_hints;
mod store;

pub use answer::{Answer, Answered, Engine, EngineError, LoadedSample, LoadedSeries, Outcome, Series, Value};
pub use kymo_engine::KymoEngine;
pub use runner::{Failure, Report, run, run_file};
pub use store::ScriptStore;

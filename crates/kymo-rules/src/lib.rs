//! Recording and alerting rules: rule files, evaluation, Go-style templates, unit tests.
//!
//! [`RuleFile::parse`] reads rule files and PrometheusRule manifests with all their faults; a [`Group`] evaluates rules
//! against anything that is `Queryable` and writes to anything that is `Append`; [`template`] expands what alerts say;
//! [`unit_test`] runs promtool's rule unit tests. No threads, clock or sockets, and files only through a loader that the
//! caller gives.

#![forbid(unsafe_code)]

mod fault;
mod yaml;

mod parse;
mod rule_file;

pub mod template;

mod alert;
mod evaluate;
mod group;
mod restore;

pub mod unit_test;

pub use alert::{Alert, AlertState};
pub use evaluate::{ALERT_NAME, ALERTS, ALERTS_FOR_STATE, EvalContext, RuleError};
pub use fault::{FaultKind, RuleFileError};
pub use group::{AlertToSend, Group, GroupEvaluation, GroupOptions, RuleHealth, RuleState};
pub use parse::FileOptions;
pub use restore::RestoreOptions;
pub use rule_file::{
    AlertingRule, DuplicateRule, Query, RecordingRule, Rule, RuleFile, RuleGroup, TextTemplate,
};
pub use yaml::FileLimits;

//! Relabelling: the eleven actions of Prometheus. Pure; between discovery and scraping, and between parsing and storing.
//!
//! A rule is a [`RelabelConfig`]: read from YAML or JSON through serde, or put together as a [`RelabelSpec`] and compiled.
//! A compiled rule is valid, so [`relabel`] cannot fail.
//!
//! ```
//! use kymo_model::LabelsBuilder;
//! use kymo_relabel::{RelabelConfig, RelabelSpec, Verdict, relabel};
//!
//! let rule = RelabelConfig::compile(RelabelSpec {
//!     source_labels: Some(vec!["__address__".to_owned()]),
//!     regex: Some("([^:]+):.*".to_owned()),
//!     target_label: "host".to_owned(),
//!     ..RelabelSpec::default()
//! })
//! .unwrap();
//! let mut labels = LabelsBuilder::new();
//! labels.set("__address__", "node-1:9100");
//! assert_eq!(relabel(&mut labels, &[rule]), Verdict::Keep);
//! assert_eq!(labels.get("host"), Some("node-1"));
//! ```

#![forbid(unsafe_code)]

mod action;
mod case;
mod config;
mod process;
mod template;

pub use action::Action;
pub use config::{FieldFault, RelabelConfig, RelabelConfigError, RelabelSpec};
pub use process::{Step, Verdict, relabel, relabel_labels, relabel_steps};

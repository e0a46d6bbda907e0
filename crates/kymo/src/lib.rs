//! Prometheus as libraries: one dependency, features choose the layers.
//!
//! Each module is one of kymo's crates; depend on that crate directly if it is all you need. By default there are the
//! database and PromQL:
//!
//! ```
//! use kymo::model::{Append, Batch, Labels, Timestamp};
//! use kymo::promql::{Engine, QueryOptions, QueryValue};
//! use kymo::tsdb::{Db, Options};
//!
//! # let dir = std::env::temp_dir().join(format!("kymo-doc-{}", std::process::id()));
//! let db = Db::open(&dir, Options::default())?;
//! let mut batch = Batch::new();
//! batch.push(Labels::from_pairs([("__name__", "up"), ("job", "node")]), Timestamp::from_millis(1000), 1.0);
//! db.append(&batch)?;
//!
//! let query = kymo::promql_syntax::parse("sum by (job) (up)")?;
//! let at = Timestamp::from_millis(2000);
//! let result = Engine::default().instant(&db, &query, at, &QueryOptions::default())?;
//! let QueryValue::Vector(samples) = result.value else { panic!("expected a vector") };
//! assert_eq!(samples[0].labels.to_string(), r#"{job="node"}"#);
//! # db.close()?;
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub use kymo_model as model;

#[cfg(feature = "exposition")]
pub use kymo_exposition as exposition;

#[cfg(feature = "chunk")]
pub use kymo_chunk as chunk;

#[cfg(feature = "tsdb")]
pub use kymo_tsdb as tsdb;

#[cfg(feature = "promql-syntax")]
pub use kymo_promql_syntax as promql_syntax;

#[cfg(feature = "promql")]
pub use kymo_promql as promql;

#[cfg(feature = "promqltest")]
pub use kymo_promqltest as promqltest;

#[cfg(feature = "rules")]
pub use kymo_rules as rules;

#[cfg(feature = "relabel")]
pub use kymo_relabel as relabel;

#[cfg(feature = "scrape")]
pub use kymo_scrape as scrape;

#[cfg(feature = "remote")]
pub use kymo_remote as remote;

#[cfg(feature = "http")]
pub use kymo_http as http;

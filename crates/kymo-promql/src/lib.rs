//! PromQL evaluator over anything that is `Queryable`: ask once per selector, then series-major columns and sliding kernels.
//!
//! A query is parsed by `kymo-promql-syntax`; [`Engine::instant`] and [`Engine::range`] answer it from any
//! [`Queryable`](kymo_model::Queryable). No threads, clocks or sockets: the edge arms time-outs through a [`CancelToken`].

#![forbid(unsafe_code)]

mod cancel;
mod engine;
mod error;
mod options;
mod result;
mod stats;

pub use cancel::{CancelReason, CancelToken};
pub use engine::Engine;
pub use error::{QueryError, QueryErrorKind};
pub use kymo_promql_syntax::ast::Span;
pub use options::{EngineOptions, QueryOptions};
pub use result::{MatrixSeries, PointValue, Points, QueryResult, QueryValue, VectorSample};
pub use stats::QueryStats;

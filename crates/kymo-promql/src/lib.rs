//! PromQL evaluator over anything that is `Queryable`: ask once per selector, then series-major columns and sliding kernels.
//!
//! A query is parsed by `kymo-promql-syntax`; [`Engine::instant`] and [`Engine::range`] answer it from any
//! [`Queryable`](kymo_model::Queryable). No clocks or sockets: the edge arms time-outs through a [`CancelToken`], and says with
//! [`EngineOptions::threads`] whether more than the calling thread may work.

#![forbid(unsafe_code)]

mod bits;
mod bucketless;
mod budget;
mod columns;
mod context;
mod counters;
mod date;
mod engine;
mod error;
mod estimate;
mod eval;
mod executor;
mod explain;
mod grid;
mod grouping;
mod kernel;
mod native;
mod notes;
mod options;
mod plan;
mod probe;
mod result;
mod row;
mod scalar;
mod shard;
mod spare;
mod stats;
mod vector;

pub use engine::Engine;
pub use error::{Bound, QueryError, QueryErrorKind};
pub use executor::{Executor, ScopedThreads};
pub use explain::{Explanation, OperatorCost, OperatorNode, SelectionCost, SelectionEstimate, SelectionNode};
pub use kymo_model::{CancelReason, CancelToken};
pub use kymo_promql_syntax::ast::Span;
pub use options::{EngineOptions, QueryOptions};
pub use probe::Clock;
pub use result::{MatrixSeries, PointValue, Points, QueryResult, QueryValue, VectorSample};
pub use stats::QueryStats;

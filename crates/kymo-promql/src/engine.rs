//! Engine: the door. Takes a checked expression, a store and a time, gives a result.

use kymo_model::{Queryable, Timestamp};
use kymo_promql_syntax::ast::{Expr, ExprKind};

use crate::{EngineOptions, QueryError, QueryOptions, QueryResult, QueryStats, QueryValue};

/// Evaluates queries; holds nothing but its options, so one engine serves any number of threads and stores.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    options: EngineOptions,
}

impl Engine {
    /// An engine with these options.
    pub fn new(options: EngineOptions) -> Engine {
        Engine { options }
    }

    /// Its options.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// The value of `expr` at one point in time.
    pub fn instant(
        &self,
        store: &dyn Queryable,
        expr: &Expr,
        at: Timestamp,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let _ = (store, options);
        match &expr.kind {
            ExprKind::Number(number) => Ok(QueryResult {
                value: QueryValue::Scalar { timestamp: at, value: number.value },
                warnings: Vec::new(),
                infos: Vec::new(),
                stats: QueryStats::default(),
            }),
            _ => Err(QueryError::execution("expressions other than numbers are not supported yet").at(expr.span)),
        }
    }

    /// The values of `expr` at `start`, `start + step_ms`, … up to `end`.
    pub fn range(
        &self,
        store: &dyn Queryable,
        expr: &Expr,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let _ = (store, options, start, end, step_ms);
        Err(QueryError::execution("range queries are not supported yet").at(expr.span))
    }
}

//! Our own engine behind the trait, with the options that scripts presuppose.

use kymo_model::Timestamp;
use kymo_promql::{EngineOptions, PointValue, QueryOptions, QueryResult, QueryValue};
use kymo_promql_syntax::ast::Expr;
use kymo_promql_syntax::{ParseOptions, Parser};

use crate::answer::{Answer, Answered, Engine, EngineError, LoadedSeries, Outcome, Series, Value};
use crate::store::ScriptStore;

/// The samples a query of a script may hold. Upstream's runner allows 10,000 of them, but counts of a series only what a
/// step shows; here a series is held as a whole.
const MAX_SAMPLES: usize = 100_000;

/// `kymo-promql` over a [`ScriptStore`]: the whole language, delayed name removal, start timestamps, lookback of five
/// minutes.
#[derive(Debug)]
pub struct KymoEngine {
    engine: kymo_promql::Engine,
    store: ScriptStore,
}

impl KymoEngine {
    /// An engine without series.
    pub fn new() -> KymoEngine {
        KymoEngine::with_options(EngineOptions::default())
    }

    /// The same with other options, except those that scripts presuppose.
    pub fn with_options(options: EngineOptions) -> KymoEngine {
        let options = EngineOptions {
            max_samples: MAX_SAMPLES,
            delayed_name_removal: true,
            use_start_timestamps: true,
            ..options
        };
        KymoEngine { engine: kymo_promql::Engine::new(options), store: ScriptStore::default() }
    }
}

impl Default for KymoEngine {
    fn default() -> KymoEngine {
        KymoEngine::new()
    }
}

fn parsed(query: &str) -> Result<Expr, EngineError> {
    Parser::new(ParseOptions::everything()).parse(query).map_err(|e| EngineError::new(e.to_string()))
}

impl Engine for KymoEngine {
    fn clear(&mut self) -> Result<(), EngineError> {
        self.store.clear();
        Ok(())
    }

    fn load(&mut self, series: &[LoadedSeries]) -> Result<(), EngineError> {
        self.store.load(series)
    }

    fn instant(&mut self, query: &str, at: Timestamp) -> Answered {
        let expr = parsed(query)?;
        let result = self.engine.instant(&self.store, &expr, at, &options(query));
        result.map(answer).map_err(|e| EngineError::new(e.to_string()))
    }

    fn range(&mut self, query: &str, start: Timestamp, end: Timestamp, step_ms: i64) -> Answered {
        let expr = parsed(query)?;
        let result = self.engine.range(&self.store, &expr, start, end, step_ms, &options(query));
        result.map(answer).map_err(|e| EngineError::new(e.to_string()))
    }
}

fn answer(result: QueryResult) -> Answer {
    let value = match result.value {
        QueryValue::Scalar { value, .. } => Outcome::Scalar(value),
        QueryValue::String { value, .. } => Outcome::String(value),
        QueryValue::Vector(samples) => {
            let value = |value: PointValue| match value {
                PointValue::Float(value) => Value::Float(value),
                PointValue::Histogram(value) => Value::Histogram(value),
            };
            Outcome::Vector(samples.into_iter().map(|s| (s.labels, value(s.value))).collect())
        }
        QueryValue::Matrix(series) => Outcome::Matrix(
            series
                .into_iter()
                .map(|s| Series {
                    labels: s.labels,
                    floats: s.floats.timestamps_ms.iter().copied().zip(s.floats.values).collect(),
                    histograms: s.histograms.timestamps_ms.iter().copied().zip(s.histograms.values).collect(),
                })
                .collect(),
        ),
    };
    Answer { value, warnings: result.warnings, infos: result.infos }
}

/// With the text of the query, so that annotations name its lines.
fn options(query: &str) -> QueryOptions {
    QueryOptions { text: Some(query.into()), ..QueryOptions::default() }
}

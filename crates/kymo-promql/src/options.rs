//! Options: every bound of a query and every behaviour that upstream has a flag for.

use std::sync::Arc;

use crate::{CancelToken, Executor, ScopedThreads};

/// What holds for all queries of an [`Engine`](crate::Engine).
///
/// ```
/// use kymo_promql::EngineOptions;
/// let options = EngineOptions { delayed_name_removal: true, ..EngineOptions::default() };
/// assert_eq!(options.lookback_delta_ms, 300_000);
/// ```
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How long a sample stands for its series after its time, in milliseconds.
    pub lookback_delta_ms: i64,
    /// How many samples a query may hold in memory at once.
    pub max_samples: usize,
    /// How many samples a query may read, all its selectors together and those that a store leaves out as it knows enough of them;
    /// 0 for no bound.
    pub max_samples_read: u64,
    /// How many bytes of columns and rows a query may hold at once.
    pub max_bytes: usize,
    /// How many bytes all queries of an engine that run at the same time may hold together; a query that would hold more is
    /// refused. 0 for no bound.
    pub max_bytes_all: usize,
    /// So many bytes of columns that were given back with [`Engine::reuse`](crate::Engine::reuse) are kept for later results.
    pub spare_bytes_max: usize,
    /// How many series a query may read, all its selectors together; 0 for no bound.
    pub max_series: usize,
    /// How many steps a range query may have; 0 for no bound.
    pub max_points_per_series: usize,
    /// The step of a subquery that names none, in milliseconds.
    pub subquery_step_ms: i64,
    /// Drop metric names at the end of the query instead of in each operator (upstream: `promql-delayed-name-removal`).
    pub delayed_name_removal: bool,
    /// Series carry their type in `__type__`, so `rate` looks there and not at the metric's name for whether it is of a
    /// counter (upstream: `type-and-unit-labels`).
    pub type_and_unit_labels: bool,
    /// Let the times at which counters began tell of resets, and where counting started (upstream: `use-start-timestamps`).
    pub use_start_timestamps: bool,
    /// How many threads work on a query that is large enough, the calling one included; 0 for as many as there are processors.
    /// All queries of an engine and its clones share those beside their own. Answers are the same to the bit, whatever it is.
    pub threads: usize,
    /// How much of a part of a query (its rows, the groups of an aggregation) the calling thread does before others are asked to
    /// help, in samples read and steps computed; they are asked if four times as much is left. 0 asks them at once.
    pub alone_work: usize,
    /// Where threads come from.
    pub executor: Arc<dyn Executor>,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            lookback_delta_ms: 300_000,
            max_samples: 50_000_000,
            max_samples_read: 5_000_000_000,
            max_bytes: 2 << 30,
            max_bytes_all: 3 << 30,
            spare_bytes_max: 64 << 20,
            max_series: 5_000_000,
            max_points_per_series: 11_000,
            subquery_step_ms: 60_000,
            delayed_name_removal: false,
            type_and_unit_labels: false,
            use_start_timestamps: false,
            threads: 1,
            alone_work: 32 * 1024,
            executor: Arc::new(ScopedThreads),
        }
    }
}

/// What holds for one query.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// Replaces [`EngineOptions::lookback_delta_ms`].
    pub lookback_delta_ms: Option<i64>,
    /// Replaces [`EngineOptions::use_start_timestamps`].
    pub use_start_timestamps: Option<bool>,
    /// The text that the expression was parsed from, so that warnings name its lines; without it they count from column 1.
    pub text: Option<Arc<str>>,
    /// Count what each step looks at: [`QueryResult::samples_per_step`](crate::QueryResult::samples_per_step).
    pub per_step_stats: bool,
    /// Stops the query from outside.
    pub cancel: CancelToken,
}

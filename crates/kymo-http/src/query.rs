//! `/query` and `/query_range`: evaluation off the async threads, with a turn, a timeout, and an end when the client goes.

use axum::extract::State;
use axum::response::Response;
use kymo_model::Timestamp;
use kymo_promql::{
    CancelReason, CancelToken, Engine, QueryError, QueryOptions, QueryResult, QueryStats, QueryValue,
};
use kymo_promql_syntax::ast::{Expr, ValueType};
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::clock;
use crate::error::{ApiError, ApiErrorKind};
use crate::json::{self, Answer};
use crate::params::Params;

pub(crate) async fn instant(State(api): State<Api>, params: Params) -> Response {
    json::respond(answer_instant(api, params).await)
}

pub(crate) async fn range(State(api): State<Api>, params: Params) -> Response {
    json::respond(answer_range(api, params).await)
}

async fn answer_instant(api: Api, params: Params) -> Result<Answer, ApiError> {
    let limit = params.limit("limit")?;
    let at = params.time("time", now())?;
    let job = Job::new(&api, &params)?;
    let (engine, store) = (api.engine.clone(), api.store.clone());
    job.run(&api, limit, move |expr, options| engine.instant(&*store, expr, at, options)).await
}

async fn answer_range(api: Api, params: Params) -> Result<Answer, ApiError> {
    let limit = params.limit("limit")?;
    let start = params.required_time("start")?;
    let end = params.required_time("end")?;
    if end < start {
        return Err(ApiError::bad_parameter("end", "end timestamp must not be before start time"));
    }
    let step_ms = params
        .duration_ms("step")?
        .ok_or_else(|| ApiError::bad_parameter("step", "cannot parse \"\" to a valid duration"))?;
    if step_ms <= 0 {
        return Err(ApiError::bad_parameter(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    let points = (i128::from(end.millis()) - i128::from(start.millis())) / i128::from(step_ms);
    if points > i128::from(api.limits.points_per_series_max) {
        return Err(ApiError::new(
            ApiErrorKind::BadData,
            format!(
                "exceeded maximum resolution of {} points per timeseries. Try decreasing the query resolution (?step=XX)",
                group_thousands(api.limits.points_per_series_max)
            ),
        ));
    }
    let job = Job::new(&api, &params)?;
    check_has_a_range(&job.expr)?;
    let (engine, store) = (api.engine.clone(), api.store.clone());
    job.run(&api, limit, move |expr, options| engine.range(&*store, expr, start, end, step_ms, options)).await
}

/// Strings and range vectors have no range of values. That is the fault of the request, not of its evaluation.
fn check_has_a_range(expr: &Expr) -> Result<(), ApiError> {
    let found = match expr.value_type() {
        ValueType::Scalar | ValueType::Vector => return Ok(()),
        ValueType::Matrix => "range vector",
        ValueType::String => "string",
    };
    let why =
        format!("invalid expression type \"{found}\" for range query, must be Scalar or instant Vector");
    Err(ApiError::bad_parameter("query", why))
}

/// Prometheus' text for the usual bound has a comma: 11,000.
fn group_thousands(number: i64) -> String {
    if number >= 1000 { format!("{},{:03}", number / 1000, number % 1000) } else { number.to_string() }
}

/// The wall clock, for requests that name no time.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as i64)
}

/// A query that was understood and waits for its turn.
pub(crate) struct Job {
    expr: Expr,
    options: QueryOptions,
    timeout: Duration,
    stats: Option<String>,
}

impl Job {
    pub(crate) fn new(api: &Api, params: &Params) -> Result<Job, ApiError> {
        let text = params.get("query").unwrap_or("");
        let expr = params.query(api)?;
        let mut timeout = api.limits.query_timeout;
        if let Some(ms) = params.duration_ms("timeout")? {
            timeout = timeout.min(Duration::from_millis(ms.max(0) as u64));
        }
        let lookback_delta_ms = params.duration_ms("lookback_delta")?.filter(|ms| *ms > 0);
        let stats = params.get("stats").map(str::to_owned);
        let options = QueryOptions {
            lookback_delta_ms,
            text: Some(text.into()),
            per_step_stats: api.limits.per_step_stats && stats.as_deref() == Some("all"),
            // Waiting for a turn takes from the same time.
            cancel: CancelToken::with_deadline(clock::nanos_after(timeout), clock::nanos),
            ..QueryOptions::default()
        };
        Ok(Job { expr, options, timeout, stats })
    }

    /// Runs the evaluation on a blocking thread and prints its result there too.
    async fn run<F>(self, api: &Api, limit: usize, evaluate: F) -> Result<Answer, ApiError>
    where
        F: FnOnce(&Expr, &QueryOptions) -> Result<QueryResult, QueryError> + Send + 'static,
    {
        let (stats, engine) = (self.stats.clone(), api.engine.clone());
        self.work(api, move |expr, options, queued| {
            let begun = Instant::now();
            let result = evaluate(expr, options)?;
            let timings = Timings { queued, evaluation: begun.elapsed() };
            Ok(answer_of(result, &engine, limit, (stats.as_deref(), timings)))
        })
        .await
    }

    /// Waits for a turn and does `work` on a blocking thread, which is told how long it had to wait.
    pub(crate) async fn work<F>(self, api: &Api, work: F) -> Result<Answer, ApiError>
    where
        F: FnOnce(&Expr, &QueryOptions, Duration) -> Result<Answer, ApiError> + Send + 'static,
    {
        let Job { expr, options, timeout, .. } = self;
        // Dropped with this future: when the client goes away, the query ends.
        let guard = CancelOnDrop(options.cancel.clone());
        let timed_out = || ApiError::new(ApiErrorKind::Timeout, "query timed out in query queue");
        if timeout.is_zero() {
            return Err(timed_out());
        }
        let arrived = Instant::now();
        let deadline = tokio::time::Instant::from_std(arrived) + timeout;
        let turn = tokio::time::timeout_at(deadline, api.query_slots.clone().acquire_owned())
            .await
            .map_err(|_| timed_out())?
            .map_err(|_| ApiError::new(ApiErrorKind::Unavailable, "server is stopping"))?;
        // The token has a deadline, and evaluation looks at it.
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&expr, &options, arrived.elapsed())
        })
        .await;
        drop(guard);
        done.unwrap_or_else(|panic| {
            tracing::error!(error = %panic, "query evaluation failed");
            Err(ApiError::new(ApiErrorKind::Internal, "query evaluation failed; the server's log says why"))
        })
    }
}

/// Tells work that its client has gone.
pub(crate) struct CancelOnDrop(pub(crate) CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel(CancelReason::Canceled);
    }
}

/// Where the time of a query went.
#[derive(Clone, Copy)]
struct Timings {
    queued: Duration,
    evaluation: Duration,
}

fn answer_of(
    result: QueryResult,
    engine: &Engine,
    limit: usize,
    (stats, timings): (Option<&str>, Timings),
) -> Answer {
    let QueryResult { mut value, mut warnings, infos, stats: counted, samples_per_step } = result;
    if limit > 0 && truncate(&mut value, limit) {
        warnings.push("results truncated due to limit".to_owned());
    }
    if let Some(wanted) = stats.filter(|wanted| !matches!(*wanted, "true" | "all")) {
        warnings.push(format!("unknown value of stats: expected true or all, found {wanted:?}"));
    }
    let more = match stats {
        Some(_) => format!(",\"stats\":{}", stats_json(&counted, &samples_per_step, timings)),
        None => String::new(),
    };
    Answer::of_query(value, engine, &more).with_warnings(warnings).with_infos(infos)
}

fn stats_json(stats: &QueryStats, per_step: &[(i64, u64)], timings: Timings) -> serde_json::Value {
    let evaluation = timings.evaluation.as_secs_f64();
    let mut json = serde_json::json!({
        // Series are read while steps are computed and come out in order, so that preparing and sorting have no time of
        // their own.
        "timings": {
            "evalTotalTime": evaluation,
            "resultSortTime": 0,
            "queryPreparationTime": 0,
            "innerEvalTime": evaluation,
            "execQueueTime": timings.queued.as_secs_f64(),
            "execTotalTime": (timings.queued + timings.evaluation).as_secs_f64(),
        },
        "samples": {
            "totalQueryableSamples": stats.total_queryable_samples,
            "samplesRead": stats.samples_read,
            "peakSamples": stats.peak_samples,
        },
        "series": stats.series,
        "selects": stats.selects,
        "peakBytes": stats.peak_bytes,
    });
    if !per_step.is_empty() {
        let step = |(ms, samples): &(i64, u64)| {
            serde_json::json!([json::seconds_json(*ms as f64 / 1000.0), samples])
        };
        json["samples"]["totalQueryableSamplesPerStep"] = per_step.iter().map(step).collect();
    }
    json
}

/// Leaves the first `limit` series; says whether any were cut.
fn truncate(value: &mut QueryValue, limit: usize) -> bool {
    match value {
        QueryValue::Vector(samples) if samples.len() > limit => samples.truncate(limit),
        QueryValue::Matrix(series) if series.len() > limit => series.truncate(limit),
        _ => return false,
    }
    true
}

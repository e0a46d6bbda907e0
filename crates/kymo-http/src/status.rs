//! `/status/*`: what runs here, and what the head holds.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use kymo_model::Timestamp;
use serde_json::{Map, Value, json};

use crate::api::{Api, Status};
use crate::error::{ApiError, ApiErrorKind};
use crate::json::{self, Answer};
use crate::params::Params;
use crate::views::NameCount;

/// A time as Go prints it in JSON; an absent one is Go's zero time.
pub(crate) fn time_json(time: Option<Timestamp>) -> Value {
    let printed = time.and_then(|time| jiff::Timestamp::from_millisecond(time.millis()).ok());
    printed.map_or_else(|| "0001-01-01T00:00:00Z".into(), |time| time.to_string().into())
}

fn respond(api: &Api, show: impl FnOnce(&dyn Status) -> Result<Value, ApiError>) -> Response {
    let answer = match &api.status {
        Some(status) => show(&**status).map(|value| Answer::of(&value)),
        None => Err(ApiError::new(ApiErrorKind::NotFound, "this server has no status to show")),
    };
    json::respond(answer)
}

pub(crate) async fn build_info(State(api): State<Api>) -> Response {
    respond(&api, |status| {
        let build = status.build();
        Ok(json!({
            "version": build.version, "revision": build.revision, "branch": build.branch,
            "buildUser": build.build_user, "buildDate": build.build_date, "goVersion": build.runtime_version,
        }))
    })
}

pub(crate) async fn config(State(api): State<Api>) -> Response {
    respond(&api, |status| Ok(json!({"yaml": status.config_yaml()})))
}

pub(crate) async fn flags(State(api): State<Api>) -> Response {
    respond(&api, |status| {
        Ok(Value::Object(status.flags().into_iter().map(|(flag, value)| (flag, value.into())).collect()))
    })
}

pub(crate) async fn runtime_info(State(api): State<Api>) -> Response {
    respond(&api, |status| {
        let runtime = status.runtime();
        Ok(json!({
            "startTime": time_json(Some(runtime.start)),
            "CWD": runtime.cwd,
            "hostname": runtime.hostname,
            "serverTime": time_json(Some(crate::query::now())),
            "reloadConfigSuccess": runtime.reload_config_success,
            "lastConfigTime": time_json(Some(runtime.last_config)),
            "corruptionCount": runtime.corruption_count,
            // Go's words for things that exist here in another form: threads, no collector.
            "goroutineCount": runtime.threads,
            "GOMAXPROCS": std::thread::available_parallelism().map_or(1, usize::from),
            "GOMEMLIMIT": 0,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": runtime.storage_retention,
        }))
    })
}

pub(crate) async fn tsdb(State(api): State<Api>, params: Params) -> Response {
    respond(&api, |status| {
        let limit = match params.get("limit") {
            None => 10,
            Some(text) => {
                text.parse::<usize>().ok().filter(|limit| (1..=10_000).contains(limit)).ok_or_else(|| {
                    ApiError::bad_parameter("limit", "limit must be a positive number up to 10000")
                })?
            }
        };
        let found = status.cardinality(limit);
        let list = |counts: &[NameCount]| -> Vec<Value> {
            counts.iter().map(|count| json!({"name": count.name, "value": count.value})).collect()
        };
        Ok(json!({
            "headStats": {
                "numSeries": found.series, "numLabelPairs": found.label_pairs, "chunkCount": found.chunks,
                "minTime": found.min_time_ms, "maxTime": found.max_time_ms,
            },
            "seriesCountByMetricName": list(&found.series_by_metric),
            "labelValueCountByLabelName": list(&found.values_by_label),
            "memoryInBytesByLabelName": list(&found.bytes_by_label),
            "seriesCountByLabelValuePair": list(&found.series_by_pair),
        }))
    })
}

/// `/status/walreplay`: how far the write-ahead log is read. Behind the gate it is read to its end.
pub(crate) async fn wal_replay(State(api): State<Api>) -> Response {
    respond(&api, |status| {
        let replay = status.wal_replay();
        Ok(json!({"min": replay.min, "max": replay.max, "current": replay.current}))
    })
}

/// `/status/tsdb/blocks`: the description of each block.
pub(crate) async fn blocks(State(api): State<Api>) -> Response {
    let blocks = api.status.as_ref().map_or_else(Vec::new, |status| status.blocks());
    json::respond(Ok(Answer::of(&json!({ "blocks": blocks }))))
}

/// `/metrics`: the process' own.
pub(crate) async fn own_metrics(State(api): State<Api>) -> Response {
    match &api.status {
        Some(status) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], status.metrics_text())
                .into_response()
        }
        None => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

/// `/version`: the build as a flat object.
pub(crate) async fn version(State(api): State<Api>) -> Response {
    let Some(status) = &api.status else {
        return axum::http::StatusCode::NOT_FOUND.into_response();
    };
    let build = status.build();
    let mut object = Map::new();
    for (key, value) in [
        ("version", build.version),
        ("revision", build.revision),
        ("branch", build.branch),
        ("buildUser", build.build_user),
        ("buildDate", build.build_date),
        ("goVersion", build.runtime_version),
    ] {
        object.insert(key.to_owned(), value.into());
    }
    axum::Json(Value::Object(object)).into_response()
}

/// `/parse_query`: the query as a tree.
pub(crate) async fn parse_query(State(api): State<Api>, params: Params) -> Response {
    json::respond(params.query(&api).map(|expr| Answer::of(&expr)))
}

/// `/format_query`: the query, printed the usual way.
pub(crate) async fn format_query(State(api): State<Api>, params: Params) -> Response {
    json::respond(params.query(&api).map(|expr| Answer::of(&expr.to_string())))
}

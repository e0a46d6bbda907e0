//! `/query_explain`: how a query is answered, and with `analyze=true` what each part of that cost. Takes the parameters of
//! `/query`, or with `start`, `end` and `step` those of `/query_range`. Prometheus has nothing like it.

use axum::extract::State;
use axum::response::Response;
use kymo_promql::{Explanation, QueryError};

use crate::api::Api;
use crate::clock;
use crate::error::ApiError;
use crate::json::{self, Answer};
use crate::params::Params;
use crate::query::{Job, now};

pub(crate) async fn explain(State(api): State<Api>, params: Params) -> Response {
    json::respond(answer(api, params).await)
}

async fn answer(api: Api, params: Params) -> Result<Answer, ApiError> {
    let is_range = params.get("start").is_some();
    let (start, end, step_ms) = if is_range {
        let step_ms = params.duration_ms("step")?.filter(|ms| *ms > 0);
        let step_ms =
            step_ms.ok_or_else(|| ApiError::bad_parameter("step", "expected a positive duration"))?;
        (params.required_time("start")?, params.required_time("end")?, step_ms)
    } else {
        let at = params.time("time", now())?;
        (at, at, 0)
    };
    let analyze = match params.get("analyze") {
        None | Some("" | "false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiError::bad_parameter("analyze", "expected true or false")),
    };
    let (engine, store) = (api.engine.clone(), api.store.clone());
    let job = Job::new(&api, &params)?;
    job.work(&api, move |expr, options, _| {
        let explained: Result<(Explanation, Vec<String>, Vec<String>), QueryError> = if analyze {
            engine
                .explain_analyze(&*store, expr, (start, end, step_ms), options, clock::nanos)
                .map(|(result, explanation)| (explanation, result.warnings, result.infos))
        } else {
            engine
                .explain_with_estimates(&*store, expr, (start, end, step_ms), options)
                .map(|explanation| (explanation, Vec::new(), Vec::new()))
        };
        let (explanation, warnings, infos) = explained?;
        let data = Explained { text: explanation.to_string(), plan: &explanation };
        Ok(Answer::of(&data).with_warnings(warnings).with_infos(infos))
    })
    .await
}

/// For programs, and for people.
#[derive(serde::Serialize)]
struct Explained<'a> {
    text: String,
    #[serde(flatten)]
    plan: &'a Explanation,
}

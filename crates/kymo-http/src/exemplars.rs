//! `/query_exemplars`: the exemplars of the series that a query selects. The store keeps none, so the list is empty; what
//! is wrong with the question is said all the same.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kymo_promql_syntax::ast::{Expr, ExprKind};

use crate::api::Api;
use crate::error::ApiError;
use crate::json::{self, Answer};
use crate::params::Params;
use crate::series::time_range;

pub(crate) async fn query(State(api): State<Api>, params: Params) -> Response {
    match selects_series(&api, &params) {
        Ok(true) => json::respond(Ok(Answer::raw("[]".to_owned()))),
        // As in Prometheus: no selectors, no content.
        Ok(false) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => json::error(&error),
    }
}

fn selects_series(api: &Api, params: &Params) -> Result<bool, ApiError> {
    time_range(params)?;
    let expr = params.query(api)?;
    let mut found = false;
    expr.walk(|part: &Expr| found |= matches!(part.kind, ExprKind::Selector(_) | ExprKind::Matrix(_)));
    Ok(found)
}

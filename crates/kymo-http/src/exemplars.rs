//! `/query_exemplars`: the exemplars of the series that an expression selects. Without a store of exemplars the list is empty;
//! what is wrong with the question is said all the same.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kymo_model::{Matcher, SeriesExemplars, write_float_json};
use kymo_promql_syntax::ast::{Expr, ExprKind};

use crate::api::Api;
use crate::error::ApiError;
use crate::json::{self, Answer};
use crate::params::Params;
use crate::series::{blocking, time_range};

pub(crate) async fn query(State(api): State<Api>, params: Params) -> Response {
    let (range, sets) = match question(&api, &params) {
        Ok((range, sets)) if !sets.is_empty() => (range, sets),
        // As in Prometheus: no selectors, no content.
        Ok(_) => return StatusCode::NO_CONTENT.into_response(),
        Err(error) => return json::error(&error),
    };
    blocking(&api.clone(), move |_| {
        let found = match &api.exemplars {
            Some(exemplars) => exemplars.exemplars(&sets, range)?,
            None => Vec::new(),
        };
        let mut data = String::new();
        push_series(&mut data, &found);
        Ok(Answer::raw(data))
    })
    .await
}

fn question(api: &Api, params: &Params) -> Result<(kymo_model::TimeRange, Vec<Vec<Matcher>>), ApiError> {
    let range = time_range(params)?;
    let expr = params.query(api)?;
    Ok((range, selectors(&expr)))
}

/// The matchers of every selector. Offsets and ranges say nothing here, as in Prometheus.
fn selectors(expr: &Expr) -> Vec<Vec<Matcher>> {
    let mut sets: Vec<Vec<Matcher>> = Vec::new();
    expr.walk(|part| {
        let matchers = match &part.kind {
            ExprKind::Selector(selector) => &selector.matchers,
            ExprKind::Matrix(matrix) => &matrix.selector.matchers,
            _ => return,
        };
        if !sets.contains(matchers) {
            sets.push(matchers.clone());
        }
    });
    sets
}

/// `[{"seriesLabels":{…},"exemplars":[{"labels":{…},"value":"…","timestamp":…},…]},…]`
fn push_series(out: &mut String, found: &[SeriesExemplars]) {
    out.push('[');
    for (index, of) in found.iter().enumerate() {
        out.push_str(if index > 0 { ",{\"seriesLabels\":" } else { "{\"seriesLabels\":" });
        json::push_labels(out, &of.series);
        out.push_str(",\"exemplars\":[");
        for (index, exemplar) in of.exemplars.iter().enumerate() {
            out.push_str(if index > 0 { ",{\"labels\":" } else { "{\"labels\":" });
            json::push_labels(out, &exemplar.labels);
            out.push_str(",\"value\":\"");
            write_float_json(out, exemplar.value);
            out.push_str("\",\"timestamp\":");
            json::push_timestamp(out, exemplar.timestamp.millis());
            out.push('}');
        }
        out.push_str("]}");
    }
    out.push(']');
}

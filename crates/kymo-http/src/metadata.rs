//! `/metadata` and `/targets/metadata`: what targets say about their metrics. Of metrics that no target says anything about,
//! `/metadata` has what the store was told: by targets that are gone, and by remote write.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::Response;
use kymo_model::{FamilyMetadata, MetricType, Selector, TimeRange};
use serde_json::json;

use crate::api::Api;
use crate::error::ApiError;
use crate::json::{self, Answer, LabelsJson};
use crate::params::{Params, selector};
use crate::series::blocking;

pub(crate) async fn by_metric(State(api): State<Api>, params: Params) -> Response {
    blocking(&api.clone(), move |_| answer_by_metric(&api, &params)).await
}

fn answer_by_metric(api: &Api, params: &Params) -> Result<Answer, ApiError> {
    let (limit, per_metric) = (signed_limit(params, "limit")?, signed_limit(params, "limit_per_metric")?);
    let metric = params.get("metric");
    let entries = api.targets.as_ref().map(|targets| targets.metadata(metric)).unwrap_or_default();
    let mut found: BTreeMap<String, BTreeSet<(&'static str, String, String)>> = BTreeMap::new();
    for entry in entries {
        if found.len() >= limit && !found.contains_key(&entry.metric) {
            continue;
        }
        let said = found.entry(entry.metric).or_default();
        let metadata = entry.metadata;
        if said.len() < per_metric {
            said.insert((word(metadata.metric_type), metadata.help, metadata.unit));
        }
    }
    let stored = match &api.metadata {
        Some(metadata) => metadata.metadata(metric)?,
        None => Vec::new(),
    };
    for family in stored {
        if found.len() >= limit {
            break;
        }
        let FamilyMetadata { name, metadata } = family;
        let said = (word(metadata.metric_type), metadata.help, metadata.unit);
        found.entry(name).or_insert_with(|| BTreeSet::from_iter((per_metric > 0).then_some(said)));
    }
    let data: BTreeMap<String, Vec<serde_json::Value>> = found
        .into_iter()
        .map(|(metric, said)| {
            let list =
                said.into_iter().map(|(kind, help, unit)| json!({"type": kind, "unit": unit, "help": help}));
            (metric, list.collect())
        })
        .collect();
    Ok(Answer::of(&data))
}

pub(crate) async fn by_target(State(api): State<Api>, params: Params) -> Response {
    json::respond(answer_by_target(&api, &params))
}

fn answer_by_target(api: &Api, params: &Params) -> Result<Answer, ApiError> {
    let limit = signed_limit(params, "limit")?;
    let matchers = match params.get("match_target") {
        Some(text) => selector(text, "match_target")?,
        None => Vec::new(),
    };
    let wanted = Selector::new(matchers, TimeRange::ALL);
    let metric = params.get("metric");
    let entries = api.targets.as_ref().map(|targets| targets.metadata(metric)).unwrap_or_default();
    let mut data = Vec::new();
    for entry in entries.iter().filter(|entry| wanted.matches(&entry.target)).take(limit) {
        let mut object = json!({
            "target": LabelsJson(&entry.target),
            "type": word(entry.metadata.metric_type), "help": entry.metadata.help, "unit": entry.metadata.unit,
        });
        if metric.is_none() {
            object["metric"] = entry.metric.clone().into();
        }
        data.push(object);
    }
    Ok(Answer::of(&data))
}

/// These two endpoints take negative numbers for "no limit", and so does an absent parameter.
fn signed_limit(params: &Params, name: &str) -> Result<usize, ApiError> {
    match params.get(name) {
        None => Ok(usize::MAX),
        Some(text) => match text.parse::<i64>() {
            Ok(limit) if limit < 0 => Ok(usize::MAX),
            Ok(limit) => Ok(limit as usize),
            Err(_) => Err(ApiError::bad_parameter(name, "limit must be a number")),
        },
    }
}

fn word(kind: MetricType) -> &'static str {
    kind.as_str()
}

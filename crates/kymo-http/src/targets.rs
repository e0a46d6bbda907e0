//! `/targets`, `/scrape_pools`, `/alertmanagers`.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use kymo_model::format_duration;
use serde_json::{Value, json};

use crate::api::Api;
use crate::error::ApiError;
use crate::json::{self, Answer, LabelsJson, seconds_json};
use crate::params::Params;
use crate::status::time_json;
use crate::views::ActiveTarget;

pub(crate) async fn targets(State(api): State<Api>, params: Params) -> Response {
    json::respond(answer_targets(&api, &params))
}

fn answer_targets(api: &Api, params: &Params) -> Result<Answer, ApiError> {
    let state = params.get("state").unwrap_or("any").to_ascii_lowercase();
    let (show_active, show_dropped) = match state.as_str() {
        "active" => (true, false),
        "dropped" => (false, true),
        // Prometheus shows everything for any other word.
        _ => (true, true),
    };
    let pool = params.get("scrapePool");
    let in_pool = |name: &str| pool.is_none_or(|wanted| wanted == name);
    let mut active: Vec<Value> = Vec::new();
    let mut dropped: Vec<Value> = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    if let Some(targets) = &api.targets {
        if show_active {
            active = targets.active().iter().filter(|t| in_pool(&t.scrape_pool)).map(active_json).collect();
        }
        if show_dropped {
            dropped = targets
                .dropped()
                .iter()
                .filter(|t| in_pool(&t.scrape_pool))
                .map(|t| json!({"discoveredLabels": LabelsJson(&t.discovered_labels), "scrapePool": t.scrape_pool}))
                .collect();
        }
        counts = targets.dropped_counts().into_iter().filter(|(name, _)| in_pool(name)).collect();
    }
    Ok(Answer::of(&json!({
        "activeTargets": active, "droppedTargets": dropped, "droppedTargetCounts": counts,
    })))
}

fn active_json(target: &ActiveTarget) -> Value {
    json!({
        "discoveredLabels": LabelsJson(&target.discovered_labels),
        "labels": LabelsJson(&target.labels),
        "scrapePool": target.scrape_pool,
        "scrapeUrl": target.scrape_url,
        "globalUrl": target.global_url,
        "lastError": target.last_error,
        "lastScrape": time_json(target.last_scrape),
        "lastScrapeDuration": seconds_json(target.last_scrape_duration_seconds),
        "health": target.health.as_str(),
        "scrapeInterval": format_duration(target.scrape_interval_ms),
        "scrapeTimeout": format_duration(target.scrape_timeout_ms),
    })
}

pub(crate) async fn pools(State(api): State<Api>) -> Response {
    let mut pools = api.targets.as_ref().map(|targets| targets.pools()).unwrap_or_default();
    pools.sort();
    json::respond(Ok(Answer::of(&json!({"scrapePools": pools}))))
}

/// Alerts are not sent anywhere by this router's server, so there are no Alertmanagers to show.
pub(crate) async fn alertmanagers() -> Response {
    json::respond(Ok(Answer::of(&json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))))
}

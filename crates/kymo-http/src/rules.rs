//! `/rules` and `/alerts`.

use axum::extract::State;
use axum::response::Response;
use kymo_model::{Labels, Matcher, Selector, TimeRange};
use serde_json::{Value, json};

use crate::api::Api;
use crate::error::{ApiError, ApiErrorKind};
use crate::json::{self, Answer, LabelsJson, seconds_json};
use crate::params::Params;
use crate::status::time_json;
use crate::views::{AlertView, RuleGroupView, RuleKindView, RuleView};

pub(crate) async fn rules(State(api): State<Api>, params: Params) -> Response {
    json::respond(answer_rules(&api, &params))
}

fn answer_rules(api: &Api, params: &Params) -> Result<Answer, ApiError> {
    let filter = Filter::new(params)?;
    let mut groups = Vec::new();
    for group in api.rules.as_ref().map(|rules| rules.groups()).unwrap_or_default() {
        if !filter.wants_group(&group) {
            continue;
        }
        let rules: Vec<Value> =
            group.rules.iter().filter(|rule| filter.wants_rule(rule)).map(|r| filter.rule_json(r)).collect();
        if filter.narrows_rules() && rules.is_empty() {
            continue;
        }
        groups.push((group, rules));
    }
    let page = filter.page(groups)?;
    let shown: Vec<Value> = page.groups.into_iter().map(|(group, rules)| group_json(&group, rules)).collect();
    let mut data = json!({"groups": shown});
    if let Some(token) = page.next {
        data["groupNextToken"] = token.into();
    }
    Ok(Answer::of(&data))
}

pub(crate) async fn alerts(State(api): State<Api>) -> Response {
    let alerts = api.rules.as_ref().map(|rules| rules.alerts()).unwrap_or_default();
    let shown: Vec<Value> = alerts.iter().map(alert_json).collect();
    json::respond(Ok(Answer::of(&json!({"alerts": shown}))))
}

/// What of the rules a request wants to see.
struct Filter {
    recording: bool,
    alerting: bool,
    names: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    matcher_sets: Vec<Vec<Matcher>>,
    exclude_alerts: bool,
    group_limit: usize,
    next_token: Option<String>,
}

struct Page {
    groups: Vec<(RuleGroupView, Vec<Value>)>,
    next: Option<String>,
}

impl Filter {
    fn new(params: &Params) -> Result<Filter, ApiError> {
        let (recording, alerting) = match params.get("type").unwrap_or("").to_ascii_lowercase().as_str() {
            "" => (true, true),
            "record" => (true, false),
            "alert" => (false, true),
            other => return Err(ApiError::bad_parameter("type", format!("not supported value {other:?}"))),
        };
        let exclude_alerts = match params.get("exclude_alerts") {
            None => false,
            Some(text) => parse_bool(text).ok_or_else(|| {
                ApiError::bad_parameter("exclude_alerts", format!("expected true or false, found {text:?}"))
            })?,
        };
        let group_limit = match params.get("group_limit") {
            None => 0,
            Some(text) => text.parse::<usize>().ok().filter(|limit| *limit > 0).ok_or_else(|| {
                ApiError::bad_parameter("group_limit", "group_limit needs to be greater than 0")
            })?,
        };
        let next_token = params.get("group_next_token").map(str::to_owned);
        if next_token.is_some() && group_limit == 0 {
            let why = "group_limit needs to be present in order to paginate over the groups";
            return Err(ApiError::bad_parameter("group_limit", why));
        }
        let list = |name: &str| -> Vec<String> { params.all(name).map(str::to_owned).collect() };
        Ok(Filter {
            recording,
            alerting,
            names: list("rule_name[]"),
            groups: list("rule_group[]"),
            files: list("file[]"),
            matcher_sets: params.matcher_sets()?,
            exclude_alerts,
            group_limit,
            next_token,
        })
    }

    fn wants_group(&self, group: &RuleGroupView) -> bool {
        let any = |list: &[String], name: &str| list.is_empty() || list.iter().any(|n| n == name);
        any(&self.groups, &group.name) && any(&self.files, &group.file)
    }

    fn narrows_rules(&self) -> bool {
        let every_kind = self.recording && self.alerting;
        !(every_kind && self.names.is_empty() && self.matcher_sets.is_empty())
    }

    fn wants_rule(&self, rule: &RuleView) -> bool {
        let kind = match rule.kind {
            RuleKindView::Recording => self.recording,
            RuleKindView::Alerting { .. } => self.alerting,
        };
        let named = self.names.is_empty() || self.names.contains(&rule.name);
        let labels = Labels::from_pairs(rule.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let matched = self.matcher_sets.is_empty()
            || self
                .matcher_sets
                .iter()
                .any(|set| Selector::new(set.clone(), TimeRange::ALL).matches(&labels));
        kind && named && matched
    }

    fn rule_json(&self, rule: &RuleView) -> Value {
        let mut object = json!({
            "name": rule.name,
            "query": rule.query,
            "health": rule.health,
            "evaluationTime": seconds_json(rule.evaluation_seconds),
            "lastEvaluation": time_json(rule.last_evaluation),
        });
        if !rule.last_error.is_empty() {
            object["lastError"] = rule.last_error.as_str().into();
        }
        match &rule.kind {
            RuleKindView::Recording => {
                object["type"] = "recording".into();
                if !rule.labels.is_empty() {
                    object["labels"] = pairs_json(&rule.labels);
                }
            }
            RuleKindView::Alerting { state, hold_seconds, keep_firing_seconds, annotations, alerts } => {
                object["type"] = "alerting".into();
                object["labels"] = pairs_json(&rule.labels);
                object["annotations"] = pairs_json(annotations);
                object["state"] = state.as_str().into();
                object["duration"] = seconds_json(*hold_seconds);
                object["keepFiringFor"] = seconds_json(*keep_firing_seconds);
                let shown = if self.exclude_alerts { &[] } else { alerts.as_slice() };
                object["alerts"] = shown.iter().map(alert_json).collect::<Vec<_>>().into();
            }
        }
        object
    }

    /// The groups after the token, at most `group_limit` of them, and the token of the group that follows.
    fn page(&self, mut groups: Vec<(RuleGroupView, Vec<Value>)>) -> Result<Page, ApiError> {
        if let Some(token) = &self.next_token {
            let at = groups.iter().position(|(group, _)| group_token(group) == *token).ok_or_else(|| {
                ApiError::new(
                    ApiErrorKind::BadData,
                    format!("invalid group_next_token {token:?}: were rule groups changed?"),
                )
            })?;
            groups.drain(..at);
        }
        let mut next = None;
        if self.group_limit > 0 && groups.len() > self.group_limit {
            next = Some(group_token(&groups[self.group_limit].0));
            groups.truncate(self.group_limit);
        }
        Ok(Page { groups, next })
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Names a group in a page token. Opaque to clients; stable as long as the group's file and name are.
fn group_token(group: &RuleGroupView) -> String {
    let key = Labels::from_pairs([("file", group.file.as_str()), ("group", group.name.as_str())]);
    format!("{:016x}", key.hash64())
}

fn group_json(group: &RuleGroupView, rules: Vec<Value>) -> Value {
    json!({
        "name": group.name,
        "file": group.file,
        "rules": rules,
        "interval": seconds_json(group.interval_seconds),
        "limit": group.limit,
        "evaluationTime": seconds_json(group.evaluation_seconds),
        "lastEvaluation": time_json(group.last_evaluation),
    })
}

fn pairs_json(pairs: &[(String, String)]) -> Value {
    Value::Object(pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect())
}

fn alert_json(alert: &AlertView) -> Value {
    let mut object = json!({
        "labels": LabelsJson(&alert.labels),
        "annotations": pairs_json(&alert.annotations),
        "state": alert.state,
        "activeAt": time_json(Some(alert.active_at)),
        "value": scientific(alert.value),
    });
    if alert.keep_firing_since.is_some() {
        object["keepFiringSince"] = time_json(alert.keep_firing_since);
    }
    object
}

/// Go's format `'e'`, which alerts have in the API: `1e+00`.
fn scientific(value: f64) -> String {
    if !value.is_finite() {
        return kymo_model::format_float(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::scientific;

    #[test]
    fn values_of_alerts() {
        for (value, text) in
            [(1.0, "1e+00"), (0.0, "0e+00"), (-2.5e-7, "-2.5e-07"), (1e100, "1e+100"), (f64::NAN, "NaN")]
        {
            assert_eq!(scientific(value), text);
        }
    }
}

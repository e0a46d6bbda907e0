//! `/rules` and `/alerts`: filters and pages.

use std::sync::Arc;

use axum::http::StatusCode;
use kymo_http::{AlertView, RuleGroupView, RuleKindView, RuleView, Rules};
use kymo_model::{Labels, Timestamp};
use serde_json::{Value, json};

use crate::client::{api, get_from};

struct SomeRules;

impl Rules for SomeRules {
    fn groups(&self) -> Vec<RuleGroupView> {
        let alert = AlertView {
            labels: Labels::from_pairs([("alertname", "Down"), ("job", "web")]),
            annotations: vec![("summary".to_owned(), "web is down".to_owned())],
            state: "firing".to_owned(),
            active_at: Timestamp::from_millis(1500),
            keep_firing_since: None,
            value: 0.0,
        };
        let rule = |name: &str, kind| RuleView {
            name: name.to_owned(),
            query: "up == 0".to_owned(),
            labels: vec![("severity".to_owned(), "page".to_owned())],
            health: "ok".to_owned(),
            last_error: String::new(),
            evaluation_seconds: 0.25,
            last_evaluation: Some(Timestamp::from_millis(0)),
            kind,
        };
        let alerting = RuleKindView::Alerting {
            state: "firing".to_owned(),
            hold_seconds: 60.0,
            keep_firing_seconds: 0.0,
            annotations: Vec::new(),
            alerts: vec![alert],
        };
        let group = |name: &str, rules| RuleGroupView {
            name: name.to_owned(),
            file: "rules.yml".to_owned(),
            interval_seconds: 60.0,
            limit: 0,
            evaluation_seconds: 0.5,
            last_evaluation: None,
            rules,
        };
        vec![
            group("a", vec![rule("Down", alerting)]),
            group("b", vec![rule("job:up", RuleKindView::Recording)]),
        ]
    }
}

#[tokio::test]
async fn rules_filters_and_pages() {
    let ask = |path: &'static str| get_from(api().rules(Arc::new(SomeRules)), path);
    let names = |answer: &Value| -> Vec<String> {
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().map(|group| group["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let (_, all) = ask("/api/v1/rules").await;
    assert_eq!(names(&all), ["a", "b"]);
    let alert = &all["data"]["groups"][0]["rules"][0]["alerts"][0];
    assert_eq!((&alert["value"], &alert["activeAt"]), (&json!("0e+00"), &json!("1970-01-01T00:00:01.5Z")));
    // Numbers as Go writes them: whole ones without a fraction.
    let numbers = |value: &Value, names: [&str; 2]| names.map(|name| value[name].to_string());
    assert_eq!(numbers(&all["data"]["groups"][0], ["interval", "limit"]), ["60", "0"]);
    assert_eq!(numbers(&all["data"]["groups"][0]["rules"][0], ["duration", "keepFiringFor"]), ["60", "0"]);
    assert_eq!(all["data"]["groups"][1]["lastEvaluation"], "0001-01-01T00:00:00Z");
    assert_eq!(names(&ask("/api/v1/rules?type=record").await.1), ["b"]);
    assert_eq!(names(&ask("/api/v1/rules?rule_name[]=Down").await.1), ["a"]);
    assert_eq!(names(&ask("/api/v1/rules?rule_group[]=b").await.1), ["b"]);
    assert_eq!(names(&ask("/api/v1/rules?file[]=other.yml").await.1), Vec::<String>::new());
    assert_eq!(
        names(&ask("/api/v1/rules?match[]=%7Bseverity%3D%22mail%22%7D").await.1),
        Vec::<String>::new()
    );
    let (_, silent) = ask("/api/v1/rules?exclude_alerts=true").await;
    assert_eq!(silent["data"]["groups"][0]["rules"][0]["alerts"], json!([]));
    let (_, first) = ask("/api/v1/rules?group_limit=1").await;
    assert_eq!(names(&first), ["a"]);
    let token = first["data"]["groupNextToken"].as_str().expect("there is a second page");
    let next = format!("/api/v1/rules?group_limit=1&group_next_token={token}");
    let (_, second) = get_from(api().rules(Arc::new(SomeRules)), &next).await;
    assert_eq!((names(&second), second["data"].get("groupNextToken")), (vec!["b".to_owned()], None));
    assert_eq!(ask("/api/v1/rules?group_next_token=x").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(ask("/api/v1/rules?type=other").await.0, StatusCode::BAD_REQUEST);
    let (_, alerts) = ask("/api/v1/alerts").await;
    assert_eq!(alerts["data"]["alerts"][0]["labels"]["alertname"], "Down");
}

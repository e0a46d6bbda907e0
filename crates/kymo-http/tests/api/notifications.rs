//! `/notifications`, listed and streamed.

use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use kymo_http::{Notifications, router};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::client::{api, ask};

#[tokio::test]
async fn notifications_are_listed_and_streamed() {
    let notifications = Notifications::new(1);
    notifications.begin("first");
    let app = || router(api().notifications(notifications.clone()));
    let listed = ask(app(), "GET", "/api/v1/notifications", &[]).await;
    let listed: Value = serde_json::from_str(listed.text()).expect("JSON");
    assert_eq!((&listed["data"][0]["text"], &listed["data"][0]["active"]), (&json!("first"), &json!(true)));

    let request = Request::get("/api/v1/notifications/live").body(Body::empty()).expect("a request");
    let stream = app().oneshot(request).await.expect("the router never fails");
    assert_eq!(stream.headers()[header::CONTENT_TYPE], "text/event-stream");
    // There is room for one.
    assert_eq!(ask(app(), "GET", "/api/v1/notifications/live", &[]).await.status, 204);
    notifications.begin("second");
    notifications.end("first");
    notifications.end("never begun");
    notifications.close();
    let body = stream.into_body().collect().await.expect("the stream ends").to_bytes();
    let events: Vec<Value> = String::from_utf8_lossy(&body)
        .split_terminator("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").expect("an event")).expect("JSON"))
        .collect();
    let seen: Vec<(&str, bool)> = events
        .iter()
        .map(|event| (event["text"].as_str().expect("text"), event["active"].as_bool().expect("active")))
        .collect();
    assert_eq!(seen, [("first", true), ("second", true), ("first", false)]);
    assert_eq!(notifications.texts(), ["second"]);
}

//! `/admin/tsdb/*`: off unless allowed, and what it asks for.

use std::sync::Arc;

use kymo_http::{Admin, SnapshotTaken, router};
use kymo_model::{Matcher, StoreError, StoreErrorKind, TimeRange};

use crate::client::{api, ask};

/// Writes down what it is asked to do; snapshots of the head fail.
#[derive(Default)]
struct Noted(std::sync::Mutex<Vec<String>>);

impl Noted {
    fn note(&self, what: String) {
        self.0.lock().expect("no panic").push(what);
    }
}

impl Admin for Noted {
    fn delete_series(&self, matchers: &[Matcher], range: TimeRange) -> Result<(), StoreError> {
        let names: Vec<String> = matchers.iter().map(|m| format!("{}={:?}", m.name(), m.value())).collect();
        self.note(format!("{} {} {}", names.join(","), range.min.millis(), range.max.millis()));
        Ok(())
    }

    fn clean_tombstones(&self) -> Result<(), StoreError> {
        self.note("clean".to_owned());
        Ok(())
    }

    fn snapshot(&self, with_head: bool) -> Result<SnapshotTaken, StoreError> {
        let full = StoreError::new(StoreErrorKind::Full, "no room");
        let taken = SnapshotTaken {
            name: "20200101T000000Z-1".to_owned(),
            warnings: vec!["a chunk is missing".to_owned()],
        };
        if with_head { Err(full) } else { Ok(taken) }
    }
}

#[tokio::test]
async fn the_admin_api() {
    let noted = Arc::new(Noted::default());
    let check = |allowed: bool, path: &'static str, status: u16, part: &'static str| {
        let app = router(if allowed { api().admin(noted.clone()) } else { api() });
        async move {
            for method in ["POST", "PUT"] {
                let answer = ask(app.clone(), method, &format!("/api/v1/admin/tsdb/{path}"), &[]).await;
                let body = answer.text();
                assert_eq!(answer.status, status, "{path}: {body}");
                assert!(body.contains(part) && (status != 204 || body.is_empty()), "{path}: {body}");
            }
        }
    };
    for path in ["snapshot", "clean_tombstones", "delete_series?match[]=up"] {
        check(false, path, 500, r#""error":"admin APIs disabled","errorType":"unavailable""#).await;
    }
    check(true, "delete_series", 400, "no match[] parameter provided").await;
    check(true, "delete_series?match[]=up%7B", 400, "bad_data").await;
    check(true, "delete_series?match[]=up&start=soon", 400, "bad_data").await;
    check(true, "snapshot?skip_head=maybe", 400, "skip_head").await;
    check(true, "snapshot", 500, "no room").await;
    check(true, "snapshot?skip_head=true", 200, r#""data":{"name":"20200101T000000Z-1"}"#).await;
    check(true, "snapshot?skip_head=true", 200, r#""warnings":["a chunk is missing"]"#).await;
    assert!(noted.0.lock().expect("no panic").is_empty());
    check(true, "clean_tombstones", 204, "").await;
    check(true, "delete_series?match[]=up&match[]=%7Bjob=%22x%22%7D&start=1&end=2.5", 204, "").await;
    let wanted = ["clean", "clean", "__name__=\"up\" 1000 2500", "job=\"x\" 1000 2500"];
    assert_eq!(noted.0.lock().expect("no panic")[..4], wanted);
}

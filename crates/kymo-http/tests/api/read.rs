//! `/read`: pieces, and where they break off.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use kymo_http::{ApiLimits, RemoteRead, RemoteReadAnswer, RemoteReadError, router};
use tower::ServiceExt;

use crate::client::{api, send};

/// Answers with as many pieces as the body has bytes; breaks off at `!`, refuses `x`.
struct Pieces;

impl RemoteRead for Pieces {
    fn read(&self, body: &[u8]) -> Result<RemoteReadAnswer, RemoteReadError> {
        let wrong = |status, message: &str| RemoteReadError { status, message: message.to_owned() };
        if body == b"x" {
            return Err(wrong(400, "no such question"));
        }
        let piece = move |byte: u8| match byte {
            b'!' => Err(wrong(422, "broken off")),
            byte => Ok(vec![byte]),
        };
        let pieces = Box::new(Vec::from(body).into_iter().map(piece));
        Ok(RemoteReadAnswer {
            content_type: "application/x-pieces",
            content_encoding: Some("snappy"),
            pieces,
        })
    }
}

#[tokio::test]
async fn remote_read_is_sent_in_pieces() {
    let limits = ApiLimits { read_body_bytes_max: 8, ..ApiLimits::default() };
    let app = router(api().limits(limits).remote_read(Arc::new(Pieces)));
    let read = |body: &'static str| {
        let request = Request::post("/api/v1/read").body(Body::from(body)).expect("a request");
        let app = app.clone();
        async move {
            let (parts, body) = app.oneshot(request).await.expect("the router never fails").into_parts();
            let body =
                body.collect().await.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
            let header =
                |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            (parts.status.as_u16(), header("content-type"), header("content-encoding"), body.ok())
        }
    };
    let found = |status, body: Option<&str>| {
        (status, Some("application/x-pieces".to_owned()), Some("snappy".to_owned()), body.map(str::to_owned))
    };
    assert_eq!(read("abcdef").await, found(200, Some("abcdef")));
    assert_eq!(read("").await, found(200, Some("")));
    // Too late for another status: the client sees that the answer is not whole.
    assert_eq!(read("abc!").await, found(200, None));
    assert_eq!(read("!abc").await.0, 422);
    assert_eq!(read("x").await.0, 400);
    assert_eq!(read("123456789").await.0, 413);
    let off = Request::post("/api/v1/read").body(Body::empty()).expect("a request");
    assert_eq!(send(api(), off).await.0, StatusCode::NOT_FOUND);
}

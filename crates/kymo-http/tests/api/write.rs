//! `/write`: bounds and types of bodies.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use kymo_http::{ApiLimits, RemoteWrite, RemoteWriteError};

use crate::client::{api, send};

struct Refuses;

impl RemoteWrite for Refuses {
    fn write(&self, body: &[u8]) -> Result<(), RemoteWriteError> {
        match body {
            b"good" => Ok(()),
            _ => Err(RemoteWriteError { status: 400, message: "out of order sample".to_owned() }),
        }
    }
}

#[tokio::test]
async fn remote_write_is_bounded_and_typed() {
    let write = |encoding: &'static str, content_type: &'static str, body: &'static str| {
        let request = Request::post("/api/v1/write")
            .header(header::CONTENT_ENCODING, encoding)
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(body))
            .expect("a request");
        let limits = ApiLimits { write_body_bytes_max: 16, ..ApiLimits::default() };
        send(api().limits(limits).remote_write(Arc::new(Refuses)), request)
    };
    let protobuf = "application/x-protobuf";
    assert_eq!(write("snappy", protobuf, "good").await.0, StatusCode::NO_CONTENT);
    let one = "application/x-protobuf;proto=prometheus.WriteRequest";
    assert_eq!(write("snappy", one, "good").await.0, StatusCode::NO_CONTENT);
    let two = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    assert_eq!(write("snappy", two, "good").await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(write("gzip", protobuf, "good").await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(write("snappy", "text/plain", "good").await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(write("snappy", protobuf, "bad").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(write("snappy", protobuf, "more than sixteen").await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let off = Request::post("/api/v1/write").body(Body::from("good")).expect("a request");
    assert_eq!(send(api(), off).await.0, StatusCode::NOT_FOUND);
}

//! Gate: answers before the data is open. Health is good from the first moment; everything else waits for readiness.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

/// A router that says 503 `Service Unavailable` until the real one is there.
///
/// ```
/// let gate = kymo_http::Gate::new();
/// let app = gate.router();
/// // … serve `app`, open the database, then:
/// gate.open(axum::Router::new());
/// ```
#[derive(Clone, Default)]
pub struct Gate {
    behind: Arc<OnceLock<Router>>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// From now on requests go to `router`. A second call is ignored.
    pub fn open(&self, router: Router) {
        // The first router stays: a gate opens once.
        let _ = self.behind.set(router);
    }

    /// The router to serve.
    pub fn router(&self) -> Router {
        let gate = self.clone();
        Router::new().fallback(move |request: Request<Body>| {
            let gate = gate.clone();
            async move { gate.answer(request).await }
        })
    }

    async fn answer(&self, request: Request<Body>) -> Response {
        match self.behind.get() {
            Some(router) => match router.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            None if request.uri().path() == "/-/healthy" => {
                crate::management::healthy().await.into_response()
            }
            None => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into_response(),
        }
    }
}

//! Mount: a router below a path (`--web.route-prefix`). Requests to the root are sent to the path; all others are not known.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

/// `router` below `prefix`, a path that begins with a slash; `/` leaves it where it is.
///
/// ```
/// let app: axum::Router = kymo_http::mount(axum::Router::new(), "/prometheus");
/// ```
pub fn mount(router: Router, prefix: &str) -> Router {
    let prefix = prefix.trim_end_matches('/').to_owned();
    if prefix.is_empty() {
        return router;
    }
    Router::new().fallback(move |request: Request<Body>| {
        let (router, prefix) = (router.clone(), prefix.clone());
        async move { below(router, &prefix, request).await }
    })
}

async fn below(router: Router, prefix: &str, mut request: Request<Body>) -> Response {
    match request.uri().path().strip_prefix(prefix) {
        Some("") => redirect(StatusCode::MOVED_PERMANENTLY, &format!("{prefix}/")),
        Some(rest) if rest.starts_with('/') => match without_prefix(request.uri(), prefix) {
            Some(uri) => {
                *request.uri_mut() = uri;
                match router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            None => not_found().await,
        },
        _ if request.uri().path() == "/" => redirect(StatusCode::FOUND, prefix),
        _ => not_found().await,
    }
}

fn without_prefix(uri: &Uri, prefix: &str) -> Option<Uri> {
    let path_and_query: PathAndQuery = uri.path_and_query()?.as_str().strip_prefix(prefix)?.parse().ok()?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query);
    Uri::from_parts(parts).ok()
}

/// A redirect to a path of this server. What cannot stand in a header is a path that nobody can have asked for.
pub(crate) fn redirect(status: StatusCode, to: &str) -> Response {
    match HeaderValue::try_from(to) {
        Ok(location) => (status, [(header::LOCATION, location)]).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What is answered where nothing is.
pub(crate) async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

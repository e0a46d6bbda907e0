//! Cors: what browsers of other origins may see of `/api/v1`. Answers say so only to requests that name an origin.
//!
//! Source: Prometheus `util/httputil/cors.go`; OPTIONS on any path below `/api/v1` is answered without content.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use kymo_model::Regex;

use crate::api::Api;

/// Paths below `/api/v1` that speak to servers and not to browsers.
const NOT_FOR_BROWSERS: [&str; 2] = ["/read", "/write"];

/// The middleware around `/api/v1`.
pub(crate) async fn answer(State(api): State<Api>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.as_ref().and_then(|origin| allowed_origin(&api.web.cors_origin, origin));
    let is_question = request.method() == Method::OPTIONS;
    let for_browsers = !NOT_FOR_BROWSERS.contains(&request.uri().path());
    let mut response =
        if is_question { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    if is_question || for_browsers {
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if origin.is_some() {
            tell(headers, allowed);
        }
    }
    response
}

/// What `Access-Control-Allow-Origin` says to an origin.
fn allowed_origin(pattern: &Regex, origin: &HeaderValue) -> Option<HeaderValue> {
    if pattern.pattern() == ".*" {
        return Some(HeaderValue::from_static("*"));
    }
    origin.to_str().is_ok_and(|text| pattern.is_match(text)).then(|| origin.clone())
}

fn tell(headers: &mut HeaderMap, allowed: Option<HeaderValue>) {
    let texts = [
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
    ];
    for (name, text) in texts {
        headers.insert(name, HeaderValue::from_static(text));
    }
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}

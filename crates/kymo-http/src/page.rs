//! Page: what a browser finds where the web UI will be. It says where the API is.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use crate::api::Api;
use crate::mount::redirect;

/// The pages of Prometheus' UI. Alerts and dashboards link to them, so each answers with the page that is there.
pub(crate) const PATHS: [&str; 12] = [
    "/query",
    "/alerts",
    "/rules",
    "/targets",
    "/service-discovery",
    "/status",
    "/config",
    "/flags",
    "/tsdb-status",
    "/alertmanager-discovery",
    "/federation",
    "/starting",
];

/// What the page lists.
const LINKS: [&str; 14] = [
    "/api/v1/query?query=up",
    "/api/v1/labels",
    "/api/v1/metadata",
    "/api/v1/targets",
    "/api/v1/rules",
    "/api/v1/alerts",
    "/api/v1/status/config",
    "/api/v1/status/flags",
    "/api/v1/status/runtimeinfo",
    "/api/v1/status/buildinfo",
    "/api/v1/status/tsdb",
    "/metrics",
    "/-/healthy",
    "/-/ready",
];

/// `/` and, with what it asks, `/graph` of Prometheus 2 lead to `/query`.
pub(crate) async fn to_query(State(api): State<Api>, RawQuery(query): RawQuery) -> Response {
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    redirect(StatusCode::FOUND, &format!("{}/query{query}", api.web.external_path))
}

/// The page itself.
pub(crate) async fn page(State(api): State<Api>) -> Response {
    let (title, base) = (escaped(&api.web.page_title), escaped(&api.web.external_path));
    let mut body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body>\n\
         <h1>{title}</h1>\n<p>This server has no web UI yet. It answers the HTTP API of Prometheus, below \
         <code>{base}/api/v1</code>; Grafana and promtool know how to ask it.</p>\n<ul>\n"
    );
    for link in LINKS {
        body.push_str(&format!("<li><a href=\"{base}{link}\">{link}</a></li>\n"));
    }
    body.push_str("</ul>\n</body>\n</html>\n");
    Html(body).into_response()
}

/// Text that may stand in an element or an attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn titles_are_text() {
        assert_eq!(super::escaped("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&#34;");
    }
}

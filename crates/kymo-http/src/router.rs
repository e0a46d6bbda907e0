//! The routes.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use crate::api::Api;
use crate::mount::not_found;
use crate::{
    admin, cors, exemplars, explain, features, federate, management, metadata, notifications, page, query,
    read, rules, series, status, targets, write,
};

/// The routes of an API: `/api/v1/…`, `/-/…`, `/metrics`, `/federate`, `/version`. See the crate's page for an example.
pub fn router(api: Api) -> Router {
    let v1 = Router::new()
        .route("/query", get(query::instant).post(query::instant))
        .route("/query_range", get(query::range).post(query::range))
        .route("/query_explain", get(explain::explain).post(explain::explain))
        .route("/series", get(series::series).post(series::series))
        .route("/labels", get(series::label_names).post(series::label_names))
        .route("/label/{name}/values", get(series::label_values))
        .route("/metadata", get(metadata::by_metric))
        .route("/targets", get(targets::targets))
        .route("/targets/metadata", get(metadata::by_target))
        .route("/scrape_pools", get(targets::pools))
        .route("/alertmanagers", get(targets::alertmanagers))
        .route("/rules", get(rules::rules))
        .route("/alerts", get(rules::alerts))
        .route("/status/buildinfo", get(status::build_info))
        .route("/status/config", get(status::config))
        .route("/status/flags", get(status::flags))
        .route("/status/runtimeinfo", get(status::runtime_info))
        .route("/status/tsdb", get(status::tsdb))
        .route("/format_query", get(status::format_query).post(status::format_query))
        .route("/query_exemplars", get(exemplars::query).post(exemplars::query))
        .route("/features", get(features::features))
        .route("/notifications", get(notifications::list))
        .route("/notifications/live", get(notifications::live))
        .route("/status/walreplay", get(status::wal_replay))
        .route("/status/tsdb/blocks", get(status::blocks))
        .route("/parse_query", get(status::parse_query).post(status::parse_query))
        .route("/write", post(write::write))
        .route("/read", post(read::read))
        .route("/admin/tsdb/delete_series", post(admin::delete_series).put(admin::delete_series))
        .route("/admin/tsdb/clean_tombstones", post(admin::clean_tombstones).put(admin::clean_tombstones))
        .route("/admin/tsdb/snapshot", post(admin::snapshot).put(admin::snapshot))
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(api.clone(), cors::answer));
    let mut all = Router::new()
        .nest("/api/v1", v1)
        .route("/-/healthy", get(management::healthy))
        .route("/-/ready", get(management::ready))
        .route("/-/reload", post(management::reload).put(management::reload).get(management::post_or_put))
        .route("/-/quit", post(management::quit).put(management::quit).get(management::post_or_put))
        .route("/metrics", get(status::own_metrics))
        .route("/federate", get(federate::federate))
        .route("/version", get(status::version))
        .route("/", get(page::to_query))
        .route("/graph", get(page::to_query))
        .fallback(not_found);
    for path in page::PATHS {
        all = all.route(path, get(page::page));
    }
    all.layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(WAITS_FOR_NOTHING)))
        .layer(middleware::from_fn(security_headers))
        .with_state(api)
}

/// Streamed answers to remote read are compact as they are, and each frame should leave when it is made.
const WAITS_FOR_NOTHING: NotForContentType = NotForContentType::const_new("application/x-streamed-protobuf");

/// What browsers are told about every answer.
async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'"));
    response
}

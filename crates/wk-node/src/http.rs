//! The HTTP interface: console, API, ingest.

pub mod admin;
pub mod auth;
mod console;
mod elasticsearch;
mod events;
mod extract;
mod grpc;
pub mod incidents;
mod ingest;
mod logs;
mod loki;
mod openapi;
mod otlp;
mod params;
mod problem;
mod prom;
mod query;
pub mod receivers;
mod recording;
pub mod server;
mod session;
mod status;
pub mod tls;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;

pub use problem::{Problem, chain};

use crate::node::Node;

/// Longest time a request may take; streams are not meant by it.
const REQUEST_MAX: Duration = Duration::from_secs(60);
/// Largest body of a request that carries no telemetry.
const FORM_BYTES_MAX: usize = 1 << 20;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Watchkeeper",
        description = "The HTTP interface of a Watchkeeper node.",
        license(name = "Apache-2.0")
    ),
    paths(
        session::show,
        session::set_up,
        session::sign_in,
        session::sign_out,
        incidents::list,
        incidents::show,
        incidents::acknowledge,
        incidents::resolve,
        incidents::comment,
        prom::evaluate::query,
        prom::evaluate::query_range,
        prom::evaluate::query_exemplars,
        prom::evaluate::format_query,
        prom::series::labels,
        prom::series::label_values,
        prom::series::series,
        prom::metadata::metadata,
        prom::targets::targets,
        prom::targets::metadata,
        prom::rules::rules,
        prom::rules::alerts,
        prom::rules::alertmanagers,
        prom::status::build_info,
        prom::status::runtime_info,
        prom::status::config,
        prom::status::flags,
        prom::status::tsdb,
        query::sql,
        query::ask,
        logs::query,
        logs::histogram,
        logs::top,
        logs::tail::stream,
        ingest::write,
        ingest::logs,
        otlp::logs,
        otlp::metrics,
        loki::push,
        elasticsearch::all,
        status::status,
        status::pipeline,
        status::diagnose,
        status::show_trace,
        status::metrics,
        status::healthz,
        status::readyz,
        recording::stream,
        events::stream,
        admin::create,
        admin::list,
        admin::revoke,
        admin::issue_setup_token,
        admin::mails,
        admin::journal,
        admin::journal_head,
        admin::confirm_clock,
    )
)]
struct Description;

/// The OpenAPI document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    openapi::with_forms(Description::openapi(), &[&prom::FORM_PATHS[..], &logs::FORM_PATHS].concat())
}

/// The router of a node.
pub fn router(node: &Arc<Node>) -> Router {
    let body_max = node.config.http.body_bytes_max;
    let write = Router::new().route("/api/v1/write", post(ingest::write)).layer(DefaultBodyLimit::max(body_max));
    let logs = Router::new()
        .route("/api/v1/logs", post(ingest::logs))
        .layer(DefaultBodyLimit::max(body_max.min(wk_ingest::json_logs::BODY_BYTES_MAX)))
        .layer(RequestDecompressionLayer::new())
        .layer(axum::middleware::map_response_with_state(
            (Arc::clone(node), crate::sources::JSON_LOGS),
            ingest::count_encoding_of,
        ));
    let calls = Router::new()
        .merge(people())
        .merge(questions())
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(status::metrics))
        .route("/openapi.json", get(async || Json(openapi())))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(CompressionLayer::new());
    Router::new()
        .merge(write)
        .merge(logs)
        .merge(otlp::routes(node))
        .merge(loki::routes(node))
        .nest(elasticsearch::PREFIX, elasticsearch::routes(node))
        .merge(calls)
        .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::REQUEST_TIMEOUT, REQUEST_MAX))
        .layer(axum::middleware::map_response(extract::explain))
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/logs/tail", get(logs::tail::stream))
        .route("/api/v1/recording", get(recording::stream))
        .fallback_service(get(console::serve).layer(CompressionLayer::new()))
        .with_state(Arc::clone(node))
}

fn people() -> Router<Arc<Node>> {
    Router::new()
        .route("/api/v1/session", get(session::show).post(session::sign_in).delete(session::sign_out))
        .route("/api/v1/setup", post(session::set_up))
        .route("/api/v1/setup-token", post(admin::issue_setup_token))
        .route("/api/v1/clock/confirm", post(admin::confirm_clock))
        .route("/api/v1/tokens", get(admin::list).post(admin::create))
        .route("/api/v1/tokens/{id}", delete(admin::revoke))
        .route("/api/v1/mails", get(admin::mails))
        .route("/api/v1/journal", get(admin::journal))
        .route("/api/v1/journal/head", get(admin::journal_head))
        .route("/api/v1/incidents", get(incidents::list))
        .route("/api/v1/incidents/{id}", get(incidents::show))
        .route("/api/v1/incidents/{id}/acknowledge", post(incidents::acknowledge))
        .route("/api/v1/incidents/{id}/resolve", post(incidents::resolve))
        .route("/api/v1/incidents/{id}/comment", post(incidents::comment))
}

fn questions() -> Router<Arc<Node>> {
    Router::new()
        .merge(prom::routes())
        .merge(logs::routes())
        .route("/api/v1/sql", post(query::sql))
        .route("/api/v1/ask", post(query::ask))
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/pipeline", get(status::pipeline))
        .route("/api/v1/doctor", get(status::diagnose))
        .route("/api/v1/trace/{id}", get(status::show_trace))
}

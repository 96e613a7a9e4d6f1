//! The Prometheus HTTP API: whatever reads a Prometheus reads this node, Grafana's built-in data source among them.
//!
//! *Source*: <https://prometheus.io/docs/prometheus/latest/querying/api/>. Shapes are those of Prometheus, with which a
//! test compares them; semantics are those of Prometheus 3.

mod answer;
pub mod evaluate;
pub mod metadata;
mod outside;
mod parameters;
pub mod rules;
pub mod series;
pub mod status;
pub mod targets;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::node::Node;

/// The routes; those that Prometheus takes by GET and by POST with a form are taken by both.
pub fn routes() -> Router<Arc<Node>> {
    Router::new()
        .route("/api/v1/query", get(evaluate::query).post(evaluate::query))
        .route("/api/v1/query_range", get(evaluate::query_range).post(evaluate::query_range))
        .route("/api/v1/query_exemplars", get(evaluate::query_exemplars).post(evaluate::query_exemplars))
        .route("/api/v1/format_query", get(evaluate::format_query).post(evaluate::format_query))
        .route("/api/v1/series", get(series::series).post(series::series))
        .route("/api/v1/labels", get(series::labels).post(series::labels))
        .route("/api/v1/label/{name}/values", get(series::label_values))
        .route("/api/v1/metadata", get(metadata::metadata))
        .route("/api/v1/targets", get(targets::targets))
        .route("/api/v1/targets/metadata", get(targets::metadata))
        .route("/api/v1/rules", get(rules::rules))
        .route("/api/v1/alerts", get(rules::alerts))
        .route("/api/v1/alertmanagers", get(rules::alertmanagers))
        .route("/api/v1/status/buildinfo", get(status::build_info))
        .route("/api/v1/status/runtimeinfo", get(status::runtime_info))
        .route("/api/v1/status/config", get(status::config))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/status/tsdb", get(status::tsdb))
}

/// The paths that also take their parameters as a form by POST.
pub const FORM_PATHS: [&str; 6] = [
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/query_exemplars",
    "/api/v1/format_query",
    "/api/v1/series",
    "/api/v1/labels",
];

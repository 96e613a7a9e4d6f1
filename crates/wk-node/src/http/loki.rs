//! Loki's push interface. An answer with success means "it is on disk".

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use tower_http::decompression::RequestDecompressionLayer;
use wk_ingest::loki;

use crate::http::auth::Ingest;
use crate::http::ingest::{count_encoding_of, counted, store, text};
use crate::http::problem::{Problem, chain};
use crate::http::session::blocking;
use crate::node::Node;
use crate::sources::{self, LOKI};

/// The paths that senders to Loki use.
pub fn routes(node: &Arc<Node>) -> Router<Arc<Node>> {
    Router::new()
        .route("/loki/api/v1/push", post(push))
        .layer(DefaultBodyLimit::max(node.config.http.body_bytes_max.min(loki::BODY_BYTES_MAX)))
        .layer(RequestDecompressionLayer::new())
        .layer(axum::middleware::map_response_with_state((Arc::clone(node), LOKI), count_encoding_of))
        // Grafana Alloy and Fluent Bit ask whether anybody is there.
        .route("/loki/ready", get(async || "ready\n"))
}

/// Takes log lines as Promtail, Grafana Alloy, Vector and Fluent Bit send them to Loki, in JSON or snappy protobuf.
#[utoipa::path(post, path = "/loki/api/v1/push", tag = "ingest", request_body(content = String, content_type = "application/json"), responses((status = 204), (status = 400, body = Object), (status = 413, body = Object), (status = 415, body = Object), (status = 503, body = Object)))]
pub async fn push(
    Shared(node): Shared<Arc<Node>>,
    ingest: Ingest,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let context = sources::context(&node, LOKI, false);
    let body = counted(&context, body)?;
    let parsed = blocking(&node, move |node| -> Result<_, Problem> {
        let context = sources::context(node, LOKI, false);
        loki::parse(&context, &body, text(&headers, &header::CONTENT_TYPE), ingest.peer).map_err(|error| {
            context.stats.rejected("not a push request", 1, &chain(&error));
            Problem::new(StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST), chain(&error))
        })
    })
    .await?;
    store(&context, parsed.records).await?;
    match parsed.rejected {
        0 => Ok(StatusCode::NO_CONTENT),
        count => Err(Problem::bad_request(format!(
            "{count} lines were not taken: {}; the others were, so do not send this again",
            parsed.reason
        ))),
    }
}

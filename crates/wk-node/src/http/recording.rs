//! A recording as a stream.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::response::Response;
use serde::Deserialize;

use crate::http::auth::Admin;
use crate::http::extract::Query;
use crate::http::pieces;
use crate::node::Node;
use crate::recording;

/// Longest recording, in seconds.
const SECONDS_MAX: u64 = 7 * 86_400;

/// How long to record.
#[derive(Deserialize, utoipa::IntoParams)]
pub struct Span {
    /// Seconds to go on for; 0 for what there is.
    #[serde(default)]
    seconds: u64,
}

/// Streams the engine's state, its input since then and what comes within the span, and its facts.
#[utoipa::path(get, path = "/api/v1/recording", tag = "node", params(Span), responses((status = 200, content_type = "application/octet-stream")))]
pub async fn stream(Shared(node): Shared<Arc<Node>>, _: Admin, Query(span): Query<Span>) -> Response {
    let span = Duration::from_secs(span.seconds.min(SECONDS_MAX));
    pieces::stream("application/octet-stream", move |out| recording::write(&node, span, out))
}

//! A recording as a stream.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::http::auth::Admin;
use crate::http::extract::Query;
use crate::http::problem::chain;
use crate::node::Node;
use crate::recording;

/// Longest recording, in seconds.
const SECONDS_MAX: u64 = 7 * 86_400;
/// Pieces on their way to the client.
const PIECES_MAX: usize = 8;

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
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    let span = Duration::from_secs(span.seconds.min(SECONDS_MAX));
    tokio::task::spawn_blocking(move || {
        let mut out = Pieces(pieces);
        if let Err(error) = recording::write(&node, span, &mut out) {
            // The stream breaks off with an error, so that nobody takes half a recording for a whole one.
            let _ = out.0.blocking_send(Err(io::Error::other(chain(&error))));
        }
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async move {
        let piece: io::Result<Bytes> = receiver.recv().await?;
        Some((piece, receiver))
    });
    ([(header::CONTENT_TYPE, "application/octet-stream")], Body::from_stream(stream)).into_response()
}

struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

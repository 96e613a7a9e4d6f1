//! Answers that are written while they are sent.

use std::io::{self, Write};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;

use crate::http::problem::chain;

/// Pieces on their way to the client.
const PIECES_MAX: usize = 8;

/// Answers with what `write` writes, on a thread of its own. Where it fails the stream breaks off with an error, so that
/// nobody takes half an answer for a whole one.
pub fn stream<E: std::error::Error>(
    content_type: &'static str,
    write: impl FnOnce(&mut Pieces) -> Result<(), E> + Send + 'static,
) -> Response {
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    tokio::task::spawn_blocking(move || {
        let mut out = Pieces(pieces);
        if let Err(error) = write(&mut out) {
            tracing::warn!(error = chain(&error), "an answer breaks off");
            // Nobody listens any more where the client has gone.
            let _ = out.0.blocking_send(Err(io::Error::other(chain(&error))));
        }
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async move {
        let piece: io::Result<Bytes> = receiver.recv().await?;
        Some((piece, receiver))
    });
    ([(header::CONTENT_TYPE, content_type)], Body::from_stream(stream)).into_response()
}

/// The way of an answer to its client; waits while the client does not keep up.
pub struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Bytes in and out: frames of bounded length, and answers that a client must take in time.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use pgwire::messages::Message;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::failure::{Failure, Refusal, code};

/// The longest message before a client has signed in.
pub(super) const STARTUP_BYTES_MAX: usize = 10_000;
/// The longest message of a client that has signed in: a statement and its parameters.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of an answer after which they are sent.
const FLUSH_BYTES: usize = 64 << 10;
/// How long a client may take to receive what is sent at once.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// What a connection is made of: TCP, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for S {}

/// A connection with what is yet to be read and sent.
pub(super) struct Wire<S> {
    stream: S,
    input: BytesMut,
    output: BytesMut,
}

impl<S: Stream> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new(), output: BytesMut::new() }
    }

    /// The same connection in another form, with what was read and written.
    pub(super) fn map<T>(self, form: impl FnOnce(S) -> T) -> Wire<T> {
        Wire { stream: form(self.stream), input: self.input, output: self.output }
    }

    /// The bare connection, to begin TLS on it.
    ///
    /// # Errors
    /// Bytes that were sent before they could be encrypted: whoever is in between may have put them there.
    pub(super) fn into_stream(self) -> Result<S, Failure> {
        if self.input.is_empty() {
            Ok(self.stream)
        } else {
            Err(Refusal::protocol("bytes came in the clear after the request for TLS").into())
        }
    }

    /// The next message of one that has not begun a session, with its length; `None` at the connection's end.
    /// Cancelled, it has lost nothing.
    pub(super) async fn startup(&mut self) -> Result<Option<BytesMut>, Failure> {
        if !self.fill(4).await? {
            return Ok(None);
        }
        let length = length_at(&self.input, 0, STARTUP_BYTES_MAX)?;
        Ok(self.fill(length).await?.then(|| self.input.split_to(length)))
    }

    /// The next message's kind and body; `None` at the connection's end. Cancelled, it has lost nothing.
    pub(super) async fn message(&mut self, bytes_max: usize) -> Result<Option<(u8, Bytes)>, Failure> {
        if !self.fill(5).await? {
            return Ok(None);
        }
        let length = 1 + length_at(&self.input, 1, bytes_max)?;
        if !self.fill(length).await? {
            return Ok(None);
        }
        let mut message = self.input.split_to(length).freeze();
        let kind = message[0];
        message.advance(5);
        Ok(Some((kind, message)))
    }

    /// Reads until so many bytes are there; tells whether they are.
    async fn fill(&mut self, bytes: usize) -> Result<bool, Failure> {
        while self.input.len() < bytes {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes a message to be sent.
    pub(super) fn put(&mut self, message: &impl Message) -> Result<(), Refusal> {
        message.encode(&mut self.output).map_err(|error| Refusal::new(code::INTERNAL_ERROR, error.to_string()))
    }

    /// Writes bytes to be sent.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Sends what is written where that is much.
    pub(super) async fn flush_much(&mut self) -> Result<(), Failure> {
        if self.output.len() >= FLUSH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Sends what is written.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        let send = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(WRITE_MAX, send)
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        self.output.clear();
        Ok(())
    }

    /// Tells the client why it is left, as far as that still reaches it, and leaves it.
    pub(super) async fn end(mut self, refusal: &Refusal) -> Result<(), Failure> {
        self.output.clear();
        self.put(&refusal.as_fatal())?;
        self.flush().await?;
        Ok(self.stream.shutdown().await?)
    }
}

/// The length of a message, itself included, that stands at a place.
fn length_at(bytes: &[u8], at: usize, bytes_max: usize) -> Result<usize, Refusal> {
    let length = i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    match usize::try_from(length) {
        Ok(length) if (4..=bytes_max).contains(&length) => Ok(length),
        Ok(length) if length > bytes_max => Err(Refusal::new(
            code::PROGRAM_LIMIT_EXCEEDED,
            format!("a message of {length} bytes is longer than the {bytes_max} that are taken"),
        )),
        _ => Err(Refusal::protocol(format!("a message cannot have {length} bytes"))),
    }
}

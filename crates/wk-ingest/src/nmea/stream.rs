//! Sentences in a stream: from a TCP server, such as a gateway or multiplexer, or from a serial line. A stream that ends,
//! fails or falls silent is opened again.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{LINE_BYTES_MAX, NmeaSettings, Receiver, serial};
use crate::backoff::Backoff;
use crate::contract::SourceContext;
use crate::lines::Lines;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// After how much silence a stream is opened again: a gateway that lost power never says so.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// How many bytes are read at once.
const READ_BYTES: usize = 4 * 1024;

/// Where the stream comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamFrom {
    /// A TCP server, as host and port.
    Tcp(String),
    /// A serial line.
    Serial {
        /// The device.
        path: PathBuf,
        /// Its speed in bits per second.
        baud: u32,
    },
}

impl StreamFrom {
    async fn open(&self) -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
        match self {
            Self::Tcp(address) => {
                let connecting = TcpStream::connect(address);
                let late = || io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
                let stream = tokio::time::timeout(CONNECT_WITHIN, connecting).await.map_err(|_| late())??;
                Ok(Box::new(stream))
            }
            Self::Serial { path, baud } => Ok(Box::new(serial::open(path, *baud)?)),
        }
    }
}

/// Reads sentences until cancelled.
pub async fn run(settings: NmeaSettings, from: StreamFrom, context: SourceContext, cancel: CancellationToken) {
    let mut source = Source {
        receiver: Receiver::start(&settings, context.clone(), &cancel),
        context,
        cancel,
        backoff: Backoff::default(),
    };
    while !source.cancel.is_cancelled() {
        let ended = source.session(&from).await;
        if let Err(error) = ended {
            source.context.stats.flagged("connection failed", 1, &error.to_string());
            tracing::debug!(source = %source.context.name, %error, "the stream is opened again");
        }
        let pause = source.backoff.pause();
        source.receiver.idle(pause, &source.cancel).await;
    }
    source.receiver.finish().await;
}

struct Source {
    receiver: Receiver,
    context: SourceContext,
    cancel: CancellationToken,
    backoff: Backoff,
}

impl Source {
    /// Opens the stream and reads it to its end.
    async fn session(&mut self, from: &StreamFrom) -> io::Result<()> {
        let mut stream = tokio::select! {
            () = self.cancel.cancelled() => return Ok(()),
            stream = from.open() => stream?,
        };
        let mut beat = self.receiver.instruments().beat();
        let (mut lines, mut bytes) = (Lines::new(LINE_BYTES_MAX), vec![0; READ_BYTES]);
        let mut silent_at = Instant::now() + SILENT_MAX;
        loop {
            let count = tokio::select! {
                () = self.cancel.cancelled() => return Ok(()),
                _ = beat.tick() => {
                    self.receiver.flush();
                    continue;
                }
                () = tokio::time::sleep_until(silent_at) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came for a minute"));
                }
                read = stream.read(&mut bytes) => read?,
            };
            if count == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other side ended the stream"));
            }
            silent_at = Instant::now() + SILENT_MAX;
            self.backoff.reset();
            lines.feed(&bytes[..count], |line| self.receiver.line(line));
            self.receiver.too_long(lines.too_long());
        }
    }
}

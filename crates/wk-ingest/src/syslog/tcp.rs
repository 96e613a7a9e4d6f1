//! Syslog over TCP, and over TLS (RFC 5425). A connection is read only as fast as the intake log takes its messages.

use std::net::{IpAddr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::frames::Decoder;
use super::record::Batch;
use super::{BATCH_WAIT, SyslogError, SyslogSettings};
use crate::accept::{Acceptor, Stream, read_at_once};
use crate::contract::SourceContext;
use crate::delivery::Pipeline;

/// How many bytes are read at once.
const READ_BYTES: usize = 64 * 1024;
/// How many reads at the end of the source take what the sender had already handed over.
const READS_AT_END_MAX: usize = 64;
/// The reason under which connections are counted that were ended because nothing came.
const IDLE: &str = "connection was silent for too long";

/// A bound listener.
pub struct TcpSyslog {
    acceptor: Acceptor,
    settings: SyslogSettings,
}

impl TcpSyslog {
    /// Binds the listener; connections are encrypted where `tls` is given, and then come from anywhere if the clients'
    /// certificates are checked.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub async fn bind(settings: SyslogSettings, tls: Option<TlsAcceptor>) -> Result<Self, SyslogError> {
        let address = settings.listen;
        let transport = if tls.is_some() { "tls" } else { "tcp" };
        let mut acceptor = Acceptor::bind(address, settings.connections_max)
            .await
            .map_err(|source| SyslogError::Listen { transport, address, source })?;
        acceptor.tls = tls;
        acceptor.allow_networks = Some(settings.allow_networks.clone()).filter(|_| !settings.clients_are_known);
        Ok(Self { acceptor, settings })
    }

    /// The address in use, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.acceptor.local_address()
    }

    /// Takes messages in until cancelled, then waits shortly for those on their way.
    pub async fn run(self, context: SourceContext, cancel: CancellationToken) {
        let (settings, known) = (self.settings, (context.clone(), cancel.clone()));
        self.acceptor
            .run(&context, &cancel, move |stream, peer| {
                let (context, cancel) = known.clone();
                Connection::new(context, &settings, peer, cancel).run(stream)
            })
            .await;
    }
}

struct Connection {
    context: SourceContext,
    peer: IpAddr,
    cancel: CancellationToken,
    decoder: Decoder,
    batch: Batch,
    pipeline: Pipeline,
    due: Option<Instant>,
    idle: std::time::Duration,
    silent_at: Instant,
}

/// What happened next on a connection.
enum Event {
    Read(usize),
    Ended,
    Due,
}

impl Connection {
    fn new(context: SourceContext, settings: &SyslogSettings, peer: IpAddr, cancel: CancellationToken) -> Self {
        Self {
            batch: Batch::new(context.clone(), settings.clone()),
            pipeline: Pipeline::new(context.clone(), cancel.clone()),
            context,
            peer,
            cancel,
            decoder: Decoder::default(),
            due: None,
            idle: settings.idle,
            silent_at: Instant::now() + settings.idle,
        }
    }

    async fn run(mut self, mut stream: Box<dyn Stream>) {
        let mut bytes = vec![0; READ_BYTES];
        loop {
            match self.next_event(&mut *stream, &mut bytes).await {
                Event::Read(count) => {
                    self.silent_at = Instant::now() + self.idle;
                    self.decoder.extend(&bytes[..count]);
                    self.gather().await;
                }
                Event::Due => self.flush().await,
                Event::Ended => break,
            }
        }
        for _ in 0..READS_AT_END_MAX {
            let Some(count) = read_at_once(&mut *stream, &mut bytes) else { break };
            self.decoder.extend(&bytes[..count]);
            self.gather().await;
        }
        if let Some(frame) = self.decoder.last_frame() {
            self.batch.add(&frame, self.peer);
        }
        self.flush().await;
        self.pipeline.finish().await;
    }

    async fn next_event(&mut self, stream: &mut dyn Stream, bytes: &mut [u8]) -> Event {
        loop {
            let due = self.due;
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Event::Ended,
                () = wait_until(due) => return Event::Due,
                () = tokio::time::sleep_until(self.silent_at) => {
                    self.context.stats.flagged(IDLE, 1, &self.peer.to_string());
                    return Event::Ended;
                }
                outcome = self.pipeline.next_outcome() => self.pipeline.conclude(outcome).await,
                read = stream.read(bytes) => match read {
                    Ok(0) => return Event::Ended,
                    Ok(count) => return Event::Read(count),
                    Err(error) => {
                        tracing::debug!(source = %self.context.name, peer = %self.peer, %error, "connection ended");
                        return Event::Ended;
                    }
                },
            }
        }
    }

    async fn gather(&mut self) {
        while let Some(frame) = self.decoder.next_frame() {
            self.batch.add(&frame, self.peer);
            if self.batch.is_full() {
                self.flush().await;
            }
        }
        if !self.batch.is_empty() && self.due.is_none() {
            self.due = Some(Instant::now() + BATCH_WAIT);
        }
    }

    async fn flush(&mut self) {
        self.due = None;
        if let Some(record) = self.batch.take() {
            self.pipeline.push(record).await;
        }
    }
}

/// Waits until an instant, forever where there is none.
pub async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

//! Syslog over TCP. A connection is read only as fast as the intake log takes its messages.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frames::Decoder;
use super::record::Batch;
use super::{BATCH_WAIT, NOT_ALLOWED, SyslogError, SyslogSettings};
use crate::contract::SourceContext;
use crate::delivery::Pipeline;
use crate::network;

/// How many bytes are read at once.
const READ_BYTES: usize = 64 * 1024;
/// How many reads at the end of the source take what the sender had already handed over.
const READS_AT_END_MAX: usize = 64;
/// After how much silence a connection is probed, so that those of devices that lost power end.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_PROBES: u32 = 6;
/// The pause after the system could not accept a connection, such as when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A bound listener.
#[derive(Debug)]
pub struct TcpSyslog {
    listener: TcpListener,
    settings: SyslogSettings,
}

impl TcpSyslog {
    /// Binds the listener.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub async fn bind(settings: SyslogSettings) -> Result<Self, SyslogError> {
        let address = settings.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| SyslogError::Listen {
            transport: "tcp",
            address,
            source,
        })?;
        Ok(Self { listener, settings })
    }

    /// The address in use, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes messages in until cancelled, then waits shortly for those on their way.
    pub async fn run(self, context: SourceContext, cancel: CancellationToken) {
        let tracker = TaskTracker::new();
        let places = Arc::new(Semaphore::new(self.settings.connections_max));
        loop {
            let accepted = tokio::select! {
                () = cancel.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(source = %context.name, %error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if !network::allowed(&self.settings.allow_networks, peer) {
                context.stats.rejected(NOT_ALLOWED, 1, &peer.to_string());
                continue;
            }
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                context.stats.rejected("too many connections", 1, &peer.to_string());
                continue;
            };
            let connection = Connection::new(context.clone(), &self.settings, peer, cancel.clone());
            tracker.spawn(async move {
                connection.run(stream).await;
                drop(place);
            });
        }
        tracker.close();
        tracker.wait().await;
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
        }
    }

    async fn run(mut self, mut stream: TcpStream) {
        if let Err(error) = probe_when_silent(&stream) {
            tracing::debug!(%error, peer = %self.peer, "could not turn on keep-alive");
        }
        let mut bytes = vec![0; READ_BYTES];
        loop {
            match self.next_event(&mut stream, &mut bytes).await {
                Event::Read(count) => {
                    self.decoder.extend(&bytes[..count]);
                    self.gather().await;
                }
                Event::Due => self.flush().await,
                Event::Ended => break,
            }
        }
        for _ in 0..READS_AT_END_MAX {
            let Ok(count @ 1..) = stream.try_read(&mut bytes) else { break };
            self.decoder.extend(&bytes[..count]);
            self.gather().await;
        }
        if let Some(frame) = self.decoder.last_frame() {
            self.batch.add(&frame, self.peer);
        }
        self.flush().await;
        self.pipeline.finish().await;
    }

    async fn next_event(&mut self, stream: &mut TcpStream, bytes: &mut [u8]) -> Event {
        loop {
            let due = self.due;
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Event::Ended,
                () = wait_until(due) => return Event::Due,
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

fn probe_when_silent(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)
}

#[cfg(test)]
mod tests;

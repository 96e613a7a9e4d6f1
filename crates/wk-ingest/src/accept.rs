//! Accepting connections of protocols that run over TCP, encrypted or not: who may connect, how many at once.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::contract::SourceContext;
use crate::network::{self, Network};

/// The reason under which senders outside the allowed networks are counted.
pub const NOT_ALLOWED: &str = "sender is not in allow_networks";
/// The reason under which connections beyond the bound are counted.
pub const TOO_MANY: &str = "too many connections";
/// The reason under which failed TLS handshakes are counted.
pub const HANDSHAKE: &str = "tls handshake failed";
/// How long a client may take for the TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// After how much silence a connection is probed, so that those of devices that lost power end.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_PROBES: u32 = 6;
/// The pause after the system could not accept a connection, such as when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A connection, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A bound listener.
pub struct Acceptor {
    listener: TcpListener,
    /// Encrypts connections, where it is given.
    pub tls: Option<TlsAcceptor>,
    /// From where senders are let in, besides loopback; `None` where everybody is who passes the handshake.
    pub allow_networks: Option<Vec<Network>>,
    /// How many connections are open at once.
    pub connections_max: usize,
}

impl Acceptor {
    /// Binds a listener for senders on loopback.
    ///
    /// # Errors
    /// A port in use, an address that is not this machine's.
    pub async fn bind(address: SocketAddr, connections_max: usize) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, tls: None, allow_networks: Some(Vec::new()), connections_max })
    }

    /// The address in use, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Hands every connection to `serve` until cancelled, then waits for those that are open.
    pub async fn run<F>(
        self,
        context: &SourceContext,
        cancel: &CancellationToken,
        serve: impl Fn(Box<dyn Stream>, IpAddr) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send,
    {
        let serve = Arc::new(serve);
        let tracker = TaskTracker::new();
        let places = Arc::new(Semaphore::new(self.connections_max));
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
            if self.allow_networks.as_ref().is_some_and(|networks| !network::allowed(networks, peer)) {
                context.stats.rejected(NOT_ALLOWED, 1, &peer.to_string());
                continue;
            }
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                context.stats.rejected(TOO_MANY, 1, &peer.to_string());
                continue;
            };
            if let Err(error) = probe_when_silent(&stream) {
                tracing::debug!(%error, %peer, "could not turn on keep-alive");
            }
            let (serve, tls, context) = (Arc::clone(&serve), self.tls.clone(), context.clone());
            tracker.spawn(async move {
                if let Some(stream) = encrypted(&context, tls, stream, peer).await {
                    serve(stream, peer).await;
                }
                drop(place);
            });
        }
        tracker.close();
        tracker.wait().await;
    }
}

/// The connection as it is read from; `None` where the client failed to encrypt it, which is counted.
async fn encrypted(
    context: &SourceContext,
    tls: Option<TlsAcceptor>,
    stream: TcpStream,
    peer: IpAddr,
) -> Option<Box<dyn Stream>> {
    let Some(tls) = tls else { return Some(Box::new(stream)) };
    let error = match tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
        Ok(Ok(stream)) => return Some(Box::new(stream)),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    context.stats.rejected(HANDSHAKE, 1, &format!("{peer}: {error}"));
    None
}

/// Reads what the sender has already handed over; `None` where that is nothing.
pub fn read_at_once(stream: &mut dyn Stream, bytes: &mut [u8]) -> Option<usize> {
    match stream.read(bytes).now_or_never() {
        Some(Ok(count @ 1..)) => Some(count),
        _ => None,
    }
}

fn probe_when_silent(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)
}

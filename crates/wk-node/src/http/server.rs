//! Listeners: plain or TLS on TCP, and the Unix socket of the command line, all in front of one router.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::error::NodeError;

/// Most connections served at once per listener; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 512;
/// How long a client may take for the TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long a client may take to send its request's head.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// How many requests one connection of HTTP/2 has open at once.
const STREAMS_MAX: u32 = 8;
/// How many bytes the head of a request of HTTP/2 has at most.
const HEAD_BYTES_MAX: u32 = 16 * 1024;
/// How often a connection of HTTP/2 is asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(60);

/// Over what a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// TCP, with the client's address.
    Tcp {
        /// The client's address.
        address: SocketAddr,
        /// Whether the connection is encrypted.
        tls: bool,
    },
    /// The node's own Unix socket, which only its user can open.
    Local,
}

/// Which HTTP a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 from the first byte, as gRPC does.
    Http2,
}

/// Binds a TCP listener.
///
/// # Errors
/// A port in use, an address that is not this machine's.
pub async fn bind_tcp(what: &'static str, address: SocketAddr) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address).await.map_err(|source| NodeError::Listen { what, address, source })
}

/// Binds the command line's socket, replacing one that a crash left behind; only the owner may open it.
///
/// # Errors
/// A folder that cannot be written.
pub fn bind_unix(path: &Path) -> Result<UnixListener, NodeError> {
    let failed = |source| NodeError::Folder { path: path.to_owned(), source };
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Serves TCP until `stop`, encrypted where `tls` is given.
pub async fn serve_tcp(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    protocol: Protocol,
    stop: CancellationToken,
) {
    let (slots, tasks) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), TaskTracker::new());
    while let Some(((stream, address), slot)) = next(&slots, &stop, || listener.accept()).await {
        let (router, tls, stop) = (router.clone(), tls.clone(), stop.clone());
        tasks.spawn(async move {
            let _slot = slot;
            let _ = stream.set_nodelay(true);
            let peer = Peer::Tcp { address, tls: tls.is_some() };
            match tls {
                None => serve_connection(stream, peer, router, (protocol, stop)).await,
                Some(acceptor) => match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => serve_connection(stream, peer, router, (protocol, stop)).await,
                    Ok(Err(error)) => tracing::debug!(%address, %error, "tls handshake failed"),
                    Err(_) => tracing::debug!(%address, "tls handshake took too long"),
                },
            }
        });
    }
    tasks.close();
    tasks.wait().await;
}

/// Serves the Unix socket until `stop`.
pub async fn serve_unix(listener: UnixListener, router: Router, stop: CancellationToken) {
    let (slots, tasks) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), TaskTracker::new());
    while let Some(((stream, _), slot)) = next(&slots, &stop, || listener.accept()).await {
        let (router, stop) = (router.clone(), stop.clone());
        tasks.spawn(async move {
            let _slot = slot;
            serve_connection(stream, Peer::Local, router, (Protocol::Http1, stop)).await;
        });
    }
    tasks.close();
    tasks.wait().await;
}

/// The next connection with its slot, or `None` once the node stops. A failed accept (too many open files) is waited
/// out.
async fn next<S, F>(
    slots: &Arc<Semaphore>,
    stop: &CancellationToken,
    accept: impl Fn() -> F,
) -> Option<(S, OwnedSemaphorePermit)>
where
    F: Future<Output = std::io::Result<S>>,
{
    loop {
        let accepted = async {
            let slot = Arc::clone(slots).acquire_owned().await.expect("the semaphore is never closed");
            (accept().await, slot)
        };
        tokio::select! {
            () = stop.cancelled() => return None,
            (accepted, slot) = accepted => match accepted {
                Ok(accepted) => return Some((accepted, slot)),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

async fn serve_connection<S>(stream: S, peer: Peer, router: Router, (protocol, stop): (Protocol, CancellationToken))
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = router.map_request(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        name_host(&mut request);
        request.map(axum::body::Body::new)
    });
    let (stream, service) = (TokioIo::new(stream), TowerToHyperService::new(service));
    let ended = match protocol {
        Protocol::Http1 => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_MAX)
                .serve_connection(stream, service);
            tokio::pin!(connection);
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.as_mut().await
                }
            }
        }
        Protocol::Http2 => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .max_header_list_size(HEAD_BYTES_MAX)
                .keep_alive_interval(PING_EVERY)
                .serve_connection(stream, service);
            tokio::pin!(connection);
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.as_mut().await
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// Names the host where HTTP/1.1 does, for those who look there: HTTP/2 names it in the address.
fn name_host(request: &mut hyper::Request<Incoming>) {
    let Some(authority) = request.uri().authority() else { return };
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
}

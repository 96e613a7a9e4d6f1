//! Further addresses on which telemetry comes over HTTP, for senders that expect it on a port of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::timeout::TimeoutLayer;
use wk_config::{Config, HttpConfig};

use super::server::{Protocol, bind_tcp, serve_tcp};
use super::tls::{Tls, acceptor};
use super::{REQUEST_MAX, elasticsearch, extract, grpc, otlp};
use crate::error::NodeError;
use crate::node::Node;

/// What is served on an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receiver {
    /// OTLP over gRPC.
    OtlpGrpc,
    /// OTLP over HTTP.
    OtlpHttp,
    /// What is sent to Elasticsearch.
    Elasticsearch,
}

impl Receiver {
    const fn name(self) -> &'static str {
        match self {
            Self::OtlpGrpc => "OTLP (gRPC)",
            Self::OtlpHttp => "OTLP (HTTP)",
            Self::Elasticsearch => "Elasticsearch's bulk interface",
        }
    }

    const fn protocol(self) -> Protocol {
        match self {
            Self::OtlpGrpc => Protocol::Http2,
            Self::OtlpHttp | Self::Elasticsearch => Protocol::Http1,
        }
    }

    fn router(self, node: &Arc<Node>) -> Router {
        let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_MAX);
        let routes = match self {
            Self::OtlpGrpc => {
                otlp::grpc_routes(node).layer(timeout).layer(axum::middleware::map_response(grpc::explain))
            }
            Self::OtlpHttp => otlp::routes(node).layer(timeout).layer(axum::middleware::map_response(extract::explain)),
            Self::Elasticsearch => elasticsearch::routes(node).layer(timeout),
        };
        routes.with_state(Arc::clone(node))
    }
}

/// An address that is bound, and what will be served on it.
pub struct Bound {
    receiver: Receiver,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

/// Tells whether an address is served over TLS: wherever a certificate is given, and on every address but loopback
/// unless that was waived.
#[must_use]
pub fn is_encrypted(config: &HttpConfig, listen: SocketAddr, insecure_http: bool) -> bool {
    config.tls_certificate.is_some() || !(listen.ip().is_loopback() || insecure_http)
}

/// Binds the configured addresses, before anything else starts, so that a port in use stops the start.
///
/// # Errors
/// A port in use, an address that is not this machine's, a certificate that cannot be used.
pub async fn bind(config: &Config, base: &Path, data: &Path, insecure_http: bool) -> Result<Vec<Bound>, NodeError> {
    let wanted = [
        (Receiver::OtlpGrpc, config.otlp.grpc_listen),
        (Receiver::OtlpHttp, config.otlp.http_listen),
        (Receiver::Elasticsearch, config.elasticsearch.listen),
    ];
    let mut bound = Vec::new();
    for (receiver, listen) in wanted {
        let Some(listen) = listen else { continue };
        let protocols: &[&[u8]] = if receiver.protocol() == Protocol::Http2 { &[b"h2"] } else { &[] };
        let tls = Tls::of(&config.http, listen, base, data);
        let encrypted = is_encrypted(&config.http, listen, insecure_http);
        let tls = encrypted.then(|| acceptor(&tls, protocols)).transpose()?;
        bound.push(Bound { receiver, listener: bind_tcp(receiver.name(), listen).await?, tls });
    }
    Ok(bound)
}

/// Serves what was bound until `stop`.
pub fn serve(node: &Arc<Node>, bound: Vec<Bound>, tasks: &TaskTracker, stop: &CancellationToken) {
    for Bound { receiver, listener, tls } in bound {
        tasks.spawn(serve_tcp(listener, tls, receiver.router(node), receiver.protocol(), stop.clone()));
    }
}

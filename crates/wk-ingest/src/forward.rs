//! The Forward protocol of Fluentd and Fluent Bit over TCP or TLS: single messages, lists and packed chunks, whose
//! receipt is acknowledged once they are on disk.
//!
//! *Source*: <https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1>. A record is read like a JSON log;
//! its tag becomes the attribute `tag`, and the application where the record names none.

mod connection;
mod handshake;
mod message;
mod msgpack;

use std::net::SocketAddr;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use handshake::SharedKey;

use crate::accept::Acceptor;
use crate::contract::SourceContext;
use crate::network::Network;
use connection::Connection;

/// How many bytes one message has at most, packed or not.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many entries one message holds at most.
pub const ENTRIES_MAX: usize = 100_000;
/// How many bytes one entry's record has at most; larger ones are rejected.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// How many connections are open at once.
pub const CONNECTIONS_MAX: usize = 128;
/// After how much silence a connection is ended; clients keep theirs open between chunks.
pub const IDLE_MAX: Duration = Duration::from_secs(1_800);

/// Where and from whom messages are taken.
#[derive(Clone)]
pub struct ForwardSettings {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// From where messages are taken, besides loopback.
    pub allow_networks: Vec<Network>,
    /// What clients have to know, where they are asked; then they may come from anywhere.
    pub shared_key: Option<SharedKey>,
    /// Encrypts connections, where it is given.
    pub tls: Option<TlsAcceptor>,
    /// This machine's name, for clients.
    pub own_name: String,
    /// After how much silence a connection is ended.
    pub idle: Duration,
}

impl ForwardSettings {
    /// The shipped defaults on a given address: loopback senders only, no key, no encryption.
    #[must_use]
    pub fn new(listen: SocketAddr, own_name: &str) -> Self {
        Self {
            listen,
            allow_networks: Vec::new(),
            shared_key: None,
            tls: None,
            own_name: own_name.to_owned(),
            idle: IDLE_MAX,
        }
    }
}

/// A bound listener.
pub struct Forward {
    acceptor: Acceptor,
    settings: ForwardSettings,
}

impl Forward {
    /// Binds the listener.
    ///
    /// # Errors
    /// A port in use, an address that is not this machine's.
    pub async fn bind(settings: ForwardSettings) -> std::io::Result<Self> {
        let mut acceptor = Acceptor::bind(settings.listen, CONNECTIONS_MAX).await?;
        acceptor.tls.clone_from(&settings.tls);
        acceptor.allow_networks = settings.shared_key.is_none().then(|| settings.allow_networks.clone());
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
                Connection::new(context, settings.clone(), peer, cancel).run(stream)
            })
            .await;
    }
}

#[cfg(test)]
mod tests;

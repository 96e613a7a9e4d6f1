//! Syslog over UDP, TCP and TLS: RFC 3164 and RFC 5424 messages, RFC 6587 framing.

pub mod frames;
pub mod message;
mod record;
pub mod tcp;
pub mod udp;
pub mod vendor;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::tz::TimeZone;
use wk_types::{AssetId, ErrorKind};

use crate::network::Network;
use crate::times::Zone;

/// How many bytes of one message are kept; the rest is cut off and counted.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The reason under which cut messages are counted.
pub const CUT: &str = "message cut at 64 KiB";
/// The reason under which messages with bytes that are no UTF-8 are counted.
pub const NOT_UTF8: &str = "bytes replaced that are no UTF-8";
/// How many messages one record holds.
pub const BATCH_MESSAGES_MAX: usize = 1_000;
/// How many bytes of messages one record holds.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// How many TCP connections are open at once, where nothing else is set.
pub const CONNECTIONS_MAX: usize = 512;
/// After how much silence a connection is ended, where nothing else is set: more than the longest that rsyslog and
/// syslog-ng keep quiet between two of their own marks (20 min).
pub const IDLE_MAX: std::time::Duration = std::time::Duration::from_secs(1_800);
/// How long a record waits for further messages.
pub const BATCH_WAIT: std::time::Duration = std::time::Duration::from_millis(50);

pub use crate::accept::NOT_ALLOWED;
pub(crate) use tcp::wait_until;

/// Where and from whom syslog is taken.
#[derive(Debug, Clone)]
pub struct SyslogSettings {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// From where messages are taken, besides loopback.
    pub allow_networks: Vec<Network>,
    /// The zone of times that do not name theirs.
    pub zone: Zone,
    /// The same for single senders, by the address that they send from.
    pub zones: Arc<HashMap<IpAddr, Zone>>,
    /// The asset that all messages belong to, where the configuration says so.
    pub asset: Option<AssetId>,
    /// How many TCP connections are open at once.
    pub connections_max: usize,
    /// After how much silence a connection is ended.
    pub idle: std::time::Duration,
    /// Whether clients prove who they are by a certificate, so that they may come from anywhere.
    pub clients_are_known: bool,
}

impl SyslogSettings {
    /// The shipped defaults on a given address: loopback senders only, [`CONNECTIONS_MAX`] connections.
    #[must_use]
    pub fn new(listen: SocketAddr, zone: TimeZone) -> Self {
        Self {
            listen,
            allow_networks: Vec::new(),
            zone: Zone::new(zone),
            zones: Arc::default(),
            asset: None,
            connections_max: CONNECTIONS_MAX,
            idle: IDLE_MAX,
            clients_are_known: false,
        }
    }
}

/// Why syslog cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum SyslogError {
    /// The address cannot be listened on.
    #[error("could not listen for syslog on {transport} {address}")]
    Listen {
        /// `udp`, `tcp` or `tls`.
        transport: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl SyslogError {
    /// What sort of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        let Self::Listen { source, .. } = self;
        match source.kind() {
            std::io::ErrorKind::AddrInUse => ErrorKind::Conflict,
            std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            std::io::ErrorKind::AddrNotAvailable => ErrorKind::InvalidInput,
            _ => ErrorKind::Unavailable,
        }
    }
}

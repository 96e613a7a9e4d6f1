//! The keys of telemetry protocols that have an address of their own.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::network::Network;

/// OpenTelemetry. `/v1/logs` and `/v1/metrics` are also served on `http.listen`, whatever stands here; like there,
/// senders need a token unless they are on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpConfig {
    /// Address for OTLP over gRPC, usually port 4317; not served where it is missing.
    pub grpc_listen: Option<SocketAddr>,
    /// Address for OTLP over HTTP, usually port 4318; not served where it is missing.
    pub http_listen: Option<SocketAddr>,
}

/// Documents as they are sent to Elasticsearch. `/elasticsearch/_bulk` is also served on `http.listen`, whatever stands
/// here; an address of its own is for senders that know no prefix.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ElasticsearchConfig {
    /// Address, usually port 9200; not served where it is missing.
    pub listen: Option<SocketAddr>,
}

/// The Forward protocol of Fluentd and Fluent Bit. It carries no token, so on another address than loopback it needs
/// `allow_networks` or a shared key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForwardConfig {
    /// Address, usually port 24224; not served where it is missing.
    pub listen: Option<SocketAddr>,
    /// Networks that may send, such as `10.20.0.0/16`.
    pub allow_networks: Vec<Network>,
    /// File that holds the key that clients have to know.
    pub shared_key_file: Option<PathBuf>,
    /// Whether connections are encrypted, with the certificate of `[http]`.
    pub tls: bool,
}

/// StatsD over UDP and TCP. It carries no token, so on another address than loopback it needs `allow_networks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatsdConfig {
    /// Address for UDP and TCP, usually port 8125; not served where it is missing.
    pub listen: Option<SocketAddr>,
    /// Networks that may send, such as `10.20.0.0/16`.
    pub allow_networks: Vec<Network>,
    /// Seconds over which values are gathered into one sample.
    pub interval_s: u32,
}

impl Default for StatsdConfig {
    fn default() -> Self {
        Self { listen: None, allow_networks: Vec::new(), interval_s: 10 }
    }
}

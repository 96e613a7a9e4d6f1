//! The keys of `[flows]`: NetFlow, IPFIX and sFlow.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::network::Network;

/// Flow records from routers, switches and firewalls; nothing is listened on unless an address is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlowsConfig {
    /// Addresses for NetFlow v5, v9 and IPFIX, such as `0.0.0.0:2055`.
    pub netflow_listen: Vec<SocketAddr>,
    /// Addresses for sFlow v5, such as `0.0.0.0:6343`.
    pub sflow_listen: Vec<SocketAddr>,
    /// Networks that may send; needed where an address is not loopback.
    pub allow_networks: Vec<Network>,
    /// How many conversations each exporter shows by name; the rest is summed up.
    pub top: usize,
    /// How many exporters are told apart.
    pub exporters_max: usize,
}

impl Default for FlowsConfig {
    fn default() -> Self {
        Self {
            netflow_listen: Vec::new(),
            sflow_listen: Vec::new(),
            allow_networks: Vec::new(),
            top: 20,
            exporters_max: 256,
        }
    }
}

impl FlowsConfig {
    /// Checks what the types cannot.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let invalid = |key: &str, what: &str| Err(ConfigError::Invalid { key: key.to_owned(), what: what.to_owned() });
        let mut all = self.netflow_listen.iter().chain(&self.sflow_listen);
        if all.any(|address| !address.ip().is_loopback()) && self.allow_networks.is_empty() {
            return invalid(
                "flows.allow_networks",
                "flow records carry no token, so an address other than loopback needs the networks that may send, \
                 such as [\"10.20.0.0/16\"]",
            );
        }
        if !(1..=1_000).contains(&self.top) {
            return invalid("flows.top", "must be from 1 to 1000");
        }
        if !(1..=10_000).contains(&self.exporters_max) {
            return invalid("flows.exporters_max", "must be from 1 to 10000");
        }
        Ok(())
    }
}

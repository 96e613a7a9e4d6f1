//! Who stands at the other end of a port, as a device itself says.

use std::net::IpAddr;

/// The protocol by which a device learnt of its neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NeighbourProtocol {
    /// IEEE 802.1AB.
    Lldp,
    /// Cisco Discovery Protocol.
    Cdp,
}

impl NeighbourProtocol {
    /// The protocol's name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lldp => "lldp",
            Self::Cdp => "cdp",
        }
    }
}

/// One end of a link as the device at the other end sees it; texts are empty where it does not say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbour {
    /// How the device knows.
    pub protocol: NeighbourProtocol,
    /// The device's own port.
    pub local_port: String,
    /// The neighbour's chassis id or device id.
    pub chassis_id: String,
    /// The neighbour's port.
    pub remote_port: String,
    /// The neighbour's system name.
    pub remote_name: String,
    /// The neighbour's address.
    pub remote_address: Option<IpAddr>,
    /// What the neighbour is, or what its port is called.
    pub platform: String,
}

impl Neighbour {
    /// The labels under which a series tells of it.
    #[must_use]
    pub fn labels(&self) -> [(&'static str, String); 7] {
        [
            ("protocol", self.protocol.as_str().to_owned()),
            ("local_port", self.local_port.clone()),
            ("chassis_id", self.chassis_id.clone()),
            ("remote_port", self.remote_port.clone()),
            ("remote_name", self.remote_name.clone()),
            ("remote_address", self.remote_address.map(|address| address.to_string()).unwrap_or_default()),
            ("platform", self.platform.clone()),
        ]
    }
}

//! NMEA 0183 (IEC 61162-1) from talkers on board: over UDP, with IEC 61162-450 datagrams among them, over TCP, and from
//! serial lines. Navigation equipment is listened to only: nothing is ever sent to it.

pub mod ais;
mod fields;
mod receiver;
pub mod sentence;
pub mod serial;
pub mod stream;
pub mod tag;
pub mod udp;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use wk_types::{AssetId, ErrorKind};

use crate::instruments::InstrumentSettings;

pub use fields::{Decoded, NotRead, decode};
pub use receiver::Receiver;

/// How many bytes a line has at most, a TAG block in front of it included. The standard has 82 for a sentence and 80
/// for a TAG block; real talkers send longer ones.
pub const LINE_BYTES_MAX: usize = 1_024;
/// The reason under which longer lines are counted.
pub const LINE_TOO_LONG: &str = "line too long";

/// How sentences are read, whatever way they come.
#[derive(Debug, Clone)]
pub struct NmeaSettings {
    /// The source's name: the label `instance`.
    pub name: String,
    /// The asset that its series belong to.
    pub asset: AssetId,
    /// How often a value is kept.
    pub resolution: Duration,
    /// Talkers such as `GN`, or sources of TAG blocks such as `GP0001`, the one to be preferred first. Where a quantity
    /// comes from several that are not named here, the one heard first is kept to while it speaks.
    pub talkers: Vec<String>,
}

impl NmeaSettings {
    /// The shipped defaults: a value every 10 s.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), asset: name.into(), resolution: Duration::from_secs(10), talkers: Vec::new() }
    }

    fn instruments(&self) -> InstrumentSettings {
        InstrumentSettings {
            job: "nmea",
            instance: self.name.clone(),
            asset: self.asset.clone(),
            resolution: self.resolution,
            labels: BTreeMap::new(),
        }
    }
}

/// Why a source of NMEA 0183 cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NmeaError {
    /// The address cannot be listened on.
    #[error("could not listen for nmea on udp {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl NmeaError {
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

#[cfg(test)]
mod tests;

//! The keys of navigation sources: NMEA 0183, gpsd and Signal K.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::keys::Config;
use crate::network::Network;

/// One source of NMEA 0183 sentences: one of `udp`, `tcp` and `serial`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NmeaConfig {
    /// Label `instance` of its series.
    pub name: String,
    /// Addresses to listen on for datagrams; multicast groups, such as `239.192.0.4:60004`, are joined.
    #[serde(default)]
    pub udp: Vec<SocketAddr>,
    /// A TCP server to read from, as host and port.
    #[serde(default)]
    pub tcp: Option<String>,
    /// A serial line to read from, such as `/dev/ttyUSB0`.
    #[serde(default)]
    pub serial: Option<PathBuf>,
    /// Speed of the serial line in bits per second.
    #[serde(default = "default_baud")]
    pub baud: u32,
    /// Address of the network interface on which multicast groups are joined; the system chooses where it is missing.
    #[serde(default)]
    pub interface: Option<Ipv4Addr>,
    /// Networks that may send datagrams; needed where `udp` is not loopback.
    #[serde(default)]
    pub allow_networks: Vec<Network>,
    /// Talkers such as `GN`, or sources of TAG blocks such as `GP0001`, the preferred one first.
    #[serde(default)]
    pub talkers: Vec<String>,
    /// Seconds of which one value is kept.
    #[serde(default = "default_resolution_s")]
    pub resolution_s: u32,
    /// The asset its series belong to; one of its name where it is missing.
    #[serde(default)]
    pub asset: Option<String>,
}

/// One gpsd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpsdConfig {
    /// Label `instance` of its series.
    pub name: String,
    /// Host and port.
    #[serde(default = "default_gpsd")]
    pub address: String,
    /// Its devices, such as `/dev/ttyUSB0`, the preferred one first.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Seconds of which one value is kept.
    #[serde(default = "default_resolution_s")]
    pub resolution_s: u32,
    /// The asset its series belong to; one of its name where it is missing.
    #[serde(default)]
    pub asset: Option<String>,
}

/// One Signal K server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalKConfig {
    /// Label `instance` of its series.
    pub name: String,
    /// The server, such as `ws://10.0.0.5:3000`.
    pub url: String,
    /// File with the token of a server that asks for one.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Its sources (`$source`), the preferred one first.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Further paths, each with the name of the metric it becomes.
    #[serde(default)]
    pub metrics: BTreeMap<String, String>,
    /// Seconds of which one value is kept.
    #[serde(default = "default_resolution_s")]
    pub resolution_s: u32,
    /// The asset its series belong to; one of its name where it is missing.
    #[serde(default)]
    pub asset: Option<String>,
}

const fn default_baud() -> u32 {
    4_800
}

const fn default_resolution_s() -> u32 {
    10
}

fn default_gpsd() -> String {
    "127.0.0.1:2947".to_owned()
}

/// Checks what the types cannot.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    config.nmea.iter().enumerate().try_for_each(|(at, one)| check_nmea(at, one))?;
    let resolutions = config.gpsd.iter().map(|one| ("gpsd", one.resolution_s));
    let resolutions = resolutions.chain(config.signalk.iter().map(|one| ("signalk", one.resolution_s)));
    for (kind, resolution) in resolutions {
        at_least_a_second(kind, resolution)?;
    }
    for (at, one) in config.signalk.iter().enumerate() {
        if !one.url.starts_with("ws://") {
            return invalid(&format!("signalk[{at}].url"), "must begin with ws://");
        }
    }
    names("nmea", config.nmea.iter().map(|one| &one.name))?;
    names("gpsd", config.gpsd.iter().map(|one| &one.name))?;
    names("signalk", config.signalk.iter().map(|one| &one.name))
}

fn invalid(key: &str, what: &str) -> Result<(), ConfigError> {
    Err(ConfigError::Invalid { key: key.to_owned(), what: what.to_owned() })
}

fn at_least_a_second(kind: &str, resolution: u32) -> Result<(), ConfigError> {
    if resolution == 0 { invalid(&format!("{kind}.resolution_s"), "must be at least 1") } else { Ok(()) }
}

fn check_nmea(at: usize, one: &NmeaConfig) -> Result<(), ConfigError> {
    let invalid = |key: &str, what: &str| invalid(&format!("nmea[{at}].{key}"), what);
    let ways = usize::from(!one.udp.is_empty()) + usize::from(one.tcp.is_some()) + usize::from(one.serial.is_some());
    if ways != 1 {
        return invalid("udp", "exactly one of udp, tcp and serial says where the sentences come from");
    }
    let open = one.udp.iter().any(|address| !address.ip().is_loopback());
    if open && one.allow_networks.is_empty() {
        return invalid(
            "allow_networks",
            "datagrams carry no token, so an address other than loopback needs the networks that may send, such as \
             [\"10.20.0.0/16\"]",
        );
    }
    at_least_a_second("nmea", one.resolution_s)
}

/// Names say whose a series is, so each stands for one source.
pub fn names<'a>(kind: &str, names: impl Iterator<Item = &'a String>) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.trim().is_empty() {
            return invalid(&format!("{kind}.name"), "must not be empty");
        }
        if !seen.insert(name) {
            return invalid(&format!("{kind}.name"), &format!("{name:?} stands twice; each source needs its own name"));
        }
    }
    Ok(())
}

//! The keys of `[snmp]`: who is polled, with which credentials, and who may send traps.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::network::Network;

/// How many devices one node polls.
pub const SNMP_DEVICES_MAX: usize = 10_000;

/// SNMP: polling of devices, and traps from them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnmpConfig {
    /// Seconds between two polls of a device.
    pub interval_s: u32,
    /// The longest time in milliseconds that one answer is waited for; the node waits less where a device is quick.
    pub timeout_ms: u32,
    /// How often a request is sent again before the poll has failed.
    pub retries: u32,
    /// Folder of further profiles, `*.toml`; one with the name of a shipped profile takes its place.
    pub profiles_folder: Option<PathBuf>,
    /// Communities and users, each under a name.
    pub credential: Vec<SnmpCredentialConfig>,
    /// Devices that are polled.
    pub device: Vec<SnmpDeviceConfig>,
    /// Traps and informs.
    pub traps: SnmpTrapsConfig,
}

impl Default for SnmpConfig {
    fn default() -> Self {
        Self {
            interval_s: 60,
            timeout_ms: 2_000,
            retries: 2,
            profiles_folder: None,
            credential: Vec::new(),
            device: Vec::new(),
            traps: SnmpTrapsConfig::default(),
        }
    }
}

/// Which SNMP a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnmpVersion {
    /// SNMPv1, without GETBULK and 64-bit counters.
    V1,
    /// SNMPv2c.
    V2c,
    /// SNMPv3 with the User-based Security Model.
    V3,
}

/// How SNMPv3 messages are authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnmpAuthentication {
    /// HMAC-MD5-96 (RFC 3414).
    Md5,
    /// HMAC-SHA-96 (RFC 3414).
    Sha,
    /// HMAC-SHA-2 of 224 bits (RFC 7860).
    Sha224,
    /// HMAC-SHA-2 of 256 bits (RFC 7860).
    Sha256,
    /// HMAC-SHA-2 of 384 bits (RFC 7860).
    Sha384,
    /// HMAC-SHA-2 of 512 bits (RFC 7860).
    Sha512,
}

/// How SNMPv3 messages are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnmpPrivacy {
    /// CBC-DES (RFC 3414).
    Des,
    /// CFB-AES-128 (RFC 3826).
    Aes,
    /// AES of 192 bits, keys extended as Blumenthal has it.
    Aes192,
    /// AES of 256 bits, keys extended as Blumenthal has it.
    Aes256,
    /// AES of 192 bits, keys extended as Cisco has it.
    Aes192Cisco,
    /// AES of 256 bits, keys extended as Cisco has it.
    Aes256Cisco,
}

/// A community or a user. Secrets stand in files of their own, one line each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnmpCredentialConfig {
    /// What devices call it by.
    pub name: String,
    /// Which SNMP it is for.
    pub version: SnmpVersion,
    /// File that holds the community; for v1 and v2c.
    #[serde(default)]
    pub community_file: Option<PathBuf>,
    /// The user; for v3.
    #[serde(default)]
    pub user: Option<String>,
    /// How the user's messages are authenticated.
    #[serde(default)]
    pub authentication: Option<SnmpAuthentication>,
    /// File that holds the password of the authentication.
    #[serde(default)]
    pub authentication_password_file: Option<PathBuf>,
    /// How the user's messages are encrypted.
    #[serde(default)]
    pub privacy: Option<SnmpPrivacy>,
    /// File that holds the password of the encryption.
    #[serde(default)]
    pub privacy_password_file: Option<PathBuf>,
    /// The context that is asked for, where a device has several.
    #[serde(default)]
    pub context: String,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnmpDeviceConfig {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// The name of the credential.
    pub credential: String,
    /// The asset it is; found by its address, then by its sysName, where it is missing.
    #[serde(default)]
    pub asset: Option<String>,
    /// The engine id in hexadecimal, by which its SNMPv3 traps are known wherever they come from.
    #[serde(default)]
    pub engine_id: Option<String>,
    /// Profiles to read; those that fit its sysObjectID where it is missing.
    #[serde(default)]
    pub profiles: Option<Vec<String>>,
    /// Seconds between two polls; those of `[snmp]` where it is missing.
    #[serde(default)]
    pub interval_s: Option<u32>,
    /// Further labels of its series.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

const fn default_port() -> u16 {
    161
}

/// Traps and informs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnmpTrapsConfig {
    /// Whether traps are taken in.
    pub enabled: bool,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Networks that may send, such as `10.20.0.0/16`; needed where `listen` is not loopback.
    pub allow_networks: Vec<Network>,
    /// Names of the credentials that are taken; any community, and no user, where there are none.
    pub credentials: Vec<String>,
}

impl Default for SnmpTrapsConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1162),
            allow_networks: Vec::new(),
            credentials: Vec::new(),
        }
    }
}

fn invalid<T>(key: &str, what: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid { key: key.to_owned(), what: what.into() })
}

impl SnmpConfig {
    /// Checks what the types cannot.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.interval_s == 0 {
            return invalid("snmp.interval_s", "must be at least 1");
        }
        if !(50..=60_000).contains(&self.timeout_ms) {
            return invalid("snmp.timeout_ms", "must be from 50 to 60000");
        }
        if self.retries > 10 {
            return invalid("snmp.retries", "must be at most 10");
        }
        if self.device.len() > SNMP_DEVICES_MAX {
            return invalid("snmp.device", format!("one node polls at most {SNMP_DEVICES_MAX} devices; use a second"));
        }
        self.credential.iter().enumerate().try_for_each(|(at, one)| self.check_credential(at, one))?;
        self.device.iter().enumerate().try_for_each(|(at, one)| self.check_device(at, one))?;
        self.check_traps()
    }

    fn knows(&self, credential: &str) -> bool {
        self.credential.iter().any(|known| known.name == credential)
    }

    fn check_credential(&self, at: usize, one: &SnmpCredentialConfig) -> Result<(), ConfigError> {
        let key = |name: &str| format!("snmp.credential[{at}].{name}");
        if self.credential[..at].iter().any(|earlier| earlier.name == one.name) {
            return invalid(&key("name"), format!("{:?} comes twice", one.name));
        }
        if one.version != SnmpVersion::V3 {
            return match (&one.community_file, &one.user) {
                (None, _) => invalid(&key("community_file"), "is missing; write the file that holds the community"),
                (_, Some(_)) => invalid(&key("user"), "belongs to version = \"v3\""),
                _ => Ok(()),
            };
        }
        if one.user.as_ref().is_none_or(String::is_empty) {
            return invalid(&key("user"), "is missing; version = \"v3\" needs one");
        }
        if one.community_file.is_some() {
            return invalid(&key("community_file"), "belongs to version = \"v1\" or \"v2c\"");
        }
        if one.authentication.is_some() != one.authentication_password_file.is_some() {
            return invalid(&key("authentication"), "needs authentication_password_file beside it");
        }
        if one.privacy.is_some() != one.privacy_password_file.is_some() {
            return invalid(&key("privacy"), "needs privacy_password_file beside it");
        }
        if one.privacy.is_some() && one.authentication.is_none() {
            return invalid(&key("privacy"), "needs authentication too");
        }
        Ok(())
    }

    fn check_device(&self, at: usize, one: &SnmpDeviceConfig) -> Result<(), ConfigError> {
        let key = |name: &str| format!("snmp.device[{at}].{name}");
        if !self.knows(&one.credential) {
            return invalid(&key("credential"), format!("no [[snmp.credential]] has the name {:?}", one.credential));
        }
        let address = |device: &SnmpDeviceConfig| (device.address, device.port);
        if self.device[..at].iter().any(|earlier| address(earlier) == address(one)) {
            return invalid(&key("address"), format!("{} comes twice", one.address));
        }
        if one.interval_s == Some(0) {
            return invalid(&key("interval_s"), "must be at least 1");
        }
        let is_hexadecimal = |text: &String| {
            let text = text.trim_start_matches("0x");
            (10..=64).contains(&text.len())
                && text.len().is_multiple_of(2)
                && text.bytes().all(|b| b.is_ascii_hexdigit())
        };
        if one.engine_id.as_ref().is_some_and(|text| !is_hexadecimal(text)) {
            return invalid(&key("engine_id"), "must be 5 to 32 bytes in hexadecimal, such as 0x80001f8804746f70");
        }
        Ok(())
    }

    fn check_traps(&self) -> Result<(), ConfigError> {
        let traps = &self.traps;
        if let Some(name) = traps.credentials.iter().find(|name| !self.knows(name)) {
            return invalid("snmp.traps.credentials", format!("no [[snmp.credential]] has the name {name:?}"));
        }
        if traps.enabled && !traps.listen.ip().is_loopback() && traps.allow_networks.is_empty() {
            return invalid(
                "snmp.traps.allow_networks",
                "an address other than loopback needs the networks that may send, such as [\"10.20.0.0/16\"]",
            );
        }
        Ok(())
    }
}

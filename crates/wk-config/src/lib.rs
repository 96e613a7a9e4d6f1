//! The configuration file: its keys, defaults, checks and origins.
//!
//! One versioned TOML file; every key has a default that works on a fresh machine, so the file may be missing. An
//! unknown key is refused with the nearest known one named.

mod check;
mod devices;
mod error;
mod flows;
mod keys;
mod navigation;
mod network;
mod origin;
mod snmp;

pub use devices::{LinkConfig, MqttConfig, MqttTopicConfig};
pub use error::ConfigError;
pub use flows::FlowsConfig;
pub use keys::{
    AssetConfig, Config, EdgeConfig, ElasticsearchConfig, FORMAT, ForwardConfig, HostConfig, HttpConfig,
    IncidentConfig, LogStorage, LogsConfig, MailConfig, MetricsStore, OtlpConfig, OutsideLogsConfig,
    OutsideMetricsConfig, PostgresConfig, RelabelAction, RelabelConfig, RulesConfig, ScrapeConfig, StatsdConfig,
    StorageConfig, SyslogConfig,
};
pub use navigation::{GpsdConfig, NmeaConfig, SignalKConfig};
pub use network::Network;
pub use origin::{Origin, Value};
pub use snmp::{
    SNMP_DEVICES_MAX, SnmpAuthentication, SnmpConfig, SnmpCredentialConfig, SnmpDeviceConfig, SnmpPrivacy,
    SnmpTrapsConfig, SnmpVersion,
};

#[cfg(test)]
mod tests;

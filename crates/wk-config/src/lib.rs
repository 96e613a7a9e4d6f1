//! The configuration file: its keys, defaults, checks and origins.
//!
//! One versioned TOML file; every key has a default that works on a fresh machine, so the file may be missing. An
//! unknown key is refused with the nearest known one named.

mod check;
mod error;
mod keys;
mod network;
mod origin;

pub use error::ConfigError;
pub use keys::{
    AssetConfig, Config, EdgeConfig, ElasticsearchConfig, FORMAT, ForwardConfig, HostConfig, HttpConfig,
    IncidentConfig, LogsConfig, MailConfig, OtlpConfig, RelabelAction, RelabelConfig, RulesConfig, ScrapeConfig,
    StatsdConfig, StorageConfig, SyslogConfig,
};
pub use network::Network;
pub use origin::{Origin, Value};

#[cfg(test)]
mod tests;

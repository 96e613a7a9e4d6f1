//! The keys of MQTT brokers and of links.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::keys::Config;
use crate::navigation::names;

/// One MQTT broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttConfig {
    /// Label `instance` of its series.
    pub name: String,
    /// The broker: `mqtt://host` or `mqtt://host:port`.
    pub url: String,
    /// The client's id, under which the broker keeps what is published meanwhile; `watchkeeper-` and the name where it
    /// is missing. No other client may have it.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The user at the broker.
    #[serde(default)]
    pub user: Option<String>,
    /// File that holds the user's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The asset that everything belongs to; one of its name where it is missing.
    #[serde(default)]
    pub asset: Option<String>,
    /// What its topics mean; the first that fits a message counts.
    #[serde(default)]
    pub topic: Vec<MqttTopicConfig>,
}

/// What the topics that fit a filter mean: a metric, or log messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttTopicConfig {
    /// Filter, such as `engine/+/temperature`.
    pub filter: String,
    /// Metric that the messages become.
    #[serde(default)]
    pub metric: Option<String>,
    /// Further labels of the metric; `{1}` stands for what the first wildcard met.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Where the number is in a JSON message, such as `/value`; the whole message where it is missing.
    #[serde(default)]
    pub value: String,
    /// What the number is multiplied by.
    #[serde(default = "one")]
    pub factor: f64,
    /// What is added then.
    #[serde(default)]
    pub offset: f64,
    /// Application of the log messages that the messages become.
    #[serde(default)]
    pub app: Option<String>,
    /// Where the text is in a JSON message; the whole message where it is missing.
    #[serde(default)]
    pub message: String,
    /// Where the word for the severity is in a JSON message; `info` where it is missing.
    #[serde(default)]
    pub severity: String,
}

/// One satellite terminal, modem, antenna or router.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkConfig {
    /// Label `instance` of its series.
    pub name: String,
    /// Profile that says what its fields mean: a shipped one, or one of `link_profiles`.
    pub profile: String,
    /// Where it is, such as `http://192.168.100.1:9200`.
    pub address: String,
    /// Seconds between two readings.
    #[serde(default = "default_interval_s")]
    pub interval_s: u32,
    /// User, or client id, at the device.
    #[serde(default)]
    pub user: Option<String>,
    /// File that holds the password or secret.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Whether any certificate of the device is taken.
    #[serde(default)]
    pub insecure_tls: bool,
    /// The asset its series belong to; one of its name where it is missing.
    #[serde(default)]
    pub asset: Option<String>,
    /// Further labels of its series.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

const fn one() -> f64 {
    1.0
}

const fn default_interval_s() -> u32 {
    15
}

/// Checks what the types cannot.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    let invalid = |key: String, what: &str| Err(ConfigError::Invalid { key, what: what.to_owned() });
    for (at, broker) in config.mqtt.iter().enumerate() {
        if !broker.url.starts_with("mqtt://") {
            return invalid(format!("mqtt[{at}].url"), "must begin with mqtt://");
        }
        if broker.topic.is_empty() {
            return invalid(
                format!("mqtt[{at}].topic"),
                "is missing; write [[mqtt.topic]] with a filter and a metric or an app",
            );
        }
        if broker.client_id.as_deref() == Some("") {
            return invalid(format!("mqtt[{at}].client_id"), "must not be empty");
        }
        for (topic_at, topic) in broker.topic.iter().enumerate() {
            let key = |key: &str| format!("mqtt[{at}].topic[{topic_at}].{key}");
            if topic.metric.is_some() == topic.app.is_some() {
                return invalid(key("metric"), "exactly one of metric and app says what the messages become");
            }
            for (name, pointer) in [("value", &topic.value), ("message", &topic.message), ("severity", &topic.severity)]
            {
                if !pointer.is_empty() && !pointer.starts_with('/') {
                    return invalid(key(name), "must be a JSON pointer, such as /value");
                }
            }
        }
    }
    for (at, link) in config.link.iter().enumerate() {
        if link.interval_s == 0 {
            return invalid(format!("link[{at}].interval_s"), "must be at least 1");
        }
    }
    names("mqtt", config.mqtt.iter().map(|one| &one.name))?;
    names("link", config.link.iter().map(|one| &one.name))
}

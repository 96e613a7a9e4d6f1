//! Where each value in force comes from.

use serde::Serialize;

use crate::error::ConfigError;
use crate::keys::Config;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Built in.
    Default,
    /// The configuration file.
    File,
}

/// One value in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Value {
    /// The key with its tables, such as `http.listen`.
    pub key: String,
    /// The value.
    pub value: serde_json::Value,
    /// Where it comes from.
    pub origin: Origin,
}

impl Config {
    /// Lists every value in force with its origin, sorted by key; `text` is the file it was read from, or empty.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn effective(text: &str) -> Result<Vec<Value>, ConfigError> {
        let config = Self::parse(text)?;
        let mut written = Vec::new();
        let table: toml::Table = text.parse().map_err(|_| ConfigError::Parse { message: "no TOML".to_owned() })?;
        let table = serde_json::to_value(table).map_err(|error| ConfigError::Parse { message: error.to_string() })?;
        flatten("", &table, &mut written);
        let effective =
            serde_json::to_value(&config).map_err(|error| ConfigError::Parse { message: error.to_string() })?;
        let mut values = Vec::new();
        flatten("", &effective, &mut values);
        Ok(values
            .into_iter()
            .map(|(key, value)| {
                let in_file = written.iter().any(|(known, _)| *known == key);
                Value { key, value, origin: if in_file { Origin::File } else { Origin::Default } }
            })
            .collect())
    }
}

fn flatten(prefix: &str, value: &serde_json::Value, into: &mut Vec<(String, serde_json::Value)>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, inner) in map {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, inner, into);
            }
        }
        other => into.push((prefix.to_owned(), other.clone())),
    }
}

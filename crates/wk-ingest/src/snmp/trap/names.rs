//! The one table of notifications: what they are called and how bad they are.

use std::collections::BTreeMap;

use async_snmp::Oid;
use serde::Deserialize;
use wk_types::Severity;

const TABLE: &str = include_str!("../../../profiles/notifications/table.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    format: u32,
    default_severity: Severity,
    notification: BTreeMap<String, Vec<String>>,
    object: BTreeMap<String, String>,
}

/// A notification's name and severity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name in its MIB.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
}

/// Names of notifications and objects by their object identifier.
#[derive(Debug, Clone)]
pub struct Names {
    notifications: BTreeMap<Vec<u32>, Named>,
    objects: BTreeMap<Vec<u32>, String>,
    default_severity: Severity,
}

/// Why the shipped table cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("could not understand the table of notifications: {0}")]
pub struct NamesError(String);

impl Names {
    /// The shipped table.
    ///
    /// # Errors
    /// A table that is none.
    pub fn shipped() -> Result<Self, NamesError> {
        let table: Table = toml::from_str(TABLE).map_err(|error| NamesError(error.to_string()))?;
        if table.format != super::super::profile::FORMAT {
            return Err(NamesError(format!("it has format {}", table.format)));
        }
        let arcs = |text: &str| {
            Oid::parse(text).map(|oid| oid.arcs().to_vec()).map_err(|error| NamesError(format!("{text}: {error}")))
        };
        let mut names =
            Self { notifications: BTreeMap::new(), objects: BTreeMap::new(), default_severity: table.default_severity };
        for (oid, words) in &table.notification {
            let [name, severity] = words.as_slice() else {
                return Err(NamesError(format!("{oid} needs a name and a severity")));
            };
            let severity = severity.parse::<Severity>().map_err(|error| NamesError(format!("{oid}: {error}")))?;
            names.notifications.insert(arcs(oid)?, Named { name: name.clone(), severity });
        }
        for (oid, name) in &table.object {
            names.objects.insert(arcs(oid)?, name.clone());
        }
        Ok(names)
    }

    /// The notification's name and severity, by the longest entry that it begins with; its object identifier where
    /// there is no entry of its own.
    #[must_use]
    pub fn notification(&self, oid: &Oid) -> Named {
        match longest(&self.notifications, oid.arcs()) {
            Some((length, named)) if length == oid.len() => named.clone(),
            Some((_, named)) => Named { name: format!("{} ({oid})", named.name), severity: named.severity },
            None => Named { name: oid.to_string(), severity: self.default_severity },
        }
    }

    /// The object's name, and the instance behind it.
    #[must_use]
    pub fn object(&self, oid: &Oid) -> (String, String) {
        match longest(&self.objects, oid.arcs()) {
            Some((length, name)) => {
                let rest = oid.arcs()[length..].iter().map(u32::to_string).collect::<Vec<_>>().join(".");
                (name.clone(), rest)
            }
            None => (oid.to_string(), String::new()),
        }
    }
}

/// The longest entry that begins `arcs`.
fn longest<'a, T>(table: &'a BTreeMap<Vec<u32>, T>, arcs: &[u32]) -> Option<(usize, &'a T)> {
    (1..=arcs.len()).rev().find_map(|length| table.get(&arcs[..length]).map(|found| (length, found)))
}

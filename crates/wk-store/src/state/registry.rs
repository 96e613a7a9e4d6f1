//! The registry: known assets, senders nobody can name, and the topology.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use serde::Serialize;
use wk_types::{Asset, AssetId, Topology, UtcMs};

use super::error::{Fault, StateError};
use super::{State, schema};

/// Most unknown senders kept; beyond it the one heard longest ago makes room.
pub const UNKNOWN_SENDERS_MAX: u64 = 1_000;
/// Longest text of an unknown sender or a reason in characters.
const TEXT_CHARS_MAX: usize = 512;
const META_TOPOLOGY: &str = "topology";
/// The ids of the assets that stand in the registry only because the configuration declares them.
const META_CONFIGURED: &str = "configured_assets";

/// Somebody who sends and cannot be attributed to an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnknownSender {
    /// What it calls itself, or its address.
    pub sender: String,
    /// Which source took it in.
    pub source: String,
    /// Why it could not be attributed, as last seen.
    pub reason: String,
    /// How many records came from it.
    pub count: u64,
    /// When it was first heard.
    pub first: UtcMs,
    /// When it was last heard.
    pub last: UtcMs,
}

impl State {
    /// All known assets, by id.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn assets(&self) -> Result<Vec<Asset>, StateError> {
        self.db().read("list the assets", |connection| {
            connection
                .prepare_cached("SELECT id, role, identifiers FROM assets ORDER BY id")?
                .query_and_then([], |row| {
                    let identifiers = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
                    Ok(Asset {
                        id: AssetId::from(row.get::<_, String>(0)?),
                        role: row.get(1)?,
                        identifiers: serde_json::from_str(identifiers)?,
                    })
                })?
                .collect()
        })
    }

    /// Writes an asset, in place of the one of the same id; from then on it stays whatever the configuration declares.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn upsert_asset(&self, asset: &Asset) -> Result<(), StateError> {
        self.db().write("write an asset", |transaction| {
            let mut configured = configured(transaction)?;
            if configured.remove(asset.id.as_str()) {
                set_configured(transaction, &configured)?;
            }
            write_asset(transaction, asset)
        })
    }

    /// Writes the assets that the configuration declares, and removes those that it declared at the last call and does
    /// no longer. An asset that also came in another way is kept, with what the configuration says of it. One
    /// transaction.
    ///
    /// # Errors
    /// A disk that cannot be written; nothing is changed then.
    pub fn assets_from_configuration(&self, assets: &[Asset]) -> Result<(), StateError> {
        self.db().write("write the configured assets", |transaction| {
            let before = configured(transaction)?;
            let mut now = BTreeSet::new();
            for asset in assets {
                let id = asset.id.as_str();
                if before.contains(id) || now.contains(id) || !is_registered(transaction, id)? {
                    now.insert(id.to_owned());
                }
                write_asset(transaction, asset)?;
            }
            for gone in before.difference(&now) {
                transaction.prepare_cached("DELETE FROM assets WHERE id = ?1")?.execute([gone])?;
            }
            set_configured(transaction, &now)
        })
    }

    /// Adds to what unknown senders have sent, all in one transaction.
    ///
    /// # Errors
    /// A disk that cannot be written; nothing is counted then.
    pub fn note_unknown_all(&self, seen: &[UnknownSender]) -> Result<(), StateError> {
        if seen.is_empty() {
            return Ok(());
        }
        self.db().write("note unknown senders", |transaction| {
            let mut add = transaction.prepare_cached(
                "INSERT INTO unknown_senders (sender, source, reason, count, first, last)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (sender, source) DO UPDATE SET reason = excluded.reason,
                   count = count + excluded.count, first = min(first, excluded.first),
                   last = max(last, excluded.last)",
            )?;
            for one in seen {
                add.execute(params![
                    shortened(&one.sender),
                    shortened(&one.source),
                    shortened(&one.reason),
                    one.count,
                    one.first.0,
                    one.last.0
                ])?;
            }
            let dropped = transaction
                .prepare_cached(
                    "DELETE FROM unknown_senders WHERE (sender, source) IN (
                       SELECT sender, source FROM unknown_senders ORDER BY last DESC LIMIT -1 OFFSET ?1)",
                )?
                .execute([UNKNOWN_SENDERS_MAX])?;
            Ok(schema::count(transaction, "unknown_senders_dropped", dropped as u64)?)
        })
    }

    /// The unknown senders, the last heard first.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn unknown_senders(&self) -> Result<Vec<UnknownSender>, StateError> {
        self.db().read("list the unknown senders", |connection| {
            connection
                .prepare_cached(
                    "SELECT sender, source, reason, count, first, last FROM unknown_senders
                     ORDER BY last DESC, sender, source",
                )?
                .query_and_then([], |row| {
                    Ok(UnknownSender {
                        sender: row.get(0)?,
                        source: row.get(1)?,
                        reason: row.get(2)?,
                        count: row.get(3)?,
                        first: UtcMs(row.get(4)?),
                        last: UtcMs(row.get(5)?),
                    })
                })?
                .collect()
        })
    }

    /// The topology declared last; empty where there is none.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn topology(&self) -> Result<Topology, StateError> {
        self.db().read("read the topology", |connection| match schema::meta(connection, META_TOPOLOGY)? {
            Some(text) => Ok(serde_json::from_str(&text)?),
            None => Ok(Topology::default()),
        })
    }

    /// Writes the topology, in place of the one before.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn set_topology(&self, topology: &Topology) -> Result<(), StateError> {
        self.db().write("write the topology", |transaction| {
            Ok(schema::set_meta(transaction, META_TOPOLOGY, &serde_json::to_string(topology)?)?)
        })
    }
}

/// The ids of [`META_CONFIGURED`].
fn configured(connection: &Connection) -> Result<BTreeSet<String>, Fault> {
    let text = schema::meta(connection, META_CONFIGURED)?;
    Ok(text.map_or_else(|| Ok(BTreeSet::new()), |text| serde_json::from_str(&text))?)
}

fn set_configured(connection: &Connection, ids: &BTreeSet<String>) -> Result<(), Fault> {
    Ok(schema::set_meta(connection, META_CONFIGURED, &serde_json::to_string(ids)?)?)
}

fn is_registered(connection: &Connection, id: &str) -> Result<bool, Fault> {
    Ok(connection.prepare_cached("SELECT 1 FROM assets WHERE id = ?1")?.exists([id])?)
}

fn write_asset(connection: &Connection, asset: &Asset) -> Result<(), Fault> {
    connection.prepare_cached("INSERT OR REPLACE INTO assets VALUES (?1, ?2, ?3)")?.execute(params![
        asset.id.as_str(),
        asset.role,
        serde_json::to_string(&asset.identifiers)?
    ])?;
    Ok(())
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;

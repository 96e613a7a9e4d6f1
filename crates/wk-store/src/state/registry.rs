//! The registry: known assets, senders nobody can name, and the topology.

use rusqlite::params;
use serde::Serialize;
use wk_types::{Asset, AssetId, Topology, UtcMs};

use super::error::StateError;
use super::{State, schema};

/// Most unknown senders kept; beyond it the one heard longest ago makes room.
pub const UNKNOWN_SENDERS_MAX: u64 = 1_000;
/// Longest text of an unknown sender or a reason in characters.
const TEXT_CHARS_MAX: usize = 512;
const META_TOPOLOGY: &str = "topology";

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

    /// Writes an asset, in place of the one of the same id.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn upsert_asset(&self, asset: &Asset) -> Result<(), StateError> {
        self.db().write("write an asset", |transaction| {
            transaction.prepare_cached("INSERT OR REPLACE INTO assets VALUES (?1, ?2, ?3)")?.execute(params![
                asset.id.as_str(),
                asset.role,
                serde_json::to_string(&asset.identifiers)?
            ])?;
            Ok(())
        })
    }

    /// Adds `count` records to what an unknown sender has sent. Callers gather counts first: each call is a
    /// transaction.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn note_unknown(&self, seen: &UnknownSender) -> Result<(), StateError> {
        self.db().write("note an unknown sender", |transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO unknown_senders (sender, source, reason, count, first, last)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (sender, source) DO UPDATE SET reason = excluded.reason,
                       count = count + excluded.count, first = min(first, excluded.first),
                       last = max(last, excluded.last)",
                )?
                .execute(params![
                    shortened(&seen.sender),
                    shortened(&seen.source),
                    shortened(&seen.reason),
                    seen.count,
                    seen.first.0,
                    seen.last.0
                ])?;
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

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;

//! The engine's saved state and the readers' cursors.

use rusqlite::{OptionalExtension as _, params};
use wk_types::Seq;

use super::error::StateError;
use super::{State, schema};

/// The only snapshot kept so far.
const ENGINE: &str = "engine";

impl State {
    /// Keeps the engine's saved state as of the intake record `seq`, in place of the one before.
    ///
    /// # Errors
    /// A disk that cannot be written; the snapshot before is kept then.
    pub fn save_snapshot(&self, seq: Seq, bytes: &[u8]) -> Result<(), StateError> {
        let digest = blake3::hash(bytes);
        self.db().write("save the engine's state", |transaction| {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO snapshots (name, seq, digest, bytes) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![ENGINE, seq.0, digest.as_bytes().as_slice(), bytes])?;
            Ok(())
        })
    }

    /// The engine's saved state and the record it stands at; `None` where there is none, or where its bytes are not
    /// what was saved (the engine then begins anew and the journal takes no fact twice).
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn snapshot(&self) -> Result<Option<(Seq, Vec<u8>)>, StateError> {
        let stored: Option<(u64, [u8; 32], Vec<u8>)> = self.db().read("read the engine's state", |connection| {
            Ok(connection
                .prepare_cached("SELECT seq, digest, bytes FROM snapshots WHERE name = ?1")?
                .query_row([ENGINE], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?)
        })?;
        let Some((seq, digest, bytes)) = stored else { return Ok(None) };
        if blake3::hash(&bytes) != digest {
            tracing::error!(seq, "saved engine state is damaged and is left aside");
            return Ok(None);
        }
        Ok(Some((Seq(seq), bytes)))
    }

    /// A reader's cursor; 0 where it has none yet.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn cursor(&self, name: &str) -> Result<u64, StateError> {
        self.db().read("read a cursor", |connection| Ok(schema::cursor(connection, name)?))
    }
}

//! Tokens for programs: random 256-bit secrets of which only the hash is stored.

use std::fmt;

use rusqlite::{OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use wk_types::{DurationMs, PersonRef, UtcMs};

use super::State;
use super::accounts::Role;
use super::error::{Fault, StateError};
use super::journal::{NewEvent, append_event};
use super::keys::{self, Secret};

/// What every token begins with, so that scanners for leaked secrets know it.
const PREFIX: &str = "wk_";
/// Use is noted this often at most, so that reading does not write each time.
const USED_STEP: DurationMs = DurationMs::from_hours(1);
/// Longest label in characters.
const LABEL_CHARS_MAX: usize = 100;

/// A token's id, by which it is listed and revoked; it is no secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(String);

impl TokenId {
    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for TokenId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// What is known about a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenInfo {
    /// Its id.
    pub id: TokenId,
    /// What its bearer may do.
    pub role: Role,
    /// What it is for.
    pub label: String,
    /// When it was made.
    pub created: UtcMs,
    /// When it was last used, to the hour.
    pub used: Option<UtcMs>,
    /// When it was revoked.
    pub revoked: Option<UtcMs>,
}

impl State {
    /// Makes a token and returns its id and its secret, which is not stored and cannot be had again.
    ///
    /// # Errors
    /// An overlong label, or a disk that cannot be written.
    pub fn create_token(
        &self,
        role: Role,
        label: &str,
        by: Option<&PersonRef>,
        now: UtcMs,
    ) -> Result<(TokenId, Secret), StateError> {
        if label.chars().count() > LABEL_CHARS_MAX || label.chars().any(char::is_control) {
            return Err(StateError::Invalid(format!("a label has at most {LABEL_CHARS_MAX} printable characters")));
        }
        let id = TokenId(format!("tok-{}", hex::encode(keys::random::<8>()?)));
        let secret = format!("{PREFIX}{}", hex::encode(keys::random::<32>()?));
        self.write_journal("make a token", |transaction, vessel| {
            transaction.execute(
                "INSERT INTO tokens (id, hash, role, label, created) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![id.as_str(), hash(&secret).as_slice(), role.as_str(), label, now.0],
            )?;
            let body = json!({ "token": id, "role": role });
            let event = NewEvent { kind: "token_created", key: &format!("token_created/{id}"), by, body: &body };
            append_event(transaction, vessel, &event, now)
        })?;
        Ok((id, Secret::new(secret)))
    }

    /// What a secret's bearer may do; `None` for an unknown or revoked one.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn token(&self, secret: &str, now: UtcMs) -> Result<Option<TokenInfo>, StateError> {
        let given = hash(secret);
        let found = self.db().read("look up a token", |connection| {
            let found: Option<(TokenInfo, [u8; 32])> = connection
                .prepare_cached(&format!("SELECT {COLUMNS}, hash FROM tokens WHERE hash = ?1 AND revoked IS NULL"))?
                .query_row([given.as_slice()], |row| Ok((read_token(row)?, row.get("hash")?)))
                .optional()?;
            Ok(found.filter(|(_, stored)| bool::from(stored.ct_eq(&given))).map(|(token, _)| token))
        })?;
        let is_stale = |token: &TokenInfo| token.used.is_none_or(|used| now.since(used) >= USED_STEP);
        if let Some(token) = found.as_ref().filter(|token| is_stale(token) && self.db().is_writable()) {
            let noted = self.db().write("note a token's use", |transaction| {
                transaction.execute("UPDATE tokens SET used = ?2 WHERE id = ?1", params![token.id.as_str(), now.0])?;
                Ok(())
            });
            // On a full disk telemetry must still come in.
            if let Err(error) = noted {
                tracing::warn!(%error, "use of a token could not be noted");
            }
        }
        Ok(found)
    }

    /// All tokens, oldest first, revoked ones included.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn tokens(&self) -> Result<Vec<TokenInfo>, StateError> {
        self.db().read("list the tokens", |connection| {
            connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM tokens ORDER BY created, id"))?
                .query_and_then([], |row| Ok(read_token(row)?))?
                .collect()
        })
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// A token that does not exist or is revoked already, or a disk that cannot be written.
    pub fn revoke_token(&self, id: &TokenId, by: Option<&PersonRef>, now: UtcMs) -> Result<(), StateError> {
        self.write_journal("revoke a token", |transaction, vessel| {
            let changed = transaction.execute(
                "UPDATE tokens SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL",
                params![id.as_str(), now.0],
            )?;
            if changed == 0 {
                return Err(Fault::from(StateError::NotFound(format!("there is no token {id} in force"))));
            }
            let body = json!({ "token": id });
            let event = NewEvent { kind: "token_revoked", key: &format!("token_revoked/{id}"), by, body: &body };
            append_event(transaction, vessel, &event, now)
        })?;
        Ok(())
    }
}

const COLUMNS: &str = "id, role, label, created, used, revoked";

fn read_token(row: &Row<'_>) -> rusqlite::Result<TokenInfo> {
    Ok(TokenInfo {
        id: TokenId(row.get(0)?),
        // A role this version does not know may do nothing more than write telemetry.
        role: row.get_ref(1)?.as_str()?.parse().unwrap_or(Role::Ingest),
        label: row.get(2)?,
        created: UtcMs(row.get(3)?),
        used: row.get::<_, Option<i64>>(4)?.map(UtcMs),
        revoked: row.get::<_, Option<i64>>(5)?.map(UtcMs),
    })
}

fn hash(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests;

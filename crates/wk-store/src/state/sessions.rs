//! Sessions: random 256-bit secrets of which only the hash is stored; they end when idle, and in any case in time.

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde_json::json;
use wk_types::{DurationMs, PersonRef, UtcMs};

use super::accounts::{Account, Attempt, account_named, account_of};
use super::error::{Fault, StateError};
use super::journal::{NewEvent, append_event};
use super::keys::{self, Secret};
use super::{State, people};

/// A session not used for this long has ended.
pub const SESSION_IDLE_MAX: DurationMs = DurationMs::from_hours(12);
/// A session ends this long after signing in, used or not.
pub const SESSION_MAX: DurationMs = DurationMs::from_hours(30 * 24);
/// Use is noted this often at most, so that reading does not write each time.
const SEEN_STEP: DurationMs = DurationMs::from_mins(5);
/// Sessions of one person at most; the one used longest ago ends first.
const SESSIONS_PER_PERSON_MAX: u64 = 20;

impl State {
    /// Begins a session for who knows the password.
    ///
    /// # Errors
    /// A wrong name or password (which of the two is not said), a name that has to wait after too many failures, or a
    /// disk that cannot be written.
    pub fn sign_in(&self, name: &str, password: &str, now: UtcMs) -> Result<Secret, StateError> {
        let wrong = || StateError::Denied("the name or the password is wrong".to_owned());
        let name = people::checked_name(name).map_err(|_| wrong())?;
        let found = self.db().read("sign in", |connection| Ok(account_named(connection, name)?))?;
        let stored = found.as_ref().map(|(_, hash)| hash.as_str());
        let attempt = self.gate().attempt(name, password, stored, now)?;
        match (attempt, found) {
            (Attempt::Right, Some((account, _))) => self.begin_session(&account.person, now),
            (Attempt::WrongAndBlocked, found) => {
                let person = found.map(|(account, _)| account.person);
                let key = format!("sign_in_blocked/{}", hex::encode(keys::random::<8>()?));
                let body = json!({ "person": person });
                self.record_event(&NewEvent { kind: "sign_in_blocked", key: &key, by: None, body: &body }, now)?;
                Err(wrong())
            }
            _ => Err(wrong()),
        }
    }

    fn begin_session(&self, person: &PersonRef, now: UtcMs) -> Result<Secret, StateError> {
        let secret = hex::encode(keys::random::<32>()?);
        let key = format!("signed_in/{}", hex::encode(keys::random::<8>()?));
        self.write_journal("sign in", |transaction, vessel| {
            end_expired(transaction, person, now)?;
            transaction.prepare_cached("INSERT INTO sessions VALUES (?1, ?2, ?3, ?3)")?.execute(params![
                hash(&secret).as_slice(),
                person.as_str(),
                now.0
            ])?;
            let body = json!({ "person": person });
            append_event(
                transaction,
                vessel,
                &NewEvent { kind: "signed_in", key: &key, by: Some(person), body: &body },
                now,
            )
        })?;
        Ok(Secret::new(secret))
    }

    /// The account a session belongs to; `None` where it has ended or never was.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn session(&self, secret: &str, now: UtcMs) -> Result<Option<Account>, StateError> {
        let hash = hash(secret);
        let found = self.db().read("look up a session", |connection| {
            let found: Option<(String, i64, i64)> = connection
                .prepare_cached("SELECT person, created, seen FROM sessions WHERE hash = ?1")?
                .query_row([hash.as_slice()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            let Some((person, created, seen)) = found else { return Ok(None) };
            if now.since(UtcMs(created)) >= SESSION_MAX || now.since(UtcMs(seen)) >= SESSION_IDLE_MAX {
                return Ok(None);
            }
            Ok(account_of(connection, &person)?.map(|account| (account, UtcMs(seen))))
        })?;
        let Some((account, seen)) = found else { return Ok(None) };
        if now.since(seen) >= SEEN_STEP && self.db().is_writable() {
            let noted = self.db().write("note a session's use", |transaction| {
                transaction
                    .prepare_cached("UPDATE sessions SET seen = ?2 WHERE hash = ?1")?
                    .execute(params![hash.as_slice(), now.0])?;
                Ok(())
            });
            // On a full disk people can still look; the session merely ends sooner.
            if let Err(error) = noted {
                tracing::warn!(%error, "use of a session could not be noted");
            }
        }
        Ok(Some(account))
    }

    /// Ends a session; one that is not there changes nothing.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn sign_out(&self, secret: &str) -> Result<(), StateError> {
        self.db().write("sign out", |transaction| {
            transaction.prepare_cached("DELETE FROM sessions WHERE hash = ?1")?.execute([hash(secret).as_slice()])?;
            Ok(())
        })
    }
}

fn end_expired(transaction: &Transaction<'_>, person: &PersonRef, now: UtcMs) -> Result<(), Fault> {
    transaction.execute(
        "DELETE FROM sessions WHERE created <= ?1 OR seen <= ?2",
        [(now - SESSION_MAX).0, (now - SESSION_IDLE_MAX).0],
    )?;
    transaction.execute(
        "DELETE FROM sessions WHERE hash IN (
           SELECT hash FROM sessions WHERE person = ?1 ORDER BY seen DESC LIMIT -1 OFFSET ?2)",
        params![person.as_str(), SESSIONS_PER_PERSON_MAX - 1],
    )?;
    Ok(())
}

fn hash(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests;

//! Personal data: names stand in one table under a salted hash, and only the hash goes anywhere else.
//!
//! Each person has a salt of their own that is erased with the name, so that afterwards not even somebody who guesses
//! the name can tell whose entries they are.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use wk_types::{PersonRef, UtcMs};

use super::accounts::refuse_last_admin;
use super::error::{Fault, StateError};
use super::journal::{NewEvent, append_event};
use super::{State, keys};

/// Longest name of a person or address in characters.
pub const NAME_CHARS_MAX: usize = 254;

impl State {
    /// The reference under which a name (or an address) may be written into the journal; a new name is kept.
    ///
    /// # Errors
    /// An empty or overlong name, or a disk that cannot be written.
    pub fn person(&self, name: &str) -> Result<PersonRef, StateError> {
        let name = checked_name(name)?;
        if let Some(known) = self.db().read("look up a person", |connection| Ok(find(connection, name)?))? {
            return Ok(known);
        }
        self.db().write("keep a person's name", |transaction| keep(transaction, name))
    }

    /// The name behind a reference; `None` where it was erased or never known.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn person_name(&self, person: &PersonRef) -> Result<Option<String>, StateError> {
        self.db().read("look up a person's name", |connection| Ok(name_of(connection, person)?))
    }

    /// Erases a person's name, account and sessions, and their address in finished mail; the journal keeps only the
    /// reference, which then leads nowhere.
    ///
    /// # Errors
    /// A person who is not known, or is the last administrator; a disk that cannot be written.
    pub fn erase_person(&self, person: &PersonRef, by: Option<&PersonRef>, now: UtcMs) -> Result<(), StateError> {
        self.write_journal("erase a person", |transaction, vessel| {
            let Some(name) = name_of(transaction, person)? else {
                return Err(StateError::NotFound(format!("nobody is known as {person}")).into());
            };
            refuse_last_admin(transaction, person)?;
            transaction.execute("DELETE FROM people WHERE ref = ?1", [person.as_str()])?;
            transaction.execute(
                "UPDATE messages SET recipient = 'erased' WHERE recipient = ?1 COLLATE NOCASE AND state <> 'queued'",
                [name],
            )?;
            let body = serde_json::json!({ "person": person });
            let event = NewEvent { kind: "person_erased", key: &format!("person_erased/{person}"), by, body: &body };
            append_event(transaction, vessel, &event, now)
        })?;
        self.empty_write_ahead_log()
    }

    /// Erased pages are overwritten in the database, but old copies may stand in the write-ahead log.
    fn empty_write_ahead_log(&self) -> Result<(), StateError> {
        let doing = "erase a person";
        let writer = self.db().writer(doing)?;
        writer
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|error| StateError::sqlite(doing, self.dir(), error))
    }
}

/// A name as it may be kept.
pub(super) fn checked_name(name: &str) -> Result<&str, StateError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(StateError::Invalid(format!("a name has 1 to {NAME_CHARS_MAX} printable characters")));
    }
    Ok(name)
}

/// The reference of a known name, in any case of its letters.
pub(super) fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<PersonRef>> {
    let found: Option<String> = connection
        .prepare_cached("SELECT ref FROM people WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(found.map(PersonRef::from))
}

/// The reference of a name, which is kept where it is new.
pub(super) fn keep(transaction: &Transaction<'_>, name: &str) -> Result<PersonRef, Fault> {
    if let Some(known) = find(transaction, name)? {
        return Ok(known);
    }
    let salt = keys::random::<32>()?;
    let digest = blake3::keyed_hash(&salt, name.to_lowercase().as_bytes());
    let person = PersonRef::from(format!("per-{}", &digest.to_hex()[..16]));
    transaction.prepare_cached("INSERT INTO people VALUES (?1, ?2, ?3)")?.execute(params![
        person.as_str(),
        name,
        salt.as_slice()
    ])?;
    Ok(person)
}

fn name_of(connection: &Connection, person: &PersonRef) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT name FROM people WHERE ref = ?1")?
        .query_row([person.as_str()], |row| row.get(0))
        .optional()
}

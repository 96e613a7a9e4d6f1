//! The journal: append-only, each entry's hash over the one before it and its own canonical text.
//!
//! The canonical text of an entry is the JSON object `{"entry":…,"recorded":…,"kind":…,"key":…,"by":…,"body":…}` in
//! this order and without spaces, `body` exactly as stored. An entry's hash is BLAKE3 over the 32 bytes of the hash
//! before it and the canonical text; the first one follows [`genesis`]. An auditor needs nothing else to check it.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde::{Deserialize as _, Serialize};
use wk_types::{Fact, IncidentId, PersonRef, Seq, UtcMs, VesselId};

use super::error::{Fault, StateError};
use super::head::{self, Head};
use super::{State, schema};

/// Most entries one read returns, whatever the caller asks for.
pub const JOURNAL_READ_MAX: usize = 10_000;
/// Longest body of an event in bytes.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

const COLUMNS: &str = "entry, recorded, kind, key, person, body, hash";

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JournalEntry {
    /// Its number, counted from 1.
    pub entry: u64,
    /// When it was written.
    pub recorded: UtcMs,
    /// What it is, such as `incident_opened` or `mail_delivered`.
    pub kind: String,
    /// The key under which it was taken at most once.
    pub key: String,
    /// Who did it, where it was a person.
    pub by: Option<PersonRef>,
    /// What it says.
    pub body: serde_json::Value,
    /// Its hash, 64 hexadecimal digits.
    pub hash: String,
}

impl JournalEntry {
    /// The engine's fact in this entry; `None` where the entry is an event.
    ///
    /// # Errors
    /// A body that is no fact of this version.
    pub fn fact(&self) -> Result<Option<Fact>, StateError> {
        if !self.key.starts_with("fact/") {
            return Ok(None);
        }
        Fact::deserialize(&self.body)
            .map(Some)
            .map_err(|source| StateError::Document { doing: "read a fact of the journal", source })
    }
}

/// Something that happened outside the engine, on its way into the journal.
#[derive(Debug, Clone, Copy)]
pub struct NewEvent<'a> {
    /// What it is, such as `config_changed`.
    pub kind: &'a str,
    /// The key under which it is taken at most once.
    pub key: &'a str,
    /// Who did it, where it was a person.
    pub by: Option<&'a PersonRef>,
    /// What it says; an `incident` in it puts the event on that incident's timeline.
    pub body: &'a serde_json::Value,
}

/// An entry on its way into the journal.
pub(super) struct NewEntry<'a> {
    pub recorded: UtcMs,
    pub kind: &'a str,
    pub key: &'a str,
    pub by: Option<&'a PersonRef>,
    pub body: &'a str,
}

/// What the first entry's hash follows: it ties the chain to one vessel.
pub(super) fn genesis(vessel: &VesselId) -> [u8; 32] {
    *blake3::hash(format!("watchkeeper journal 1 {vessel}").as_bytes()).as_bytes()
}

/// The hash of an entry that follows the hash `previous`.
pub(super) fn entry_hash(previous: &[u8; 32], entry: u64, new: &NewEntry<'_>) -> [u8; 32] {
    let json = |text: &str| serde_json::to_string(text).expect("a text is always JSON");
    let canonical = format!(
        "{{\"entry\":{entry},\"recorded\":{},\"kind\":{},\"key\":{},\"by\":{},\"body\":{}}}",
        new.recorded.0,
        json(new.kind),
        json(new.key),
        new.by.map_or_else(|| "null".to_owned(), |by| json(by.as_str())),
        new.body,
    );
    *blake3::Hasher::new().update(previous).update(canonical.as_bytes()).finalize().as_bytes()
}

/// The last entry's number and hash; 0 and the genesis for an empty journal.
pub(super) fn last(connection: &Connection, vessel: &VesselId) -> rusqlite::Result<(u64, [u8; 32])> {
    let last = connection
        .prepare_cached("SELECT entry, hash FROM journal ORDER BY entry DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(last.unwrap_or_else(|| (0, genesis(vessel))))
}

/// The hash of one entry; `None` where there is no such entry, the genesis for entry 0.
pub(super) fn hash_at(connection: &Connection, vessel: &VesselId, entry: u64) -> rusqlite::Result<Option<[u8; 32]>> {
    if entry == 0 {
        return Ok(Some(genesis(vessel)));
    }
    connection
        .prepare_cached("SELECT hash FROM journal WHERE entry = ?1")?
        .query_row([entry], |row| row.get(0))
        .optional()
}

/// Appends an entry unless one with its key stands already; returns the number of a new entry.
pub(super) fn append(
    transaction: &Transaction<'_>,
    vessel: &VesselId,
    new: &NewEntry<'_>,
) -> rusqlite::Result<Option<u64>> {
    let stands = transaction.prepare_cached("SELECT 1 FROM journal WHERE key = ?1")?.exists([new.key])?;
    if stands {
        return Ok(None);
    }
    let (last, previous) = last(transaction, vessel)?;
    let entry = last + 1;
    let hash = entry_hash(&previous, entry, new);
    transaction
        .prepare_cached(
            "INSERT INTO journal (entry, recorded, kind, key, person, body, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            entry,
            new.recorded.0,
            new.kind,
            new.key,
            new.by.map(PersonRef::as_str),
            new.body,
            hash.as_slice()
        ])?;
    Ok(Some(entry))
}

/// Appends an event inside the caller's transaction; one that names an incident enters that incident's timeline.
pub(super) fn append_event(
    transaction: &Transaction<'_>,
    vessel: &VesselId,
    event: &NewEvent<'_>,
    now: UtcMs,
) -> Result<(), Fault> {
    let body = serde_json::to_string(event.body)?;
    if body.len() > EVENT_BYTES_MAX {
        let what = format!("an event has {} bytes, at most {EVENT_BYTES_MAX} are kept", body.len());
        return Err(StateError::Invalid(what).into());
    }
    let new = NewEntry { recorded: now, kind: event.kind, key: event.key, by: event.by, body: &body };
    let incident = event.body.get("incident").and_then(serde_json::Value::as_str);
    if let (Some(entry), Some(incident)) = (append(transaction, vessel, &new)?, incident) {
        concerns(transaction, incident, entry)?;
    }
    Ok(())
}

/// Notes that an entry belongs to an incident's timeline.
pub(super) fn concerns(transaction: &Transaction<'_>, incident: &str, entry: u64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO journal_incidents VALUES (?1, ?2)")?
        .execute(params![incident, entry])?;
    Ok(())
}

fn read_entry(row: &Row<'_>) -> Result<JournalEntry, Fault> {
    Ok(JournalEntry {
        entry: row.get(0)?,
        recorded: UtcMs(row.get(1)?),
        kind: row.get(2)?,
        key: row.get(3)?,
        by: row.get::<_, Option<String>>(4)?.map(PersonRef::from),
        body: serde_json::from_str(row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?)?,
        hash: hex::encode(row.get_ref(6)?.as_blob().map_err(rusqlite::Error::from)?),
    })
}

/// The newest entries of an incident's timeline, oldest first.
pub(super) fn timeline(
    connection: &Connection,
    incident: &IncidentId,
    limit: usize,
) -> Result<Vec<JournalEntry>, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM journal JOIN journal_incidents USING (entry)
         WHERE incident = ?1 ORDER BY entry DESC LIMIT ?2"
    ))?;
    let mut entries =
        statement.query_and_then(params![incident.as_str(), limit], read_entry)?.collect::<Result<Vec<_>, Fault>>()?;
    entries.reverse();
    Ok(entries)
}

impl State {
    /// Writes an event and returns the journal's last entry number; an event whose key stands already changes nothing.
    ///
    /// Signing in, accounts, tokens, erasures and deliveries are written by the calls that do them.
    ///
    /// # Errors
    /// A body over [`EVENT_BYTES_MAX`], an empty kind or key, a key that begins with `fact/`, or a disk that cannot be
    /// written.
    pub fn record_event(&self, event: &NewEvent<'_>, now: UtcMs) -> Result<u64, StateError> {
        let NewEvent { kind, key, .. } = event;
        if kind.is_empty() || key.is_empty() || key.starts_with("fact/") {
            return Err(StateError::Invalid(format!("an event cannot have the kind {kind:?} and the key {key:?}")));
        }
        self.write_journal("record an event", |transaction, vessel| append_event(transaction, vessel, event, now))
    }

    /// Up to `limit` entries after `entry`, oldest first, at most [`JOURNAL_READ_MAX`].
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn journal_after(&self, entry: u64, limit: usize) -> Result<Vec<JournalEntry>, StateError> {
        self.db().read("read the journal", |connection| {
            connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM journal WHERE entry > ?1 ORDER BY entry LIMIT ?2"))?
                .query_and_then(params![entry, limit.min(JOURNAL_READ_MAX)], read_entry)?
                .collect()
        })
    }

    /// The latest `limit` entries, newest first, of one kind and since one time where these are given.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn journal_latest(
        &self,
        kind: Option<&str>,
        since: Option<UtcMs>,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StateError> {
        self.db().read("read the journal", |connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM journal
                     WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR recorded >= ?2)
                     ORDER BY entry DESC LIMIT ?3"
                ))?
                .query_and_then(params![kind, since.map(|time| time.0), limit.min(JOURNAL_READ_MAX)], read_entry)?
                .collect()
        })
    }

    /// The facts that one intake record led to, in order.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn facts_of(&self, input: Seq) -> Result<Vec<JournalEntry>, StateError> {
        self.db().read("read the journal", |connection| {
            // Every key of the record lies between these two: '0' is the character after '/'.
            let keys = [format!("fact/{}/", input.0), format!("fact/{}0", input.0)];
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM journal WHERE key >= ?1 AND key < ?2 ORDER BY entry LIMIT ?3"
                ))?
                .query_and_then(params![keys[0], keys[1], JOURNAL_READ_MAX], read_entry)?
                .collect()
        })
    }

    /// Signs the journal's head if entries were written since the last time, in the database and in `journal.head`.
    ///
    /// # Errors
    /// A disk that cannot be written; the next call tries again.
    pub fn seal(&self, now: UtcMs) -> Result<(), StateError> {
        let Some(key) = self.key() else { return Err(self.not_writable("seal the journal")) };
        let vessel = self.vessel();
        let (last, last_hash) = self.db().read("seal the journal", |connection| Ok(last(connection, &vessel)?))?;
        let mut written = self.head_written();
        if *written == Some(last) {
            return Ok(());
        }
        let head = Head::sign(&vessel, last, &last_hash, key);
        if last > 0 {
            self.db().write("seal the journal", |transaction| {
                transaction.prepare_cached("INSERT OR IGNORE INTO seals VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                    last,
                    now.0,
                    head.hash,
                    head.signature
                ])?;
                Ok(())
            })?;
        }
        head::write(self.dir(), &head)?;
        *written = Some(last);
        Ok(())
    }

    /// The journal's signed head as it stands, to be carried elsewhere as a witness.
    ///
    /// # Errors
    /// A database that cannot be read, or one opened for reading only whose key file is not there.
    pub fn head(&self) -> Result<Head, StateError> {
        let Some(key) = self.key() else { return Err(self.not_writable("sign the journal's head")) };
        let vessel = self.vessel();
        let (entries, hash) = self.db().read("read the journal's head", |connection| Ok(last(connection, &vessel)?))?;
        Ok(Head::sign(&vessel, entries, &hash, key))
    }

    /// Moves a reader's cursor over the journal forward; it never moves back.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn advance_cursor(&self, name: &str, position: u64) -> Result<(), StateError> {
        self.db().write("move a cursor", |transaction| Ok(schema::advance(transaction, name, position)?))
    }
}

#[cfg(test)]
mod tests;

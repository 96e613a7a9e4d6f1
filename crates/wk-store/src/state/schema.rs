//! The schema, its number, and how an older one is brought up to date.

use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::error::{Fault, StateError};

/// The newest schema this version knows; one more than the last step in [`STEPS`] is never written.
pub(super) const SCHEMA: u32 = STEPS.len() as u32;

/// Marks the file as Watchkeeper's state ("WkSt"), so that `file` and other tools can tell.
const APPLICATION_ID: i32 = 0x576b_5374;

/// Step `n` brings schema `n` to `n + 1`. Steps are never edited once released.
const STEPS: &[&str] = &[STEP_1];

const STEP_1: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE cursors (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots (
  name TEXT PRIMARY KEY, seq INTEGER NOT NULL, digest BLOB NOT NULL, bytes BLOB NOT NULL
) STRICT;

CREATE TABLE journal (
  entry INTEGER PRIMARY KEY,
  recorded INTEGER NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL UNIQUE,
  person TEXT,
  body TEXT NOT NULL,
  hash BLOB NOT NULL
) STRICT;
CREATE TABLE seals (
  entry INTEGER PRIMARY KEY, sealed INTEGER NOT NULL, hash TEXT NOT NULL, signature TEXT NOT NULL
) STRICT;
CREATE TABLE journal_incidents (
  incident TEXT NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY (incident, entry)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER journal_grows BEFORE INSERT ON journal
  WHEN NEW.entry IS NOT (SELECT coalesce(max(entry), 0) + 1 FROM journal)
  BEGIN SELECT raise(ABORT, 'the journal only grows at its end'); END;
CREATE TRIGGER journal_keeps BEFORE DELETE ON journal
  BEGIN SELECT raise(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_stands BEFORE UPDATE ON journal
  BEGIN SELECT raise(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER seals_keep BEFORE DELETE ON seals
  BEGIN SELECT raise(ABORT, 'seals are append-only'); END;
CREATE TRIGGER seals_stand BEFORE UPDATE ON seals
  BEGIN SELECT raise(ABORT, 'seals are append-only'); END;

CREATE TABLE incidents (
  id TEXT PRIMARY KEY,
  number INTEGER NOT NULL,
  state TEXT NOT NULL,
  severity TEXT NOT NULL,
  title TEXT NOT NULL,
  opened INTEGER NOT NULL,
  acknowledged INTEGER,
  resolved INTEGER,
  assets TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX incidents_by_state ON incidents (state, number);
CREATE INDEX incidents_by_number ON incidents (number);
CREATE TABLE signals (
  id TEXT PRIMARY KEY,
  incident TEXT,
  asset TEXT NOT NULL,
  rule_kind TEXT NOT NULL,
  rule TEXT NOT NULL,
  metric TEXT NOT NULL,
  severity TEXT NOT NULL,
  title TEXT NOT NULL,
  score REAL NOT NULL,
  started INTEGER NOT NULL,
  raised INTEGER NOT NULL,
  ended INTEGER,
  ended_why TEXT,
  entry INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX signals_by_incident ON signals (incident, raised);
CREATE INDEX signals_by_raised ON signals (raised);
CREATE TABLE because (
  incident TEXT NOT NULL,
  signal TEXT NOT NULL,
  entry INTEGER NOT NULL,
  rule TEXT NOT NULL,
  text TEXT NOT NULL,
  against TEXT NOT NULL,
  PRIMARY KEY (incident, signal)
) STRICT, WITHOUT ROWID;

CREATE TABLE assets (id TEXT PRIMARY KEY, role TEXT NOT NULL, identifiers TEXT NOT NULL) STRICT;
CREATE TABLE unknown_senders (
  sender TEXT NOT NULL,
  source TEXT NOT NULL,
  reason TEXT NOT NULL,
  count INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (sender, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX unknown_senders_by_last ON unknown_senders (last);

CREATE TABLE people (
  ref TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, salt BLOB NOT NULL
) STRICT;
CREATE TABLE accounts (
  person TEXT PRIMARY KEY REFERENCES people (ref) ON DELETE CASCADE,
  role TEXT NOT NULL,
  password TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT;
CREATE TABLE sessions (
  hash BLOB PRIMARY KEY,
  person TEXT NOT NULL REFERENCES accounts (person) ON DELETE CASCADE,
  created INTEGER NOT NULL,
  seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_person ON sessions (person, seen);
CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  role TEXT NOT NULL,
  label TEXT NOT NULL,
  created INTEGER NOT NULL,
  used INTEGER,
  revoked INTEGER
) STRICT;

CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL UNIQUE,
  recipient TEXT NOT NULL,
  subject TEXT NOT NULL,
  body TEXT NOT NULL,
  severity TEXT NOT NULL,
  class TEXT NOT NULL,
  incident TEXT,
  message_id TEXT NOT NULL,
  in_reply_to TEXT,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL,
  next_attempt INTEGER NOT NULL,
  error TEXT,
  finished INTEGER,
  receipt TEXT,
  superseded_by TEXT
) STRICT;
CREATE INDEX messages_by_state ON messages (state, next_attempt);
CREATE INDEX messages_by_incident ON messages (incident, state);

CREATE VIEW v_incidents AS SELECT id, state, severity, title,
  strftime('%Y-%m-%d %H:%M:%S', opened / 1000, 'unixepoch') || printf('.%03d', opened % 1000) AS opened,
  strftime('%Y-%m-%d %H:%M:%S', acknowledged / 1000, 'unixepoch') || printf('.%03d', acknowledged % 1000) AS acknowledged,
  strftime('%Y-%m-%d %H:%M:%S', resolved / 1000, 'unixepoch') || printf('.%03d', resolved % 1000) AS resolved,
  assets FROM incidents;
CREATE VIEW v_signals AS SELECT id, incident, asset, rule, rule_kind AS kind, metric, severity, title, score,
  strftime('%Y-%m-%d %H:%M:%S', started / 1000, 'unixepoch') || printf('.%03d', started % 1000) AS started,
  strftime('%Y-%m-%d %H:%M:%S', raised / 1000, 'unixepoch') || printf('.%03d', raised % 1000) AS raised,
  strftime('%Y-%m-%d %H:%M:%S', ended / 1000, 'unixepoch') || printf('.%03d', ended % 1000) AS ended
  FROM signals;
CREATE VIEW v_assets AS SELECT id, role, identifiers FROM assets;
";

/// The database's schema number; 0 for an empty file.
pub(super) fn found(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Refuses a schema newer than ours.
pub(super) fn refuse_newer(found: u32) -> Result<(), StateError> {
    if found > SCHEMA { Err(StateError::Newer { found, known: SCHEMA }) } else { Ok(()) }
}

/// Brings the schema up to date inside the caller's transaction.
pub(super) fn migrate(transaction: &Transaction<'_>) -> Result<(), Fault> {
    let found = found(transaction)?;
    refuse_newer(found)?;
    for step in STEPS.iter().skip(found as usize) {
        transaction.execute_batch(step)?;
    }
    if found < SCHEMA {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA)?;
    }
    Ok(())
}

/// A value of the `meta` table.
pub(super) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
}

/// Sets a value of the `meta` table.
pub(super) fn set_meta(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")?
        .execute([name, value])?;
    Ok(())
}

/// A reader's cursor; 0 where it has none yet.
pub(super) fn cursor(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let position = connection
        .prepare_cached("SELECT position FROM cursors WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(position.unwrap_or(0))
}

/// Moves a reader's cursor forward; it never moves back.
pub(super) fn advance(connection: &Connection, name: &str, position: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO cursors VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET position = max(position, excluded.position)",
        )?
        .execute(rusqlite::params![name, position])?;
    Ok(())
}

/// Adds to a named counter.
pub(super) fn count(connection: &Connection, name: &str, more: u64) -> rusqlite::Result<()> {
    if more > 0 {
        connection
            .prepare_cached(
                "INSERT INTO counters VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            )?
            .execute(rusqlite::params![name, more])?;
    }
    Ok(())
}

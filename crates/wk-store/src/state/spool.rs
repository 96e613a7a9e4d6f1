//! The mail spool and its ledger: what is to be told to whom, and the proof of each delivery.

mod message;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde_json::json;
use wk_types::{DurationMs, IncidentId, UtcMs};

pub use message::{Message, MessageClass, MessageFilter, MessageState, NewMessage, SpoolBatch, SpoolCounts, SpoolId};

use super::error::{Fault, StateError};
use super::journal::{NewEvent, append_event};
use super::projections::{ROWS_MAX, severity_of};
use super::{State, people, schema};

/// Most messages that wait; beyond it the reader's cursor stays where it is, so that nothing is lost.
pub const QUEUED_MAX: u64 = 10_000;
/// Longest body of a message in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The longest a message waits between two attempts.
pub const RETRY_WAIT_MAX: DurationMs = DurationMs::from_mins(15);
/// Finished messages kept for the ledger; their deliveries stay in the journal for good.
const FINISHED_KEPT: u64 = 10_000;
/// Longest error or receipt kept, in characters.
const REPLY_CHARS_MAX: usize = 1_000;

const UNTOLD: &str = "notify_untold";

impl State {
    /// Puts messages into the spool and moves the reader's cursor in one transaction; a message whose key is known, and
    /// a batch the cursor has passed, change nothing. Returns how many are new.
    ///
    /// # Errors
    /// More than [`QUEUED_MAX`] waiting, a body over [`MESSAGE_BYTES_MAX`], or a disk that cannot be written; nothing
    /// is changed then, the cursor included.
    pub fn spool(&self, batch: &SpoolBatch, now: UtcMs) -> Result<u64, StateError> {
        self.db().write("write the mail spool", |transaction| {
            if schema::cursor(transaction, &batch.reader)? >= batch.upto_entry {
                return Ok(0);
            }
            let queued = queued(transaction)?;
            if !batch.messages.is_empty() && queued + batch.messages.len() as u64 > QUEUED_MAX {
                return Err(StateError::SpoolFull { queued }.into());
            }
            let mut new = 0;
            for message in &batch.messages {
                new += u64::from(enqueue(transaction, message, now)?);
            }
            schema::count(transaction, UNTOLD, batch.untold)?;
            schema::advance(transaction, &batch.reader, batch.upto_entry)?;
            Ok(new)
        })
    }

    /// The waiting messages that may be tried now, oldest first. One that seems to wait for longer than
    /// [`RETRY_WAIT_MAX`] is due as well: the clock was set back meanwhile.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn due_messages(&self, now: UtcMs, limit: usize) -> Result<Vec<Message>, StateError> {
        self.db().read("read the mail spool", |connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM messages WHERE state = 'queued' AND (next_attempt <= ?1 OR next_attempt > ?2)
                     ORDER BY id LIMIT ?3"
                ))?
                .query_and_then(params![now.0, (now + RETRY_WAIT_MAX).0, limit.min(ROWS_MAX)], |row| {
                    Ok(read_message(row)?)
                })?
                .collect()
        })
    }

    /// When the next waiting message may be tried; `None` where none waits.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn next_due(&self) -> Result<Option<UtcMs>, StateError> {
        self.db().read("read the mail spool", |connection| {
            let next: Option<i64> = connection
                .prepare_cached("SELECT min(next_attempt) FROM messages WHERE state = 'queued'")?
                .query_row([], |row| row.get(0))?;
            Ok(next.map(UtcMs))
        })
    }

    /// Lets every waiting message be tried at once, such as when the way out has come back or was set anew.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn retry_queued_now(&self, now: UtcMs) -> Result<u64, StateError> {
        self.db().write("write the mail spool", |transaction| {
            let changed = transaction.execute(
                "UPDATE messages SET next_attempt = ?1 WHERE state = 'queued' AND next_attempt > ?1",
                [now.0],
            )?;
            Ok(changed as u64)
        })
    }

    /// Notes that a message was taken by the next station and what it said, in the ledger and in the journal.
    ///
    /// # Errors
    /// An unknown message, or a disk that cannot be written.
    pub fn message_delivered(&self, id: SpoolId, receipt: &str, now: UtcMs) -> Result<(), StateError> {
        let receipt = shortened(receipt);
        self.write_journal("note a delivery", |transaction, vessel| {
            let message = message(transaction, id)?;
            transaction.execute(
                "UPDATE messages SET state = 'delivered', attempts = attempts + 1, finished = ?2, receipt = ?3,
                   error = NULL WHERE id = ?1",
                params![id.0, now.0, receipt],
            )?;
            finish(transaction, vessel, &message, ("mail_delivered", &receipt), now)
        })?;
        Ok(())
    }

    /// Notes a failed attempt: the message waits until `next_attempt`, at most [`RETRY_WAIT_MAX`], or with `None` is
    /// given up and shown.
    ///
    /// # Errors
    /// An unknown message, or a disk that cannot be written.
    pub fn message_failed(
        &self,
        id: SpoolId,
        error: &str,
        next_attempt: Option<UtcMs>,
        now: UtcMs,
    ) -> Result<(), StateError> {
        let error = shortened(error);
        self.write_journal("note a failed delivery", |transaction, vessel| {
            let message = message(transaction, id)?;
            transaction.execute(
                "UPDATE messages SET attempts = attempts + 1, error = ?2, next_attempt = coalesce(?3, next_attempt)
                 WHERE id = ?1",
                params![id.0, error, next_attempt.map(|at| at.min(now + RETRY_WAIT_MAX).0)],
            )?;
            if next_attempt.is_some() {
                return Ok(());
            }
            let changed = transaction.execute(
                "UPDATE messages SET state = 'dead', finished = ?2 WHERE id = ?1 AND state = 'queued'",
                params![id.0, now.0],
            )?;
            if changed == 0 { Ok(()) } else { finish(transaction, vessel, &message, ("mail_dead", &error), now) }
        })?;
        Ok(())
    }

    /// Puts a message that was given up back among the waiting ones.
    ///
    /// # Errors
    /// A message that was not given up, or a disk that cannot be written.
    pub fn requeue_message(&self, id: SpoolId, now: UtcMs) -> Result<(), StateError> {
        self.db().write("write the mail spool", |transaction| {
            let changed = transaction.execute(
                "UPDATE messages SET state = 'queued', next_attempt = ?2, finished = NULL WHERE id = ?1 AND state = 'dead'",
                params![id.0, now.0],
            )?;
            if changed == 0 {
                return Err(StateError::NotFound(format!("no message {id} was given up")).into());
            }
            Ok(())
        })
    }

    /// The messages that pass the filter, newest first.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn messages(&self, filter: &MessageFilter) -> Result<Vec<Message>, StateError> {
        let limit = if filter.limit == 0 { ROWS_MAX } else { filter.limit.min(ROWS_MAX) };
        self.db().read("list the mail spool", |connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM messages
                     WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR incident = ?2) ORDER BY id DESC LIMIT ?3"
                ))?
                .query_and_then(
                    params![
                        filter.state.map(MessageState::as_str),
                        filter.incident.as_ref().map(IncidentId::as_str),
                        limit
                    ],
                    |row| Ok(read_message(row)?),
                )?
                .collect()
        })
    }

    /// How the spool stands.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn spool_counts(&self) -> Result<SpoolCounts, StateError> {
        self.db().read("count the mail spool", |connection| {
            let untold: Option<u64> = connection
                .prepare_cached("SELECT value FROM counters WHERE name = ?1")?
                .query_row([UNTOLD], |row| row.get(0))
                .optional()?;
            let counts = connection
                .prepare_cached(
                    "SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'delivered'),
                       count(*) FILTER (WHERE state = 'dead'), count(*) FILTER (WHERE state = 'superseded'),
                       min(created) FILTER (WHERE state = 'queued') FROM messages",
                )?
                .query_row([], |row| {
                    Ok(SpoolCounts {
                        queued: row.get(0)?,
                        delivered: row.get(1)?,
                        dead: row.get(2)?,
                        superseded: row.get(3)?,
                        oldest_queued: row.get::<_, Option<i64>>(4)?.map(UtcMs),
                        untold: untold.unwrap_or(0),
                    })
                })?;
            Ok(counts)
        })
    }
}

const COLUMNS: &str = "id, key, recipient, subject, body, severity, class, incident, message_id, in_reply_to, state, \
                       attempts, created, next_attempt, error, finished, receipt";

fn read_message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        id: SpoolId(row.get(0)?),
        key: row.get(1)?,
        recipient: row.get(2)?,
        subject: row.get(3)?,
        body: row.get(4)?,
        severity: severity_of(row.get_ref(5)?.as_str()?),
        class: match row.get_ref(6)?.as_str()? {
            "recovery" => MessageClass::Recovery,
            _ => MessageClass::Alert,
        },
        incident: row.get::<_, Option<String>>(7)?.map(IncidentId::from),
        message_id: row.get(8)?,
        in_reply_to: row.get(9)?,
        state: match row.get_ref(10)?.as_str()? {
            "delivered" => MessageState::Delivered,
            "dead" => MessageState::Dead,
            "superseded" => MessageState::Superseded,
            _ => MessageState::Queued,
        },
        attempts: row.get(11)?,
        created: UtcMs(row.get(12)?),
        next_attempt: UtcMs(row.get(13)?),
        error: row.get(14)?,
        finished: row.get::<_, Option<i64>>(15)?.map(UtcMs),
        receipt: row.get(16)?,
    })
}

fn queued(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT count(*) FROM messages WHERE state = 'queued'")?.query_row([], |row| row.get(0))
}

fn message(connection: &Connection, id: SpoolId) -> Result<Message, Fault> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM messages WHERE id = ?1"))?
        .query_row([id.0], read_message)
        .optional()?;
    found.ok_or_else(|| StateError::NotFound(format!("there is no message {id}")).into())
}

/// Adds a message unless its key is known; what it supersedes stops waiting in the same transaction.
fn enqueue(transaction: &Transaction<'_>, message: &NewMessage, now: UtcMs) -> Result<bool, Fault> {
    if message.body.len() > MESSAGE_BYTES_MAX {
        let what = format!("a message has {} bytes, at most {MESSAGE_BYTES_MAX} are sent", message.body.len());
        return Err(StateError::Invalid(what).into());
    }
    let new = transaction
        .prepare_cached(
            "INSERT INTO messages (key, recipient, subject, body, severity, class, incident, message_id, in_reply_to,
               state, created, next_attempt)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'queued', ?10, ?10) ON CONFLICT (key) DO NOTHING",
        )?
        .execute(params![
            message.key,
            message.recipient,
            message.subject,
            message.body,
            message.severity.as_str(),
            message.class.as_str(),
            message.incident.as_ref().map(IncidentId::as_str),
            message.message_id,
            message.in_reply_to,
            now.0
        ])?;
    if new == 0 {
        return Ok(false);
    }
    for old in &message.supersedes {
        transaction
            .prepare_cached(
                "UPDATE messages SET state = 'superseded', finished = ?2, superseded_by = ?3
                 WHERE id = ?1 AND state = 'queued'",
            )?
            .execute(params![old.0, now.0, message.key])?;
    }
    Ok(true)
}

/// Writes the end of a message into the journal and lets the oldest finished ones go.
fn finish(
    transaction: &Transaction<'_>,
    vessel: &wk_types::VesselId,
    message: &Message,
    (kind, said): (&str, &str),
    now: UtcMs,
) -> Result<(), Fault> {
    let recipient = people::keep(transaction, people::checked_name(&message.recipient)?)?;
    let body = json!({
        "message": message.key,
        "message_id": message.message_id,
        "incident": message.incident,
        "recipient": recipient,
        "attempts": message.attempts + 1,
        "subject": message.subject,
        // The address itself is personal data, which never enters the journal.
        "said": said.replace(&message.recipient, recipient.as_str()),
    });
    let key = format!("{kind}/{}/{}", message.key, message.attempts + 1);
    append_event(transaction, vessel, &NewEvent { kind, key: &key, by: None, body: &body }, now)?;
    transaction
        .prepare_cached(
            "DELETE FROM messages WHERE id IN (
               SELECT id FROM messages WHERE state IN ('delivered', 'superseded') ORDER BY id DESC LIMIT -1 OFFSET ?1)",
        )?
        .execute([FINISHED_KEPT])?;
    Ok(())
}

fn shortened(text: &str) -> String {
    text.chars().take(REPLY_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;

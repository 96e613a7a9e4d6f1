//! What the node knows beside telemetry: journal, incidents, assets, accounts and the mail spool, in one SQLite file
//! (`state.db`) with one writer, on disk at every return.
//!
//! Beside it lie `node.key` (the signing key, readable by its owner only) and `journal.head` (the last signed head of
//! the journal). That two processes never write one data folder is the caller's to ensure; here each transaction
//! stands on what is stored, so that even then the chain of the journal stays whole.

mod accounts;
mod db;
mod engine;
mod error;
mod head;
mod journal;
mod keys;
mod people;
mod projections;
mod registry;
mod schema;
mod sessions;
mod spool;
mod tokens;
mod verify;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ed25519_dalek::SigningKey;
use rusqlite::Transaction;
use serde_json::json;
use wk_types::{UtcMs, VesselId};

pub use accounts::{Account, NewAccount, PASSWORD_CHARS_MIN, Role, SETUP_TOKEN_VALID};
pub use error::StateError;
pub use head::{HEAD_FORMAT, Head};
pub use journal::{EVENT_BYTES_MAX, JOURNAL_READ_MAX, JournalEntry, NewEvent};
pub use keys::Secret;
pub use people::NAME_CHARS_MAX;
pub use projections::{
    INCIDENT_SIGNALS_MAX, IncidentDetail, IncidentFilter, ROWS_MAX, SignalFilter, TIMELINE_ENTRIES_MAX,
};
pub use registry::{UNKNOWN_SENDERS_MAX, UnknownSender};
pub use sessions::{SESSION_IDLE_MAX, SESSION_MAX};
pub use spool::{
    MESSAGE_BYTES_MAX, Message, MessageClass, MessageFilter, MessageState, NewMessage, QUEUED_MAX, RETRY_WAIT_MAX,
    SpoolBatch, SpoolCounts, SpoolId,
};
pub use tokens::{TokenId, TokenInfo};
pub use verify::{Finding, FindingKind, VerifyReport, verify_journal};

use db::Db;
use error::Fault;
use head::HeadFile;

/// The database's file in the data folder.
pub const STATE_FILE: &str = "state.db";

const META_VESSEL: &str = "vessel";
const META_PUBLIC_KEY: &str = "public_key";

type Listener = Box<dyn Fn(u64) + Send + Sync>;

/// A node's state; cheap to clone, safe to share between threads.
#[derive(Clone)]
pub struct State(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    db: Db,
    vessel: VesselId,
    key: Option<SigningKey>,
    /// Up to which entry `journal.head` is known to reach.
    head_written: Mutex<Option<u64>>,
    listeners: RwLock<Vec<Listener>>,
    gate: accounts::Gate,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("dir", &self.0.dir).field("vessel", &self.0.vessel).finish_non_exhaustive()
    }
}

impl State {
    /// Opens the state in the folder `dir`, which must exist; at first start makes vessel id, node key and schema.
    ///
    /// The journal is not verified here, but a `journal.head` that contradicts it is put aside as evidence and said in
    /// the journal.
    ///
    /// # Errors
    /// A newer schema (nothing is changed then), a missing or foreign node key, or a disk that cannot be written.
    pub fn open(dir: &Path, now: UtcMs) -> Result<Self, StateError> {
        let db = Db::open(dir.join(STATE_FILE))?;
        let first_start = db.read("open the state", |connection| {
            let found = schema::found(connection)?;
            schema::refuse_newer(found)?;
            Ok(found == 0)
        })?;
        let key = match keys::load(dir)? {
            Some(key) => key,
            None if first_start => keys::create(dir)?,
            None => return Err(StateError::Key { path: keys::key_path(dir), what: "is missing" }),
        };
        let public_key = hex::encode(key.verifying_key().to_bytes());
        let new_vessel = format!("vessel-{}", hex::encode(keys::random::<8>()?));
        let vessel = db.write("open the state", |transaction| {
            schema::migrate(transaction)?;
            if schema::meta(transaction, META_VESSEL)?.is_none() {
                schema::set_meta(transaction, META_VESSEL, &new_vessel)?;
                schema::set_meta(transaction, META_PUBLIC_KEY, &public_key)?;
            }
            if schema::meta(transaction, META_PUBLIC_KEY)?.as_ref() != Some(&public_key) {
                let what = "does not belong to this state";
                return Err(StateError::Key { path: keys::key_path(dir), what }.into());
            }
            Ok(schema::meta(transaction, META_VESSEL)?.unwrap_or(new_vessel))
        })?;
        let state = Self::assemble(dir, db, VesselId::from(vessel), Some(key));
        state.reconcile_head(first_start, now)?;
        Ok(state)
    }

    /// Opens an existing state for reading only, whether its node is up or down; whatever writes fails with a hint.
    ///
    /// # Errors
    /// No state in the folder, a newer schema, or files that cannot be read.
    pub fn open_read_only(dir: &Path) -> Result<Self, StateError> {
        let (db, vessel) = open_existing(dir)?;
        Ok(Self::assemble(dir, db, vessel, keys::load(dir)?))
    }

    fn assemble(dir: &Path, db: Db, vessel: VesselId, key: Option<SigningKey>) -> Self {
        Self(Arc::new(Inner {
            dir: dir.to_owned(),
            db,
            vessel,
            key,
            head_written: Mutex::default(),
            listeners: RwLock::default(),
            gate: accounts::Gate::default(),
        }))
    }

    /// The ship's immutable id.
    #[must_use]
    pub fn vessel(&self) -> VesselId {
        self.0.vessel.clone()
    }

    /// The folder the state lies in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Has `listener` called with the journal's last entry number each time entries were committed; it must return at
    /// once, such as by waking a task.
    pub fn on_journal(&self, listener: impl Fn(u64) + Send + Sync + 'static) {
        self.0.listeners.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(listener));
    }

    /// Compares `journal.head` with the journal, so that a tail that was cut while the node was down is not forgotten
    /// with the next head that is written.
    fn reconcile_head(&self, first_start: bool, now: UtcMs) -> Result<(), StateError> {
        let doubt = match head::read(&head::head_path(self.dir()))? {
            HeadFile::Missing if first_start => return self.seal(now),
            HeadFile::Missing => "journal.head was missing at start".to_owned(),
            HeadFile::Unreadable => "journal.head could not be read at start".to_owned(),
            HeadFile::Read(head) => match self.contradiction(&head)? {
                None => {
                    *self.head_written() = Some(head.entries);
                    return Ok(());
                }
                Some(doubt) => doubt,
            },
        };
        let aside = match head::read(&head::head_path(self.dir()))? {
            HeadFile::Missing => None,
            _ => head::put_aside(self.dir())?.file_name().map(|name| name.to_string_lossy().into_owned()),
        };
        tracing::error!(doubt, "journal and its signed head differ; run `watchkeeper journal verify`");
        let key = format!("journal_doubted/{}/{}", now.0, aside.as_deref().unwrap_or("missing"));
        let body = json!({ "doubt": doubt, "evidence": aside });
        self.record_event(&NewEvent { kind: "journal_doubted", key: &key, by: None, body: &body }, now)?;
        self.seal(now)
    }

    fn contradiction(&self, head: &Head) -> Result<Option<String>, StateError> {
        let own_key = self.key().map(|key| hex::encode(key.verifying_key().to_bytes()));
        if !head.is_genuine() || Some(&head.key) != own_key.as_ref() || head.vessel != self.0.vessel {
            return Ok(Some("journal.head was not signed by this node for this vessel".to_owned()));
        }
        let hash =
            self.db().read("check the journal's head", |db| Ok(journal::hash_at(db, &self.0.vessel, head.entries)?))?;
        Ok(match hash {
            Some(hash) if hex::encode(hash) == head.hash => None,
            Some(_) => Some(format!("entry {} is not the one that journal.head vouches for", head.entries)),
            None => Some(format!("journal.head vouches for {} entries, some at the end are missing", head.entries)),
        })
    }

    fn db(&self) -> &Db {
        &self.0.db
    }

    fn key(&self) -> Option<&SigningKey> {
        self.0.key.as_ref()
    }

    fn gate(&self) -> &accounts::Gate {
        &self.0.gate
    }

    fn head_written(&self) -> MutexGuard<'_, Option<u64>> {
        self.0.head_written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_writable(&self, doing: &'static str) -> StateError {
        StateError::ReadOnly { doing, path: self.dir().join(STATE_FILE) }
    }

    /// Runs a transaction that may append to the journal and tells the listeners; returns the last entry's number.
    fn write_journal(
        &self,
        doing: &'static str,
        f: impl FnOnce(&Transaction<'_>, &VesselId) -> Result<(), Fault>,
    ) -> Result<u64, StateError> {
        self.write_with_journal(doing, f).map(|((), last)| last)
    }

    /// As [`write_journal`](Self::write_journal), with an answer of its own.
    fn write_with_journal<T>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&Transaction<'_>, &VesselId) -> Result<T, Fault>,
    ) -> Result<(T, u64), StateError> {
        let vessel = &self.0.vessel;
        let (answer, before, after) = self.db().write(doing, |transaction| {
            let (before, _) = journal::last(transaction, vessel)?;
            let answer = f(transaction, vessel)?;
            let (after, _) = journal::last(transaction, vessel)?;
            Ok((answer, before, after))
        })?;
        if after > before {
            let listeners = self.0.listeners.read().unwrap_or_else(PoisonError::into_inner);
            listeners.iter().for_each(|listener| listener(after));
        }
        Ok((answer, after))
    }
}

/// Opens an existing database for reading only and tells whose it is.
fn open_existing(dir: &Path) -> Result<(Db, VesselId), StateError> {
    let path = dir.join(STATE_FILE);
    if !path.exists() {
        return Err(StateError::NoState { dir: dir.to_owned() });
    }
    let db = Db::open_read_only(path)?;
    let vessel = db.read("open the state", |connection| {
        let found = schema::found(connection)?;
        schema::refuse_newer(found)?;
        let vessel = if found == 0 { None } else { schema::meta(connection, META_VESSEL)? };
        vessel.ok_or_else(|| StateError::NoState { dir: dir.to_owned() }.into())
    })?;
    Ok((db, VesselId::from(vessel)))
}

#[cfg(test)]
mod tests;

//! The connections: one writer behind a mutex, and a few readers that see the last committed state meanwhile.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::error::{Fault, StateError};

/// Readers kept open between two calls; more may exist for a moment.
const READERS_KEPT: usize = 4;
/// How long a connection waits for another process.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Up to this size the write-ahead log stays on disk after a checkpoint.
const WAL_BYTES_KEPT: u32 = 16 * 1024 * 1024;
/// Compiled statements kept per connection.
const STATEMENTS_KEPT: usize = 64;

#[derive(Debug)]
pub(super) struct Db {
    path: PathBuf,
    writer: Option<Mutex<Connection>>,
    readers: Mutex<Vec<Connection>>,
}

impl Db {
    /// Opens the database for reading and writing; creates it, readable by its owner only, where there is none.
    pub(super) fn open(path: PathBuf) -> Result<Self, StateError> {
        let doing = "open the state";
        create_private(&path).map_err(StateError::file(doing, &path))?;
        let writer = open_writer(&path).map_err(|error| StateError::sqlite(doing, &path, error))?;
        Ok(Self { path, writer: Some(Mutex::new(writer)), readers: Mutex::default() })
    }

    /// Opens an existing database for reading only; writing then fails with a hint.
    pub(super) fn open_read_only(path: PathBuf) -> Result<Self, StateError> {
        let reader = open_reader(&path).map_err(|error| StateError::sqlite("open the state", &path, error))?;
        Ok(Self { path, writer: None, readers: Mutex::new(vec![reader]) })
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writer.is_some()
    }

    /// Runs `f` on a consistent view of the last committed state.
    pub(super) fn read<T>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StateError> {
        let failed = |error: rusqlite::Error| StateError::sqlite(doing, &self.path, error);
        let kept = lock(&self.readers).pop();
        let mut reader = kept.map_or_else(|| open_reader(&self.path), Ok).map_err(failed)?;
        let view = reader.transaction().map_err(failed)?;
        let answer = f(&view).map_err(|fault| fault.into_error(doing, &self.path));
        // Ending a view that wrote nothing cannot lose anything.
        let ended = view.finish();
        if ended.is_ok() {
            let mut readers = lock(&self.readers);
            if readers.len() < READERS_KEPT {
                readers.push(reader);
            }
        }
        answer
    }

    /// Runs `f` in one transaction that is on disk when this returns, or has changed nothing.
    pub(super) fn write<T>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, StateError> {
        let failed = |error: rusqlite::Error| StateError::sqlite(doing, &self.path, error);
        let mut writer = self.writer(doing)?;
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let answer = f(&transaction).map_err(|fault| fault.into_error(doing, &self.path))?;
        transaction.commit().map_err(failed)?;
        Ok(answer)
    }

    /// The writing connection itself, for what cannot run in a transaction.
    pub(super) fn writer(&self, doing: &'static str) -> Result<MutexGuard<'_, Connection>, StateError> {
        let writer = self.writer.as_ref().ok_or_else(|| StateError::ReadOnly { doing, path: self.path.clone() })?;
        Ok(lock(writer))
    }
}

/// A panic while holding the lock has rolled its transaction back, so what is behind it is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn create_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let writer =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    writer.busy_timeout(BUSY_WAIT)?;
    writer.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    writer.pragma_update(None, "journal_mode", "wal")?;
    writer.pragma_update(None, "synchronous", "full")?;
    writer.pragma_update(None, "foreign_keys", true)?;
    // With these two, `INSERT OR REPLACE` cannot slip past the journal's guards and erased names leave no trace.
    writer.pragma_update(None, "recursive_triggers", true)?;
    writer.pragma_update(None, "secure_delete", true)?;
    writer.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    Ok(writer)
}

pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags)?;
    reader.busy_timeout(BUSY_WAIT)?;
    reader.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    reader.pragma_update(None, "query_only", true)?;
    Ok(reader)
}

//! What can go wrong with a node's state, and how SQLite's own words are turned into a hint for a person.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use wk_types::{DurationMs, ErrorKind};

/// Extended SQLite code for "the shared memory file could not grow", which is how a full disk shows there.
const SQLITE_IOERR_SHMSIZE: i32 = 4_874;

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// SQLite refused for a reason that has no variant of its own.
    #[error("could not {doing}")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The disk is full.
    #[error("could not {doing}: the disk is full; free space where {} lies (`df -h`), it goes on by itself then", path.display())]
    DiskFull {
        /// What was being done.
        doing: &'static str,
        /// The database.
        path: PathBuf,
    },
    /// The disk or the file may not be written.
    #[error("could not {doing}: {} cannot be written; check that the file system is not mounted read-only (`findmnt -T`) and that the files belong to this user", path.display())]
    ReadOnly {
        /// What was being done.
        doing: &'static str,
        /// The database.
        path: PathBuf,
    },
    /// Another process holds the database.
    #[error("could not {doing}: another process holds the database; try again, or stop the other process")]
    Busy {
        /// What was being done.
        doing: &'static str,
    },
    /// The database's pages are not what was written.
    #[error("could not {doing}: {} is damaged; stop the node and put back a copy of the data folder, `watchkeeper journal verify` says what is left", path.display())]
    Damaged {
        /// What was being done.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer node wrote the database.
    #[error(
        "the state has schema {found}, this version reads up to {known}; use a newer watchkeeper, nothing was changed"
    )]
    Newer {
        /// The schema found.
        found: u32,
        /// The newest schema this version knows.
        known: u32,
    },
    /// There is no state in this folder.
    #[error("there is no state in {}; start `watchkeeper ship` there once, or name another folder with --data", dir.display())]
    NoState {
        /// The folder.
        dir: PathBuf,
    },
    /// A stored document cannot be read.
    #[error("could not {doing}: a stored document cannot be read")]
    Document {
        /// What was being done.
        doing: &'static str,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// A file beside the database could not be read or written.
    #[error("could not {doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The node's key does not belong to this database.
    #[error("the node key {} {what}; put back the file from the copy of the data folder that belongs to this state", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The system gave no random bytes.
    #[error("could not get random bytes from the system: {0}")]
    Random(getrandom::Error),
    /// The password could not be hashed.
    #[error("could not hash the password: {0}")]
    Password(argon2::password_hash::Error),
    /// The caller sent something that can never be accepted.
    #[error("{0}")]
    Invalid(String),
    /// What is named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The call contradicts the present state.
    #[error("{0}")]
    Conflict(String),
    /// The caller may not do this.
    #[error("{0}")]
    Denied(String),
    /// Too many failed attempts to sign in.
    #[error("too many failed attempts; try again in {wait}")]
    TooManyAttempts {
        /// How long to wait.
        wait: DurationMs,
    },
    /// The spool holds as many waiting messages as it may.
    #[error(
        "the mail spool is full with {queued} messages waiting; see `watchkeeper doctor` for why they cannot leave"
    )]
    SpoolFull {
        /// How many wait.
        queued: u64,
    },
}

impl StateError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::DiskFull { .. }
            | Self::ReadOnly { .. }
            | Self::Busy { .. }
            | Self::File { .. }
            | Self::Sqlite { .. }
            | Self::Random(_)
            | Self::TooManyAttempts { .. }
            | Self::SpoolFull { .. } => ErrorKind::Unavailable,
            Self::Damaged { .. } | Self::Document { .. } => ErrorKind::Corrupt,
            Self::Newer { .. } | Self::Conflict(_) | Self::Key { .. } => ErrorKind::Conflict,
            Self::NotFound(_) | Self::NoState { .. } => ErrorKind::NotFound,
            Self::Invalid(_) => ErrorKind::InvalidInput,
            Self::Denied(_) => ErrorKind::Denied,
            Self::Password(_) => ErrorKind::Bug,
        }
    }

    /// Tells whether the same call may succeed later without being changed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }

    pub(super) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { doing, path },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly { doing, path },
            _ => Self::File { doing, path, source },
        }
    }

    pub(super) fn sqlite(doing: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        let rusqlite::Error::SqliteFailure(failure, _) = &source else { return Self::Sqlite { doing, source } };
        match failure.code {
            ErrorCode::DiskFull => Self::DiskFull { doing, path },
            ErrorCode::SystemIoFailure if failure.extended_code == SQLITE_IOERR_SHMSIZE => {
                Self::DiskFull { doing, path }
            }
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Self::ReadOnly { doing, path },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy { doing },
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Damaged { doing, path, source },
            _ => Self::Sqlite { doing, source },
        }
    }
}

/// What a closure inside a transaction can fail with, before the transaction's purpose is added.
#[derive(Debug)]
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Document(serde_json::Error),
    State(StateError),
}

impl Fault {
    pub(super) fn into_error(self, doing: &'static str, path: &Path) -> StateError {
        match self {
            Self::Sqlite(source) => StateError::sqlite(doing, path, source),
            Self::Document(source) => StateError::Document { doing, source },
            Self::State(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Document(error)
    }
}

impl From<StateError> for Fault {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

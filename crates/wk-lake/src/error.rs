//! What can fail in the lake.

use std::io;
use std::path::PathBuf;

use parquet::errors::ParquetError;
use wk_types::{DurationMs, ErrorKind};

/// A failure of the log lake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The log folder cannot be made, listed or synced.
    #[error("could not use the log folder {path}")]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A log file cannot be written.
    #[error("could not write log file {name}")]
    WriteFile {
        /// Which file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A log file cannot be read.
    #[error("could not read log file {name}")]
    ReadFile {
        /// Which file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A log file cannot be written to its end.
    #[error("could not write a log file")]
    Write(#[source] io::Error),
    /// Rows cannot be encoded.
    #[error("could not encode log rows as Parquet")]
    Encode(#[source] ParquetError),
    /// A log file's bytes are not what was written.
    #[error("log file {name} is damaged: {what}")]
    Damaged {
        /// Which file.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// A log file was written by a newer version.
    #[error("log file {name} has format {found}, newer than {}", crate::FORMAT)]
    Newer {
        /// Which file.
        name: String,
        /// The format found.
        found: u32,
    },
    /// A query asks for something that cannot be answered.
    #[error("{what}")]
    Query {
        /// What is wrong with it.
        what: String,
    },
    /// A query would touch what it may not.
    #[error("{what}")]
    Denied {
        /// What was refused, and what is allowed.
        what: String,
    },
    /// A query took too long.
    #[error("the query was stopped after {limit}; narrow it by time, asset or app")]
    TimeLimit {
        /// The limit.
        limit: DurationMs,
    },
    /// A query was called off.
    #[error("the query was cancelled")]
    Cancelled,
    /// A query needs more memory than it may have.
    #[error("{what}")]
    TooLarge {
        /// What is too large.
        what: String,
    },
    /// The node's state database cannot be read.
    #[error("could not read {table} from the state database")]
    State {
        /// Which of the tables.
        table: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The rollups of metrics cannot be read.
    #[error("could not read the rollups of metrics")]
    Rollups(#[source] wk_types::series::SourceError),
    /// A store outside that keeps the logs does not answer, or refuses.
    #[error("could not ask {store} for logs")]
    Outside {
        /// Which one, with its address.
        store: String,
        /// What sort of failure it is.
        kind: ErrorKind,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLite itself failed.
    #[error("could not run the query")]
    Sqlite(#[source] rusqlite::Error),
}

impl LakeError {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Folder { .. }
            | Self::WriteFile { .. }
            | Self::Write(_)
            | Self::ReadFile { .. }
            | Self::TimeLimit { .. }
            | Self::Cancelled
            | Self::State { .. }
            | Self::Rollups(_)
            | Self::Sqlite(_) => ErrorKind::Unavailable,
            Self::Encode(_) => ErrorKind::Bug,
            Self::Damaged { .. } | Self::Newer { .. } => ErrorKind::Corrupt,
            Self::Query { .. } | Self::TooLarge { .. } => ErrorKind::InvalidInput,
            Self::Denied { .. } => ErrorKind::Denied,
            Self::Outside { kind, .. } => *kind,
        }
    }

    /// Tells whether the same call may succeed later without being changed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }

    pub(crate) fn damaged(name: &str, what: impl Into<String>) -> Self {
        Self::Damaged { name: name.to_owned(), what: what.into() }
    }

    pub(crate) fn query(what: impl Into<String>) -> Self {
        Self::Query { what: what.into() }
    }
}

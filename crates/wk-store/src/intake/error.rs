//! Why the intake log could not do something.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wk_types::ErrorKind;

use super::RECORD_BYTES_MAX;

/// Which bound stands in the way of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Too much waits for the disk.
    Queue,
    /// The log has all the bytes it may have, and not all readers have passed them.
    Bytes,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "too many records wait for the disk",
            Self::Bytes => "it is full of records that are not stored yet",
        })
    }
}

/// Why the intake log could not do something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IntakeError {
    /// A bound is reached; the sender should try again later.
    #[error("the intake log takes no more: {bound}")]
    Busy {
        /// Which bound.
        bound: Bound,
    },
    /// The log is closed.
    #[error("the intake log is closed")]
    Closed,
    /// The record is too large.
    #[error("the record has {bytes} bytes, more than {RECORD_BYTES_MAX}; send it in parts")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The disk is full.
    #[error("the disk that holds {} is full; free some space there, the node then goes on by itself", dir.display())]
    Full {
        /// The log's folder.
        dir: PathBuf,
    },
    /// The records could not be encoded.
    #[error("could not encode the records: {reason}")]
    Encode {
        /// Why.
        reason: String,
    },
    /// A segment could not be written or synced; nothing more is acknowledged on it.
    #[error("could not write {}", path.display())]
    Write {
        /// The segment's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The folder or a file in it could not be opened.
    #[error("could not open {}", path.display())]
    Open {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A segment could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The segment's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A newer node wrote this.
    #[error("{} has format {found}, newer than this version reads; use a newer watchkeeper", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u32,
    },
}

impl IntakeError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::InvalidInput,
            Self::Newer { .. } => ErrorKind::Conflict,
            Self::Encode { .. } => ErrorKind::Bug,
            Self::Busy { .. }
            | Self::Closed
            | Self::Full { .. }
            | Self::Write { .. }
            | Self::Open { .. }
            | Self::Read { .. } => ErrorKind::Unavailable,
        }
    }

    pub(super) fn open(path: &Path, source: io::Error) -> Self {
        Self::Open { path: path.to_owned(), source: Arc::new(source) }
    }

    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source: Arc::new(source) }
    }
}

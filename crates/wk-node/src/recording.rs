//! Recordings: the engine's input and where it started from, in one file, so that a night at sea can be gone through
//! again ashore, byte for byte.
//!
//! The file holds frames as the intake log does: one with the engine's state, then the records after it, then the
//! facts the node drew from them.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use wk_engine::{Engine, EngineOptions};
use wk_store::intake::frame::{self, FrameError, FrameKind};
use wk_types::{ErrorKind, Fact, Seq, wire};

/// Largest frame read from a recording, in bytes.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// Why a recording could not be written or replayed.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read or written.
    #[error("could not use the recording {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A frame is damaged or of a newer format.
    #[error("could not read the recording {}", path.display())]
    Frame {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: FrameError,
    },
    /// The content of a frame cannot be read.
    #[error("could not read the recording {}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl RecordingError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::File { .. } => ErrorKind::Unavailable,
            Self::Frame { .. } | Self::Content { .. } => ErrorKind::Corrupt,
        }
    }
}

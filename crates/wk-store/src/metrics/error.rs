//! Why the metric store could not do what it was asked to.

use std::io;
use std::path::PathBuf;

use wk_block::BlockError;
use wk_types::ErrorKind;

/// Why the metric store could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// The folder could not be made or read.
    #[error("could not open the metric store in {}", dir.display())]
    Open {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A block was written by a newer version.
    #[error("could not open metric block {file}")]
    Newer {
        /// The file.
        file: String,
        /// Which format it has.
        #[source]
        source: BlockError,
    },
    /// The head takes nothing more until it has been written.
    #[error("the metric head is full: {samples} samples wait to be written")]
    HeadFull {
        /// How many there are.
        samples: usize,
    },
    /// A block could not be put together.
    #[error("could not encode a metric block")]
    Encode {
        /// What was wrong.
        #[source]
        source: BlockError,
    },
    /// A block could not be written.
    #[error("could not write metric block {file}")]
    Write {
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Blocks could not be read for a merge.
    #[error("could not read metric block {file}")]
    Read {
        /// The file.
        file: String,
        /// What went wrong.
        #[source]
        source: BlockError,
    },
    /// A file could not be deleted or set aside.
    #[error("could not remove metric block {file}")]
    Remove {
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl MetricError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Newer { .. } => ErrorKind::Conflict,
            Self::Encode { source, .. } | Self::Read { source, .. } => source.kind(),
            _ => ErrorKind::Unavailable,
        }
    }

    /// Tells whether the same call may succeed later without being changed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }
}
